"""Thermal dose of each site of skin, summed over all sessions of a visit, whichever probe heated it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from acquisition.analysis.entries import Outcome
from acquisition.analysis.session_data import TEMPERATURE, SessionData
from acquisition.examination.binding import Address
from acquisition.examination.session import Session, SessionLog
from acquisition.signals.result import Trace
from acquisition.signals.thermal_dose import Heated, doses
from acquisition.store import Store

NOT_SEEN = Trace.of([], [])
"""The temperature of a heater that nobody recorded."""


def stays(data: SessionData) -> Iterator[Heated]:
    """Every heated probe of a session with its temperature (Cel), empty where none was recorded."""
    for role in ("chest", "limb", "heater"):
        for address in data.addresses(role):
            trace = data.trace(address) if role == "heater" else data.beside(address, TEMPERATURE)
            yield Heated(skin(data, role, address), NOT_SEEN if trace is None else trace)
    if data.session.about["content"]["measures"] == "heating" and not data.addresses("heater"):
        for address in data.addresses("flux")[:1]:
            yield Heated(skin(data, "heater", address), NOT_SEEN)


def skin(data: SessionData, role: str, address: Address) -> str:
    """The site of skin in words: `chest`, `left calf` by the electrode's own name, `left hallux` of a heater."""
    if role == "chest":
        return "chest"
    limb = str(data.session.about.get("limb") or "")
    site = address.stream if role == "limb" else str(data.conditions(address)["site"] or address)
    return f"{limb} {site}".strip()


def before(store: Store, session_log: SessionLog, session: Session) -> list[SessionData]:
    """The sessions of the same participant and visit that began earlier, in order."""
    person = (session.about["subject"], session.about["visit"])
    earlier = [each for each in session_log.sessions.values() if each.start <= session.start and each is not session]
    return [SessionData(store, each) for each in earlier if (each.about["subject"], each.about["visit"]) == person]


def limit(data: SessionData) -> float | None:
    """The minutes of heat after which a session's protocol wants the skin left alone."""
    found = data.settings.get("thermal_limit_minutes")
    return None if found is None else float(found)


def summed(earlier: Iterable[Sequence[Heated]], own: Sequence[Heated], limit: float | None) -> list[Outcome]:
    """Minutes of heat of each site that a session heated (`own`), over the `earlier` ones of its visit in order too."""
    sites = {stay.site for stay in own}
    found = doses((stay for stays in (*earlier, own) for stay in stays if stay.site in sites), limit)
    return [Outcome(site, replace(dose, name="thermal_dose_of_the_visit")) for site, dose in found.items()]
