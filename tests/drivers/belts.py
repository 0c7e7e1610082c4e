"""The treadmills that can be moved, with what each dialect says differently: the table of the tests of control."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from acquisition.driverkit.driver import Order, Setup
from acquisition.model import Notice, Readings
from drivers.csafe import Csafe
from drivers.csafe import Options as CsafeOptions
from drivers.csafe.frames import KMH, Reply, decode, encode
from drivers.trackmaster import Options as TrackmasterOptions
from drivers.trackmaster import Trackmaster
from drivers.woodway import Options as WoodwayOptions
from drivers.woodway import Woodway
from simulators.csafe import Csafe as CsafeConsole
from simulators.csafe import Options as CsafeHabits
from simulators.simkit.conversation import converse
from simulators.simkit.instrument import Plan
from simulators.trackmaster import Options as TrackmasterHabits
from simulators.trackmaster import Trackmaster as TrackmasterBelt
from simulators.woodway import Options as WoodwayHabits
from simulators.woodway import Woodway as WoodwayBelt
from tests.treadmill.belt import Belt, Directed

MPH = 1.609344
LIMITS = {"unit_check": 3.2, "max_speed": 5.0, "max_grade": 20.0, "max_step": 1.0}
PREPARE = (2.0, Order("prepare", by="technician"))
START = [PREPARE, (6.0, Order("confirm", by="technician"))]
WALK = [*START, (6.5, Order("speed", 3.2)), (6.5, Order("grade", 5.0))]


def ascii_speed(code, digits):
    """Puts another speed, mph, into an answer of that code; a belt that stands has that status, too."""

    def put(message, kmh):
        if message == b"\xd02" and not kmh:
            return b"\xd01"
        return bytes((code,)) + digits(round(kmh / MPH * 10)) if message[:1] == bytes((code,)) else message

    return put


def csafe_speed(message, kmh):
    """Puts another speed, 0.1 mph, into a reply that tells one."""
    reply = Reply.of(decode(message))
    if 0xA5 not in reply.blocks:
        return message
    told = round(kmh / KMH[17]).to_bytes(2, "little") + bytes((17,))
    return encode(Reply(reply.status, {**reply.blocks, 0xA5: told}).contents())


@dataclass(frozen=True)
class Dialect:
    """One treadmill under control, counting in mph.

    `limits` are the options of its driver, `usual` the habits of its simulator. `started`: the commands from `prepare`
    to the start, in hex; `retries`: the codes sent where no stop is acknowledged; `watch` s of the host's silence after
    which the belt stops, None where none stops it; `silence` s on a new link. `tell` puts another speed into an answer,
    `refuse` damages what acknowledges a command; `never` are messages, in hex, that no port may let through.
    """

    name: str
    driver: type
    options: Callable
    belt: type
    habits: Callable
    limits: dict
    usual: dict
    started: tuple
    speed: int
    grade: int
    start: int
    stop: int
    retries: tuple
    watch: float | None
    silence: float
    tell: Callable
    refuse: Callable
    never: tuple
    force: bool = False

    def controlled(self, **options):
        """Its driver under control."""
        return self.driver(Setup(self.name, self.options(**{**self.limits, **options}), control=True))

    def read(self):
        """Its driver as it is without control."""
        return self.driver(Setup(self.name, self.options(**{"unit": "mph"} if "unit" in self.limits else {})))

    def treadmill(self, belt=None, deaf=(), deaf_between=(0.0, np.inf), **habits):
        """A simulated treadmill that keeps what it is sent and is deaf, within a time, to some codes or to "all"."""
        dialect = self

        class Recorded(self.belt):
            def __init__(self):
                super().__init__(Plan(dialect.name, belt or Belt(), dialect.habits(**{**dialect.usual, **habits})))
                self.log = []

            def receive(self, data, at):
                self.log.append((at, data))
                if not (deaf_between[0] <= at < deaf_between[1] and (deaf == "all" or dialect.code(data) in deaf)):
                    super().receive(data, at)

        return Recorded()

    def run(self, seconds, script=(), treadmill=None, tamper=None, options=None, **more):
        """A walk under direction: what was said, the treadmill, and the directed host."""
        treadmill = treadmill or self.treadmill()
        host = Directed(self.controlled(**options or {}), script, **more)
        return converse(host, treadmill, seconds, tamper=tamper), treadmill, host

    def code(self, message):
        """The code of a request or a command."""
        return decode(message)[0] if self.belt is CsafeConsole else message[0]

    def is_command(self, message):
        """Whether a message may move the belt."""
        code = self.code(message)
        return code < 0x90 if self.belt is CsafeConsole else code < 0xC0

    def commands(self, said):
        """The commands in hex; of CSAFE the contents of their frames."""
        sent = [message for message in said.written if self.is_command(message)]
        return [(decode(m) if self.belt is CsafeConsole else m).hex(" ").upper() for m in sent]


def refuse_by(code):
    """Damages the acknowledgement of one command of the Trackmaster's family into a refusal."""

    def refuse(command):
        return lambda message, at: bytes((code,)) if message == bytes((command + 0x10,)) else message

    return refuse


