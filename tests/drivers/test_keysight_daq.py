"""The digitisers' bytes as the programming guides print them, and conversations with the simulated instruments."""

import random
import re
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.driver import Setup
from acquisition.errors import ConfigurationError
from acquisition.model import Notice, Quality, Readings
from drivers.keysight_daq import KeysightDaq, Options, digits
from drivers.keysight_daq.answers import Block, Fault, Identity, Reals, Rows, ScanList, moment, scan_start
from drivers.keysight_daq.digits import numbers
from simulators.conversation import converse
from simulators.replay import load
from tests import recordings
from tests.digitiser import FLOWMETER, Room, driver, entry, inputs, simulator

INVALID, RANGE = Quality.INVALID, Quality.RANGE


def stream(said, name):
    """All samples of one stream: device time (n,), values (n,), quality (n,), and how many were lost."""
    readings = [r for r in said.readings if r.stream == name]
    if not readings:
        return np.empty(0), np.empty(0), np.empty(0), 0
    return (
        np.concatenate([r.device_time for r in readings]),
        np.concatenate([r.values[:, 0] for r in readings]),
        np.concatenate([r.quality[:, 0] for r in readings]),
        sum(r.lost for r in readings),
    )


def texts(said, kind):
    return [n.text for n in said.notices if n.kind == kind]


def unplugged(host):
    """A host whose link breaks instead of ending with a farewell."""
    host.stop = lambda at: None
    return host


# --- bytes of the programming guides -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "payload"),
    [
        (b"#10", b""),
        (b"#228-4.30000000E-08,00000000.370", b"-4.30000000E-08,00000000.370"),
        (b"#214(@101,102,103)", b"(@101,102,103)"),
        (b"#247+8.11900000E-03,+5.15000000E-03,-4.30000000E-08", b"+8.11900000E-03,+5.15000000E-03,-4.30000000E-08"),
    ],
)
def test_a_definite_block(answer, payload):
    assert Block.decode(answer) == Block.decode(answer + b"\n") == Block(payload)
    assert Block(payload).encode() == answer


@pytest.mark.parametrize("answer", [b"", b"#", b"#0", b"#0abc\n", b"#15abc", b"#13abcd", b"+0", b"#2x1", b"#9\n"])
def test_what_is_no_whole_block_is_refused(answer):
    with pytest.raises(ValueError, match=r"."):
        Block.decode(answer)


def test_readings_as_fields():
    assert numbers(b"-4.30000000E-08,00000000.370", 2).tolist() == [[-4.3e-08, 0.37]]
    assert numbers(b"+9.90000000E+37,-9.90000000E+37,+9.91000000E+37", 1).tolist() == [[9.9e37], [-9.9e37], [9.91e37]]
    # The width of the relative time varies.
    narrow = Rows.decode(b"+8.11900000E-03,0.370,101,+5.15000000E-03,123456789.001,102")
    assert narrow.table.tolist() == [[8.119e-03, 0.37, 101], [5.15e-03, 123456789.001, 102]]
    rows = Rows(np.array([[8.119e-03, 0.37, 101.0], [-4.3e-08, 0.376, 102.0]]))
    assert rows.encode() == b"+8.11900000E-03,00000000.370,101,-4.30000000E-08,00000000.376,102"
    assert Rows.decode(rows.encode()).table.tolist() == rows.table.tolist()
    for spoilt in (b"+8.1E-03,0.370", b"+8.1E-03,0.370,1x1", b"+8.1E-03,,101", b","):
        with pytest.raises(ValueError, match=r"."):
            Rows.decode(spoilt)


def test_small_answers():
    assert ScanList.decode(b"(@101:104)").terminals == (101, 102, 103, 104)
    assert ScanList.decode(b"(@103,101)").terminals == (101, 103)
    assert ScanList.decode(b"(@)").terminals == ()
    assert ScanList((101, 102, 103)).encode() == b"(@101,102,103)"
    assert Fault.decode(b'+0,"No error"') == Fault(0, "No error")
    assert Fault.decode(b'-113,"Undefined header"\n') == Fault(-113, "Undefined header")
    assert Fault(-113, "Undefined header").encode() == b'-113,"Undefined header"'
    assert scan_start(b"2026,07,14,10,23,45.123") == datetime(2026, 7, 14, 10, 23, 45, 123000)
    assert moment(b"2026,02,28", b"23,59,59.999") == datetime(2026, 2, 28, 23, 59, 59, 999000)
    who = Identity.decode(b"Keysight Technologies,DAQ970A,MY58001234,A.02.02-01.00-02.01-00.02-01.00-03-01")
    assert (who.model, who.serial) == ("DAQ970A", "MY58001234")


