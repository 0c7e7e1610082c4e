"""The board: newest value, words, and staleness decided on read; in virtual time."""

import itertools

import numpy as np
import pytest

from acquisition.live.state import LiveState
from acquisition.model import Channel, Chunk, Event, Gap, Header, Instant, Quality, Stream

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
LDF = Stream("ldf", (Channel("flux", "[arb'U]", 0, 1000), Channel("backscatter", "[arb'U]")), 40.0)


def header(stream=LDF, device="ldf", simulated=True):
    return Header(device, stream, "daq970a", "unconfirmed scale", "test", simulated, placement={"site": "hallux"})


def chunk(at, values, quality=None, of=None, gap=None, lag=0.0):
    """One chunk whose last sample is at `at` s and arrived `lag` s later."""
    of = of or header()
    values = np.array(values, dtype=float).reshape(-1, len(of.stream.channels))
    n = len(values)
    time = START + (np.array([at - (n - 1 - i) * 0.025 for i in range(n)]) * SECOND).astype(np.int64)
    flags = np.zeros(values.shape, np.uint8) if quality is None else np.array(quality, np.uint8).reshape(values.shape)
    return Chunk(of, 1, 1, 0, Instant(round((at + lag) * SECOND), 0), time, values, flags, None, gap)


def look(live_state, at, speed=1.0):
    return live_state.snapshot(
        Instant(round(at * SECOND), START + round(at * SECOND)), START + round(at * SECOND), speed
    )


def first(live_state, at, speed=1.0):
    return look(live_state, at, speed)["devices"][0]["channels"][0]


def state(device, text, at=0.0, cause=""):
    return Event("state", START + round(at * SECOND), device, text, {"state": text, "cause": cause})


def test_the_newest_value_is_shown_with_unit_time_and_lag():
    live_state = LiveState()
    live_state.put(chunk(10.0, [[1, 2], [55.25, 160]], lag=0.136))
    found = first(live_state, 10.5)
    assert (found["name"], found["unit"], found["display_unit"]) == ("flux", "[arb'U]", "PU")
    assert found["value"] == 55.25
    assert found["time"] == "2023-11-14T22:13:30.000Z"
    assert found["age_s"] == pytest.approx(0.5)
    assert found["lag_s"] == pytest.approx(0.136)
    assert (found["word"], found["stale"], found["quality"]) == ("live", False, ["GOOD"])


@pytest.mark.parametrize(
    ("rate", "own", "limit"),
    [(40.0, None, 2.0), (1.0, None, 2.5), (0.1, None, 25.0), (None, None, 2.0), (40.0, 60.0, 60.0), (40.0, 0.5, 0.5)],
)
def test_a_value_is_stale_when_it_is_older_than_its_channel_allows(rate, own, limit):
    live_state = LiveState()
    live_state.put(chunk(0.0, [[7.0]], of=header(Stream("s", (Channel("x", "Cel", stale_after=own),), rate))))
    assert first(live_state, limit)["word"] == "live"
    after = first(live_state, limit + 0.001)
    assert (after["stale"], after["word"], after["stale_after"]) == (True, "stale", limit)


def test_a_faster_clock_shortens_the_patience_but_not_below_what_a_person_can_see():
    live_state = LiveState()
    live_state.put(chunk(0.0, [[7.0]], of=header(Stream("s", (Channel("x", "Cel", stale_after=600.0),), 40.0))))
    assert not first(live_state, 590.0, speed=60.0)["stale"], "ten minutes at sixty times are ten seconds"
    assert first(live_state, 610.0, speed=60.0)["stale"]
    live_state.put(chunk(0.0, [[7.0, 7.0]]))
    flux = look(live_state, 110.0, speed=60.0)["devices"][0]["channels"][1]
    assert (flux["stale"], flux["stale_after"]) == (False, 2.0)
    assert look(live_state, 130.0, speed=60.0)["devices"][0]["channels"][1]["stale"]


