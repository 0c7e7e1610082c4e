"""A bench for tests: simulated instruments and the daemon, each a process, over links as real as they get."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

PERFUSION = [sys.executable, "-P", "-m", "perfusion"]
PATIENCE = 60.0
"""Seconds in which anything ends or comes about, on however busy a machine."""
ENTRIES = {
    "daq970a": """
        [[device]]
        name = "ldf"
        driver = "daq970a"
        resource = "{address}"
        simulated = true
        options = {{ interval = 0.05 }}
        [[device.channel]]
        input = 101
        signal = "flux"
        profile = "adinstruments-blood-flowmeter"
        [[device.channel]]
        input = 102
        signal = "backscatter"
        profile = "adinstruments-blood-flowmeter"
        """,
    "intellivue": """
        [[device]]
        name = "tcpo2"
        driver = "intellivue"
        port = "{address}"
        simulated = true
        options = {{ electrodes = [{{ name = "chest", handle = 257 }}, {{ name = "calf", handle = 258 }}] }}
        """,
    "trackmaster": """
        [[device]]
        name = "treadmill"
        driver = "trackmaster"
        port = "{address}"
        simulated = true
        options = {{ unit = "mph" }}
        """,
    "tosca500-csv": """
        [[device]]
        name = "tcpco2"
        driver = "tosca500-csv"
        port = "{address}"
        simulated = true
        options = {{ baud = 9600, unit = "mmHg", interval = 0.2 }}
        """,
}
WITH_CUFF = (
    ENTRIES["daq970a"]
    + """
        [[device.channel]]
        input = 103
        signal = "cuff_pressure"
        profile = "cuff-pressure-100mmhg-per-volt"
        """
)
LINKS = {
    "daq970a": ("--hislip", "127.0.0.1:0"),
    "intellivue": ("--pty",),
    "trackmaster": ("--pty",),
    "tosca500-csv": ("--pty",),
}


class Simulator:
    """One simulated instrument; `address` is what the daemon's configuration says."""

    def __init__(self, name, folder, *arguments, link=None):
        self.name = name
        self.ledger = folder / f"{name}.ledger"
        link = link or LINKS[name]
        if link[0] == "--pty":
            link = (*link, "--link", str(folder / name))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "simulators", name, *link, "--ledger", str(self.ledger), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        if not line:
            self.end()
            raise AssertionError(f"the simulator {name} did not start")
        self.listen = json.loads(line)["listen"]
        self.address = self.listen.get("resource") or self.listen.get("path") or self.listen["url"]

    def rows(self):
        """What was put on the wire, in order."""
        if not self.ledger.exists():
            return []
        return [json.loads(line) for line in self.ledger.read_text().splitlines()]

    def strike(self, fault):
        """Let a fault happen, counted from now."""
        self.process.stdin.write(fault + "\n")
        self.process.stdin.flush()

    def end(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the simulator {self.name} did not end with its stdin") from None
        finally:
            self.process.stdout.close()


class Daemon:
    """`perfusion run`, with what it witnessed and said; `command` is what to call instead of `perfusion`."""

    def __init__(self, config, folder, *arguments, command=PERFUSION):
        self.witness = folder / "witness"
        self.log = folder / "daemon.log"
        with self.witness.open("ab") as witness, self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "-v", "run", "-c", str(config), "--witness", str(witness.fileno()), *map(str, arguments)],
                pass_fds=(witness.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def witnessed(self):
        """Rows (device, stream, first, n) that were on disk before they were written here; a cut last line is none."""
        text = self.witness.read_text()
        return [tuple(json.loads(line)) for line in text[: text.rfind("\n") + 1].splitlines()]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, timeout=PATIENCE):
        """SIGTERM; answers the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the daemon did not end:\n{self.log.read_text()[-3000:]}") from None

    def snapshot(self, store):
        """What the daemon answers over its control socket, None while it does not."""
        from acquisition.control_socket.client import ask
        from acquisition.errors import Refused

        try:
            return ask(store, {"do": "snapshot"})
        except Refused:
            return None

    def until(self, store, condition, timeout=PATIENCE):
        """Wait until the snapshot fulfils the condition; answers it."""
        end = time.monotonic() + timeout
        seen = None
        while time.monotonic() < end:
            seen = self.snapshot(store)
            if seen is not None and condition(seen):
                return seen
            assert self.process.poll() is None, f"the daemon ended:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.02)
        raise AssertionError(f"not within {timeout} s; last seen: {seen}\n{self.log.read_text()[-3000:]}")


class Bench:
    """Simulators, a configuration and daemons in one folder; all ended on exit."""

    def __init__(self, folder):
        self.folder = folder
        self.config = folder / "bench.toml"
        self.store = folder / "record"
        self.simulators = {}
        self.daemons = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.ExitStack() as stack:
            for simulator in self.simulators.values():
                stack.callback(simulator.end)
            for daemon in self.daemons:
                if daemon.process.poll() is None:
                    stack.callback(daemon.kill)

    def simulate(self, name, *arguments, link=None):
        self.simulators[name] = simulator = Simulator(name, self.folder, *arguments, link=link)
        return simulator

    def write(self, entries=None, extra=""):
        """Write the configuration for the running simulators."""
        import textwrap

        entries = entries or {name: ENTRIES[name] for name in self.simulators}
        texts = [
            textwrap.dedent(text).format(address=self.simulators[name].address if name in self.simulators else "")
            for name, text in entries.items()
        ]
        self.config.write_text('[store]\npath = "record"\n[page]\nport = 0\n' + "".join(texts) + extra)

    def run(self, *arguments, command=PERFUSION):
        daemon = Daemon(self.config, self.folder, *arguments, command=command)
        self.daemons.append(daemon)
        return daemon


def states(snapshot):
    return {device["name"]: device["state"] for device in snapshot["devices"]}


def streaming(snapshot):
    """Whether every device streams."""
    return set(states(snapshot).values()) == {"STREAMING"}


def perfusion(*arguments, timeout=PATIENCE):
    """Run the command line to its end."""
    return subprocess.run(
        [*PERFUSION, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, env=dict(os.environ)
    )


def children(pid):
    """The processes that a process started, by the simulator's name."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                words = (status.parent / "cmdline").read_bytes().split(b"\0")
                if b"simulators" in words:
                    found[words[words.index(b"simulators") + 1].decode()] = int(status.parent.name)
    return found


@contextlib.contextmanager
def demo(*arguments):
    """Run the demonstration; yields its process and the live page's address."""
    process = subprocess.Popen(
        [*PERFUSION, "demo", "--no-browser", "--port", "0", *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    try:
        url = next(match[0] for line in process.stdout if (match := re.search(r"http://\S+", line)))
        yield process, url
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
