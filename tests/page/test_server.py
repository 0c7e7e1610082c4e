"""The page's server: deadlines, slow viewers, start and stop; over real sockets, with short deadlines."""

import asyncio
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack

import msgspec
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from acquisition.errors import PerfusionError
from acquisition.live import feed, orders
from acquisition.live.faults import Faults
from acquisition.live.feed import Feed
from acquisition.live.history import History, Window
from acquisition.live.state import LiveState
from acquisition.live.viewers import QUEUE, Viewer
from acquisition.model import Event
from acquisition.page import server
from acquisition.page.page import Page
from acquisition.timing.clock import Clock
from tests.examination.test_session_service import START
from tests.live_bench import FLUX, LiveBench, wait_for

SOON = 4.0
"""Seconds within which a deadline of half a second is kept on a busy machine; the usual ones are longer."""
PATIENCE = 60.0
"""Seconds for anything to come about."""


def dial(bench, query="", **options):
    return connect(f"ws://127.0.0.1:{bench.port}/ws{query}", origin=f"http://127.0.0.1:{bench.port}", **options)


def closed_after(link):
    """Seconds until the other side closes."""
    link.settimeout(PATIENCE)
    begun = time.monotonic()
    try:
        while link.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - begun


def test_the_deadlines_are_those_promised():
    assert (server.REQUEST, server.ADDRESS) == (5.0, "127.0.0.1")


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"\x16\x03\x01\x02\x00\x01"],
    ids=["nothing", "half a line", "half a head", "TLS"],
)
def test_a_half_open_request_is_closed_by_the_deadline(tmp_path, monkeypatch, sent):
    monkeypatch.setattr(server, "REQUEST", 0.3)
    with (
        LiveBench(tmp_path, which=("treadmill",)) as bench,
        socket.create_connection(("127.0.0.1", bench.port)) as link,
    ):
        link.sendall(sent)
        assert closed_after(link) < SOON


