"""A wrong configuration ends with exit code 3 before any port is opened, and says where, what and what is allowed."""

import os
import subprocess
import sys

import pytest

from acquisition.config import load
from acquisition.errors import ConfigurationError
from tests.service.bench import perfusion

GOOD = """\
[store]
path = "record"

[[device]]
name = "treadmill"
driver = "trackmaster"
port = "PORT"
simulated = true
options = { unit = "mph" }
"""
TWIN = """\
[[device]]
name = "treadmill"
driver = "trackmaster"
port = "/dev/other"
options = { unit = "mph" }
"""


@pytest.fixture
def port():
    """A pseudo-terminal nobody may touch."""
    master, slave = os.openpty()
    yield os.ttyname(slave)
    os.close(slave)
    os.close(master)


def write(tmp_path, port, old="", new=""):
    path = tmp_path / "bench.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1).replace("PORT", port))
    return path


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("port =", "prot =", ("$.device[0].prot", "unknown key", "port")),
        ('port = "PORT"', "port = 3", ("$.device[0].port", "value 3", "text in quotes")),
        ('"trackmaster"', '"threadmill"', ("$.device[0].driver", "'threadmill'", "trackmaster")),
        ('unit = "mph"', "", ("$.device[0].options.unit", "missing", "'mph'")),
        ('unit = "mph"', 'unit = "knots"', ("$.device[0].options.unit", "'knots'", "'kmh'")),
        ("[store]", TWIN.replace("treadmill", "belt").replace("/dev/other", "PORT") + "[store]",
         ("$.device[1].port", "taken by $.device[0]", "port of its own")),
        ('port = "PORT"', 'port = " "', ("$.device[0].port", "empty", "socket://host:port")),
        ('port = "PORT"', 'resource = "hello"', ("$.device[0].resource", "no VISA instrument")),
        ("[store]", TWIN + "[store]", ("$.device[1].name", "'treadmill'", "taken by $.device[0]")),
    ],
)  # fmt: skip
def test_a_fault_ends_with_3_and_names_its_place(tmp_path, port, old, new, words):
    path = write(tmp_path, port, old, new)
    ended = perfusion("run", "-c", path)
    assert ended.returncode == 3, ended.stderr
    for word in words:
        assert word in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert not (tmp_path / "record").exists()


def test_a_misspelt_resource_is_found_before_the_start(tmp_path, port):
    path = write(tmp_path, port, 'port = "PORT"', 'resource = "TCPIP0:10.0.0.5::INSTR"')
    path.write_text(path.read_text().replace('"trackmaster"', '"daq970a"').replace('unit = "mph"', "interval = 0.05"))
    ended = perfusion("config", "check", path)
    assert ended.returncode == 3, ended.stderr
    for word in (":7: $.device[0].resource", "no VISA resource", "'TCPIP0:10.0.0.5::INSTR'", "TCPIP0::host"):
        assert word in ended.stderr


def test_no_port_is_opened_before_the_check_passed(tmp_path, port):
    path = write(tmp_path, port, 'unit = "mph"', 'unit = "knots"')
    trace = tmp_path / "trace"
    program = (
        "import sys, os\n"
        f"log = open({str(trace)!r}, 'w')\n"
        "def hook(event, args):\n"
        "    if event == 'open' and str(args[0]).startswith('/dev/pts'):\n"
        "        log.write(str(args[0])); log.flush()\n"
        "sys.addaudithook(hook)\n"
        "from acquisition.cli import main; main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, "run", "-c", str(path)], capture_output=True, text=True)
    assert ended.returncode == 3
    assert trace.read_text() == ""


def test_check_opens_nothing_and_says_ok(tmp_path, port):
    path = write(tmp_path, port)
    ended = perfusion("run", "-c", path, "--check")
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "record").exists()
    ended = perfusion("config", "check", path)
    assert ended.returncode == 0
    assert "ok" in ended.stderr


def test_show_says_where_each_value_comes_from(tmp_path, port):
    path = write(tmp_path, port)
    ended = perfusion("config", "show", path, "--origin")
    assert ended.returncode == 0, ended.stderr
    assert f'$.device[0].driver = "trackmaster"   # {path}:6' in ended.stdout
    assert f'$.device[0].options.unit = "mph"   # {path}:9' in ended.stdout
    assert "$.device[0].options.interval = 0.25   # default" in ended.stdout
    assert "$.page.port = 8080   # default" in ended.stdout


def test_an_unknown_command_is_a_usage_error():
    ended = perfusion("rnu")
    assert ended.returncode == 2
    assert "No such command" in ended.stderr


def test_acceleration_is_for_simulated_benches_only(tmp_path, port):
    path = write(tmp_path, port, "simulated = true\n", "")
    ended = perfusion("run", "-c", path, "--speed", "10", "--for", "1")
    assert ended.returncode == 3
    assert "treadmill" in ended.stderr


