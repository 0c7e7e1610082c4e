"""The command line: data on stdout, messages on stderr, one exit code for each kind of failure."""

from __future__ import annotations

import logging
import sys

import click

from acquisition import __version__, ending
from acquisition.cli import (
    belt,
    bench,
    configuration,
    daemon,
    instruments,
    observe,
    outcomes,
    reconciliation,
    record,
    remotes,
    replay,
    session,
    watching,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="perfusion")
@click.option("-v", "--verbose", count=True, help="More messages; twice for debugging.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
def perfusion(verbose: int, quiet: bool) -> None:
    """Acquire readings from perfusion instruments into a record that loses nothing.

    Exit codes: 0 ok, 1 unexpected, 2 usage, 3 configuration, 4 device missing or failed,
    5 integrity failed, 7 remote unreachable, 8 refused by state, 130 interrupted.
    """
    level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s", force=True)
    if verbose < 2:
        logging.getLogger("pyvisa").setLevel(logging.ERROR)


for command in (
    belt.belt,
    bench.demo,
    bench.simulate,
    configuration.config,
    daemon.run,
    instruments.devices,
    observe.observe,
    outcomes.show_outcomes,
    reconciliation.reconcile,
    record.backup,
    record.query,
    record.verify,
    remotes.remotes,
    replay.replay,
    session.session,
    watching.watch,
):
    perfusion.add_command(command)


def main() -> None:
    """Run the command line and exit with its code."""
    ending.run(perfusion, "perfusion")
