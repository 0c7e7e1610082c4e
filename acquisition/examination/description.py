"""Sessions as plain values: what people and machines are shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from acquisition.examination.decisions import protocol_of
from acquisition.examination.session import Correction, Item, Session

SECOND = 1_000_000_000


def summarise(session: Session) -> dict[str, Any]:
    """A session in a line."""
    about = session.about
    return {
        "session": session.id,
        "protocol": about["protocol"],
        "subject": about["subject"],
        "visit": about["visit"],
        "limb": about["limb"],
        "start": iso(session.start),
        "stop": None if session.stop is None else iso(session.stop),
        "state": session.outcome or "open",
        "phase": session.phase,
        "entries": len(session.valid),
    }


def describe(session: Session, now: int) -> dict[str, Any]:
    """A session whole: what is done, what may be done next, every entry with its first values. Keys of time in ns."""
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
        **summarise(session),
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
            {"phase": s.phase, "start": iso(s.start), "start_key": s.start, "early": s.early} for s in session.stages
        ],
        "items": [_item(item) for item in session.items],
        "corrections": [_correction(each) for each in session.corrections],
    }


def iso(key: int) -> str:
    """A time key (ns) as ISO 8601 UTC with milliseconds."""
    moment = datetime.fromtimestamp(key // SECOND, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{key % SECOND // 1_000_000:03d}Z"


def _item(item: Item) -> dict[str, Any]:
    return {
        "entry": item.number,
        "kind": item.kind,
        "name": item.name,
        "time": iso(item.at),
        "at_key": item.at,
        "entered": iso(item.entered),
        "phase": item.phase,
        "by": item.by,
        "struck": item.struck,
        "fields": dict(item.fields),
        "corrections": [_correction(each) for each in item.corrections],
    }


def _correction(each: Correction) -> dict[str, Any]:
    return {
        "field": each.field,
        "old": each.old,
        "new": each.new,
        "reason": each.reason,
        "by": each.by,
        "time": iso(each.time),
    }
