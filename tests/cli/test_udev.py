"""`perfusion devices --udev`: which adapter each rule names, matched as udev does against trees like the kernel's."""

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from acquisition.cli import instruments, perfusion, udev
from acquisition.ports.adapters import adapters

ROOT = Path(__file__).parents[2]
CONTROLLER = "devices/pci0000:00/0000:00:14.0"
FTDI = {"idVendor": "0403", "idProduct": "6001", "manufacturer": "FTDI", "product": "FT232R USB UART"}
CH340 = {"idVendor": "1a86", "idProduct": "7523", "product": "USB Serial"}
CP2102 = {"idVendor": "10c4", "idProduct": "ea60", "manufacturer": "Silicon Labs", "serial": "0001"}
DATAQ = {"idVendor": "0683", "idProduct": "1101", "manufacturer": "DATAQ Instruments", "serial": "5C7E1A"}
TERM = re.compile(r'([A-Z]+(?:\{[A-Za-z_.]+\})?)(==|\+=|=)"([^"]*)"')


@pytest.fixture
def plug(tmp_path):
    """Plug an adapter into socket `socket` of bus `bus`, as the kernel shows it: port `tty`, interface, port number."""
    (tmp_path / "class/tty").mkdir(parents=True)

    def run(tty, attributes, socket, bus=1, interface="00", number="0"):
        hubs = socket.split(".")
        ways = [f"{bus}-{'.'.join(hubs[: i + 1])}" for i in range(len(hubs))]
        device = tmp_path / CONTROLLER / f"usb{bus}" / Path(*ways)
        kept = device / f"{ways[-1]}:1.{int(interface)}"
        port = kept / tty / "tty" / tty if tty.startswith("ttyUSB") else kept / "tty" / tty
        port.mkdir(parents=True)
        for name, text in attributes.items():
            (device / name).write_text(text + "\n")
        (kept / "bInterfaceNumber").write_text(f"{interface}\n")
        if tty.startswith("ttyUSB"):
            (kept / tty / "port_number").write_text(f"{number}\n")
        (tmp_path / "class/tty" / tty).symlink_to(port)

    return run


@pytest.fixture
def seen(tmp_path):
    return lambda: adapters(tmp_path)


def terms(rule):
    """The terms of a rule; anything that is none is a mistake in it."""
    found = TERM.findall(rule)
    assert ", ".join(f'{key}{sign}"{value}"' for key, sign, value in found) == rule
    return found


def named(rule, adapter):
    """The link that a rule gives to an adapter, None where it does not match: as udev(7) has it for these keys."""
    of = {
        "SUBSYSTEM": "tty",
        "DEVPATH": f"{adapter.place}/{adapter.place.rpartition('/')[2]}:1.{int(adapter.interface)}/tty/x",
        "ATTRS{idVendor}": adapter.vendor,
        "ATTRS{idProduct}": adapter.product,
        "ATTRS{serial}": adapter.serial,
        "ENV{ID_USB_INTERFACE_NUM}": adapter.interface,
        "ENV{.ID_PORT}": adapter.number,
    }
    given = {}
    for key, sign, value in terms(rule):
        if sign == "==" and not fnmatchcase(of[key], value):
            return None
        given[key] = value
    assert (given["GROUP"], given["MODE"]) == ("dialout", "0660")
    return given["SYMLINK"]


def names(rules, adapter):
    return [link for rule in rules if (link := named(rule.text, adapter)) is not None]


def test_an_adapter_with_a_serial_number_keeps_its_name_in_any_socket(plug, seen, tmp_path):
    plug("ttyUSB0", FTDI | {"serial": "A50285BI"}, "2")
    plug("ttyUSB1", FTDI | {"serial": "A1032CDE"}, "3")
    plug("ttyACM0", DATAQ, "4")
    made = udev.rules(seen())
    assert [each.doubt for each in made] == ["", "", ""]
    plug("ttyUSB2", FTDI | {"serial": "A50285BI"}, "1.4", bus=3)
    (moved,) = [each for each in seen() if each.path == "/dev/ttyUSB2"]
    assert names(made, moved) == ["perfusion/A50285BI"]
    assert {each.path: names(made, each) for each in seen()[:3]} == {
        "/dev/ttyACM0": ["perfusion/5C7E1A"],
        "/dev/ttyUSB0": ["perfusion/A50285BI"],
        "/dev/ttyUSB1": ["perfusion/A1032CDE"],
    }


def test_an_adapter_without_a_serial_number_is_named_by_its_socket_and_that_is_said_loudly(plug, seen):
    plug("ttyUSB0", CH340, "2")
    plug("ttyUSB1", CH340, "1.2")
    made = udev.rules(seen())
    first, second = seen()
    assert (names(made, first), names(made, second)) == (["perfusion/usb-2"], ["perfusion/usb-1.2"])
    text = udev.document(seen())
    assert text.count("# !!! THIS ADAPTER HAS NO SERIAL NUMBER") == 2
    assert "in another socket it is another port" in text


