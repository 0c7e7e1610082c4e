"""VISA sessions over loopback against the simulated digitiser: whole answers, and every way to lose a link."""

import asyncio
import gc
import socket
import threading
import time

import pytest
import pyvisa

from acquisition.driverkit.driver import Serial
from acquisition.errors import LinkLost
from acquisition.ports import visa
from acquisition.ports.visa import VisaPort
from acquisition.timing.clock import Clock
from simulators.transports.cables import PtyCable, TcpCable
from simulators.transports.hislip import HislipCable
from simulators.transports.vxi11 import Vxi11Cable
from tests.digitiser import driver, plugged, simulator

# pyvisa-py leaves sockets for the garbage collector where HiSLIP and VXI-11 are refused.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

CABLES = {"hislip": HislipCable, "socket": TcpCable, "vxi11": Vxi11Cable}
PATIENCE = 60.0
"""Seconds for anything to come about."""
each = pytest.mark.parametrize("kind", sorted(CABLES))


class Host:
    """Receives, and can wait for what it receives."""

    def __init__(self):
        self.items = asyncio.Queue()

    def data(self, data, arrived):
        self.items.put_nowait((data, arrived))

    def lost(self, error):
        self.items.put_nowait(error)

    async def next(self):
        return await asyncio.wait_for(self.items.get(), PATIENCE)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """However busy the machine is, no answer is given up where that is not what the test is about."""
    monkeypatch.setattr(visa, "ANSWER", 20.0)
    monkeypatch.setattr(visa, "SLICE", 5.0)


@pytest.fixture
def hasty(patient, monkeypatch):
    monkeypatch.setattr(visa, "ANSWER", 1.0)
    monkeypatch.setattr(visa, "SLICE", 0.25)


@pytest.fixture(autouse=True)
def no_thread_stays():
    yield
    end = time.monotonic() + PATIENCE
    while own := [t for t in threading.enumerate() if t.name.startswith("visa ")]:
        assert time.monotonic() < end, own
        own[0].join(0.1)
    gc.collect()


def on_link(kind, script, **options):
    """Run script(port, host, instrument, cable) with an open session."""

    async def body():
        instrument, cable = simulator(**options), CABLES[kind]("127.0.0.1", 0)
        async with plugged(instrument, cable) as listen:
            port, host = VisaPort(listen["resource"], Clock()), Host()
            await port.open(host)
            try:
                await script(port, host, instrument, cable)
            finally:
                port.close()

    asyncio.run(body())


@each
def test_each_question_has_its_whole_answer_in_order(kind):
    async def script(port, host, instrument, cable):
        host_driver = driver()
        for message in host_driver._opening(0.02):
            port.write(message)
        port.write(b"*IDN?\n")
        port.write(b"SYST:ERR?\n")
        port.write(b"ROUT:SCAN?\n")
        port.write(b"INIT\n")
        port.write(b"R? 399\n")
        answers = [await host.next() for _ in range(4)]
        *first, block = [data for data, _ in answers]
        assert first == [
            b"Keysight Technologies,DAQ970A,SIM00001,A.02.02\n",
            b'+0,"No error"\n',
            b"#214(@101,102,103)\n",
        ]
        # On a slow computer readings of the sweep may be there already: a block, and whole.
        digits = int(block[1:2])
        assert len(block) == 2 + digits + int(block[2 : 2 + digits]) + 1
        assert block.endswith(b"\n")
        arrivals = [arrived.monotonic for _, arrived in answers]
        assert arrivals == sorted(arrivals)
        assert 0 <= time.monotonic_ns() - arrivals[-1] < 1e9

    on_link(kind, script)


def test_a_serial_session_reads_blocks_and_lines():
    async def body():
        cable = PtyCable(None, Serial(9600), paced=False)
        async with plugged(simulator(), cable) as listen:
            port, host = VisaPort(f"ASRL{listen['path']}::INSTR", Clock()), Host()
            await port.open(host)
            await asyncio.sleep(0.1)
            for message in (b"ROUT:SCAN (@101,102)\n", b"ROUT:SCAN?\n", b"*IDN?\n", b"SYST:ERR?\n"):
                port.write(message)
            answers = [(await host.next())[0] for _ in range(3)]
            assert answers == [
                b"#210(@101,102)\n",
                b"Keysight Technologies,DAQ970A,SIM00001,A.02.02\n",
                b'+0,"No error"\n',
            ]
            cable.unplug()
            port.write(b"*IDN?\n")
            assert isinstance(await host.next(), LinkLost)

    asyncio.run(body())


