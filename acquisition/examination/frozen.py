"""Documents that an examination refers to, kept in the event of its start: what a file says later changes no result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from acquisition.config import resources, toml
from acquisition.driverkit.analog import Profile
from acquisition.errors import ConfigurationError
from acquisition.examination.binding import Address, Roles
from acquisition.examination.protocol import Protocol
from acquisition.examination.session import Session
from acquisition.model import Header
from acquisition.signals.walking_protocols import BeltProtocol
from acquisition.treadmill.protocol import WalkProtocol, load_walk

KEY = "frozen"
"""Under which name the start of a session keeps them; sessions of older versions have none."""


@dataclass(frozen=True, slots=True)
class Belt:
    """The table by which the belt was to run; `digest` of what it says, empty where the session did not keep it."""

    table: BeltProtocol
    digest: str = ""

    @property
    def settings(self) -> dict[str, str]:
        """What of it is part of the method of every index of the walk."""
        return {"belt": self.digest} if self.digest else {}


def freeze(protocol: Protocol, bindings: Roles, headers: Iterable[Header], beside: Path | None) -> dict[str, Any]:
    """The documents of an examination as they are now, beside a configuration or shipped; ConfigurationError else."""
    walk = None if protocol.belt is None else msgspec.to_builtins(load_walk(protocol.belt, beside))
    known = {(header.device, header.stream.name): header for header in headers}
    accuracy = {}
    for text in (each for texts in bindings.values() for each in texts):
        address = Address.of(text)
        profile = known[address.device, address.stream].profile
        if profile:
            accuracy[text] = stated(profile, address.channel, beside)
    return {KEY: {"belt": walk, "accuracy": accuracy}}


def belt(session: Session) -> Belt | None:
    """The table of a session's belt; None where the protocol names none, or an older session one that was not kept."""
    name = session.about["content"].get("belt")
    if name is None:
        return None
    kept = _kept(session).get("belt")
    if kept is not None:
        walk = msgspec.convert(kept, WalkProtocol)
        said = json.dumps([kept["stage"], kept["limit"]], sort_keys=True)
        return Belt(BeltProtocol(name, walk.stage), hashlib.sha256(said.encode()).hexdigest()[:12])
    try:
        return Belt(BeltProtocol(name, load_walk(name).stage))
    except ConfigurationError:
        return None


def accuracy(session: Session, address: Address, profile: str) -> float | None:
    """The accuracy that the profile of a channel stated when the session began, in the value's unit; None for none."""
    kept = _kept(session).get("accuracy")
    if kept is None:
        return stated(profile, address.channel)
    found = kept.get(str(address))
    return None if found is None else float(found)


def stated(profile: str, channel: str, beside: Path | None = None) -> float | None:
    """The accuracy that the profile of an analog output states today, in the value's unit."""
    path = resources.find("profiles", profile, beside) if profile else None
    if path is None:
        return None
    signals = toml.convert(toml.read(path), Profile, path).signals
    own = [signal for signal in signals if channel == signal.signal or channel.startswith(f"{signal.signal}_")]
    return own[0].accuracy if own else None


def _kept(session: Session) -> Mapping[str, Any]:
    kept: Mapping[str, Any] = session.about.get(KEY, {})
    return kept
