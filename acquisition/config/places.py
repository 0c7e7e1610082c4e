"""Places of files that a configuration names: relative to its folder, or to a home folder where they begin with ~."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from acquisition.config import toml
from acquisition.config.tables import Tables

_SHELL = re.compile(r"\$\w|\$\{|\$\(|`")
FILES = {
    "store": ("path",),
    "influx": ("token_file", "ca_file"),
    "mqtt": ("password_file", "ca_file", "cert_file", "key_file"),
}
"""The keys that name files, by table."""


def expanded(path: Path, tables: Tables) -> Tables:
    """The tables with every ~ made a folder; ConfigurationError where one cannot be, or a shell is meant."""
    found: dict[str, Any] = {}
    for word, keys in FILES.items():
        table = getattr(tables, word)
        if table is not None:
            changed = {key: expand(path, f"$.{word}.{key}", getattr(table, key)) for key in keys}
            found[word] = msgspec.structs.replace(table, **changed)
    return msgspec.structs.replace(tables, **found)


def expand(path: Path, key: str, text: str | None) -> str | None:
    """A place with its ~ made a folder."""
    if text is None:
        return None
    if _SHELL.search(text):
        raise toml.fault(path, key, "only a shell knows this spelling", "the path itself, or ~ for a home folder", text)
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError:
        raise toml.fault(path, key, "there is no such home folder", "a path without ~", text) from None
