"""The Trackmaster driver against transcripts, noise, and ten simulated minutes of walking."""

import itertools
import random

import numpy as np
import pytest

from acquisition.config import load
from acquisition.driverkit.driver import Setup
from acquisition.errors import ConfigurationError
from acquisition.model import Notice, Quality, Readings
from drivers.trackmaster import Options, Trackmaster
from drivers.trackmaster.frames import Frame, cut
from simulators.simkit.conversation import converse
from simulators.simkit.instrument import Plan
from simulators.trackmaster import Options as Faults
from simulators.trackmaster import Trackmaster as Treadmill
from tests.treadmill.belt import Belt, one_by_one, randomly

# PyPI `trackmaster` 0.1.1, an independent host, against a recorder of bytes: read on opening, 2.0 mph,
# 12.0 %, running unwatched; then both ways to stop.
TRANSCRIPT = [
    ("C3", "D3 30 30 30 30"),
    ("C4", "D4 30 30 30 30"),
    ("A3 30 30 32 30", "B3"),
    ("C0", "D0 31"),
    ("A1", "B1"),
    ("A4 30 31 32 30", "B4"),
    ("C0", "D0 33"),
    ("C1", "D1 30 30 32 30"),
    ("C2", "D2 30 31 32 30"),
    ("AA", "BA"),
    ("A2", "B2"),
]
ROUND = {0xC0: "D0 33", 0xC1: "D1 30 30 32 30", 0xC2: "D2 30 31 32 30", 0xC3: "D3 30 30 32 30", 0xC4: "D4 30 31 32 30"}


def reader(unit="mph", **options):
    return Trackmaster(Setup("trackmaster", Options(unit=unit, **options)))


def answer(driver, replies, rounds=1, pieces=lambda message: [message]):
    """Start the driver and answer each request from a table; gives back what it said."""
    said, at = [], 0.0
    driver.start(at)
    for _ in range(rounds):
        while requests := driver.to_send():
            at += 0.01
            reply = replies[requests[0][0]]
            for piece in pieces(bytes.fromhex(reply)):
                said += driver.receive(piece, at)
        at = driver.deadline()
        driver.poll(at)
    return said


@pytest.mark.parametrize(("request_", "reply"), TRANSCRIPT)
def test_frames_are_those_of_the_transcript(request_, reply):
    for text in (request_, reply):
        assert Frame.decode(bytes.fromhex(text)).encode() == bytes.fromhex(text)
    assert cut(bytes.fromhex(reply)) == len(bytes.fromhex(reply))


def test_numbers_are_tenths():
    assert Frame.of(0xA3, 20).encode() == bytes.fromhex("A3 30 30 32 30")
    assert Frame.decode(bytes.fromhex("D2 30 31 32 30")).tenths == 120


@pytest.mark.parametrize(
    "pieces", [lambda m: [m], one_by_one, randomly(random.Random(4))], ids=["whole", "bytes", "cut"]
)
@pytest.mark.parametrize(("unit", "speed"), [("mph", 3.218688), ("kmh", 2.0)])
def test_a_round_is_a_sample(unit, speed, pieces):
    state, sample = answer(reader(unit), ROUND, pieces=pieces)
    assert sample.stream == "belt"
    assert sample.values[0] == pytest.approx([speed, 12.0, speed, 12.0, 1.0])
    assert not sample.quality.any()
    assert state == Notice("state", state.text, {"belt": "3"})
    assert "does not stop by itself" in state.text


def test_one_request_is_open_at_a_time():
    driver = reader()
    driver.start(0.0)
    asked = b""
    while requests := driver.to_send():
        assert len(requests) == 1
        asked += requests[0]
        list(driver.receive(bytes.fromhex(ROUND[requests[0][0]]), 0.01))
    assert asked == bytes.fromhex("C0 C3 C4 C2 C1")
    assert driver.deadline() == pytest.approx(0.25)


def test_an_unanswered_request_is_repeated_and_then_the_round_is_given_up():
    driver = reader()
    driver.start(0.0)
    for _ in range(3):
        assert driver.to_send() == [b"\xc0"]
        driver.poll(driver.deadline())
    assert driver.to_send() == []
    driver.poll(driver.deadline())
    assert driver.to_send() == [b"\xc0"]


