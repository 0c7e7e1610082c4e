"""A wrong configuration stops the start with the path of the key, its value and what is allowed."""

import json

import pytest

from acquisition.config import load, schema, toml
from acquisition.driverkit import registry
from acquisition.errors import ConfigurationError
from acquisition.store import Retention
from tests.virtual import Counter

GOOD = """
[site]
id = "angers"
[[device]]
name = "box"
driver = "counter"
port = "/dev/serial/by-id/usb-1"
[[device]]
name = "other"
driver = "counter"
port = "socket://127.0.0.1:4001"
"""


@pytest.fixture(autouse=True)
def counter(monkeypatch):
    monkeypatch.setattr("acquisition.config.drivers", lambda: {"counter": Counter})


def write(tmp_path, text):
    path = tmp_path / "bedside.toml"
    path.write_text(text)
    return path


def test_a_good_file_is_resolved(tmp_path):
    config = load(write(tmp_path, GOOD))
    assert [d.table.name for d in config.devices] == ["box", "other"]
    assert config.tables.page.port == 8080
    assert config.store == tmp_path / "record"


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("", None),
        ('[store]\nretention = "90 d"', Retention(90 * 86400 * 10**9, None, sessions=True)),
        ('[store]\nretention = "20 GB"\nkeep = "marked"', Retention(None, 20 * 10**9, sessions=False)),
    ],
)
def test_retention_spares_every_session_unless_only_marked_ones_are_kept(tmp_path, table, expected):
    assert load(write(tmp_path, table + GOOD)).retention == expected


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            'port = "/dev/serial/by-id/usb-1"',
            'port = "/dev/\\u001b[31mtty"',
            ("$.device[0].port", "control characters"),
        ),
        (
            'name = "other"',
            'name = "other"\nplacement = { site = "calf\\u202e" }',
            ("placement.site", "control characters"),
        ),
        ('id = "angers"', "id = 3", (":3: $.site.id", "value 3", "allowed: text")),
        ("[site]", "[sites]", ("$.sites", "unknown key", "allowed: device, site, study, store")),
        ('name = "other"', 'name = "box"', ("$.device[1].name", "taken by $.device[0]", "'box'")),
        ("[site]", '[study]\nparticipant = "["\n[site]', ("$.study.participant", "no regular expression", "'['")),
        ('driver = "counter"', 'driver = "nope"', ("$.device[0].driver", "'nope'", "allowed: counter")),
        ('port = "/dev/serial/by-id/usb-1"', "", ("$.device[0].port", "neither port nor resource", "allowed")),
        ('port = "/dev/serial/by-id/usb-1"', "port = 7", ("$.device[0].port", "value 7", "allowed: text")),
        ('port = "/dev/serial/by-id/usb-1"', 'port = "socket://x"', ("$.device[0].port", "socket://host:port")),
        ('port = "/dev/serial/by-id/usb-1"', 'port = "udp://h:70000"', ("$.device[0].port", "udp://host:port")),
        ('port = "/dev/serial/by-id/usb-1"', 'port = "udp://h:24105"', ("$.device[0].port", "does not speak UDP")),
        ('port = "/dev/serial/by-id/usb-1"', 'port = "ftp://h:21"', ("$.device[0].port", "unknown kind", "udp://")),
        ('port = "/dev/serial/by-id/usb-1"', 'resource = "X"', ("$.device[0].resource", "no VISA instrument")),
        ('name = "box"', "name = 'Dr. Who'", ("$.device[0].name", "'Dr. Who'", "allowed")),
        ('name = "box"', 'name = "box"\noptions = {a = 1}', ("$.device[0].options.a", "unknown key", "value 1")),
        ('name = "box"', 'name = "box"\nsilence = -1', ("$.device[0].silence", "value -1", "more than 0")),
        ('name = "box"', 'name = "box"\ncontrol = true', ("$.device[0].control", "only reads", "allowed: false")),
        ("[site]", "[page]\nport = 70000\n[site]", ("$.page.port", "value 70000", "at most 65535")),
        ("[site]", '[store]\nretention = "soon"\n[site]', ("$.store.retention", "value 'soon'", "allowed: an age")),
        ("[site]", "[site", ("no valid TOML", "typing error")),
        (
            "socket://127",
            "127",
            ("$.device[1].port", "a host and a number", "socket://127.0.0.1:4001 of a"),
        ),
        ("socket://127.0.0.1", "npserver", ("$.device[1].port", "socket://npserver:4001")),
        ("[site]", '[store]\npath = "$HOME/rec"\n[site]', ("$.store.path", "only a shell", "~ for a home folder")),
        ("[site]", '[store]\npath = "~nobody-here/rec"\n[site]', ("$.store.path", "no such home folder")),
    ],
)
def test_each_fault_names_its_place(tmp_path, old, new, words):
    assert old in GOOD
    with pytest.raises(ConfigurationError) as caught:
        load(write(tmp_path, GOOD.replace(old, new, 1)))
    for word in words:
        assert word in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_mark_of_byte_order_is_no_typing_error(tmp_path):
    path = tmp_path / "bedside.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.lstrip().encode())
    assert load(path).tables.site.id == "angers"
    assert toml.lines(path)["$.site.id"] == 2


def test_a_tilde_is_a_home_folder_wherever_a_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    influx = 'url = "http://127.0.0.1:8086"\norg = "o"\nbucket = "b"\ntoken_file = "~/token"\nca_file = "~/ca.pem"\n'
    config = load(write(tmp_path, f'[store]\npath = "~/rec"\n[influx]\n{influx}{GOOD}'))
    home = tmp_path / "home"
    assert config.store == home / "rec"
    assert (config.tables.influx.token_file, config.tables.influx.ca(tmp_path)) == (f"{home}/token", f"{home}/ca.pem")


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ConfigurationError, match="no such file"):
        load(tmp_path / "none.toml")


def test_lines_of_keys(tmp_path):
    found = toml.lines(write(tmp_path, GOOD))
    assert found["$.site.id"] == 3
    assert found["$.device[1].driver"] == 10


def test_what_stands_in_braces_has_the_line_of_its_table(tmp_path):
    path = write(tmp_path, "a = { b = 1 }\n[[device]]\noptions = { c = [\n  { d = 2 },\n] }\ne.f = 3\n")
    known = toml.lines(path)
    assert known["$.device[0].e.f"] == 6
    assert toml.line_of("$.device[0].options.c[0].d", known) == 3
    assert toml.line_of("$.device[0].missing", known) == 2
    assert toml.line_of("$.a.b", known) == 1
    assert toml.line_of("$.z", known) is None
    said = toml.read(path)
    assert toml.holds(said, "$.device[0].options.c[0].d")
    assert not toml.holds(said, "$.device[0].options.c[1].d")


def test_the_schema_is_json():
    assert json.loads(json.dumps(schema()))["$defs"]["DeviceTable"]["additionalProperties"] is False


def test_every_driver_is_found_once():
    found = registry.drivers()
    for name, driver in found.items():
        assert name in driver.about.names
