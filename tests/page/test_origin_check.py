"""The page's gate: who may ask, how, and with which answer; over real sockets."""

import asyncio
import socket
import urllib.error
import urllib.request

import pytest

from acquisition.page.origin_check import OriginCheck
from tests.live_bench import LiveBench

NAMES = ("127.0.0.1", "localhost", "[::1]")
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    with LiveBench(tmp_path_factory.mktemp("gate"), which=("treadmill",)) as bench:
        yield bench.port


def ask(port, *headers, method="GET", path="/api/snapshot"):
    """The status of one request with exactly these header lines."""
    with socket.create_connection(("127.0.0.1", port), 5) as link:
        lines = (f"{method} {path} HTTP/1.1", *headers, "", "")
        link.sendall("\r\n".join(lines).encode("utf-8"))
        answer = link.recv(65536)
    return int(answer.split(b" ", 2)[1]), answer


def knock(port, host, *origins):
    """The status that a WebSocket handshake gets."""
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13")
    return ask(port, f"Host: {host}", *(f"Origin: {o}" for o in origins), *upgrade, path="/ws")[0]


def hostile_hosts(port):
    """Near misses of what is allowed, and strangers."""
    found = []
    for name in NAMES:
        good = f"{name}:{port}"
        found += [
            name, f"{name}:", f"{name}:{port + 1}", f"{name}:0{port}", f"{name}:{port}0", f"{name}:{port + 65536}",
            f"{name}:+{port}", f"{name}:-{port}", f"{name}:{port}.0", f"{name}:80", f"{name}:0x{port:x}",
            f"{name}::{port}",
            f"{name}.:{port}", f"{good}.", f"{name}..:{port}", f".{good}", f"{good}.evil.example",
            f"{good}evil.example",
            f"evil.{good}", f"evil{good}", f"evil-{good}", f"{name}.evil.example:{port}", f"{name}-evil.example:{port}",
            f"evil.example@{good}", f"{good}@evil.example", f"user:pass@{good}", f"@{good}", f"{good}@",
            f"{good}:{port}",
            f"{good}/", f"{good}/evil", f"{good}?", f"{good}#", f"{good};", f"{good},", f"{good},{good}",
            f"{good}, evil.example",
            f"evil.example, {good}", f"{good}\\", f"{good}\\@evil.example", f"{good}%00", f"{good}%2eevil.example",
            f'"{good}"', f"'{good}'", f"http://{good}", f"//{good}", f"*{good}", f"{name} :{port}", f"{name}: {port}",
        ]  # fmt: skip
    found += [
        "null", "*", "undefined", "evil.example", f"evil.example:{port}", f"EVIL.EXAMPLE:{port}", f":{port}", str(port),
        f"LOCALHOST:{port}", f"Localhost:{port}", f"localhosT:{port}", f"LocalHost:{port}",
        f"localhost.localdomain:{port}",
        f"ip6-localhost:{port}", f"127.1:{port}", f"127.0.1:{port}", f"127.0.0.2:{port}", f"127.0.0.01:{port}",
        f"127.0.0.1.nip.io:{port}", f"0.0.0.0:{port}", f"0:{port}", f"2130706433:{port}", f"0x7f000001:{port}",
        f"0x7f.0.0.1:{port}", f"0177.0.0.1:{port}", f"017700000001:{port}", f"::1:{port}", f"[::]:{port}",
        f"[0:0:0:0:0:0:0:1]:{port}", f"[::0001]:{port}", f"[::ffff:127.0.0.1]:{port}", f"[::ffff:7f00:1]:{port}",
        f"[::1%lo]:{port}", f"[::1%25lo]:{port}", f"[::1]evil:{port}", f"[127.0.0.1]:{port}", f"[localhost]:{port}",
        f"%6cocalhost:{port}", f"loc%61lhost:{port}", f"１２７.0.0.1:{port}", f"127。0。0。1:{port}",
        f"ⓛocalhost:{port}",
        f"xn--localhost:{port}", f"lоcalhost:{port}", f"local\u00adhost:{port}", f"localhost\u200b:{port}",
        f"host.docker.internal:{port}", f"gateway:{port}", f"bed1:{port}", f"10.0.0.1:{port}", f"192.168.1.50:{port}",
        f"169.254.169.254:{port}", f"localtest.me:{port}", f"lvh.me:{port}",
    ]  # fmt: skip
    return found


