"""UDP on real sockets: datagrams whole, one peer alone, and a closed port that is a lost link."""

import asyncio
import socket

import pytest

from acquisition.errors import LinkLost
from acquisition.ports.udp import UdpPort
from acquisition.timing.clock import Clock
from simulators.transports.udp import UdpCable


class Ear:
    """Collects datagrams and losses, and waits for them."""

    def __init__(self):
        self.datagrams, self.errors = [], []
        self._news = asyncio.Event()

    def data(self, data, arrived=None):
        self.datagrams.append(data)
        self._news.set()

    def lost(self, error):
        self.errors.append(error)
        self._news.set()

    def connected(self):
        self.datagrams.append("connected")

    def disconnected(self):
        self.datagrams.append("disconnected")

    async def until(self, condition):
        async with asyncio.timeout(60):
            while not condition():
                self._news.clear()
                await self._news.wait()


@pytest.fixture
def peer():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("127.0.0.1", 0))
        link.settimeout(5)
        yield link


def test_each_message_is_one_datagram_both_ways(peer):
    async def body():
        port, ear = UdpPort("127.0.0.1", peer.getsockname()[1], Clock()), Ear()
        await port.open(ear)
        for message in (b"one", b"", bytes(1400)):
            port.write(message)
        heard = [peer.recvfrom(65536) for _ in range(3)]
        for message in (b"first", b"", b"second" * 200):
            peer.sendto(message, heard[0][1])
        await ear.until(lambda: len(ear.datagrams) == 3)
        port.close()
        return [data for data, _ in heard], ear

    heard, ear = asyncio.run(body())
    assert heard == [b"one", b"", bytes(1400)]
    assert ear.datagrams == [b"first", b"", b"second" * 200]
    assert not ear.errors


def test_nobody_else_is_heard(peer):
    async def body():
        port, ear = UdpPort("127.0.0.1", peer.getsockname()[1], Clock()), Ear()
        await port.open(ear)
        port.write(b"?")
        _, address = peer.recvfrom(10)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"stranger", address)
        peer.sendto(b"peer", address)
        await ear.until(lambda: ear.datagrams)
        port.close()
        return ear

    assert asyncio.run(body()).datagrams == [b"peer"]


def test_a_closed_port_is_one_loss(peer):
    number = peer.getsockname()[1]
    peer.close()

    async def body():
        port, ear = UdpPort("127.0.0.1", number, Clock()), Ear()
        await port.open(ear)
        port.write(b"?")
        await ear.until(lambda: ear.errors)
        port.write(b"?")
        await asyncio.sleep(0)
        return ear

    (error,) = asyncio.run(body()).errors
    assert isinstance(error, LinkLost)
    assert str(error).startswith(f"udp://127.0.0.1:{number}: the link is gone")


def test_an_unknown_host_is_a_lost_link():
    port = UdpPort("host.invalid", 24105, Clock())
    with pytest.raises(LinkLost, match=r"udp://host\.invalid:24105: cannot be reached"):
        asyncio.run(port.open(Ear()))


def test_a_simulated_instrument_answers_its_host_and_comes_back_on_the_same_port():
    async def body():
        cable, instrument = UdpCable("127.0.0.1", 0), Ear()
        listen = await cable.plug(instrument)
        port, ear = UdpPort("127.0.0.1", listen["port"], Clock()), Ear()
        await port.open(ear)
        port.write(b"hello")
        await instrument.until(lambda: b"hello" in instrument.datagrams)
        cable.send(b"welcome")
        await ear.until(lambda: ear.datagrams)
        cable.unplug()
        port.write(b"still there?")
        await ear.until(lambda: ear.errors)
        await cable.replug()
        again, other = UdpPort("127.0.0.1", listen["port"], Clock()), Ear()
        await again.open(other)
        again.write(b"back")
        await instrument.until(lambda: b"back" in instrument.datagrams)
        again.close()
        await cable.close()
        return listen, instrument, ear

    listen, instrument, ear = asyncio.run(body())
    assert listen["url"] == f"udp://127.0.0.1:{listen['port']}"
    assert instrument.datagrams == ["connected", b"hello", "disconnected", "connected", b"back", "disconnected"]
    assert ear.datagrams == [b"welcome"]