# --- answers as a byte stream --------------------------------------------------------------------------------


ANSWERS = {
    b"*IDN?\n": b"Keysight Technologies,DAQ970A,MY58001234,A.02.02-01.00\n",
    b"*ESE?\n": b"+0\n",
    b"ROUT:SCAN?\n": b"#210(@101,102)\n",
    b"SYST:CTYP? 100\n": b"Keysight Technologies,DAQM900A,MY58005678,01.00\n",
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


NUMBER = st.one_of(
    st.floats(-1e3, 1e3).map(lambda value: b"%+.8E" % value),
    st.integers(0, 999).map(lambda value: b"%d" % value),
    st.floats(0, 1e5).map(lambda value: b"%012.3f" % value),
    st.sampled_from(
        [b"+9.90000000E+37", b"-9.90000000E+37", b"+9.91000000E+37", b"+1E+3", b"-0.5", b"12345678901234567"]
    ),
)


@given(st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[NUMBER] * n), min_size=1, max_size=6)))
def test_numbers_are_read_as_python_reads_them_whatever_their_shape(rows):
    table = numbers(b",".join(field for row in rows for field in row), len(rows[0]))
    expected = np.array([[float(field) for field in row] for row in rows])
    assert table.tobytes() == expected.tobytes()


def test_a_block_of_equal_rows_is_read_bit_for_bit_as_python_reads_it():
    rng = np.random.default_rng(5)
    volts = rng.normal(0, 1, 3000) * 10.0 ** rng.integers(-9, 3, 3000)
    payload = Rows(np.column_stack((volts, np.arange(3000) * 0.017, np.tile([101, 102, 103], 1000)))).encode()
    fields = payload.split(b",")
    assert digits._as_table(payload, 3) is not None
    assert Rows.decode(payload).table.tobytes() == np.array(fields, dtype=float).tobytes()


@pytest.mark.parametrize(
    "spoilt", [b"+8.11900000E-0x", b"+8,11900000E-03", b"*8.11900000E-03", b"+8.1190 000E-03", b""]
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_spoilt_number_spoils_its_block(spoilt, place):
    fields = [b"+8.11900000E-03"] * 3
    fields[place] = spoilt
    with pytest.raises(ValueError, match=r"could not convert|cannot reshape"):
        numbers(b",".join(fields), 3 if b"," in spoilt else 1)


def test_binary_readings_are_eight_bytes_each_highest_first():
    payload = bytes.fromhex("3FF0000000000000 BFB999999999999A 47D29E8F51BE1BD5")
    reals = Reals.decode(payload)
    assert reals.volts[:2].tolist() == [1.0, -0.1]
    assert reals.encode() == payload
    with pytest.raises(ValueError, match="multiple of element size"):
        Reals.decode(payload[:-1])


# --- conversations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "seconds"), [("daq970a", 600), ("34970a", 60), ("34972a", 60), ("34980a", 60), ("34465a", 600)]
)
def test_minutes_lose_nothing(name, seconds):
    said = converse(host := driver(name), simulator(name), seconds, start=7.0)
    for each in host.streams:
        time, values, quality, lost = stream(said, each.name)
        assert lost == 0
        assert len(time) in range(20 * seconds - 20, 20 * seconds + 1)
        assert np.abs(np.diff(time) - 0.05).max() < 0.0011
        assert not quality.any()
        assert np.isfinite(values).all()
    time, flux, *_ = stream(said, "flux")
    truth = 100 + 20 * np.sin(time + said.readings[0].base.origin)
    assert np.abs(flux - truth).max() < 1.0
    assert all(r.base == said.readings[0].base for r in said.readings)
    assert not texts(said, "noise")


def test_binary_and_text_bring_the_same_samples():
    text = converse(driver("34465a"), simulator("34465a"), 60.0)
    binary = converse(driver("34465a", binary=True), simulator("34465a"), 60.0)
    assert b"FORM:DATA REAL,64\n" in binary.written
    assert len(b"".join(binary.sent)) < 0.6 * len(b"".join(text.sent))
    for one, other in zip(stream(text, "flux"), stream(binary, "flux"), strict=True):
        assert np.allclose(one, other, rtol=0, atol=1e-6)
    assert not texts(binary, "noise")


