"""A thousand viewers, two hundred that never read and five thousand half-open requests hold nobody up."""

import json
import resource
import subprocess
import sys
import time

import pytest

from tests.live_bench import LiveBench, wait_for

VIEWERS, LAZY, HALF_OPEN = 1000, 200, 5000


@pytest.mark.proof
def test_a_crowd_before_the_page_costs_the_record_nothing(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < 2 * (VIEWERS + LAZY + HALF_OPEN):
        pytest.skip(f"needs {2 * (VIEWERS + LAZY + HALF_OPEN)} file descriptors, {hard} are allowed")
    try:
        with LiveBench(tmp_path, past=60.0) as bench:
            waits = []
            take = bench.page.put

            def put(item):
                begun = time.perf_counter()
                take(item)
                waits.append(time.perf_counter() - begun)

            bench.subscribers[2] = put
            crowd = [VIEWERS, LAZY, HALF_OPEN, 10]
            ran = subprocess.run(
                [sys.executable, "-m", "tests.page.crowd", str(bench.port), *map(str, crowd)],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            found = json.loads(ran.stdout)
            print(found, f"longest put {max(waits) * 1e3:.1f} ms")
            wait_for(lambda: not bench.page._feed.viewers)
            gaps = [
                device["gaps"] for device in bench.live_state.snapshot(bench.clock.now(), bench.key_now(), 1)["devices"]
            ]
            assert bench.store.flush()
            assert bench.store.stats.dropped == bench.page._feed.dropped == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert gaps == [0, 0, 0]
    assert found["closed"] == HALF_OPEN, "half-open requests stay open"
    assert found["failed"] == 0, "viewers were refused or cut off"
    assert found["n"] > VIEWERS * 10
    assert found["p50"] < 0.25
    assert found["p99"] < 1.0, "four times what is promised, as the crowd itself takes one of the processors"
    assert sorted(waits)[len(waits) * 99 // 100] < 0.005
