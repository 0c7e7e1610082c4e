"""Blocks give every bit back, whatever the values are, and are small where they can be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from acquisition.store import blocks
from acquisition.store.rows import Samples

N = 4096


def samples(values, quality=None, time=None, device_time=None, arrived=None):
    values = np.asarray(values, dtype=float)
    n = len(values)
    time = np.arange(n, dtype=np.int64) * 25_000_000 + 1_767_225_600 * 10**9 if time is None else time
    if arrived is None:
        arrived = np.stack([np.ones(n, np.int64), time - 10**18, time + 12], axis=1)
    quality = np.zeros(values.shape, np.uint8) if quality is None else quality
    return Samples(3, 2, 77, time, values, quality, device_time, arrived)


def comes_back(given):
    row = blocks.pack(5, given)
    again = blocks.unpack(row)
    assert blocks.same(given, again)
    return len(row[7]) / given.values.size


def grid(decimals=1, channels=1, seed=1):
    rng = np.random.default_rng(seed)
    return np.round(30 + np.cumsum(rng.normal(0, 0.3, (N, channels)), axis=0), decimals)


def test_a_walk_on_the_instruments_grid_takes_about_half_a_byte_a_value():
    assert comes_back(samples(grid(channels=10))) < 1.3


def test_nan_payloads_negative_zeros_and_infinities_among_grid_values_come_back():
    values = grid(channels=3)
    values[5, 0], values[6, 0], values[0, 1], values[7, 1] = np.nan, -0.0, np.inf, -np.inf
    values.view(np.int64)[9, 2] = 0x7FF8_DEAD_0000_0001
    values.view(np.int64)[0, 2] = -1
    quality = np.zeros(values.shape, np.uint8)
    quality[5:9, 0] = (1, 32, 255, 7)
    comes_back(samples(values, quality))


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(2).normal(size=(N, 2)),
        np.random.default_rng(2).normal(size=(N, 2)).astype(np.float32).astype(float),
        np.full((N, 1), np.nan),
        np.zeros((N, 3)),
        np.full((1, 1), 1e300),
        np.array([[0.1 + 0.2], [0.3], [1e-310]]),
        np.arange(N).reshape(-1, 1) * 0.30517578125 - 5000,
    ],
    ids=["noise", "float32", "nan", "constant", "one", "denormal", "counts"],
)
def test_values_off_every_decimal_grid_come_back(values):
    comes_back(samples(values))


def test_values_that_are_mostly_off_the_grid_are_not_forced_on_it():
    values = grid()
    values[::2] += 1e-9
    body = blocks.msgspec.msgpack.decode(blocks.encode(samples(values)), type=blocks.Body)
    assert isinstance(body.values[0], blocks.Plain)
    comes_back(samples(values))


def test_times_that_are_the_arrivals_take_next_to_nothing():
    rng = np.random.default_rng(3)
    monotonic = np.cumsum(rng.integers(20_000_000, 30_000_000, N))
    arrived = np.stack([np.ones(N, np.int64), monotonic, monotonic + 10**18], axis=1)
    given = samples(grid(), time=monotonic + 5 * 10**17, arrived=arrived)
    body = blocks.msgspec.msgpack.decode(blocks.encode(given), type=blocks.Body)
    assert isinstance(body.time, blocks.Residual)
    assert len(body.time.packed) < 100
    comes_back(given)


def test_arrivals_that_bring_several_samples_come_back():
    time = np.arange(N, dtype=np.int64) * 1000
    counts = np.full(N // 8, 8, dtype=np.int64)
    arrived = np.stack([counts, time[7::8] + 5, time[7::8] + 10**18], axis=1)
    comes_back(samples(grid(), time=time, arrived=arrived, device_time=np.arange(N) / 40))


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(1, 50), st.integers(1, 3)),
        elements=st.floats(width=64) | st.integers(-1000, 1000).map(lambda k: k / 10),
    ),
    st.data(),
)
def test_any_bits_come_back(values, data):
    n = len(values)
    time = data.draw(hnp.arrays(np.int64, n, elements=st.integers(-(2**62), 2**62)))
    quality = data.draw(hnp.arrays(np.uint8, values.shape))
    device_time = data.draw(st.none() | hnp.arrays(np.float64, n))
    comes_back(samples(values, quality, time, device_time))


def test_a_changed_byte_is_found():
    row = blocks.pack(5, samples(grid()))
    body = bytearray(row[7])
    body[len(body) // 2] ^= 1
    assert blocks.unpack((*row[:7], bytes(body), row[8])) is None
    assert blocks.unpack((*row[:3], row[3] + 1, *row[4:])) is None
    assert blocks.unpack((*row[:3], None, *row[4:])) is None
