"""`python -m simulators NAME`: one simulated instrument in a process of its own, as long as its stdin stays open."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import click
import msgspec

from acquisition import exit_codes
from acquisition.errors import ConfigurationError
from simulators.bench.description import describe
from simulators.bench.registry import simulators
from simulators.bench.replay import load
from simulators.bench.runner import Runner, ScenarioClock
from simulators.patient.phenotypes import PHENOTYPES
from simulators.patient.physiology import Participant
from simulators.patient.scenarios import SCENARIOS
from simulators.simkit.announcing import Announcing
from simulators.simkit.faults import KINDS, Faults, parse
from simulators.simkit.instrument import Bench, Instrument, Plan, no_ledger
from simulators.simkit.ledger import LedgerFile
from simulators.transports.cables import Cable, PtyCable, TcpCable
from simulators.transports.udp import UdpCable


class _Command(click.Command):
    """Adds to the help what exists: instruments, scenarios, faults."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        instruments = [(name, (each.__doc__ or "").strip().splitlines()[0]) for name, each in simulators().items()]
        tables = {
            "Instruments": instruments or [("none", "")],
            "Scenarios": [(name, scenario.what) for name, scenario in SCENARIOS.items()],
            "Faults, KIND@START:DURATION:p=PROBABILITY:every=TIME": [(k, text) for k, (_, text) in KINDS.items()],
        }
        for title, rows in tables.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def _address(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, int] | None:
    if value is None:
        return None
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter("HOST:PORT is wanted, such as 127.0.0.1:0", ctx, parameter)
    return host, int(port)


@click.command(cls=_Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("name", required=False)
@click.option(
    "--pty", is_flag=True, help="Serve a pseudo-terminal; the default where the instrument has a serial line."
)
@click.option("--tcp", callback=_address, metavar="HOST:PORT", help="Serve TCP; port 0 takes a free one.")
@click.option("--udp", callback=_address, metavar="HOST:PORT", help="Serve UDP; port 0 takes a free one.")
@click.option(
    "--announce", callback=_address, metavar="HOST:PORT", help="With --udp: where to tell the network of itself."
)
@click.option("--hislip", callback=_address, metavar="HOST:PORT", help="Serve VISA over HiSLIP.")
@click.option("--vxi11", callback=_address, metavar="HOST:PORT", help="Serve VISA over VXI-11.")
@click.option("--link", metavar="PATH", help="Symbolic link to the pseudo-terminal: its stable name.")
@click.option("--scenario", default="rest", show_default=True, help="What is done to the participant.")
@click.option("--class", "kind", default="healthy", show_default=True, help=", ".join(PHENOTYPES) + ".")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the participant and of every chance.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), default=1.0, help="Run the scenario faster.")
@click.option("--t0", type=float, metavar="SECONDS", help="When the scenario began, UTC; now unless told.")
@click.option("--artefacts", is_flag=True, help="Let the participant move now and then.")
@click.option("--replay", multiple=True, metavar="FILE:COLUMN=CHANNEL", help="Play a column of a CSV file.")
@click.option("--fault", "faults", multiple=True, metavar="SPEC", help="Such as unplug@60s:5s; see below.")
@click.option("--options", default="{}", metavar="JSON", help="Options of the instrument.")
@click.option("--ledger", type=click.Path(path_type=Path, dir_okay=False), help="Write what is sent to this file.")
@click.option("--for", "seconds", type=click.FloatRange(min=0), help="End after so many seconds on the wall.")
@click.option("--unpaced", is_flag=True, help="Send at once, as over USB, not at the line's rate.")
@click.option("--truth", is_flag=True, help="Print what is true of the participant, and end.")
@click.option("--list", "listed", is_flag=True, help="Print as JSON what can be simulated, and end.")
def simulate(name: str | None, **given: Any) -> int:
    """Simulate the instrument NAME; the first line on stdout is JSON and says where it listens.

    It ends when its stdin, if that is a pipe, ends, or on SIGTERM. A line on stdin is a fault whose start counts
    from then: `unplug@0s:5s`.

    Example: perfusion simulate intellivue --pty --link /tmp/tcpo2 --scenario porh --fault unplug@60s:5s --seed 7
    """
    if given["listed"]:
        click.echo(json.dumps(describe(), indent=2, ensure_ascii=False))
        return 0
    participant = Participant(given["kind"], given["scenario"], given["seed"], artefacts=given["artefacts"])
    if given["truth"]:
        click.echo(json.dumps(participant.truth(), indent=2))
        return 0
    if name is None:
        raise click.UsageError(f"which instrument? One of {', '.join(simulators()) or 'none'}")
    found = simulators().get(name)
    if found is None:
        raise ConfigurationError(f"unknown instrument {name!r}", remedy=f"allowed: {', '.join(simulators()) or 'none'}")
    clock = ScenarioClock(given["t0"], given["speed"])
    faults = Faults([parse(spec) for spec in given["faults"]], given["seed"], clock.now())
    bench: Bench = load(given["replay"], participant) if given["replay"] else participant
    ledger = LedgerFile(given["ledger"]) if given["ledger"] else no_ledger
    plan = Plan(
        name,
        faults.bench(bench),
        _options(found, given["options"]),
        given["seed"],
        max(given["speed"], 1.0),
        ledger,
        datagrams=given["udp"] is not None,
    )
    instrument = found(plan)
    cable = _cable(instrument, given)
    if given["announce"] and not given["udp"]:
        raise click.UsageError("--announce goes with --udp")
    announcing = Announcing(instrument, given["announce"], clock.now, clock.speed) if given["announce"] else None
    asyncio.run(_run(Runner(instrument, cable, clock, faults), given["seconds"], announcing))
    return 0


