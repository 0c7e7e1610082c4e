"""`perfusion run`: the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import click

from acquisition.cli.configuration import counted, warn
from acquisition.cli.numbers import EPOCH, SECONDS, Finite
from acquisition.config import Config, load
from acquisition.daemon import process
from acquisition.daemon.service import Service
from acquisition.errors import ConfigurationError
from acquisition.remotes.factory import check_secrets
from acquisition.timing.clock import Clock


@click.command()
@click.option("-c", "--config", "path", type=click.Path(path_type=Path), required=True, help="The bench, as TOML.")
@click.option("--for", "seconds", type=SECONDS, help="Stop after so many seconds.")
@click.option("--speed", type=Finite(min=1.0), default=1.0, help="Run the clock faster; simulated benches only.")
@click.option("--t0", type=EPOCH, help="When the simulated scenario began (UTC seconds), for --speed.")
@click.option("--check", is_flag=True, help="Check the configuration and its secrets, connect to nothing.")
@click.option("--witness", type=int, metavar="FD", help="Write what was committed to this file descriptor.")
def run(path: Path, seconds: float | None, speed: float, t0: float | None, check: bool, witness: int | None) -> int:
    """Stream from every configured instrument into the record until stopped."""
    config = load(path)
    if check:
        check_secrets(config)
        warn(config)
        click.echo(f"{path}: ok, {counted(config)}", err=True)
        return 0
    return serve(config, seconds, speed, t0, witness, lambda url: click.echo(f"live page: {url}", err=True))


def serve(
    config: Config,
    seconds: float | None,
    speed: float,
    t0: float | None,
    witness: int | None,
    on_page: Callable[[str], None],
) -> int:
    """Run the daemon on a checked configuration; answer its exit code."""
    real = [device.table.name for device in config.devices if not device.table.simulated]
    if speed != 1.0 and real:
        raise ConfigurationError(
            f"--speed {speed:g} with instruments that are not simulated: {', '.join(real)}",
            str(config.path),
            remedy="leave --speed away, or set simulated = true where it is true",
        )
    process.close_to_others()
    clock = Clock(speed, None if t0 is None else round(t0 * 1e9))

    def write(text: str) -> None:
        assert witness is not None
        with contextlib.suppress(BrokenPipeError):
            os.write(witness, text.encode())

    async def body() -> int:
        service = Service(config, clock, witness=write if witness is not None else None, on_page=on_page)
        return await service.run(seconds)

    return asyncio.run(body())
