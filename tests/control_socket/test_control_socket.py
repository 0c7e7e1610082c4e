"""The daemon's local socket: for this account only, bounded, and clear when nobody answers."""

import asyncio
import contextlib
import fcntl
import json
import re
import socket
import stat
import threading
import time

import pytest
from click.testing import CliRunner

from acquisition.cli import perfusion
from acquisition.control_socket import client
from acquisition.control_socket.client import NoDaemon, Unanswered, ask
from acquisition.control_socket.server import ControlSocket
from acquisition.daemon import gateway, timekeeping
from acquisition.errors import PerfusionError, Refused
from tests.store.records import Recording

SNAPSHOT = {"devices": [{"name": "ldf", "state": "STREAMING"}]}


def serve(directory, request):
    async def body():
        async with ControlSocket(directory, lambda: SNAPSHOT):
            return await asyncio.to_thread(request)

    return asyncio.run(body())


def test_a_snapshot_is_answered(tmp_path):
    assert serve(tmp_path, lambda: ask(tmp_path, {"do": "snapshot"})) == SNAPSHOT


def test_only_this_account_may_speak(tmp_path):
    mode = serve(tmp_path, lambda: (tmp_path / "control.sock").stat().st_mode)
    assert stat.S_IMODE(mode) == 0o600


def test_an_unknown_request_is_refused(tmp_path):
    with pytest.raises(Refused, match="unknown request"):
        serve(tmp_path, lambda: ask(tmp_path, {"do": "erase"}))


def test_no_daemon_says_how_to_start_one(tmp_path):
    with pytest.raises(Refused, match=r"no daemon answers.*perfusion run -c FILE"):
        ask(tmp_path, {"do": "snapshot"})


def test_a_socket_left_by_a_killed_daemon_is_taken_over(tmp_path):
    (tmp_path / "control.sock").touch()
    assert serve(tmp_path, lambda: ask(tmp_path, {"do": "snapshot"})) == SNAPSHOT
    assert not (tmp_path / "control.sock").exists()


def test_a_socket_that_was_removed_with_its_folder_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr("acquisition.control_socket.server.LOOK", 0.01)
    folder = tmp_path / "rec"
    folder.mkdir()

    def request():
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(NoDaemon):
            ask(folder, {"do": "snapshot"})
        folder.mkdir()
        for _ in range(1000):
            with contextlib.suppress(NoDaemon):
                return ask(folder, {"do": "snapshot"})
            time.sleep(0.005)

    assert serve(folder, request) == SNAPSHOT
    assert not (folder / "control.sock").exists()


def test_the_socket_of_another_daemon_is_not_removed(tmp_path):
    def request():
        (tmp_path / "control.sock").unlink()
        (tmp_path / "control.sock").write_text("another's")

    serve(tmp_path, request)
    assert (tmp_path / "control.sock").read_text() == "another's"


def test_a_folder_with_a_very_long_name_works(tmp_path):
    deep = tmp_path / ("a" * 100) / ("b" * 100)
    deep.mkdir(parents=True)
    assert serve(deep, lambda: ask(deep, {"do": "snapshot"})) == SNAPSHOT


@pytest.mark.parametrize(
    "line", [b"\xff\xfe\n", b"[1]\n", b"{}\n", b"null\n", b"[" * 60_000 + b"\n", b"1" * 60_000 + b"\n"]
)
def test_no_line_stops_the_service_or_ends_its_connection(tmp_path, caplog, line):
    def request():
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(tmp_path / "control.sock"))
            link.sendall(line)
            answer = link.recv(4096)
            link.sendall(b'{"do": "snapshot"}\n')
            return answer, json.loads(link.recv(4096))["ok"]

    answer, after = serve(tmp_path, request)
    assert b'"error"' in answer
    assert answer.count(b"\n") == 1
    assert after == SNAPSHOT
    assert "Traceback" not in caplog.text


