"""Marks of a cuff held against the pressure that was recorded of it: where they part, and the command that mends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acquisition.analysis.entries import systolic
from acquisition.analysis.session_data import NEAR, SECOND, SessionData
from acquisition.errors import StoreError
from acquisition.examination.description import iso
from acquisition.examination.session import SessionLog
from acquisition.signals.occlusion import OPEN, MarkSource, Occlusion, apart, from_pressure, nearest
from acquisition.store import Store

MARKS = ("inflate", "release")
JUDGED = ("session.mark", "session.correct", "session.next", "session.stop")
"""The requests whose answers say which marks part from the cuff."""
DISAGREES = "mark_disagrees_with_cuff"
"""The reason against results of an examination whose marks part from the cuff's pressure."""


@dataclass(frozen=True, slots=True)
class Parted:
    """A mark away from the cuff's pressure: entry, when it was set and when the pressure shows it (s; None never)."""

    mark: str
    entry: int
    marked: float
    seen: float | None
    pressure: float


def parted(data: SessionData, systolic: float | None = None) -> list[Parted]:
    """Every mark of inflation or release that the recorded pressure contradicts; none where no pressure was recorded.

    A mark of inflation is judged once the cuff is seen closed, or 30 s after it.
    """
    cuff = data.of_role("cuff")
    if cuff is None or not cuff.valid.any():
        return []
    shown = nearest(from_pressure(cuff, systolic), data.mark("inflate"))
    return list(_parted(data, shown, float(cuff.time[cuff.valid][-1]), float(cuff.values[cuff.valid][-1])))


def _parted(data: SessionData, shown: Occlusion | None, newest: float, pressure: float) -> Iterator[Parted]:
    for name in MARKS:
        item = data.mark_item(name)
        if item is None:
            continue
        at = data.seconds(item.at)
        seen = None if shown is None else shown.on if name == "inflate" else shown.off
        over = shown is not None and shown.off is not None and shown.off < at
        if name == "inflate" and newest - at <= NEAR and (seen is None or over):
            continue  # it is being inflated: what is seen so far is an occlusion before it
        if seen is None or apart(at, seen, MarkSource.CUFF):
            yield Parted(name, item.number, at, seen, pressure)


def remarks(data: SessionData, systolic: float | None = None) -> list[dict[str, Any]]:
    """The same as plain values, with words and the command that corrects the mark; None where nothing is known."""
    return [_plain(data, each) for each in parted(data, systolic)]


def remarks_of(store: Store, session_log: SessionLog, key: str) -> list[dict[str, Any]]:
    """The remarks on a session of a record, by the systolic pressure that is known of its visit."""
    session = session_log.sessions[key]
    person = (session.about["subject"], session.about["visit"])
    visit = [each for each in session_log.sessions.values() if (each.about["subject"], each.about["visit"]) == person]
    return remarks(SessionData(store, session), systolic(visit))


def warnings(directory: Path, session_log: SessionLog, request: Mapping[str, Any], key: str) -> list[str]:
    """What to say with the answer to a request that set, changed or closed the marks of a session; in words."""
    do = request.get("do")
    if do not in JUDGED or session_log.sessions[key].about["content"]["measures"] != "porh":
        return []
    try:
        with Store(directory) as store:
            found = remarks_of(store, session_log, key)
    except StoreError as error:
        return [f"the marks were not held against the cuff's pressure: {error}"]
    return [told(each) for each in found if do != "session.mark" or each["mark"] == request.get("name")]


def _plain(data: SessionData, each: Parted) -> dict[str, Any]:
    session = data.session
    late = "" if session.open else f" --session {session.id}"
    if each.seen is None:
        command = None
        text = f"the mark {each.mark} (entry {each.entry}): the cuff stands at {each.pressure:.0f} mmHg, " + (
            "it is not open yet" if each.pressure >= OPEN else "and was never seen closed"
        )
    else:
        time = iso(data.wall.of(session.start + round(each.seen * SECOND)))
        command = f'perfusion session correct {each.entry} --at {time} --reason "seen on the cuff trace"{late}'
        word = "late" if each.marked > each.seen else "early"
        off = abs(each.marked - each.seen)
        text = f"the mark {each.mark} (entry {each.entry}) is {off:.0f} s too {word}: the cuff's pressure shows {time}"
    return {
        "remark": DISAGREES,
        "mark": each.mark,
        "entry": each.entry,
        "marked_s": each.marked,
        "seen_s": each.seen,
        "text": text,
        "correct": command,
    }


def told(remark: Mapping[str, Any]) -> str:
    """A remark in a line."""
    how = remark["correct"] or f"perfusion session correct {remark['entry']} --at TIME, or --strike, with --reason"
    return f"{remark['text']}; to correct it: {how}"
