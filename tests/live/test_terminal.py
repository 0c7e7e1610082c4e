"""The terminal view: what a technician reads over SSH."""

import io

import numpy as np
from rich.console import Console

from acquisition.live.metrics import exposition
from acquisition.live.state import LiveState
from acquisition.live.terminal import picture, show, sparkline
from acquisition.model import Channel, Chunk, Event, Header, Instant, Quality, Stream

SECOND = 1_000_000_000


def live_state():
    found = LiveState(lambda now, speed: {"recording": True, "bytes": 2_400_000, "samples": 7, "trouble": None})
    stream = Stream("ldf", (Channel("flux", "[arb'U]"), Channel("skin", "Cel")), 40.0)
    header = Header("ldf", stream, "d", "documented", "", simulated=True)
    for second in range(10):
        values = np.array([[50.0 + second, 33.04]])
        quality = np.array([[0, Quality.RANGE]], np.uint8)
        found.put(Chunk(header, 1, 1, second, Instant(0, 0), np.array([second * SECOND]), values, quality))
    found.put(Event("state", 0, "belt", "LOST", {"state": "LOST", "cause": "the link is gone"}))
    return found


def printed(*moments, width=120):
    out = io.StringIO()
    looks = (live_state().snapshot(Instant(at * SECOND, at * SECOND), at * SECOND, 1.0) for at in moments)
    show(looks, Console(file=out, width=width, force_terminal=False))
    return out.getvalue()


def test_values_units_and_states_are_told_in_words():
    text = printed(9)
    assert "ldf SIMULATED" in text
    assert "59.0" in text
    assert "PU" in text
    assert "● live" in text
    assert "33.0  °C    ▲ out of range" in text
    assert "✕ lost" in text
    assert "belt: lost: the link is gone" in text
    assert "● RECORDING  2.4 MB" in text
    assert "▁▂▃▄▅▅▆▇█" in text


def test_a_remote_that_takes_nothing_is_told_with_its_reason_and_what_waits():
    snapshot = live_state().snapshot(Instant(9 * SECOND, 9 * SECOND), 9 * SECOND, 1.0)
    snapshot["remotes"] = [
        {"name": "influx", "state": "held", "reason": "HTTP 401: unauthorized", "pending": 1200, "quiet_s": 0.0},
        {"name": "other", "state": "dead", "reason": "its worker died", "pending": None, "quiet_s": 0.0},
        {"name": "mqtt", "state": "delivering", "reason": "", "pending": 3, "quiet_s": 0.0},
    ]
    out = io.StringIO()
    show(iter([snapshot]), Console(file=out, width=120, force_terminal=False))
    assert "▲ influx held: HTTP 401: unauthorized; 1200 samples wait" in out.getvalue()
    assert "▲ other dead: its worker died; how many samples wait is not known" in out.getvalue()
    assert "mqtt" not in out.getvalue()


def test_the_metrics_of_a_remote_say_nothing_that_nobody_knows():
    watched = live_state()
    watched.remotes = lambda: [
        {"name": "influx", "state": "dead", "reason": "its worker died", "pending": None, "quiet_s": 0.0},
        {"name": "mqtt", "state": "hung", "reason": "no progress", "pending": 3, "quiet_s": 20.5},
    ]
    lines = exposition(watched, Instant(0, 0), 0, 1.0, viewers=0, dropped=0).splitlines()
    found = [line for line in lines if "influx" in line or "mqtt" in line]
    assert found == [
        'perfusion_sink_backlog{sink="mqtt"} 3',
        'perfusion_remote_up{remote="influx"} 0',
        'perfusion_remote_up{remote="mqtt"} 0',
        'perfusion_remote_state{remote="influx",state="dead"} 1',
        'perfusion_remote_state{remote="mqtt",state="hung"} 1',
        'perfusion_remote_quiet_seconds{remote="influx"} 0',
        'perfusion_remote_quiet_seconds{remote="mqtt"} 20.5',
    ]


def test_an_old_value_is_called_stale():
    text = printed(12)
    assert "◌ stale" in text
    assert "live" not in text.replace("live readings", "")


def test_without_a_terminal_each_snapshot_is_printed_once():
    assert printed(9, 9, 9).count("RECORDING") == 3


def test_a_sparkline_spans_its_own_range_and_shows_holes():
    assert sparkline([0, 7, None, 3.5]) == "▁█ ▅"
    assert sparkline([5, 5]) == "▁▁"
    assert sparkline([None]) == ""


def test_a_narrow_line_loses_the_sparkline_and_never_the_value():
    out = io.StringIO()
    look = live_state().snapshot(Instant(9 * SECOND, 9 * SECOND), 9 * SECOND, 1.0)
    Console(file=out, width=80).print(picture(look, 80))
    assert "flux" in out.getvalue()
    assert "59.0  PU    ● live" in out.getvalue()
    assert "▁" not in out.getvalue()


def test_the_examination_stands_above_the_readings():
    look = live_state().snapshot(Instant(9 * SECOND, 9 * SECOND), 9 * SECOND, 1.0)
    look["session"] = {
        "title": "Reactive hyperaemia", "subject": "03-117", "visit": "baseline", "limb": "", "phase": "rest",
        "elapsed_s": 65.4,
    }  # fmt: skip
    out = io.StringIO()
    show(iter([look]), Console(file=out))
    assert "Reactive hyperaemia  03-117 · baseline  rest 1:05" in out.getvalue()
