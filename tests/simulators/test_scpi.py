"""The SCPI core of simulated instruments, and the simulated digitiser's own commands."""

import numpy as np
import pytest

from simulators.transports.scpi import Complaint, Scpi, number, one, spellings
from tests.digitiser import simulator

NO_ERROR = b'+0,"No error"'


def core():
    scpi = Scpi(lambda: b"Maker,Model,SIM1,1.0")
    heard = []
    scpi.on("[SENSe:]VOLTage[:DC]:NPLC", lambda p: heard.append(("nplc", p)))
    scpi.on("[SENSe:]VOLTage[:DC]:RANGe", lambda p: heard.append(("range", p)))
    scpi.on("DISPlay:TEXT", lambda p: heard.append(("text", p)))
    scpi.on("TRIGger:COUNt", lambda p: heard.append(("count", number(one(p), 1, 100))))
    scpi.on("TRIGger:COUNt?", lambda _: b"+7")
    return scpi, heard


def test_every_spelling_of_a_header():
    assert set(spellings("[SENSe:]VOLTage[:DC]:NPLC?")) == {
        f"{sense}{volt}{dc}:NPLC?"
        for sense in ("SENS:", "SENSE:", "")
        for volt in ("VOLT", "VOLTAGE")
        for dc in ("", ":DC")
    }
    assert set(spellings("*IDN?")) == {"*IDN?"}


@pytest.mark.parametrize(
    "message",
    [
        b"SENS:VOLT:DC:NPLC 0.2", b"sense:voltage:dc:nplc 0.2", b":Volt:Nplc 0.2", b"VOLT:DC:NPLC  0.2",
        b"  SENSe:VOLT:NPLC 0.2 ",
    ],
)  # fmt: skip
def test_long_short_and_any_case(message):
    scpi, heard = core()
    assert scpi.execute(message) == b""
    assert heard == [("nplc", ["0.2"])]


@pytest.mark.parametrize("message", [b"SENSE:VOLTA:NPLC 1", b"SEN:VOLT:NPLC 1", b"VOLT:AC:NPLC 1", b"NPLC 1"])
def test_other_spellings_are_undefined(message):
    scpi, heard = core()
    scpi.execute(message)
    assert not heard
    assert scpi.execute(b"SYST:ERR?") == b'-113,"Undefined header"'
    assert scpi.execute(b"SYST:ERR?") == NO_ERROR


def test_the_path_goes_on_after_a_semicolon_and_ends_at_a_colon():
    scpi, heard = core()
    scpi.execute(b"VOLT:DC:NPLC 1;RANG 10;*ESE 4;NPLC 2;:TRIG:COUN 3")
    assert heard == [("nplc", ["1"]), ("range", ["10"]), ("nplc", ["2"]), ("count", 3.0)]
    assert scpi.execute(b"*ESE?;SYST:ERR?") == b"+4;" + NO_ERROR
    scpi.execute(b"VOLT:NPLC 1;TRIG:COUN 1")
    assert scpi.execute(b"SYST:ERR?") == b'-113,"Undefined header"'


def test_quotes_and_lists_keep_their_separators():
    scpi, heard = core()
    scpi.execute(b"DISP:TEXT 'a;b,c',\"it's\";TEXT (@101,102),5")
    assert heard == [("text", ["'a;b,c'", '"it\'s"']), ("text", ["(@101,102)", "5"])]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (b"TRIG:COUN", b'-109,"Missing parameter"'),
        (b"TRIG:COUN 1,2", b'-108,"Parameter not allowed"'),
        (b"TRIG:COUN 101", b'-222,"Data out of range"'),
        (b"TRIG:COUN x", b'-224,"Illegal parameter value"'),
        (b"TRIG:COUN\xff 1", b'-101,"Invalid character"'),
        (b"*ESE 256", b'-222,"Data out of range"'),
    ],
)
def test_errors_are_queued(message, error):
    scpi, heard = core()
    assert scpi.execute(message) == b""
    assert not heard
    assert scpi.execute(b"SYST:ERR:NEXT?") == error


def test_the_queue_holds_twenty_errors_and_says_that_more_were_lost():
    scpi, _ = core()
    for _ in range(25):
        scpi.execute(b"nonsense")
    answers = [scpi.execute(b"SYST:ERR?") for _ in range(21)]
    assert answers[:19] == [b'-113,"Undefined header"'] * 19
    assert answers[19:] == [b'-350,"Error queue overflow"', NO_ERROR]


