"""SNUADC, pinned by the round trip of the published firmware's encoding."""

import random

import numpy as np
import pytest

from acquisition.driverkit.analog import Input, Signal
from acquisition.driverkit.driver import Setup
from acquisition.errors import ConfigurationError
from acquisition.model import Notice, Quality, Readings
from drivers.snuadc import Frames, SnuadcDriver, SnuadcOptions

# Channels 0..7 in counts, and the bytes of the frame.
VECTORS = [
    ([512, 102, 922, 1023, 0, 5, 300, 700], "80 66 40 1A 7F 7E 00 05 00 2C 3C 2A"),
]
VOLT = Signal("voltage", "V", 1.0, -5.0, 5.0)


def driver(terminals="01234567", signal=VOLT, **options):
    inputs = tuple(Input(t, f"in{t}", "site", True, "test", signal) for t in terminals)
    return SnuadcDriver(Setup("snuadc", SnuadcOptions(**options), inputs))


def heard(box, pieces):
    """Samples (n, inputs), the `lost` of each block of the first input, and the notices."""
    items = [item for piece in pieces for item in box.receive(piece, 0.0)]
    columns = [
        np.concatenate([i.values[:, 0] for i in items if isinstance(i, Readings) and i.stream == s.name] or [[]])
        for s in box.streams
    ]
    lost = [i.lost for i in items if isinstance(i, Readings) and i.stream == box.streams[0].name]
    return np.column_stack(columns), lost, [i for i in items if isinstance(i, Notice)]


def stream(n, seed=1):
    counts = np.random.default_rng(seed).integers(0, 1024, (n, 8)).astype(np.uint16)
    return counts, Frames(counts, np.zeros((n, 2), bool)).encode()


@pytest.mark.parametrize(("counts", "text"), VECTORS)
def test_frames_of_the_firmware_both_ways(counts, text):
    raw = bytes.fromhex(text)
    assert Frames(np.array([counts], np.uint16), np.zeros((1, 2), bool)).encode() == raw
    for pieces in ([raw], [raw[i : i + 1] for i in range(12)], [raw[:5], raw[5:]]):
        values, _, notices = heard(driver(), pieces)
        assert values.tolist() == [[(c - 512) / 102.4 for c in counts]]
        assert not notices


def test_the_calibration_points():
    frames = Frames(np.array([[102, 922]], np.uint16).repeat(4, axis=1), np.zeros((1, 2), bool))
    assert frames.volts[0, 0] == pytest.approx(-4.0, abs=0.005)
    assert frames.volts[0, -1] == pytest.approx(4.0, abs=0.005)


def test_any_chopping_gives_the_same_samples():
    counts, raw = stream(500)
    rng = random.Random(3)
    cuts = sorted(rng.sample(range(1, len(raw)), 300))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    values, lost, notices = heard(driver(), pieces)
    assert np.array_equal(values, (counts.astype(float) - 512) / 102.4)
    assert not any(lost)
    assert not notices


def test_damage_costs_its_own_frames_and_says_how_many():
    counts, raw = stream(100)
    # Ten bytes vanish from frame 40, three strays follow frame 70.
    damaged = raw[: 40 * 12 + 1] + raw[40 * 12 + 11 : 71 * 12] + b"\x01\x02\x03" + raw[71 * 12 :]
    values, lost, notices = heard(driver(), [damaged])
    assert np.array_equal(values, np.delete((counts.astype(float) - 512) / 102.4, 40, axis=0))
    assert lost == [0, 1, 1]
    assert [n.details["bytes"] for n in notices if n.kind == "noise"] == [5]


def test_a_frame_is_found_from_the_middle_of_the_stream():
    counts, raw = stream(3)
    values, _, notices = heard(driver(), [raw[5:]])
    assert np.array_equal(values, (counts[1:].astype(float) - 512) / 102.4)
    assert notices[0].details["bytes"] == 7


def test_event_buttons_are_told_once_when_pressed():
    counts = np.full((6, 8), 512, np.uint16)
    buttons = np.zeros((6, 2), bool)
    buttons[2:4, 1] = True
    raw = Frames(counts, buttons).encode()
    for size in (12, 24, 72):
        _, _, notices = heard(driver(), [raw[i : i + size] for i in range(0, 72, size)])
        assert [n.details for n in notices] == [{"button": 2}]


def test_a_companions_sentinel_condemns_its_neighbour():
    from acquisition.driverkit.analog import Sentinel

    flux = Signal("flux", "[arb'U]", 0.001, -100, 5000, companion="backscatter")
    light = Signal("backscatter", "%", 0.05, 0, 100, sentinels=(Sentinel(-2.5, 0.1, "low backscatter"),))
    inputs = (Input("0", "flux", "p", True, "", flux), Input("3", "backscatter", "p", True, "", light))
    box = SnuadcDriver(Setup("snuadc", SnuadcOptions(), inputs))
    counts = np.full((2, 8), 512, np.uint16)
    counts[1, 3] = 256  # -2.5 V
    items = list(box.receive(Frames(counts, np.zeros((2, 2), bool)).encode(), 0.0))
    flux_block = items[0]
    assert flux_block.quality[:, 0].tolist() == [0, Quality.INVALID]
    assert np.isnan(flux_block.values[1, 0])


def test_noise_never_raises_and_nothing_piles_up():
    rng = np.random.default_rng(5)
    box = driver()
    for _ in range(200):
        list(box.receive(rng.integers(0, 256, 1000, dtype=np.uint8).tobytes(), 0.0))
        assert len(box._rest) < 12


def test_the_rate_is_the_only_thing_written():
    box = driver(rate=500)
    box.start(0.0)
    assert box.to_send() == [b"sr500\r"]
    assert any(q.fullmatch(b"sr500\r") for q in box.queries)
    assert not any(q.fullmatch(m) for q in box.queries for m in (b"cp\r", b"sr0\r", b"sr1001\r", b"sr500"))


def test_an_input_that_does_not_exist_is_named():
    with pytest.raises(ConfigurationError, match=r"channel\[1\].input.*'8'"):
        driver("08")
    with pytest.raises(ConfigurationError, match="no input"):
        driver("")
