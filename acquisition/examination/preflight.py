"""Pre-flight checks of an examination: those that the bench answers by itself, and those that only a person can."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from acquisition.errors import Refused
from acquisition.examination.participant import check_text
from acquisition.examination.protocol import BAROMETER, CheckRule, Protocol
from acquisition.model import Quality
from acquisition.signals.oxygen_calibration import calibration_pressure

SECOND = 1_000_000_000
LEAST_FREE = 1 << 30
"""Bytes: a bedside record of some months takes less, a disk with less is about to be full."""
STEPPED = 2.0
"""Seconds by which the record's own axis may part from the wall clock before somebody should look."""


class CheckState(StrEnum):
    """What a check came to."""

    OK = "ok"
    LOOK = "look"
    """Out of its limits: the examination may start, and the record says so."""
    UNANSWERED = "unanswered"
    STOP = "stop"
    """The examination must not start."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the list: what was looked at, what was found, and in words what it should be."""

    name: str
    say: str
    state: CheckState
    found: str = ""
    wanted: str = ""
    stops: bool = False
    """Whether nothing may start before it is answered, and answered as wanted."""

    def as_dict(self) -> dict[str, str | bool]:
        """Plain values."""
        return {**asdict(self), "state": str(self.state)}


def preflight(
    protocol: Protocol, bindings: Mapping[str, Sequence[str]], answers: Mapping[str, str], bench: Mapping[str, Any],
    now: int,
) -> list[Check]:  # fmt: skip
    """The whole list: the bench's snapshot first, then the protocol's questions; `now` is the wall clock's (ns)."""
    return [
        *of_the_bench(bindings, bench),
        *of_a_person(protocol, answers, datetime.fromtimestamp(now / 1e9, UTC).date()),
    ]


def must_not_start(checks: Sequence[Check]) -> None:
    """Refuse where an answer forbids the examination, or nobody has answered what could forbid it."""
    for check in checks:
        if check.state is CheckState.STOP:
            raise Refused(
                f"{check.say}: {check.found}", "session start", f"{check.name} must be {check.wanted}",
                f"where it is so, answer --check {check.name}={_example(check)}; where not, do not examine, "
                "and say so: perfusion observe not-done … --reason … --subject … --visit …",
            )  # fmt: skip
    silent = [check for check in checks if check.stops and check.state is CheckState.UNANSWERED]
    if silent:
        raise Refused(
            "; ".join(f"{check.say}: nobody has answered" for check in silent), "session start",
            "what may forbid an examination needs an answer of its own: Enter and --yes give none",
            "look, then answer, where it is so: "
            + " ".join(f"--check {check.name}={_example(check)}" for check in silent),
        )  # fmt: skip


def of_the_bench(
    bindings: Mapping[str, Sequence[str]],
    bench: Mapping[str, Any],
    free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
) -> Iterator[Check]:
    """What a snapshot of the bench shows: every channel that the examination needs, the record, the disk, the clock."""
    if not bench:
        return
    channels = {
        f"{device['name']}/{channel['stream']}/{channel['name']}": (device, channel)
        for device in bench["devices"]
        for channel in device["channels"]
    }
    for role, addresses in bindings.items():
        for address in addresses:
            if address in channels:
                yield _channel(role, address, *channels[address])
    record = bench.get("record") or {}
    if record:
        well = bool(record["recording"])
        yield Check(
            "record", "the record is written", _ok(well), "writing" if well else str(record["trouble"]), "writing"
        )
        left = free(Path(record["path"]).parent)
        yield Check("disk", "room on the disk", _ok(left >= LEAST_FREE), f"{left / 1e9:.1f} GB", "1 GB and more")
    # Faster than real time the two clocks part by what lies between reading them.
    parts = abs(_seconds(bench["now"]) - _seconds(bench["utc"])) / float(bench.get("speed", 1.0))
    found = f"{bench['utc']}, {parts:.1f} s from the record's axis" if parts > STEPPED else str(bench["utc"])
    yield Check("clock", "the computer's clock, UTC: compare it with another", _ok(parts <= STEPPED), found)


