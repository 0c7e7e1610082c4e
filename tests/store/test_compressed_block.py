"""Blocks give every bit back, whatever the values are, and are small where they can be."""

from base64 import b85decode

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from acquisition.store import compressed_block
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
    row = compressed_block.pack(5, given)
    again = compressed_block.unpack(row)
    assert compressed_block.same(given, again)
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
    body = compressed_block.msgspec.msgpack.decode(compressed_block.encode(samples(values)), type=compressed_block.Body)
    assert isinstance(body.values[0], compressed_block.Plain)
    comes_back(samples(values))


def test_times_that_are_the_arrivals_take_next_to_nothing():
    rng = np.random.default_rng(3)
    monotonic = np.cumsum(rng.integers(20_000_000, 30_000_000, N))
    arrived = np.stack([np.ones(N, np.int64), monotonic, monotonic + 10**18], axis=1)
    given = samples(grid(), time=monotonic + 5 * 10**17, arrived=arrived)
    body = compressed_block.msgspec.msgpack.decode(compressed_block.encode(given), type=compressed_block.Body)
    assert isinstance(body.time, compressed_block.Residual)
    assert len(body.time.packed) < 100
    comes_back(given)


def test_arrivals_that_bring_several_samples_come_back():
    time = np.arange(N, dtype=np.int64) * 1000
    counts = np.full(N // 8, 8, dtype=np.int64)
    arrived = np.stack([counts, time[7::8] + 5, time[7::8] + 10**18], axis=1)
    comes_back(samples(grid(), time=time, arrived=arrived, device_time=np.arange(N) / 40))


def kept(given):
    return compressed_block.msgspec.msgpack.decode(compressed_block.encode(given), type=compressed_block.Body)


def steady(counts, seed=6):
    """Samples of 40 Hz that come so many at a time, each time exp(2 ms) late, in whole microseconds."""
    counts = np.asarray(counts, dtype=np.int64)
    last = np.cumsum(counts) - 1
    time = 1_767_225_600 * 10**9 + np.arange(int(counts.sum()), dtype=np.int64) * 25_000_000
    time += np.repeat(np.arange(len(counts)) // 3 * 1000, counts)
    delays = (np.random.default_rng(seed).exponential(2000.0, len(counts)).astype(np.int64) + 5) * 1000
    monotonic = time[last] - 10**18 + delays
    arrived = np.stack([counts, monotonic, monotonic + 10**18], axis=1)
    return samples(np.zeros((len(time), 1)), time=time, arrived=arrived)


def test_a_steady_source_costs_what_its_arrivals_are_late():
    given = steady(np.random.default_rng(7).integers(2, 7, N // 4))
    body = kept(given)
    assert isinstance(body.time, compressed_block.Leading)
    assert isinstance(body.time.time, compressed_block.Stepped)
    late = np.log2(2000 * np.e) / 8  # bytes: the entropy of the delays
    assert len(body.time.delays) < (late + 0.15) * len(given.arrived)
    assert len(body.time.time.within) < 100
    assert len(body.time.time.between) < 0.2 * len(given.arrived)
    comes_back(given)


def test_the_arrivals_of_a_steady_source_that_come_one_by_one_are_told_from_its_times():
    given = steady(np.ones(N, np.int64))
    body = kept(given)
    assert isinstance(body.time, compressed_block.Leading)
    assert isinstance(body.time.time, compressed_block.Plain)
    comes_back(given)


@pytest.mark.parametrize("n", [1, 4])
def test_a_few_channels_of_a_steady_source_have_its_times_and_no_arrivals(n):
    given = steady(np.full(N // n, n))
    some = compressed_block.decode(compressed_block.encode(given), 3, 2, 77, [0])
    assert (some.time == given.time).all()
    assert some.arrived.shape == (0, 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=20), st.data())
def test_any_arrivals_come_back(counts, data):
    big = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 20).map(lambda k: k * 25_000_000)
    time = data.draw(hnp.arrays(np.int64, sum(counts), elements=big))
    clocks = data.draw(hnp.arrays(np.int64, (len(counts), 2), elements=big))
    arrived = np.column_stack([np.array(counts, np.int64), clocks])
    comes_back(samples(np.zeros((len(time), 1)), time=time, arrived=arrived))


@pytest.mark.parametrize(
    "counts", [[2, 0, 4], [2, 3], [4, 3], [7, -1]], ids=["none in one", "too few", "too many", "less than none"]
)
def test_arrivals_that_do_not_add_up_come_back(counts):
    arrived = np.array([[n, 10**9 * k, 10**18 + 10**9 * k] for k, n in enumerate(counts)], np.int64)
    comes_back(samples(np.zeros((6, 1)), arrived=arrived))


PLAIN = b85decode(
    "m68C&F>qsVAp-z{0R#aA1poj55C8xG&~J~DGsN5g00000!s`nlyuN_Z@CXoIU!bhH0|1l69B^ZAAp-z`1OWsA0000G01yBG00000"
    "02BZM0K_72V{ah?0D%Mn1OWg501yB;`UzR`+$~kq00000sFrgL0K^?|V{ah?0D%Mn1OWg501yBG0U$e_wFPf90Kf|Xk&*z!MQ~$p"
    "Ap-z{0R#aC1poj5Qvir&W@ct)h7T}6Gcz+YGc!KG05mf*Gcz;!00UrVW@ct)<^v1>000000090!0MHBp006`laAR*F0|0^n1OW;K"
    "0000G000OC0Kf"
)
"""Six samples in two arrivals as the first blocks were written: times and instants as they are."""
RESIDUAL = b85decode(
    "m68I)9B^ZAAp-z{0R#aA1poj55C8xGAUmD41#biZ0F%TVaAR*F0|0^n1OWsE0000G00;m80000000aO4#4&JVZy^H!f&l~p1O)&9"
    "01yBO0I)Rj+$~ky00000fFF_%CcD1=mGsCIUSIA>j{^Y2A8=!DAp-z{0R#aA1poj55C8xGAUmD41#cVxh{gf{k&*z!MQ~$pAp-z{"
    "0R#aC1poj5Qvir&W@ct)h7T}6Gcz+YGc!KG05mf*Gcz;!00UrVW@ct)<^v1>000000090!0MHBp006`laAR*F0|0^n1OW;K0000G"
    "000OC0Kf"
)
"""And six in an arrival each: times beside the arrivals."""


def test_the_first_blocks_are_read_bit_for_bit():
    values = np.array([[30.1], [30.2], [np.nan], [30.4], [30.3], [30.2]])
    quality = np.array([[0], [0], [1], [0], [0], [0]], np.uint8)
    time = 1_767_225_600 * 10**9 + np.arange(6, dtype=np.int64) * 25_000_000
    two = [
        [n, time[i] - 10**18 + late, time[i] + late + more]
        for n, i, late, more in ((4, 3, 1_234_567, 32), (2, 5, 7_654_321, 79))
    ]
    given = samples(values, quality, time, arrived=np.array(two, np.int64))
    assert compressed_block.same(given, compressed_block.decode(PLAIN, 3, 2, 77))
    time = time + np.array([1, 7_654_321, -999, 123_456, 77, -5_555_555])
    each = np.stack([np.ones(6, np.int64), time - 10**18, time + np.arange(6)], axis=1)
    given = samples(values, quality, time, arrived=each)
    assert compressed_block.same(given, compressed_block.decode(RESIDUAL, 3, 2, 77))


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
    row = compressed_block.pack(5, samples(grid()))
    body = bytearray(row[7])
    body[len(body) // 2] ^= 1
    assert compressed_block.unpack((*row[:7], bytes(body), row[8])) is None
    assert compressed_block.unpack((*row[:3], row[3] + 1, *row[4:])) is None
    assert compressed_block.unpack((*row[:3], None, *row[4:])) is None
