"""The command line: data on stdout, messages on stderr, one exit code for each kind of failure."""

from __future__ import annotations

import errno
import importlib
import io
import logging
import os
import sys
from typing import Any

import click

from acquisition import __version__, exit_codes
from acquisition.errors import PerfusionError
from acquisition.text import clean

COMMANDS = {
    "backup": "record:backup",
    "belt": "belt:belt",
    "clock": "clock:clock",
    "config": "configuration:config",
    "demo": "bench:demo",
    "devices": "instruments:devices",
    "observe": "observe:observe",
    "outcomes": "outcomes:show_outcomes",
    "query": "query:query",
    "reconcile": "reconciliation:reconcile",
    "remotes": "remotes:remotes",
    "replay": "replay:replay",
    "run": "daemon:run",
    "session": "session:session",
    "simulate": "bench:simulate",
    "simulate-session": "bench:simulate_session",
    "verify": "record:verify",
    "watch": "watching:watch",
}
"""Where each command stands: module of this package, and name in it."""
LONGEST = 20_000
"""Characters of an entry in the log, with its traceback."""


class Commands(click.Group):
    """Imports a command when it is wanted, so that none waits for the libraries of the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, None where there is none of this name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(f"acquisition.cli.{module}"), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a reader of stdout who has seen enough is no failure, a full disk under it is one in words."""
        try:
            code = super().invoke(ctx)
            print(end="", flush=True)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EBADF):
                raise
            sys.stdout = None  # what is still buffered has nowhere to go
            if error.errno == errno.EPIPE:
                return 0
            if error.errno == errno.EBADF:
                raise PerfusionError("the output cannot be written", "stdout", "it is closed, as by >&-") from error
            raise PerfusionError(
                f"cannot be written ({error.strerror})", error.filename or "the output", "the disk is full"
            ) from error
        return code


class _Lines(logging.Formatter):
    """Lines for a terminal or a journal, which nothing that comes from outside may steer."""

    def format(self, record: logging.LogRecord) -> str:
        return clean(super().format(record), LONGEST, lines=True)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="perfusion")
@click.option("-v", "--verbose", count=True, help="More messages; twice for debugging.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
def perfusion(verbose: int, quiet: bool) -> None:
    """Acquire readings from perfusion instruments into a record that loses nothing.

    Exit codes: 0 ok, 1 unexpected, 2 usage, 3 configuration, 4 device missing or failed,
    5 integrity failed, 7 remote unreachable, 8 refused by state, 130 interrupted.
    """
    level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _occupied() -> None:
    """Put something behind a standard stream that is closed, whose number a record's file would get else."""
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= 2:  # what is written to it is refused
        pass
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (it lives as long as the process)


def main() -> None:
    """Run the command line and exit with its code."""
    _occupied()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that UTF-8 cannot say ends no command
            stream.reconfigure(errors="backslashreplace")
    exit_codes.run(perfusion, "perfusion")
