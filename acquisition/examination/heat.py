"""How long each site of skin was heated over all sessions of a visit, whichever probe did it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from acquisition.examination.binding import Address
from acquisition.examination.entries import Outcome
from acquisition.examination.evidence import TEMPERATURE, Evidence
from acquisition.examination.session import Book, Session
from acquisition.signals.result import Trace
from acquisition.signals.thermal_dose import Heated, doses
from acquisition.store import Store

NOT_SEEN = Trace.of([], [])
"""The temperature of a heater that nobody recorded."""


def stays(evidence: Evidence) -> Iterator[Heated]:
    """Every heated probe of a session with its temperature (Cel), empty where none was recorded."""
    for role in ("chest", "limb", "heater"):
        for address in evidence.addresses(role):
            trace = evidence.trace(address) if role == "heater" else evidence.beside(address, TEMPERATURE)
            yield Heated(skin(evidence, role, address), NOT_SEEN if trace is None else trace)
    if evidence.session.about["content"]["measures"] == "heating" and not evidence.addresses("heater"):
        for address in evidence.addresses("flux")[:1]:
            yield Heated(skin(evidence, "heater", address), NOT_SEEN)


def skin(evidence: Evidence, role: str, address: Address) -> str:
    """The site of skin in words: `chest`, `left calf` by the electrode's own name, `left hallux` of a heater."""
    if role == "chest":
        return "chest"
    limb = str(evidence.session.about.get("limb") or "")
    site = address.stream if role == "limb" else str(evidence.conditions(address)["site"] or address)
    return f"{limb} {site}".strip()


def before(store: Store, book: Book, session: Session) -> list[Evidence]:
    """The sessions of the same participant and visit that began earlier, in order."""
    person = (session.about["subject"], session.about["visit"])
    earlier = [each for each in book.sessions.values() if each.start <= session.start and each is not session]
    return [Evidence(store, each) for each in earlier if (each.about["subject"], each.about["visit"]) == person]


def limit(evidence: Evidence) -> float | None:
    """The minutes of heat after which a session's protocol wants the skin left alone."""
    found = evidence.settings.get("thermal_limit_minutes")
    return None if found is None else float(found)


def summed(earlier: Iterable[Sequence[Heated]], own: Sequence[Heated], limit: float | None) -> list[Outcome]:
    """Minutes of heat of each site that a session heated (`own`), over the `earlier` ones of its visit in order too."""
    sites = {stay.site for stay in own}
    found = doses((stay for stays in (*earlier, own) for stay in stays if stay.site in sites), limit)
    return [Outcome(site, replace(dose, name="thermal_dose_of_the_visit")) for site, dose in found.items()]
