"""Writing to stdout and stderr when perhaps nobody reads any more.

A reader that has gone (`| head`, a closed terminal) is no reason to end a run or to change its
exit code: what cannot be said is dropped.
"""

import contextlib
import errno
import os
import sys
from typing import TextIO

import click

from fleetdeploy.errors import StateUnusable

_NOBODY_READS = (errno.EPIPE, errno.EIO)


def write_out(text: str) -> None:
    """Write data to stdout; raises `StateUnusable` where it goes to a file and cannot."""
    try:
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()
    except OSError as error:
        _to_nowhere(sys.stdout)
        if error.errno not in _NOBODY_READS:
            raise StateUnusable(f"cannot write to stdout: {error.strerror}") from None


def write_error(text: str) -> None:
    """Write a line to stderr."""
    with contextlib.suppress(OSError, ValueError):
        click.echo(text, file=sys.stderr, color=True)
        sys.stderr.flush()


def settle() -> None:
    """Flush what is left; where that fails, let the interpreter's own last flush go nowhere."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _to_nowhere(stream)


def _to_nowhere(stream: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