@pytest.mark.parametrize(
    ("flags", "names", "word"),
    [
        (0, ["GOOD"], "live"),
        (Quality.INVALID, ["INVALID"], "invalid"),
        (Quality.RANGE, ["RANGE"], "out of range"),
        (Quality.CALIBRATING, ["CALIBRATING"], "calibrating"),
        (Quality.SUSPECT, ["SUSPECT"], "suspect"),
        (Quality.QUESTIONABLE, ["QUESTIONABLE"], "questionable"),
        (Quality.DEMO, ["DEMO"], "demo mode"),
        (Quality.RANGE | Quality.QUESTIONABLE | Quality.DEMO, ["RANGE", "QUESTIONABLE", "DEMO"], "out of range"),
    ],
)
def test_quality_is_told_in_words_the_gravest_first(flags, names, word):
    live_state = LiveState()
    live_state.put(chunk(0.0, [[5.0, 5.0]], [[flags, 0]]))
    found = first(live_state, 0.1)
    assert (found["quality"], found["word"]) == (names, word)


def test_no_number_is_no_value_and_never_live():
    live_state = LiveState()
    live_state.put(chunk(0.0, [[np.nan, 5.0]]))
    found = first(live_state, 0.1)
    assert (found["value"], found["word"]) == (None, "no value")


@pytest.mark.parametrize("down", ["LOST", "FAILED"])
def test_a_device_that_is_down_has_no_live_value_however_young(down):
    live_state = LiveState()
    live_state.put(state("ldf", "STREAMING"))
    live_state.put(chunk(5.0, [[5.0, 5.0]]))
    live_state.put(state("ldf", down, 5.1, "the link is gone"))
    device = look(live_state, 5.2)["devices"][0]
    assert (device["state"], device["cause"], device["since"]) == (
        down,
        "the link is gone",
        "2023-11-14T22:13:25.100Z",
    )
    assert {channel["word"] for channel in device["channels"]} == {down.lower()}


def test_a_device_is_known_before_its_first_sample():
    live_state = LiveState()
    live_state.expect(header())
    live_state.put(state("pump", "CONNECTING"))
    ldf, pump = look(live_state, 0.0)["devices"]
    assert (ldf["name"], ldf["simulated"], ldf["placement"]) == ("ldf", True, {"site": "hallux"})
    assert [(c["word"], c["stale"], c["value"]) for c in ldf["channels"]] == [("no data yet", True, None)] * 2
    assert (pump["name"], pump["state"], pump["channels"]) == ("pump", "CONNECTING", [])


def test_gaps_losses_and_noise_are_counted():
    live_state = LiveState()
    live_state.put(chunk(1.0, [[1, 1]]))
    live_state.put(chunk(3.0, [[1, 1]], gap=Gap(START, START + 3 * SECOND, 1, 80, "lost on the way", 78)))
    live_state.put(chunk(9.0, [[1, 1]], gap=Gap(START, START + 9 * SECOND, 81, 83, "the link is gone", None)))
    for count in (12, 30):
        live_state.put(Event("noise", START, "ldf", "no frame", {"bytes": count}))
    device = look(live_state, 9.1)["devices"][0]
    assert (device["gaps"], device["lost"], device["noise"]) == (2, 78, 42)
    assert live_state.recent == (), "noise is a count, not news"


def test_the_sparkline_holds_a_point_a_second_and_is_bounded():
    live_state = LiveState()
    for i in range(4000):
        live_state.put(chunk(100 + i * 0.05, [[i, 0]]))
    trail = first(live_state, 300.0)["sparkline"]
    assert len(trail) == 60
    assert {b - a for a, b in itertools.pairwise(trail)} == {20.0}


def test_recent_events_are_bounded():
    live_state = LiveState()
    for i in range(1000):
        live_state.put(Event("state", START, "ldf", f"{i}", {"state": "LOST"}))
    assert [event.text for event in live_state.recent] == [str(i) for i in range(900, 1000)]


def test_the_record_is_described_by_whoever_knows_it():
    live_state = LiveState(lambda now, speed: {"recording": True, "bytes": now.monotonic})
    assert look(live_state, 3.0)["record"] == {"recording": True, "bytes": 3 * SECOND}
    assert look(LiveState(), 3.0)["record"] == {}