def test_speeds_asked_for_and_not_answered_are_lost_samples():
    driver = reader()
    driver.start(0.0)
    for code in (0xC0, 0xC3, 0xC4, 0xC2):
        assert driver.to_send() == [bytes((code,))]
        list(driver.receive(bytes.fromhex(ROUND[code]), 0.01))
    driver.poll(driver.deadline())
    driver.poll(driver.deadline())
    *_, sample = driver.receive(bytes.fromhex(ROUND[0xC1]), 0.4)
    assert sample.lost == 2
    late = list(driver.receive(bytes.fromhex(ROUND[0xC1]), 0.5))
    assert [notice.kind for notice in late] == ["noise"]


def test_the_speed_999_9_is_an_alarm_and_no_speed():
    said = answer(reader(), {**ROUND, 0xC1: "D1 39 39 39 39"}, rounds=3)
    samples = [item for item in said if isinstance(item, Readings)]
    assert len(samples) == 3
    assert np.isnan(samples[0].values[0, 0])
    assert samples[0].quality.tolist() == [[Quality.INVALID, 0, 0, 0, 0]]
    assert [item.kind for item in said if isinstance(item, Notice)] == ["state", "alarm"]


def test_a_speed_beyond_every_belt_is_out_of_range():
    *_, sample = answer(reader(), {**ROUND, 0xC1: "D1 30 39 39 39"})
    assert sample.quality.tolist() == [[Quality.RANGE, 0, 0, 0, 0]]


@pytest.mark.parametrize(("code", "words"), [("BE", "out of range"), ("BF", "illegal"), ("DF", "status request")])
def test_a_request_refused_three_times_is_left_out(code, words):
    said = answer(reader(), {**ROUND, 0xC3: code}, rounds=4)
    warning = next(item for item in said if isinstance(item, Notice) and item.kind == "warning")
    assert words in warning.text
    assert warning.details == {"request": "C3", "answer": code}
    samples = [item for item in said if isinstance(item, Readings)]
    assert len(samples) == 4
    assert np.isnan(samples[-1].values[0, 2])
    assert len([item for item in said if isinstance(item, Notice)]) == 2


def test_a_request_once_answered_is_asked_for_ever():
    driver = reader()
    assert answer(driver, ROUND)
    said = answer(driver, {**ROUND, 0xC3: "BF"}, rounds=6) + answer(driver, ROUND, rounds=2)
    assert not any(item.kind == "warning" for item in said if isinstance(item, Notice))
    assert said[-1].values[0, 2] == pytest.approx(3.218688)


def test_silence_for_more_than_a_second_is_an_alarm_once():
    driver = reader()
    driver.start(0.0)
    while driver.deadline() < 3.0:
        driver.poll(driver.deadline())
    (alarm,) = driver.to_say()
    assert alarm.kind == "alarm"
    assert "emergency stop" in alarm.text


def test_the_self_test_offer_is_not_echoed():
    driver = reader()
    (notice,) = driver.receive(b"T", 1.0)
    assert notice.kind == "state"
    assert driver.to_send() == []


@pytest.mark.parametrize("seed", range(20))
def test_noise_between_answers_is_a_notice_and_costs_no_sample(seed):
    rng = random.Random(seed)

    def noisy(message):
        junk = bytes(rng.choice([*range(0xA0), *range(0xE0, 0x100)]) for _ in range(rng.randrange(1, 9)))
        return one_by_one(junk + message)

    said = answer(reader(), ROUND, rounds=5, pieces=noisy)
    samples = [item for item in said if isinstance(item, Readings)]
    assert len(samples) == 5
    assert samples[-1].values[0] == pytest.approx([3.218688, 12.0, 3.218688, 12.0, 1.0])
    assert any(item.kind == "noise" for item in said if isinstance(item, Notice))


def test_an_answer_that_breaks_off_does_not_spoil_the_next():
    assert cut(bytes.fromhex("D1 30 30 D1 30 30 32 30")) == -3
    assert cut(bytes.fromhex("D1 30 30 32")) == 0


@pytest.mark.parametrize("seed", range(5))
def test_bytes_of_any_kind_never_raise(seed):
    driver, rng = reader(), random.Random(seed)
    driver.start(0.0)
    for step in range(300):
        list(driver.receive(rng.randbytes(rng.randrange(40)), step * 0.01))
        driver.to_send()


