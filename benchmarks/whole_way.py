"""Simulated participants through the whole service: instruments, links, drivers, daemon, record, session, outcomes.

`python -m benchmarks.whole_way CLASS SCENARIO SEED` prints what one participant's outcomes come to.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from acquisition.analysis.outcomes import outcomes
from acquisition.daemon.gateway import events, session_log
from acquisition.examination.protocol import load
from acquisition.examination.session_service import SessionService
from acquisition.signals.kit.bands import STEFANOVSKA
from acquisition.signals.result import Result
from acquisition.store import Store, StoreWriter
from acquisition.timing.clock import Clock
from benchmarks.participants import KINDS, put_in
from benchmarks.rows import Row, against_truth, alone, rounded
from simulators.patient.flowmotion import BANDS
from simulators.patient.phenotypes import PHENOTYPES
from simulators.patient.physiology import Participant
from simulators.sessions.course import Course, answers, course
from tests.service.bench import ENTRIES, WITH_CUFF, Bench, streaming

SECOND = 1_000_000_000
LEADS = (5.0, 15.0, 30.0, 60.0)
"""Seconds on the wall for everything to be up before the scenario begins: the next one for another try."""
NOTHING: Mapping[str, Any] = {"devices": ()}
HEATER = """
        [[device.channel]]
        input = 104
        signal = "heater_temperature"
        profile = "heater-10mv-per-degree"
        """
ENTRY = {**ENTRIES, "daq970a": WITH_CUFF + HEATER}
LIMB = "left"
TIME_CONSTANT = 0.2
"""s, of the simulated laser Doppler monitor."""
AT_ONCE = 4
"""Participants whose instruments and daemon run at the same time, on two processors."""
Ran = tuple[dict[str, Any], dict[tuple[str, str], Result]]
"""The truth of a participant, and what was found, by place and name."""


@dataclass(frozen=True, slots=True)
class Way:
    """How one scenario is examined over the wire: instruments, protocol, and how fast it is run."""

    instruments: tuple[str, ...]
    protocol: str
    speed: float


WAYS = {
    "porh": Way(("daq970a",), "porh", 60.0),
    "heating": Way(("daq970a",), "local-heating", 80.0),
    "flowmotion": Way(("daq970a",), "flowmotion", 80.0),
    "rest": Way(("intellivue",), "tcpo2-rest", 120.0),
    "oxygen": Way(("intellivue",), "tcpo2-oxygen", 120.0),
    "walk-constant": Way(("intellivue", "trackmaster"), "walking-constant", 25.0),
    "walk-gs": Way(("intellivue", "trackmaster"), "walking-gardner-skinner", 25.0),
}


def results(kind: str, scenario: str, seed: int) -> Ran:
    """Run one participant through the service; answers the truth, and the results by place and name."""
    told = "rest" if scenario == "flowmotion" else scenario
    truth = Participant(kind, told, seed).truth()
    way = WAYS[scenario]
    planned = course(load(way.protocol), kind, LIMB, truth)
    for lead in LEADS:
        with tempfile.TemporaryDirectory() as folder, Bench(Path(folder)) as bench:
            t0 = record(bench, kind, seed, way, planned, lead)
            if t0 is None:
                continue
            with Store(bench.store) as store:
                # On a busy machine a link may break at such a speed; that is told, and it is not what is measured here.
                if any(True for _ in store.events("gap")) and lead != LEADS[-1]:
                    continue
            examine(bench.store, t0, way.protocol, planned)
            with Store(bench.store) as store:
                known = session_log(bench.store)
                found = outcomes(store, known, known.sessions["s1"])
            return truth, {(each.place, each.result.name): each.result for each in found.results}
    raise RuntimeError(f"no instrument streamed within {LEADS[-1]:g} s")


def record(bench: Bench, kind: str, seed: int, way: Way, planned: Course, lead: float) -> int | None:
    """Let the daemon record the scenario until the course's last second; answers when it began (ns, UTC).

    None where not every instrument streamed by then.
    """
    t0 = round(time.time() + lead, 6)
    common = ("--speed", way.speed, "--t0", f"{t0:.6f}")
    for name in way.instruments:
        bench.simulate(name, "--scenario", planned.scenario, "--class", kind, "--seed", seed, *common)
    bench.write({name: ENTRY[name] for name in way.instruments})
    daemon = bench.run(*common)
    while not streaming(daemon.snapshot(bench.store) or NOTHING):
        if time.time() > t0:
            return None
        time.sleep(0.1)
    time.sleep(t0 - time.time() + (planned.seconds + 10.0) / way.speed)
    code = daemon.stop(30)
    if code:
        raise RuntimeError(f"the daemon ended with {code}:\n{daemon.log.read_text()[-2000:]}")
    return round(t0 * SECOND)


def examine(directory: Path, t0: int, protocol: str, planned: Course) -> None:
    """Write the session into the record as if each request had come at its second."""
    clock = Clock()
    writer = StoreWriter(directory, clock=clock)
    writer.open()
    try:
        with Store(directory) as store:
            known, headers = list(events(store)), [info.header for info in store.streams()]
        writer.begin_run(started := clock.now(), max(started.utc, writer.last_key + 1), {"purpose": "a session"})
        now = [t0]
        session_service = SessionService(known, lambda: now[0], writer.put, headers=lambda: headers)
        for at, request in _requests(protocol, planned):
            now[0] = t0 + round(at * SECOND)
            session_service.answer(request)
        writer.flush()
    finally:
        writer.close()


def _requests(protocol: str, planned: Course) -> Iterator[tuple[float, Mapping[str, Any]]]:
    day = datetime.now(UTC).date()
    yield 0.0, {"do": "session.start", "protocol": protocol, "subject": "03-117", "visit": "baseline", "limb": LIMB,
                "checks": answers(load(protocol), day)}  # fmt: skip
    yield from ((step.at, step.request) for step in planned.steps)
    yield planned.seconds, {"do": "session.stop", "reason": "simulated"}


INDICES = {
    "porh": ("ldf/flux/flux", "porh", (
        ("rest_flow", "RF"), ("biological_zero", "BZ"), ("peak_flow", "PF"), ("latency", "TL"), ("time_to_peak", "TP"),
        ("half_rise", "TH1"), ("half_recovery", "TH2"), ("occlusion_area", "AO"),
    )),
    "heating": ("ldf/flux/flux", "heating", (
        ("heating_baseline", "baseline"), ("initial_peak", "peak"), ("nadir", "nadir"), ("plateau", "plateau"),
        ("maximum", "max"),
    )),
    "rest": ("tcpo2/calf/tcpo2", "tcpo2", (("tcpo2_rest", "calf"), ("tcpo2_rpi", "RPI"))),
    "walk-constant": ("treadmill/belt/speed", "walk", (("icd_distance", "ICD"), ("acd_distance", "ACD"))),
}  # fmt: skip
"""Where the results of a scenario stand, where their truth does, and which index belongs to which truth."""


def participants(n: int) -> list[Row]:
    """Every index of the first `n` participants of each class against its truth."""
    jobs = [(kind, scenario, seed) for scenario in (*INDICES, "flowmotion") for kind in KINDS for seed in range(n)]
    # They wait more than they compute; more at once would make the simulated seconds too short.
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ran = dict(zip(jobs, pool.map(lambda job: results(*job), jobs), strict=True))
    rows = []
    for kind in KINDS:
        for scenario in INDICES:
            rows += _indices(kind, scenario, [ran[kind, scenario, seed] for seed in range(n)])
        rows += _rhythms(kind, [found for _, found in (ran[kind, "flowmotion", seed] for seed in range(n))])
    return rows


def _indices(kind: str, scenario: str, ran: Sequence[Ran]) -> list[Row]:
    place, part, pairs = INDICES[scenario]
    rows = []
    if scenario == "porh":
        yes = sum(found[place, "hyperaemia"].value or 0.0 for _, found in ran)
        rows.append(alone(kind, "hyperaemia", f"{rounded(yes)} of {len(ran)}"))
    for index, key in pairs:
        # What was not reached is not in the truth, and in the results it is a bound.
        true = [truth[part][key] if truth[part][key] is not None else truth[part]["distance"] for truth, _ in ran]
        rows.append(against_truth(kind, index, true, [found[place, index] for _, found in ran]))
    if scenario == "walk-constant":
        drops = [found["tcpo2/calf/tcpo2", "drop_min"] for _, found in ran]
        rows.append(against_truth(kind, "drop_min", [truth[part]["DROP"] for truth, _ in ran], drops))
    return rows


def _rhythms(kind: str, ran: Sequence[Mapping[tuple[str, str], Result]]) -> list[Row]:
    """What was put in, on the biological zero and through the instrument's time constant."""
    flow = PHENOTYPES[kind].flow
    rows = []
    for band, tone, energy in zip(STEFANOVSKA.bands, BANDS, put_in(kind), strict=True):
        passed = (1.0 - flow.bz / flow.rf) ** 2 / (1.0 + (2.0 * math.pi * tone[0] * TIME_CONSTANT) ** 2)
        name = f"{band.name}_energy"
        rows.append(against_truth(kind, name, [energy * passed] * len(ran), [f["ldf/flux/flux", name] for f in ran]))
    return rows


if __name__ == "__main__":
    true, measured = results(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    print(true)
    for (place, index), result in measured.items():
        print(place, index, result.value, result.status, result.reason)