def test_status_registers():
    scpi, _ = core()
    assert scpi.execute(b"*ESR?;*ESR?") == b"+128;+0"
    scpi.execute(b"nonsense")
    scpi.execute(b"TRIG:COUN 101")
    scpi.execute(b"*OPC")
    assert scpi.execute(b"*STB?") == b"+4"
    scpi.execute(b"*ESE 48;*SRE 32")
    assert scpi.execute(b"*STB?") == b"+100"
    assert scpi.execute(b"*ESR?") == b"+49"
    scpi.execute(b"*CLS")
    assert scpi.execute(b"*STB?;:SYST:ERR?") == b"+0;" + NO_ERROR
    scpi.questionable.set(4096, True)
    scpi.questionable.set(4096, False)
    assert scpi.execute(b"STAT:QUES:COND?;EVEN?;EVEN?") == b"+0;+4096;+0"
    scpi.questionable.set(4096, True)
    scpi.execute(b"STAT:QUES:ENAB 4096")
    assert scpi.execute(b"*STB?") == b"+8"
    scpi.power_on()
    assert scpi.execute(b"*ESE?;*SRE?;*ESR?;STAT:QUES:COND?") == b"+0;+0;+128;+0"


def test_an_infinite_count_reads_back_as_the_guide_prints_it():
    assert number("INF", 1, 9.9e37) == 9.9e37
    with pytest.raises(Complaint, match="-222"):
        number("INF", 1, 100)


# --- the digitiser ---------------------------------------------------------------------------------------------


class Desk:
    """A digitiser and its host; `ask` answers without the LF."""

    def __init__(self, name="daq970a", **options):
        self.instrument = simulator(name, **options)
        self.at = 0.0

    def ask(self, *messages):
        answers = []
        for message in messages:
            self.instrument.receive(message.encode() + b"\n", self.at)
            answers += [answer.removesuffix(b"\n").decode() for answer in self.instrument.to_send()]
        return answers[-1] if answers else None

    def wait(self, seconds):
        self.at += seconds
        return self

    def scan(self, timer=0.1, count="INF", *more):
        self.ask("CONF:VOLT:DC 10,(@101:103)", "VOLT:NPLC 0.02,(@101:103)", "TRIG:SOUR TIM")
        self.ask(f"TRIG:TIM {timer}", f"TRIG:COUN {count}", "FORM:READ:TIME ON", "FORM:READ:TIME:TYPE REL")
        self.ask("FORM:READ:CHAN ON", *more, "INIT")
        assert self.ask("SYST:ERR?") == NO_ERROR.decode()
        return self


def test_the_scan_list_is_a_block_in_ascending_order():
    desk = Desk()
    desk.ask("ROUT:SCAN (@103,101,102)")
    assert desk.ask("ROUT:SCAN?") == "#214(@101,102,103)"
    assert desk.ask("ROUTE:SCAN:SIZE?") == "+3"
    desk.ask("ROUT:SCAN (@)")
    assert desk.ask("ROUT:SCAN?") == "#13(@)"


def test_readings_are_erased_oldest_first():
    desk = Desk().scan()
    assert desk.ask("R? 3") == "#10"
    desk.wait(0.25)
    assert desk.ask("DATA:POIN?") == "+9"
    first = desk.ask("R? 2")
    assert first[:4] == "#265"
    assert first.split(",")[1:] == ["00000000.000", "101", "+3.00000000E+00", "00000000.002", "102"]
    assert desk.ask("DATA:POIN?") == "+7"
    assert desk.ask("DATA:REM? 8") is None
    assert desk.ask("SYST:ERR?") == '-222,"Data out of range"'
    assert desk.ask("DATA:REM? 1").endswith("00000000.004,103")
    assert desk.ask("R? 100000").count(",") == 6 * 3 - 1
    assert desk.ask("R?") == "#10"
    assert desk.ask("R? 0;:SYST:ERR?") == '-222,"Data out of range"'


