"""Indices of transcutaneous oxygen (TcPO2): rest, RPI, oxygen challenge, posture, DROP; and thermal dose of skin."""

from __future__ import annotations

from typing import Any

from acquisition.signals.catalogue.index import TCPO2, Detectable, Index

MMHG = "mm[Hg]"


def _of(name: str, unit: str, long_name: str, *needs: str, **more: Any) -> Index:
    return Index(name, unit, long_name, ("limb", *needs), TCPO2, **more)


REST = (
    _of(
        "tcpo2_rest", MMHG, "TcPO2 at rest, of a stable electrode",
        detectable=Detectable(15.0, False, "repeat within 24-48 h: 80 % of differences within -11 to +9 mmHg"),
        synonyms=("tcpo2", "oxygen"), endpoint="oxygen", endpoint_protocol="tcpo2-rest", decides=("tcpo2", "oxygen"),
    ),
    _of("tcpo2_rpi", "1", "regional perfusion index: limb over chest", "chest"),
    Index("tcpo2_drift", "%/h", "drift of the electrode, by its reading in air afterwards", ("limb", "entry")),
)  # fmt: skip
CHALLENGE = (
    _of("tcpo2_oxygen_delta", MMHG, "rise of TcPO2 on pure oxygen"),
    _of("tcpo2_oxygen_percent", "%", "rise of TcPO2 on pure oxygen in per cent"),
    _of("tcpo2_oxygen_ratio", "1", "TcPO2 on pure oxygen over TcPO2 before"),
)
POSTURE = (
    _of("tcpo2_elevation", MMHG, "change of TcPO2 on raising the limb"),
    _of("tcpo2_dependency", MMHG, "change of TcPO2 on hanging the limb"),
)
DROP = (
    _of("drop_min", MMHG, "least DROP: fall of TcPO2 at the limb beyond that at the chest", "chest", "belt"),
    _of("drop_min_time", "s", "time of the least DROP from the start of the walk", "chest", "belt"),
    _of("drop_area", f"{MMHG}.s", "area of DROP below the cut-off", "chest", "belt"),
    _of("drop_half_recovery", "s", "time from the least DROP until half of it is made up", "chest", "belt"),
    _of("drop_positive", "1", "whether the least DROP is at or below -15 mmHg (1) or not (0)", "chest", "belt"),
    _of("drop_sum", MMHG, "sum of the least DROP over all sites", "chest", "belt"),
)
HEAT = (
    Index("thermal_dose", "min", "time of skin at 43 Cel and more, of one session", ("heater",)),
    Index(
        "thermal_dose_of_the_visit", "min", "time of skin at 43 Cel and more, over the sessions of a visit", ("heater",)
    ),
)
