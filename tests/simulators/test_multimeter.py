"""The simulated multimeter's and scanners' commands beyond what the driver needs: what other clients set and ask."""

import pytest

from tests.digitiser import simulator

NO_ERROR = b'+0,"No error"\n'


class Bench:
    """A host with an instrument; each question is answered within a second."""

    def __init__(self, name="34465a"):
        self.instrument = simulator(name)
        self.at = 0.0

    def ask(self, *messages, seconds=1.0):
        for message in messages:
            self.instrument.receive(message.encode() + b"\n", self.at)
        self.at += seconds
        self.instrument.advance(self.at)
        return b"".join(self.instrument.to_send()).decode().strip()

    @property
    def errors(self):
        return self.ask("SYST:ERR?")


@pytest.mark.parametrize("message", ["CONF:VOLT:DC\t10", "CONF:VOLT:DC  \t 10 ", "\tCONF\t10\r"])
def test_any_white_space_parts_a_header_from_its_parameters(message):
    bench = Bench()
    bench.ask(message)
    assert bench.errors == NO_ERROR.decode().strip()
    assert bench.ask("CONF?") == '"VOLT +1.000000E+01,+1.000000E-06"'


@pytest.mark.parametrize(
    ("setting", "question", "answer"),
    [
        ("VOLT:DC:RANG:AUTO ON", "VOLT:DC:RANG:AUTO?", "1"),
        ("VOLT:DC:RANG 1", "VOLT:DC:RANG:AUTO?", "0"),
        ("VOLT:DC:RANG DEF", "VOLT:DC:RANG?", "+1.00000000E+01"),
        ("VOLT:DC:ZERO:AUTO ONCE", "VOLT:DC:ZERO:AUTO?", "0"),
        ("VOLT:DC:NPLC MIN", "VOLT:DC:NPLC?", "+2.00000000E-02"),
        ("VOLT:DC:APER 0.01", "VOLT:DC:APER?;APER:ENAB?", "+1.00000000E-02;1"),
        ("VOLT:DC:APER 0.01;NPLC 1", "VOLT:DC:APER?;APER:ENAB?", "+2.00000000E-02;0"),
        ("VOLT:DC:RES 1e-5", "VOLT:DC:NPLC?", "+2.00000000E-01"),
        ("SAMP:COUN MAX", "SAMP:COUN?", "+1000000000"),
        ("SAMP:COUN DEF", "SAMP:COUN? MAX", "+1000000000"),
        ('SENSE:FUNC "VOLT:DC"', "FUNCTION?", '"VOLT"'),
        ('DISPLAY:TEXT "Calf"', "DISP:TEXT?;STAT?", '"Calf";1'),
        ("DISP OFF", "DISP:STAT?", "0"),
        ("TRIG:DEL:AUTO 0", "TRIG:DEL:AUTO?", "0"),
        ("SAMP:COUN:PRET 10", "SAMP:COUN:PRET?", "+10"),
        ("*RST", "*OPT?;:SYST:LFR?", "0;+50"),
    ],
)
def test_what_is_set_is_told_again(setting, question, answer):
    bench = Bench()
    bench.ask(setting)
    assert bench.ask(question) == answer
    assert bench.errors == NO_ERROR.decode().strip()


@pytest.mark.parametrize("message", ['FUNC "RES"', "VOLT:DC:RANG? LEAST", "TRIG:COUN? 1,2"])
def test_what_it_cannot_be_is_an_error(message):
    bench = Bench()
    assert bench.ask(message) == ""
    assert bench.errors == '-224,"Illegal parameter value"'


def test_a_query_answers_for_each_channel_that_it_lists():
    bench = Bench("daq970a")
    bench.ask("CONF:VOLT:DC 1,(@101:103)")
    assert bench.ask("VOLT:DC:RANG? (@101,103)") == "+1.00000000E+00,+1.00000000E+00"
    assert bench.ask("FUNC? (@101:103)") == '"VOLT","VOLT","VOLT"'
    assert bench.ask("VOLT:DC:NPLC? MAX,(@101)") == "+2.00000000E+02"


def test_the_least_sample_timer_leaves_time_to_integrate():
    bench = Bench()
    bench.ask("VOLT:DC:NPLC 1;ZERO:AUTO OFF")
    assert 0.02 < float(bench.ask("SAMP:TIM? MIN")) < 0.0201
    assert bench.ask("SAMP:TIM MIN;TIM?") == bench.ask("SAMP:TIM? MIN")