def test_an_endless_line_is_cut_off(tmp_path):
    def request():
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(5)
            link.connect(str(tmp_path / "control.sock"))
            try:
                for _ in range(64):
                    link.sendall(b"x" * 65536)
                ended = b"at most 65536 bytes" in link.recv(4096) and link.recv(1) == b""
            except (BrokenPipeError, ConnectionResetError):
                ended = True
        return ended, ask(tmp_path, {"do": "snapshot"})

    assert serve(tmp_path, request) == (True, SNAPSHOT)


def test_a_request_that_is_too_long_is_refused_before_it_is_sent(tmp_path):
    with pytest.raises(Refused, match="a request has at most 65536 bytes, this one 2000"):
        ask(tmp_path, {"do": "snapshot", "text": "x" * 200_000})


async def _add(request):
    if "n" not in request:
        raise Refused("no n", "add", "it was forgotten", "say n")
    return {"sum": request["n"] + 1}


def ask_with(directory, request, answers):
    async def body():
        async with ControlSocket(directory, lambda: SNAPSHOT, answers):
            return await asyncio.to_thread(ask, directory, request)

    return asyncio.run(body())


def test_further_requests_are_answered_by_their_word(tmp_path):
    assert ask_with(tmp_path, {"do": "add", "n": 1}, {"add": _add}) == {"sum": 2}
    with pytest.raises(Refused, match=re.escape('known: {"do": "snapshot"}, {"do": "add"}')):
        ask_with(tmp_path, {"do": "sub"}, {"add": _add})


def test_a_refusal_comes_back_whole(tmp_path):
    with pytest.raises(Refused) as caught:
        ask_with(tmp_path, {"do": "add"}, {"add": _add})
    error = caught.value
    assert not isinstance(error, NoDaemon)
    assert (error.what, error.where, error.cause, error.remedy) == ("no n", "add", "it was forgotten", "say n")


def test_a_fault_in_an_answer_is_told_and_stops_nothing(tmp_path, caplog):
    with pytest.raises(PerfusionError, match="unexpected"):
        ask_with(tmp_path, {"do": "add", "n": "x"}, {"add": _add})
    assert "the request add failed" in caplog.text


def test_one_bad_field_costs_nobody_the_answer(tmp_path):
    async def bad(_):
        return {"note": "caf\udce9 fell", "value": 2**80}

    assert ask_with(tmp_path, {"do": "bad"}, {"bad": bad}) == {"note": "caf\ufffd fell", "value": str(2**80)}


def test_a_snapshot_that_fails_is_told_and_stops_nothing(tmp_path):
    def snapshot():
        raise KeyError("limb")

    async def body():
        async with ControlSocket(tmp_path, snapshot, {"add": _add}):
            with pytest.raises(PerfusionError, match="unexpected: KeyError"):
                await asyncio.to_thread(ask, tmp_path, {"do": "snapshot"})
            return await asyncio.to_thread(ask, tmp_path, {"do": "add", "n": 1})

    assert asyncio.run(body()) == {"sum": 2}


class Daemon:
    """Listens on the socket and answers whatever `behave` does with each connection."""

    def __init__(self, directory, behave):
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / "control.sock"))
        self._listener.listen(5)
        self._behave = behave
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _work(self):
        try:
            while True:
                link, _ = self._listener.accept()
                with link:
                    link.recv(65536)
                    self._behave(link)
        except OSError:
            pass


def answers(*pieces):
    def behave(link):
        for piece in pieces:
            link.sendall(piece)

    return behave


def trickles(link):
    for _ in range(1000):
        link.sendall(b"x")
        time.sleep(0.01)


def is_silent(link):
    link.settimeout(10)
    link.recv(1)


