"""Where runs live on disk: `<state dir>/runs/<run id>/` with plan, journal, orders and lock.

This module does not know what a plan or a journal says, or which run is finished. Only what
changes something creates directories; readers find nothing where nothing is.
"""

import contextlib
import os
import random
import re
import stat
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from fleetdeploy.core.journal_line import JournalContents
from fleetdeploy.errors import RunNotFound, SettingsInvalid, StateUnusable, UsageInvalid
from fleetdeploy.ports import WallClock
from fleetdeploy.storage.atomic import size_of, sync_dir, unusable, write_atomic
from fleetdeploy.storage.journal_file import REAL_DISK, Disk, JournalFile, read_file
from fleetdeploy.storage.locks import Holder, Sleep, Unnamed, hold, holder_of
from fleetdeploy.storage.orders_file import OrdersFile

RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""One path component, easy to type, never hidden and never an option."""

RUN_LOCK_WAIT_S: Final = 0.25
"""A run is locked for hours, so waiting is no use; this outlasts a look at the lock."""

EXCLUSIVE_WAIT_S: Final = 5.0
"""The lock of the state directory is held for milliseconds, for as long as a run is created."""

_GENERATED: Final = re.compile(r"(\d{8}-\d{4})-[a-z0-9]{4}")
_MINUTE: Final = "%Y%m%d-%H%M"
_STARTED: Final = re.compile(rb'\{"seq":0,"at":"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):')
"""How a journal begins, with the time of its header."""
_LETTERS: Final = "23456789abcdefghjkmnpqrstuvwxyz"  # none that can be taken for another
_OF_APP: Final = re.compile(rb'"app_id":"([^"\\]*)"')
_RECENT: Final = 3  # run ids in a hint
_HEAD_BYTES: Final = 64
_NUMBER: Final = re.compile(rb"[1-9][0-9]{0,17}\n")
_NUMBER_BYTES: Final = 32
_QUOTE_CHARS: Final = 80
_ROOT: Final = 0


def new_run_id(now: datetime, rng: random.Random) -> str:
    """Return an id like `20261124-0307-k3f9`: sorts by time (UTC), short enough to type."""
    suffix = "".join(rng.choices(_LETTERS, k=4))
    return f"{now.astimezone(UTC).strftime(_MINUTE)}-{suffix}"


class RunDir:
    """One run's files. A run exists once it has a plan; without a journal it never started."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run_id = path.name
        self.plan_path = path / "plan.json"
        self.journal_path = path / "journal.jsonl"
        self.number_path = path / "number"
        self.orders = OrdersFile(path / "orders.jsonl")
        self._lock_path = path / "lock"

    def place(self) -> str:
        """Return what tells this directory from every copy of it: its device and inode."""
        try:
            told = self.path.stat()
        except OSError as error:
            raise unusable("read", self.path, error) from error
        return f"{told.st_dev:x}-{told.st_ino:x}"

    def plan_bytes(self) -> bytes:
        """Return the plan that the run was started with, as it was written."""
        try:
            return self.plan_path.read_bytes()
        except OSError as error:
            raise unusable("read", self.plan_path, error) from error

    def read(self) -> JournalContents:
        """Read the journal without a lock; while the run is alive a torn tail is normal.

        Raises `JournalDamaged` and `StateUnusable`.
        """
        if not self._has(self.journal_path):
            return JournalContents()
        return read_file(self.journal_path)

    def journal_says(self, text: str, start: int) -> bool:
        """Say whether a text stands in the journal from a place on; it is not replayed.

        Raises `StateUnusable`.
        """
        try:
            with self.journal_path.open("rb") as file:
                file.seek(start)
                return text.encode() in file.read()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise unusable("read", self.journal_path, error) from error

    def journal_size(self) -> int:
        """Return the journal's size; 0 if there is none. Raises `StateUnusable`."""
        return size_of(self.journal_path)

    def apps_since(self, size: int) -> set[str]:
        """Return the apps of which the journal says anything since it had that size.

        Raises `StateUnusable`.
        """
        try:
            data = self.journal_path.read_bytes()
        except OSError as error:
            raise unusable("read", self.journal_path, error) from error
        # What was being written then counts as written since.
        start = data.rfind(b"\n", 0, size) + 1
        return {found.decode("utf-8", "replace") for found in _OF_APP.findall(data, start)}

    def open_journal(
        self, clock: WallClock, *, disk: Disk = REAL_DISK
    ) -> tuple[JournalFile, JournalContents]:
        """Open the journal for writing, new and empty if there is none; hold `lock` before.

        Raises `JournalDamaged` and `StateUnusable`.
        """
        if not self._has(self.journal_path):
            return JournalFile.create(self.journal_path, clock, disk=disk), JournalContents()
        return JournalFile.open(self.journal_path, clock, disk=disk)

    def lock(self, holder: Holder, *, sleep: Sleep = time.sleep) -> AbstractContextManager[None]:
        """Be the only writer of this run; raises `RunLocked` if another process is (J6)."""
        what = f"run {self.run_id}"
        return hold(self._lock_path, holder, what=what, wait_s=RUN_LOCK_WAIT_S, sleep=sleep)

    def holder(self) -> Holder | Unnamed | None:
        """Return which live process writes this run, or None."""
        return holder_of(self._lock_path)

    def is_alive(self) -> bool:
        """Say whether a live process writes this run."""
        return self.holder() is not None

    def exists(self) -> bool:
        """Say whether the run was created completely."""
        return self._has(self.plan_path)

    def _has(self, path: Path) -> bool:
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise unusable("read", path, error) from error
        return True