def test_two_fields_and_the_other_formats():
    desk = Desk().scan(0.37, "INF", "FORM:READ:CHAN OFF")
    desk.wait(0.38)
    desk.ask("R? 3")
    assert desk.ask("R? 1") == "#228" + flux_volts(0.37) + ",00000000.370"
    desk = Desk().scan(0.5, "INF", "FORM:READ:TIME:TYPE ABS", "FORM:READ:CHAN OFF").wait(0.6)
    assert desk.ask("R? 1").split(",")[1:] == ["2025", "01", "01", "00", "00", "00.000"]
    desk = Desk().scan(0.5, "INF", "FORM:READ:UNIT ON", "FORM:READ:ALAR ON").wait(0.6)
    assert desk.ask("R? 1").endswith(" VDC,00000000.000,101,0")


def flux_volts(at):
    volts = (100 + 20 * np.sin(at)) * 1e-3
    return f"{round(volts / 1e-3) * 1e-3:+.8E}"


def test_a_finite_scan_ends():
    desk = Desk().scan(0.1, 5)
    assert desk.ask("STAT:OPER:COND?") == "+16"
    desk.wait(10)
    assert desk.ask("DATA:POIN?") == "+15"
    assert desk.ask("STAT:OPER:COND?") == "+512"
    assert desk.ask("*OPC?") == "1"


def test_an_endless_scan_is_never_complete():
    desk = Desk().scan()
    assert desk.ask("TRIG:COUN?") == "+9.90000000E+37"
    assert desk.ask("*OPC?") is None
    assert desk.ask("INIT;:SYST:ERR?") == '-213,"Init ignored"'
    desk.ask("ABOR")
    assert desk.ask("*OPC?") == "1"


@pytest.mark.parametrize(("name", "bit"), [("daq970a", 4096), ("34970a", 4096), ("34465a", 16384)])
def test_memory_overflows_without_an_error_and_only_init_clears_the_bit(name, bit):
    desk = Desk(name, memory=10)
    if name == "34465a":
        desk.ask("VOLT:NPLC 1", "SAMP:SOUR TIM", "SAMP:TIM 0.1", "SAMP:COUN 1000", "INIT")
    else:
        desk.scan()
    desk.wait(5)
    assert desk.ask("DATA:POIN?") == "+10"
    assert desk.ask("STAT:QUES:COND?") == f"+{bit}"
    assert desk.ask("SYST:ERR?") == NO_ERROR.decode()
    desk.ask("R?")
    assert desk.ask("STAT:QUES:COND?") == f"+{bit}"
    desk.ask("ABOR", "INIT")
    assert desk.ask("STAT:QUES:COND?") == "+0"


def test_a_scan_longer_than_its_timer_is_accepted_silently():
    desk = Desk(card="DAQM901A").scan(0.02)
    desk.wait(1.0)
    stamps = [float(field) for field in desk.ask("R?").split(",")[1::9]]
    assert np.diff(stamps) == pytest.approx(3 / 80, abs=0.0011)


def test_conf_resets_trigger_and_format():
    desk = Desk()
    desk.ask("TRIG:TIM 0.02", "TRIG:COUN INF", "FORM:READ:TIME ON", "CONF:VOLT:DC 10,(@101)")
    assert desk.ask("TRIG:TIM?;COUN?;:FORM:READ:TIME?") == "+0.00000000E+00;+1.00000000E+00;0"
    big = Desk("34980a")
    big.ask("ROUT:SCAN (@1001)", "CONF:VOLT:DC 10,(@1002)")
    assert big.ask("ROUT:SCAN?") == "#17(@1001)"
    assert big.ask("TRIG:TIM?") == "+1.00000000E+00"
    big.ask("ROUT:SCAN:ADD (@1002)")
    assert big.ask("ROUT:SCAN?") == "#212(@1001,1002)"
    desk.ask("ROUT:SCAN:ADD (@102)")
    assert desk.ask("SYST:ERR?") == '-113,"Undefined header"'


def test_small_queries():
    desk = Desk()
    assert desk.ask("*IDN?") == "Keysight Technologies,DAQ970A,SIM00001,A.02.02"
    assert desk.ask("SYST:CTYP? 100") == "Keysight Technologies,DAQM900A,SIM00001,1.00"
    assert desk.ask("SYST:CTYP? 200") == "Keysight Technologies,0,0,0"
    desk.wait(3661.5).scan()
    assert desk.ask("SYST:TIME:SCAN?") == "2025,01,01,01,01,01.500"
    assert desk.wait(2).ask("SYST:TIME?") == "01,01,03.500"
    assert desk.ask("SYST:DATE?") == "2025,01,01"
    desk.ask("ABOR")
    assert desk.ask("DIAG:DMM:CYCL?") == "+60,+0,+0"
    assert Desk("34465a").ask("SAMP:COUN?") == "+1"
    assert Desk("34465a").ask("VOLT:APER:ENAB?") == "0"


