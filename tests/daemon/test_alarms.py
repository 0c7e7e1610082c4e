"""Standing alarms: one event at each end, and seen in every place where people look meanwhile."""

import io

from rich.console import Console

from acquisition.daemon.alarms import Alarms, RecordAlarms
from acquisition.live.metrics import exposition
from acquisition.live.state import LiveState
from acquisition.live.terminal import show
from acquisition.model import Instant

SECOND = 1_000_000_000
NOW = Instant(9 * SECOND, 9 * SECOND)


class Watch:
    def __init__(self):
        self.now = 5 * SECOND
        self.events = []
        self.alarms = Alarms(lambda: self.now, self.events.append)
        self.live_state = LiveState(
            lambda now, speed: {"recording": False, "trouble": "gone"}, alarms=lambda: self.alarms.present
        )


def test_an_alarm_is_told_when_it_begins_and_when_it_ends_and_not_between():
    watch = Watch()
    for second in range(3):
        watch.now = (5 + second) * SECOND
        watch.alarms.raise_alarm("record", f"away for {second} s", "put it back", blocks=True)
    assert [(each.text, each.since) for each in watch.alarms.present] == [("away for 2 s", 5 * SECOND)]
    watch.alarms.clear("record", "it is back")
    watch.alarms.clear("record", "it is back")
    assert watch.alarms.present == ()
    assert [(each.kind, each.device, each.text, each.details["standing"]) for each in watch.events] == [
        ("alarm", "", "away for 0 s", True),
        ("alarm", "", "it is back", False),
    ]


def test_an_alarm_that_begins_to_block_says_so():
    watch = Watch()
    watch.alarms.raise_alarm("clock", "the clock is off", "set it", blocks=False)
    watch.alarms.raise_alarm("clock", "the clock is far off", "set it", blocks=True)
    assert [each.details["blocks"] for each in watch.events] == [False, True]


def test_what_stands_against_the_record(tmp_path):
    watch = Watch()
    record = RecordAlarms(watch.alarms, tmp_path)
    record.names(1)
    record.trouble(None)
    record.maintenance(None)
    assert watch.events == []
    record.names(2)
    record.maintenance("RuntimeError: a bug")
    record.trouble("the disk is full")
    record.renewed("a new record was begun")
    assert [(alarm.kind, alarm.blocks) for alarm in watch.alarms.present] == [
        ("record_links", False), ("record_upkeep", False), ("record", True), ("record_renewed", False),
    ]  # fmt: skip
    record.names(1)
    record.maintenance(None)
    record.trouble(None)
    assert [alarm.kind for alarm in watch.alarms.present] == ["record_renewed"]


def test_what_stands_is_in_the_snapshot_the_metrics_and_on_the_terminal():
    watch = Watch()
    look = lambda: watch.live_state.snapshot(NOW, 9 * SECOND, 1.0)  # noqa: E731
    assert look()["alarms"] == []
    watch.alarms.raise_alarm("record", "the record is gone", "put it back", blocks=True)
    assert look()["alarms"] == [
        {"kind": "record", "text": "the record is gone", "remedy": "put it back", "blocks": True,
         "since": "1970-01-01T00:00:05.000Z"}
    ]  # fmt: skip
    out = io.StringIO()
    show(iter([look()]), Console(file=out, width=120, force_terminal=False))
    assert "▲ the record is gone  next: put it back" in out.getvalue()
    lines = exposition(watch.live_state, NOW, 9 * SECOND, 1.0, viewers=0, dropped=0).splitlines()
    assert 'perfusion_alarm{kind="record"} 1' in lines
    assert "perfusion_recording 0" in lines
