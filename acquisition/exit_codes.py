"""Exit codes of the commands: one for each kind of failure, with its message on stderr."""

from __future__ import annotations

import io
import sys
from typing import NoReturn

import click

from acquisition.errors import PerfusionError
from acquisition.text import clean

INTERRUPTED = 130


def run(command: click.Command, name: str, program: str | None = None) -> NoReturn:
    """Run a command line and leave the process; `name` stands before the message of an error."""
    try:
        code = command.main(prog_name=program, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except PerfusionError as error:
        click.echo(f"{name}: {error}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        words = io.StringIO()
        error.show(words)
        click.echo(clean(words.getvalue().rstrip(), lines=True), err=True)  # they repeat whatever was handed over
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