@pytest.mark.parametrize(
    ("behave", "said"),
    [
        (answers(), "ended the connection without an answer"),
        (answers(b'{"ok": '), "ended the connection without an answer"),
        (answers(b"<html>\n"), "answer is broken"),
        (answers(b'{"ok": "\xff"}\n'), "answer is broken"),
        (answers(b"[" * 100_000 + b"\n"), "answer is broken"),
        (answers(b"7\n"), "none of this program"),
        (answers(b"{}\n"), "none of this program"),
        (answers(b'{"ok": null}\n'), "none of this program"),
        (answers(b'{"ok": [1]}\n'), "none of this program"),
        (is_silent, "did not answer within 0.2 s"),
        (trickles, "did not answer within 0.2 s"),
    ],
    ids=["empty", "half", "html", "bytes", "deep", "number", "nothing", "null", "list", "silent", "trickle"],
)
def test_an_answer_that_is_none_is_not_a_daemon_that_is_not_there(tmp_path, behave, said):
    with Daemon(tmp_path, behave), pytest.raises(Unanswered, match=said) as caught:
        ask(tmp_path, {"do": "snapshot"}, timeout=0.2)
    assert not isinstance(caught.value, NoDaemon)
    assert "no daemon" not in str(caught.value)
    assert "kill" not in str(caught.value)
    assert caught.value.cause
    assert caught.value.remedy


@pytest.mark.parametrize(
    "command",
    [["watch", "--once"], ["session", "note", "warm"], ["belt", "speed", "3", "--by", "mk"],
     ["clock", "accept", "--reason", "looked at", "--by", "mk"]],
)  # fmt: skip
def test_an_answer_that_lacks_what_is_asked_for_ends_a_command_in_one_line(tmp_path, command):
    with Recording(tmp_path):
        pass
    said = b'{"ok": {}}\n' if command[0] != "watch" else b'{"ok": {"devices": [{}]}}\n'
    with Daemon(tmp_path, answers(said)), pytest.raises(Unanswered, match=r"none of this program \(it has no '"):
        perfusion.main([*command, "--data", str(tmp_path)], standalone_mode=False)


CHANNEL = {"label": "flux", "value": 3.0, "unit": "1", "display_unit": "PU", "word": "live", "age_s": 0.1,
           "sparkline": [1.0, None]}  # fmt: skip
SHOWN = {
    "watch": {
        "now": "2026-01-01T00:00:00.000Z", "speed": 1.0, "record": {"recording": True, "bytes": 5, "samples": 9},
        "devices": [{"name": "ldf", "state": "LOST", "cause": "silent", "simulated": True, "channels": [CHANNEL]}],
        "session": {"subject": "S001", "visit": "first", "limb": "", "title": "Rest", "phase": "rest", "elapsed_s": 3},
        "remotes": [{"name": "influx", "state": "held", "reason": "no", "pending": 7}],
        "alarms": [{"text": "wrong clock", "remedy": "look"}],
    },
    "clock": {"done": "accepted", "committed": True},
    "belt": {"device": "belt", "order": "stop", "sent": True},
    "session": {
        "session": "s1", "protocol": "porh", "subject": "S001", "visit": "first", "limb": "left", "simulated": True,
        "state": "open", "reason": "", "phase": "rest", "elapsed_s": 3.0, "planned_s": 60.0, "say": "sit",
        "marks": [{"name": "on", "say": "now", "opens": None, "values": ["a"]}], "warnings": ["old"], "done": "noted",
        "checks": [{"name": "skin", "say": "Skin", "state": "ok", "found": "yes", "wanted": ""}],
    },
}  # fmt: skip
COMMANDS = {
    "clock": [["clock", "accept", "--reason", "compared", "--by", "mk"]],
    "belt": [["belt", "stop", "--by", "mk"]],
    "watch": [["watch", "--once"], ["watch", "--once", "--json"]],
    "session": [["session", "start", "--protocol", "porh", "--subject", "S001", "--visit", "first", "--by", "mk"]],
}


def spoiled(whole):
    """The same with each of its values in turn replaced by one of every other type."""
    if not isinstance(whole, dict | list):
        return
    for key, value in whole.items() if isinstance(whole, dict) else enumerate(whole):
        others = [*spoiled(value), *(each for each in (None, True, 7, "word", [], [None], {}, {"a": 1}))]
        for other in others:
            yield {**whole, key: other} if isinstance(whole, dict) else [*whole[:key], other, *whole[key + 1 :]]


