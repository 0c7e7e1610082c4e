"""Sessions as plain values: what people and machines are shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from acquisition.examination.decisions import protocol_of
from acquisition.examination.session import Correction, Item, Session
from acquisition.store.wall import Wall

SECOND = 1_000_000_000


def summarise(session: Session, wall: Wall) -> dict[str, Any]:
    """A session in a line; its times by the wall clock."""
    about = session.about
    return {
        "session": session.id,
        "protocol": about["protocol"],
        "subject": about["subject"],
        "visit": about["visit"],
        "limb": about["limb"],
        "start": iso(wall.of(session.start)),
        "stop": None if session.stop is None else iso(wall.of(session.stop)),
        "state": session.outcome or "open",
        "phase": session.phase,
        "entries": len(session.valid),
    }


def describe(session: Session, now: int, wall: Wall) -> dict[str, Any]:
    """A session whole: what is done, what may be done next, every entry with its first values.

    Times are by the wall clock, keys of time and `now` in ns on the axis of the record.
    """
    protocol = protocol_of(session)
    phase = protocol.phase_named(session.phase)
    following = protocol.after(session.phase)
    elapsed = ((session.stop or now) - session.stages[-1].start) / SECOND
    free = [
        rule
        for rule in protocol.marks_in(session.phase)
        if session.open and (rule.again or not session.marks(rule.name))
    ]
    return {
        **summarise(session, wall),
        "title": protocol.title,
        "version": session.about["version"],
        "site": session.about.get("site", ""),
        "by": session.about.get("by", ""),
        "simulated": bool(session.about.get("simulated")),
        "bindings": session.about.get("bindings", {}),
        "checks": list(session.about.get("checks", ())),
        "start_key": session.start,
        "stop_key": session.stop,
        "reason": session.reason,
        "say": phase.say,
        "elapsed_s": elapsed,
        "planned_s": phase.seconds,
        "least_s": phase.least,
        "next_phase": following.name if following else None,
        "marks": [
            {"name": r.name, "say": r.say, "key": r.key, "opens": r.opens, "values": list(r.values)} for r in free
        ],
        "stages": [
            {"phase": s.phase, "start": iso(wall.of(s.start)), "start_key": s.start, "early": s.early}
            for s in session.stages
        ],
        "items": [_item(item, wall) for item in session.items],
        "corrections": [_correction(each, wall) for each in session.corrections],
    }


def iso(utc: int) -> str:
    """A wall time (ns) as ISO 8601 UTC with milliseconds."""
    moment = datetime.fromtimestamp(utc // SECOND, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{utc % SECOND // 1_000_000:03d}Z"


def _item(item: Item, wall: Wall) -> dict[str, Any]:
    return {
        "entry": item.number,
        "kind": item.kind,
        "name": item.name,
        "time": iso(wall.of(item.at)),
        "at_key": item.at,
        "entered": iso(wall.of(item.entered)),
        "phase": item.phase,
        "by": item.by,
        "struck": item.struck,
        "fields": dict(item.fields),
        "corrections": [_correction(each, wall) for each in item.corrections],
    }


def _correction(each: Correction, wall: Wall) -> dict[str, Any]:
    timed = each.field == "at"
    old, new = (iso(wall.of(it)) if timed and isinstance(it, int) else it for it in (each.old, each.new))
    return {
        "shown": {"old": old, "new": new},
        "field": each.field,
        "old": each.old,
        "new": each.new,
        "reason": each.reason,
        "by": each.by,
        "time": iso(wall.of(each.time)),
    }