class StateDir:
    """All runs of a state directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._runs = path / "runs"

    def create_run(self, run_id: str, plan: bytes) -> RunDir:
        """Create a run with its plan, durably; call it inside `exclusive`.

        Raises `UsageInvalid` for an id that is taken or no good, `StateUnusable`.
        """
        self.check_free(run_id)
        self.ensure()
        run = RunDir(self._runs / run_id)
        # A directory without a plan was left by a crash in the middle of this function.
        _make_dir(run.path)
        number = 1 + max((_number(RunDir(self._runs / other)) for other in self.runs()), default=0)
        write_atomic(run.number_path, b"%d\n" % number)
        write_atomic(run.plan_path, plan)
        return run

    def check_free(self, run_id: str) -> None:
        """Raise `UsageInvalid` for an id that is taken or no good."""
        if not RUN_ID.fullmatch(run_id):
            raise UsageInvalid(
                f"{_quote(run_id)} cannot be a run id",
                hint="use up to 64 letters, digits, dots, dashes and underscores",
            )
        if RunDir(self._runs / run_id).exists():
            raise UsageInvalid(
                f"there is a run {run_id} already",
                hint=f"choose another --run-id, or go on with it: fleetdeploy resume {run_id}",
            )

    def run(self, run_id: str) -> RunDir:
        """Return a run; raises `RunNotFound`, which names the latest ones."""
        if RUN_ID.fullmatch(run_id):
            run = RunDir(self._runs / run_id)
            if run.exists():
                return run
        recent = ", ".join(self.runs()[:_RECENT])
        raise RunNotFound(
            f"there is no run {_quote(run_id)} in {self.path}",
            hint=f"the latest are {recent}" if recent else "there are no runs yet",
        )

    def runs(self) -> list[str]:
        """Return the ids of all runs, newest first."""
        try:
            paths = list(self._runs.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise unusable("read", self._runs, error) from error
        runs = [RunDir(path) for path in paths if RUN_ID.fullmatch(path.name)]
        ages = {run.run_id: _age(run) for run in runs if run.exists()}
        return sorted(ages, key=ages.__getitem__, reverse=True)

    def journal_sizes(self) -> dict[str, int]:
        """Return how large the journal of each run is, by run id."""
        return {run_id: RunDir(self._runs / run_id).journal_size() for run_id in self.runs()}

    def live_runs(self) -> list[RunDir]:
        """Return the runs that a process is writing now; certain only inside `exclusive`."""
        return [run for run in map(self.run, self.runs()) if run.is_alive()]

    @contextmanager
    def exclusive(self, holder: Holder, *, sleep: Sleep = time.sleep) -> Iterator[None]:
        """Be the only process that creates or takes up a run here; hold it for milliseconds.

        Inside: look at the apps of `live_runs`, create the run or choose the one to resume, and
        take its lock. So of two runs that share an app, the later one always sees the earlier
        (J6). Blocks for some seconds at most, then raises `RunLocked`.
        """
        self.ensure()
        what, path = f"the state directory {self.path}", self.path / "lock"
        with hold(path, holder, what=what, wait_s=EXCLUSIVE_WAIT_S, sleep=sleep):
            yield

    def ensure(self) -> None:
        """Create the directory if it is missing, and see that nobody else can change it.

        Raises `StateUnusable`, and `SettingsInvalid` for one that others can write into.
        """
        for path in (self.path, self._runs):
            _make_dir(path)
            _check_ours(path)


def _make_dir(path: Path) -> None:
    """Create a directory for this user only, its name durable; one that is there will do."""
    try:
        if path.is_dir():
            return
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A parent that may be entered but not read cannot be synced; it is not ours either.
        with contextlib.suppress(PermissionError):
            sync_dir(path.parent)
    except OSError as error:
        raise unusable("create", path, error) from error


def _check_ours(path: Path) -> None:
    """Refuse a directory in which others could put their own files in the place of ours."""
    try:
        status = path.stat()
    except OSError as error:
        raise unusable("read", path, error) from error
    problem = trouble_with(status.st_mode, status.st_uid, os.geteuid())
    if problem:
        raise SettingsInvalid(
            f"the state directory {path} {problem}",
            hint="others could change plans and journals there: close it with `chmod go-w`, or "
            "name a directory below it in FLEETDEPLOY_STATE_DIR",
        )


def trouble_with(mode: int, owner: int, user: int) -> str:
    """Say why a directory is not this user's alone to change; empty if it is.

    Root is believed, as the owner of a directory and as its user: nothing keeps root out anyway,
    and in containers it works in directories of all kinds of owners.
    """
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"can be changed by others (mode {stat.S_IMODE(mode):04o})"
    if owner not in (user, _ROOT) and user != _ROOT:
        return f"belongs to another user (uid {owner})"
    return ""


def _age(run: RunDir) -> tuple[int, str, int, str]:
    """Return what runs sort by: the number that each got as it was made.

    No clock has a say in that: one that was set back between two nights would make the older run
    the newer one, which the apps belong to. Of runs that were made before there were numbers the
    minute counts in which they started, then the plan's time. Of one that never started, it is the
    minute in the id, else that of the plan; of the others it is not: the plan of a run may have
    been saved and reviewed for days, and have its id since.
    """
    number = _number(run)
    if number:
        return number, "", 0, run.run_id
    try:
        written = run.plan_path.stat()
    except OSError as error:
        raise unusable("read", run.plan_path, error) from error
    generated = _GENERATED.fullmatch(run.run_id)
    created = datetime.fromtimestamp(written.st_mtime, UTC)
    minute = generated[1] if generated else created.strftime(_MINUTE)
    return 0, _started(run) or minute, written.st_mtime_ns, run.run_id


def _number(run: RunDir) -> int:
    """Return a run's number, 0 where it has none; raises `StateUnusable`."""
    try:
        with run.number_path.open("rb") as file:
            text = file.read(_NUMBER_BYTES)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise unusable("read", run.number_path, error) from error
    if not _NUMBER.fullmatch(text):
        raise StateUnusable(
            f"{run.number_path} holds no number",
            hint="numbers count the runs of a state directory in the order in which they were "
            "made; bring the file back from a copy",
        )
    return int(text)


def _started(run: RunDir) -> str:
    """Return the minute in which a run started; empty if it did not, or cannot say."""
    try:
        with run.journal_path.open("rb") as journal:
            head = _STARTED.match(journal.read(_HEAD_BYTES))
    except OSError:
        # Whoever reads the journal hears of it.
        return ""
    if head is None:
        return ""
    year, month, day, hour, minute = (part.decode() for part in head.groups())
    return f"{year}{month}{day}-{hour}{minute}"


def _quote(text: str) -> str:
    return repr(text[:_QUOTE_CHARS])
