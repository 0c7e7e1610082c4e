"""Session data from the record: traces by role, marks in seconds, stream headers, and measuring conditions."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from acquisition import ucum
from acquisition.examination.binding import BESIDE, UNITS, Address
from acquisition.examination.decisions import protocol_of
from acquisition.examination.protocol import Protocol
from acquisition.examination.session import Item, Session
from acquisition.model import Header, Quality
from acquisition.signals.result import Trace
from acquisition.signals.walking import belt_start
from acquisition.store import Store

SECOND = 1_000_000_000
CONDITIONS = ("model", "probe", "time_constant", "calibration", "sensor_temperature", "position")
"""What may be said at the start of how a session was measured; comparison asks for it."""
TEMPERATURE = "sensor_temperature"
NEAR = 30.0
"""Seconds by which what an instrument shows may part from the mark of it."""
CARBON_DIOXIDE = "tcpco2"
BACKSCATTER = "backscatter"


def _content(protocol: Protocol) -> str:
    """What of a protocol makes two measurements unlike, as digits: a site may change it and keep the version."""
    phases = [[phase.name, phase.seconds, phase.least] for phase in protocol.phase]
    text = json.dumps([protocol.measures, protocol.belt, dict(protocol.settings), phases], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


class SessionData:
    """One session and the record that it is in. Seconds count from the session's start on the record's axis.

    `wall` maps time keys to the wall clock.
    """

    def __init__(self, store: Store, session: Session) -> None:
        self.session = session
        self.protocol = protocol_of(session)
        self.settings: Mapping[str, Any] = self.protocol.settings
        self._store = store
        self.wall = store.wall()
        streams = store.streams()
        self._headers = {(info.device, info.stream): info.header for info in streams}
        self._newest = max((info.last for info in streams if info.last is not None), default=session.start)
        self._models = {
            row.device: str(row.body.get("details", {}).get("model") or "")
            for row in store.events("identity")
            if session.stop is None or row.time <= session.stop
        }

    def seconds(self, key: int) -> float:
        """A time key in seconds."""
        return (key - self.session.start) / SECOND

    @property
    def end(self) -> float:
        """When the session ended; while it goes on, its last entry or the newest sample."""
        return self.seconds(self.session.stop or max(self.session.last, self._newest))

    def mark(self, name: str) -> float | None:
        """When something was marked, s; the first time where it was more than once."""
        item = self.mark_item(name)
        return None if item is None else self.seconds(item.at)

    def mark_item(self, name: str) -> Item | None:
        """The mark of that name, None where it was not set."""
        found = self.session.marks(name)
        return found[0] if found else None

    def phase(self, name: str) -> tuple[float, float] | None:
        """From when until when a phase lasted, s."""
        window = self.session.window(name)
        if window is None:
            return None
        return self.seconds(window[0]), self.end if window[1] is None else self.seconds(window[1])

    def addresses(self, role: str) -> list[Address]:
        """The channels that play a role."""
        return [Address.of(text) for text in self.session.about.get("bindings", {}).get(role, ())]

    def trace(self, address: Address) -> Trace:
        """The channel's samples during the session, in the unit of its role."""
        header = self._headers.get((address.device, address.stream))
        if header is None or address.channel not in [c.name for c in header.stream.channels]:
            return Trace.of([], [])
        stop = None if self.session.stop is None else self.session.stop + 1
        blocks = list(self._store.blocks(address.device, address.stream, [address.channel], self.session.start, stop))
        if not blocks:
            return Trace.of([], [])
        trace = Trace.of_record(
            np.concatenate([block.time for block in blocks]),
            np.concatenate([block.values[:, 0] for block in blocks]),
            np.concatenate([block.quality[:, 0] for block in blocks]),
            self.session.start,
        )
        return self._in_its_unit(address, trace)

    def wanted_unit(self, address: Address) -> str:
        """The unit in which a channel's numbers enter: that of its role, or of what it is; empty for any."""
        bound: Mapping[str, Any] = self.session.about.get("bindings", {})
        own = [UNITS[role] for role, texts in bound.items() if role in UNITS and str(address) in texts]
        return own[0] if own else BESIDE.get(address.channel, "")

    def unit_fault(self, address: Address) -> str:
        """Why a channel's unit does not say what its numbers mean to its role; "" where it does."""
        unit, wanted = self.unit(address), self.wanted_unit(address)
        if not wanted or self.header(address) is None or ucum.conversion(unit, wanted) is not None:
            return ""
        return f"unit_not_said (recorded without one, {wanted} is taken)" if unit == ucum.NONE else (
            f"unit_is_not_{wanted} (recorded in {unit or 'none'})"
        )  # fmt: skip

    def _in_its_unit(self, address: Address, trace: Trace) -> Trace:
        """The trace in the unit of its role; no data at all where its unit is of another kind."""
        unit, wanted = self.unit(address), self.wanted_unit(address)
        if not wanted or unit == ucum.NONE:
            return trace
        converted = ucum.conversion(unit, wanted)
        if converted is None:
            return Trace(trace.time, trace.values, trace.quality | np.uint8(Quality.INVALID))
        return trace if converted.same else Trace(trace.time, converted(trace.values), trace.quality)

    def of_role(self, role: str) -> Trace | None:
        """The samples of the one channel that plays a role, None where nothing does."""
        found = self.addresses(role)
        return self.trace(found[0]) if found else None

    @cached_property
    def flux(self) -> Trace:
        """The flux of the session, without what was stuck or measured off the skin; empty where nothing records it."""
        found = self.addresses("flux")
        if not found:
            return Trace.of([], [])
        # It loads filters for a second, for which neither a mark nor the start of the service should wait.
        from acquisition.analysis.screening import screened

        return screened(self.trace(found[0]), self._backscatter(found[0]))

    def beside(self, address: Address, channel: str) -> Trace | None:
        """Another channel of the same stream, None where the stream has none of that name."""
        header = self.header(address)
        if header is None or channel not in [c.name for c in header.stream.channels]:
            return None
        return self.trace(Address(address.device, address.stream, channel))

    def _backscatter(self, flux: Address) -> Trace | None:
        """The total light of the same instrument and, where it has several, of the probe of the same name."""
        others = [
            Address(device, stream, channel.name)
            for (device, stream), header in self._headers.items() if device == flux.device
            for channel in header.stream.channels if channel.name.startswith(BACKSCATTER)
        ]  # fmt: skip
        same = [a for a in others if a.channel.removeprefix(BACKSCATTER) == flux.channel.removeprefix("flux")]
        return self.trace((same or others)[0]) if same or len(others) == 1 else None

    def belt_start(self, belt: Trace) -> float | None:
        """When the belt itself started near the mark of it, else the mark; None without a mark."""
        marked = self.mark("start") if self.protocol.measures == "walking" else None
        if marked is None:
            return None
        seen = belt_start(belt, marked - NEAR)
        return seen if seen is not None and abs(seen - marked) <= NEAR else marked

    def header(self, address: Address) -> Header | None:
        """The header of a channel's stream."""
        return self._headers.get((address.device, address.stream))

    def unit(self, address: Address) -> str:
        """The unit in which a channel is recorded; empty where it is not."""
        header = self.header(address)
        return next((c.unit for c in header.stream.channels if c.name == address.channel), "") if header else ""

    def conditions(self, address: Address | None = None) -> dict[str, Any]:
        """Under what was measured, for comparison with another visit; what nobody knows is None."""
        about = self.session.about
        said: Mapping[str, Any] = about.get("conditions", {})
        known: dict[str, Any] = {name: said.get(name) for name in CONDITIONS}
        known["site"] = about.get("site") or None
        known["limb"] = about.get("limb") or None
        known["position"] = said.get("position", self.protocol.position)
        known["protocol"] = f"{about['protocol']} {about['version']} {_content(self.protocol)}"
        if address is None:
            return known
        header = self.header(address)
        placed = header.placement.get("site") if header else None
        known["site"] = known["site"] or placed or None
        known["electrode"] = address.stream
        known["unit"] = self.unit(address)
        known["model"] = known["model"] or self._models.get(address.device) or (header.driver if header else None)
        temperature = self.of_role("heater") if address in self.addresses("flux") else self.beside(address, TEMPERATURE)
        if known[TEMPERATURE] is None and temperature is not None and temperature.valid.any():
            middle = float(np.median(temperature.values[temperature.valid]))
            known[TEMPERATURE] = round(middle, 1) if math.isfinite(middle) else None
        return known
