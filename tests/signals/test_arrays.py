"""Arrays of every kind at the door of the indices: masks, codes of overload, dates, keys, and what is no number."""

import datetime

import numpy as np
import pytest

from acquisition.model import Quality
from acquisition.signals.artefacts import hampel
from acquisition.signals.flowmotion import band_powers
from acquisition.signals.hyperaemia import measure
from acquisition.signals.kit.smoothing import exponential_mean, moving_mean
from acquisition.signals.kit.units import conductance, fluctuation, percent_of_maximum
from acquisition.signals.result import Trace

SECONDS = [0.0, 1.0, 2.0]
ENTRIES = {
    "trace": lambda v: Trace.of(SECONDS, v), "mean": lambda v: moving_mean(v, 3),
    "exponential": lambda v: exponential_mean(v, 1.0, 1.0), "hampel": lambda v: hampel(v, 1.0),
    "bands": lambda v: band_powers(v, 1.0), "measure": lambda v: measure(v, 1.0, 0.0, 1.0, 2.0),
    "conductance": lambda v: conductance(v, 90.0), "u": fluctuation, "share": lambda v: percent_of_maximum(v, 9.0),
}  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([1 + 2j, 2, 3]), "complex numbers"), ([1.0, None, 3.0], "objects"), (["1", "2", "3"], "texts"),
        (np.array([1, 2, 3], "datetime64[s]"), "dates"), ([datetime.date(2026, 1, 1)] * 3, "objects"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused_in_words(entry, values, words):
    with pytest.raises(TypeError, match=f"{words} .* real numbers are meant"):
        ENTRIES[entry](values)


def test_a_masked_value_is_no_data():
    masked = np.ma.array([1.0, 999.0, 3.0], mask=[0, 1, 0])
    assert Trace.of(SECONDS, masked).valid.tolist() == [True, False, True]
    assert moving_mean(masked, 3).tolist() == [1.0, 2.0, 3.0]
    assert np.isnan(conductance(masked, 90.0)).tolist() == [False, True, False]
    assert Trace.of(SECONDS, np.ma.array([1, 2, 3], mask=[1, 0, 0])).valid.tolist() == [False, True, True]


def test_a_masked_flag_makes_a_value_invalid():
    trace = Trace.of(SECONDS, SECONDS, np.ma.array([0, 0, 4], mask=[0, 1, 0]))
    assert trace.quality.tolist() == [0, Quality.INVALID, Quality.QUESTIONABLE]


@pytest.mark.parametrize("code", [9.9e37, -9.9e37, 9.91e37, 1e40, np.inf])
def test_a_code_of_overload_is_no_data(code):
    for trace in (Trace.of(SECONDS, [1.0, code, 3.0]),
                  Trace.of_record(np.arange(3), np.array([1.0, code, 3.0]), np.zeros(3, np.uint8), 0)):  # fmt: skip
        assert trace.valid.tolist() == [True, False, True]
    assert moving_mean([1.0, code, 3.0], 3)[1] == 2.0


@pytest.mark.parametrize("unit", ["us", "ms", "s", "ns"])
def test_dates_become_seconds(unit):
    start = np.datetime64("2026-01-01T00:00:00", unit)
    trace = Trace.of(start + np.array([0, 1, 2]) * np.timedelta64(1, "s"), [1.0, 2.0, 3.0])
    assert trace.time.tolist() == [1767225600.0, 1767225601.0, 1767225602.0]
    assert trace.rate == 1.0
    assert Trace.of(np.array([0, 500], "timedelta64[ms]"), [1.0, 2.0]).rate == 2.0


@pytest.mark.parametrize(
    ("time", "error", "words"),
    [
        ([0.0, 2.0, 1.0], ValueError, r"row 2 \(1 s\) goes back behind row 1 \(2 s\)"),
        ([0.0, 1.0, 1.0], ValueError, r"row 2 \(1 s\) repeats row 1"),
        ([0.0, np.inf, 2.0], ValueError, "row 1 is inf"),
        ([0.0, 1.0, np.nan], ValueError, "row 2 is nan"),
        (np.ma.array([0.0, 1.0, 2.0], mask=[0, 0, 1]), ValueError, "row 2 is nan"),
        (np.array(["2026-01-01", "NaT", "2026-01-03"], "datetime64[s]"), ValueError, "row 1 is nan"),
        (1767225600_000_000_000 + np.arange(3), ValueError, "key in nanoseconds; seconds are meant"),
        (["0", "1", "2"], TypeError, "texts .* seconds are meant, or datetime64"),
        ([datetime.datetime(2026, 1, k, tzinfo=datetime.UTC) for k in (1, 2, 3)], TypeError, "objects"),
        (np.array([0j, 1, 2]), TypeError, "complex"),
    ],
)
def test_what_is_no_time_is_refused_with_its_row(time, error, words):
    with pytest.raises(error, match=words):
        Trace.of(time, [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("quality", "error", "words"),
    [([0, 256, 0], ValueError, "row 1 is 256"), ([0, 0, -1], ValueError, "row 2 is -1"),
     ([0.0, 0.5, 0.0], TypeError, "fractions")],
)  # fmt: skip
def test_a_flag_does_not_wrap(quality, error, words):
    with pytest.raises(error, match=words):
        Trace.of(SECONDS, SECONDS, quality)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.uint64, np.float16, np.float32, np.bool_])
def test_numbers_of_any_width_are_taken_as_they_are(kind):
    assert Trace.of(SECONDS, np.array([0, 1, 1], kind)).values.tolist() == [0.0, 1.0, 1.0]
