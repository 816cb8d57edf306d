"""Files that are replaced as a whole, and errors of the disk in our own words.

What is written here is on disk when the call returns, the file's name included.
"""

import contextlib
import errno
import os
import tempfile
from pathlib import Path

from fleetdeploy.errors import StateUnusable

LEFTOVER_AGE_S = 3600
"""A temporary file this much older than a new one was left by a crash: a write takes seconds."""

_ELSEWHERE = "choose another directory with FLEETDEPLOY_STATE_DIR"
_NO_SPACE = "free some space, then `fleetdeploy resume`"
_HINTS = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`), then `fleetdeploy resume`",
    errno.EACCES: f"let this user read and write it, or {_ELSEWHERE}",
    errno.EPERM: f"let this user read and write it, or {_ELSEWHERE}",
    errno.EROFS: _ELSEWHERE,
    errno.ENOTDIR: _ELSEWHERE,
    errno.EEXIST: _ELSEWHERE,
    errno.ENOLCK: f"put it on a file system that knows locks; {_ELSEWHERE}",
    errno.ELOOP: "it is a symbolic link, which is not followed: put the file itself there",
    errno.EIO: "check the disk; its log may say more (`dmesg`)",
}


def hint_for(error: OSError) -> str:
    """Return what to do about an error of the disk; empty if there is nothing to say."""
    return _HINTS.get(error.errno or 0, "")


def reason_of(error: OSError) -> str:
    """Return the system's own words, without the path and the number."""
    return error.strerror or type(error).__name__


def unusable(action: str, path: Path, error: OSError) -> StateUnusable:
    """Make an error that says what could not be done, to which file, and why."""
    return StateUnusable(f"cannot {action} {path}: {reason_of(error)}", hint=hint_for(error))


def size_of(path: Path) -> int:
    """Return a file's size; 0 if there is none. Raises `StateUnusable`."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise unusable("read", path, error) from error


def write_all(fd: int, data: bytes) -> None:
    """Write everything, over as many short writes as it takes."""
    rest = memoryview(data)
    while rest:
        written = os.write(fd, rest)
        if not written:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rest = rest[written:]


def sync_dir(directory: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_atomic(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file so that, whatever happens, it has its old content or all of the new one.

    Raises `StateUnusable`; the old content then stays.
    """
    try:
        fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        temporary = Path(name)
        try:
            _fill(fd, data, mode)
            _remove_leftovers(path, temporary)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_dir(path.parent)
    except OSError as error:
        raise unusable("write", path, error) from error


def _fill(fd: int, data: bytes, mode: int) -> None:
    try:
        os.fchmod(fd, mode)
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove_leftovers(path: Path, fresh: Path) -> None:
    """Remove what crashed writers of the same file left; a live one's file is younger."""
    limit = fresh.stat().st_mtime - LEFTOVER_AGE_S
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if leftover.stat().st_mtime < limit:
                leftover.unlink()
