"""Asks ports who is there: only what drivers declare for that, only where nobody else holds the port, in seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from acquisition.driverkit.driver import Driver, Enquiry, Recognised, Serial
from acquisition.errors import LinkLost
from acquisition.model import Instant
from acquisition.ports import Port
from acquisition.ports.serial import SerialPort, holders_of
from acquisition.text import clean
from acquisition.timing.clock import Clock

LISTEN = 0.3
"""Seconds for which a serial line is listened to first: an instrument that sends by itself is asked nothing."""
OPEN = 5.0
"""Seconds in which a port must open."""
SHOWN = 16
"""Bytes of an answer that nobody knows which are shown."""

State = Literal[
    "answers", "unknown", "silent", "sends by itself", "echoes", "held", "cannot be opened", "not asked"
]  # fmt: skip
_Outcome = tuple[State, Recognised | None, str]


@dataclass(frozen=True, slots=True)
class Target:
    """A serial port or VISA resource, and by name the drivers whose enquiries it gets.

    `line`: how a serial line is set, where its entry says that; `named`: whether somebody named the port for these
    drivers, so that reserved enquiries go out too.
    """

    port: str
    drivers: Mapping[str, type[Driver]]
    line: Serial | None = None
    named: bool = False

    @property
    def visa(self) -> bool:
        """Whether it is a VISA resource."""
        return "::" in self.port

    @property
    def device(self) -> str | None:
        """The path of the device that another process may hold; None on a network."""
        if not self.visa:
            return self.port
        kind, _, rest = self.port.partition("::")
        if not kind.upper().startswith("ASRL") or not rest:
            return None
        path = kind[len("ASRL") :]
        return path if path.startswith("/") else None

    def enquiries(self) -> list[tuple[str, Enquiry]]:
        """Drivers' names and enquiries that may go to this port: slow lines first, one of each question together."""
        found = [
            (name, driver.enquiry)
            for name, driver in self.drivers.items()
            if isinstance(driver.enquiry, Enquiry)
            and self._reaches(driver)
            and (self.named or not driver.enquiry.reserved)
        ]
        return sorted(found, key=lambda each: (each[1].line.baud if each[1].line else 0, each[1].questions))

    def _reaches(self, driver: type[Driver]) -> bool:
        return bool(set(driver.about.links) - {"serial", "tcp", "udp"}) if self.visa else "serial" in driver.about.links


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a port: `asked` names the drivers whose questions were written there, `holders` are (PID, name)."""

    port: str
    state: State
    driver: str = ""
    model: str = ""
    serial: str = ""
    text: str = ""
    asked: tuple[str, ...] = ()
    holders: tuple[tuple[int, str], ...] = ()

    def __post_init__(self) -> None:
        for name in ("model", "serial", "text"):
            object.__setattr__(self, name, clean(getattr(self, name)))
        object.__setattr__(self, "holders", tuple((pid, clean(name)) for pid, name in self.holders))


async def probe(targets: Sequence[Target], clock: Clock) -> list[Finding]:
    """Ask all of them at the same time; one finding for each, in their order."""
    return list(await asyncio.gather(*(_probe(each, clock) for each in targets)))


async def _probe(target: Target, clock: Clock) -> Finding:
    enquiries = target.enquiries()
    if not enquiries:
        reasons = {str(each.enquiry) for each in target.drivers.values() if isinstance(each.enquiry, str)}
        return Finding(target.port, "not asked", text="; ".join(sorted(reasons)) or "no driver has a question for it")
    holders = tuple(holders_of(target.device)) if target.device is not None else ()
    if holders:
        text = f"in use by {', '.join(f'PID {pid} ({name})' for pid, name in holders)}"
        return Finding(target.port, "held", text=text, holders=holders)
    asked: list[str] = []
    last: tuple[State, str] = "silent", ""
    for _, alike in groupby(enquiries, key=lambda each: (each[1].line, each[1].questions, each[1].farewell)):
        same = list(alike)
        try:
            state, who, text = await _ask(target, [enquiry for _, enquiry in same], clock)
        except LinkLost as error:
            return Finding(target.port, "cannot be opened", text=str(error), asked=tuple(asked))
        if state != "sends by itself":
            asked += [name for name, _ in same]
        if state in ("sends by itself", "echoes"):
            return Finding(target.port, state, text=text, asked=tuple(asked))
        if who is not None:
            return Finding(target.port, state, who.driver, who.model, who.serial, who.text, tuple(asked))
        if last[0] == "silent":
            last = state, text
    return Finding(target.port, last[0], text=last[1], asked=tuple(asked))


async def _ask(target: Target, alike: Sequence[Enquiry], clock: Clock) -> _Outcome:
    """Open the port and put the questions that several drivers share; LinkLost where it does not open."""
    first = alike[0]
    line = target.line or first.line or Serial(9600)
    port = _port(target, line, clock)
    ear = _Ear()
    try:
        async with asyncio.timeout(OPEN):
            await port.open(ear)
    except TimeoutError:
        raise LinkLost(f"the port did not open within {OPEN:g} s", target.port) from None
    try:
        if not target.visa and (heard := await ear.listen(LISTEN)):
            return "sends by itself", None, f"{len(heard)} bytes within {LISTEN:g} s: {_shown(heard)}; it was not asked"
        answers: list[bytes] = []
        for question in first.questions:
            port.write(question)
            answer = await ear.listen(first.within, whole=target.visa)
            if answer.startswith(question):
                return "echoes", None, "what is written comes back: a loop-back plug, a modem or a half-duplex line"
            if not answer:
                break
            answers.append(answer)
    except LinkLost as error:
        return "silent", None, str(error)
    else:
        for message in first.farewell if answers else ():
            port.write(message)
    finally:
        port.close()
    for enquiry in alike:
        who = enquiry.recognise(tuple(answers)) if answers else None
        if who is not None:
            return "answers", who, ""
    return ("unknown", None, f"no driver knows {_shown(b''.join(answers))}") if answers else ("silent", None, "")


def _port(target: Target, line: Serial, clock: Clock) -> Port:
    if target.visa:
        from acquisition.ports.visa import VisaPort  # it takes half a second, and serial ports need none

        return VisaPort(target.port, clock, line)
    return SerialPort(target.port, line, clock)


class _Ear:
    """Keeps what a port hands over until somebody listens."""

    def __init__(self) -> None:
        self._heard = bytearray()
        self._lost: LinkLost | None = None
        self._something = asyncio.Event()

    def data(self, data: bytes, arrived: Instant) -> None:
        """Take bytes."""
        del arrived
        self._heard += data
        self._something.set()

    def lost(self, error: LinkLost) -> None:
        """Take note that the link is gone."""
        self._lost = error
        self._something.set()

    async def listen(self, seconds: float, whole: bool = False) -> bytes:
        """All that comes within so many seconds, only the first message where `whole`; LinkLost where the link ends."""
        end = asyncio.get_running_loop().time() + seconds
        while (left := end - asyncio.get_running_loop().time()) > 0 and self._lost is None:
            self._something.clear()
            if whole and self._heard:
                break
            try:
                await asyncio.wait_for(self._something.wait(), left)
            except TimeoutError:
                break
        if self._lost is not None:
            raise self._lost
        heard = bytes(self._heard)
        self._heard.clear()
        return heard


def _shown(data: bytes) -> str:
    return data[:SHOWN].hex(" ").upper() + (" …" if len(data) > SHOWN else "")