def test_a_binary_reading_that_ends_like_a_line_is_whole():
    """1.3000000000000018 ends in a byte LF, as does the block, and the answer."""
    host = driver("34465a", binary=True)
    converse(host, simulator("34465a"), 1.0)
    payload = bytes.fromhex("3FF4CCCCCCCCCC0A")
    host._talk = host._stream()
    host._go(None)
    (reading,) = host.receive(Block(payload).encode() + b"\n", 1.0)
    assert reading.values[0, 0] == pytest.approx(1300.0)


def test_the_scan_is_set_up_in_the_order_that_the_instrument_needs():
    said = converse(driver(interval=0.025, nplc=0.02, range=10.0), simulator(), 1.0)
    written = [message.decode().strip() for message in said.written]
    configured = written.index("CONF:VOLT:DC 10,(@101,102,103)")
    for later in (
        "TRIG:TIM 0.025",
        "TRIG:COUN INF",
        "FORM:READ:TIME ON",
        "FORM:READ:TIME:TYPE REL",
        "FORM:READ:CHAN ON",
    ):
        assert written.index(later) > configured
    assert written.index("INIT") > written.index("SYST:ERR?") > written.index("FORM:READ:ALAR OFF")
    assert written[written.index("INIT") + 1] == "SYST:TIME:SCAN?"
    assert "*RST" not in written
    assert written[-1] == "ABOR"
    assert written.count("STAT:QUES:COND?") in (0, 1)


def test_polls_are_dithered_and_stretched_with_the_clock():
    for patience in (1.0, 100.0):
        host = KeysightDaq(Setup("daq970a", Options(), inputs(), patience))
        instrument = simulator()
        said = converse(host, instrument, 60.0 * patience, latency=1e-4)
        assert len(stream(said, "flux")[0]) > 1150 * patience
        waits = []
        host.setup.random.seed(1)
        talk = host._stream()
        host._at, host._heard = 0.0, 0.0
        step = next(talk)
        for _ in range(50):
            host._at += 0.001
            step = talk.send(b"+0\n" if b"QUES" in step else b"#10\n")
            if isinstance(step, float):
                waits.append(step)
                step = next(talk)
        assert 0.1 * patience <= min(waits) < 0.15 * patience < 0.2 * patience < max(waits) <= 0.25 * patience


def test_a_scan_that_runs_is_resumed_without_init_and_nothing_is_lost():
    instrument = simulator()
    before = converse(unplugged(driver()), instrument, 10.0, start=100.0)
    after = converse(driver(), instrument, 10.0, start=140.0)
    assert b"INIT\n" not in after.written
    assert b"*CLS\n" not in after.written
    assert before.readings[0].base.token == after.readings[0].base.token
    assert after.readings[0].base.origin == pytest.approx(before.readings[0].base.origin, abs=0.01)
    time = np.concatenate([stream(before, "flux")[0], stream(after, "flux")[0]])
    assert np.diff(time) == pytest.approx(0.05, abs=0.0011)
    assert time[-1] == pytest.approx(50.0, abs=0.5)
    fresh = [r.fresh for r in after.readings if r.stream == "flux"]
    assert fresh[0] is False
    assert fresh.index(True) == 30 * 60 // 399
    assert all(fresh[fresh.index(True) :])
    assert "it is resumed" in texts(after, "state")[0]


def test_another_configuration_sets_the_scan_up_anew():
    instrument = simulator()
    converse(unplugged(driver()), instrument, 5.0)
    said = converse(driver(interval=0.1), instrument, 5.0, start=20.0)
    assert b"INIT\n" in said.written
    assert np.diff(stream(said, "flux")[0]) == pytest.approx(0.1)


def test_a_scan_that_was_ended_by_the_farewell_is_set_up_anew():
    instrument = simulator()
    first = converse(driver(), instrument, 5.0)
    second = converse(driver(), instrument, 5.0, start=20.0)
    assert first.readings[0].base.token != second.readings[0].base.token
    assert len(stream(second, "flux")[0]) > 90


