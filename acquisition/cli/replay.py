"""`perfusion replay`: tapes through today's drivers, compared with what was stored."""

from __future__ import annotations

from pathlib import Path

import click

from acquisition.device import replay as replaying
from acquisition.device.replay import EXPECTED, Played, ReplayVerdict, Rows, Tape
from acquisition.errors import PerfusionError
from acquisition.store import Store

DIFFER = 5


@click.command()
@click.argument("path", metavar="FILE-OR-DIR", type=click.Path(path_type=Path, exists=True))
@click.option("--device", help="Only this device's tapes.")
@click.option("--cut", type=click.Path(path_type=Path), help="Copy the one tape and its samples here, as a test case.")
def replay(path: Path, device: str | None, cut: Path | None) -> int:
    """Play tapes through today's drivers and compare the samples with the stored ones.

    FILE-OR-DIR is a record's folder, a folder of tapes, or one tape. The exit code is 5 where samples differ.
    """
    found = replaying.tapes(path, device)
    if cut is not None and len(found) != 1:
        names = ", ".join(tape.files[0].name for tape in found)
        raise PerfusionError(f"{len(found)} tapes make no single case", str(path), remedy=f"name one: {names}")
    total = ReplayVerdict()
    for tape in found:
        if tape.label.part and len(found) > 1:
            click.echo(f"{tape.files[0].name}: its beginning was removed, so it is not played", err=True)
            continue
        played = replaying.play(tape)
        if cut is not None:
            replaying.cut(tape, played, cut)
            click.echo(f"{sum(map(len, played.rows.values()))} samples cut to {cut}")
            return 0
        total += _report(tape, played)
    click.echo(f"{total.samples} samples, {total.differ} differ")
    return DIFFER if total.differ else 0


def _report(tape: Tape, played: Played) -> ReplayVerdict:
    kept = _kept(tape, played)
    name, total = tape.files[0].name, ReplayVerdict()
    for stream, rows in played.rows.items():
        if kept is None:
            click.echo(f"{name} {stream}: {len(rows)} samples, and no record to compare them with")
            continue
        verdict = replaying.compare(*kept[stream][:2], played.ended, kept[stream][2])
        after = f", {verdict.not_stored} from after the last commit" if verdict.not_stored else ""
        click.echo(f"{name} {stream}: {verdict.samples} samples, {verdict.differ} differ{after}")
        total += verdict
    if played.asked_differently:
        click.echo(f"{name}: today's driver asks differently, {played.asked_differently} of {played.asked} messages")
    return total


def _kept(tape: Tape, played: Played) -> dict[str, tuple[Rows, Rows, bool]] | None:
    """By stream what was played, what was stored of it and whether its rate was doubted; None where nothing was."""
    folder = tape.files[0].parent
    if (folder / EXPECTED).is_file():
        expected = replaying.read_expected(folder / EXPECTED)
        none = {s: Rows.join([], rows.values.shape[1]) for s, rows in played.rows.items()}
        return {s: (rows, expected.get(s, none[s]), False) for s, rows in played.rows.items()}
    if not (folder.parent / "record.db").is_file():
        return None
    pairs = {}
    with Store(folder.parent) as store:
        for stream, rows in played.rows.items():
            kept = replaying.stored(store, tape.label, stream, rows.values.shape[1])
            # What retention removed can no longer be compared.
            removed = len(kept) and replaying.expired(store, tape.label, stream)
            doubted = replaying.doubted(store, tape.label, stream)
            pairs[stream] = (rows.since(int(kept.arrived[0])) if removed else rows, kept, doubted)
    return pairs