def hostile_origins(port):
    schemes = (
        "https://",
        "ws://",
        "HTTP://",
        "Http://",
        "http:/",
        "http:",
        "file://",
        "data:",
        "chrome-extension://",
        "",
    )
    good = [f"{name}:{port}" for name in NAMES]
    return [
        *(f"http://{host}" for host in hostile_hosts(port)),
        *(scheme + host for scheme in schemes for host in good),
        *(f"http://{host}{end}" for host in good for end in ("/", "/ws", " http://evil.example", ", http://evil.example")),
        *(f"http://evil.example {'http://' + host}" for host in good),
        "null", "NULL", "file://", "about:blank", "*", "http://", "http://null", "-",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_page_answers_to_its_own_names(port, name):
    host = f"{name}:{port}"
    assert ask(port, f"Host: {host}")[0] == 200
    assert ask(port, f"Host: {host}", f"Origin: http://{host}")[0] == 200
    assert knock(port, host, f"http://{host}") == 101


def test_no_hostile_host_is_accepted(port):
    hosts = hostile_hosts(port)
    assert len(set(hosts)) >= 200
    good = f"http://127.0.0.1:{port}"
    assert [host for host in hosts if ask(port, f"Host: {host}")[0] == 200] == []
    assert [host for host in hosts if knock(port, host, good) == 101] == []


def test_no_hostile_origin_is_accepted(port):
    origins = hostile_origins(port)
    assert len(set(origins)) >= 200
    host = f"127.0.0.1:{port}"
    assert [o for o in origins if ask(port, f"Host: {host}", f"Origin: {o}")[0] == 200] == []
    assert [o for o in origins if knock(port, host, o) == 101] == []


@pytest.mark.parametrize(("port", "status"), [(80, 200), (8080, 421)])
def test_only_on_the_usual_port_a_browser_names_none(port, status):
    seen = []

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200})

    async def send(message):
        seen.append(message)

    headers = [(b"host", b"localhost"), (b"origin", b"http://localhost")]
    asyncio.run(OriginCheck(app, port)({"type": "http", "method": "GET", "headers": headers}, None, send))
    assert seen[0]["status"] == status


@pytest.mark.parametrize("name", NAMES)
def test_another_port_of_this_computer_is_refused_by_its_real_reason(port, name):
    status, said = refused(port, f"{name}:9999")
    assert status == 421
    for words in ("opened under port 9999", f"serves {port}", f"ssh -L {port}:127.0.0.1:{port}"):
        assert words in said
    assert "127.0.0.1 and localhost only" in refused(port, f"evil.example:{port}")[1]


def refused(port, host):
    """Status and words of a refusal."""
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": host})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(asked)
    with caught.value:
        return caught.value.code, caught.value.read().decode()


def test_a_header_that_comes_twice_or_not_at_all_is_refused(port):
    host, origin = f"127.0.0.1:{port}", f"http://127.0.0.1:{port}"
    evil = "http://evil.example"
    for hosts in ((), (host, "evil.example"), ("evil.example", host), (host, host)):
        assert ask(port, *(f"Host: {h}" for h in hosts))[0] >= 400
    for origins in ((origin, evil), (evil, origin), (origin, origin)):
        assert ask(port, f"Host: {host}", *(f"Origin: {o}" for o in origins))[0] == 403
        assert knock(port, host, *origins) >= 400
    assert knock(port, host) == 403, "a WebSocket without an Origin comes from no browser page of ours"
    assert ask(port, "Host: evil.example", path=f"http://{host}/api/snapshot")[0] == 421


@pytest.mark.parametrize(
    "method", ["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "BREW"]
)
@pytest.mark.parametrize("path", ["/", "/api/snapshot", "/metrics", "/ws"])
def test_the_page_can_only_be_read(port, method, path):
    status, answer = ask(port, f"Host: 127.0.0.1:{port}", method=method, path=path)
    assert status == 405
    assert b"allow: GET" in answer


def test_a_request_with_a_body_is_refused_and_closed(port):
    status, answer = ask(port, f"Host: 127.0.0.1:{port}", "Content-Length: 5")
    assert (status, b"connection: close" in answer.lower()) == (400, True)
    assert ask(port, f"Host: 127.0.0.1:{port}", "Transfer-Encoding: chunked")[0] == 400


@pytest.mark.parametrize(
    "path", ["/..", "/../../etc/passwd", "/%2e%2e/board.py", "/static/app.js", "/index.html", "/api", "/api/", "/docs"]
)
def test_nothing_else_is_served(port, path):
    assert ask(port, f"Host: 127.0.0.1:{port}", path=path)[0] in (307, 404)


@pytest.mark.parametrize(
    "path", ["/", "/app.js", "/strip.js", "/style.css", "/icon.svg", "/api/snapshot", "/metrics", "/nothing"]
)
def test_every_answer_keeps_the_page_to_itself(port, path):
    _, answer = ask(port, f"Host: 127.0.0.1:{port}", path=path)
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"content-security-policy: default-src 'none'; script-src 'self'" in head
    assert b"unsafe" not in head
    for line in (b"x-content-type-options: nosniff", b"x-frame-options: deny", b"cache-control: no-store"):
        assert line in head
    assert b"access-control-allow-origin" not in head
    assert b"server:" not in head
