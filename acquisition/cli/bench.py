"""`perfusion simulate` and `perfusion demo`: instruments without hardware, in processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections.abc import Iterator
from pathlib import Path

import click

from acquisition.cli.numbers import SECONDS, Finite
from acquisition.config import resources
from acquisition.daemon import process
from acquisition.errors import PerfusionError, StoreError

END = 5.0
SCENARIOS = ("rest", "porh", "heating", "walk-constant", "walk-gs", "o2-challenge", "oxygen", "tour")
CLASSES = ("healthy", "diabetic", "claudicant", "cli")
"""What `perfusion simulate` knows too; here it is refused before anything is started."""

PROGRAM = (sys.executable, "-P", "-m", "perfusion.program")
"""The command of a program of this installation; neither working directory nor PYTHONPATH give modules of it."""
SIMULATORS = (*PROGRAM, "simulators")


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulate(arguments: tuple[str, ...]) -> None:
    """Simulate an instrument on a pseudo-terminal, TCP or HiSLIP; `perfusion simulate --help` lists the options."""
    # The process becomes the simulator: whoever ends it leaves no other behind.
    os.execv(sys.executable, [*SIMULATORS, *arguments])


@click.command("simulate-session", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulate_session(arguments: tuple[str, ...]) -> None:
    """Write whole examinations of simulated participants into a record, without a daemon; --help lists the options."""
    os.execv(sys.executable, [*PROGRAM, "simulators.sessions", *arguments])


@click.command()
@click.option("--for", "seconds", type=SECONDS, help="Stop after so many seconds.")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Keep the record in this folder.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the live page (default 8080, else a free one).")
@click.option("--no-browser", is_flag=True, help="Do not open the page.")
@click.option("--scenario", type=click.Choice(SCENARIOS), default="tour", help="What happens.", show_default=True)
@click.option(
    "--class", "kind", type=click.Choice(CLASSES), default="healthy", help="Who takes part.", show_default=True
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the participant and of every chance.")
@click.option("--speed", type=Finite(min=1.0), default=1.0, help="Run everything faster.")
def demo(
    seconds: float | None,
    data: Path | None,
    port: int | None,
    no_browser: bool,
    scenario: str,
    kind: str,
    seed: int,
    speed: float,
) -> int:
    """Show a simulated bedside: laser Doppler, TcPO2 and treadmill, through the real drivers, with the live page."""
    ending = _Ending()
    t0 = time.time()
    common = [
        "--scenario", scenario, "--class", kind, "--seed", str(seed), "--speed", str(speed), "--t0", f"{t0:.6f}",
    ]  # fmt: skip

    def announce(url: str) -> None:
        click.echo(f"live page: {url}")
        if not no_browser and sys.stdout.isatty() and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            webbrowser.open(url)

    with contextlib.ExitStack() as stack:
        with ending.held():
            folder = _folder(stack, data)
            links = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perfusion-links-")))
        cables = {
            "ldf": ("daq970a", "--hislip", "127.0.0.1:0"),
            "tcpo2": ("intellivue", "--pty", "--link", str(links / "tcpo2")),
            "treadmill": ("trackmaster", "--pty", "--link", str(links / "treadmill")),
        }
        started = {name: _simulator(stack, ending, *cable, *common) for name, cable in cables.items()}
        # What the service needs is loaded while they start.
        from acquisition.cli.daemon import serve
        from acquisition.config import load

        text = (resources.shipped() / "demo.toml").read_text("utf-8")
        values = {name: _address(name, process) for name, process in started.items()}
        for name, value in {**values, "page": str(_page_port(port))}.items():
            text = text.replace(f"@{name}@", value)
        with _writing(folder):
            (folder / "demo.toml").write_text(text, "utf-8")
        config = load(folder / "demo.toml")
        click.echo(f"record: {config.store / 'record.db'}")
        return serve(config, seconds, speed, t0, None, announce)


def _folder(stack: contextlib.ExitStack, data: Path | None) -> Path:
    if data is not None:
        with _writing(data):
            data.mkdir(parents=True, exist_ok=True)
        return data
    folder = Path(tempfile.mkdtemp(prefix="perfusion-demo-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot be written ({error.strerror})", str(folder), "a wrong path or a full disk", "choose another --data"
        ) from error


class _Ending:
    """Until the service runs, whatever ends this process lets it clean up."""

    def __init__(self) -> None:
        self._held = self._asked = False
        for number in process.endings():
            signal.signal(number, self._hear)

    def _hear(self, *_: object) -> None:
        self._asked = True
        if not self._held:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let the block come to its end first, so that what it makes is known to be removed."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._asked:
            raise KeyboardInterrupt


def _page_port(port: int | None) -> int:
    if port is not None:
        return port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 8080))
        except OSError:
            return 0
    return 8080


def _simulator(stack: contextlib.ExitStack, ending: _Ending, *arguments: str) -> subprocess.Popen[bytes]:
    """Run a simulator until the stack ends. It ends with the pipe to its stdin."""
    with ending.held():
        process = subprocess.Popen(
            [*SIMULATORS, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        stack.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def _address(name: str, process: subprocess.Popen[bytes]) -> str:
    """Where a simulator listens, once it does."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise PerfusionError(
            f"the simulator of {name} did not start", cause="its message stands above", remedy="mend that and try again"
        )
    listen = json.loads(line)["listen"]
    return str(listen.get("resource") or listen.get("path") or listen.get("url"))
