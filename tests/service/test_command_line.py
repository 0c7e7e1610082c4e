"""What a command line costs before it does anything, and that what it starts is itself."""

import json
import socket
import subprocess
import sys

import pytest

from acquisition.cli import COMMANDS, perfusion
from tests.service.bench import PERFUSION


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
