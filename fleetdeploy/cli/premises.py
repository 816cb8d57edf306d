"""Looks at the state directory from outside, for `doctor`; leaves nothing there.

Opens no database: whether credentials can be read shows when they are used.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fleetdeploy.core.fleet_checks import StateSeen
from fleetdeploy.errors import FleetError
from fleetdeploy.storage.atomic import unusable
from fleetdeploy.storage.quarantine_file import read_quarantine
from fleetdeploy.storage.run_dir import StateDir

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def look_at_state(state_dir: StateDir) -> StateSeen:
    """Say what the directory is like; one that is not there yet is judged by its parent."""
    path = state_dir.path
    try:
        there = path.exists()
        ground = next(one for one in (path, *path.absolute().parents) if one.exists())
    except OSError as error:
        return StateSeen(str(path), there=False, error=unusable("read", path, error))
    try:
        _try_out(ground)
        read_quarantine(path)
        return StateSeen(
            str(path),
            there=there,
            open_files=tuple(_open_to_others(path)) if there else (),
            free=shutil.disk_usage(ground).free,
            live=_live(state_dir) if there else (),
        )
    except OSError as error:
        return StateSeen(str(path), there=there, error=unusable("write in", ground, error))
    except FleetError as error:
        return StateSeen(str(path), there=there, error=error)


def _try_out(directory: Path) -> None:
    """Write, sync and lock a file that is gone afterwards."""
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(b"\0")
        file.flush()
        os.fsync(file.fileno())
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def _open_to_others(path: Path) -> Iterator[str]:
    """Yield what others can read, or, of the directory itself, write into."""
    mode = path.stat().st_mode
    if mode & _OTHERS_WRITE:
        yield f"{path} (mode {stat.S_IMODE(mode):04o})"
    for file in sorted(path.iterdir()):
        mode = file.lstat().st_mode
        if stat.S_ISREG(mode) and mode & _OTHERS:
            yield f"{file.name} (mode {stat.S_IMODE(mode):04o})"


def _live(state_dir: StateDir) -> tuple[str, ...]:
    return tuple(f"run {run.run_id}: {run.holder()}" for run in state_dir.live_runs())
