"""The record in a real VictoriaMetrics: each value at its millisecond, through an outage too."""

import numpy as np

from acquisition.store import Store
from tests.remotes.landed import ship
from tests.remotes.servers import VictoriaServer, until
from tests.remotes.test_influx import delivered, sources
from tests.store.records import Recording


def held(server, field, device):
    """Milliseconds and values of one field, in order of time."""
    found = server.export(f'{{__name__="m_{field}",device="{device}"}}')
    points = sorted((at, value) for _, values, times in found for at, value in zip(times, values, strict=True))
    return [at for at, _ in points], [value for _, value in points]


def wait_for(server, field, device, count):
    """New series are seen some seconds later."""
    until(lambda: len(held(server, field, device)[0]) >= count, f"{count} values of {device}/{field}")


def test_victoria_metrics_holds_the_record_to_the_millisecond(tmp_path):
    feeds = sources()
    with VictoriaServer(tmp_path / "victoria") as server, Recording(tmp_path / "record") as writer:
        shipper = ship(server.url, "ignored", writer, tmp_path / "record")
        for round_ in range(20):
            for source in feeds:
                writer.put(source.chunk(40))
            writer.flush()
            if round_ == 8:
                server.stop()
            if round_ == 12:
                server.start()
        delivered(tmp_path / "record", writer, shipper)
        shipper.stop(5)
        with Store(tmp_path / "record") as store:
            for device, field in (("ldf", "flux"), ("ldf", "backscatter"), ("tcpo2", "chest")):
                block = store.read(device, [field])
                known = np.isfinite(block.values[:, 0])
                expected = (block.time[known] // 1_000_000).tolist(), block.values[known, 0].tolist()
                wait_for(server, field, device, len(known.nonzero()[0]))
                assert held(server, field, device) == expected