def _options(found: type[Instrument], text: str) -> msgspec.Struct:
    try:
        return msgspec.json.decode(text.encode(), type=found.Options)
    except msgspec.MsgspecError as error:
        allowed = ", ".join(found.Options.__struct_fields__) or "none"
        raise ConfigurationError(str(error), "--options", remedy=f"allowed keys: {allowed}") from error


def _cable(instrument: Instrument, given: dict[str, Any]) -> Cable:
    chosen = [kind for kind in ("pty", "tcp", "udp", "hislip", "vxi11") if given[kind]]
    if len(chosen) > 1:
        raise click.UsageError(f"one link at a time, not {' and '.join('--' + kind for kind in chosen)}")
    if given["link"] and chosen not in ([], ["pty"]):
        raise click.UsageError("--link goes with --pty")
    match chosen:
        case ["tcp"]:
            return TcpCable(*given["tcp"])
        case ["udp"]:
            return UdpCable(*given["udp"])
        case ["hislip"]:
            return _visa("simulators.transports.hislip", "HislipCable", given["hislip"])
        case ["vxi11"]:
            return _visa("simulators.transports.vxi11", "Vxi11Cable", given["vxi11"])
    if instrument.serial is None:
        raise click.UsageError(f"{instrument.plan.name} has no serial line: --tcp, --hislip or --vxi11 is wanted")
    if given["link"] is None and any(parse(spec).family == "link" for spec in given["faults"]):
        click.echo("an unplugged pseudo-terminal comes back under another number: give it a name by --link", err=True)
    paced = not (given["unpaced"] or instrument.any_rate)
    return PtyCable(given["link"], instrument.serial, given["speed"], paced, given["seed"])


def _visa(module: str, name: str, address: tuple[str, int]) -> Cable:
    try:
        cable: Cable = getattr(importlib.import_module(module), name)(*address)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ConfigurationError(
            f"this link is not simulated yet ({error})", f"--{module.rpartition('.')[2]}"
        ) from error
    return cable


async def _run(runner: Runner, seconds: float | None, announcing: Announcing | None) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _watch_stdin(loop, stop, runner)
    if seconds is not None:
        loop.call_later(seconds, stop.set)

    def listening(listen: dict[str, Any]) -> None:
        print(json.dumps({"listen": listen}), flush=True)
        if announcing is not None:
            announcing.begin(listen)

    await runner.run(listening, stop)


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event, runner: Runner) -> None:
    """End with whoever started this process and holds the other end of the pipe; what he writes are faults."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return
    if not stat.S_ISFIFO(mode) and not stat.S_ISSOCK(mode):
        return

    rest = b""

    def readable() -> None:
        nonlocal rest
        data = os.read(0, 4096)
        if not data:
            loop.remove_reader(0)
            stop.set()
        *lines, rest = (rest + data).split(b"\n")
        rest = rest[-4096:]
        for line in filter(None, map(bytes.strip, lines)):
            try:
                runner.strike(parse(line.decode("utf-8", "replace")))
            except ConfigurationError as error:
                click.echo(f"perfusion simulate: {error}", err=True)

    loop.add_reader(0, readable)


def main() -> None:
    """Run the command and exit with its code: 0, 1 unexpected, 2 usage, 3 configuration."""
    exit_codes.run(simulate, "perfusion simulate", "perfusion simulate")


if __name__ == "__main__":
    main()