def test_a_bus_that_is_numbered_anew_changes_no_name(plug, seen):
    plug("ttyUSB0", CH340, "1.2")
    made = udev.rules(seen())
    plug("ttyUSB1", CH340, "1.2", bus=5)
    plug("ttyUSB2", CH340, "2", bus=5)
    assert [names(made, each) for each in seen()] == [["perfusion/usb-1.2"], ["perfusion/usb-1.2"], []]


def test_adapters_that_share_a_serial_number_are_not_taken_for_each_other(plug, seen):
    plug("ttyUSB0", CP2102, "2")
    plug("ttyUSB1", CP2102, "3")
    made = udev.rules(seen())
    assert [names(made, each) for each in seen()] == [["perfusion/usb-2"], ["perfusion/usb-3"]]
    assert "2 ADAPTERS THAT ARE PLUGGED IN HAVE THE SAME SERIAL NUMBER 0001" in udev.document(seen())


def test_each_port_of_an_adapter_with_several_has_a_name(plug, seen):
    for number in range(2):
        plug(f"ttyUSB{number}", FTDI | {"serial": "FT5X"}, "2", interface=f"0{number}")
    for number in range(2):
        plug(f"ttyUSB{number + 2}", CP2102, "3", number=str(number))
    made = udev.rules(seen())
    assert [names(made, each) for each in seen()] == [
        ["perfusion/FT5X-if00"], ["perfusion/FT5X-if01"],
        ["perfusion/0001-if00-port0"], ["perfusion/0001-if00-port1"],
    ]  # fmt: skip


@pytest.mark.parametrize("serial", ['A"B*', "x, y=z", 'Q", RUN+="reboot', "1|2", "[a-z]\\n", "Ünï"])
def test_no_serial_number_can_write_a_rule_of_its_own(plug, seen, serial):
    plug("ttyUSB0", FTDI | {"serial": serial, "product": "odd\x1b[2J\rname"}, "2")
    (rule,) = udev.rules(seen())
    assert {key for key, sign, _ in terms(rule.text) if sign != "=="} == {"SYMLINK", "GROUP", "MODE"}
    (link,) = names([rule], *seen())
    assert re.fullmatch(r"perfusion/[A-Za-z0-9._-]+", link)
    lines = udev.document(seen()).splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == [rule.text]


def test_a_serial_port_that_is_not_on_usb_is_left_out(plug, seen, tmp_path):
    odd = tmp_path / "devices/pnp0/00:01/tty/ttyUSB7"
    odd.mkdir(parents=True)
    (tmp_path / "class/tty/ttyUSB7").symlink_to(odd)
    (tmp_path / "class/tty/ttyS0").symlink_to(odd)
    assert seen() == []


def test_ports_are_counted_as_people_do(plug, seen):
    for number in (10, 2):
        plug(f"ttyUSB{number}", FTDI | {"serial": f"S{number}"}, str(number))
    assert [each.path for each in seen()] == ["/dev/ttyUSB2", "/dev/ttyUSB10"]


def test_the_command_prints_a_file_of_rules_or_json(plug, seen, capsys, monkeypatch):
    plug("ttyUSB0", FTDI | {"serial": "A50285BI"}, "2")
    plug("ttyUSB1", CH340, "3")
    found = seen()
    monkeypatch.setattr(instruments, "adapters", lambda: found)
    perfusion.main(["devices", "--udev"], standalone_mode=False)
    out, err = capsys.readouterr()
    assert err == ""
    assert "# /dev/ttyUSB0: FTDI FT232R USB UART, serial number A50285BI\n" in out
    assert all(not line or line.startswith("#") or terms(line) for line in out.splitlines())
    perfusion.main(["devices", "--udev", "--json"], standalone_mode=False)
    first, second = json.loads(capsys.readouterr().out)
    assert (first["link"], first["serial"], first["doubt"]) == ("/dev/perfusion/A50285BI", "A50285BI", "")
    assert second["doubt"] == "THIS ADAPTER HAS NO SERIAL NUMBER"
    assert first["rule"] in out


def test_without_an_adapter_it_says_so_and_prints_no_rule(capsys, monkeypatch):
    monkeypatch.setattr(instruments, "adapters", list)
    perfusion.main(["devices", "--udev"], standalone_mode=False)
    out, err = capsys.readouterr()
    assert "no USB serial adapter" in err
    assert all(not line or line.startswith("#") for line in out.splitlines())


def test_file_and_commands_are_those_of_the_page():
    page = (ROOT / "docs/ports.md").read_text("utf-8")
    for said in re.findall(r"/etc/udev\S+\.rules|sudo udevadm [^\n]+", udev.HEAD):
        assert said in page
