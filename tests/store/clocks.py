"""A record whose runs were recorded by clocks that were set wrong, on a clock that is handed in."""

from contextlib import contextmanager

from msgspec.structs import replace

from acquisition.daemon.gateway import events
from acquisition.examination.session_service import SessionService
from acquisition.model import Gap
from acquisition.store import Store, StoreWriter, runs
from acquisition.timing.clock import Clock
from tests.store.records import SECOND, T0, Source, header

MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
AHEAD = 3000 * DAY
LDF = (header(channels=("flux",)),)


class Bedside:
    """A computer at a bedside: `utc` is what its clock shows, `now` gives both clocks."""

    def __init__(self, directory, utc=T0):
        self.directory, self.utc, self.monotonic = directory, utc, 5 * SECOND
        self.clock = Clock(monotonic=lambda: self.monotonic, utc=lambda: self.utc)

    def wait(self, ns):
        self.monotonic += ns
        self.utc += ns

    @contextmanager
    def run(self, utc=None, **about):
        """A run of the service from the wall time `utc` (ns) on, after a start of the computer."""
        self.monotonic, self.utc = self.monotonic % (50 * SECOND) + SECOND, self.utc if utc is None else utc
        writer = StoreWriter(self.directory, clock=self.clock, flush=0.01, compact=None)
        writer.open()
        try:
            timeline = runs.begin(writer, self.clock.now(), about)
            yield Run(self, writer, timeline)
        finally:
            writer.close()

    def record(self, utc, subject="03-117", visit="baseline", pain=60):
        """A run of ten seconds of flux from `utc` on, an examination of a minute in it, and an entry."""
        with self.run(utc) as run:
            run.flux(400)
            run.ask("session.start", protocol="porh", subject=subject, visit=visit, limb="left",
                    checks={"contraindications": "none"})  # fmt: skip
            self.wait(MINUTE)
            run.ask("session.observe", fields={"what": "vas", "mark": pain})
            run.ask("session.stop", reason="a test of the clock")


class Run:
    def __init__(self, host, writer, timeline):
        self.host, self.writer, self.timeline = host, writer, timeline
        with Store(host.directory) as store:
            known = list(events(store))
        self.session_service = SessionService(
            known, self.key, writer.put, headers=lambda: LDF, wall=lambda: writer.wall
        )

    def key(self):
        return self.timeline.key(self.host.monotonic)

    def ask(self, do, **fields):
        answer = self.session_service.answer({"do": do, **fields})
        assert self.writer.flush()
        return answer

    def flux(self, n):
        """n samples at 40 Hz from now on, the time they take passing."""
        last, start = self.writer.last("ldf", "flux"), self.key()
        source = Source(LDF[0], self.timeline.run, first=last.next if last else 0, start=start)
        chunk = source.chunk(n)
        if last is not None:
            gap = Gap(last.key, start, last.next - 1, last.next, "the service was not running", 0)
            chunk = replace(chunk, gap=gap)
        self.writer.put(chunk)
        assert self.writer.flush()
        self.host.wait(n * SECOND // 40)


def accident(directory):
    """Three runs a day apart; in the second the clock was 3 000 days ahead."""
    host = Bedside(directory)
    for number, utc in enumerate((T0, T0 + DAY + AHEAD, T0 + 2 * DAY), 1):
        host.record(utc, f"03-11{number}")
    return host
