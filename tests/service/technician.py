"""A technician at the command line: starts, marks what the trace shows, waits and stops, each by its own process."""

import json
import time
from datetime import datetime, timedelta

from acquisition.examination.protocol import load
from tests.service.bench import perfusion

PATIENCE = 120.0
"""Seconds on the wall for anything to happen."""


class Technician:
    """Knows the folder of a record and nothing else; `early` is why phases are shorter than planned."""

    def __init__(self, record, early="a test of the whole way"):
        self.record = record
        self.early = early

    def say(self, *arguments):
        """Run a command with --json and answer what it says."""
        done = perfusion(*arguments, "--data", self.record, "--json")
        assert done.returncode == 0, (arguments, done.stderr)
        return json.loads(done.stdout)

    def start(self, protocol, *more):
        """Start a session as soon as the instruments are there."""
        asked = ("session", "start", "--protocol", protocol, "--subject", "03-117", "--visit", "baseline",
                 "--limb", "left", "--data", self.record, "--json", *_cleared(protocol), *more)  # fmt: skip
        return json.loads(_until(lambda: perfusion(*asked), lambda done: done.returncode == 0).stdout)

    def shown(self, mark):
        """When the trace shows a mark, ISO 8601; waits until it does."""

        def look():
            return {each["mark"]: each["time"] for each in self.say("session", "suggest")}.get(mark)

        return _until(look, bool)

    def mark(self, name, at=None, value=None):
        """Set a mark, at the moment that the trace shows where none is said."""
        arguments = ["session", "mark", name, "--at", at or self.shown(name), "--early", self.early]
        return self.say(*arguments, *(["--value", value] if value else []))

    def correct(self, name, at):
        """Move a mark of the present session."""
        entry = next(each["entry"] for each in self.say("session", "show")["items"] if each["name"] == name)
        return self.say("session", "correct", str(entry), "--at", at, "--reason", "a test of the whole way")

    def mark_now(self, name):
        return self.say("session", "mark", name, "--early", self.early)

    def wait(self, seconds):
        """Wait until the present phase has lasted so many seconds of the participant's time."""
        _until(lambda: self.say("session", "show")["elapsed_s"], lambda elapsed: elapsed >= seconds)

    def stop(self, reason=""):
        return self.say("session", "stop", *(["--reason", reason] if reason else []))

    def outcomes(self):
        """The results by place and name, and the whole answer."""
        found = self.say("outcomes")
        return {(each["place"], each["name"]): each for each in found["outcomes"]}, found


def _cleared(protocol):
    """The answers without which the protocol starts nothing."""
    stopping = [rule for rule in load(protocol).check if rule.stops]
    return [word for rule in stopping for word in ("--check", f"{rule.name}={rule.wants}")]


def truth(scenario, kind, seed):
    """What is true of the simulated participant, as the simulator says it."""
    done = perfusion("simulate", "--scenario", scenario, "--class", kind, "--seed", seed, "--truth")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def later(moment, seconds):
    """An ISO 8601 time so many seconds after another."""
    return (datetime.fromisoformat(moment) + timedelta(seconds=seconds)).isoformat()


def _until(look, found):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        seen = look()
        if found(seen):
            return seen
        time.sleep(0.3)
    raise AssertionError(f"not within {PATIENCE:g} s; last seen: {seen}")
