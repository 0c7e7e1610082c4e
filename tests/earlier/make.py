"""Records of this version for the days to come: `python -m tests.earlier.make` adds a folder, and never changes one.

Each is small, seeded and whole: examinations of every protocol with all that can happen to a session, and what every
driver's tape is worth. `expected.json` beside a record says what must be read from it for ever.
"""

import contextlib
import lzma
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import numpy as np

from acquisition import __version__
from acquisition.config import load, resources
from acquisition.daemon import gateway
from acquisition.device.replay import driver_of, play, tapes
from acquisition.model import Chunk, Header, Instant
from acquisition.store import StoreWriter, compaction, schema
from acquisition.timing.clock import Clock
from simulators.sessions.plan import Plan
from simulators.sessions.recorder import write
from tests.earlier.reading import HERE, PACKED, expect

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
T0 = 1_772_442_000 * SECOND  # 2026-03-02T09:00:00Z
BENCH = resources.shipped() / "simulated_bench.toml"
TAPES = HERE.parent / "tapes"
EXAMINATIONS = (
    ("porh", "cli"), ("local-heating", "diabetic"), ("flowmotion", "healthy"), ("tcpo2-rest", "cli"),
    ("tcpo2-oxygen", "diabetic"), ("walking-constant", "claudicant"), ("walking-gardner-skinner", "claudicant"),
    ("entries", "cli"),
)  # fmt: skip


def examinations(folder: Path) -> None:
    """Two visits of one participant by every protocol, a class each; the second visit without the long ones."""
    plans = [
        Plan(protocol, kind, 7, T0 + number * 7200 * SECOND, subject="03-117")
        for number, (protocol, kind) in enumerate(EXAMINATIONS)
    ]
    later = [
        Plan(protocol, kind, 8, T0 + 91 * DAY + number * 7200 * SECOND, subject="03-117", visit="month3")
        for number, (protocol, kind) in enumerate(EXAMINATIONS)
        if protocol in ("tcpo2-rest", "walking-constant", "entries")
    ]
    list(write(folder, [*plans, *later], load(BENCH)))


def happenings(folder: Path) -> None:
    """A short examination to which all happens that can happen to a session, one given up, and entries of a visit."""
    (made,) = write(folder, [Plan("walking-constant", "cli", 5, T0)], load(BENCH))
    moment = [T0 + DAY]

    def ask(**request: Any) -> Any:
        moment[0] += 60 * SECOND
        at = moment[0]
        return gateway.send(folder, {"by": "mk", **request}, clock=Clock(monotonic=lambda: at - T0, utc=lambda: at))

    walk = {"session": made.session}
    shown = ask(do="session.note", text="short of breath at the end", **walk)
    onset = next(each for each in shown["items"] if each["name"] == "onset")
    ask(do="session.note", text="held the rail for a moment", **walk)
    ask(do="session.observe", fields={"what": "vas", "mark": 61.0}, **walk)
    entered = ask(do="session.observe", fields={"what": "vas", "mark": 16.0}, **walk)
    twice = max(each["entry"] for each in entered["items"])
    ask(do="session.correct", entry=twice, field="struck", value=True, reason="typed twice", **walk)
    ask(do="session.correct", entry=onset["entry"], field="at", value=onset["at_key"] - SECOND, reason="a test", **walk)
    ask(do="session.correct", field="site", value="calf", reason="left out", **walk)
    ask(do="session.keep", reason="for teaching", **walk)
    visit = {"session": ask(do="session.visit", subject="03-118", visit="baseline")["session"]}
    ask(do="session.observe", fields={"what": "not-done", "measurement": "tcpo2", "reason": "refused"}, **visit)


def instrument(folder: Path, case: Path) -> None:
    """What a driver makes of a tape, with the tape beside it."""
    (tape,) = tapes(case)
    (folder / "tapes").mkdir(parents=True)
    for file in tape.files:
        shutil.copy(file, folder / "tapes")
    label, played = tape.label, play(tape)
    driver = driver_of(label)
    writer = StoreWriter(folder, clock=Clock(), compact=None)
    writer.open()
    try:
        began = min(int(rows.arrived[0]) for rows in played.rows.values() if len(rows))
        run = writer.begin_run(Instant(began, T0), T0, {"host": "simulated"})
        for stream in driver.streams:
            rows = played.rows[stream.name]
            header = Header(label.device, stream, label.driver, driver.about.confidence, driver.about.source, True)
            for first in range(len(rows)):
                part = slice(first, first + 1)
                arrived = int(rows.arrived[first])
                time = np.array([T0 + arrived - began + first], np.int64)
                stamp = Instant(arrived, T0 + arrived - began)
                writer.put(
                    Chunk(header, run, label.connection, first, stamp, time, rows.values[part], rows.quality[part])
                )
        writer.flush()
    finally:
        writer.close()


def makers() -> dict[str, Callable[[Path], None]]:
    """Every record by its name."""
    cases = sorted(file.parent for file in TAPES.glob("*/*/expected.csv"))
    return {
        "examinations": examinations,
        "happenings": happenings,
        **{f"{case.parent.name}-{case.name}": partial(instrument, case=case) for case in cases},
    }


def compress(folder: Path) -> None:
    """Let the record be as one that has been at rest for long, and small."""
    writer = StoreWriter(folder, clock=Clock(), compact=None)
    writer.open()
    try:
        writer.begin_run(Instant(0, writer.last_key + 1), writer.last_key + 1, {"host": "simulated"})
        compaction.Compactor(folder / schema.FILE, writer.submit).run_once()
    finally:
        writer.close()
    with contextlib.closing(apsw.Connection(str(folder / schema.FILE))) as connection:
        connection.execute("VACUUM")
        connection.pragma("journal_mode", "delete")


def main() -> None:
    """Make what this version does not have yet."""
    for name, make in makers().items():
        target = HERE / f"v{__version__}" / name
        if target.exists():
            continue
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "rec"
            make(folder)
            compress(folder)
            target.mkdir(parents=True)
            packed = lzma.compress((folder / schema.FILE).read_bytes(), preset=9)
            (target / PACKED).write_bytes(packed)
            if (folder / "tapes").is_dir():
                shutil.copytree(folder / "tapes", target / "tapes")
            expect(folder, target)
        print(f"{target.name}: {len(packed)} bytes")


if __name__ == "__main__":
    main()
