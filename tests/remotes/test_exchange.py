"""Cost of a server whatever it answers: so many bytes, so many seconds, a reason in words, and no connection."""

import os
import random
import socket
import time
import tracemalloc

import pytest

from acquisition.errors import RemoteError
from acquisition.remotes.exchange import Budget, Exchange, OverBudget
from acquisition.remotes.influx import InfluxWriter
from acquisition.remotes.readback import InfluxReader
from acquisition.remotes.write_result import WriteVerdict
from acquisition.text import is_clean
from tests.remotes.hostile import LONG, HostileServer, chunked, dripping, slow, whole

LINE = "m,site=ward flux=1 1"
TOKEN = "canary-0123456789=="
PAUSE = 0.02
SHORT = Budget(seconds=0.5)


def sent(server, budget=None, timeout=5.0, lines=LINE):
    """What a writer makes of a server's answer."""
    writer = InfluxWriter(server.url, "org", "bucket", TOKEN, timeout, budget=budget)
    try:
        return writer.send(lines)
    finally:
        writer.close()


@pytest.mark.parametrize("name", LONG)
def test_an_answer_that_is_too_long_is_held_and_costs_no_memory(name):
    with HostileServer(LONG[name]) as server:
        sent(server)
        tracemalloc.start()
        try:
            begun = time.monotonic()
            answer = sent(server)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert time.monotonic() - begun < 20
    assert answer.verdict in (WriteVerdict.HOLD, WriteVerdict.KEEP), answer
    assert answer.reason
    assert peak < 8 << 20, f"{peak} bytes, the server's own among them"
    assert server.sent < 50 << 20


@pytest.mark.parametrize("name", slow(0))
def test_an_answer_that_never_ends_is_held_when_its_time_is_over(name):
    with HostileServer(slow(PAUSE)[name]) as server:
        begun = time.monotonic()
        answer = sent(server, SHORT, timeout=60.0)
        assert 0.4 < time.monotonic() - begun < 20
    assert answer.verdict is WriteVerdict.HOLD
    assert answer.reason.startswith("the answer had not ended after 0.5 s")


@pytest.mark.parametrize("name", ["chunks for ever after 200", "a packed answer of 30 MB in 30 kB", "headers for ever"])
def test_a_query_is_given_up_likewise(name):
    with HostileServer(LONG[name]) as server, pytest.raises(RemoteError) as told:
        InfluxReader(server.url, "bucket", TOKEN).ask("SELECT 1")
    assert "cannot be read back" in str(told.value)


def test_a_page_of_samples_may_be_longer_than_other_answers():
    body = b'{"results":[{"series":[{"columns":["seq"],"values":[' + b",".join([b"[1234567]"] * 20_000) + b"]}]}]}"
    with HostileServer(lambda _: chunked(200, [body])) as server:
        reader = InfluxReader(server.url, "bucket", TOKEN)
        assert len(reader.ask("SELECT *", 20_000, 1)["seq"]) == 20_000
        with pytest.raises(RemoteError, match="longer than 6"):
            reader.ask("SELECT 1")


def test_the_clock_of_an_exchange_counts_from_its_begin():
    made: list[Exchange] = []
    exchange = Exchange(5.0, monotonic=lambda: 31.0 if made and made[0]._meter.size else 0.0)
    made.append(exchange)

    def answer(_):
        yield b"HTTP/1.1 200 OK\r\n"
        time.sleep(0.2)
        yield b"\r\n"

    with HostileServer(answer) as server, pytest.raises(OverBudget, match="had not ended after 30 s"):
        exchange.request("POST", server.url, body=b"x")