@pytest.mark.parametrize("kind", SHOWN)
def test_a_field_of_another_type_is_told_and_never_shown_halfway(tmp_path, monkeypatch, kind):
    said, told = [b""], 0
    monkeypatch.setattr(client, "_receive", lambda *_: said[0])
    with Daemon(tmp_path, is_silent), Recording(tmp_path):
        for answer in [SHOWN[kind], *spoiled(SHOWN[kind])]:
            said[0] = json.dumps({"ok": answer}).encode() + b"\n"
            for command in COMMANDS[kind]:
                ran = CliRunner().invoke(perfusion, [*command, "--data", str(tmp_path)], standalone_mode=False)
                if answer is SHOWN[kind]:
                    assert ran.exception is None
                if ran.exception is not None:
                    assert isinstance(ran.exception, Unanswered), (answer, ran.exception)
                    told += 1
    assert told >= 7 * len(COMMANDS[kind])


@pytest.mark.parametrize("lacks", [{"sent": False}, {"order": "speed"}])
def test_a_stop_is_sent_only_where_the_daemon_says_so_and_else_names_the_red_button(tmp_path, lacks):
    said = json.dumps({"ok": {**SHOWN["belt"], **lacks}}).encode() + b"\n"
    with Daemon(tmp_path, answers(said)), pytest.raises(Unanswered, match="does not say that it was sent") as caught:
        perfusion.main(["belt", "stop", "--by", "mk", "--data", str(tmp_path)], standalone_mode=False)
    assert "red button" in str(caught.value)
    assert "not known that anything reached" in str(caught.value)


def test_an_answer_without_an_end_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "ANSWER", 100_000)
    with Daemon(tmp_path, answers(b"x" * 200_000)), pytest.raises(Unanswered, match="broken"):
        ask(tmp_path, {"do": "snapshot"})


def test_nothing_is_written_beside_a_daemon_whose_answer_is_broken(tmp_path):
    with Daemon(tmp_path, answers(b"<html>\n")), pytest.raises(Unanswered):
        gateway.send(tmp_path, {"do": "session.note", "text": "x"})
    assert {each.name for each in tmp_path.iterdir()} == {"control.sock"}


def test_a_record_in_use_whose_socket_is_not_there_is_no_missing_daemon(tmp_path):
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Unanswered, match="in use, but no daemon answers on its socket") as caught:
            gateway.send(tmp_path, {"do": "session.note", "text": "x"})
    assert "kill" not in str(caught.value)
    with pytest.raises(NoDaemon):
        ask(tmp_path, {"do": "snapshot"})


def test_what_a_daemon_answers_is_clean(tmp_path):
    said = json.dumps({"ok": {"note": "caf\udce9 \x1b[31mfell"}}).encode() + b"\n"
    with Daemon(tmp_path, answers(said)):
        assert ask(tmp_path, {"do": "snapshot"}) == {"note": "caf\ufffd fell"}


def test_a_stop_of_the_belt_that_nobody_answers_says_what_is_not_known(tmp_path):
    with Daemon(tmp_path, answers()), pytest.raises(Unanswered, match="not known that anything reached the treadmill"):
        perfusion.main(["belt", "stop", "--data", str(tmp_path)], standalone_mode=False)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"do": "clock.mend", "run": "one", "reason": "a slip"}, "run cannot be 'one'; next: it is a whole number"),
        ({"do": "clock.mend", "reason": "a slip"}, "the field 'run' is missing"),
        ({"do": "clock.accept", "reason": "x"}, "reason cannot be 'x'; next: it is text of at least 3"),
        ({"do": "clock.accept", "reason": "fine", "who": 1}, "no field 'who'; next: the fields are: reason, by"),
    ],
)
def test_a_request_about_the_clock_is_refused_in_words(tmp_path, request_, said):
    with pytest.raises(Refused, match=said):
        timekeeping.send(tmp_path, request_)
