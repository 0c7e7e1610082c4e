"""Every driver with its simulator, in virtual time: nothing is lost, nothing breaks it, nothing is written that it
did not declare."""

import random
import tracemalloc

import numpy as np
import pytest

from acquisition.driverkit.framing import Cutter
from acquisition.driverkit.registry import drivers
from acquisition.model import Notice, Readings
from simulators.simkit.conversation import converse
from tests.contract.pairs import DISTINCT, PAIRS, driver, simulator

LATE = 2
"""Samples that may be missed before a driver has joined in."""
KEPT = 200_000
"""Bytes that a driver may hold more after much noise than after little."""


def one_by_one(message):
    return [message[i : i + 1] for i in range(len(message))]


def at_random(seed):
    chance = random.Random(seed)

    def cut(message):
        at = sorted(chance.randrange(len(message) + 1) for _ in range(chance.randrange(4)))
        return [message[i:j] for i, j in zip([0, *at], [*at, len(message)], strict=True)]

    return cut


def all_readings(said):
    """Stream -> values (n, c), quality (n, c), device time (n,) or None, lost."""
    found = {}
    for stream in {reading.stream for reading in said.readings}:
        of = [reading for reading in said.readings if reading.stream == stream]
        times = [reading.device_time for reading in of if reading.device_time is not None]
        found[stream] = (
            np.concatenate([reading.values for reading in of]),
            np.concatenate([reading.quality for reading in of]),
            np.concatenate(times) if times else None,
            sum(reading.lost for reading in of),
        )
    return found


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("cut", [one_by_one, at_random(1)], ids=["bytes", "random"])
def test_any_chopping_gives_the_same_samples(name, cut):
    whole = all_readings(converse(driver(name), simulator(name), 20.0))
    pieces = all_readings(converse(driver(name), simulator(name), 20.0, cut=cut))
    assert whole
    assert whole.keys() == pieces.keys()
    for stream, parts in whole.items():
        for one, other in zip(parts, pieces[stream], strict=True):
            assert np.array_equal(one, other, equal_nan=True) if one is not None else other is None


@pytest.mark.parametrize("name", PAIRS)
def test_ten_minutes_of_conversation_keep_every_sample_in_order(name):
    rows = {}
    built = driver(name)
    said = converse(built, simulator(name, lambda row: rows.setdefault(row["stream"], []).append(row)), 600.0)
    heard = all_readings(said)
    assert set(rows) == {stream.name for stream in built.streams} == set(heard)
    for stream in built.streams:
        values, quality, times, lost = heard[stream.name]
        sent = np.array([row["values"] for row in rows[stream.name]], dtype=np.float64)
        assert lost == 0
        assert values.shape == quality.shape
        assert values.shape[1] == len(stream.channels) == sent.shape[1]
        assert np.mean(np.isfinite(values)) > 0.5
        missed = len(sent) - len(values)
        # What was sent in the last moments may still have been on its way.
        assert 0 <= missed <= LATE + 1 + 0.01 * len(sent)
        assert any(agree(values, sent[first : first + len(values)]) for first in range(min(missed, LATE) + 1))
        if stream.rate is not None:
            assert len(values) >= 0.97 * 600 * stream.rate - 5 * LATE
        if times is not None:
            assert np.all(np.diff(times) > 0)
    assert not [notice for notice in said.notices if notice.kind == "noise"]