def test_another_scan_list_is_not_taken_for_this_driver_s():
    instrument = simulator()
    converse(unplugged(driver()), instrument, 5.0)
    instrument.receive(b"ABOR\nROUT:SCAN (@101,102)\nINIT\n", 10.0)
    said = converse(driver(), instrument, 5.0, start=20.0)
    assert b"INIT\n" in said.written
    assert len(stream(said, "cuff_pressure")[0]) > 80


def test_a_scan_begun_by_somebody_else_on_an_open_link_is_set_up_anew():
    instrument = simulator()

    def meddle(message, at, done=[]):  # noqa: B006
        if at > 10.0 and not done:
            done.append(at)
            instrument.receive(b"ABOR\nINIT\n", at)
        return message

    said = converse(driver(), instrument, 20.0, tamper=meddle)
    assert any("somebody else began another scan" in text for text in texts(said, "warning"))
    bases = list(dict.fromkeys(r.base for r in said.readings))
    assert len(bases) == 2
    for base in bases:
        times = np.concatenate([r.device_time for r in said.readings if r.base == base and r.stream == "flux"])
        assert np.diff(times) == pytest.approx(0.05, abs=0.0011)


def test_power_lost_between_connections_is_noticed():
    instrument = simulator()
    first = converse(unplugged(driver()), instrument, 5.0)
    instrument.reset(10.0)
    second = converse(driver(), instrument, 5.0, start=20.0)
    assert b"INIT\n" in second.written
    assert first.readings[0].base.token != second.readings[0].base.token


def test_power_lost_on_an_open_link_starts_another_scan_and_counts_the_hole():
    instrument = simulator()

    def strike(message, at, done=[]):  # noqa: B006
        if at > 10.0 and not done:
            done.append(at)
            instrument.reset(at)
        return message

    said = converse(driver(), instrument, 30.0, tamper=strike)
    bases = list(dict.fromkeys(r.base for r in said.readings))
    assert len(bases) == 2
    time, _, _, lost = stream(said, "flux")
    assert len(time) + lost == pytest.approx(600, abs=12)
    assert 20 < lost < 60
    assert any("set up anew" in text for text in texts(said, "warning"))


def test_an_overflow_is_said_once_and_its_readings_are_counted_as_lost():
    said = converse(driver(), simulator(memory=7), 60.0)
    assert len(texts(said, "overflow")) == 1
    for name in ("flux", "backscatter", "cuff_pressure"):
        time, values, _, lost = stream(said, name)
        assert len(values) + lost == round((time[-1] - time[0]) / 0.05) + 1
        assert lost > 100


def test_an_overflow_while_the_link_was_away_is_said_and_shows_in_the_stamps():
    instrument = simulator(memory=600)
    before = converse(unplugged(driver()), instrument, 10.0)
    after = converse(driver(), instrument, 10.0, start=60.0)
    assert len(texts(after, "overflow")) == 1
    hole = stream(after, "flux")[0][0] - stream(before, "flux")[0][-1]
    assert hole == pytest.approx(40.0, abs=0.5)


def test_the_steady_sampler_sets_up_anew_after_an_overflow():
    said = converse(driver("34465a"), simulator("34465a", memory=3), 10.0)
    assert texts(said, "overflow")
    assert len({r.base.token for r in said.readings}) > 1
    assert stream(said, "flux")[3] > 0


def test_another_model_is_left_alone():
    said = converse(driver(), simulator(model="34972A"), 20.0)
    assert said.written == [b"*IDN?\n"]
    assert not said.readings
    assert [n.details["model"] for n in said.notices if n.kind == "identity"] == ["34972A"]
    assert "a 34972A answers" in texts(said, "warning")[0]


def test_daq973a_is_served_too():
    assert converse(driver(), simulator(model="DAQ973A"), 2.0).readings


def test_low_backscatter_condemns_the_flux_of_its_own_sweep():
    class Lifted(Room):
        def values(self, signal, t):
            if signal == "backscatter":
                return np.where(np.sin(5 * t) > 0.3, -50.0, 60.0)
            return super().values(signal, t)

    said = converse(driver(), simulator(bench=Lifted()), 60.0)
    _, flux, quality, lost = stream(said, "flux")
    light = stream(said, "backscatter")[2]
    condemned = light == INVALID
    assert (np.diff(condemned.astype(int)) != 0).sum() > 80
    assert np.array_equal(quality == INVALID, condemned)
    assert np.array_equal(np.isnan(flux), condemned)
    assert condemned.mean() == pytest.approx(0.4, abs=0.05)
    assert not stream(said, "cuff_pressure")[2].any()
    alarms = texts(said, "alarm")
    assert alarms[:2] == ["backscatter: low backscatter", "backscatter: a value again after low backscatter"]
    assert lost == 0


