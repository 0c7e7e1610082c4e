"""The sessions of one participant's visit with what the record holds of them: each is read and analysed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from acquisition.analysis import entries, heat
from acquisition.analysis.entries import Outcome
from acquisition.analysis.indices import VisitContext, analyse
from acquisition.analysis.session_data import SessionData
from acquisition.examination.session import Session, SessionLog
from acquisition.signals.eligibility import first_valid
from acquisition.signals.thermal_dose import Heated
from acquisition.store import Store


class Visit:
    """The sessions of one participant and visit, in order, and their indices, computed when they are first asked for.

    It keeps what it read and computed for as long as it lives: one visit is that of one question, or a table would
    hold the samples of a whole study.
    """

    def __init__(self, store: Store, sessions: Sequence[Session]) -> None:
        self.sessions = list(sessions)
        self._store = store
        self._data: dict[str, SessionData] = {}
        self._analysed: dict[str, list[Outcome]] = {}
        self._heated: dict[str, list[Heated]] = {}

    @property
    def closed(self) -> list[Session]:
        """The sessions that are over."""
        return [each for each in self.sessions if not each.open]

    def data(self, session: Session) -> SessionData:
        """What the record holds of a session."""
        if session.id not in self._data:
            self._data[session.id] = SessionData(self._store, session)
        return self._data[session.id]

    def analysed(self, session: Session) -> list[Outcome]:
        """Every index of a session's protocol."""
        if session.id not in self._analysed:
            self._analysed[session.id] = analyse(self.data(session), self.known(session))
        return self._analysed[session.id]

    def known(self, session: Session) -> VisitContext:
        """What the entries of the visit say that bears on a session's indices."""
        index = first_valid(entries.pressures(self.sessions, side(session)))
        return VisitContext(
            None if index is None else index.value, entries.mean_pressures(self.sessions),
            entries.systolic(self.sessions),
        )  # fmt: skip

    def heated(self, session: Session) -> list[Outcome]:
        """Minutes of heat of each site of skin that a session heated, over the visit until then."""
        earlier = [each for each in self.sessions if each.start <= session.start and each.id != session.id]
        return heat.summed(map(self._stays, earlier), self._stays(session), heat.limit(self.data(session)))

    def _stays(self, session: Session) -> list[Heated]:
        if session.id not in self._heated:
            self._heated[session.id] = list(heat.stays(self.data(session)))
        return self._heated[session.id]


def visits(session_log: SessionLog) -> Iterator[list[Session]]:
    """The sessions of each participant and visit of a log, in order."""
    found: dict[tuple[str, str], list[Session]] = {}
    for each in session_log.sessions.values():
        found.setdefault((each.about["subject"], each.about["visit"]), []).append(each)
    yield from found.values()


def visit_of(session_log: SessionLog, session: Session) -> list[Session]:
    """The sessions of the same participant and visit, in order."""
    same = (session.about["subject"], session.about["visit"])
    return [each for each in session_log.sessions.values() if (each.about["subject"], each.about["visit"]) == same]


def side(session: Session) -> str:
    """The limb of a session where it is a left or a right one, else empty."""
    limb = str(session.about.get("limb") or "")
    return limb if limb in ("left", "right") else ""
