"""Sessions on a running daemon: by the command line, through a kill, and on the disk before the answer."""

import functools
import json
import os
import re
import subprocess
import urllib.request

import pytest

from acquisition.cli import perfusion
from acquisition.config import load
from acquisition.control_socket.client import ask
from acquisition.daemon import gateway
from acquisition.errors import PerfusionError
from acquisition.examination.rules import Rules
from acquisition.store import Store, check
from tests.service.bench import PERFUSION, Bench, streaming


@pytest.fixture
def bench(tmp_path):
    with Bench(tmp_path) as bench:
        bench.simulate("intellivue")
        bench.write()
        yield bench


@pytest.fixture
def say(bench, capsys):
    def run(*arguments, code=0):
        call = functools.partial(
            perfusion.main, [*arguments, "-c", str(bench.config), "--json"], standalone_mode=False
        )  # fmt: skip
        if code == 0:
            call()
            return json.loads(capsys.readouterr().out)
        with pytest.raises(PerfusionError) as refused:
            call()
        assert refused.value.exit_code == code
        return str(refused.value)

    return run


def test_a_session_outlives_a_kill_and_every_answer_was_on_disk(bench, say):
    daemon = bench.run()
    daemon.until(bench.store, streaming)
    started = say(
        "session", "start", "--protocol", "tcpo2-rest", "--subject", "03-117", "--visit", "baseline",
        "--limb", "left", "--check", "skin=yes",
    )  # fmt: skip
    assert started["committed"]
    assert started["bindings"] == {"chest": ["tcpo2/chest/tcpo2"], "limb": ["tcpo2/calf/tcpo2"]}
    assert say("session", "mark", "applied")["phase"] == "settling"
    daemon.kill()
    assert [item.name for item in gateway.session_log(bench.store).sessions["s1"].items] == ["applied"]

    daemon = bench.run()
    daemon.until(bench.store, streaming)
    assert say("session", "show")["phase"] == "settling"
    assert "settling has" in say("session", "next", code=8)
    assert say("session", "next", "--early", "a test of the service")["phase"] == "reading"
    say("observe", "vas", "62")
    stopped = say("session", "stop", "--reason", "a test of the service")
    assert (stopped["state"], len(stopped["items"])) == ("aborted", 2)
    assert daemon.stop() == 0
    assert check(bench.store).ok
    with Store(bench.store) as store:
        kept = Rules.recorded(store.runs().values())
    assert kept == Rules.of(load(bench.config))


def test_a_refusal_has_its_exit_code_and_says_what_to_do(bench, say):
    daemon = bench.run()
    daemon.until(bench.store, streaming)
    start = ("session", "start", "--visit", "baseline")
    assert "reads as a name" in say(*start, "--protocol", "tcpo2-rest", "--subject", "Ivanova", code=8)
    assert "known: " in say(*start, "--protocol", "pohr", "--subject", "03-117", code=3)
    assert "no channel 'flux'" in say(*start, "--protocol", "porh", "--subject", "03-117", code=8)
    assert "session start" in say("session", "mark", "release", code=8)
    listed = say("session", "check", "--protocol", "tcpo2-rest", "--check", "barometer=760", "--check", "air=154,170")
    states = {check["name"]: check["state"] for check in listed["checks"]}
    assert (states["chest"], states["limb"], states["record"], states["disk"]) == ("ok", "ok", "ok", "ok")
    assert (states["barometer"], states["air"], states["lifted"]) == ("ok", "look", "unanswered")
    whole = ("session", "start", "--protocol", "tcpo2-rest", "--subject", "03-117", "--visit", "baseline")
    assert "The skin under" in say(*whole, "--check", "skin=no", code=8)
    unanswered = say(*whole, "--yes", code=8)
    assert "The skin under" in unanswered
    assert "--check skin=yes" in unanswered
    assert daemon.stop() == 0


def test_a_byte_that_is_no_text_silences_nothing(bench, say):
    daemon = bench.run()
    daemon.until(bench.store, streaming)
    say(
        "session",
        "start",
        "--protocol",
        "tcpo2-rest",
        "--subject",
        "03-117",
        "--visit",
        "baseline",
        "--check",
        "skin=yes",
    )
    ended = subprocess.run(
        [*PERFUSION, b"session", b"note", b"-c", os.fsencode(bench.config), b"caf\xe9 \x1b[31mfell", b"--by", b"m\xe9"],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout.splitlines()[0].decode()) == (0, "caf\ufffd fell")
    assert say("session", "show")["items"][-1]["fields"]["text"] == "caf\ufffd fell"
    snapshot = ask(bench.store, {"do": "snapshot"})
    assert snapshot["session"]["items"][-1]["by"] == "m\ufffd"
    assert snapshot["alarms"] == []
    assert "visit holds characters" in say(
        "session", "correct", "--set", "visit=caf\udce9", "--reason", "a slip", code=8
    )  # fmt: skip
    page = re.search(r"http://127[^ ]*/", daemon.log.read_text())[0]
    with urllib.request.urlopen(f"{page}api/snapshot", timeout=10) as answer:
        assert json.load(answer)["session"]["items"][-1]["name"] == "caf\ufffd fell"
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log.read_text()
    assert check(bench.store).ok
