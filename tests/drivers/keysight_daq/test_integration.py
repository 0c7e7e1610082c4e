"""Integration times that an instrument refuses: what it reports counts, and no sample gets a time that it has not."""

import asyncio
import random

import pytest

from acquisition.device.bus import Bus
from acquisition.device.connection import DeviceContext, Expected
from acquisition.device.sequencer import InstrumentClocks, StreamSequencer
from acquisition.device.supervisor import Device, Patience, Supervisor
from acquisition.errors import ConfigurationError
from acquisition.model import Chunk, Event, Header, Quality
from acquisition.ports.memory import MemoryPort
from acquisition.timing.clock import Timeline
from simulators.simkit.conversation import converse
from tests import virtual
from tests.digitiser import driver, simulator
from tests.drivers.keysight_daq.said import stream, texts


class Meter:
    """A 34465A by its guide, written without a line of the driver or the simulator.

    It integrates over `has` periods of 50 Hz, refuses any other (-222) and stays as it was, and samples no faster than
    every max(SAMP:TIM, integration) s; SAMP:TIM? answers what was set. `deaf` refuses every change of NPLC, `false`
    reports what was asked for and stays as it was.
    """

    def __init__(self, has=(0.02, 0.06, 0.2, 1.0, 10.0, 100.0), deaf=False, false=False):
        self.false, self.said = false, 10.0
        self.has = () if deaf else has
        self.nplc, self.timer, self.zero = 10.0, 1.0, 1
        self.began, self.gone, self.faults = None, 0, []

    @property
    def period(self):
        return max(self.timer, self.nplc / 50.0 * (2 if self.zero else 1))

    def hear(self, message, at):
        header, _, value = message.decode().strip().partition(" ")
        match header:
            case "*IDN?":
                return "Keysight Technologies,34465A,MY0,A.03.01"
            case "CONF:VOLT:DC":
                self.nplc, self.zero = 10.0, 1
            case "SENS:VOLT:DC:ZERO:AUTO":
                self.zero = value == "ON"
            case "SENS:VOLT:DC:NPLC" if self.false:
                self.said = float(value)
            case "SENS:VOLT:DC:NPLC":
                if float(value) in self.has:
                    self.nplc = float(value)
                else:
                    self.faults.append('-222,"Data out of range"')
            case "SENS:VOLT:DC:NPLC?":
                return f"{self.said if self.false else self.nplc:+.8E}"
            case "SAMP:TIM":
                self.timer = float(value)
            case "SAMP:TIM?":
                return f"{self.timer:+.8E}"
            case "SYST:ERR?":
                return self.faults.pop(0) if self.faults else '+0,"No error"'
            case "*CLS":
                self.faults.clear()
            case "INIT":
                self.began, self.gone = at, 0
            case "ABOR":
                self.began = None
            case "STAT:QUES:COND?":
                return "+0"
            case "R?":
                due = 0 if self.began is None else int((at - self.began) / self.period) - self.gone
                n = min(due, int(value))
                self.gone += n
                payload = ",".join(["+1.00000000E-01"] * n)
                length = str(len(payload))
                return f"#{len(length)}{length}{payload}"
        return None


def run(meter, seconds, **options):
    """Everything published within so many seconds with the meter at the end of a link."""
    items = []

    async def body(loop):
        clock, timeline, bus = virtual.VirtualClock(loop), Timeline(1, 0, 10**18), Bus()
        bus.subscribe(items.append)
        built = driver("34465a", **options)
        context = {
            s.name: StreamSequencer(Header("box", s, "34465a", "", ""), timeline, InstrumentClocks(), built.silence)
            for s in built.streams
        }

        def plug(_):
            port = MemoryPort("box")

            def write(message):
                answer = meter.hear(message, loop.time())
                if answer is not None:
                    loop.call_later(0.002, lambda: port.feed(answer.encode() + b"\n", clock.now()))

            port.write = write
            return port

        device = Device(Expected("box"), lambda: driver("34465a", **options), plug, Patience(1.0))
        supervisor = Supervisor(device, DeviceContext(context), bus, clock, timeline, random.Random(1))
        task = asyncio.ensure_future(supervisor.run())
        await asyncio.sleep(seconds)
        supervisor.stop()
        await task

    virtual.run(body)
    return items


def chunks(items):
    return [item for item in items if isinstance(item, Chunk)]


