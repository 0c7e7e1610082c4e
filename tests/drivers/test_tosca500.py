"""The TOSCA 500 drivers against the bytes of the operator's manual, damage, and their simulators."""

import numpy as np
import pytest

from acquisition.driverkit.driver import Setup
from acquisition.model import Notice, Quality, Readings
from drivers.tosca500 import MMHG_PER_KPA, STATUS, VALUES, Options, Record, State, Tosca500, Value
from drivers.tosca500_csv import Heading, Row, Tosca500Csv, decode
from drivers.tosca500_csv import Options as CsvOptions
from simulators.patient.physiology import Participant
from simulators.simkit.conversation import converse
from simulators.simkit.instrument import Plan
from simulators.tosca500 import Options as Habits
from simulators.tosca500 import Tosca500 as Monitor
from simulators.tosca500_csv import Options as CsvHabits
from simulators.tosca500_csv import Tosca500Csv as Streamer

# Operator's manual, p. 108; `_` of the manual stands for a blank.
STATUS_BYTES = bytes.fromhex("0D 0A 30 30 30 30 0D 0A 5B 30 30 20 3E 4E 20 4E 44 5D 0D 0A 24")
LINES = [
    (b"00[PCO2(tc43.0) >2 N PCO2=078mmHg > N ]", Value("PCO2", 2, "N", "078", "mmHg", "N", "43.0"), 78.0),
    (b"00[PCO2(tc43.0) >2 N PCO2=10.4kPa > N ]", Value("PCO2", 2, "N", "10.4", "kPa", "N", "43.0"), 10.4),
    (b"00[PCO2(tc43.0) >2 A PCO2=EEEmmHg > S ]", Value("PCO2", 2, "A", "EEE", "mmHg", "S", "43.0"), np.nan),
    (b"00[PCO2(tc43.0) >2 F PCO2=EE.EkPa > N ]", Value("PCO2", 2, "F", "EE.E", "kPa", "N", "43.0"), np.nan),
    (b"00[SPO2 >3 N SPO2=078PERCNT > N ]", Value("SPO2", 3, "N", "078", "PERCNT", "N"), 78.0),
    (b"00[PR >4 N PR=088BPM > N ]", Value("PR", 4, "N", "088", "BPM", "N"), 88.0),
    (b"00[HPWR >5 N HPWR=0589mW > N ]", Value("HPWR", 5, "N", "0589", "mW", "N"), 589.0),
]
RECORD = b"\r\n" + b"\r\n".join([LINES[0][0], *(line for line, _, _ in LINES[4:])]) + b"\r\n$"
# Operator's manual, p. 103: columns 6 to 12; columns 1 to 5 by analogy.
HEADING = b"Time,PCO2[mmHg]030:060,PCO2s,SpO2[%]085:100,SpO2s,"
HEADING += b"PR[bpm]050:150,PRs,HPWR[mW]256,Perf.Index[%],Temp[C]42.0,Timer,Mode,"
ROW = b"12:00:00,041,N,097,N,087,N,252,12.3,41.9,02:15,M,"
GOOD, INVALID, RANGE = Quality.GOOD, Quality.INVALID, Quality.RANGE


def asking(**options):
    built = Tosca500(Setup("tosca500", Options(9600, **options)))
    built.start(0.0)
    return built


def said(built, data, at=0.1):
    return list(built.receive(data, at))


def readings(items):
    return [item for item in items if isinstance(item, Readings)]


def test_requests_are_those_of_the_manual():
    assert STATUS.encode() == bytes.fromhex("0D 0A 30 31 24")
    assert VALUES.encode() == bytes.fromhex("0D 0A 30 32 24")