def test_ten_minutes_of_walking_are_read_as_the_belt_moved():
    belt = Belt((0, 0, 0), (5, 0, 0), (8, 3.2, 10), (590, 3.2, 10), (593, 0, 10), (600, 0, 0))
    rows = []
    treadmill = Treadmill(Plan("trackmaster", belt, ledger=rows.append))
    said = converse(reader(), treadmill, 600.0)
    values = said.values("belt")
    assert 2300 <= len(values) <= 2400
    assert {notice.kind for notice in said.notices} == {"state"}
    instants = np.array([at for at, item in said if isinstance(item, Readings)])
    truth = belt.values("belt_speed", instants)
    assert np.abs(values[:, 0] - truth).max() < 0.05 * 1.609344 + 0.02
    assert np.abs(values[:, 1] - belt.values("belt_grade", instants)).max() < 0.1
    assert np.array_equal(values, np.array([row["values"] for row in rows[: len(values)]], dtype=float))
    assert len(rows) - len(values) <= 1


def test_the_driver_rides_out_a_garbled_minute():
    rng = random.Random(11)

    def tamper(message, at):
        return rng.randbytes(len(message)) if 20 < at < 80 and rng.random() < 0.2 else message

    said = converse(reader(), Treadmill(Plan("trackmaster", Belt((0, 3, 5)))), 120.0, tamper=tamper)
    assert any(notice.kind == "noise" for notice in said.notices)
    late = np.array([item.values[0] for at, item in said if isinstance(item, Readings) and at > 81])
    assert len(late) > 150
    assert np.ptp(late, axis=0).max() == 0


def test_the_emergency_stop_is_silence_and_then_a_standing_belt():
    treadmill = Treadmill(Plan("trackmaster", Belt((0, 3, 5)), Faults(emergency_stop=(10.0, 4.0), self_test=True)))
    said = converse(reader(), treadmill, 20.0)
    instants = [at for at, item in said if isinstance(item, Readings)]
    holes = [(a, b) for a, b in itertools.pairwise(instants) if b - a > 1]
    assert [(round(a), round(b)) for a, b in holes] == [(10, 14)]
    assert said.values("belt")[-1, [0, 4]].tolist() == [0.0, 0.0]
    assert any("switched on" in notice.text for notice in said.notices)
    assert b"T" not in said.written
    assert treadmill.speed == 0.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", ("$.device[0].options.unit", "missing", "'kmh' or 'mph'")),
        ('unit = "knots"', ("$.device[0].options.unit", "'knots'")),
        ('unit = "mph", interval = 0.01', ("$.device[0].options.interval", "0.01", "at least 0.2")),
    ],
)
def test_a_unit_must_be_configured(tmp_path, options, words):
    path = tmp_path / "bedside.toml"
    path.write_text(
        f'[[device]]\nname = "treadmill"\ndriver = "trackmaster"\nport = "/dev/null"\noptions = {{ {options} }}\n'
    )
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    for word in words:
        assert word in str(caught.value)


def test_nothing_but_five_status_requests_can_be_written():
    allowed = {bytes((code,)) for code in range(0xC0, 0xC5)}
    tried = [bytes((code,)) for code in range(256)] + [Frame.of(0xA3, 20).encode(), b"\xc0\xc1"]
    for message in tried:
        assert (message in allowed) == any(query.fullmatch(message) for query in Trackmaster.queries)


def test_a_round_that_is_given_up_counts_as_one_lost_sample_and_the_next_is_questionable():
    lost = iter(range(3))

    def deaf(message, at):
        return b"" if at > 3.0 and message[:1] == b"\xd0" and next(lost, None) is not None else message

    said = converse(reader(), Treadmill(Plan("trackmaster", Belt())), 8.0, tamper=deaf)
    readings = [reading for reading in said.readings if reading.stream == "belt"]
    (after,) = [n for n, reading in enumerate(readings) if reading.lost]
    assert readings[after].lost == 1
    assert np.all(readings[after].quality == Quality.QUESTIONABLE)
    assert np.all(readings[after + 1].quality == Quality.GOOD)
