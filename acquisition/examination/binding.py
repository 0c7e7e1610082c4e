"""Which recorded channel plays which role in an examination: found by name, or said by a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from acquisition import ucum
from acquisition.errors import Refused
from acquisition.examination.protocol import Need, Protocol
from acquisition.model import Header

MMHG = "mm[Hg]"
UNITS: Mapping[str, str] = {
    "flux": "[arb'U]", "cuff": MMHG, "chest": MMHG, "limb": MMHG, "heater": "Cel", "belt": "km/h", "grade": "%",
    "odometer": "m",
}  # fmt: skip
"""In which the numbers of a role enter an examination; a role of another name takes them as they are."""
BESIDE: Mapping[str, str] = {"sensor_temperature": "Cel", "tcpco2": MMHG}
"""The same of channels that are read beside the one that plays a role."""
Roles = Mapping[str, Sequence[str]]
"""Role -> addresses of channels."""


@dataclass(frozen=True, slots=True)
class Address:
    """A recorded channel, written device/stream/channel."""

    device: str
    stream: str
    channel: str

    def __str__(self) -> str:
        return f"{self.device}/{self.stream}/{self.channel}"

    @classmethod
    def of(cls, text: str) -> Address:
        """Read device/stream/channel; ValueError where it is none."""
        device, stream, channel = text.split("/")
        return cls(device, stream, channel)


def bind(protocol: Protocol, headers: Iterable[Header], said: Roles | None = None) -> dict[str, list[str]]:
    """Give every role its channels; Refused where a needed one has none or several would do.

    `said` goes before what is found. A role of many takes every matching channel that is left.
    """
    known = {
        str(Address(header.device, header.stream.name, channel.name)): (header, channel.name)
        for header in headers
        for channel in header.stream.channels
    }
    said = said or {}
    roles = {need.role for need in protocol.need}
    for role, addresses in said.items():
        if role not in roles:
            raise Refused(f"the protocol has no role {role!r}", "--bind", remedy=f"one of: {', '.join(sorted(roles))}")
        for address in addresses:
            if address not in known:
                raise Refused(f"nothing records {address!r}", "--bind", remedy=f"one of: {', '.join(known)}")
    taken = {address for addresses in said.values() for address in addresses}
    bound: dict[str, list[str]] = {}
    # The choosy roles first: what is left over belongs to the role of many.
    for need in sorted(protocol.need, key=lambda each: each.many):
        chosen = list(said.get(need.role, ()))
        if not chosen:
            chosen = [a for a, (header, name) in known.items() if a not in taken and _fits(need, header, name)]
        if len(chosen) > 1 and not need.many:
            raise Refused(
                f"several channels could be the {need.role}: {', '.join(chosen)}", "session start",
                remedy=f"say which: --bind {need.role}={chosen[0]}",
            )  # fmt: skip
        if not chosen and not need.optional:
            raise Refused(
                f"no channel {need.channel!r} is recorded for the {need.role}", "session start",
                "the instrument is not in the configuration, or its channel has another name",
                f"say which: --bind {need.role}=…, one of: {', '.join(known) or 'none'}",
            )  # fmt: skip
        taken.update(chosen)
        if chosen:
            bound[need.role] = chosen
    return bound


def check_units(bound: Roles, headers: Iterable[Header]) -> None:
    """Refuse a channel whose unit cannot become that of its role (Refused): volts are no perfusion.

    A number without a unit (1) is let through; nothing that is measured by it is ok.
    """
    units = {
        str(Address(header.device, header.stream.name, channel.name)): channel.unit
        for header in headers
        for channel in header.stream.channels
    }
    for role, addresses in bound.items():
        wanted = UNITS.get(role)
        for address in addresses:
            unit = units[address]
            if wanted is None or unit == ucum.NONE or ucum.conversion(unit, wanted) is not None:
                continue
            raise Refused(
                f"{address} is recorded in {unit or 'no unit'}, which cannot be read as the {wanted} of the {role}",
                "session start", "the channel, its profile or its unit is another than the examination needs",
                f"say which channel it is: --bind {role}=…, or give the channel its unit in its profile",
            )  # fmt: skip


def _fits(need: Need, header: Header, channel: str) -> bool:
    if channel != need.channel and not channel.startswith(f"{need.channel}_"):
        return False
    if not need.stream:
        return True
    return need.stream in (header.stream.name, header.placement.get("site", "")) or channel.endswith(f"_{need.stream}")
