"""The course of a simulated examination: which scenario, what the technician does at which second, and when it ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from acquisition.examination.preflight import expected_in_air
from acquisition.examination.protocol import BAROMETER, CheckRule, Protocol

SETTLED = 901.0
"""Seconds after which heated electrodes may be read."""
READ = 2160.0
AFTER_A_WALK = 420.0
ARM = 120.0
"""Systolic pressure of both arms, mmHg."""
ABI: Mapping[str, float] = {"healthy": 1.1, "diabetic": 1.0, "claudicant": 0.65, "cli": 0.4}
"""Ankle brachial index of the limb that is examined, by class."""
PAIN: Mapping[str, float] = {"healthy": 2.0, "diabetic": 15.0, "claudicant": 38.0, "cli": 66.0}
"""Mark on the visual analogue scale of 100 mm, by class."""
ULCER: Mapping[str, tuple[float, float]] = {"diabetic": (18.0, 11.0), "cli": (32.0, 18.0)}
"""Length and width of the ulcer of those who have one, mm."""


@dataclass(frozen=True, slots=True)
class Step:
    """What the technician asks at `at` s of the examination: a request of the control socket without who and where."""

    at: float
    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Course:
    """A scenario, the second of it (`since`) at which it begins, its length in s, its steps."""

    scenario: str
    seconds: float
    steps: tuple[Step, ...]
    since: float = 0.0


def scenario(protocol: Protocol) -> str:
    """The scenario of the simulated bench that fits a protocol."""
    match protocol.measures:
        case "porh" | "heating" | "oxygen":
            return protocol.measures
        case "walking":
            return protocol.belt or "walk-constant"
    return "rest"


def course(protocol: Protocol, kind: str, limb: str, truth: Mapping[str, Any]) -> Course:
    """What happens in an examination of a participant of class `kind` whose `truth` the bench tells.

    Marks are set when things happen. A mark or phase of a site's own that nothing here knows is left to the protocol's
    planned seconds.
    """
    told = scenario(protocol)
    known, end = _moments(protocol.measures, truth)
    steps = [Step(0.5, {"do": "session.observe", "fields": each}) for each in _at_the_start(protocol, kind, limb)]
    at = 0.0
    for index, phase in enumerate(protocol.phase[:-1]):
        following = protocol.phase[index + 1].name
        opener = next((rule for rule in protocol.mark if rule.opens == following), None)
        name = "next" if opener is None else opener.name
        at = max(at, known.get(name, (at + (phase.seconds or 1.0), None))[0])
        value = known[name][1] if name in known else (opener.values[0] if opener and opener.values else None)
        steps.append(Step(at, _go_on() if opener is None else _mark(name, value)))
    openers = {rule.name for rule in protocol.mark if rule.opens}
    steps += [
        Step(moment, _mark(rule.name, value))
        for rule in protocol.mark
        if rule.name in known and rule.name not in openers
        for moment, value in (known[rule.name],)
    ]
    end = max(end if end is not None else at + (protocol.phase[-1].seconds or 10.0), at + 1.0)
    return Course(told, end, tuple(sorted(steps, key=lambda step: step.at)))


def entries_of(kind: str, limb: str) -> Iterator[dict[str, Any]]:
    """What a person measures at a visit of a participant of that class: pain, pressures, an ulcer if there is one."""
    yield {"what": "vas", "mark": PAIN[kind], "question": "mean-24h"}
    yield _abi(kind, limb)
    if kind in ULCER:
        length, width = ULCER[kind]
        yield {"what": "ulcer", "side": _side(limb), "site": "hallux", "length": length, "width": width}


def answers(protocol: Protocol, day: date) -> dict[str, str]:
    """An answer to each question of the pre-flight with which the examination may begin."""
    given: dict[str, str] = {}
    for rule in sorted(protocol.check, key=lambda each: each.name != BAROMETER):
        given[rule.name] = _answer(rule, given, day)
    return given


def _answer(rule: CheckRule, given: Mapping[str, str], day: date) -> str:
    if rule.days is not None:
        return day.isoformat()
    if rule.air is not None:
        return f"{expected_in_air(rule, given):.0f}"
    limits = [each for each in (rule.low, rule.high) if each is not None]
    return f"{sum(limits) / len(limits):g}" if limits else rule.wants


def _moments(measures: str, truth: Mapping[str, Any]) -> tuple[dict[str, tuple[float, str | None]], float | None]:
    """When each mark is set (s) and with which value, and when all ends, None for the protocol's own time."""
    plain: dict[str, float] = {}
    match measures:
        case "porh":
            plain = {"inflate": truth["porh"]["t_on"], "release": truth["porh"]["t_off"]}
            return _plain(plain), plain["release"] + 600.0
        case "heating":
            heat = truth["heating"]
            plain = {"heat": heat["t_42"], "maximum": heat["t_44"], "off": heat["t_off"]}
            return _plain(plain), heat["t_off"] + 20.0
        case "flowmotion":
            return _plain({"next": 1.0}), 2401.0
        case "tcpo2":
            return _plain({"applied": 1.0, "next": SETTLED + 1.0, "removed": READ}), READ + 10.0
        case "oxygen":
            breathed = truth["oxygen"]
            plain = {"applied": 1.0, "next": SETTLED + 1.0, "oxygen_on": breathed["t_on"],
                     "oxygen_off": breathed["t_off"]}  # fmt: skip
            return _plain(plain), breathed["t_off"] + 60.0
        case "walking":
            return _walk(truth["walk"])
    return {}, None


def _plain(moments: Mapping[str, float]) -> dict[str, tuple[float, str | None]]:
    return {name: (at, None) for name, at in moments.items()}


def _walk(walk: Mapping[str, Any]) -> tuple[dict[str, tuple[float, str | None]], float]:
    pain = walk["stopped_by"] == "claudication"
    moments = _plain({"standing": 1.0, "start": walk["start"]})
    if walk["t_ICD"] is not None:
        moments["onset"] = (walk["t_ICD"], None)
    moments["stop"] = (walk["stop"], "claudication" if pain else "protocol_end")
    return moments, walk["stop"] + AFTER_A_WALK


def _mark(name: str, value: str | None) -> dict[str, Any]:
    asked = {"do": "session.mark", "name": name, "early": "simulated"}
    return asked if value is None else {**asked, "value": value}


def _go_on() -> dict[str, Any]:
    return {"do": "session.next", "early": "simulated"}


def _at_the_start(protocol: Protocol, kind: str, limb: str) -> Iterator[dict[str, Any]]:
    """What is measured before: the ankle pressure decides how long a peak is searched, the arm's gives conductance."""
    if protocol.measures in ("porh", "heating"):
        yield _abi(kind, limb)
        yield {"what": "pressure", "systolic": ARM, "diastolic": 75.0}


def _abi(kind: str, limb: str) -> dict[str, Any]:
    ankle = round(ARM * ABI[kind])
    return {"what": "abi", "side": _side(limb), "dorsalis_pedis": ankle, "posterior_tibial": ankle - 4,
            "brachial_left": ARM, "brachial_right": ARM - 2}  # fmt: skip


def _side(limb: str) -> str:
    return limb if limb in ("left", "right") else "left"