@pytest.mark.parametrize("interval", [0.002, 0.05, 0.1, 0.5, 1.0, 5.0])
def test_a_34465a_that_refuses_what_it_has_not_gives_every_sample_its_time(interval):
    seconds = max(20.0, 12 * interval)
    items = run(Meter(), seconds, interval=interval)
    assert not [i for i in items if isinstance(i, Event) and i.kind in ("warning", "unfit")]
    found = chunks(items)
    assert sum(map(len, found)) == pytest.approx(seconds / interval, abs=1.0 / interval + 2)
    assert all(abs(int(c.time[-1]) - 10**18 - c.arrived.monotonic) < 1e9 + interval * 1e9 for c in found)
    assert not any(c.quality.any() for c in found)


@pytest.mark.parametrize("interval", [0.05, 0.1])
def test_a_meter_that_stays_at_ten_periods_is_told_and_nothing_good_has_a_wrong_time(interval):
    items = run(Meter(deaf=True), 20.0, interval=interval)
    assert not chunks(items)
    events = [item for item in items if isinstance(item, Event)]
    assert any("-222" in e.text for e in events if e.kind == "warning")
    assert any("integrates over 10 periods" in e.text for e in events if e.kind == "warning")
    lost = next(e for e in events if e.kind == "state" and e.details["state"] == "LOST")
    assert f"a sample every 0.2 s, {interval:g} s is configured" in lost.text.replace("0.1667", "0.2")
    assert "options.interval" in lost.text


@pytest.mark.parametrize("interval", [0.05, 0.1])
def test_a_meter_that_reports_what_it_does_not_do_is_found_by_the_clock(interval):
    items = run(Meter(false=True), 20.0, interval=interval)
    (told,) = [i for i in items if isinstance(i, Event) and i.kind == "warning"]
    assert "comes at " in told.text
    found = chunks(items)
    late = [c for c in found if c.time[-1] > told.time]
    assert all((c.quality == Quality.QUESTIONABLE).all() for c in late)
    assert (int(found[-1].time[-1]) - 10**18) / 1e9 == pytest.approx(20.0, abs=0.5)
    assert (told.time - 10**18) / 1e9 < 10.0


def test_a_refusal_that_still_keeps_the_interval_is_told_and_the_stream_goes_on():
    items = run(Meter(deaf=True), 60.0, interval=2.0)
    found = chunks(items)
    assert sum(map(len, found)) >= 28
    assert not any(c.quality.any() for c in found)


def test_the_instrument_s_own_timing_violation_makes_samples_questionable():
    meter = Meter()
    hear = meter.hear
    meter.hear = lambda message, at: "+4" if message == b"STAT:QUES:COND?\n" else hear(message, at)
    found = chunks(run(meter, 20.0, interval=0.05))
    assert all((c.quality == Quality.QUESTIONABLE).all() for c in found if c.arrived.seconds > 3.0)


def test_the_simulated_meter_refuses_as_the_real_one():
    said = converse(driver("34465a", nplc=0.001), simulator("34465a"), 10.0)  # it has no option DIG
    assert not said.readings
    assert b"INIT\n" not in said.written
    assert [n for n in said.notices if n.kind == "unfit"]


def test_a_scanner_that_integrates_longer_than_asked_is_told():
    instrument = simulator()
    instrument._scpi.on("[SENSe:]VOLTage[:DC]:NPLC", lambda _: None)
    said = converse(driver(interval=0.2), instrument, 10.0)
    assert not texts(said, "warning")
    said = converse(driver(interval=0.02), instrument, 10.0)
    assert any("the instrument integrates over 1 periods" in text for text in texts(said, "warning"))
    assert len(stream(said, "flux")[0])


@pytest.mark.parametrize(("name", "nplc"), [("34465a", 2.0), ("34465a", 20.0), ("34970a", 0.06), ("34980a", 0.001)])
def test_an_integration_time_that_the_model_has_not_is_refused(name, nplc):
    with pytest.raises(ConfigurationError, match="has no integration time"):
        driver(name, interval=10.0, nplc=nplc)


@pytest.mark.parametrize("nplc", [0.001, 0.002, 0.006])
def test_short_integrations_of_the_option_dig_may_be_configured(nplc):
    assert driver("34465a", interval=0.001, nplc=nplc).queries