def test_two_flowmeters_each_have_their_own_companion():
    class Pair:
        def values(self, signal, t):
            return 100 + 0 * t

    wired = (
        entry(101, "flux", name="toe"), entry(102, "backscatter", name="toe_light"),
        entry(103, "flux", name="calf"), entry(104, "backscatter", name="calf_light"),
    )  # fmt: skip
    terminals = [
        {"input": 101, "signal": "flux", "profile": FLOWMETER},
        {"input": 102, "signal": "backscatter", "profile": FLOWMETER},
        {"input": 103, "signal": "flux", "profile": FLOWMETER},
    ]
    from msgspec import convert

    from simulators.keysight_daq import Terminal

    class Lit(Pair):
        def values(self, signal, t):
            return (60.0 if signal == "backscatter" else 100.0) + 0 * t

    said = converse(
        driver(wired=wired), simulator(bench=Lit(), terminals=convert(terminals, tuple[Terminal, ...])), 5.0
    )
    # Nothing is wired to 104: 0 V says that no probe is there.
    assert not stream(said, "toe")[2].any()
    assert (stream(said, "calf")[2] == INVALID).all()


def test_a_sweep_that_takes_longer_than_asked_is_said():
    said = converse(driver(interval=0.02), simulator(card="DAQM901A"), 20.0)
    warnings = texts(said, "warning")
    assert len(warnings) == 2
    assert "armature relays of the DAQM901A" in warnings[0]
    # Three channels at the 80 a second of armature relays, whatever the integration.
    assert "a sweep takes 0.0375" in warnings[1]
    assert "s and not the configured 0.02 s" in warnings[1]
    time, _, _, lost = stream(said, "flux")
    assert lost == 0
    assert len(time) > 400


@pytest.mark.parametrize(
    ("name", "channels", "interval", "card", "nplc"),
    [
        ("daq970a", 3, 0.05, "DAQM900A", "0.2"),
        ("daq970a", 2, 0.05, "DAQM900A", "1"),
        ("daq970a", 3, 0.05, "DAQM901A", "0.2"),
        ("daq970a", 3, 0.048, "DAQM901A", "0.06"),
        ("daq970a", 3, 0.048, "an unknown card", "0.06"),
        ("34970a", 3, 1.0, "34902A", "10"),
        ("34980a", 3, 0.012, "34925A", "0.06"),
        ("34465a", 1, 0.05, "", "2"),
    ],
)
def test_readings_integrate_as_long_as_the_interval_allows(name, channels, interval, card, nplc):
    wired = inputs(name)[:channels]
    said = converse(driver(name, wired, interval=interval), simulator(name, card=card), 30.0)
    written = [message.decode() for message in said.written]
    assert [re.split("[ ,\n]", m)[1] for m in written if "NPLC" in m] == [nplc]
    assert not any("a sweep takes" in text for text in texts(said, "warning"))
    time, _, _, lost = stream(said, "flux")
    assert lost == 0
    assert np.diff(time).mean() == pytest.approx(interval, abs=1e-5)
    (measured,) = [n.details for n in said.notices if "measured" in n.details]
    assert measured == {"asked": interval, "measured": pytest.approx(interval, abs=1e-4)}


def test_a_configured_integration_is_kept():
    said = converse(driver(interval=0.05, nplc=0.02), simulator(), 5.0)
    assert b"SENS:VOLT:DC:NPLC 0.02,(@101,102,103)\n" in said.written


def test_the_instrument_s_own_errors_are_passed_on():
    instrument = simulator()
    instrument._scpi._handlers.pop("TRIG:COUN")
    said = converse(driver(), instrument, 5.0)
    assert texts(said, "warning")[0] == "the instrument reports -113, Undefined header"


def test_overload_and_a_missing_probe_carry_no_value():
    instrument = simulator()
    instrument.fault("out-of-range", True)
    said = converse(unplugged(driver()), instrument, 5.0)
    assert (stream(said, "flux")[2] == INVALID | RANGE).all()
    instrument.fault("out-of-range", False)
    instrument.fault("detached", True)
    said = converse(driver(), instrument, 5.0, start=10.0)
    quality, flux = stream(said, "flux")[2], stream(said, "flux")[1]
    assert (quality[-50:] == INVALID).all()
    assert np.isnan(flux[-50:]).all()
    assert "flux: no probe" in texts(said, "alarm")


