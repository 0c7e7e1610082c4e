"""Real laser Doppler recordings for tests and validation; they are not part of the project."""

import os
from pathlib import Path

import numpy as np
import pytest

FINGERS = ("008_j1_1", "008_j2_1", "009_j1_1", "009_j1_2", "026_j1_1", "028_j1_1")


def folder() -> Path:
    """Where the recordings are: PERFUSION_RECORDINGS, else ../shared/recordings beside the checkout."""
    named = os.environ.get("PERFUSION_RECORDINGS")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "recordings"


def read(name: str) -> np.ndarray:
    """The columns of NAME.csv as (c, n) float64; the test is skipped where the file is absent."""
    path = folder() / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"no recording {path}; set PERFUSION_RECORDINGS to the folder that has it")
    return np.loadtxt(path, delimiter=",", skiprows=1).T


def finger(name: str) -> np.ndarray:
    """Time (s), flux (PU) and skin temperature (Cel) of a finger under local pressure, 2 Hz."""
    return read(f"finger_pressure_{name}")


def forearm() -> np.ndarray:
    """Time (s) and perfusion (unit not stated) of a forearm at rest for 35 min, about 15.15 Hz."""
    return read("forearm_baseline")
