"""The whole demonstration in a real browser: three kinds of value change, and a stopped instrument goes stale."""

import os
import signal
import time

import pytest

from tests.browser.looks import seconds_until_turned
from tests.service.bench import children, demo

SEEN = {"laser Doppler": "ldf/flux/flux", "TcPO2": "tcpo2/calf/tcpo2", "treadmill": "treadmill/belt/speed"}
STALE_WITHIN = 3.0


@pytest.mark.timeout(120)
def test_three_instruments_change_and_a_stopped_one_is_stale_within_three_seconds(visit):
    with demo("--scenario", "tour", "--seed", "2") as (process, url):
        page = visit(url)

        def row(channel):
            return page.locator(f'[data-channel="{channel}"]')

        for channel in SEEN.values():
            page.wait_for_selector(f'[data-channel="{channel}"][data-word="live"]')
        before = {kind: row(channel).locator("output").inner_text() for kind, channel in SEEN.items()}
        changed = set()
        end = time.monotonic() + 40
        while changed != set(SEEN) and time.monotonic() < end:
            page.wait_for_timeout(200)
            now = {kind: row(channel).locator("output").inner_text() for kind, channel in SEEN.items()}
            changed |= {kind for kind in SEEN if now[kind] != before[kind]}
        assert changed == set(SEEN)
        assert page.locator("#simulated").is_visible()
        instrument = children(process.pid)["daq970a"]
        took = seconds_until_turned(page, SEEN["laser Doppler"], lambda: os.kill(instrument, signal.SIGKILL))
        assert took < STALE_WITHIN
        assert row(SEEN["TcPO2"]).get_attribute("data-word") == "live"
        page.close()
