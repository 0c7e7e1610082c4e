"""How far the numbers of a channel mean what their unit says, and whether an endpoint may rest on them."""

from __future__ import annotations

from dataclasses import replace

from acquisition import assets, strict, ucum
from acquisition.analog import Profile
from acquisition.examination.binding import Address
from acquisition.examination.evidence import Evidence
from acquisition.signals.eligibility import Provenance

UNCONFIRMED = "unconfirmed scale"


def provenance(evidence: Evidence, address: Address, unit: str) -> Provenance:
    """What the header of a channel and its profile say of its scale; `unit` is the one that its numbers must become."""
    header = evidence.header(address)
    if header is None:
        return Provenance(scale_confirmed=False)
    converted = ucum.conversion(evidence.unit(address), unit)
    accuracy = _accuracy(header.profile, address.channel)
    return Provenance(
        scale_confirmed=header.confidence != UNCONFIRMED,
        unit_checked=converted is not None,
        accuracy=None if accuracy is None or converted is None else accuracy * converted.factor,
    )


def objection(evidence: Evidence, address: Address, unit: str) -> str:
    """Why a channel's numbers make no endpoint, "" where they do. Accuracy counts where it is known to matter: mmHg."""
    found = provenance(evidence, address, unit)
    return (found if unit == "mm[Hg]" else replace(found, accuracy=None)).objection()


def _accuracy(profile: str, channel: str) -> float | None:
    """The accuracy that an analog output's profile states, in the value's unit."""
    path = assets.find("profiles", profile) if profile else None
    if path is None:
        return None
    signals = strict.convert(strict.read(path), Profile, path).signals
    own = [signal for signal in signals if channel == signal.signal or channel.startswith(f"{signal.signal}_")]
    return own[0].accuracy if own else None
