"""The common part of SCPI instruments: headers, program messages, the error queue and the status registers."""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Callable, Iterator

Handler = Callable[[list[str]], bytes | None]
"""Takes the parameters; answers a query, or None. Raises Complaint."""

ERRORS = {
    0: "No error",
    -101: "Invalid character",
    -102: "Syntax error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -211: "Trigger ignored",
    -213: "Init ignored",
    -214: "Trigger deadlock",
    -221: "Settings conflict",
    -222: "Data out of range",
    -224: "Illegal parameter value",
    -230: "Data stale",
    -350: "Error queue overflow",
    -410: "Query INTERRUPTED",
}
"""Texts of SCPI 1999, volume 2, chapter 21."""
QUEUE = 20
POWER_ON, OPERATION_COMPLETE = 128, 1
_NODE = re.compile(r"\[:?([A-Za-z]+):?\]|:?(\*?[A-Za-z]+)")


class Complaint(Exception):
    """An error for the instrument's queue."""

    def __init__(self, number: int) -> None:
        super().__init__(f"{number:+d},{ERRORS[number]}")
        self.number = number


class Register:
    """A status register: `condition` is the present, a bit that rises is latched in the event register."""

    def __init__(self) -> None:
        self.enable = 0
        self._condition = 0
        self._event = 0

    @property
    def condition(self) -> int:
        """The bits that stand now."""
        return self._condition

    def set(self, bit: int, on: bool) -> None:
        """Raise or lower a bit of the condition."""
        if on:
            self._event |= bit & ~self._condition
            self._condition |= bit
        else:
            self._condition &= ~bit

    def read_event(self) -> int:
        """The latched bits, which reading clears."""
        event, self._event = self._event, 0
        return event

    def clear(self) -> None:
        """Forget the latched bits."""
        self._event = 0

    @property
    def summary(self) -> bool:
        """Whether an enabled bit is latched."""
        return bool(self._event & self.enable)


