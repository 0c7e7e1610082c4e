"""A process killed at any step that changes the record's files loses nothing that it had accepted.

The steps are those of two short runs with compaction and retention: files opened, written, synced, cut and deleted.
Each is tried in a process of its own, forked off one that has no threads; of every other write only half is done.
"""

import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import pytest

from tests.faults.disk import Disk
from tests.faults.test_power_cut import FAST, Accepted, judge, reopen, session

ROOT = Path(__file__).parents[2]
ROUNDS, AGE = 20, 150
"""Rounds of each run and samples that retention leaves: compaction and retention both have work."""
ENDED, KILLED, WRONG = 0, 9, 1


class Deadly(Disk):
    """A disk on which the process dies at its step number `step`."""

    def __init__(self, step, to):
        super().__init__("deadly")
        self.left, self.half, self.to = step, step % 2, to
        self.accepted = Accepted(self)

    def ask(self, what, path):
        self.left -= 1
        if self.left == 0 and not (self.half and what == "write"):
            self.die()

    def begun(self, data):
        return data[: len(data) // 2] if self.left == 0 else data

    def note(self, *entry):
        if self.left == 0:
            self.die()
        super().note(*entry)

    def die(self):
        told = self.accepted
        self.to.write_bytes(pickle.dumps((told.rows, told.heads, told.cursors, told.sent)))
        os._exit(KILLED)


def killed_at(step, folder):
    """Record up to that step; the process ends here."""
    with Deadly(step, folder / "accepted") as disk:
        session(folder / "record", disk, disk.accepted, rounds=ROUNDS, age=AGE)
    os._exit(ENDED)


def judged(folder):
    """Start on what is left, as the daemon does, and look for all that was accepted."""
    accepted = Accepted(None)
    accepted.rows, accepted.heads, accepted.cursors, accepted.sent = pickle.loads((folder / "accepted").read_bytes())
    reopen(folder / "record")
    wrong = judge(folder / "record", accepted, sys.maxsize)
    assert wrong == [], wrong


def in_a_fork(work, *arguments):
    """Do it in a process of its own; its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        work(*arguments)
        os._exit(ENDED)
    except BaseException:
        traceback.print_exc()
        os._exit(WRONG)


def main(first, stride):
    """Try every so manieth step from the first one on, until the recording ends before it is reached."""
    step, tried = first, 0
    while True:
        folder = Path(tempfile.mkdtemp(dir=FAST))
        try:
            ended = in_a_fork(killed_at, step, folder)
            if ended == ENDED:
                break
            assert ended == KILLED, f"step {step}: the recording failed by itself"
            assert in_a_fork(judged, folder) == ENDED, f"step {step}"
        finally:
            shutil.rmtree(folder)
        step, tried = step + stride, tried + 1
    print(tried)


def kills(first, stride):
    command = f"from tests.faults.test_kill_at_every_step import main; main({first}, {stride})"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return int(done.stdout)


def test_a_kill_at_some_steps_of_a_recording_loses_nothing():
    assert kills(29, 83) > 5


@pytest.mark.proof
@pytest.mark.parametrize("first", range(1, 9))
def test_a_kill_at_every_step_of_a_recording_loses_nothing(first):
    assert kills(first, 8) > 50
