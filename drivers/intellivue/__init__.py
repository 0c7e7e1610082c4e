"""Philips IntelliVue monitors over Data Export: transcutaneous oxygen and carbon dioxide, electrode by electrode.

Source: Philips Data Export Interface Programming Guide, IntelliVue X2, MP and MX series, 4535 642 59271.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import ClassVar

from acquisition.driverkit.driver import About, Announced, Driver, Enquiry, Recognised, Serial, Setup
from acquisition.driverkit.framing import Cutter, Skipped
from acquisition.model import Notice, Readings
from drivers.intellivue.announcer import Announcer
from drivers.intellivue.association import (
    EXTENDED_NUMERICS,
    Abort,
    AssociationAccept,
    AssociationRequest,
    Refuse,
    ReleaseRequest,
    ReleaseResponse,
    UserInfo,
    association_timeout,
)
from drivers.intellivue.attributes import (
    MDS,
    NO_DATE,
    SYSTEM_IDENTIFICATION,
    SYSTEM_PRODUCTION,
    TICK,
    identity_of,
)
from drivers.intellivue.clock import MonitorClock
from drivers.intellivue.electrodes import Electrodes
from drivers.intellivue.exchange import (
    STATUS,
    ConnectIndication,
    ErrorResult,
    MdsCreate,
    MdsCreateResult,
    Message,
    PollRequest,
    PollResult,
    decode,
)
from drivers.intellivue.frames import FRAME_LIMIT, Malformed, cut_frame, frame, unframe
from drivers.intellivue.linked import Joiner, Sequence
from drivers.intellivue.options import EXTENDED_INTERVAL, Electrode, Options, check
from drivers.intellivue.pace import Pace
from drivers.intellivue.queries import EXTENDED_PERIOD, queries
from drivers.intellivue.timers import Timers

__all__ = ["Electrode", "IntelliVue", "Options"]

LINE = Serial(115200)
ASSOCIATION_TIME, ANSWER_TIME, RETRY = 1.5, 1.0, 1.0
MISSES = 2
"""Unanswered polls after which the association counts as lost."""
RENEWAL, RENEWAL_RETRY = 450.0, 5.0


def recognise(answers: tuple[bytes, ...]) -> Recognised | None:
    """Know a monitor by its answer to an association; it introduces itself unasked when it has accepted one."""
    messages = []
    for piece in (piece for answer in answers for piece in Cutter(cut_frame, FRAME_LIMIT).feed(answer)):
        with contextlib.suppress(Malformed):
            messages.append(decode(unframe(piece)) if isinstance(piece, bytes) else None)
    who: dict[str, str] = {}
    for message in messages:
        if isinstance(message, MdsCreate):
            who |= identity_of(message.attributes)
    if any(isinstance(message, AssociationAccept) for message in messages):
        text = who.get("manufacturer", "")
    elif any(isinstance(message, Refuse) for message in messages):
        text = "it refuses an association: another host talks to it, or did until just now"
    else:
        return None
    return Recognised("intellivue", who.get("model", ""), who.get("serial", ""), text)


class IntelliVue(Driver):
    """Associates, answers the monitor's introduction, asks who it is, and polls its numerics.

    Each electrode is a stream of its own. It is bound by the handle of the measured object, because two
    electrodes share their codes; without `electrodes` in the options the first one seen is recorded and
    a second is reported, never mixed in. kPa is converted to mm[Hg]; a value in any other unlike unit is
    refused. A sample's time is the monitor's relative time in its result.
    """

    about: ClassVar[About] = About(
        {"intellivue": "Philips IntelliVue X2, MP and MX monitors with a transcutaneous gas measurement"},
        "TcPO2 monitor",
        ("serial", "tcp", "udp"),
        "documented",
        "Philips Data Export Interface Programming Guide 4535 642 59271",
        (
            "whether a module delivers the five values of an electrode in one object or in one each",
            "the valid ranges of the channels",
        ),
    )
    Options = Options
    announced_on: ClassVar[tuple[int, str] | None] = (24005, "224.0.23.63")
    enquiry = Enquiry(
        (frame(AssociationRequest().encode()),),
        recognise,
        LINE,
        farewell=(frame(ReleaseRequest().encode()),),
        within=1.5,
        reserved="a treadmill that listens at 9600 baud may read the start of its belt in the association request",
    )

    @classmethod
    def announced(cls, data: bytes) -> Announced | None:
        """Read a connect indication: the address that takes associations, model and system id."""
        try:
            message = decode(data)
            if not isinstance(message, ConnectIndication):
                return None
            address, port, who = message.address, message.port, identity_of(message.attributes)
        except Malformed:
            return None
        if address is None or port is None:
            return None
        return Announced(f"udp://{address}:{port}", who.get("model", ""), who.get("serial", ""))

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        options: Options = setup.options if isinstance(setup.options, Options) else Options()
        check(options)
        self._interval = options.interval
        self._announcer = Announcer()
        self._electrodes = Electrodes(options, self._announcer)
        self.streams = self._electrodes.streams
        self.silence = max(10.0, 5 * options.interval)
        self.serial = LINE
        self._framed = not setup.datagrams
        self.queries = queries(self._framed)
        self._cutter = Cutter(cut_frame, FRAME_LIMIT)
        self._clock = MonitorClock()
        self._timers = Timers(setup.patience)
        self._pace = Pace(setup.patience)
        self._number = setup.random.randrange(0x10000)
        self._extended = options.poll == "extended"
        self._sequence = Sequence()
        self._reset()

    def start(self, at: float) -> None:
        """Clear away what the monitor may still hold of an earlier association, and ask for a new one."""
        self._associate(at)

    def poll(self, at: float) -> None:
        """Take the steps that are due, and send what the pace held back."""
        self._timers.run(at)
        self._release(at)

    def stop(self, at: float) -> None:
        """End the association in order."""
        farewell = ReleaseRequest() if self._associated else Abort()
        self._reset()
        self.send(self._wrap(farewell))

    def deadline(self) -> float | None:
        """The nearest step, or when the pace allows the next frame."""
        due = [self._timers.deadline(), self._pace.deadline()]
        return min((each for each in due if each is not None), default=None)

    def receive(self, data: bytes, at: float) -> Iterator[Readings | Notice]:
        """Take bytes; yield one reading for each electrode and result."""
        yield from self._announcer.said()
        for item in self._cutter.feed(data) if self._framed else (data,):
            if isinstance(item, Skipped):
                yield _noise("bytes outside of frames", item.data)
                continue
            try:
                yield from self._take(decode(unframe(item) if self._framed else item), at)
            except Malformed as error:
                yield _noise(str(error), item)
            yield from self._announcer.said()
        self._release(at)

    def _take(self, message: Message, at: float) -> Iterator[Readings | Notice]:
        match message:
            case AssociationAccept(info):
                yield from self._accepted(info, at)
            case Refuse():
                self._put_off(at)
                self._announcer.warn_once(
                    ("refused",), "the monitor refuses the association: does another host talk to it?"
                )
            case Abort() | ReleaseResponse():
                if self._associated:
                    self._put_off(at)
                    yield Notice("state", "the monitor ended the association")
            case MdsCreate():
                self._introduced(message, at)
            case PollResult():
                yield from self._answered(message, at)
            case ErrorResult(invoke, status):
                self._refused(invoke, status, at)
            case ConnectIndication():
                pass
            case _:
                self._announcer.warn_once(
                    ("echo",), "a host's messages arrive here: the line echoes, or a second host is on it"
                )

    def _wrap(self, message: Message) -> bytes:
        return frame(message.encode()) if self._framed else message.encode()

    def _put(self, message: Message, at: float) -> None:
        self._pace.put(self._wrap(message))
        self._release(at)

    def _release(self, at: float) -> None:
        for message in self._pace.release(at):
            self.send(message)
            self._timers.within(self._quiet, self._keep_alive, at)

    # Association.

    def _reset(self) -> None:
        """Forget everything that ends with an association."""
        self._timers.reset()
        self._pace.clear()
        self._associated = self._streaming = False
        self._fresh = True
        self._granted = False
        self._quiet = association_timeout(0.0) / 3
        self._identity: dict[str, str] = {}
        self._pending: PollRequest | None = None
        self._asked = 0.0
        self._joiner = Joiner()
        self._standing: list[int] = []
        self._unanswered: int | None = None
        self._misses = 0

    def _associate(self, at: float) -> None:
        self._reset()
        self._put(Abort(), at)
        self._put(AssociationRequest(), at)
        self._timers.within(ASSOCIATION_TIME, self._associate, at)

    def _put_off(self, at: float) -> None:
        self._reset()
        self._timers.within(RETRY, self._associate, at)

    def _accepted(self, info: UserInfo, at: float) -> Iterator[Notice]:
        self._reset()
        self._associated = True
        self._granted = bool(info.extensions & EXTENDED_NUMERICS)
        period = info.poll_period * TICK
        self._quiet = association_timeout(period) / 3
        self._timers.within(ASSOCIATION_TIME, self._ask_identity, at)
        yield Notice("state", f"associated; shortest poll period {period:g} s", {"poll_period": period})

    def _introduced(self, message: MdsCreate, at: float) -> None:
        if not self._associated:
            # Its acceptance went missing on the line.
            self._reset()
            self._associated = True
        self._put(MdsCreateResult(message.invoke, message.time), at)
        if not self._streaming:
            self._timers.clear(self._ask_identity)
            self._identity |= identity_of(message.attributes)
            self._ask_identity(at)

    def _ask_identity(self, at: float) -> None:
        self._ask(PollRequest(self._next(), 0, MDS, SYSTEM_IDENTIFICATION), at)
        self._timers.within(ANSWER_TIME, self._miss_identity, at)

    def _miss_identity(self, at: float) -> None:
        self._misses += 1
        if self._misses < MISSES:
            self._ask_identity(at)
        else:
            self._begin_streaming(at)

    def _read_identity(self, result: PollResult, at: float) -> None:
        self._clock.date(result.time, result.date)
        for each in result.objects:
            self._identity |= identity_of(each.attributes)
        self._begin_streaming(at)

    def _identify(self) -> Notice:
        model, serial = self._identity.get("model", ""), self._identity.get("serial", "")
        if not model and not serial:
            return Notice("warning", "the monitor says neither model nor system id; nobody can check which one it is")
        maker = self._identity.get("manufacturer", "")
        details = {"model": model, "serial": serial, "manufacturer": maker}
        return Notice("identity", f"{maker} {model}, system id {serial}".strip(), details)

    def _keep_alive(self, at: float) -> None:
        if self._associated:
            self._put(PollRequest(self._next(), 0, MDS, SYSTEM_PRODUCTION), at)

    # Polling.

    def _begin_streaming(self, at: float) -> None:
        self._timers.clear(self._miss_identity)
        self._pending = None
        self._streaming = True
        self._misses = 0
        self._announcer.add(self._identify())
        self._ask_numerics(at)

    def _ask_numerics(self, at: float) -> None:
        number = self._next()
        if self._extended and self._granted:
            self._standing.append(number)
            self._unanswered = number
            self._put(PollRequest(number, number, period=round(EXTENDED_PERIOD / TICK)), at)
            self._timers.within(RENEWAL_RETRY, self._ask_numerics, at)
            if len(self._standing) > 1:
                return
        else:
            self._ask(PollRequest(number, number), at)
        self._timers.within(ANSWER_TIME, self._miss_answer, at)

    def _miss_answer(self, at: float) -> None:
        self._misses += 1
        if not self._standing:
            self._electrodes.lose(1)
        elif not self._sequence.begun:
            self._give_up_extended("none came")
        if self._misses >= MISSES:
            self._announcer.say("state", "the monitor does not answer; associating anew")
            self._associate(at)
        else:
            self._standing = []
            self._ask_numerics(at)

    def _give_up_extended(self, why: str) -> None:
        self._extended = False
        self._standing = []
        self._timers.clear(self._ask_numerics)
        self._announcer.say("state", f"results of an extended poll were asked for and {why}: polling one by one")

    def _refused(self, invoke: int, status: int, at: float) -> None:
        what = STATUS.get(status, f"status {status}")
        if invoke in self._standing:
            self._give_up_extended(f"refused ({what})")
            self._ask_numerics(at)
        elif self._pending is not None and self._pending.invoke == invoke:
            kind, self._pending = self._pending.kind, None
            self._announcer.warn_once(("error", kind, status), f"the monitor answers a poll with an error: {what}")
            if kind == MDS:
                self._begin_streaming(at)
            else:
                self._timers.clear(self._miss_answer)
                self._timers.within(RETRY, self._ask_numerics, at)

    def _ask(self, request: PollRequest, at: float) -> None:
        self._pending, self._asked, self._joiner = request, max(at, self._pace.permitted()), Joiner()
        self._put(request, at)

    def _next(self) -> int:
        self._number = (self._number + 1) & 0xFFFF
        return self._number

    def _answered(self, result: PollResult, at: float) -> Iterator[Readings | Notice]:
        if result.sequence is not None:
            if result.number not in self._standing:
                return
            self._note_standing(result.number, at)
        elif self._pending is None or self._pending.invoke != result.invoke:
            return
        if result.link is not None:
            self._joiner.add(result, result.link[1])
            self._prolong(at)
            return
        whole = self._joiner.close(result)
        if result.sequence is None:
            self._pending = None
            if result.kind == MDS:
                self._read_identity(whole or result, at)
                return
            self._timers.clear(self._miss_answer)
            self._timers.at(max(self._asked + self._interval, at), self._ask_numerics)
        self._misses = 0
        if whole is None:
            yield Notice("noise", "a part of a result is missing", {"bytes": 0})
            if result.sequence is None:
                self._electrodes.lose(1)
        else:
            yield from self._samples(whole, at)

    def _note_standing(self, number: int, at: float) -> None:
        """Once a renewed poll gives results, those of earlier ones are no longer taken."""
        self._timers.at(at + 1.5 * EXTENDED_INTERVAL + ANSWER_TIME * self.setup.patience, self._miss_answer)
        del self._standing[: self._standing.index(number)]
        if self._unanswered == number:
            self._unanswered = None
            self._timers.at(at + RENEWAL, self._ask_numerics)

    def _prolong(self, at: float) -> None:
        for step in (self._miss_answer, self._miss_identity):
            if step in self._timers:
                self._timers.within(ANSWER_TIME, step, at)

    def _samples(self, result: PollResult, at: float) -> Iterator[Readings]:
        fresh, self._fresh = self._fresh, False
        if result.date != NO_DATE:
            self._clock.date(result.time, result.date)
        read = self._clock.read(result.time, at, fresh)
        if read is None:
            return
        if result.sequence is not None:
            self._electrodes.lose(self._sequence.missing(result.number, result.sequence, *read))
        yield from self._electrodes.read(result.objects, *read)


def _noise(text: str, data: bytes) -> Notice:
    return Notice("noise", text, {"bytes": len(data)})
