"""Read a text file that a person wrote: bounded, UTF-8 only, and with a place for each problem."""

import errno
import os
import re
import stat
from pathlib import Path
from typing import Final, NoReturn

from fleetdeploy.errors import ManifestInvalid, Problem

MAX_BYTES: Final = 64 * 1024 * 1024
"""Ten thousand apps with 6 KiB of their own each; more than that is no file for people."""

_WIDE_BOMS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
"""What YAML refuses; refused here so that it has a place, and in the other forms too."""
_REASONS = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "there is no such file",
    errno.EACCES: "may not be read by this user",
    errno.ELOOP: "is a symbolic link that leads nowhere",
}


def read_file(path: Path, file: str) -> bytes:
    """Return all bytes of a regular file; `file` is its name in messages.

    Opened without blocking, so that a pipe cannot hold the program up.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as opened:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                _refuse(file, "is not a regular file")
            data = opened.read(MAX_BYTES + 1)
    except IsADirectoryError:
        _refuse(file, "is a directory, not a file")
    except OSError as error:
        _refuse(file, _REASONS.get(error.errno or 0, f"cannot be read: {error.strerror}"))
    except ValueError:
        # A NUL in a file's name.
        _refuse(file, "there is no such file")
    if len(data) > MAX_BYTES:
        _refuse(file, f"is larger than {MAX_BYTES // 1024**2} MiB")
    return data


def decode(data: bytes, file: str) -> str:
    """Return the text, without a byte order mark; refuses other encodings and control bytes."""
    for bom, encoding in _WIDE_BOMS:
        if data.startswith(bom):
            _refuse(file, f"is in {encoding}: save it as UTF-8")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line, column = _place(data[: error.start].decode())
        byte = data[error.start]
        raise ManifestInvalid(
            [Problem(file, f"byte 0x{byte:02x} is not UTF-8: save it as UTF-8", line, column)]
        ) from None
    found = _UNPRINTABLE.search(text)
    if found:
        line, column = _place(text[: found.start()])
        message = f"holds the control character U+{ord(found[0]):04X}"
        raise ManifestInvalid([Problem(file, message, line, column)])
    return text


def _place(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _refuse(file: str, message: str) -> NoReturn:
    raise ManifestInvalid([Problem(file, message)]) from None