def reject(command):
    """Damages the status that follows one CSAFE command into a rejection; it sees what the console sends alone."""
    # Before a walk the console says Idle after GoIdle and each preset, In Use after GoInUse.
    counts = {0x25: 2, 0x85: 4}

    def tamper(message, at):
        reply = Reply.of(decode(message))
        if reply.blocks or at < PREPARE[0]:
            return message
        counts["seen"] = counts.get("seen", 0) + 1
        if counts["seen"] - 2 == counts[command]:
            return encode(bytes((reply.status | 0x10,)))
        return message

    return tamper


DIALECTS = (
    Dialect(
        "trackmaster",
        Trackmaster,
        TrackmasterOptions,
        TrackmasterBelt,
        TrackmasterHabits,
        {"unit": "mph", **LIMITS},
        {},
        ("A2", "A3 30 30 30 32", "A4 30 30 30 30", "A0"),
        speed=0xA3,
        grade=0xA4,
        start=0xA0,
        stop=0xA2,
        retries=(0xA2, 0xA2, 0xA2, 0xAA),
        watch=0.5,
        silence=0.6,
        tell=ascii_speed(0xD1, lambda tenths: b"%04d" % tenths),
        refuse=refuse_by(0xBE),
        never=("A1", "AB", "AC", "A3 30 30 78 30", "A2 30"),
    ),
    Dialect(
        "woodway",
        Woodway,
        WoodwayOptions,
        WoodwayBelt,
        WoodwayHabits,
        {"watch": 1.0, **LIMITS},
        {},
        ("A2", "A3 30 30 30 32", "A4 30 30 30 30", "A0"),
        speed=0xA3,
        grade=0xA4,
        start=0xA0,
        stop=0xA2,
        retries=(0xA2, 0xA2, 0xA2, 0xAA),
        watch=1.0,
        silence=1.1,
        tell=ascii_speed(0xD1, lambda tenths: b"0%03d" % tenths),
        refuse=refuse_by(0xBF),
        never=("A9", "A1", "A3 33 30 32 30", "A3 30 78 30 32"),
    ),
    Dialect(
        "csafe",
        Csafe,
        CsafeOptions,
        CsafeConsole,
        CsafeHabits,
        {"unit": "mph", **LIMITS},
        {"speed_unit": 17, "obeys": True, "max_grade": 20.0},
        ("86", "87", "82", "25 03 02 00 11", "28 03 00 00 4C", "85"),
        speed=0x25,
        grade=0x28,
        start=0x85,
        stop=0x86,
        retries=(0x86, 0x86, 0x86, 0x87),
        watch=None,
        silence=0.0,
        tell=csafe_speed,
        refuse=reject,
        never=(
            "F1 81 81 F2",
            "F1 01 01 40 40 F2",
            "F1 25 03 20 00 11 17 F2",
            "F1 25 03 14 00 31 03 F2",
            "F1 28 03 C9 00 4C AE F2",
        ),
        force=True,
    ),
)


def words(said, kind):
    """The texts of all notices of a kind."""
    return [notice.text for notice in said.notices if notice.kind == kind]


def phases(said):
    """The phases of the walk, in order."""
    return [notice.details["control"] for notice in said.notices if "control" in notice.details]


def rows(said):
    """(second, speed, grade, ...) of every sample of the belt."""
    return np.array(
        [(at, *item.values[0]) for at, item in said if isinstance(item, Readings) and item.stream == "belt"]
    )


def began(said):
    """The second at which the belt was first seen running."""
    return next(at for at, item in said if isinstance(item, Notice) and item.details.get("control") == "walking")
