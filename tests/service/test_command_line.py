"""Start of a command line: what it costs before it does anything, and that what it starts is itself."""

import json
import os
import shlex
import socket
import subprocess
import sys

import pytest

from acquisition.cli import COMMANDS, perfusion
from acquisition.store import check
from tests.service.bench import PATIENCE, PERFUSION
from tests.service.bench import perfusion as cli
from tests.store.records import Recording, Source


def test_no_command_waits_for_the_libraries_of_another():
    program = (
        "import sys, click\n"
        "from acquisition.cli import COMMANDS, perfusion\n"
        "for name in sorted(set(COMMANDS) - {'outcomes'}):\n"
        "    perfusion.get_command(click.Context(perfusion), name)\n"
        "print(*sys.modules)\n"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "acquisition.cli.session" in loaded
    assert "scipy.signal" not in loaded  # a second of every start


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_its_name(name):
    import click

    assert perfusion.get_command(click.Context(perfusion), name).name == name


def test_a_simulator_is_the_process_that_was_started(tmp_path):
    (tmp_path / "simulators.py").write_text("raise SystemExit('this file is another one')")
    process = subprocess.Popen(
        [*PERFUSION, "simulate", "trackmaster", "--tcp", "127.0.0.1:0"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        listen = json.loads(process.stdout.readline())["listen"]
        socket.create_connection((listen["host"], listen["port"])).close()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((listen["host"], listen["port"]))


@pytest.fixture
def buffered(monkeypatch):
    """Standard output as people have it, whatever the tests run with."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


@pytest.mark.parametrize("arguments", [("devices", "--json"), ("devices",), ("config", "schema")])
def test_a_reader_who_has_seen_enough_is_no_failure(buffered, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run([*PERFUSION, *arguments], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_full_disk_under_the_output_is_told_in_words(buffered, tmp_path):
    with Recording(tmp_path) as record:
        record.put(Source().chunk(3))
    for form in ("--csv", "--json"):
        with open("/dev/full", "wb") as full:
            ended = subprocess.run([*PERFUSION, "query", str(tmp_path), form], stdout=full, stderr=subprocess.PIPE)
        assert ended.returncode == 1
        assert b"the output: cannot be written (No space left on device)" in ended.stderr
        assert b"Traceback" not in ended.stderr


CLOSED = "exec >&-; exec "


@pytest.mark.parametrize("form", ["", "--csv", "--json", "--csv --every 1s"])
def test_an_output_that_is_closed_is_told_in_one_line(buffered, tmp_path, form):
    with Recording(tmp_path) as record:
        record.put(Source().chunk(30))
    line = shlex.join([*PERFUSION, "query", str(tmp_path), *form.split()])
    ended = subprocess.run(["sh", "-c", CLOSED + line], stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 1
    assert ended.stderr == "perfusion: stdout: the output cannot be written; likely cause: it is closed, as by >&-\n"


def test_with_every_standard_stream_closed_a_record_is_not_written_over(tmp_path):
    with Recording(tmp_path) as record:
        record.put(Source().chunk(30))
    line = shlex.join([*PERFUSION, "verify", str(tmp_path)])
    ended = subprocess.run(["sh", "-c", f"exec <&- >&- 2>&-; {line}"])
    assert ended.returncode == 1
    assert check(tmp_path).ok


FAULTY = """\
from acquisition.driverkit.driver import About, Driver
from acquisition.model import Channel, Stream

class Faulty(Driver):
    about = About({"faulty": "a driver with a fault"}, "monitor", ("tcp",), "inferred", "this test")
    streams = (Stream("flux", (Channel("flux", "[arb'U]"),)),)
    silence = 5.0

    def receive(self, data, at):
        raise ZeroDivisionError("a fault in the driver")
"""


def test_a_run_in_which_a_driver_failed_ends_with_4_when_its_time_is_over(tmp_path, monkeypatch):
    plugin = tmp_path / "plugin"
    information = plugin / "faulty-1.dist-info"
    information.mkdir(parents=True)
    (plugin / "faulty.py").write_text(FAULTY)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[perfusion.drivers]\nfaulty = faulty:Faulty\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(plugin), *filter(None, [os.environ.get("PYTHONPATH")])]))
    config = tmp_path / "bench.toml"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        config.write_text(f'[[device]]\nname = "box"\ndriver = "faulty"\nport = "socket://127.0.0.1:{port}"\n')
        with subprocess.Popen([*PERFUSION, "run", "-c", str(config), "--for", "4"], stderr=subprocess.PIPE) as process:
            try:
                server.settimeout(PATIENCE)
                link, _ = server.accept()
                with link:
                    link.sendall(b"anything")
                    said = process.communicate(timeout=PATIENCE)[1].decode()
            finally:
                process.kill()
    assert process.returncode == 4, said
    assert "box: FAILED, a fault in the driver; it is not retried" in said
    assert "ZeroDivisionError: a fault in the driver" in said


def test_the_record_that_the_environment_names_is_watched(tmp_path, monkeypatch):
    monkeypatch.delenv("PERFUSION_DATA", raising=False)
    ended = cli("watch", "--once")
    assert (ended.returncode, "PERFUSION_DATA" in ended.stderr) == (2, True)
    monkeypatch.setenv("PERFUSION_DATA", str(tmp_path))
    ended = cli("watch", "--once")
    assert ended.returncode == 8
    assert f"{tmp_path}/control.sock: no daemon answers" in ended.stderr
