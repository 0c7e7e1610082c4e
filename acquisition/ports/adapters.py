"""The USB serial adapters that are plugged in, as the kernel describes them (sysfs)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Adapter:
    """One serial port of a USB adapter.

    `path` under /dev; `vendor` and `product` as four hexadecimal digits; `maker`, `name` and `serial` as the adapter
    tells them, empty where it does not; `interface`: two digits; `number`: of several ports on one interface, empty
    where the driver counts none; `place`: the adapter's path in the kernel's tree of devices, which follows from the
    socket that it is plugged into.
    """

    path: str
    vendor: str
    product: str
    maker: str
    name: str
    serial: str
    interface: str
    number: str
    place: str


def adapters(system: Path = Path("/sys")) -> list[Adapter]:
    """All that are plugged in now, by their number; serial ports that are not on USB are left out."""
    ports = [port for kind in ("ttyACM", "ttyUSB") for port in (system / "class" / "tty").glob(f"{kind}[0-9]*")]
    ports.sort(key=lambda port: (port.name[:6], int(re.sub(r"\D", "", port.name))))
    return [found for port in ports if (found := _adapter(system.resolve(), port)) is not None]


def _adapter(system: Path, port: Path) -> Adapter | None:
    above = port.resolve().parents
    device = next((each for each in above if (each / "idVendor").exists()), None)
    if device is None:
        return None
    interface = next((text for each in above if (text := _text(each / "bInterfaceNumber"))), "")
    number = next((text for each in above if (text := _text(each / "port_number"))), "")
    vendor, product, maker, name, serial = (
        _text(device / each) for each in ("idVendor", "idProduct", "manufacturer", "product", "serial")
    )
    place = f"/{device.relative_to(system)}"
    return Adapter(f"/dev/{port.name}", vendor, product, maker, name, serial, interface, number, place)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
