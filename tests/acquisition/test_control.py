"""The daemon's local socket: for this account only, bounded, and clear when nobody answers."""

import asyncio
import contextlib
import re
import socket
import stat
import time

import pytest

from acquisition.control import ControlSocket, NoDaemon, ask
from acquisition.errors import PerfusionError, Refused

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
    monkeypatch.setattr("acquisition.control.LOOK", 0.01)
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


@pytest.mark.parametrize("line", [b"\xff\xfe\n", b"[1]\n", b"{}\n", b"null\n"])
def test_no_line_stops_the_service(tmp_path, line):
    def request():
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(tmp_path / "control.sock"))
            link.sendall(line)
            answer = link.recv(4096)
        return answer, ask(tmp_path, {"do": "snapshot"})

    answer, after = serve(tmp_path, request)
    assert b'"error"' in answer
    assert after == SNAPSHOT


def test_an_endless_line_is_cut_off(tmp_path):
    def request():
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(5)
            link.connect(str(tmp_path / "control.sock"))
            try:
                for _ in range(64):
                    link.sendall(b"x" * 65536)
                ended = link.recv(1) == b""
            except (BrokenPipeError, ConnectionResetError):
                ended = True
        return ended, ask(tmp_path, {"do": "snapshot"})

    assert serve(tmp_path, request) == (True, SNAPSHOT)


async def _add(request):
    if "n" not in request:
        raise Refused("no n", "add", "it was forgotten", "say n")
    return request["n"] + 1


def ask_with(directory, request, answers):
    async def body():
        async with ControlSocket(directory, lambda: SNAPSHOT, answers):
            return await asyncio.to_thread(ask, directory, request)

    return asyncio.run(body())


def test_further_requests_are_answered_by_their_word(tmp_path):
    assert ask_with(tmp_path, {"do": "add", "n": 1}, {"add": _add}) == 2
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