def test_a_block_that_a_slow_line_takes_seconds_for_comes_whole():
    async def body():
        instrument = simulator("34970a")
        instrument._scpi.on("BIG?", lambda _: b"#48000" + b"0123456789" * 800)
        line = Serial(57_600)
        async with plugged(instrument, PtyCable(None, line)) as listen:
            port, host = VisaPort(f"ASRL{listen['path']}::INSTR", Clock(), line), Host()
            await port.open(host)
            await asyncio.sleep(0.1)
            port.write(b"BIG?\n")
            data, _ = await host.next()
            assert data == b"#48000" + b"0123456789" * 800 + b"\n"
            port.close()

    asyncio.run(body())


def test_a_serial_session_is_set_as_the_driver_says():
    async def body():
        async with plugged(simulator("34970a"), PtyCable(None, Serial(19_200))) as listen:
            port, host = VisaPort(f"ASRL{listen['path']}::INSTR", Clock(), Serial(19_200)), Host()
            await port.open(host)
            await asyncio.sleep(0.1)
            port.write(b"*IDN?\n")
            assert (await host.next())[0] == b"Keysight Technologies,34970A,SIM00001,A.02.02\n"
            port.close()

    asyncio.run(body())


@each
def test_a_block_of_megabytes_comes_in_one_piece(kind):
    async def script(port, host, instrument, cable):
        instrument._scpi.on("BIG?", lambda _: b"#71999999" + b"a\n" * 999_999 + b"b")
        port.write(b"BIG?\n")
        data, _ = await host.next()
        assert len(data) == 9 + 1_999_999 + 1
        port.write(b"*IDN?\n")
        assert (await host.next())[0].startswith(b"Keysight")

    on_link(kind, script)


@each
def test_an_unplugged_link_is_lost_once_with_a_cause(kind):
    async def script(port, host, instrument, cable):
        port.write(b"*IDN?\n")
        await host.next()
        cable.unplug()
        port.write(b"*IDN?\n")
        error = await host.next()
        assert isinstance(error, LinkLost)
        assert "the session broke" in str(error)
        assert "check cable and power" in str(error)
        port.write(b"*IDN?\n")
        await asyncio.sleep(0)
        assert host.items.empty()

    on_link(kind, script)


@each
def test_an_answer_within_patience_is_taken_and_a_later_one_poisons_the_session(kind, monkeypatch):
    # VXI-11 has twice the slice for its first and only wait.
    monkeypatch.setattr(visa, "SLICE", 0.5)

    async def script(port, host, instrument, cable):
        instrument.answer_late(0.1, 3.0)
        port.write(b"*IDN?\n")
        assert (await host.next())[0].startswith(b"Keysight")
        monkeypatch.setattr(visa, "ANSWER", 0.5)
        asked = time.monotonic()
        port.write(b"SYST:ERR?\n")
        port.write(b"*ESE?\n")
        error = await host.next()
        assert "no answer within 0.5 s" in str(error)
        await asyncio.sleep(asked + 3.2 - time.monotonic())
        assert host.items.empty()

    on_link(kind, script)


@each
@pytest.mark.parametrize("keep", [1, 2, 5])
@pytest.mark.usefixtures("hasty")
def test_an_answer_cut_short_loses_the_link(kind, keep):
    async def script(port, host, instrument, cable):
        instrument.cut_answers(keep)
        port.write(b"ROUT:SCAN?\n")
        error = await host.next()
        assert isinstance(error, LinkLost)
        assert "no answer within" in str(error)

    on_link(kind, script)


@pytest.mark.parametrize("kind", ["hislip", "vxi11"])
@pytest.mark.usefixtures("hasty")
def test_a_block_shorter_than_it_announces_loses_the_link(kind):
    async def script(port, host, instrument, cable):
        instrument._scpi.on("BAD?", lambda _: b"#15abc")
        port.write(b"BAD?\n")
        assert "cut short after 7 bytes" in str(await host.next())

    on_link(kind, script)


