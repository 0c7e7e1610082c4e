"""The command line: data on stdout, messages on stderr, one exit code for each kind of failure."""

from __future__ import annotations

import logging
import sys

import click

from acquisition import __version__
from acquisition.cli import (
    belt,
    bench,
    configuration,
    daemon,
    instruments,
    observe,
    outcomes,
    record,
    session,
    watching,
)
from acquisition.errors import PerfusionError

INTERRUPTED = 130


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
    record.backup,
    record.query,
    record.verify,
    session.session,
    watching.watch,
):
    perfusion.add_command(command)


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        code = perfusion.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except PerfusionError as error:
        click.echo(f"perfusion: {error}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of stdout is gone; what is still buffered has nowhere to go.
        sys.stdout = None
        sys.exit(0)