@pytest.mark.parametrize("nplc", ["2", "20", "200", "0.05", "0.001"])
def test_an_integration_time_that_a_34465a_has_not_is_refused_and_changes_nothing(nplc):
    bench = Bench()
    bench.ask(f"*RST;:VOLT:DC:NPLC {nplc}")
    assert bench.errors == '-222,"Data out of range"'
    assert bench.ask("VOLT:DC:NPLC?") == "+1.00000000E+01"


@pytest.mark.parametrize(
    ("name", "nplcs", "usual"),
    [
        ("34465a", (0.02, 0.06, 0.2, 1, 10, 100), 10),
        ("34970a", (0.02, 0.2, 1, 2, 10, 20, 100, 200), 1),
        ("34980a", (0.02, 0.2, 1, 2, 10, 20, 100, 200), 1),
    ],
)
def test_each_model_has_the_integration_times_of_its_guide(name, nplcs, usual):
    bench = Bench(name)
    assert float(bench.ask("VOLT:DC:NPLC?")) == usual
    for nplc in nplcs:
        assert float(bench.ask(f"VOLT:DC:NPLC {nplc};:VOLT:DC:NPLC?")) == nplc
    assert bench.errors == NO_ERROR.decode().strip()


@pytest.mark.parametrize(("autozero", "least"), [("OFF", 0.2), ("ON", 0.4)])
def test_a_meter_never_samples_faster_than_it_integrates(autozero, least):
    bench = Bench()
    bench.ask(f"VOLT:DC:NPLC 10;ZERO:AUTO {autozero}", "SAMP:COUN 1000;SOUR TIM;TIM 0.05")
    assert bench.errors == '-221,"Settings conflict"'
    assert float(bench.ask("SAMP:TIM?")) == pytest.approx(least, abs=1e-3)
    bench.ask("INIT", seconds=20.0)
    assert bench.ask("DATA:POIN?", seconds=0.0) == f"+{int(20 / least)}"
    assert int(bench.ask("STAT:QUES:COND?")) & 4


def test_a_scanner_never_sweeps_faster_than_it_integrates():
    bench = Bench("daq970a")
    bench.ask("CONF:VOLT:DC 10,(@101:103)", "VOLT:NPLC 10,(@101:103)", "VOLT:ZERO:AUTO OFF,(@101:103)")
    bench.ask("TRIG:SOUR TIM;TIM 0.05;COUN INF", "INIT", seconds=60.0)
    assert int(bench.ask("DATA:POIN?", seconds=0.0)) <= 300


def test_readings_wait_for_a_trigger_of_the_bus():
    bench = Bench()
    bench.ask("CONF:VOLT:DC 10;:SAMP:COUN 3;:TRIG:SOUR BUS;COUN 2", "INIT")
    assert bench.ask("DATA:POIN?") == "+0"
    bench.ask("*TRG")
    assert bench.ask("DATA:POIN?") == "+3"
    bench.ask("*TRG")
    assert bench.ask("DATA:POIN?") == "+6"
    bench.ask("*TRG")
    assert bench.errors == '-211,"Trigger ignored"'


def test_read_would_wait_for_ever_for_a_trigger_of_the_bus():
    bench = Bench()
    assert bench.ask("TRIG:SOUR BUS;:READ?") == ""
    assert bench.errors == '-214,"Trigger deadlock"'


def test_any_scanner_may_be_asked_for_a_hundred_thousand_readings():
    bench = Bench("34970a")
    assert bench.ask("R? 100000") == "#10"
    assert bench.ask("R? 100001") == ""
    assert bench.errors == '-222,"Data out of range"'


def test_abort_ends_the_waiting_for_a_trigger():
    bench = Bench()
    bench.ask("TRIG:SOUR BUS", "INIT", "ABOR", "*TRG")
    assert bench.errors == '-211,"Trigger ignored"'


def test_fetch_answers_when_the_readings_are_all_there():
    bench = Bench("daq970a")
    bench.ask("CONF:VOLT:DC 10,(@101)", "TRIG:SOUR TIM;TIM 0.5;COUN 5", "INIT", seconds=0.0)
    assert bench.ask("FETC?", seconds=1.0) == ""
    assert len(bench.ask(seconds=2.0).split(",")) == 5
    assert len(bench.ask("FETC?", seconds=0.0).split(",")) == 5
