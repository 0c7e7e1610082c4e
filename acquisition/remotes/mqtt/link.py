"""One connection to a broker by MQTT 5, and what its errors mean."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
from collections.abc import AsyncIterator
from typing import Any, cast

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from acquisition.errors import ConfigurationError
from acquisition.remotes.mqtt.credentials import Account

KEEPALIVE = 10
"""Seconds; a broker tells of a station that vanished without a word after one and a half times as long."""
TIMEOUT = 5.0
WINDOW = 20
"""Messages of QoS 1 that are under way at once: what brokers commonly allow."""
LONGEST = 64 * 1024
"""Bytes of one packet that a broker may send: requests for back-fill, and its own words."""
REQUESTS = 16
"""Incoming messages that may wait; further ones are discarded."""

NO_SUBSCRIBER = 0x10
REFUSED = UNSPECIFIED = 0x80
GONE = "the broker went away"
NO_ANSWER = "no answer in time; where that goes on: a port for TLS without tls = true, or a refused certificate"
_HELD = {
    0x84: "it does not speak MQTT 5",
    0x85: "it does not accept the client's identifier",
    0x86: "wrong user name or password; check user and password_file",
    0x87: "not authorised; check user, password_file and the broker's access list",
    0x8A: "this client is banned",
    0x8C: "another way of authentication is asked for",
    0x8E: "another client speaks in the name of this station; check site.id and site.station on both",
}

_quiet = logging.getLogger(f"{__name__}.wire")
_quiet.setLevel(logging.CRITICAL)  # an outage is told once, by the remote's standing

Will = aiomqtt.Will


class Denied(aiomqtt.MqttError):
    """The broker let the station in, but not speak."""


class Link(aiomqtt.Client):
    """aiomqtt's client that remembers what the broker said to messages of QoS 1: PUBACK may be a refusal."""

    said: int = 0
    """The worst reason code since it was last set to 0."""

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any) -> None:
        self.said = max(self.said, int(getattr(reason_code, "value", 0)))
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_disconnect(self, *told: Any) -> None:
        """As in aiomqtt, but one that was given up while it connected has nothing to note."""
        if not self._connected.cancelled():
            super()._on_disconnect(*told)

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:  # noqa: ARG002
        """As in aiomqtt, but only while the socket is open: its number may be another link's by then."""

        def write() -> None:
            try:
                client.loop_write()
            except Exception as error:
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        def begin() -> None:
            if sock.fileno() >= 0:
                self._loop.add_writer(sock.fileno(), write)

        self._loop.call_soon_threadsafe(begin)

    def bound(self) -> None:
        """Ask no proxy; break the link where the broker sends more than `LONGEST` in a packet, or QoS 2 in number."""
        client: Any = self._client
        receive = client._sock_recv

        def bounded(size: int) -> Any:
            wrong = ""
            if client._in_packet["remaining_length"] > LONGEST:
                wrong = f"it sends packets of more than {LONGEST // 1024} kB"
            elif len(client._in_messages) > REQUESTS:  # paho keeps each until the broker releases it
                wrong = "it sends messages of QoS 2, which nobody asked for"
            if wrong:
                if not self._disconnected.done():
                    self._disconnected.set_exception(Denied(wrong))
                raise ConnectionError(wrong)
            return receive(size)

        client._sock_recv = bounded
        client._get_proxy = lambda: None  # else the environment's, where a library for it happens to be installed

    async def publish(self, *args: Any, **kwargs: Any) -> None:
        """Publish, as aiomqtt does."""
        async with _in_time():
            await super().publish(*args, **kwargs)

    async def subscribe(self, *args: Any, **kwargs: Any) -> Any:
        """Subscribe, as aiomqtt does."""
        async with _in_time():
            return await super().subscribe(*args, **kwargs)

    async def keep(self, topic: str, payload: bytes) -> None:
        """Publish a retained message; Denied where the broker refuses it."""
        self.said = 0
        await self.publish(topic, payload, qos=1, retain=True)
        if self.said >= REFUSED:
            raise Denied(f"not authorised to publish {topic}; check user and the broker's access list")

    def hush(self) -> None:
        """Keep asyncio from complaining where the link breaks while nobody waits for it."""
        self._disconnected.add_done_callback(lambda ended: ended.cancelled() or ended.exception())


@contextlib.asynccontextmanager
async def connect(account: Account, identifier: str, will: Will | None = None) -> AsyncIterator[Link]:
    """An open link; leaves by a clean DISCONNECT, which takes the will back."""
    link = Link(
        account.host,
        account.port,
        username=account.user,
        password=account.password() if account.password is not None else None,
        identifier=identifier,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=True,
        will=will,
        keepalive=KEEPALIVE,
        timeout=math.inf,
        tls_context=account.context(),
        max_queued_incoming_messages=REQUESTS,
        max_inflight_messages=WINDOW,
        logger=_quiet,
        properties=_limits(),
    )
    link.bound()
    link.pending_calls_threshold = 10 * WINDOW
    link.hush()
    async with _in_time():
        await link.__aenter__()
    link.hush()  # it may have taken another future meanwhile
    try:
        yield link
    finally:
        async with _in_time():
            await link.__aexit__(None, None, None)


def _limits() -> Properties:
    """What the broker is told to keep to."""
    limits: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    limits.MaximumPacketSize = LONGEST
    return cast("Properties", limits)


@contextlib.asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    """Bound what aiomqtt waits for: its own bound, `asyncio.wait_for`, can swallow a cancellation in Python 3.11."""
    try:
        async with asyncio.timeout(TIMEOUT):
            yield
    except TimeoutError:
        raise aiomqtt.MqttError(NO_ANSWER) from None


async def watch(link: Link) -> None:
    """Return by the error once the link is lost; for links that nothing is received by."""
    async for _ in link.messages:
        pass


def judge(error: BaseException) -> tuple[str, str]:
    """The standing's word and reason for what ended a session: held where somebody must act."""
    if isinstance(error, ConfigurationError | Denied):
        return "held", str(error)
    if isinstance(error.__cause__, aiomqtt.MqttCodeError):
        error = error.__cause__  # aiomqtt's iterator of messages says only that it ended
    if isinstance(error, aiomqtt.MqttCodeError):
        code = int(getattr(error.rc, "value", None) or (error.rc if isinstance(error.rc, int) else 0))
        if code != UNSPECIFIED:
            return ("held", _HELD[code]) if code in _HELD else ("unreachable", str(error))
        return "unreachable", GONE
    text = str(error) or type(error).__name__
    if text == "Disconnected during message iteration":
        return "unreachable", GONE
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "held", f"the broker's certificate is not trusted; check ca_file and host ({text})"
    if "[SSL" in text:
        return "held", f"no TLS with this broker; check port, tls and certificates ({text})"
    return "unreachable", text


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first single error in a group, ones that name a reason code before others."""
    flat = [first_error(each) if isinstance(each, BaseExceptionGroup) else each for each in group.exceptions]
    coded = [error for error in flat if isinstance(error, aiomqtt.MqttCodeError | Denied | ConfigurationError)]
    return (coded or flat)[0]


def quiet(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Handle what a callback of the loop raises: a socket that was closed before it was watched is nothing to tell."""
    error = context.get("exception")
    if not (isinstance(error, OSError) and error.errno == errno.EBADF):
        loop.default_exception_handler(context)


async def pause(stopping: asyncio.Event, seconds: float) -> bool:
    """Wait; True where the service ends meanwhile."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()
    return stopping.is_set()
