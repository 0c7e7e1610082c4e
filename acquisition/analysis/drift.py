"""Drift of each TcPO2 electrode between its calibration and the recheck in air after the measurement."""

from __future__ import annotations

from dataclasses import replace

from acquisition.analysis.session_data import SessionData
from acquisition.examination import observation
from acquisition.examination.binding import Address
from acquisition.examination.observation import Recheck
from acquisition.examination.preflight import expected_in_air
from acquisition.signals.oxygen_calibration import drift
from acquisition.signals.result import Result


def drifts(data: SessionData) -> dict[Address, Result]:
    """The drift of every electrode that was rechecked, in per cent per hour since it was applied.

    What it read when it was calibrated is said with the recheck; else it is what air has by the barometer of the
    list before the start.
    """
    answers = {str(check["name"]): str(check["found"]) for check in data.session.about.get("checks", ())}
    rules = [rule for rule in data.protocol.check if rule.air is not None]
    expected = expected_in_air(rules[0], answers) if rules else None
    applied = data.mark("applied")
    found: dict[Address, Result] = {}
    for item in data.session.observations("recheck"):
        entry = observation.stored(item.fields)
        if not isinstance(entry, Recheck):
            continue
        removed = data.mark("removed")
        until = data.seconds(item.at) if removed is None else removed
        hours = 0.0 if applied is None else (until - applied) / 3600.0
        calibrated = expected if entry.calibrated is None else entry.calibrated
        for address in (*data.addresses("chest"), *data.addresses("limb")):
            if entry.electrode in (address.stream, address.channel, str(address)):
                found[address] = replace(drift(calibrated, entry.reading, hours), window=(applied or 0.0, until))
    return found
