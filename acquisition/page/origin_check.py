"""Origin check of the page (middleware): exact allow-lists of Host and Origin, GET only, and security headers."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class OriginCheck:
    """Lets through only what was meant for this page, and refuses everything else.

    A browser names the host that its user asked for (Host) and the site whose script asks (Origin); both are
    compared byte for byte. A name that a foreign site made point here (DNS rebinding) fails by its Host, a
    foreign site's script by its Origin. A WebSocket must carry an Origin: browsers always send one, and the
    same-origin rule does not hold for it.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._port = port
        places = (f":{port}", "") if port == 80 else (f":{port}",)  # browsers leave the usual port away
        self._hosts = {f"{name}{place}".encode() for name in ("127.0.0.1", "localhost", "[::1]") for place in places}
        self._origins = {b"http://" + host for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on or refuse one request or WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, _guarded(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            status, text = refusal
            # Closed, as what may follow on the connection (a body, for one) is not worth reading.
            headers = {"connection": "close", **({"allow": "GET"} if status == 405 else {})}
            await PlainTextResponse(text + "\n", status, headers)(scope, receive, _guarded(send))

    def _elsewhere(self, hosts: list[bytes]) -> str:
        """Why a Host is refused, in words; a foreign name is not repeated."""
        port = _loopback(hosts[0]) if len(hosts) == 1 else None
        if port is None:
            return "this page answers to 127.0.0.1 and localhost only"
        return (
            f"it was opened under port {port}, and this page serves {self._port}: open it under that number; "
            f"through a tunnel, tunnel the same port, as by ssh -L {self._port}:127.0.0.1:{self._port}"
        )

    def _refusal(self, scope: MutableMapping[str, Any]) -> tuple[int, str] | None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        hosts = [value for name, value in headers if name == b"host"]
        origins = [value for name, value in headers if name == b"origin"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return 421, self._elsewhere(hosts)
        if len(origins) > 1 or any(origin not in self._origins for origin in origins):
            return 403, "another site may not read this page"
        if scope["type"] == "websocket":
            return None if origins else (403, "a WebSocket must name its Origin")
        if scope["method"] != "GET":
            return 405, "this page can only be read"
        if any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers
        ):
            return 400, "a request with a body"
        return None


def _loopback(host: bytes) -> str | None:
    """The port of a loopback name (80 where it names none), None for any other host."""
    found = re.fullmatch(rb"(127\.0\.0\.1|localhost|\[::1\])(?::(\d{1,5}))?", host)
    return None if found is None else (found[2] or b"80").decode()


def _guarded(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            message = {**message, "headers": [*message.get("headers", []), *HEADERS]}
        await send(message)

    return guarded