def test_an_upgrade_that_is_never_answered_is_closed_by_the_deadline(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "REQUEST", 0.3)
    with (
        LiveBench(tmp_path, which=("treadmill",)) as bench,
        socket.create_connection(("127.0.0.1", bench.port)) as link,
    ):
        link.sendall(
            f"GET /ws?x={'y' * 9000} HTTP/1.1\r\nHost: 127.0.0.1:{bench.port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert closed_after(link) < SOON


def test_connections_leave_descriptors_to_the_instruments(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "connections_allowed", lambda: 3)
    with LiveBench(tmp_path, which=("treadmill",)) as bench, ExitStack() as stack:
        links = [stack.enter_context(socket.create_connection(("127.0.0.1", bench.port))) for _ in range(3)]
        with socket.create_connection(("127.0.0.1", bench.port)) as another:
            assert closed_after(another) < SOON
        links.pop().close()
        wait_for(lambda: answered(bench.port))


def answered(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/icon.svg") as answer:
            return answer.status == 200
    except OSError:
        return False


def test_a_request_that_trickles_is_closed_by_the_deadline_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "REQUEST", 0.4)
    with (
        LiveBench(tmp_path, which=("treadmill",)) as bench,
        socket.create_connection(("127.0.0.1", bench.port)) as link,
    ):
        whole = f"GET /icon.svg HTTP/1.1\r\nHost: 127.0.0.1:{bench.port}\r\n\r\n".encode()
        link.sendall(whole)
        assert link.recv(65536).startswith(b"HTTP/1.1 200")
        begun, died = time.monotonic(), None
        for byte in whole * 10:
            try:
                link.sendall(bytes([byte]))
                time.sleep(0.02)
            except OSError:
                died = time.monotonic() - begun
                break
        assert died is not None, "the second request on the connection trickled for longer than its deadline"
        assert died < SOON


def test_the_port_may_be_any_free_one_and_a_taken_one_is_told(tmp_path):
    with LiveBench(tmp_path, which=("treadmill",)) as bench:
        assert bench.port > 0
        other = Page(LiveState(), tmp_path, Clock(), bench.key_now, port=bench.port, site="s", station="b")
        with pytest.raises(PerfusionError) as caught:
            other.start()
        other.stop()
    assert f"127.0.0.1:{bench.port}" in str(caught.value)
    assert "[page] port" in caught.value.remedy


def test_stopping_ends_the_threads_and_cuts_the_viewers(tmp_path):
    before = threading.active_count()
    with LiveBench(tmp_path, which=("treadmill",)) as bench, dial(bench) as viewer:
        viewer.recv()
        begun = time.monotonic()
        bench.page.stop()
        assert time.monotonic() - begun < SOON
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", bench.port), PATIENCE)
        assert closed(viewer)
    wait_for(lambda: threading.active_count() <= before)


def closed(viewer):
    try:
        while True:
            viewer.recv(timeout=PATIENCE)
    except ConnectionClosed:
        return True


def test_the_first_message_says_what_there_is_then_comes_the_past_then_what_is_new(tmp_path):
    with LiveBench(tmp_path, past=30.0) as bench, dial(bench, "?window=60&points=600") as viewer:
        hello = msgspec.json.decode(viewer.recv())
        assert (hello["type"], hello["schema"], hello["station"]) == ("hello", 1, "bed1")
        assert [s["device"] for s in hello["streams"]] == ["ldf", "tcpo2", "treadmill"]
        assert hello["streams"][0]["channels"][0] == {
            "name": "flux",
            "label": "flux",
            "small": False,
            "unit": "[arb'U]",
            "display_unit": "PU",
            "decimals": 1,
            "low": 0.0,
            "high": 1000.0,
            "stale_after": 2.0,
        }
        messages = [viewer.recv() for _ in range(60)]
        texts = [msgspec.json.decode(m) for m in messages if isinstance(m, str)]
        past = next(t for t in texts if t["type"] == "past")
        assert past["points"] == 600
        assert past["width_ms"] == pytest.approx(100, rel=1e-4)
        assert [t["type"] for t in texts].count("state") >= 2
        drawn = messages[messages.index(msgspec.json.encode(past).decode()) + 1]
        assert drawn[0] == 2


def test_a_viewer_may_ask_for_another_window_and_nonsense_ends_it(tmp_path):
    with LiveBench(tmp_path, past=5.0) as bench:
        with dial(bench, "?window=nonsense&points=1e9") as viewer:
            for _ in range(25):
                viewer.recv(timeout=PATIENCE)
            asked = bench.key_now()
            viewer.send('{"window": 120, "points": 333}')
            past = []
            while not past:
                message = viewer.recv(timeout=PATIENCE)
                if isinstance(message, str) and '"past"' in message:
                    past.append(msgspec.json.decode(message))
            assert [(p["window"], p["points"]) for p in past] == [(120.0, 333)]
            binary = [m for m in (viewer.recv(timeout=PATIENCE) for _ in range(20)) if isinstance(m, bytes)]
            columns = next(i for i, m in enumerate(binary) if m[0] == 2)
            first = np.frombuffer(binary[columns + 1][16:24], "<f8")[0] * 1e6
            assert first < asked - 0.8e9, "what is not committed yet comes with the past"
        for nonsense in ("{", '{"window": "x"}', b"\x00", "x" * 5000, '["do"]'):
            with dial(bench) as viewer:
                viewer.send(nonsense)
                assert closed(viewer)
        wait_for(lambda: not bench.page._feed.viewers)


def test_a_viewer_that_cannot_keep_up_drops_to_the_latest_and_begins_anew():
    viewer = Viewer(Window())
    viewer.fell_behind = False
    for number in range(QUEUE):
        viewer.offer(str(number))
    assert (viewer.dropped, viewer.fell_behind) == (0, False)
    viewer.offer("newest")
    assert (viewer.dropped, viewer.fell_behind) == (QUEUE, True)


def test_what_comes_in_is_bounded_dropped_oldest_first_and_counted(tmp_path):
    idle = Feed(LiveState(), History(tmp_path), Clock(), lambda: 0, {})
    for number in range(feed.QUEUE + 10):
        idle.put(Event("state", number, "", ""))
    assert idle.dropped == 10
    assert (len(idle._queue), idle._queue[0].time) == (feed.QUEUE, 10)


def blob(header, time_s):
    """A wide stream, so that a viewer which does not read is soon full."""
    return np.zeros((len(time_s), 2))


def test_a_viewer_that_never_reads_holds_nobody_up_and_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "STALLED", 3.0)
    monkeypatch.setattr(feed, "TICK", 0.005)
    with LiveBench(tmp_path, which=("ldf",), past=1.0) as bench, socket.socket() as lazy, dial(bench) as keen:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", bench.port))
        lazy.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{bench.port}\r\nOrigin: http://127.0.0.1:{bench.port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        viewers = bench.page._feed.viewers
        wait_for(lambda: len(viewers) == 2)
        stuffing = "x" * 400_000
        took = []
        for _ in range(2000):
            begun = time.perf_counter()
            bench.page.put(Event("warning", 0, "ldf", stuffing))
            took.append(time.perf_counter() - begun)
            if len(viewers) == 1:
                break
            keen.recv(timeout=PATIENCE)
            time.sleep(0.005)
        wait_for(lambda: len(viewers) == 1)
        assert sorted(took)[len(took) * 9 // 10] < 0.05, "the acquisition side was held up"
        assert max(took) < 1.0, "the acquisition side waited for the one that reads nothing"
        newest = bench.key_now()
        while True:
            message = keen.recv(timeout=PATIENCE)
            if isinstance(message, bytes) and np.frombuffer(message[16:24], "<f8")[0] * 1e6 > newest:
                break


def test_what_many_ask_for_is_read_once(tmp_path, monkeypatch):
    reads = []
    whole = History._read
    monkeypatch.setattr(History, "_read", lambda self, *a: reads.append(a) or whole(self, *a))
    with LiveBench(tmp_path, past=5.0) as bench, ExitStack() as stack:
        links = [stack.enter_context(dial(bench, "?window=60&points=600")) for _ in range(20)]
        for link in links:
            while not (isinstance(m := link.recv(timeout=PATIENCE), bytes) and m[0] == 2):
                pass
    assert 1 <= len(reads) <= 4


def test_columns_and_metrics_are_served(tmp_path):
    with LiveBench(tmp_path, past=60.0) as bench:
        now = bench.key_now()
        query = f"api/columns?device=ldf&stream={FLUX.name}&channel=flux&from={now - 50 * 10**9}&to={now}&points=500"
        with urllib.request.urlopen(bench.url + query) as answer:
            found = msgspec.json.decode(answer.read())
        assert len(found["low"]) == len(found["high"]) == 500
        filled = [v for v in found["low"] if v is not None]
        assert len(filled) > 480
        assert 30 < min(filled) < max(v for v in found["high"] if v is not None) < 70
        whole = f"api/columns?device=ldf&stream={FLUX.name}&channel=flux&from=0&to={2**63 - 1}&points=1000"
        with urllib.request.urlopen(bench.url + whole) as answer:
            assert answer.status == 200
            assert any(value is not None for value in msgspec.json.decode(answer.read())["low"])
        for bad, status in (
            (f"from={2**63 - 2}&to={2**63 - 1}", 400),
            (f"from={2**64}&to={2**70}", 400),
            ("from=5&to=4", 400),
            ("from=0&to=x", 400),
            ("from=0&to=9&points=0", 400),
            ("from=0&to=9", 404),
        ):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(bench.url + f"api/columns?device=no&stream=x&channel=y&{bad}")
            assert caught.value.code == status
            caught.value.close()
        bench.say("noise", "no frame", "ldf", bytes=7)
        with urllib.request.urlopen(bench.url + "metrics") as answer:
            assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
            lines = answer.read().decode().splitlines()
    for line in ('perfusion_device_up{device="ldf"} 1', 'perfusion_parse_errors_total{device="ldf"} 7'):
        assert line in lines
    assert any(line.startswith('perfusion_samples_total{device="ldf",stream="ldf"} 24') for line in lines)
    names = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert names >= {
        f"perfusion_{n}"
        for n in (
            "device_up", "samples_total", "sample_age_seconds", "parse_errors_total", "reconnects_total",
            "clock_offset_seconds", "sink_backlog", "build_info",
        )
    }  # fmt: skip


def ordered(link, **request):
    link.send(msgspec.json.encode(request).decode())
    while True:
        message = link.recv(PATIENCE)
        if isinstance(message, str) and (said := msgspec.json.decode(message))["type"] == "answer":
            return said


@pytest.mark.parametrize("do", ["session.start", "session.observe", "belt.start", "snapshot", None, 7])
def test_the_page_may_not_ask_for_anything_else(tmp_path, do):
    with LiveBench(tmp_path, which=("treadmill",)) as bench, dial(bench) as link:
        answer = ordered(link, id=1, do=do)
        assert (answer["id"], answer["error"]) == (1, "the page may not ask this")


@pytest.mark.parametrize(
    "request_",
    [
        {"do": "session.correct", "field": "subject", "value": ["x"], "reason": "because"},
        {"do": "session.correct", "field": "limb", "value": {"a": 1}, "reason": "because", "entry": 1},
        {"do": "session.correct", "field": "struck", "value": True, "reason": "because"},
        {"do": "session.correct", "field": ["struck"], "value": True, "reason": "because", "entry": 1},
        {"do": "session.correct", "field": "at", "value": "abc", "reason": "because", "entry": 1},
        {"do": "session.correct", "field": "struck", "session": "s1", "value": True, "reason": "why", "entry": 1},
        {"do": "session.mark", "name": "moved", "at": 1},
        {"do": ["session.mark"], "name": "moved"},
    ],
)
def test_the_page_may_do_what_it_declares_field_by_field(request_):
    async def order(_):
        raise AssertionError("it was let through")

    said = asyncio.run(orders.answer(order, {"id": 3, **request_}))
    assert said["error"].startswith("the page may")
    assert said["remedy"]


def test_a_fault_in_an_order_is_told_and_costs_nobody_the_page(caplog):
    async def order(_):
        raise KeyError("limb")

    said = asyncio.run(orders.answer(order, {"id": 3, "do": "session.stop"}))
    assert (said["id"], said["error"]) == (3, "unexpected: KeyError")
    assert "the page's request session.stop failed" in caplog.text


def test_an_order_is_answered_once_it_is_on_the_disk(tmp_path):
    with LiveBench(tmp_path, which=("ldf",)) as bench, dial(bench) as link:
        bench.session_service.answer(START)
        answer = ordered(link, id=5, do="session.mark", name="moved", by="somebody else")
        assert answer == {"type": "answer", "id": 5, "done": "the participant moved", "committed": True, "warnings": []}
        assert bench.session_service.present()["items"][0]["by"] == "live page"
        assert "error" in ordered(link, id=6, do="session.mark", name="moved", ago="soon")
        assert "no mark" in ordered(link, id=7, do="session.mark", name="nonsense")["error"]


def test_a_page_that_only_shows_refuses_orders(tmp_path):
    with LiveBench(tmp_path, which=("ldf",), marks=False) as bench, dial(bench) as link:
        assert ordered(link, id=1, do="session.mark", name="moved")["error"] == "this page only shows"


def test_one_bad_field_silences_neither_the_snapshot_nor_the_feed(tmp_path, caplog):
    with LiveBench(tmp_path, which=("ldf",)) as bench, dial(bench) as viewer:
        bench.remotes.append({"name": "influx", "state": "held", "reason": "caf\udce9", "pending": 0})
        with urllib.request.urlopen(f"{bench.url}api/snapshot", timeout=PATIENCE) as answer:
            assert msgspec.json.decode(answer.read())["remotes"][0]["reason"] == "caf\ufffd"
        assert states(viewer, 3)[-1]["remotes"][0]["reason"] == "caf\ufffd"
    assert "Traceback" not in caplog.text


def states(viewer, count):
    found = []
    while len(found) < count:
        message = viewer.recv(timeout=PATIENCE)
        if isinstance(message, str) and '"type":"state"' in message:
            found.append(msgspec.json.decode(message))
    return found


def test_a_fault_in_the_state_costs_the_state_and_is_told_once(tmp_path, caplog, monkeypatch):
    told = []
    with LiveBench(tmp_path, which=("ldf",)) as bench, dial(bench) as viewer:
        monkeypatch.setattr(bench.page._faults, "_tell", told.append)
        states(viewer, 1)
        session = bench.live_state._session
        monkeypatch.setattr(bench.live_state, "_session", lambda: 1 / 0)
        wait_for(lambda: told)
        for path in ("api/snapshot", "metrics"):
            monkeypatch.setattr(bench.live_state, "remotes", lambda: 1 / 0)
            with pytest.raises(urllib.error.HTTPError, match="500"):
                urllib.request.urlopen(f"{bench.url}{path}", timeout=PATIENCE)
        assert [m for m in (viewer.recv(timeout=PATIENCE) for _ in range(20)) if isinstance(m, bytes)]
        monkeypatch.setattr(bench.live_state, "_session", session)
        monkeypatch.setattr(bench.live_state, "remotes", list)
        states(viewer, 2)
    assert told == ["the state cannot be made (ZeroDivisionError)"]
    assert caplog.text.count("the state cannot be made") == 1


def test_faults_are_over_after_some_calm():
    told, now = [], [0.0]
    heed = Faults(told.append, lambda: now[0])
    for _ in range(3):
        with heed.heeding("the state"):
            raise KeyError("limb")
    heed.settle()
    now[0] = 11.0
    heed.settle()
    heed.settle()
    assert told == ["the state cannot be made (KeyError)", None]


def test_a_page_whose_thread_ends_is_started_again_and_told(tmp_path, caplog, monkeypatch):
    told = []
    monkeypatch.setattr(server, "PAUSES", (0.05, 0.1))
    with LiveBench(tmp_path, which=("ldf",)) as bench:
        bench.page._server._trouble = told.append
        with monkeypatch.context() as broken:
            broken.setattr(bench.page._feed.faults, "settle", lambda: 1 / 0)
            wait_for(lambda: len(told) > 1)
        wait_for(lambda: told[-1] is None)
        with dial(bench) as viewer:
            assert '"hello"' in viewer.recv(timeout=PATIENCE)
    assert "it ended by itself (ZeroDivisionError)" in told[0]
    assert "ended by itself; it is started again" in caplog.text


@pytest.mark.parametrize(
    "frame", [b"\x81\x83\x00\x00\x00\x00\xff\xfe\xfd", b"\x81\xfe\x03\xe8\x00\x00\x00\x00" + b"[" * 1000]
)
def test_a_frame_that_is_no_json_in_utf8_leaves_no_traceback(tmp_path, caplog, frame):
    with LiveBench(tmp_path, which=("treadmill",)) as bench, dial(bench) as viewer:
        viewer.recv()
        viewer.socket.sendall(frame)
        assert closed(viewer)
        with dial(bench) as another:
            another.recv(timeout=PATIENCE)
    assert "Traceback" not in caplog.text
