"""A yes from a person, for what cannot be taken back by typing less carefully next time."""

import sys
from collections.abc import Callable
from typing import TextIO

import click

from fleetdeploy.cli.streams import write_error
from fleetdeploy.errors import UsageInvalid


def check_can_ask(what: str, *, stdin: TextIO | None = None, stderr: TextIO | None = None) -> None:
    """Raise `UsageInvalid` where nobody sits at a terminal: a prompt would wait for ever."""
    if (stdin or sys.stdin).isatty() and (stderr or sys.stderr).isatty():
        return
    raise UsageInvalid(
        f"{what} needs a yes, and there is no terminal to ask at: nothing was sent",
        hint="look at it with --dry-run, then give --yes",
    )


def ask_for_number(
    number: int,
    what: str,
    *,
    stdin: TextIO | None = None,
    say: Callable[[str], None] = write_error,
) -> None:
    """Have the number of apps typed; raises `UsageInvalid` for anything else.

    Who only presses a key has not read how many it is. Raises `click.Abort` at the end of input.
    """
    say(f"type the number of apps, {number}, to {what}:")
    answer = (stdin or sys.stdin).readline()
    if not answer:
        raise click.Abort
    if answer.strip() != str(number):
        raise UsageInvalid(f"{number} was not typed: nothing was sent")