def test_a_recording_is_read_row_by_row_and_each_row_once():
    class Tape:
        channels = ("flux",)

        def rows(self, first, count, signal):
            if signal != "flux":
                raise KeyError(signal)
            return np.arange(300, dtype=float)[first : first + count]

        def values(self, signal, t):
            raise AssertionError

    instrument = simulator(bench=Tape())
    first = converse(driver(), instrument, 5.0)
    second = converse(driver(), instrument, 20.0, start=30.0)
    rows = np.concatenate([stream(first, "flux")[1], stream(second, "flux")[1]])
    steps = np.diff(rows)
    # The rows between the last answer and the farewell stay in the instrument.
    assert (steps >= 1 - 1e-6).all()
    assert (steps > 1.5).sum() <= 1
    assert rows[0] == pytest.approx(0.0, abs=0.11)
    assert rows[-1] == pytest.approx(299.0, abs=0.11)


def test_a_real_recording_passes_through_unchanged(tmp_path):
    _, flux, _ = recordings.finger("008_j1_1")
    file = tmp_path / "finger.csv"
    file.write_text("flux\n" + "".join(f"{value!r}\n" for value in flux.tolist()))
    bench = load([f"{file}:flux=101"], Room())
    said = converse(driver(interval=0.02, nplc=0.02), simulator(bench=bench), len(flux) * 0.02 + 5)
    values = stream(said, "flux")[1]
    assert len(values) == len(flux)
    # At 0.02 PLC the converter's step is 1 mV, 1 PU.
    assert np.abs(values - flux).max() <= 0.5 + 1e-6


def test_the_ledger_holds_what_was_sent():
    rows = []
    said = converse(driver(), simulator(ledger=rows.append), 10.0)
    for name in ("flux", "backscatter", "cuff_pressure"):
        sent = [r for r in rows if r["stream"] == name]
        time, values, *_ = stream(said, name)
        assert [r["values"][0] for r in sent][: len(values)] == values.tolist()
        assert [r["device_time"] for r in sent][: len(values)] == time.tolist()


@pytest.mark.parametrize("drift", [-80.0, 80.0])
def test_stamps_are_the_instrument_s_own(drift):
    said = converse(driver(), simulator(drift=drift), 600.0)
    time = stream(said, "flux")[0]
    assert time[-1] - time[0] == pytest.approx((len(time) - 1) * 0.05 * (1 + drift * 1e-6), abs=0.0011)


# --- configuration -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wired", "options", "words"),
    [
        ("daq970a", (), {}, "no input is configured"),
        ("daq970a", (entry(401, "flux"),), {}, "has no input 401"),
        ("daq970a", (entry("A", "flux"),), {}, "has no input A"),
        ("34980a", (entry(101, "flux"),), {}, "has no input 101"),
        ("34465a", (entry(101, "flux"),), {}, "has no input 101"),
        ("daq970a", inputs(), {"nplc": 0.5}, "integration time"),
        ("daq970a", inputs(), {"range": 5.0}, "no range"),
        ("daq970a", inputs(), {"interval": 0.0505}, "steps of 1 ms"),
        ("daq970a", inputs(), {"nplc": 10.0}, "at least 0.5 s"),
        ("daq970a", inputs(), {"binary": True}, "as text only"),
    ],
)
def test_what_the_instrument_cannot_do_is_refused(name, wired, options, words):
    with pytest.raises(ConfigurationError, match=words) as caught:
        driver(name, wired, **options)
    assert caught.value.where
    assert caught.value.remedy


def test_only_the_declared_messages_pass():
    host = driver()
    for allowed in (b"*IDN?\n", b"R? 399\n", b"INIT\n", b"TRIG:TIM 0.05\n"):
        assert any(query.fullmatch(allowed) for query in host.queries)
    for other in (
        b"*RST\n",
        b"R? 400\n",
        b"ROUT:SCAN (@104)\n",
        b"*IDN?\n*RST\n",
        b"TRIG:TIM 0.050\n",
        b"TRIG:TIM 0x05\n",
    ):
        assert not any(query.fullmatch(other) for query in host.queries)