@pytest.mark.parametrize("before", [b"junk", b"\r\n99", b"$$", b"02$", b"\r"])
def test_the_simulated_monitor_hears_a_request_behind_noise(before):
    monitor = Monitor(Plan("tosca500", Participant("healthy", "rest", 1), Habits()))
    monitor.receive(before + b"\r\n01$", 0.0)
    monitor.advance(1.0)
    assert monitor.to_send() == [b"\r\n0000\r\n[00 >N ND]\r\n$"]


def test_the_status_record_is_that_of_the_manual():
    assert Record.decode(STATUS_BYTES) == Record((State("N"),))
    assert Record((State("N"),)).encode() == STATUS_BYTES


@pytest.mark.parametrize(("line", "value", "number"), LINES)
def test_each_line_of_a_value_record_is_read_and_written(line, value, number):
    record = Record.decode(b"\r\n0000\r\n" + line + b"\r\n$")
    assert record == Record((value,))
    assert record.lines[0].value == pytest.approx(number, nan_ok=True)
    assert value.encode() == line


def test_a_round_asks_for_state_and_values_and_gives_a_sample():
    built = asking()
    assert built.to_send() == [STATUS.encode()]
    (state,) = said(built, STATUS_BYTES)
    assert state.details == {"first": "N", "second": ""}
    assert built.to_send() == [VALUES.encode()]
    setting, sample = said(built, RECORD)
    assert setting.details == {"temperature": 43.0}
    assert sample.values.tolist() == [[78.0, 78.0, 88.0, 589.0]]
    assert not sample.quality.any()
    assert built.deadline() == 1.0


def test_kilopascals_are_recorded_as_millimetres_of_mercury():
    built = asking()
    said(built, STATUS_BYTES)
    *_, sample = said(built, RECORD.replace(b"078mmHg", b"10.4kPa"))
    assert sample.values[0, 0] == pytest.approx(10.4 * MMHG_PER_KPA)
    assert abs(MMHG_PER_KPA * 133.322387415 / 1000 - 1) < 1e-6


@pytest.mark.parametrize(("old", "new", "quality"), [
    (b"078mmHg", b"EEEmmHg", INVALID),
    (b">2 N", b">2 F", Quality.QUESTIONABLE),
    (b">2 N", b">2 A", GOOD),
    (b"078mmHg", b"450mmHg", RANGE),
    (b"078mmHg", b"078BPM", INVALID),
])  # fmt: skip
def test_what_is_known_against_a_value_is_kept_with_it(old, new, quality):
    built = asking()
    said(built, STATUS_BYTES)
    items = said(built, RECORD.replace(old, new))
    (sample,) = readings(items)
    assert sample.quality[0].tolist() == [quality, 0, 0, 0]
    assert np.isnan(sample.values[0, 0]) == (quality == INVALID)
    assert ("alarm" in {item.kind for item in items if isinstance(item, Notice)}) == (new in (b">2 F", b">2 A"))


@pytest.mark.parametrize(("letter", "quality"), [("C", Quality.CALIBRATING), ("U", Quality.QUESTIONABLE)])
def test_the_second_letter_of_the_state_marks_every_value(letter, quality):
    built = asking()
    said(built, Record((State("N", letter),)).encode())
    *_, sample = said(built, RECORD)
    assert sample.quality[0].tolist() == [quality] * 4


def test_an_answer_that_does_not_come_is_a_sample_lost():
    built = asking()
    said(built, STATUS_BYTES)
    built.poll(1.1)
    built.poll(built.deadline())
    said(built, STATUS_BYTES)
    (sample,) = readings(said(built, RECORD))
    assert sample.lost == 1


@pytest.mark.parametrize("message", [
    RECORD, b"\r\n0000\r\n$", b"$", STATUS_BYTES.replace(b"ND", b"NX"), STATUS_BYTES.replace(b">N", b">X"),
])  # fmt: skip
def test_an_answer_that_is_none_to_the_question_is_noise(message):
    built = asking()
    (notice,) = said(built, message)
    assert notice.kind == "noise"
    assert built.to_send() == [STATUS.encode()]


