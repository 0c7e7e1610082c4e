"""A crowd before the live page, in a process of its own: viewers who read, some who never do, half-open requests.

    python -m tests.page.crowd PORT VIEWERS LAZY HALF_OPEN SECONDS

prints one line of JSON: how old samples were when they came (s), and how many half-open requests were closed.
"""

import asyncio
import json
import os
import resource
import struct
import sys
import time

SAMPLES, COLUMNS, PING = 1, 2, 9


class Crowd:
    def __init__(self, port):
        self.port = port
        self.ages = []
        self.counting = False
        self.failed = self.closed = 0
        host = f"127.0.0.1:{port}"
        self.handshake = (
            f"GET /ws HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()

    async def watch(self):
        """Read all that comes."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
            writer.write(self.handshake)
            if b" 101 " not in await reader.readuntil(b"\r\n\r\n"):
                raise ConnectionError
            while True:
                kind, length = await reader.readexactly(2)
                if length == 126:
                    (length,) = struct.unpack(">H", await reader.readexactly(2))
                elif length == 127:
                    (length,) = struct.unpack(">Q", await reader.readexactly(8))
                body = await reader.readexactly(length)
                if kind & 15 == PING:
                    writer.write(b"\x8a\x80\0\0\0\0")
                elif kind & 15 == 2 and body[0] == SAMPLES and self.counting:
                    (n,) = struct.unpack_from("<I", body, 8)
                    (newest,) = struct.unpack_from("<d", body, 16 + 8 * (n - 1))
                    self.ages.append(time.time() - newest / 1e3)
        except (OSError, asyncio.IncompleteReadError):
            self.failed += 1

    async def idle(self, opening):
        """Send an opening and never read."""
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(opening)
            writer.transport.pause_reading()
            await asyncio.sleep(3600)
        except OSError:
            self.failed += 1

    async def dawdle(self):
        """Send half a request and wait to be cut off."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(b"GET / HT")
            await reader.read()
            self.closed += 1
        except OSError:
            self.closed += 1


async def main(port, viewers, lazy, half_open, seconds):
    crowd = Crowd(port)
    tasks = []
    for number, each in enumerate(
        [crowd.watch] * viewers + [lambda: crowd.idle(crowd.handshake)] * lazy + [crowd.dawdle] * half_open
    ):
        tasks.append(asyncio.create_task(each()))
        if number % 10 == 0:
            await asyncio.sleep(0.01)
    await asyncio.sleep(7.0)
    crowd.counting = True
    await asyncio.sleep(seconds)
    ages = sorted(crowd.ages)
    at = {f"p{part}": ages[len(ages) * part // 100] for part in (50, 99)} if ages else {}
    print(json.dumps({**at, "n": len(ages), "failed": crowd.failed, "closed": crowd.closed}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    asyncio.run(main(*map(int, sys.argv[1:])))