class Scpi:
    """Understands program messages and answers them through the handlers of an instrument.

    Headers are written as in manuals, `[SENSe:]VOLTage[:DC]:NPLC?`: long and short form, any case,
    bracketed nodes optional. A header that follows a `;` continues in the path of the one before;
    one that begins with `:` starts at the root; a common command (`*ESE`) leaves the path alone.
    """

    def __init__(self, identity: Callable[[], bytes]) -> None:
        self.questionable = Register()
        self.operation = Register()
        self._handlers: dict[str, Handler] = {}
        self._errors: deque[int] = deque()
        self._event = POWER_ON
        self._event_enable = self._service_enable = 0
        self.on("*IDN?", lambda _: identity())
        self.on("*CLS", lambda _: self.clear())
        self.on("*ESR?", lambda _: self._read_event())
        self.on("*ESE", self._set_event_enable)
        self.on("*ESE?", lambda _: b"%+d" % self._event_enable)
        self.on("*SRE", self._set_service_enable)
        self.on("*SRE?", lambda _: b"%+d" % self._service_enable)
        self.on("*STB?", lambda _: b"%+d" % self.status)
        self.on("*OPC", lambda _: self.complete())
        self.on("*OPC?", lambda _: b"1")
        self.on("*WAI", lambda _: None)
        self.on("*TST?", lambda _: b"+0")
        self.on("SYSTem:ERRor[:NEXT]?", lambda _: self._next_error())
        self.on("SYSTem:VERSion?", lambda _: b"1994.0")
        for name, register in (("QUEStionable", self.questionable), ("OPERation", self.operation)):
            self._on_register(f"STATus:{name}", register)

    def on(self, header: str, handler: Handler) -> None:
        """Serve a header in all its spellings; the last definition counts."""
        for spelling in spellings(header):
            self._handlers[spelling] = handler

    def execute(self, message: bytes) -> bytes:
        """Do what one program message says (without its LF); the answers between `;`, or nothing."""
        answers = []
        path = ""
        for unit in _split(message.decode("latin-1"), ";"):
            header, *rest = unit.split(maxsplit=1)[:2] or [""]
            if not header:
                continue
            if not unit.isascii():
                self.complain(-101)
                continue
            name = header.upper()
            if not name.startswith("*"):
                name = name[1:] if name.startswith(":") else path + name
                path = name[: name.rfind(":") + 1]
            handler = self._handlers.get(name)
            if handler is None:
                self.complain(-113)
                continue
            try:
                answer = handler([part.strip() for part in _split(rest[0], ",")] if rest else [])
            except Complaint as error:
                self.complain(error.number)
                continue
            if answer is not None:
                answers.append(answer)
        return b";".join(answers)

    def complain(self, number: int) -> None:
        """Queue an error; where the queue is full its last entry says so instead."""
        self._event |= {1: 32, 2: 16, 3: 8, 4: 4}[-number // 100]
        if len(self._errors) == QUEUE:
            self._errors[-1] = -350
        else:
            self._errors.append(number)

    def complete(self) -> None:
        """Note that operations are complete."""
        self._event |= OPERATION_COMPLETE

    def clear(self) -> None:
        """Empty the error queue and the event registers."""
        self._errors.clear()
        self._event = 0
        self.questionable.clear()
        self.operation.clear()

    def power_on(self) -> None:
        """Come back as after a loss of power."""
        self.clear()
        for register in (self.questionable, self.operation):
            register.set(register.condition, False)
            register.enable = 0
        self._event_enable = self._service_enable = 0
        self._event = POWER_ON

    @property
    def status(self) -> int:
        """The status byte."""
        byte = (4 if self._errors else 0) | (8 if self.questionable.summary else 0)
        byte |= (32 if self._event & self._event_enable else 0) | (128 if self.operation.summary else 0)
        return byte | (64 if byte & self._service_enable else 0)

    def _next_error(self) -> bytes:
        number = self._errors.popleft() if self._errors else 0
        return f'{number:+d},"{ERRORS[number]}"'.encode()

    def _read_event(self) -> bytes:
        event, self._event = self._event, 0
        return b"%+d" % event

    def _set_event_enable(self, parameters: list[str]) -> None:
        self._event_enable = integer(parameters, 0, 255)

    def _set_service_enable(self, parameters: list[str]) -> None:
        self._service_enable = integer(parameters, 0, 255) & ~64

    def _on_register(self, header: str, register: Register) -> None:
        def enable(parameters: list[str]) -> None:
            register.enable = integer(parameters, 0, 32767)

        self.on(f"{header}:CONDition?", lambda _: b"%+d" % register.condition)
        self.on(f"{header}[:EVENt]?", lambda _: b"%+d" % register.read_event())
        self.on(f"{header}:ENABle", enable)
        self.on(f"{header}:ENABle?", lambda _: b"%+d" % register.enable)


def spellings(header: str) -> Iterator[str]:
    """Every way to write a header, in capitals."""
    query = "?" if header.endswith("?") else ""
    choices = []
    for optional, required in _NODE.findall(header.rstrip("?")):
        name = optional or required
        forms = {name.upper(), "".join(c for c in name if not c.islower())}
        choices.append(sorted(forms) + ([""] if optional else []))
    for nodes in itertools.product(*choices):
        yield ":".join(filter(None, nodes)) + query


def one(parameters: list[str]) -> str:
    """The only parameter; Complaint where there is none or another."""
    if not parameters:
        raise Complaint(-109)
    if len(parameters) > 1:
        raise Complaint(-108)
    return parameters[0]


def number(text: str, low: float, high: float, default: float | None = None) -> float:
    """A number within limits; INFinity, MINimum, MAXimum and, where there is one, DEFault too; else a Complaint."""
    words = {"INF": 9.9e37, "INFINITY": 9.9e37, "MIN": low, "MINIMUM": low, "MAX": high, "MAXIMUM": high}
    if default is not None:
        words |= {"DEF": default, "DEFAULT": default}
    try:
        value = words.get(text.upper())
        value = float(text) if value is None else value
    except ValueError:
        raise Complaint(-224) from None
    if not low <= value <= high:
        raise Complaint(-222)
    return value


def integer(parameters: list[str], low: int, high: int) -> int:
    """The only parameter as a whole number within limits."""
    return round(number(one(parameters), low, high))


def switch(parameters: list[str]) -> bool:
    """The only parameter as ON, OFF, 1 or 0."""
    word = one(parameters).upper()
    if word not in ("ON", "OFF", "0", "1"):
        raise Complaint(-224)
    return word in ("ON", "1")


def _split(text: str, separator: str) -> list[str]:
    """Cut at separators outside quotes and parentheses."""
    parts, start, quote, depth = [], 0, "", 0
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == separator and depth <= 0:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]
