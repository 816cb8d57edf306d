"""The names of processes in an `Intent`, and whether the process of a name still lives.

How it works: each process holds `flock` on `<state dir>/holders/<name>` for as long as it lives.
The name is new each time, so unlike other locks (`storage/locks.py`) the file may be removed: no
other process will ever lock a file of this name. Whoever looks takes a shared lock only, so that
two who look never take each other for the holder.
"""

import contextlib
import errno
import fcntl
import os
import re
import secrets
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final, Self

from fleetdeploy.errors import StateUnusable
from fleetdeploy.storage.atomic import unusable
from fleetdeploy.storage.run_dir import StateDir

NAME: Final = re.compile(r"[0-9a-z]{8,64}")
"""A file's name and nothing more: a name may come out of a file that somebody else wrote."""

TRIES: Final = 20
"""One is used up only by a process that clears away at the same instant."""

CLEARED_MAX: Final = 1000
"""A start leaves one file at most; nobody waits for more to be removed."""

Names = Callable[[], str]


def new_name() -> str:
    return secrets.token_hex(16)


class Holders:
    """The name of this process, and a look at those of others. Make it with `open`."""

    def __init__(self, folder: Path, name: str, fd: int) -> None:
        self.name = name
        self._folder = folder
        self._fd = fd

    @classmethod
    def open(cls, state_dir: Path, names: Names = new_name) -> Self:
        """Take a name that nobody ever had; remove what dead processes left.

        Raises `StateUnusable`.
        """
        folder = state_dir / "holders"
        StateDir(state_dir).ensure()
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            _clear(folder)
            for _ in range(TRIES):
                name = names()
                assert NAME.fullmatch(name)
                fd = _take(folder / name)
                if fd is not None:
                    return cls(folder, name, fd)
        except OSError as error:
            raise unusable("lock a name in", folder, error) from error
        raise StateUnusable(f"cannot lock a name in {folder}: others take every one")

    def is_alive(self, name: str) -> bool:
        """Say whether the process of that name still lives; a name never seen is dead.

        Raises `StateUnusable` where nobody can tell.
        """
        if not NAME.fullmatch(name):
            return False
        try:
            return _is_locked(self._folder / name)
        except OSError as error:
            raise unusable("read", self._folder / name, error) from error

    def close(self) -> None:
        """Give the name up, for good."""
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):
            (self._folder / self.name).unlink()
        # Said aloud and not left to `close`: a forked child may still hold the descriptor.
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)
        self._fd = -1


def _take(path: Path) -> int | None:
    """Create a file and lock it; None if somebody came in between."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # Before it was locked, somebody may have taken the file for a dead process's.
        if _try(fd, fcntl.LOCK_EX) and path.exists():
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _is_locked(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        return not _try(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def _try(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def _clear(folder: Path) -> None:
    """Remove the files of the dead; what is no file of ours stays."""
    for path in islice(folder.iterdir(), CLEARED_MAX):
        if not NAME.fullmatch(path.name):
            continue
        with contextlib.suppress(OSError):
            _remove_if_dead(path)


def _remove_if_dead(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        # Held while removing, so that a process about to lock it fails and takes another name.
        if _try(fd, fcntl.LOCK_SH):
            path.unlink()
    finally:
        os.close(fd)
