"""The serial ports of this computer as people name them, who holds them, and whether this account may open them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from acquisition.ports.serial import holders_of


def serial_ports() -> list[dict[str, Any]]:
    """Every serial adapter that is plugged in, by its stable name where it has one."""
    links = sorted(Path("/dev/serial/by-id").glob("*"))
    named = {link.resolve() for link in links}
    bare = [p for pattern in ("ttyUSB*", "ttyACM*") for p in sorted(Path("/dev").glob(pattern)) if p not in named]
    return [
        {
            "id": str(port),
            "path": str(port.resolve()),
            "holders": [{"pid": pid, "name": name} for pid, name in holders_of(str(port))],
            "permission": _permission(port),
        }
        for port in (*links, *bare)
    ]


def _permission(port: Path) -> str:
    if os.access(port, os.R_OK | os.W_OK):
        return "ok"
    try:
        return f"none: add the account to group {port.group()}"
    except (KeyError, OSError):
        return "none"
