"""`perfusion devices --udev`: rules by which each serial adapter has a name that stays, and the group may open it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from acquisition.ports.adapters import Adapter

HEAD = """\
# A name that stays for each serial adapter that is plugged in now, and the right to open it for the group dialout.
# Written by `perfusion devices --udev`. Save it as /etc/udev/rules.d/61-perfusion-adapters.rules, then:
#   sudo udevadm control --reload
#   sudo udevadm trigger --subsystem-match=tty --action=add
# What stands behind SYMLINK+= may be edited to say what the cable leads to, such as perfusion/treadmill.
"""
NONE = "# No USB serial adapter is plugged in.\n"


@dataclass(frozen=True, slots=True)
class Rule:
    """One adapter with its rule: `link` is its name under /dev; `doubt` says why only its socket tells it, if so."""

    adapter: Adapter
    link: str
    doubt: str
    text: str

    @property
    def lines(self) -> str:
        """Comments and the rule, as they stand in the file."""
        each = self.adapter
        known = " ".join(filter(None, (each.maker, each.name))) or f"USB {each.vendor}:{each.product}"
        title = f"# {each.path}: {known}" + (f", serial number {each.serial}" if each.serial else "")
        doubt = (
            f"# !!! {self.doubt}.\n# !!! It is known by its USB socket alone: in another socket it is another port, "
            "and another one in this socket is taken for it.\n"
            if self.doubt
            else ""
        )
        return f"{_printable(title)}\n{_printable(doubt, keep=chr(10))}{self.text}\n"

    def record(self) -> dict[str, Any]:
        """All of it for programs."""
        return asdict(self.adapter) | {"link": f"/dev/{self.link}", "doubt": self.doubt, "rule": self.text}


def rules(found: Sequence[Adapter]) -> list[Rule]:
    """One rule for each adapter: by its serial number, or by its socket where it has none or shares it with another."""
    devices = {each.place: (each.vendor, each.product, each.serial) for each in found}
    alike = Counter(devices.values())
    ports = Counter(each.place for each in found)
    interfaces = Counter((each.place, each.interface) for each in found)
    taken: Counter[str] = Counter()
    made = []
    for each in found:
        doubt = ""
        if not each.serial:
            doubt = "THIS ADAPTER HAS NO SERIAL NUMBER"
        elif (sharing := alike[devices[each.place]]) > 1:
            doubt = f"{sharing} ADAPTERS THAT ARE PLUGGED IN HAVE THE SAME SERIAL NUMBER {each.serial}"
        several, crowded = ports[each.place] > 1, interfaces[each.place, each.interface] > 1
        name = f"usb-{_socket(each)}" if doubt else each.serial
        name += (f"-if{each.interface}" if several else "") + (f"-port{each.number}" if crowded else "")
        name = re.sub(r"[^A-Za-z0-9._-]", "_", name)
        taken[name] += 1
        link = f"perfusion/{name}" + (f"-{taken[name]}" if taken[name] > 1 else "")
        terms = [
            'SUBSYSTEM=="tty"',
            f'ATTRS{{idVendor}}=="{_pattern(each.vendor)}"',
            f'ATTRS{{idProduct}}=="{_pattern(each.product)}"',
            f'DEVPATH=="{_place(each)}/*"' if doubt else f'ATTRS{{serial}}=="{_pattern(each.serial)}"',
            *([f'ENV{{ID_USB_INTERFACE_NUM}}=="{_pattern(each.interface)}"'] if several else []),
            *([f'ENV{{.ID_PORT}}=="{_pattern(each.number)}"'] if crowded else []),
            f'SYMLINK+="{link}"',
            'GROUP="dialout"',
            'MODE="0660"',
        ]
        made.append(Rule(each, link, doubt, ", ".join(terms)))
    return made


def document(found: Sequence[Adapter]) -> str:
    """The file of rules."""
    return "\n".join([HEAD, *(rule.lines for rule in rules(found))]) if found else f"{HEAD}\n{NONE}"


def _socket(adapter: Adapter) -> str:
    """The way from the computer through its hubs: `2.3` is port 3 of a hub at port 2."""
    return adapter.place.rpartition("/")[2].partition("-")[2]


def _place(adapter: Adapter) -> str:
    """A pattern of the place without the number of the bus, which may be another after the next start."""
    steps = adapter.place.split("/")
    bus = next((i for i, step in enumerate(steps) if re.fullmatch(r"usb\d+", step)), len(steps))
    hubs = [re.sub(r"^\d+-", "[0-9]*-", _pattern(step)) for step in steps[bus + 1 :]]
    return "/".join([*map(_pattern, steps[:bus]), "usb[0-9]*", *hubs])


def _pattern(text: str) -> str:
    """The text as udev matches it; what would be a sign of its patterns or end the string matches anything."""
    return re.sub(r"[^A-Za-z0-9 ._:;,+/()#@=-]+", "*", text)


def _printable(text: str, keep: str = "") -> str:
    return "".join(sign if sign.isprintable() or sign in keep else "?" for sign in text)
