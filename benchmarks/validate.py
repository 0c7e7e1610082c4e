"""Every index against a truth that is known, and on real recordings; writes docs/validation.md.

`python -m benchmarks.validate [PARTICIPANTS]`: simulated participants per class, 200 without a number (25 minutes).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from itertools import chain, repeat
from pathlib import Path

import numpy as np

from acquisition.signals.hyperaemia import Settings
from acquisition.signals.kit.bands import STEFANOVSKA
from acquisition.signals.occlusion import Occlusion
from acquisition.signals.porh import porh
from acquisition.signals.wavelet import TONE_ENERGY, Plan, Voices
from benchmarks import participants, recorded, whole_way
from benchmarks.rows import Row, rounded, section, value
from tests import recordings
from tests.signals.curves import Hyperaemia
from tests.signals.waves import plain_powers, six_tones

PAGE = Path(__file__).parent.parent / "docs" / "validation.md"
PICTURES = PAGE.parent / "validation"
PARTICIPANTS = 200
WHOLE_WAY = 5
"""Participants of a class whose signals go through the whole service."""
OfAClass = Callable[[str, int], list[Row]]


def main(n: int = PARTICIPANTS) -> None:
    """Write the page and its pictures."""
    PICTURES.mkdir(exist_ok=True)
    with ProcessPoolExecutor() as pool:
        simulated = list(_simulated(pool, n))
    parts = [
        section("Curves with known levels, times and areas", _CURVES, curves()),
        section("The transform", _TRANSFORM, transform()),
        *simulated,
        section(
            "Participants through the whole service", _WHOLE_WAY.format(n=WHOLE_WAY), whole_way.participants(WHOLE_WAY)
        ),
        *_real(),
    ]
    PAGE.write_text("\n".join([_HEAD, *parts]), "utf-8")
    print(f"wrote {PAGE}", file=sys.stderr)


def _simulated(pool: Executor, n: int) -> Iterator[str]:
    def every(of_a_class: OfAClass) -> Callable[[], list[Row]]:
        rows = pool.map(of_a_class, participants.KINDS, repeat(n))
        return lambda: list(chain.from_iterable(rows))

    # All are begun before the first is waited for.
    begun = [
        (title, text, every(of_a_class))
        for title, text, of_a_class in (
            ("Simulated reactive hyperaemia", _PORH, participants.hyperaemias),
            ("A cuff that leaks, and flow that is absent", _CUFFS, participants.cuffs),
            ("Simulated heating", _HEATING, participants.heatings),
            ("Simulated flowmotion", _FLOWMOTION, participants.rhythms),
            ("Simulated TcPO2 at rest", _TCPO2, participants.oxygen),
            ("An electrode that never settles", _FALLS, participants.falls),
            ("Simulated walks", _WALK, participants.walks),
        )
    ]
    for title, text, rows in begun:
        yield section(title, text.format(n=n), rows())


def _real() -> Iterator[str]:
    try:
        yield section("A real forearm at rest", _FOREARM, recorded.forearm(PICTURES))
        yield section("Spikes of the forearm", _SPIKES, recorded.spikes())
        yield section("Real fingers under local pressure", _FINGERS, recorded.fingers(PICTURES))
        yield recorded.pictures_of([f"finger_{name}" for name in recordings.FINGERS]) + "\n"
    except FileNotFoundError:
        yield section("Real recordings", "Not available where this page was written.", [])


def curves() -> list[Row]:
    """Largest relative error of the indices of two noise-free curves, at 40 Hz and without smoothing."""
    rows = []
    for name, c in (("healthy", Hyperaemia()), ("diabetic", Hyperaemia(12, 4.5, 45, 22, 9, 45, 1.2, 1))):
        found = porh(c.trace(), Occlusion(c.on, c.off), Settings(smoothing=0.0))
        truth = {
            "peak_flow": c.peak, "time_to_peak": c.to_peak, "latency": c.reaches(c.rest),
            "half_rise": c.reaches(0.5 * (c.rest + c.peak)), "half_recovery": c.falls_to(0.5),
            "occlusion_area": c.debt(), "auc_60": c.area(60), "auc_180": c.area(180),
        }  # fmt: skip
        for index, true in truth.items():
            rows.append({"curve": name, "index": index, "truth": rounded(true), "found": value(found[index])})
    return rows


def transform() -> list[Row]:
    """A tone against its formula, and the six tones with noise against the transform at full rate."""
    t = np.arange(0, 1200, 0.1)
    wide = Plan(len(t), 10.0, Voices(0.02, 0.5), cone=8.6)
    energy = np.sum(wide.powers(np.cos(2 * np.pi * 0.1 * t)).mean[0] * np.log(2) / 16)
    x = six_tones()
    x -= x.mean()
    six = Voices(STEFANOVSKA.low, STEFANOVSKA.high)
    expected = plain_powers(x, 40.0, six.frequencies)
    rows = [{"what": "energy of a tone of amplitude 1", "expected": TONE_ENERGY, "found": f"{energy:.9f}"}]
    for direct in (False, True):
        found = Plan(len(x), 40.0, six, direct=direct).powers(x).mean[0]
        worst = np.abs(found / expected - 1).max()
        word = "direct" if direct else "from the spectrum and the ends"
        rows.append({"what": f"worst of 139 voices, one hour at 40 Hz, {word}", "expected": 0, "found": f"{worst:.0e}"})
    return rows


_HEAD = """# Validation of the indices

