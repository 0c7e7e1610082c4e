"""Finds data that ship with the package: profiles, protocols and the demonstration bench."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parents[1]


def shipped() -> Path:
    """The folder of shipped data: inside the installed wheel, or `config/` of a checkout."""
    installed = _HERE / "_config"
    return installed if installed.is_dir() else _HERE.parent / "config"


def find(kind: str, name: str, beside: Path | None = None) -> Path | None:
    """`kind/name.toml` beside a configuration file, else among the shipped data; None where neither has it."""
    for folder in (beside, shipped()):
        if folder is not None and (path := folder / kind / f"{name}.toml").is_file():
            return path
    return None


def names(kind: str, beside: Path | None = None) -> list[str]:
    """All names that `find` knows for a kind, sorted."""
    folders = [folder for folder in (beside, shipped()) if folder is not None]
    return sorted({path.stem for folder in folders for path in (folder / kind).glob("*.toml")})
