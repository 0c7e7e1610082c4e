"""Provisional results of a session that goes on: flux, TcPO2 stability lamps, RPI, heat, distance and DROP."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from acquisition.analysis import heat, live_flux
from acquisition.analysis.session_data import TEMPERATURE, SessionData
from acquisition.examination.binding import MMHG, Address
from acquisition.signals import drop as drops
from acquisition.signals.attachment import attached
from acquisition.signals.drop import DropMeter, DropSettings
from acquisition.signals.live.tcpo2 import Electrode, LiveTcpo2, live_rpi
from acquisition.signals.live.walking import WalkMeter
from acquisition.signals.result import Trace


def provisional(data: SessionData, earlier: Sequence[SessionData] = ()) -> dict[str, Any]:
    """The present numbers of a session as plain values, from what is committed; after a crash the same as before.

    `earlier` are the sessions of the visit before this one: skin remembers their heat. No inclusion limit is among
    them: shown live, it would invite to try another place. Final values are those of the outcomes.
    """
    electrodes = _electrodes(data)
    chest = next((electrodes[a] for a in data.addresses("chest") if a in electrodes), None)
    ratios = {a: live_rpi(electrodes[a], chest) for a in data.addresses("limb") if chest and a in electrodes}
    return {
        "provisional": True,
        "session": data.session.id,
        "phase": data.session.phase,
        "electrodes": [
            {"place": str(address), **_plain(asdict(shown)), "unit": MMHG, "recorded_unit": data.unit(address)}
            for address, shown in electrodes.items()
        ],
        "heat": _heat(data, earlier),
        "rpi": {str(address): ratio for address, ratio in ratios.items()},
        "flux": live_flux.flux(data),
        "hyperaemia": live_flux.hyperaemia(data),
        "bands": live_flux.bands(data),
        "walk": _walk(data),
        "drop": _drop(data),
    }


def _electrodes(data: SessionData) -> dict[Address, LiveTcpo2]:
    applied = data.mark("applied")
    if applied is None:
        return {}
    found = {}
    for address in (*data.addresses("chest"), *data.addresses("limb")):
        electrode = Electrode(applied)
        found[address] = electrode.feed(
            data.trace(address).between(applied, math.inf), data.beside(address, TEMPERATURE)
        )
    return found


def _heat(data: SessionData, earlier: Sequence[SessionData]) -> list[dict[str, Any]]:
    """Minutes of heat of each site of skin, and whether the maker's limit is reached: a numb foot does not say so.

    Minutes are None where no temperature of the heater was recorded.
    """
    found: list[dict[str, Any]] = []
    for each in heat.summed(map(list, map(heat.stays, earlier)), list(heat.stays(data)), heat.limit(data)):
        limit, minutes = each.result.settings["limit"], each.result.value
        alarm = limit is not None and minutes is not None and minutes >= limit
        found.append({"place": each.place, "minutes": minutes, "limit": limit, "alarm": alarm})
    return found


def _walk(data: SessionData) -> dict[str, Any] | None:
    belt = data.of_role("belt") or Trace.of([], [])
    start = data.belt_start(belt)
    if start is None or not len(belt):
        return None
    stop = data.mark("stop")
    end = float(belt.time[-1]) if stop is None else stop
    meter = WalkMeter(start)
    meter.feed(belt.between(-math.inf, end), data.of_role("grade"))
    for item in data.session.marks():
        if start <= data.seconds(item.at) <= end:
            meter.mark(item.name, data.seconds(item.at))
    shown = _plain(asdict(meter.now(end)))
    units = {"distance": "m", "speed": "km/h", "grade": "%"}
    return {**shown, "units": units, "marks": {name: {"s": s, "m": m} for name, (s, m) in shown["marks"].items()}}


def _drop(data: SessionData) -> dict[str, Any]:
    start = data.belt_start(data.of_role("belt") or Trace.of([], []))
    chests, limbs = data.addresses("chest"), data.addresses("limb")
    if start is None or not chests or not limbs:
        return {}
    settings = DropSettings(cutoff=float(data.settings.get("cutoff", drops.DEFAULT.cutoff)))
    chest = attached(data.trace(chests[0]))
    found = {}
    for address in limbs:
        meter = DropMeter(start, settings)
        time, values = meter.feed(attached(data.trace(address)), chest)
        known = np.flatnonzero(np.isfinite(values))
        least = meter.least
        found[str(address)] = {
            "now": float(values[known[-1]]) if len(known) else None,
            "least": None if least is None else least[1],
            "least_s": None if least is None else least[0] - start,
            "elapsed_s": float(time[-1]) - start if len(time) else None,
            "unit": MMHG,
            "cutoff": settings.cutoff,
            "reached": least is not None and least[1] <= settings.cutoff,
            "reasons": list(meter.reasons),
        }
    return found


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, str) else value for key, value in fields.items()}