def agree(values, sent):
    known = np.isfinite(values) & np.isfinite(sent)
    return known.any() and np.allclose(values[known], sent[known], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", PAIRS)
def test_only_declared_bytes_are_written(name):
    built = driver(name)
    said = converse(built, simulator(name), 20.0, tamper=noisy(4, 0.0, 20.0, 0.05))
    for message in said.written:
        assert any(query.fullmatch(message) for query in built.queries), message


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("seed", [1, 2])
def test_noise_before_between_and_after_is_reported_and_survived(name, seed):
    """Or the driver falls silent, and the fresh one that the service then makes finds the instrument again."""
    built, instrument = driver(name), simulator(name)
    said = converse(built, instrument, 90.0, tamper=noisy(seed, 30.0, 60.0, 0.3))
    clean = converse(driver(name), simulator(name), 90.0)
    noise = [notice for notice in said.notices if notice.kind == "noise"]
    assert noise or not built.framed
    assert all(notice.text and notice.details["bytes"] > 0 for notice in noise)
    assert count(said, 0.0, 29.0) == count(clean, 0.0, 29.0) > 0
    wanted = 0.9 * count(clean, 70.0, 89.0)
    if count(said, 70.0, 89.0) < wanted:
        last = max(at for at, item in said if isinstance(item, Readings))
        assert 90.0 - last > built.silence, "it neither streams nor falls silent"
        again = converse(driver(name), instrument, 30.0, start=100.0)
        assert count(again, 110.0, 129.0) >= wanted


def count(said, start, end):
    return sum(len(item.values) for at, item in said if isinstance(item, Readings) and start <= at < end)


@pytest.mark.parametrize("name", DISTINCT)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_dropped_messages_show_as_lost_samples_of_the_right_number(name, seed):
    """Or as a silence that ends the connection; where nothing on the wire counts them the driver says so."""
    chance, dropped, rows = random.Random(seed), [], {}

    def tamper(message, at):
        if not 10.0 <= at < 40.0 or chance.random() >= 0.05:
            return message
        dropped.append(at)
        return b""

    built = driver(name)
    instrument = simulator(name, lambda row: rows.setdefault(row["stream"], []).append(row))
    said = converse(built, instrument, 60.0, tamper=tamper)
    assert dropped
    for stream in built.streams:
        heard = [(at, item) for at, item in said if isinstance(item, Readings) and item.stream == stream.name]
        lost = sum(item.lost for _, item in heard)
        missing = len(rows[stream.name]) - sum(len(item.values) for _, item in heard)
        pause = max(np.diff([*(at for at, _ in heard), 60.0]))
        if built.counted and pause <= built.silence:
            assert missing - LATE <= lost <= missing, stream.name
        else:
            assert lost <= missing


@pytest.mark.parametrize("name", [name for name in DISTINCT if drivers()[name].framed])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_message_outside_the_noise_is_decoded(name, seed):
    """Noise comes between messages only. Where it happens to be a message itself, the true one is counted as lost."""
    chance, rows = random.Random(seed), {}

    def noise(message):
        return chance.randbytes(chance.randrange(1, 20)) + message[-2:]  # a line that is noise ends, too

    def tamper(message, at):
        if not 10.0 <= at < 40.0 or chance.random() >= 0.3:
            return message
        return chance.choice([noise(message) + message, message + noise(message)])

    built = driver(name)
    instrument = simulator(name, lambda row: rows.setdefault(row["stream"], []).append(row))
    said = converse(built, instrument, 60.0, tamper=tamper)
    assert [notice for notice in said.notices if notice.kind == "noise"]
    for stream in built.streams:
        values, _, _, lost = all_readings(said)[stream.name]
        missing = len(rows[stream.name]) - len(values)
        assert missing <= LATE + 1 + 0.005 * len(values) or missing - LATE <= lost <= missing, stream.name


def noisy(seed, start, end, p):
    """Random bytes before, after or instead of messages between two instants."""
    chance = random.Random(seed)

    def tamper(message, at):
        if not start <= at < end or chance.random() >= p:
            return message
        noise = chance.randbytes(chance.randrange(1, 20))
        return chance.choice([noise + message, message + noise, noise, message[: len(message) // 2]])

    return tamper


@pytest.mark.parametrize("name", PAIRS)
def test_a_fresh_driver_joins_an_instrument_that_is_already_talking(name):
    instrument = simulator(name)
    for number, start in enumerate((0.0, 21.7, 130.0)):
        said = converse(driver(name), instrument, 20.0, start=start)
        assert said.readings, f"connection {number} brought nothing"


@pytest.mark.parametrize("name", PAIRS)
def test_a_fresh_driver_finds_an_instrument_that_lost_power(name):
    instrument = simulator(name)
    assert converse(driver(name), instrument, 20.0).readings
    instrument.reset(21.0)
    instrument.to_send()
    assert converse(driver(name), instrument, 20.0, start=30.0).readings


@pytest.mark.parametrize("name", DISTINCT)
def test_a_message_that_never_ends_is_given_up(name):
    """Of at most a few megabytes, where an instrument may announce such a block."""
    messages = [message for message in converse(driver(name), simulator(name), 5.0).sent if message]
    for run in {messages[-1][:1], messages[-1][len(messages[-1]) // 2 :][:1], b"\x01"}:
        built = driver(name)
        built.start(0.0)
        list(built.receive(messages[-1][: len(messages[-1]) // 2], 0.0))
        tracemalloc.start()
        try:
            held = [0]
            while not (len(held) > 3 and held[-1] - min(held[-3:]) < 1000) and held[-1] >= max(held) - 10_000:
                assert len(held) < 800, f"{held[-1]} bytes are held after {len(held) - 1} times 16384 of {run!r}"
                list(built.receive(run * 16384, 0.1 * len(held)))
                built.to_send()
                held.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("name", DISTINCT)
def test_ten_million_random_bytes_neither_raise_nor_fill_the_buffer(name):
    pour(name, 10**7)


@pytest.mark.proof
@pytest.mark.parametrize("quarter", range(4))
@pytest.mark.parametrize("name", DISTINCT)
def test_a_thousand_million_random_bytes_neither_raise_nor_fill_the_buffer(name, quarter):
    pour(name, 10**9 // 4, seed=8 + quarter)


def pour(name, size, seed=7):
    """Feed a driver random bytes in pieces of up to 8 kB; it never holds more than two frames."""
    chance = random.Random(seed)
    built = driver(name)
    frame = max(len(message) for message in converse(driver(name), simulator(name), 20.0).sent)
    frame = max([frame, *(part.limit for part in vars(built).values() if isinstance(part, Cutter))])
    built.start(0.0)
    fed, at = 0, 0.0
    while fed < size:
        data = chance.randbytes(chance.randrange(1, 8192))
        fed += len(data)
        at += 0.05
        for item in built.receive(data, at):
            assert isinstance(item, Readings | Notice)
        assert held(built) <= 2 * frame, f"{held(built)} bytes are held after {fed}"
        for message in built.to_send():
            assert any(query.fullmatch(message) for query in built.queries), message
        due = built.deadline()
        if due is not None and due <= at:
            built.poll(at)


def held(built):
    """Bytes that a driver keeps of what it was handed."""
    return sum(len(part) for part in vars(built).values() if isinstance(part, Cutter | bytes | bytearray | np.ndarray))


@pytest.mark.parametrize("name", DISTINCT)
def test_damaged_messages_neither_raise_nor_fill_the_memory(name):
    batter(name, 200_000)


@pytest.mark.proof
@pytest.mark.parametrize("name", DISTINCT)
def test_very_many_damaged_messages_neither_raise_nor_fill_the_memory(name):
    batter(name, 10_000_000)


def batter(name, size):
    """Feed a driver random bytes, bytes of its own alphabet, and messages with flipped bits, a third each."""
    chance = random.Random(5)
    messages = [message for message in converse(driver(name), simulator(name), 20.0).sent if message]
    alphabet = bytes(set(b"".join(messages)))
    built = driver(name)
    built.start(0.0)
    at, fed, held = 0.0, 0, []
    tracemalloc.start()
    try:
        while fed < size:
            match chance.randrange(3):
                case 0:
                    data = chance.randbytes(chance.randrange(1, 400))
                case 1:
                    data = bytes(chance.choices(alphabet, k=chance.randrange(1, 400)))
                case _:
                    data = bytearray(chance.choice(messages)[:4000])
                    for _ in range(1 + len(data) // 50):
                        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
                    data = bytes(data)
            fed += len(data)
            at += 0.05
            for item in built.receive(data, at):
                assert isinstance(item, Readings | Notice)
            for message in built.to_send():
                assert any(query.fullmatch(message) for query in built.queries), message
            due = built.deadline()
            if due is not None and due <= at:
                built.poll(at)
                built.to_send()
            if fed - len(data) < size // 2 <= fed or fed >= size:
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert held[-1] - held[0] < KEPT, f"{held[-1] - held[0]} bytes more after {fed} bytes of noise"
