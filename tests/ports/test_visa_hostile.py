"""VISA peers that never end what they began: the session ends with its port, and leaves no thread and no descriptor."""

import asyncio
import contextlib
import gc
import itertools
import os
import socket
import struct
import threading
import time

import pytest

from acquisition.errors import LinkLost
from acquisition.ports import visa
from acquisition.ports.visa import VisaPort
from acquisition.timing.clock import Clock
from tests.ports.test_visa import Host

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

ROUNDS = 8


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(visa, "SLICE", 0.1)
    monkeypatch.setattr(visa, "GRACE", 0.4)


class Peer:
    """Serves each connection by `serve(connection)`, which may go on until the connection breaks."""

    def __init__(self, serve):
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._connections = []
        self._threads = [threading.Thread(target=self._accept, name="peer", daemon=True)]

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        for each in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                self._threads.append(threading.Thread(target=self._one, args=(connection,), name="peer", daemon=True))
                self._threads[-1].start()

    def _one(self, connection):
        with contextlib.suppress(OSError, struct.error), connection:
            self._serve(connection)


def drip(connection, data=b"x", pause=0.01):
    for byte in itertools.cycle(data):
        connection.sendall(bytes([byte]))
        time.sleep(pause)


def after_a_question(serve):
    def own(connection):
        connection.recv(100)
        serve(connection)

    return own


def exactly(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise OSError("gone")
        data += piece
    return data


def hislip(answer):
    """The opening of HiSLIP as an instrument has it, and then `answer(connection, message number)` to a message."""

    def serve(connection):
        while True:
            _, kind, _, parameter, length = struct.unpack("!2sBBIQ", exactly(connection, 16))
            exactly(connection, length)
            if kind == 0:  # Initialize
                connection.sendall(struct.pack("!2sBBIQ", b"HS", 1, 0, 0x0100_0001, 0))
            elif kind == 17:  # AsyncInitialize
                connection.sendall(struct.pack("!2sBBIQ", b"HS", 18, 0, 0x7878, 0))
            elif kind == 15:  # AsyncMaximumMessageSize
                connection.sendall(struct.pack("!2sBBIQQ", b"HS", 16, 0, 0, 8, 1 << 20))
            else:
                answer(connection, parameter)

    return serve


def pieces_for_ever(connection, number):
    """Data messages of one byte each, none of them the last."""
    while True:
        connection.sendall(struct.pack("!2sBBIQ", b"HS", 6, 0, number, 1) + b"x")
        time.sleep(0.01)


def somebody_elses(connection, number):
    """A message that is no answer to this one, without end."""
    connection.sendall(struct.pack("!2sBBIQ", b"HS", 6, 0, number ^ 0x1000, 10**12))
    drip(connection)


SOCKETS = {
    "a line without end": after_a_question(drip),
    "a block without end": after_a_question(lambda link: (link.sendall(b"#7"), link.sendall(b"9999999"), drip(link))),
    "a length without end": after_a_question(lambda link: drip(link, b"#9", 0.05)),
    "bytes before any question": drip,
}
HISLIPS = {"pieces for ever": hislip(pieces_for_ever), "somebody else's message": hislip(somebody_elses)}


def own_threads():
    return [each for each in threading.enumerate() if each.name.startswith("visa ")]


def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def end(condition, seconds=20.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, own_threads()
        time.sleep(0.02)


async def asked_and_closed(resource):
    """Ask, get nothing, close: what a connection does again and again."""
    port = VisaPort(resource, Clock())
    await port.open(Host())
    port.write(b"*IDN?\n")
    await asyncio.sleep(0.05)
    port.close()


async def ended(condition):
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(own_threads())


def resource(name, peer):
    kind = f"{peer.port}::SOCKET" if name in SOCKETS else f"hislip0,{peer.port}::INSTR"
    return f"TCPIP0::127.0.0.1::{kind}"


@pytest.mark.parametrize("name", [*SOCKETS, *HISLIPS])
def test_many_sessions_leave_no_thread_and_no_descriptor(name):
    most = []

    async def body(address):
        await asked_and_closed(address)
        await ended(lambda: not own_threads())
        before = descriptors()
        for _ in range(ROUNDS):
            await asked_and_closed(address)
            most.append(len(own_threads()))
        await ended(lambda: not own_threads())
        await ended(lambda: descriptors() <= before)

    with Peer({**SOCKETS, **HISLIPS}[name]) as peer:
        asyncio.run(body(resource(name, peer)))
    assert max(most) == 1


def test_an_answer_that_does_not_end_ends_the_session_by_itself(monkeypatch):
    monkeypatch.setattr(visa, "ANSWER", 0.2)
    monkeypatch.setattr(visa, "WHOLE", 0.3)

    async def body(address):
        port, host = VisaPort(address, Clock()), Host()
        await port.open(host)
        port.write(b"*IDN?\n")
        error = await host.next()
        assert isinstance(error, LinkLost)
        assert "an answer had not ended after" in str(error)

    with Peer(SOCKETS["a line without end"]) as peer:
        asyncio.run(body(resource("a line without end", peer)))
        end(lambda: not own_threads())


def test_while_a_session_does_not_end_the_next_one_is_refused_and_says_so(monkeypatch):
    """A call into a library that nothing interrupts."""
    monkeypatch.setattr(visa, "HANDOVER", 0.2)
    hanging = threading.Event()

    def session(*_):
        hanging.wait(30)
        raise TimeoutError("no answer")

    monkeypatch.setattr(visa, "_session", session)

    async def body():
        first = VisaPort("GPIB0::9::INSTR", Clock())
        opening = asyncio.create_task(first.open(Host()))
        await asyncio.sleep(0.05)
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await opening
        for _ in range(3):
            with pytest.raises(LinkLost, match="an earlier session has not ended"):
                await VisaPort("GPIB0::9::INSTR", Clock()).open(Host())
            assert len(own_threads()) == 1
        hanging.set()
        end(lambda: not own_threads())

    asyncio.run(body())


def test_a_farewell_is_sent_though_an_answer_was_on_its_way():
    said = []

    def serve(connection):
        while data := connection.recv(100):
            said.append(data)
            if b"?" in data:
                time.sleep(0.15)
                connection.sendall(b"an answer\n")

    async def body(address):
        port = VisaPort(address, Clock())
        await port.open(Host())
        port.write(b"*IDN?\n")
        await asyncio.sleep(0.05)
        port.write(b"ABOR\n")
        port.close()

    with Peer(serve) as peer:
        asyncio.run(body(f"TCPIP0::127.0.0.1::{peer.port}::SOCKET"))
        end(lambda: b"ABOR\n" in said)
        end(lambda: not own_threads())