def test_one_measurement_is_answered_when_it_is_done():
    desk = Desk("34465a")
    assert desk.ask("MEAS:VOLT:DC? DEF,DEF") is None
    assert desk.instrument.deadline() == pytest.approx(0.4, abs=1e-3)  # 10 PLC at 50 Hz, with autozero
    desk.instrument.advance(0.5)
    volts = float(desk.instrument.to_send()[0])
    assert volts == pytest.approx(0.1, abs=1e-4)
    assert desk.ask("SYST:ERR?") == NO_ERROR.decode()


def test_read_takes_what_is_set_up_and_fetch_has_it_again():
    desk = Desk()
    desk.ask("CONF:VOLT:DC 10,(@101,102)", "READ?")
    desk.wait(0.1).instrument.advance(0.1)
    (first,) = desk.instrument.to_send()
    flux, backscatter = map(float, first.split(b","))
    assert (flux, backscatter) == (pytest.approx(0.1, abs=1e-3), pytest.approx(3.0, abs=1e-3))
    assert desk.ask("FETC?").encode() + b"\n" == first
    desk.ask("TRIG:COUN INF", "READ?")
    assert desk.ask("SYST:ERR?") == '-221,"Settings conflict"'
    assert desk.ask("FETC?") is None
    assert desk.ask("SYST:ERR?") == '-230,"Data stale"'


def test_binary_answers_are_definite_blocks_and_those_of_read_indefinite_ones():
    desk = Desk("34465a")
    desk.ask("FORM:DATA REAL,64", "VOLT:NPLC 1", "SAMP:SOUR TIM", "SAMP:TIM 0.1", "SAMP:COUN 3")
    assert desk.ask("FORM?;FORM:BORD?") == "REAL,+64;NORM"
    desk.instrument.receive(b"READ?\n", 0.0)
    desk.instrument.advance(1.0)
    (read,) = desk.instrument.to_send()
    assert read[:2] == b"#0"
    desk.instrument.receive(b"FORM:BORD SWAP;:R?\n", 1.0)
    (block,) = desk.instrument.to_send()
    assert block[:4] == b"#224"
    assert np.frombuffer(block[4:-1], "<f8").tolist() == np.frombuffer(read[2:-1], ">f8").tolist()
    assert desk.ask("FORM:DATA REAL,32", "SYST:ERR?") == '-224,"Illegal parameter value"'


def test_the_memory_threshold_sets_its_bit():
    desk = Desk()
    desk.ask("DATA:POIN:EVEN:THR 6")
    desk.scan().wait(0.15)
    assert desk.ask("STAT:OPER:COND?") == str(f"+{16 + 512}")
    desk.ask("R?")
    assert desk.ask("STAT:OPER:COND?") == "+16"
    assert desk.ask("DATA:POIN:EVEN:THR?") == "+6"


def test_a_question_before_the_answer_interrupts_it():
    desk = Desk()
    desk.instrument.answer_late(1.0)
    assert desk.ask("*IDN?") is None
    assert desk.instrument.deadline() == 1.0
    assert desk.ask("SYST:ERR?") == '-410,"Query INTERRUPTED"'
    desk.instrument.advance(2.0)
    assert desk.instrument.to_send() == []


def test_power_loss_forgets_all_but_the_clock():
    desk = Desk().scan()
    desk.ask("*ESE 77")
    desk.wait(5)
    desk.instrument.reset(desk.at)
    assert desk.ask("*ESE?;*ESR?;:DATA:POIN?;:STAT:OPER:COND?") == "+0;+128;+0;+0"
    assert desk.ask("ROUT:SCAN?") == "#13(@)"
    assert desk.ask("SYST:TIME?") == "00,00,05.000"


def test_volts_are_quantised_and_overload_beyond_the_range():
    desk = Desk().scan().wait(10)
    volts = np.array([float(field) for field in desk.ask("R?").partition("+")[2].split(",")[::3]])
    assert np.allclose(volts, np.rint(volts / 1e-3) * 1e-3, atol=1e-12)
    desk.instrument.fault("out-of-range", True)
    desk.wait(1)
    assert desk.ask("R? 1")[4:].startswith("+9.90000000E+37")
