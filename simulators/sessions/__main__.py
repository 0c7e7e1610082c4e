"""The command `python -m simulators.sessions DIR`: simulated examinations into a record, a JSON line for each."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from acquisition import exit_codes
from acquisition.config import load, resources
from acquisition.errors import ConfigurationError
from simulators.patient.phenotypes import PHENOTYPES
from simulators.sessions.plan import Plan
from simulators.sessions.recorder import write

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BENCH = "simulated_bench.toml"


@click.command()
@click.argument("data", type=click.Path(path_type=Path, file_okay=False))
@click.option("--protocol", "protocols", multiple=True, required=True, help="Of the examination; several in turn.")
@click.option("--class", "kind", type=click.Choice(tuple(PHENOTYPES)), default="healthy", show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the first participant.")
@click.option("--participants", type=click.IntRange(1, 100_000), default=1, show_default=True, help="Each a seed on.")
@click.option("--subject", default="03-{seed:03d}", show_default=True, help="Code; {seed} stands for the seed.")
@click.option("--visit", default="baseline", show_default=True)
@click.option("--limb", type=click.Choice(("left", "right")), default="left", show_default=True)
@click.option("--at", "start", default="2026-03-02T09:00:00Z", show_default=True, help="First instant, ISO 8601, UTC.")
@click.option(
    "--every", type=click.FloatRange(min=1.5), default=2.0, show_default=True, help="Hours between two starts."
)
@click.option("--by", default="simulated technician", show_default=True)
@click.option("-c", "--config", "path", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Bench, every device of it simulated; its folder has the protocols of its own.")  # fmt: skip
def sessions(
    data: Path,
    protocols: tuple[str, ...],
    kind: str,
    seed: int,
    participants: int,
    subject: str,
    visit: str,
    limb: str,
    start: str,
    every: float,
    by: str,
    path: Path | None,
) -> None:
    """Write whole examinations of simulated participants into the record DATA, without a daemon and without waiting.

    Samples of all devices of the bench, events, marks when things happen, entries. Each line that is printed names the
    session and what is true of the participant. Equal options make equal samples.
    """
    config = load(path or resources.shipped() / BENCH)
    first = _instant(start)
    plans = (
        Plan(
            protocol, kind, each, first + round(count * every * 3600) * 1_000_000_000, subject=_code(subject, each),
            visit=visit, limb=limb, by=by,
        )
        for count, (each, protocol) in enumerate(
            (seed + index, protocol) for index in range(participants) for protocol in protocols
        )
    )  # fmt: skip
    data.mkdir(parents=True, exist_ok=True)
    for made in write(data, plans, config):
        plan = made.plan
        line = {"session": made.session, "protocol": plan.protocol, "subject": plan.subject, "visit": plan.visit,
                "start": _iso(plan.start), "truth": made.truth}  # fmt: skip
        click.echo(json.dumps(line))


def _instant(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{text!r} is no time", "--at", remedy="such as 2026-03-02T09:00:00Z") from None
    if moment.tzinfo is None:
        raise ConfigurationError(f"{text!r} has no zone", "--at", remedy=f"{text}Z, or with an offset such as +02:00")
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def _iso(ns: int) -> str:
    return (EPOCH + timedelta(microseconds=ns // 1000)).isoformat()


def _code(pattern: str, seed: int) -> str:
    try:
        return pattern.format(seed=seed)
    except (KeyError, IndexError, ValueError):
        raise ConfigurationError(
            f"{pattern!r} is no pattern of a code", "--subject", remedy="such as 03-{seed:03d}"
        ) from None


def main() -> None:
    """Run the command and exit with its code: 0, 1 unexpected, 2 usage, 3 configuration, 8 refused by state."""
    exit_codes.run(sessions, "perfusion simulate-session", "perfusion simulate-session")


if __name__ == "__main__":
    main()
