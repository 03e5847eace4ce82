"""The command line."""

import sys

import typer

from rtdenoise.errors import RtdenoiseError


def run(app: typer.Typer) -> None:
    """Run a command line; an error that the user can mend is one line and exit code 2."""
    try:
        app()
    except RtdenoiseError as error:
        print(f"rtdenoise: {error}", file=sys.stderr)
        sys.exit(2)