def test_a_server_that_takes_a_request_byte_by_byte_is_slow():
    """Nobody reads: what the kernels do not take is never sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        begun = time.monotonic()
        writer = InfluxWriter(f"http://127.0.0.1:{listener.getsockname()[1]}", "org", "b", TOKEN, 0.2, budget=SHORT)
        answer = writer.send(LINE + "\n" + "x" * (32 << 20))
        writer.close()
        assert time.monotonic() - begun < 10
    assert answer.verdict is WriteVerdict.SLOW


def test_answers_within_the_budget_are_what_they_were_and_keep_their_connection():
    accepted = []

    def answer(request):
        accepted.append(b"accept-encoding: identity" in request.lower())
        return [b"HTTP/1.1 204 No Content\r\n\r\n"]

    with HostileServer(answer, keep=True) as server:
        writer = InfluxWriter(server.url, "org", "bucket", TOKEN)
        assert [writer.send(LINE).verdict for _ in range(3)] == [WriteVerdict.ACCEPTED] * 3
        writer.close()
        assert len(server._connections) == 1
    assert all(accepted)


def test_what_was_accepted_but_did_not_end_is_sent_again():
    """It was stored perhaps; a point that is sent twice is one."""
    with HostileServer(lambda _: dripping(b"HTTP/1.1 204 No Content\r\nX: " + b"x" * 999, PAUSE)) as server:
        assert sent(server, SHORT).verdict is WriteVerdict.HOLD


LATIN = "<html>502 Serveur arrêté: café, não, ¿qué?</html>".encode("latin-1")
STRANGE = {
    "a page in ISO-8859-1": (whole(502, LATIN, b"Content-Type: text/html; charset=iso-8859-1"), WriteVerdict.KEEP),
    "a page of nothing but bytes": (whole(503, bytes(range(256)) * 8), WriteVerdict.KEEP),
    "a reason in ISO-8859-1": (b"HTTP/1.1 502 arr\xeat\xe9\r\nContent-Length: 0\r\n\r\n", WriteVerdict.KEEP),
    "headers of bytes": (whole(500, b"no", b"X-\xff\xfe: \x00\x01\xe9", b"\xe9\xe9"), WriteVerdict.KEEP),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n", WriteVerdict.KEEP),
    "nothing": (b"", WriteVerdict.KEEP),
    "a status of letters": (b"HTTP/1.1 abc Words\r\n\r\n", WriteVerdict.KEEP),
    "a status of 4 digits": (b"HTTP/1.1 2000 Words\r\n\r\n", WriteVerdict.KEEP),
    "fewer bytes than it says": (b"HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nabc", WriteVerdict.KEEP),
    "two lengths": (b"HTTP/1.1 500 No\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", WriteVerdict.KEEP),
    "a length that is none": (b"HTTP/1.1 500 No\r\nContent-Length: many\r\n\r\nabcd", WriteVerdict.KEEP),
    "a length below nothing": (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", WriteVerdict.KEEP),
    "a length of words after success": (b"HTTP/1.1 204 OK\r\nContent-Length: 0x10\r\n\r\n", WriteVerdict.KEEP),
    "two lengths after success": (
        b"HTTP/1.1 204 No\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        WriteVerdict.KEEP,
    ),
    "a length of 5000 digits": (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", WriteVerdict.HOLD),
    "a length beyond all bounds": (b"HTTP/1.1 204 No\r\nContent-Length: 99999999\r\n\r\n", WriteVerdict.HOLD),
    "a head that is cut off": (b"HTTP/1.1 204 No Content\r\nDate: Thu", WriteVerdict.KEEP),
    "a status that is cut off": (b"HTTP/1.1 204", WriteVerdict.KEEP),
    "a chunk of -5 bytes": (b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabcde\r\n", WriteVerdict.KEEP),
    "a chunk of words": (b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\nabcde\r\n", WriteVerdict.KEEP),
    "packed, and broken": (whole(500, b"\x1f\x8bbroken", b"Content-Encoding: gzip"), WriteVerdict.KEEP),
    "packed in an unknown way": (whole(500, b"\x00\x01\x02", b"Content-Encoding: br, gzip"), WriteVerdict.KEEP),
    "JSON as deep as it is long": (whole(400, b"[" * 60_000), WriteVerdict.HOLD),
    "JSON of another form": (whole(400, b'{"message": {"a": [1, null]}}'), WriteVerdict.REJECT),
    "nothing but tags that do not end": (whole(500, b"<" * 60_000), WriteVerdict.KEEP),
    "a number of dropped lines beyond all numbers": (
        whole(400, b'{"message": "dropped=%s"}' % (b"9" * 5000)), WriteVerdict.REJECT
    ),
    "a switch of protocols": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", WriteVerdict.HOLD),
    "a place that is none": (whole(302, b"", b"Location: http://[broken"), WriteVerdict.HOLD),
    "ESC in its words": (whole(503, b'{"message": "\\u001b[2J\\u202egone\\u0007"}'), WriteVerdict.KEEP),
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_answer_is_judged_by_its_status_and_told_in_clean_words(name):
    data, verdict = STRANGE[name]
    with HostileServer(lambda _: [data]) as server:
        begun = time.monotonic()
        answer = sent(server, timeout=60.0)
        assert time.monotonic() - begun < 20
    assert answer.verdict is verdict, answer
    assert answer.reason
    assert is_clean(answer.reason, 300)


@pytest.mark.parametrize("value", ["nan", "-inf", "inf", "1e400", "soon", "Thu, 99 Xxx 999999 99:99:99 +999999999"])
def test_a_time_to_wait_that_is_none_is_not_followed(value):
    with HostileServer(lambda _: [whole(429, b"", f"Retry-After: {value}".encode())]) as server:
        answer = sent(server)
    assert answer.verdict is WriteVerdict.KEEP
    assert answer.wait is None


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_says_where_it_leads_and_nobody_follows(status):
    place = f"https://other.example.org/api/v2/write?token={TOKEN}&token=canary-0123456789%3D%3D#{TOKEN}"
    with HostileServer(lambda _: [whole(status, b"<html>moved</html>", b"Location: " + place.encode())]) as server:
        answer = sent(server)
        assert server.asked == 1
    assert answer.verdict is WriteVerdict.HOLD
    assert answer.reason == (
        f"HTTP {status}: it has moved to https://other.example.org/api/v2/write; redirects are not followed: "
        "is [influx] url right?"
    )


def test_a_token_with_hidden_characters_between_is_not_told():
    echo = whole(500, "\u200b".join(TOKEN).encode())
    with HostileServer(lambda _: [echo]) as server:
        assert sent(server).reason == "HTTP 500: ***"


def test_no_proxy_of_the_environment_is_asked(monkeypatch):
    with HostileServer(lambda _: [whole(200, b"a proxy")]) as proxy, HostileServer(lambda _: [whole(204)]) as server:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        assert sent(server).verdict is WriteVerdict.ACCEPTED
        assert proxy.asked == 0


def junk(rng):
    """An answer that may begin like one."""
    begins = [
        b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 500 No\r\nContent-Length: ", b"HTTP/1.1 400 \r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: ", b"HTTP/1.1 429 No\r\nRetry-After: ", b"HTTP/0.9 ", b"HTTP/1.1 503 No\r\n",
        b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Encoding: deflate\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
        b'HTTP/1.1 400 No\r\n\r\n{"message": "',
    ]  # fmt: skip
    alphabet = rng.choice([bytes(range(256)), b"\r\n :0123456789abcdefHTP/.", b'{}[]",:\\u0d8', bytes(range(128, 256))])
    return rng.choice(begins) + bytes(rng.choices(alphabet, k=rng.choice([0, 3, 40, 400]))) + rng.choice(
        [b"", b"\r\n\r\n", b"\r\n\r\nabc", os.urandom(20)]
    )  # fmt: skip


def test_no_bytes_at_all_make_a_writer_raise_or_speak_unclean():
    rng = random.Random(20)
    answers = iter([junk(rng) for _ in range(600)])
    with HostileServer(lambda _: [next(answers)]) as server:
        writer = InfluxWriter(server.url, "org", "bucket", TOKEN, 2.0)
        for _ in range(600):
            answer = writer.send(LINE)
            assert is_clean(answer.reason, 300), answer
        writer.close()
        assert server.asked == 600
