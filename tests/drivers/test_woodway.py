"""The Woodway driver against the transcript of an independent host, noise, and a walk."""

import random

import numpy as np
import pytest

from acquisition.driverkit.driver import Setup
from acquisition.model import Notice, Quality, Readings
from drivers.trackmaster import Options as TrackmasterOptions
from drivers.trackmaster import Trackmaster as TrackmasterDriver
from drivers.woodway import GRADE_TO, MPH, SPEED_TO, Frame, Options, Woodway, cut
from simulators.simkit.conversation import converse
from simulators.simkit.instrument import Plan
from simulators.trackmaster import Trackmaster
from simulators.woodway import Options as Habits
from simulators.woodway import Woodway as Treadmill
from tests.treadmill.belt import Belt, one_by_one, randomly

# PyPI `pywoodway` 0.2.4 against a recorder of bytes: +2.0 mph, -2.0 mph, 12.0 %.
FORWARD, BACKWARD, UPWARD = "A3 30 30 32 30", "A3 33 30 32 30", "A4 30 31 32 30"
ROUND = {0xC0: "D0 00", 0xC1: "D1 30 30 32 30", 0xC2: "D2 30 31 32 30", 0xC3: "D3 00 01 02 03"}


def reader(**options):
    return Woodway(Setup("woodway", Options(**options)))


def answer(driver, replies, rounds=1, pieces=lambda message: [message]):
    said, at = [], 0.0
    driver.start(at)
    for _ in range(rounds):
        while requests := driver.to_send():
            at += 0.01
            for piece in pieces(bytes.fromhex(replies[requests[0][0]])):
                said += driver.receive(piece, at)
        at = driver.deadline()
        driver.poll(at)
    return said


@pytest.mark.parametrize(("frame", "wire"), [
    (Frame.speed(SPEED_TO, 2.0), FORWARD),
    (Frame.speed(SPEED_TO, -2.0), BACKWARD),
    (Frame.grade(GRADE_TO, 12.0), UPWARD),
])  # fmt: skip
def test_frames_are_those_of_the_transcript(frame, wire):
    assert frame.encode() == bytes.fromhex(wire)
    assert Frame.decode(bytes.fromhex(wire)) == frame


@pytest.mark.parametrize(
    "pieces", [lambda m: [m], one_by_one, randomly(random.Random(2))], ids=["whole", "bytes", "cut"]
)
def test_a_round_is_a_sample(pieces):
    revision, state, sample = answer(reader(), ROUND, pieces=pieces)
    assert revision.details == {"revision": 0x010203}
    assert state.details == {"state": 0}
    assert sample.values[0] == pytest.approx([2 * MPH, 12.0, 1.0])
    assert not sample.quality.any()


@pytest.mark.parametrize(
    ("digits", "speed", "running"),
    [("33 30 32 30", -2 * MPH, 1.0), ("33 30 30 30", 0.0, 0.0), ("30 30 30 30", 0.0, 0.0)],
)
def test_the_first_digit_is_a_sign_and_zero_has_either(digits, speed, running):
    *_, sample = answer(reader(), {**ROUND, 0xC1: "D1 " + digits})
    assert sample.values[0, [0, 2]].tolist() == pytest.approx([speed, running])
    assert not np.signbit(sample.values[0, 0]) or speed < 0


def test_another_sign_is_no_speed():
    *_, sample = answer(reader(), {**ROUND, 0xC1: "D1 31 30 32 30"})
    assert np.isnan(sample.values[0, [0, 2]]).all()
    assert sample.quality[0].tolist() == [Quality.INVALID, 0, Quality.INVALID]


def test_a_trackmaster_is_recognised_and_not_recorded():
    said = answer(reader(), {**ROUND, 0xC3: "D3 30 30 32 30"}, rounds=3)
    assert not [item for item in said if isinstance(item, Readings)]
    assert "Trackmaster" in next(item.text for item in said if item.kind == "alarm")


def test_neither_dialect_records_the_other():
    belt = Belt((0, 3.2, 5))
    said = converse(reader(), Trackmaster(Plan("trackmaster", belt)), 20.0)
    assert not said.readings
    assert any("Trackmaster" in notice.text for notice in said.notices if notice.kind == "alarm")
    driver = TrackmasterDriver(Setup("trackmaster", TrackmasterOptions(unit="mph")))
    said = converse(driver, Treadmill(Plan("woodway", belt)), 20.0)
    assert not said.readings
    assert any(notice.kind == "noise" for notice in said.notices)


def test_a_revision_may_look_like_codes():
    revision, *_ = answer(reader(), {**ROUND, 0xC3: "D3 C1 D1 BE A0"}, pieces=one_by_one)
    assert revision.details == {"revision": 0xC1D1BEA0}
    assert cut(bytes.fromhex("D1 30 30 D1")) == -3


def test_unanswered_speeds_are_lost_samples_and_refusals_are_said_once():
    driver = reader()
    driver.start(0.0)
    for code in (0xC3, 0xC0, 0xC2):
        assert driver.to_send() == [bytes((code,))]
        list(driver.receive(bytes.fromhex(ROUND[code]), 0.01))
    driver.poll(driver.deadline())
    *_, sample = driver.receive(bytes.fromhex(ROUND[0xC1]), 0.3)
    assert sample.lost == 1
    said = answer(reader(), {**ROUND, 0xC2: "BF"}, rounds=5)
    assert [item.text for item in said if isinstance(item, Notice) and item.kind == "warning"] == [
        "the treadmill refuses the request C2: invalid command"
    ]
    assert np.isnan(said[-1].values[0, 1])


def test_the_missed_host_is_an_alarm():
    (alarm,) = reader().receive(b"\xbd", 0.0)
    assert alarm.kind == "alarm"


def test_only_four_requests_can_be_written():
    for code in range(256):
        assert any(q.fullmatch(bytes((code,))) for q in Woodway.queries) == (0xC0 <= code <= 0xC3)


@pytest.mark.parametrize("negative_zero", [True, False])
def test_ten_minutes_of_walking_are_read_as_the_belt_moved(negative_zero):
    belt = Belt((0, 0, 0), (5, 0, 0), (8, 3.2, 10), (590, 3.2, 10), (593, 0, 10), (600, 0, 0))
    rows = []
    treadmill = Treadmill(Plan("woodway", belt, Habits(negative_zero=negative_zero), ledger=rows.append))
    said = converse(reader(), treadmill, 600.0)
    values = said.values("belt")
    assert len(values) > 2300
    instants = np.array([at for at, item in said if isinstance(item, Readings)])
    assert np.abs(values[:, 0] - belt.values("belt_speed", instants)).max() < 0.05 * MPH + 0.02
    assert np.array_equal(values, np.array([row["values"] for row in rows[: len(values)]], dtype=float))
    assert set(said.written) == {b"\xc0", b"\xc1", b"\xc2", b"\xc3"}


@pytest.mark.parametrize("seed", range(5))
def test_bytes_of_any_kind_never_raise(seed):
    driver, rng = reader(), random.Random(seed)
    driver.start(0.0)
    for step in range(300):
        list(driver.receive(rng.randbytes(rng.randrange(40)), step * 0.01))
        driver.to_send()
