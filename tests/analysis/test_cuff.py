"""Marks of a cuff against its pressure: said where they part, in the answer, the session and the outcomes."""

import json
import subprocess
import sys

import pytest

from acquisition.analysis import cuff
from acquisition.analysis.session_data import SessionData
from acquisition.cli import perfusion
from acquisition.daemon import gateway
from acquisition.examination.description import iso
from acquisition.store import Store
from tests.analysis.test_suggestions import no_cuff
from tests.examination.patients import PORH, Study

CLOSED, OPENED = 180.0, 360.0
"""When the simulated cuff crosses 30 mmHg."""


def recorded(folder, marks, seconds=700.0, **more):
    made = Study()
    made.examine("healthy", "porh", "porh", marks, seconds, devices=("ldf",), **more)
    return made.write(folder)


def parted(folder):
    with Store(folder) as store:
        return {each.mark: each for each in cuff.parted(SessionData(store, gateway.session_log(folder).sessions["s1"]))}


def said(capsys, *arguments):
    perfusion.main([*map(str, arguments)], standalone_mode=False)
    return capsys.readouterr()


@pytest.mark.parametrize("off", [-60.0, -10.0, 10.0, 60.0])
@pytest.mark.parametrize("mark", ["inflate", "release"])
def test_a_mark_away_from_the_cuff_is_said_with_its_correction(tmp_path, capsys, mark, off):
    marks = [(name, at + (off if name == mark else 0.0)) for name, at in (("inflate", CLOSED), ("release", OPENED))]
    folder = recorded(tmp_path, marks)
    (found,) = parted(folder).values()
    assert (found.mark, found.marked - found.seen) == (mark, pytest.approx(off, abs=0.3))
    shown = json.loads(said(capsys, "outcomes", "s1", "--json", "--data", folder).out)
    (remark,) = shown["remarks"]
    command = remark["correct"].replace("perfusion ", "")
    peak = next(each for each in shown["outcomes"] if each["name"] == "peak_flow")
    assert (peak["status"], "mark_disagrees_with_cuff" in peak["reason"]) == ("low_quality", True)
    word = "late" if off > 0 else "early"
    for command_line in ("outcomes", "session show"):
        assert f"{abs(off):.0f} s too {word}" in said(capsys, *command_line.split(), "s1", "--data", folder).out

    reason = command.split('"')[1]
    words = command.split(' --reason "')[0].split()
    answer = said(capsys, *words, "--reason", reason, "--session", "s1", "--data", folder)
    assert not answer.err, "corrected as it was offered, nothing is left to say"
    assert not parted(folder)
    shown = json.loads(said(capsys, "outcomes", "s1", "--json", "--data", folder).out)
    peak = next(each for each in shown["outcomes"] if each["name"] == "peak_flow")
    assert (peak["status"], peak["reason"], shown["remarks"]) == ("ok", "", [])


def test_a_mark_within_the_error_of_a_hand_is_not_blamed(tmp_path):
    assert not parted(recorded(tmp_path, PORH))


def test_without_a_recorded_pressure_nothing_is_held_against_a_mark(tmp_path):
    assert not parted(recorded(tmp_path, (("inflate", 100.0), ("release", 300.0)), change=no_cuff))


def test_a_release_is_not_while_the_cuff_is_closed(tmp_path):
    found = parted(recorded(tmp_path, (("inflate", CLOSED), ("release", 300.0)), 301.0, stop=False))
    assert list(found) == ["release"]
    assert found["release"].seen is None
    assert found["release"].pressure > 150.0


@pytest.mark.parametrize(("seconds", "blamed"), [(110.0, []), (140.0, ["inflate"])])
def test_an_inflation_is_given_its_time(tmp_path, seconds, blamed):
    assert list(parted(recorded(tmp_path, (("inflate", 100.0),), seconds, stop=False))) == blamed


def test_a_correction_to_a_wrong_time_says_so_in_its_answer(tmp_path, capsys):
    folder = recorded(tmp_path, PORH)
    with Store(folder) as store:
        at = gateway.session_log(folder).sessions["s1"].start + 430 * 10**9
        evidence = SessionData(store, gateway.session_log(folder).sessions["s1"])
        entry = evidence.mark_item("release").number
    answer = said(capsys, "session", "correct", entry, "--at", iso(at), "--reason", "a slip", "--session", "s1",
                  "--data", folder)  # fmt: skip
    assert f"warning: the mark release (entry {entry}) is 70 s too late" in answer.err
    assert f"perfusion session correct {entry} --at 2026-01-01T00:0" in answer.err


LOADS = """
import asyncio, sys, threading
from pathlib import Path
from acquisition.daemon import service

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("acquisition.analysis.cuff", "scipy.signal"):
            print(name, threading.current_thread() is threading.main_thread())

class Service:
    session_log = None
    def answer(self, request):
        return {"done": True, "session": "s1"}

class Writer:
    def flush(self, seconds):
        return True

sys.meta_path.insert(0, Watch())
answer = service._committed(Service(), Writer(), Path("."))
print(asyncio.run(answer({"do": "session.note"})))
"""


def test_an_answer_loads_no_filters_on_the_loop_that_acquires():
    done = subprocess.run([sys.executable, "-c", LOADS], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    *loaded, answer = done.stdout.splitlines()
    assert answer.startswith("{'done': True")
    assert loaded == ["acquisition.analysis.cuff False"]