Written by `make validate`. *Truth* is what a formula or a simulated participant was made of, before noise, slow waves,
pulse, the instrument's time constant and its resolution; *found* is mean ± standard deviation over participants of
what the indices make of the signals; *bias* is the mean of found - truth, *spread of the error* its standard deviation.
Simulated participants show that an index measures what it says; they do not show what it is worth in patients.
"""
_CURVES = "Noise-free, 40 samples/s, no smoothing: what is left is the sampling."
_TRANSFORM = """\
The analytic Morlet transform (w0 = 2 pi) against its formula, and six tones with pink noise against the transform of
the whole record at full rate. Other people's programs are compared in `docs/performance.md` and in the tests."""
_PORH = """\
{n} participants a class, cuff from 180 to 360 s. The maximum of a noisy curve lies above the curve and slow waves add
to it, so peaks are mostly found too high, most where the rise is small. A time at which flux first falls through a
level is found too early for the same reason, most where the fall is slow. Neither is corrected by default: 3 s is what
published values are made with. A longer `smoothing` in a protocol's settings (here 10 s, in arterial disease 30 s)
takes much of both biases away, as the rows with it show. It stands with every result, so that results of different
ones are not taken for each other, and it times the peak later. A fit of the whole curve would come nearer still, but
only because these participants are made of that curve. Critical ischaemia has no hyperaemia to find: its times have no
value, its peak is the height of a wave."""
_CUFFS = """\
{n} participants a class. Where rest shows a pulse, a pulse that goes on under the cuff is a leaking cuff, and one that
vanishes means that there was no flow to stop; without a pulse at rest only a recorded pressure decides, else it is
indeterminate. *complete* means that the flux did fall, so that the question does not arise. *Hardly any flow* is a
twentieth of the class's own, pulse and all, on its biological zero."""
_HEATING = """\
{n} participants a class; 42 Cel at 10 min, 44 Cel at 40 min, off at 55 min. Peaks are found too high and nadirs
too low, as extremes of a curve with slow waves are."""
_FLOWMOTION = """\
{n} participants a class. Each rhythm wanders in frequency and amplitude, so part of its energy leaves its band, and
pink noise and the second harmonic of the pulse add some."""
_TCPO2 = "{n} participants a class; the electrode is put on at the beginning and settles with a time constant of 205 s."
_FALLS = """\
{n} participants a class, judged every 10 s until minute 40. A fall that is called stable even once counts against the
detector, whose promise is 5 per cent."""
_WALK = """\
{n} participants a class, 3.2 km/h and 10 per cent. The distance of those who did not stop for pain is the belt's, and
their absolute distance is censored there, as the initial one is of those without pain. The least DROP of a noisy curve
lies below the curve; the electrode's own lag lifts that of a short walk."""
_WHOLE_WAY = """\
{n} participants a class, from the simulated instrument over its link (HiSLIP, pseudo-terminals), its driver and the
daemon into the record, 25 to 120 times as fast as in life, each examined as its protocol says. The energies are of flux
on its biological zero, and truth knows what the monitor's time constant of 0.2 s leaves of each rhythm."""
_FOREARM = """\
35 min, about 15.15 samples/s, unit not stated (Hultman, MIT licence). A spike of half a second is longer than a quarter
period of the two fast bands, hence what stands against them. The column of spikes compares the energy without the
artefact step to that with it.

![forearm as recorded](validation/forearm.svg)
![forearm with spikes replaced](validation/forearm_clean.svg)"""
_SPIKES = "The two forms of the artefact step (20 s, 5 scaled MAD)."
_FINGERS = """\
Finger dorsum under local pressure, 2 samples/s (Lavigne et al., CC0). No release was marked: it is inferred from the
flux, so nothing that it would time has a value. The whole published series has a ratio of 3.4 ± 1.6. Seconds
are the recording's own; each picture shows its windows, and the peak of the 3 s mean as a dot."""


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
