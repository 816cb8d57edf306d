"""Locks that die with their process: who works on what, on one machine (J6).

How it works: a lock is `flock` on a file, held by an open file descriptor that no child inherits.
The system lets go of it when the process ends, however it ends, so there are no stale locks and
no guessing from pids. The file's content only tells people who the holder is; it decides nothing,
and a file without a holder means nothing. Lock files are never removed: whoever removes one may
remove the file that somebody else has just locked. A link in its place is not followed, since the
content is written over what was there.

Network file systems: NFS carries `flock` to the server, so it holds between machines where the
server's lock service runs; others (SMB, sshfs and most FUSE) keep it within one machine or refuse
it. A state directory that several machines use belongs on a file system known to lock.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from fleetdeploy.errors import RunLocked
from fleetdeploy.storage.atomic import unusable, write_all

PAUSE_S: Final = 0.05
"""Between two tries; a try costs some microseconds."""

MAX_CONTENT_BYTES: Final = 4096
"""Four short fields; what is longer was not written by us."""

_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK

Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock; `since` is aware."""

    host: str
    pid: int
    who: str
    since: datetime

    def __str__(self) -> str:
        since = self.since.isoformat(sep=" ", timespec="seconds")
        text = f"process {self.pid} of {self.who} on {self.host}, since {since}"
        return "".join(char for char in text if char.isprintable())


@dataclass(frozen=True, slots=True)
class Unnamed:
    """A holder that has not written down who it is, yet or legibly."""

    def __str__(self) -> str:
        return "another process, which has not said who it is"


_HOLDER: Final = TypeAdapter(Holder)


@contextmanager
def hold(
    path: Path, holder: Holder, *, what: str, wait_s: float, sleep: Sleep = time.sleep
) -> Iterator[None]:
    """Hold the lock at `path`; try for `wait_s` at most.

    Raises `RunLocked`, which says who holds `what`, and `StateUnusable`.
    """
    fd = _open(path, os.O_RDWR | os.O_CREAT)
    try:
        if not _try_for(fd, path, wait_s, sleep):
            raise RunLocked(
                f"{what} is locked by {_read(fd)}",
                hint="wait until it is done, or stop it: its lock ends with it",
            )
        _write(fd, path, holder)
        try:
            yield
        finally:
            # Said aloud and not left to `close`: a forked child may still hold the descriptor.
            fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def holder_of(path: Path) -> Holder | Unnamed | None:
    """Return who holds the lock at `path` now, or None.

    For an instant this holds a shared lock itself; that is why `hold` tries more than once.
    """
    try:
        fd = os.open(path, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unusable("read", path, error) from error
    try:
        return None if _try(fd, path, fcntl.LOCK_SH) else _read(fd)
    finally:
        os.close(fd)


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | _FLAGS, 0o600)
    except OSError as error:
        raise unusable("open", path, error) from error


def _try_for(fd: int, path: Path, wait_s: float, sleep: Sleep) -> bool:
    for _ in range(round(wait_s / PAUSE_S)):
        if _try(fd, path, fcntl.LOCK_EX):
            return True
        sleep(PAUSE_S)
    return _try(fd, path, fcntl.LOCK_EX)


def _try(fd: int, path: Path, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise unusable("lock", path, error) from error
    return True


def _write(fd: int, path: Path, holder: Holder) -> None:
    try:
        os.ftruncate(fd, 0)
        write_all(fd, _HOLDER.dump_json(holder) + b"\n")
    except OSError as error:
        raise unusable("write", path, error) from error


def _read(fd: int) -> Holder | Unnamed:
    try:
        return _HOLDER.validate_json(os.pread(fd, MAX_CONTENT_BYTES, 0))
    except (OSError, ValidationError):
        return Unnamed()