def test_a_record_with_a_damaged_line_is_not_taken_at_all():
    built = asking()
    said(built, STATUS_BYTES)
    (notice,) = said(built, RECORD.replace(b"SPO2=078", b"SPO2=0%8"))
    assert notice.kind == "noise"
    assert readings(said(built, RECORD))


def test_hardware_handshake_is_on_unless_the_entry_says_otherwise():
    assert asking().serial.handshake == "rts-cts"
    assert asking(handshake="none").serial.handshake == "none"


def test_neither_driver_claims_oxygen():
    for built in (asking(), streaming()):
        names = {channel.name for stream in built.streams for channel in stream.channels}
        assert not [name for name in names if "po2" in name and name != "spo2"]
        assert "tcpco2" in names


def streaming(unit="mmHg"):
    return Tosca500Csv(Setup("tosca500-csv", CsvOptions(9600, unit)))


def test_the_heading_and_the_data_line_are_read_and_written():
    assert isinstance(decode(HEADING), Heading)
    assert decode(HEADING).encode() == HEADING
    assert decode(HEADING).unit == "mmHg"
    row = decode(ROW)
    assert isinstance(row, Row)
    assert row.encode() == ROW


@pytest.mark.parametrize("end", [b"\r\n", b"\r", b"\n"])
def test_a_line_is_a_sample_whatever_ends_it(end):
    *_, sample = said(streaming(), HEADING + end + ROW + end)
    assert sample.values.tolist() == [[41.0, 97.0, 87.0, 252.0, 12.3, 41.9, 135.0]]
    assert not sample.quality.any()


@pytest.mark.parametrize(("old", "new", "column"), [
    (b"041,N", b"---,N", 0), (b"087,", b"---,", 2), (b"252,", b"---,", 3), (b"12.3,", b"--.-,", 4),
    (b"41.9,", b"--.-,", 5),
])  # fmt: skip
def test_dashes_are_no_value(old, new, column):
    *_, sample = said(streaming(), ROW.replace(old, new) + b"\r\n")
    assert np.flatnonzero(np.isnan(sample.values[0])).tolist() == [column]
    assert np.flatnonzero(sample.quality[0]).tolist() == [column]


@pytest.mark.parametrize(("mode", "quality"), [
    (b"M", GOOD), (b"C", Quality.CALIBRATING), (b"R", Quality.QUESTIONABLE), (b"?", Quality.QUESTIONABLE),
])  # fmt: skip
def test_the_mode_marks_every_value(mode, quality):
    *_, sample = said(streaming(), ROW[:-2] + mode + b",\r\n")
    assert set(sample.quality[0].tolist()) == {quality}


def test_alarms_are_told_when_they_change():
    built = streaming()
    said(built, ROW + b"\n")
    alarm, _ = said(built, ROW.replace(b"087,N", b"087,A").replace(b"12:00:00", b"12:00:01") + b"\n")
    assert (alarm.kind, alarm.details) == ("alarm", {"name": "PR", "letter": "A"})
    again = ROW.replace(b"087,N", b"087,A").replace(b"12:00:00", b"12:00:02")
    assert [type(item) for item in said(built, again + b"\n")] == [Readings]
    over, _ = said(built, ROW.replace(b"12:00:00", b"12:00:03") + b"\n")
    assert over.kind == "state"


def test_another_unit_than_the_entrys_is_an_alarm_and_not_recorded():
    built = streaming("kPa")
    items = said(built, HEADING + b"\n" + ROW + b"\n")
    assert "alarm" in [item.kind for item in items if isinstance(item, Notice)]
    (sample,) = readings(items)
    assert np.isnan(sample.values[0, 0])
    assert sample.quality[0].tolist() == [INVALID] + [0] * 6