def of_a_person(protocol: Protocol, answers: Mapping[str, str], today: date) -> Iterator[Check]:
    """The protocol's questions with their answers; Refused for an answer to none of them, or one that is no answer."""
    known = [rule.name for rule in protocol.check]
    for name in answers:
        if name not in known:
            raise Refused(
                f"the protocol has no check {name!r}", "--check", remedy=f"one of: {', '.join(known) or 'none'}"
            )
    for rule in protocol.check:
        given = answers.get(rule.name)
        asked = wanted(rule, answers)
        if given is None or not given.strip():
            yield Check(rule.name, rule.say, CheckState.UNANSWERED, wanted=asked, stops=rule.stops)
            continue
        good = _good(rule, check_text(given.strip(), rule.name), today, answers)
        bad = CheckState.STOP if rule.stops else CheckState.LOOK
        yield Check(rule.name, rule.say, CheckState.OK if good else bad, given.strip(), asked, rule.stops)


def wanted(rule: CheckRule, answers: Mapping[str, str]) -> str:
    """What a question's answer should be, in words."""
    if rule.days is not None:
        return f"a date, at most {rule.days:g} days ago"
    if rule.air is not None:
        expected = expected_in_air(rule, answers)
        if expected is None:
            return f"every electrode within {rule.air:g} % of what the barometer makes of air: answer {BAROMETER} too"
        return f"every electrode within {rule.air:g} % of {expected:.1f} mm[Hg]"
    limits = [
        f"{word} {value:g}" for word, value in (("at least", rule.low), ("at most", rule.high)) if value is not None
    ]
    return " and ".join(limits) + (f" {rule.unit}" if rule.unit else "") if limits else rule.wants


def expected_in_air(rule: CheckRule, answers: Mapping[str, str]) -> float | None:
    """The pressure of oxygen in air, mmHg; None while nobody has read the barometer, or where it can be none."""
    pressure = _parsed(answers.get(BAROMETER, ""))
    return calibration_pressure(pressure, rule.saturated_at) if math.isfinite(pressure) else None


def _good(rule: CheckRule, given: str, today: date, answers: Mapping[str, str]) -> bool:
    if rule.days is not None:
        try:
            age = (today - date.fromisoformat(given)).days
        except ValueError:
            raise Refused(f"{rule.name}: {given!r} is no date", "--check", remedy="such as 2026-02-27") from None
        return 0 <= age <= rule.days
    if rule.air is not None:
        expected = expected_in_air(rule, answers)
        readings = [_number(rule.name, each, "such as 151,153") for each in given.split(",")]
        return (
            expected is not None
            and expected > 0.0
            and all(abs(p / expected - 1.0) <= rule.air / 100.0 for p in readings)
        )
    if rule.low is None and rule.high is None:
        return given.lower() == rule.wants
    number = _number(rule.name, given, wanted(rule, answers))
    return (rule.low is None or number >= rule.low) and (rule.high is None or number <= rule.high)


def _example(check: Check) -> str:
    return check.wanted if check.wanted.isalpha() else f"… ({check.wanted})"


def _number(name: str, given: str, remedy: str) -> float:
    number = _parsed(given)
    if not math.isfinite(number):
        raise Refused(f"{name}: {given!r} is no number", "--check", remedy=remedy)
    return number


def _parsed(given: str) -> float:
    """The number that a text holds, NaN where it holds none."""
    try:
        return float(given)
    except ValueError:
        return math.nan


def _channel(role: str, address: str, device: Mapping[str, Any], channel: Mapping[str, Any]) -> Check:
    live = device["state"] == "STREAMING" and not channel["stale"] and channel["value"] is not None
    shown = "no value" if channel["value"] is None else f"{channel['value']:.4g} {channel['display_unit']}"
    doubts = [] if live else [str(channel["word"] if device["state"] == "STREAMING" else device["state"])]
    doubts += [str(each).lower() for each in channel["quality"] if each != Quality.GOOD.name]
    if channel["confidence"].startswith("unconfirmed"):
        doubts.append(channel["confidence"])
    found = ", ".join((shown, *doubts))
    return Check(role, f"{address} is live", _ok(not doubts), found, "a fresh value without a flag")


def _ok(well: bool) -> CheckState:
    return CheckState.OK if well else CheckState.LOOK


def _seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()