CANARY = "canary-0123456789abcdef"
INFLUX = '\n[influx]\nurl = "http://127.0.0.1:9"\norg = "o"\nbucket = "b"\n'
MQTT = '\n[mqtt]\nhost = "127.0.0.1"\ntls = false\nuser = "u"\n'


@pytest.mark.parametrize(
    "wrong",
    [
        INFLUX + f'token = "{CANARY}"\n',
        INFLUX.replace("//", f"//user:{CANARY}@") + 'token_env = "PATH"\n',
        INFLUX.replace("[influx]", "[inflx]") + f'token = "{CANARY}"\n',
        MQTT + f'password = "{CANARY}"\n',
        MQTT + f'password_file = ["{CANARY}"]\n',
    ],
    ids=["token", "address", "misspelt table", "password", "wrong type"],
)
def test_a_secret_that_stands_in_the_configuration_by_mistake_is_not_repeated(tmp_path, port, wrong):
    path = write(tmp_path, port)
    path.write_text(path.read_text() + wrong)
    with pytest.raises(ConfigurationError) as told:
        load(path)
    assert CANARY not in str(told.value)
    assert "is not shown" in str(told.value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (INFLUX + 'token_file = "absent"\n', "the token cannot be read"),
        (INFLUX + 'token_env = "PERFUSION_NO_SUCH_TOKEN"\n', "the token is empty"),
        (MQTT + 'password_file = "absent"\n', "the password cannot be read"),
    ],
)
def test_a_secret_that_cannot_be_read_ends_with_3_before_there_is_a_record(tmp_path, port, table, words):
    path = write(tmp_path, port)
    path.write_text(path.read_text() + table)
    for arguments in ([], ["--check"]):
        ended = perfusion("run", "-c", path, *arguments)
        assert ended.returncode == 3, ended.stderr
        assert words in ended.stderr
        assert not (tmp_path / "record").exists()


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        (INFLUX.replace(":9", f":9/?token={CANARY}.x") + 'token_env = "PATH"\n', "$.influx.url"),
        (INFLUX.replace(":9", f":9/#{CANARY}") + 'token_env = "PATH"\n', "$.influx.url"),
        (INFLUX.replace("http://", f"htp://x?{CANARY}=a.b/") + 'token_env = "PATH"\n', "$.influx.url"),
        (INFLUX.replace(":9", ":99999") + 'token_env = "PATH"\n', "$.influx.url"),
        (MQTT.replace("127.0.0.1", f"u:{CANARY}@broker") + 'password_env = "PATH"\n', "$.mqtt.host"),
        (MQTT.replace("127.0.0.1", f"mqtt://broker?{CANARY}") + 'password_env = "PATH"\n', "$.mqtt.host"),
    ],
)
def test_an_address_that_holds_more_than_an_address_is_refused_and_not_shown(tmp_path, port, wrong, key):
    path = write(tmp_path, port)
    path.write_text(path.read_text() + wrong)
    for command in (["config", "check", path], ["config", "show", path], ["run", "-c", path]):
        ended = perfusion(*command)
        assert ended.returncode == 3
        assert key in ended.stderr
        assert CANARY not in ended.stderr + ended.stdout


@pytest.mark.parametrize("place", ["token_file", "token_env"])
def test_a_secret_in_place_of_the_name_of_its_place_is_not_repeated(tmp_path, port, place):
    path = write(tmp_path, port)
    token = CANARY * 4 + "=="
    path.write_text(path.read_text() + INFLUX + f'{place} = "{token}"\n')
    ended = perfusion("run", "-c", path)
    assert ended.returncode == 3
    assert CANARY not in ended.stderr
    assert "looks like the secret itself" in ended.stderr


def test_what_lets_others_read_a_secret_is_said(tmp_path, port):
    path = write(tmp_path, port)
    before = path.read_text()
    (tmp_path / "token").write_text("abc")
    for address, mode, doubts in (
        ("http://127.0.0.1:9", 0o600, []),
        ("https://influx.example:9", 0o640, []),
        ("http://influx.example:9", 0o600, ["in the clear"]),
        ("http://influx.example:9", 0o644, ["every account", "in the clear"]),
    ):
        (tmp_path / "token").chmod(mode)
        path.write_text(before + INFLUX.replace("http://127.0.0.1:9", address) + 'token_file = "token"\n')
        for command in (["config", "check", path], ["run", "-c", path, "--check"]):
            ended = perfusion(*command)
            assert ended.returncode == 0
            told = [line for line in ended.stderr.splitlines() if "warning" in line]
            assert len(told) == len(doubts)
            assert all(doubt in line for doubt, line in zip(doubts, told, strict=True))
        assert load(path).doubts == [line.split(": warning: ")[1] for line in told]
