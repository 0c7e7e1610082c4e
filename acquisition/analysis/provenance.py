"""Provenance of a channel's numbers: how well its unit is founded, and if an endpoint may rest on them."""

from __future__ import annotations

from dataclasses import replace

from acquisition import ucum
from acquisition.analysis.session_data import SessionData
from acquisition.examination import frozen
from acquisition.examination.binding import Address
from acquisition.signals.eligibility import Provenance

UNCONFIRMED = "unconfirmed scale"


def provenance(data: SessionData, address: Address, unit: str) -> Provenance:
    """What the header of a channel and its profile say of its scale; `unit` is the one that its numbers must become."""
    header = data.header(address)
    if header is None:
        return Provenance(scale_confirmed=False)
    converted = ucum.conversion(data.unit(address), unit)
    accuracy = frozen.accuracy(data.session, address, header.profile)
    return Provenance(
        scale_confirmed=header.confidence != UNCONFIRMED,
        unit_checked=converted is not None,
        accuracy=None if accuracy is None or converted is None else accuracy * converted.factor,
    )


def objection(data: SessionData, address: Address, unit: str) -> str:
    """Why a channel's numbers make no endpoint, "" where they do. Accuracy counts where it is known to matter: mmHg."""
    found = provenance(data, address, unit)
    return (found if unit == "mm[Hg]" else replace(found, accuracy=None)).objection()