@pytest.mark.parametrize("line", [
    ROW[:-1], b"," + ROW, ROW.replace(b"087", b"0x7"), ROW.replace(b"02:15", b"02:75"), ROW.replace(b",M,", b",X,"),
    ROW.replace(b"087,N", b"087,Q"), b"x" + ROW, b"\xff" * 400,
])  # fmt: skip
def test_a_line_with_a_field_that_cannot_be_is_noise_and_the_next_is_taken(line):
    built = streaming()
    assert {item.kind for item in said(built, line + b"\r\n")} == {"noise"}
    assert readings(said(built, ROW + b"\r\n"))


@pytest.mark.parametrize(("built", "monitor", "habits"), [
    (lambda: asking(), Monitor, Habits()),
    (lambda: asking(), Monitor, Habits("kPa")),
    (lambda: streaming(), Streamer, CsvHabits()),
    (lambda: streaming("kPa"), Streamer, CsvHabits("kPa")),
])  # fmt: skip
def test_a_fallen_sensor_an_alarm_and_values_out_of_range_are_seen(built, monitor, habits):
    instrument = monitor(Plan("", Participant("healthy", "rest", 1), habits))
    driver = built()
    driver.to_send()
    at = 0.0
    for kind, expected in (("detached", INVALID), ("out-of-range", RANGE), ("alarm", GOOD)):
        instrument.fault(kind, True)
        heard = converse(driver, instrument, 10.0, start=at)
        instrument.fault(kind, False)
        at += 20.0
        assert heard.readings[-1].quality[0, 0] == expected
        assert ("alarm" in {notice.kind for notice in heard.notices}) == (kind == "alarm")
    assert not instrument.fault("counter-wrap", True)


def lines_at(*seconds, interval=1.0):
    """What a driver says of lines that are alike but for the second of their time, each arriving at its own instant."""
    built = Tosca500Csv(Setup("tosca500-csv", CsvOptions(9600, "mmHg", interval=interval)))
    heard = []
    for second, at in seconds:
        row = ROW.replace(ROW.split(b",")[0], b"23:59:%02d" % second)
        heard += [
            item for item in built.receive(row + b"\r\n", at) if isinstance(item, Readings) or item.kind == "noise"
        ]
    return heard


def test_a_line_that_came_twice_is_not_taken_again():
    _, second, third = lines_at((10, 0.0), (10, 0.1), (11, 1.0))
    assert second.text == "a line that came twice"
    assert (third.lost, third.quality.any()) == (0, False)


def test_lines_in_the_wrong_order_are_a_lost_one_and_noise():
    _, second, third, fourth = lines_at((10, 0.0), (12, 2.0), (11, 2.0), (13, 3.0))
    assert (second.lost, fourth.lost) == (1, 0)
    assert third.text == "a line out of order"


def test_lines_that_did_not_come_are_counted():
    assert [reading.lost for reading in lines_at((10, 0.0), (11, 1.0), (15, 5.0), (17, 7.0))] == [0, 0, 3, 1]
    assert [reading.lost for reading in lines_at((10, 0.0), (12, 2.0), interval=2.0)] == [0, 0]


def test_lines_that_were_held_back_are_questionable_until_they_are_in_time_again():
    heard = lines_at((10, 0.0), (11, 3.5), (12, 3.5), (13, 3.5), (14, 4.0))
    assert [bool(reading.quality.any()) for reading in heard] == [False, True, True, False, False]


def test_a_clock_that_is_set_forward_or_back_is_followed():
    assert [reading.lost for reading in lines_at((10, 0.0), (50, 1.0), (51, 2.0), (5, 3.0), (6, 4.0))] == [0] * 5


def test_another_line_of_the_same_second_is_questionable_and_told():
    built = streaming()
    said(built, ROW + b"\r\n")
    warning, sample = said(built, ROW.replace(b"041,N", b"062,N") + b"\r\n")
    assert (warning.kind, "another monitor's" in warning.text) == ("warning", True)
    assert set(sample.quality[0].tolist()) == {int(Quality.QUESTIONABLE)}
