"""Replay: what it compares, and what it says of tapes that cannot be played."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from acquisition.device.replay import Rows, compare, doubted, play, read_expected, tapes, write_expected
from acquisition.device.tape import Label, Piece, TapeWriter
from acquisition.driverkit.driver import Order, Setup
from acquisition.errors import PerfusionError
from acquisition.model import Instant, Readings
from drivers.trackmaster import Options, Trackmaster
from simulators.simkit.conversation import converse
from simulators.simkit.instrument import Plan
from simulators.trackmaster import Trackmaster as Treadmill
from tests.treadmill.belt import Belt, Directed

LIMITS = {"unit_check": 3.2, "max_speed": 5.0, "max_grade": 20.0, "max_step": 1.0}


def rows(*values, quality=0):
    table = np.array(values, dtype=float).reshape(-1, 2)
    return Rows(table, np.full(table.shape, quality, np.uint8), np.arange(len(table)))


ONE = rows(1.0, np.nan, 3.0, 4.0)


def test_equal_rows_do_not_differ_and_nan_is_nan():
    verdict = compare(ONE, rows(1.0, np.nan, 3.0, 4.0))
    assert (verdict.samples, verdict.differ) == (2, 0)


@pytest.mark.parametrize("other", [
    rows(1.0, 2.0, 3.0, 4.0), rows(1.0, np.nan, 3.0, np.nextafter(4.0, 5.0)), rows(1.0, np.nan),
    rows(1.0, np.nan, 3.0, 4.0, 5.0, 6.0), rows(1.0, np.nan, -3.0, 4.0),
])  # fmt: skip
def test_one_value_one_bit_or_one_row_differs(other):
    assert compare(ONE, other).differ == 1
    assert compare(other, ONE).differ == 1


def test_a_flag_differs():
    assert compare(ONE, rows(1.0, np.nan, 3.0, 4.0, quality=4)).differ == 2


def test_doubt_of_a_rate_that_no_driver_knows_of_is_no_difference():
    table = rows(1.0, np.nan, 3.0, 4.0)
    table.quality[1] = 4
    assert compare(ONE, table, doubted=True).differ == 0
    assert compare(ONE, table).differ == 1
    assert compare(table, ONE, doubted=True).differ == 1
    assert compare(ONE, rows(1.0, np.nan, 3.0, 4.0, quality=5), doubted=True).differ == 2


def test_doubt_of_a_rate_stands_in_the_record_by_stream():
    class Record:
        def events(self, kind, device):
            assert (kind, device) == ("warning", "ldf")
            details = {}, {"configured_hz": 10.0, "streams": ["flux", "cuff"]}
            return [SimpleNamespace(body={"details": each}) for each in details]

    label = Label("ldf", "snuadc", 1, 1)
    assert doubted(Record(), label, "flux")
    assert not doubted(Record(), label, "skin")


def test_what_a_cut_tape_has_beyond_the_record_is_no_difference():
    verdict = compare(ONE, rows(1.0, np.nan), ended=False)
    assert (verdict.samples, verdict.differ, verdict.not_stored) == (2, 0, 1)
    assert compare(rows(1.0, np.nan), ONE, ended=False).differ == 1


def test_expected_samples_come_back_bit_by_bit(tmp_path):
    kept = {"belt": rows(0.1 + 0.2, np.nan, 1e-300, -0.0), "console": rows(1 / 3, 2.0, quality=4)}
    write_expected(tmp_path / "expected.csv", kept)
    read = read_expected(tmp_path / "expected.csv")
    assert list(read) == ["belt", "console"]
    assert all(compare(kept[stream], read[stream]).differ == 0 for stream in kept)


class Taped(Directed):
    """A directed driver whose every step is written to a tape, as a connection does."""

    def __init__(self, driver, script, folder, label):
        super().__init__(driver, script)
        self.tape = TapeWriter(folder, label)

    def _note(self, step, at, data=b""):
        self.tape.add(Piece(step, instant(at), data))

    def start(self, at):
        self._note("start", at)
        super().start(at)

    def poll(self, at):
        due = self.driver.deadline()
        if due is not None and due <= at:
            self._note("poll", at)
        super().poll(at)

    def receive(self, data, at):
        self._note("read", at, data)
        yield from super().receive(data, at)

    def stop(self, at):
        self._note("stop", at)
        super().stop(at)

    def to_send(self):
        messages = super().to_send()
        for message in messages:
            self._note("wrote", self.at, message)
        return messages

    def _give(self, order, at):
        self.tape.add(Piece.order(order, instant(at)))
        super()._give(order, at)


def instant(at):
    return Instant(round(at * 1e9), 0)


def test_a_walk_with_its_orders_is_walked_again(tmp_path):
    setup = Setup("trackmaster", Options(unit="mph", **LIMITS), control=True)
    script = [
        (2.0, Order("prepare", by="technician")), (3.0, Order("confirm")), (6.0, Order("confirm", by="technician")),
        (6.5, Order("speed", 3.2)), (20.0, Order("stop")),
    ]  # fmt: skip
    host = Taped(Trackmaster(setup), script, tmp_path, Label.of("belt", 1, 1, setup))
    said = converse(host, Treadmill(Plan("trackmaster", Belt())), 40.0)
    host.tape.close(instant(40.0))
    (tape,) = tapes(tmp_path)
    played = play(tape)
    heard = np.concatenate([item.values for _, item in said if isinstance(item, Readings)])
    assert len(host.refusals) == 1
    assert heard[:, 0].max() > 3.0
    assert np.array_equal(played.rows["belt"].values, heard, equal_nan=True)
    assert (played.asked_differently, played.ended) == (0, True)
    assert played.asked == len(said.written)


def test_a_tape_without_its_beginning_or_its_driver_is_refused_in_words(tmp_path):
    label = Label("box", "abacus", 1, 1, {})
    TapeWriter(tmp_path / "a", label).close(instant(1.0))
    with pytest.raises(PerfusionError, match="'abacus', which is not installed"):
        play(tapes(tmp_path / "a")[0])
    TapeWriter(tmp_path / "b", dataclasses.replace(label, part=3)).close(instant(1.0))
    with pytest.raises(PerfusionError, match="lost its beginning"):
        play(tapes(tmp_path / "b")[0])
    with pytest.raises(PerfusionError, match="there is no tape"):
        tapes(tmp_path)
