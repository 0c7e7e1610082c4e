"""A monitor on the network: UDP from the simulator's process to the record, with the link away for a while."""

from acquisition.store import check
from tests.service.bench import Bench, streaming
from tests.service.judge import judge


def test_over_udp_every_sample_is_stored_or_inside_one_gap(tmp_path):
    with Bench(tmp_path) as bench:
        simulator = bench.simulate("intellivue", link=("--udp", "127.0.0.1:0"))
        assert simulator.address.startswith("udp://127.0.0.1:")
        bench.write()
        daemon = bench.run()
        daemon.until(bench.store, streaming)
        simulator.strike("unplug@0s:1.5s")
        daemon.until(bench.store, lambda seen: seen["devices"][0]["gaps"] == 2)
        daemon.until(bench.store, lambda seen: streaming(seen) and seen["record"]["samples"] >= 8)
        assert daemon.stop() == 0
        assert check(bench.store).ok
        ledgers = {
            ("tcpo2", stream): [row["values"] for row in simulator.rows() if row["stream"] == stream]
            for stream in ("chest", "calf")
        }
        for samples, gaps, sent, _ in judge(bench.store, daemon.witnessed(), ledgers).values():
            assert gaps == 1
            assert 3 <= samples <= sent
