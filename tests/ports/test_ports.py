"""Real pseudo-terminals and sockets: bytes both ways, and every way a link fails, each with its message."""

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import termios
import threading

import pytest

from acquisition.driverkit.driver import Serial
from acquisition.errors import ForbiddenWrite, LinkLost
from acquisition.ports import Guard
from acquisition.ports.memory import MemoryPort
from acquisition.ports.readers import Readers
from acquisition.ports.serial import SerialPort, holders_of
from acquisition.ports.tcp import TcpPort
from acquisition.timing.clock import Clock

LINE = Serial(115200)


class Ear:
    """Collects what a port hands over; `heard` waits for a number of bytes, `gone` for the loss."""

    def __init__(self):
        self.bytes = b""
        self.errors = []
        self._news = asyncio.Event()

    def data(self, data, arrived):
        assert arrived.monotonic > 0
        self.bytes += data
        self._news.set()

    def lost(self, error):
        self.errors.append(error)
        self._news.set()

    async def until(self, condition):
        async with asyncio.timeout(60):
            while not condition():
                self._news.clear()
                await self._news.wait()


@pytest.fixture
def pty():
    master, slave = os.openpty()
    os.set_blocking(master, True)
    yield master, os.ttyname(slave)
    for fd in (master, slave):
        with contextlib.suppress(OSError):  # the test closed it to pull the plug
            os.close(fd)


def test_a_serial_line_carries_every_byte_both_ways(pty):
    master, name = pty
    every = bytes(range(256))

    async def body():
        port, ear = SerialPort(name, LINE, Clock()), Ear()
        await port.open(ear)
        os.write(master, every)
        await ear.until(lambda: len(ear.bytes) == 256)
        port.write(every)
        back = b""
        while len(back) < 256:
            back += await asyncio.to_thread(os.read, master, 256)
        port.close()
        return ear, back

    ear, back = asyncio.run(body())
    assert ear.bytes == every
    assert back == every
    assert not ear.errors


def test_the_line_settings_reach_the_terminal(pty):
    _, name = pty

    async def body():
        port = SerialPort(name, Serial(4800, 7, "E", 2), Clock())
        await port.open(Ear())
        fd = os.open(name, os.O_RDWR | os.O_NOCTTY) if os.geteuid() == 0 else None
        settings = termios.tcgetattr(fd) if fd is not None else None
        if fd is not None:
            os.close(fd)
        port.close()
        return settings

    settings = asyncio.run(body())
    if settings is None:
        pytest.skip("only root may open a port that is held exclusively")
    assert settings[4] == termios.B4800
    assert settings[2] & termios.CSTOPB


def test_a_pulled_plug_is_one_loss_and_closes_the_descriptor(pty):
    master, name = pty

    async def body():
        before = len(os.listdir("/proc/self/fd"))
        port, ear = SerialPort(name, LINE, Clock()), Ear()
        await port.open(ear)
        os.close(master)
        await ear.until(lambda: ear.errors)
        port.write(b"into the void")
        port.close()
        return ear, before, len(os.listdir("/proc/self/fd"))

    ear, before, after = asyncio.run(body())
    assert [error.where for error in ear.errors] == [name]
    assert "the link is gone" in str(ear.errors[0])
    assert after == before - 1  # the master end, which the test closed


def test_a_missing_port_says_where_to_look(tmp_path):
    port = SerialPort(str(tmp_path / "none"), LINE, Clock())
    with pytest.raises(LinkLost, match=r"there is no such port.*perfusion devices"):
        asyncio.run(port.open(Ear()))


def test_a_file_is_no_serial_port(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LinkLost, match="cannot be opened"):
        asyncio.run(SerialPort(str(tmp_path / "file"), LINE, Clock()).open(Ear()))


def test_a_port_in_use_names_the_program_that_has_it(pty):
    _, name = pty
    program = f"import serial; port = serial.Serial({name!r}, exclusive=True); print(1, flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"1\n"
        with pytest.raises(LinkLost, match=rf"in use by PID {holder.pid}"):
            asyncio.run(SerialPort(name, LINE, Clock()).open(Ear()))
        assert holder.pid in [pid for pid, _ in holders_of(name)]
    finally:
        holder.communicate(b"\n", timeout=60)


def test_tcp_carries_bytes_and_notices_the_peers_end():
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]

        def peer():
            link, _ = server.accept()
            with link:
                link.sendall(link.recv(5)[::-1])

        thread = threading.Thread(target=peer)
        thread.start()

        async def body():
            port, ear = TcpPort("127.0.0.1", number, Clock()), Ear()
            await port.open(ear)
            port.write(b"hello")
            await ear.until(lambda: ear.errors)
            return ear

        ear = asyncio.run(body())
        thread.join()
    assert ear.bytes == b"olleh"
    assert len(ear.errors) == 1
    assert "closed the connection" in str(ear.errors[0])


def test_a_refused_connection_names_the_address():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody else can listen there meanwhile
        number = taken.getsockname()[1]
        with pytest.raises(LinkLost, match=rf"socket://127.0.0.1:{number}: cannot connect"):
            asyncio.run(TcpPort("127.0.0.1", number, Clock()).open(Ear()))


def test_an_instrument_that_takes_no_bytes_is_lost_and_nothing_piles_up():
    with socket.create_server(("127.0.0.1", 0)) as server:

        async def body():
            port, ear = TcpPort("127.0.0.1", server.getsockname()[1], Clock()), Ear()
            await port.open(ear)
            for _ in range(1000):
                port.write(bytes(65536))
                if ear.errors:
                    break
            return ear

        ear = asyncio.run(body())
    assert "takes no bytes" in str(ear.errors[0])


def test_descriptors_are_read_together_until_the_last_is_removed():
    async def main():
        pipes = [os.pipe() for _ in range(3)]
        reads = [read for read, _ in pipes]
        before = len(os.listdir("/proc/self/fd"))
        readers = Readers.here()
        called = []

        def ready(index):
            called.append((index, os.read(reads[index], 10)))
            if index < 2:  # the first that is called removes the other, which has something too
                for other in (0, 1):
                    readers.remove(reads[other])

        for index, read in enumerate(reads):
            readers.add(read, lambda index=index: ready(index))
        assert Readers.here() is readers
        for _, write in pipes:
            os.write(write, b"x")
        for _ in range(10):
            await asyncio.sleep(0)
        assert sorted(called)[1] == (2, b"x")
        assert len(called) == 2
        readers.remove(reads[2])
        assert len(os.listdir("/proc/self/fd")) == before
        for fd in (*reads, *(write for _, write in pipes)):
            os.close(fd)

    asyncio.run(main())


def test_the_guard_lets_nothing_undeclared_through():
    port = MemoryPort()
    guard = Guard(port, (re.compile(rb"C[0-4]"), re.compile(rb"\*IDN\?\n")))
    guard.write(b"C0")
    guard.write(b"*IDN?\n")
    for message in (b"C5", b"C0C0", b"A0", b"", b"*IDN?\n*RST\n", b"C0\n"):
        with pytest.raises(ForbiddenWrite, match="none of the driver's declared queries"):
            guard.write(message)
    assert port.written == [b"C0", b"*IDN?\n"]
