"""Answers as a byte stream: cut anywhere, or noise."""

import random

import numpy as np
import pytest

from acquisition.model import Notice, Readings
from tests.digitiser import driver, inputs
from tests.drivers.keysight_daq.said import INVALID, RANGE

ANSWERS = {
    b"*IDN?\n": b"Keysight Technologies,DAQ970A,MY58001234,A.02.02-01.00\n",
    b"*ESE?\n": b"+0\n",
    b"ROUT:SCAN?\n": b"#210(@101,102)\n",
    b"SYST:CTYP? 100\n": b"Keysight Technologies,DAQM900A,MY58005678,01.00\n",
    b"SENS:VOLT:DC:NPLC? (@101,102)\n": b"+2.00000000E-01,+2.00000000E-01\n",
    b"SYST:ERR?\n": b'+0,"No error"\n',
    b"SYST:TIME:SCAN?\n": b"2026,07,14,10,23,45.123\n",
}
FETCHED = [
    b"#10\n",
    b"#265+4.75000000E-01,00000000.000,101,+2.50000000E+00,00000000.006,102\n",
    b"#3131+4.76000000E-01,00000000.050,101,+9.91000000E+37,00000000.056,102,"
    b"+9.90000000E+37,00000000.100,101,-2.50000000E+00,00000000.106,102\n",
]


def play(cut):
    """Everything that the driver yields when each answer arrives cut by `cut`."""
    host = driver(wired=inputs()[:2])
    fetched = list(FETCHED)
    heard, at = [], 0.0
    host.start(at)
    while True:
        for message in host.to_send():
            if b"?" not in message:
                continue
            if message.startswith(b"R?"):
                if not fetched:
                    return heard
                answer = fetched.pop(0)
            else:
                answer = ANSWERS[message]
            for piece in cut(answer):
                heard.extend(host.receive(piece, at))
        if host.deadline() is not None:
            at = host.deadline()
            host.poll(at)


def plain(items):
    """Comparable: NaN as text."""
    return [
        (i.stream, repr(i.values.tolist()), i.quality.tolist(), i.device_time.tolist(), i.lost, i.base, i.fresh)
        if isinstance(i, Readings)
        else (i.kind, i.text)
        for i in items
    ]


def test_answers_mean_the_same_however_they_are_cut():
    whole = play(lambda answer: [answer])
    assert plain(whole) == plain(play(lambda answer: [answer[i : i + 1] for i in range(len(answer))]))
    for seed in range(20):
        rng = random.Random(seed)

        def randomly(answer, rng=rng):
            cuts = sorted(rng.randrange(len(answer) + 1) for _ in range(3))
            return [answer[a:b] for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True)]

        assert plain(whole) == plain(play(randomly))
    flux = [r for r in whole if isinstance(r, Readings) and r.stream == "flux"]
    light = [r for r in whole if isinstance(r, Readings) and r.stream == "backscatter"]
    assert np.concatenate([r.values for r in flux])[:, 0] == pytest.approx([475.0, 476.0, np.nan], nan_ok=True)
    assert np.concatenate([r.quality for r in flux])[:, 0].tolist() == [0, 0, INVALID | RANGE]
    assert np.concatenate([r.values for r in light])[:, 0] == pytest.approx([50.0, np.nan, np.nan], nan_ok=True)
    assert np.concatenate([r.quality for r in light])[:, 0].tolist() == [0, INVALID, INVALID]
    assert [r.device_time.tolist() for r in flux] == [[0.0], [0.05, 0.1]]
    assert flux[0].base.token == "MY58001234 2026-07-14T10:23:45.123000"
    assert "alarm" in {i.kind for i in whole if isinstance(i, Notice)}


@pytest.mark.parametrize("seed", range(20))
def test_noise_raises_nothing(seed):
    rng = random.Random(seed)
    host = driver()
    host.start(0.0)
    at = 0.0
    for _ in range(300):
        at += 0.1
        host.poll(at)
        host.to_send()
        shapes = [
            rng.randbytes(rng.randrange(1, 60)),
            b"#10\n",
            b"#3",
            b"\n",
            b"+1\n",
            b"#15+1,2\n\n",
            rng.randbytes(5) + b"\n",
        ]
        for item in host.receive(rng.choice(shapes), at):
            assert isinstance(item, Notice)
