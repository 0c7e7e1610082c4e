"""`python -m simulators` as a process: where it listens, when it ends, what it says when it is asked wrongly."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
import serial

from simulators.__main__ import main
from simulators.bench.registry import simulators

NAME = "trackmaster"
PATIENCE = 60.0
"""Seconds in which a process starts, answers or ends, on however busy a machine."""
SPEED, ZERO = b"\xc1", b"\xd10000"
"""A Trackmaster's question for its actual speed, and the answer of one that stands."""

pytestmark = pytest.mark.skipif(NAME not in simulators(), reason="no instrument to run")


@contextlib.contextmanager
def started(*command, stdin=subprocess.PIPE):
    """A Python process that says where it `listen`s; ended and closed whatever happens."""
    process = subprocess.Popen([sys.executable, *command], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        process.listen = json.loads(process.stdout.readline())["listen"]
        yield process
    finally:
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()


def simulator(*arguments, **how):
    return started("-m", "simulators", NAME, *arguments, **how)


def ask(path):
    with serial.Serial(str(path), 4800, timeout=PATIENCE, exclusive=True) as line:
        line.write(SPEED)
        return line.read(5)


@pytest.fixture
def run(monkeypatch, capsys):
    """The command within this process -> (exit code, stdout, stderr on one line)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["simulators", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return ended.value.code, out, " ".join(err.split())

    return run


def test_it_answers_on_its_link_and_ends_with_its_stdin(tmp_path):
    link = str(tmp_path / "treadmill")
    with simulator("--pty", "--link", link) as process:
        assert process.listen == {"kind": "pty", "path": link}
        assert ask(link) == ZERO
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
        assert not os.path.lexists(link)
        assert process.stderr.read() == b""


def test_it_answers_over_tcp_and_ends_on_sigterm():
    with simulator("--tcp", "127.0.0.1:0") as process:
        with socket.create_connection((process.listen["host"], process.listen["port"]), timeout=PATIENCE) as link:
            link.sendall(SPEED)
            heard = b""
            while len(heard) < 5:
                heard += link.recv(5)
        assert heard == ZERO
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_it_does_not_end_with_a_stdin_that_is_no_pipe():
    with simulator("--tcp", "127.0.0.1:0", "--for", "1.5", stdin=subprocess.DEVNULL) as process:
        time.sleep(0.3)
        assert process.poll() is None
        assert process.wait(PATIENCE) == 0


def test_its_scenario_began_at_t0_and_runs_at_its_speed(tmp_path):
    link = str(tmp_path / "treadmill")
    t0 = str(time.time() - 10.0)
    with simulator("--link", link, "--scenario", "walk-constant", "--t0", t0, "--speed", "30") as process:
        assert process.listen["path"] == link
        assert ask(link)[:1] == b"\xd1"
        assert 15 < int(ask(link)[1:]) < 25  # 2.0 mph, 300 s into the walk's scenario


def number(link):
    """The terminal behind a link; None while there is none."""
    with contextlib.suppress(FileNotFoundError):
        return os.readlink(link)


def test_an_unplugged_line_returns_under_its_link(tmp_path):
    link = tmp_path / "treadmill"
    with simulator("--link", str(link)) as process:
        first = os.readlink(link)
        process.stdin.write(b"unplug@0s:500ms\n")
        process.stdin.flush()
        deadline = time.monotonic() + PATIENCE
        while number(link) in (None, first):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert ask(link) == ZERO
        assert process.poll() is None


def test_the_ledger_survives_a_kill(tmp_path):
    link, ledger = str(tmp_path / "treadmill"), tmp_path / "ledger.jsonl"
    ledger.write_text("{}\n")
    with simulator("--link", link, "--ledger", str(ledger)) as process:
        for _ in range(3):
            ask(link)
        process.kill()
        process.wait()
        rows = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert rows.pop(0) == {}, "what stood there before"
    assert [row["n"] for row in rows] == [0, 1, 2]
    assert {row["stream"] for row in rows} == {"belt"}
    assert rows[0]["values"][0] == 0.0
    assert rows[0]["device_time"] < rows[1]["device_time"] < rows[2]["device_time"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nonesuch"], 3, "unknown instrument 'nonesuch'; next: allowed: .*trackmaster"),
        ([], 2, "which instrument"),
        ([NAME, "--tcp", "127.0.0.1"], 2, "HOST:PORT"),
        ([NAME, "--tcp", "127.0.0.1:0", "--pty"], 2, "one link at a time"),
        ([NAME, "--tcp", "127.0.0.1:0", "--link", "x"], 2, "--link goes with --pty"),
        ([NAME, "--fault", "unplug@1s"], 3, "--fault unplug@1s: unplug needs a duration"),
        ([NAME, "--fault", "detached@1s:1s"], 3, "has no fault 'detached'"),
        ([NAME, "--scenario", "nap"], 3, "unknown scenario 'nap'"),
        ([NAME, "--options", '{"unit": "knots"}'], 3, "--options: Invalid enum value 'knots'.*allowed keys: unit"),
        ([NAME, "--options", "{"], 3, "--options"),
        ([NAME, "--replay", "none.csv:a=flux"], 3, "none.csv: cannot be read"),
        ([NAME, "--ledger", "/nonesuch/ledger"], 3, "/nonesuch/ledger: the ledger cannot be written"),
        ([NAME, "--speed", "0"], 2, "--speed"),
    ],
)
def test_a_wrong_command_says_what_is_wrong_and_what_is_allowed(run, arguments, code, says):
    ended, out, err = run(*arguments)
    assert re.search(says, err), err
    assert ended == code
    assert out == ""


def test_a_recording_that_no_terminal_carries_is_refused(run, tmp_path):
    path = tmp_path / "finger.csv"
    path.write_text("time_s,flux_pu\n-2,1.5\n-1,2\n")
    for channel, code in (("flux", 0), ("101", 0), ("flow", 3), ("999", 3)):
        ended, out, err = run("daq970a", "--tcp", "127.0.0.1:0", "--replay", f"{path}:flux_pu={channel}", "--for", "0")
        assert ended == code, err
        assert ("--replay: no terminal carries" in err) is (code == 3)
        assert (out == "") is (code == 3)


def test_an_unplugged_line_without_a_name_is_warned_of(run):
    code, out, err = run(NAME, "--pty", "--fault", "unplug@60s:5s", "--for", "0")
    assert code == 0
    assert json.loads(out)["listen"]["path"].startswith("/dev/pts/")
    assert "give it a name by --link" in err


def test_the_help_lists_instruments_scenarios_and_faults(run):
    code, out, _ = run("--help")
    assert code == 0
    for word in ("trackmaster", "walk-constant", "half-open", "--replay", "--truth"):
        assert word in out


def test_the_truth_is_printed_without_an_instrument(run):
    code, out, _ = run("--truth", "--scenario", "porh", "--class", "diabetic")
    assert code == 0
    assert json.loads(out)["porh"]["PF"] == 45


HANGING = """
import sys, time
from simulators import trackmaster
from simulators.bench import runner
from simulators.__main__ import main
runner.HANG = 0.5
trackmaster.Trackmaster.connect = lambda self, at: time.sleep(60)
sys.argv = ["simulators", "trackmaster", "--tcp", "127.0.0.1:0"]
main()
"""
FAILING = HANGING.replace("time.sleep(60)", "1 / 0")


@pytest.mark.parametrize(("script", "says"), [(HANGING, "Timeout"), (FAILING, "ZeroDivisionError")])
def test_an_instrument_that_hangs_or_fails_ends_the_process_with_a_traceback(script, says):
    with started("-c", script) as process:
        # It may die of the connection before the connecting itself has come to its end.
        with contextlib.suppress(ConnectionResetError):
            link = socket.create_connection((process.listen["host"], process.listen["port"]), timeout=PATIENCE)
            with link:
                process.wait(PATIENCE)
        assert process.wait(PATIENCE) == 1
        err = process.stderr.read().decode()
    assert says in err
    assert "connect" in err


@pytest.mark.parametrize("name", ["di1100", "snuadc", "34970a"])
def test_an_instrument_that_knows_no_baud_rate_is_understood_at_any(name):
    with (
        started("-m", "simulators", name, "--pty") as process,
        serial.Serial(process.listen["path"], 9600, timeout=PATIENCE) as line,
    ):
        if name == "snuadc":
            heard = line.read(240)
            assert {heard[k + 12] & 0x80 for k in range(0, 228, 12) if heard[k] & 0x80} == {0x80}
        else:
            line.write(b"stop\r" if name == "di1100" else b"*IDN?\n")
            assert line.read(5) in (b"stop\r", b"Keysi")
