"""DI-1100, pinned by the voltages of the manufacturer's examples."""

import random

import numpy as np
import pytest

from acquisition.driverkit.analog import Input, Signal
from acquisition.driverkit.driver import Setup
from acquisition.model import Readings
from drivers.di1100 import Di1100Driver, Di1100Options, Scans

# Volts of the second item of a scan, whose low bits are not masked, and its bytes.
VECTORS = [(1.0, "CD 0C"), (-2.5, "00 E0"), (5.0, "00 40"), (-5.0, "00 C0")]
VOLT = Signal("voltage", "V", 1.0, -10.0, 10.0)
SETUP = [b"stop\r", b"encode 0\r", b"ps 0\r", b"slist 0 0\r", b"slist 1 2\r", b"srate 60000\r", b"start\r"]


def driver(terminals="02", **options):
    inputs = tuple(Input(t, f"in{t}", "site", True, "test", VOLT) for t in terminals)
    return Di1100Driver(Setup("di1100", Di1100Options(**options), inputs))


def set_up(box, echo_of_start=b""):
    box.start(0.0)
    written = box.to_send()
    while written[-1] != b"start\r":
        assert list(box.receive(written[-1], 0.0)) == []
        written += box.to_send()
    if echo_of_start:
        assert list(box.receive(echo_of_start, 0.0)) == []
    return written


def values(box, pieces):
    items = [item for piece in pieces for item in box.receive(piece, 0.0)]
    assert all(isinstance(item, Readings) for item in items)
    return np.column_stack(
        [np.concatenate([i.values[:, 0] for i in items if i.stream == s.name] or [[]]) for s in box.streams]
    )


@pytest.mark.parametrize(("volts", "text"), VECTORS)
def test_voltages_of_the_examples(volts, text):
    raw = bytes.fromhex("00 00" + text)
    assert Scans.decode(raw, 2).volts[0, 1] == pytest.approx(volts, abs=10 / 32768)
    assert Scans.decode(raw, 2).encode() == raw
    box = driver()
    set_up(box)
    assert values(box, [raw])[0, 1] == pytest.approx(volts, abs=10 / 32768)


def test_the_first_item_carries_digital_inputs_that_are_no_voltage():
    with_bits = np.array([[0x0CCC | 3, 0x0CCF]], np.int16)
    volts = Scans(with_bits).volts
    assert volts[0, 0] == 0x0CCC * 10 / 32768
    assert volts[0, 1] == 0x0CCF * 10 / 32768
    assert Scans(np.array([[-1]], np.int16)).volts[0, 0] == -4 * 10 / 32768


def test_the_set_up_waits_for_each_echo():
    box = driver()
    assert set_up(box) == SETUP
    assert all(any(q.fullmatch(m) for q in box.queries) for m in SETUP)
    assert box.deadline() is None


def test_a_scan_that_still_runs_is_stopped_first():
    box = driver()
    box.start(0.0)
    box.to_send()
    rest = np.random.default_rng(1).integers(0, 256, 4096, dtype=np.uint8).tobytes()
    assert list(box.receive(rest + b"sto", 0.0)) == []
    assert list(box.receive(b"p\r", 0.0)) == []
    assert box.to_send() == [b"encode 0\r"]


def test_a_missing_echo_begins_the_set_up_again():
    box = driver()
    box.start(0.0)
    box.to_send()
    list(box.receive(b"stop\r", 0.0))
    assert box.to_send() == [b"encode 0\r"]
    assert box.deadline() == 1.0
    box.poll(1.0)
    assert box.to_send() == [b"stop\r"]


@pytest.mark.parametrize("echo", [b"", b"start\r"])
@pytest.mark.parametrize("size", [1, 3, 7, 4000])
def test_any_chopping_gives_the_same_samples(echo, size):
    counts = np.random.default_rng(2).integers(-32768, 32768, (1000, 2)).astype(np.int16)
    counts[:, 0] &= ~3
    raw = echo + Scans(counts).encode()
    box = driver()
    set_up(box)
    got = values(box, [raw[i : i + size] for i in range(0, len(raw), size)])
    assert np.array_equal(got, counts * (10 / 32768))


def test_random_cuts_keep_scans_whole():
    counts = np.arange(4000, dtype=np.int16).reshape(-1, 2) * 4
    raw = Scans(counts).encode()
    cuts = sorted(random.Random(4).sample(range(1, len(raw)), 500))
    box = driver()
    set_up(box, b"start\r")
    got = values(box, [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)])
    assert np.array_equal(got, counts * (10 / 32768))