@each
@pytest.mark.usefixtures("hasty")
def test_the_rest_of_an_answer_is_never_taken_for_a_whole_one(kind):
    async def script(port, host, instrument, cable):
        instrument.drip(30, 0.7)
        port.write(b"*IDN?\n")
        # A socket keeps what has come; elsewhere a time-out throws it away.
        item = await host.next()
        assert isinstance(item, LinkLost) or item[0] == b"Keysight Technologies,DAQ970A,SIM00001,A.02.02\n"

    on_link(kind, script)


@each
def test_dripping_answers_are_put_together(kind):
    async def script(port, host, instrument, cable):
        instrument.drip(9, 0.002)
        port.write(b"*IDN?\n")
        assert (await host.next())[0] == b"Keysight Technologies,DAQ970A,SIM00001,A.02.02\n"

    on_link(kind, script)


@pytest.mark.parametrize(
    "resource",
    [
        "TCPIP0::127.0.0.1::hislip0,{}::INSTR",
        "TCPIP0::127.0.0.1::{}::SOCKET",
        "TCPIP0::127.0.0.1,{}::inst0::INSTR",
    ],
)
def test_nobody_listening_fails_the_opening(resource):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = VisaPort(resource.format(free.getsockname()[1]), Clock())
        with pytest.raises(LinkLost, match=r"cannot be opened.*next: check its power"):
            asyncio.run(port.open(Host()))


@pytest.mark.usefixtures("hasty")
def test_a_silent_peer_is_given_up():
    async def body():
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = VisaPort(f"TCPIP0::127.0.0.1::{server.getsockname()[1]}::SOCKET", Clock())
            host = Host()
            await port.open(host)
            port.write(b"*IDN?\n")
            assert "no answer within 1 s" in str(await host.next())

    asyncio.run(body())


@pytest.mark.parametrize(("babble", "words"), [(b"7" * 1100, "no end after 1001"), (b"#9999999999", "999999999")])
def test_an_answer_without_an_end_ends_the_session(monkeypatch, babble, words):
    monkeypatch.setattr(visa, "LONGEST", 1000)

    async def body():
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = VisaPort(f"TCPIP0::127.0.0.1::{server.getsockname()[1]}::SOCKET", Clock())
            host = Host()
            await port.open(host)
            with server.accept()[0] as peer:
                port.write(b"*IDN?\n")
                peer.sendall(babble)
                assert words in str(await host.next())

    asyncio.run(body())


def test_a_misspelt_resource_says_so():
    port = VisaPort("TCPIP0::::nonsense", Clock())
    with pytest.raises(LinkLost, match="check the resource's spelling"):
        asyncio.run(port.open(Host()))


@each
def test_closing_never_blocks_and_sends_the_farewell(kind, monkeypatch):
    monkeypatch.setattr(visa, "SLICE", 1.0)

    async def script(port, host, instrument, cable):
        port.write(b"ROUT:SCAN (@101)\n")
        port.write(b"INIT\n")
        port.write(b"SYST:ERR?\n")
        await host.next()
        assert instrument.scan.started is not None
        instrument.answer_late(9.0)
        port.write(b"*IDN?\n")
        port.write(b"ABOR\n")
        before = time.monotonic()
        port.close()
        assert time.monotonic() - before < 0.5, "it waited for the answer, which takes a slice at least"
        for _ in range(int(PATIENCE / 0.05)):
            await asyncio.sleep(0.05)
            if instrument.scan.started is None:
                break
        assert instrument.scan.started is None
        assert host.items.empty()

    on_link(kind, script)


@each
def test_a_plain_client_gets_the_same_answers(kind):
    def client(resource):
        manager = pyvisa.ResourceManager("@py")
        session = manager.open_resource(resource, timeout=20_000, read_termination="\n", write_termination="\n")
        answers = [session.query("*idn?"), session.query("system:error?;:rout:scan:size?")]
        session.write("nonsense")
        answers.append(session.query("SYST:ERR?"))
        if "INSTR" in resource:
            session.clear()
            answers.append(session.query("*ESR?"))
            session.write("*OPC?")
            answers.append(str(session.read_stb()))
            answers.append(session.read())
        session.close()
        return answers

    async def body():
        async with plugged(simulator(), CABLES[kind]("127.0.0.1", 0)) as listen:
            return await asyncio.to_thread(client, listen["resource"])

    answers = asyncio.run(body())
    assert answers[:3] == [
        "Keysight Technologies,DAQ970A,SIM00001,A.02.02",
        '+0,"No error";+0',
        '-113,"Undefined header"',
    ]
    assert answers[3:] in ([], ["+160", "16", "1"])
