"""Shapes of a daemon's answers: the type of every field that a command shows, held against what came."""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec


class _Channel(TypedDict, total=False):
    label: str
    value: float | None
    unit: str
    display_unit: str
    word: str
    age_s: float | None
    sparkline: list[float | None]


class _Device(TypedDict, total=False):
    name: str
    state: str
    cause: str
    channels: list[_Channel]


class _Alarm(TypedDict, total=False):
    text: str
    remedy: str


class _Remote(TypedDict, total=False):
    name: str
    state: str
    reason: str
    pending: int | None


class _Record(TypedDict, total=False):
    recording: bool
    bytes: float
    samples: int


class _Examination(TypedDict, total=False):
    subject: str | None
    visit: str | None
    limb: str | None
    title: str
    phase: str
    elapsed_s: float


class _Snapshot(TypedDict, total=False):
    now: str
    speed: float
    devices: list[_Device]
    record: _Record
    session: _Examination
    remotes: list[_Remote]
    alarms: list[_Alarm]


class _Mark(TypedDict, total=False):
    name: str
    say: str
    values: list[str]


class _Check(TypedDict, total=False):
    name: str
    state: str
    say: str


class _Session(TypedDict, total=False):
    session: str
    done: str
    committed: bool | None
    elapsed_s: float
    planned_s: float | None
    marks: list[_Mark]
    checks: list[_Check]
    warnings: list[str]


class _Clock(TypedDict, total=False):
    done: str
    committed: bool


class _Belt(TypedDict, total=False):
    device: str
    order: str
    sent: bool
    protocol: str


SHAPES: dict[str, type] = {"snapshot": _Snapshot, "session": _Session, "clock": _Clock, "order": _Belt, "walk": _Belt}
"""By what is asked for, before its first dot; fields that are not named here may be anything that can be printed."""


def mismatch(asked: str, answer: dict[str, Any]) -> str:
    """What of an answer has another type than a command can show, with its place; empty where nothing has."""
    shape = SHAPES.get(asked.partition(".")[0])
    try:
        if shape is not None:
            msgspec.convert(answer, shape)
    except msgspec.ValidationError as error:
        return str(error)
    return ""
