"""Writing to stdout and stderr when perhaps nobody reads any more.

A reader that has gone (`| head`, a closed terminal) is no reason to end a run or to change its
exit code: what cannot be said is dropped.
"""

import codecs
import contextlib
import errno
import io
import os
import sys
from typing import TextIO

import click

from fleetdeploy.errors import StateUnusable

_NOBODY_READS = (errno.EPIPE, errno.EIO)
_ESCAPED = "fleetdeploy.escaped"


def open_missing() -> None:
    """Stand in for standard streams that the caller has closed, and write what can be written.

    A file of ours that took the place of a closed stream would be written over by whoever still
    takes it for one. What the terminal's encoding lacks is escaped as JSON does it: a client's name
    is no reason to end a run with another exit code.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STANDARD:
        os.set_inheritable(number, True)
    os.close(number)
    # Held open for as long as the process lives; each is one of the three just opened.
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    codecs.register_error(_ESCAPED, _escaped)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_ESCAPED)


_STANDARD = 2
"""The highest of the three descriptors: stdin, stdout, stderr."""


def _escaped(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = (units[place : place + 2] for place in range(0, len(units), 2))
    return "".join(f"\\u{pair.hex()}" for pair in pairs), error.end


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
