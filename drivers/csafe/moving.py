"""Frames that move a CSAFE treadmill by force, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterable

from acquisition.errors import ConfigurationError
from acquisition.treadmill import Command, Do, Limits
from drivers.csafe.frames import (
    GO_FINISHED,
    GO_IDLE,
    GO_IN_USE,
    GO_READY,
    SET_GRADE,
    SET_SPEED,
    Previous,
    Reply,
    State,
    encode,
)
from drivers.csafe.options import Options

UNITS = {
    "mph": (1.609344, 17, frozenset({16, 17, 18, 19, 55, 58})),
    "kmh": (1.0, 49, frozenset({48, 49, 50, 51, 56, 57})),
}
"""By unit: km/h in one of it, the unit code of its tenths, and the codes of speeds and paces that count in it."""
TENTH_PERCENT = 76
START_WITHIN = 10.0
"""Seconds that a console may count down before its belt moves (an assumption: no source says it)."""
HIGHEST_SPEED, HIGHEST_GRADE = 400, 250
"""Tenths of the unit of speed and of a per cent, beyond which nothing is ever written."""

FORCED = (
    "moved by force: no public source shows a CSAFE treadmill that stops by itself when its host falls silent; "
    "if this computer or the cable fails, the belt runs on: whoever supervises the walk keeps a hand at the red button"
)


def limits(options: Options) -> Limits:
    """The limits of a belt that nothing watches; ConfigurationError where one is missing."""
    if options.unit is None:
        raise ConfigurationError(
            "a treadmill is not controlled without unit", "options.unit", remedy='"mph" or "kmh", as its console counts'
        )
    return Limits.of(options, options.unit, UNITS[options.unit][0], watch=None, start_within=START_WITHIN)


def messages(command: Command, unit: str, state: int | None) -> list[bytes]:
    """The contents of the frames of a command, to be sent one after the other.

    A stop is GoFinished, then GoReady. Presets are set in the state Idle, from which alone every source lets a host
    go In Use.
    """
    match command.do:
        case Do.SPEED:
            preset = [bytes((GO_IDLE,))] if state == State.READY else []
            return [*preset, _set(SET_SPEED, command.tenths, UNITS[unit][1])]
        case Do.GRADE:
            return [_set(SET_GRADE, command.tenths, TENTH_PERCENT)]
        case Do.START:
            return [bytes((GO_IN_USE,))]
        case Do.STOP:
            return [bytes((GO_FINISHED,)), bytes((GO_READY,))]
        case Do.AUTO_STOP:
            return [bytes((GO_READY,))]


def patterns(
    units: Iterable[str], speed: int = HIGHEST_SPEED, grade: int = HIGHEST_GRADE
) -> tuple[re.Pattern[bytes], ...]:
    """Every frame that may be written: the four changes of state, and speeds and grades (tenths) up to the highest."""
    frames = [bytes((code,)) for code in (GO_IDLE, GO_IN_USE, GO_FINISHED, GO_READY)]
    frames += [_set(SET_SPEED, tenths, UNITS[unit][1]) for unit in units for tenths in range(1, speed + 1)]
    frames += [_set(SET_GRADE, tenths, TENTH_PERCENT) for tenths in range(grade + 1)]
    return (re.compile(b"|".join(re.escape(encode(each)) for each in frames), re.DOTALL),)


def verdict(asked: bytes, reply: Reply) -> str | None:
    """What a console makes of a command: "" where it follows, why where it refuses, None where that is open yet.

    There is nothing to finish in a state that is no workout, so that a rejection of GoFinished there is no refusal; a
    stop by which the console stays In Use was not understood.
    """
    if reply.previous in (Previous.BAD, Previous.NOT_READY):
        return None
    if asked[0] == GO_FINISHED and reply.state not in (State.IN_USE, State.PAUSED):
        return ""
    if reply.previous is Previous.REJECTED:
        return f"rejected in the state {reply.state_name}"
    stopping = asked[0] in (GO_FINISHED, GO_READY)
    return None if stopping and reply.state == State.IN_USE else ""


def _set(code: int, number: int, unit: int) -> bytes:
    return bytes((code, 3)) + number.to_bytes(2, "little") + bytes((unit,))
