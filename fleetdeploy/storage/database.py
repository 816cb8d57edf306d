"""The common ground of our SQLite files: made private, opened with care, one thread at a time.

It does not know what the tables hold. Calls that wait for the disk run in a worker thread; which
changes share a commit is decided in `storage/group_commit.py`.

How it works: write-ahead log where the file system allows it, a sync at every commit, and freed
space is overwritten. So a commit is on disk when it returns, a kill or a power cut leaves whole
commits only, and what is read was committed, by whichever process.
"""

import contextlib
import errno
import os
import sqlite3
import stat
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import anyio
from anyio import to_thread

from fleetdeploy.errors import SettingsInvalid, StateUnusable
from fleetdeploy.storage.atomic import sync_dir, unusable
from fleetdeploy.storage.run_dir import StateDir

BUSY_WAIT_S: Final = 10.0
"""For another process that writes: it needs milliseconds, a slow disk perhaps a second."""

MODE_TRIES: Final = 100
MODE_PAUSE_S: Final = 0.05
"""The first to open a new file changes its mode, alone; SQLite refuses the others at once."""

Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Result]
Sleep = Callable[[float], None]

_CAUSES: Final = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
}
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_PRIMARY: Final = 0xFF  # the rest of an error code tells how SQLite came by it


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file is for: `create` makes its tables at `version`; `loss` says what is lost with it.

    `loss` is a sentence for whoever has to move a damaged file away.
    """

    version: int
    create: tuple[str, ...]
    loss: str


class ClosedOnExit(ABC):
    """Something on a database that is closed at the end of a `with`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None: ...


class Database:
    """One SQLite file of the state directory. Make it with `open`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, schema: Schema) -> None:
        self.path = path
        self._connection = connection
        self._schema = schema
        self._place = _place(path)
        self._thread = anyio.CapacityLimiter(1)
        self._in_use = threading.Lock()
        self._closed = False

    @classmethod
    def open(cls, path: Path, schema: Schema, *, sleep: Sleep = time.sleep) -> Self:
        """Open the file, new and empty if there is none; what it says is durable on return.

        Blocks, for some seconds at most. Raises `SettingsInvalid` where others can read or write
        it, and `StateUnusable`.
        """
        StateDir(path.parent).ensure()
        _make_private(path)
        try:
            connection = _connect(path, sleep)
        except sqlite3.Error as error:
            raise explained("open", path, error, schema.loss) from error
        try:
            _settle(path)
            database = cls(path, connection, schema)
            database.change_now(lambda connection: _create(connection, path, schema))
        except BaseException:
            connection.close()
            raise
        return database

    async def read(self, work: Work[Result]) -> Result:
        """Do some reading in a thread, each statement on the newest commit."""
        return await self.in_thread(lambda: self.read_now(work))

    async def change(self, work: Work[Result]) -> Result:
        """Do some work in a transaction of its own, in a thread; durable on return.

        Nothing is written where `work` raises. If cancelled after its start: it is done.
        """
        return await self.in_thread(lambda: self.change_now(work))

    async def in_thread(self, work: Callable[[], Result]) -> Result:
        """Do blocking work where this database's calls are made, one after the other."""
        return await to_thread.run_sync(work, limiter=self._thread)

    def read_now(self, work: Work[Result]) -> Result:
        """Do as `read`, blocking."""
        with self._using("read") as connection:
            return work(connection)

    def change_now(self, work: Work[Result]) -> Result:
        """Do as `change`, blocking."""
        with self._using("write") as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                _roll_back(connection)
                raise
            return result

    def scrub_now(self) -> None:
        """Rewrite the file so that nothing is left of what was overwritten; blocking.

        Raises `StateUnusable`, also where another process reads for so long that it cannot be.
        """
        with self._using("write") as connection:
            connection.execute("VACUUM")
            if not _truncate_log(connection):
                raise StateUnusable(
                    f"what was overwritten in {self.path} could not be removed from its log: "
                    "another process is reading it",
                    hint="stop the other processes of this state directory, then try again",
                )

    def close(self) -> None:
        """Close the file; every later call fails. Waits for one that is under way."""
        self._closed = True
        with self._in_use, contextlib.suppress(sqlite3.Error):
            # What is committed is safe in the log: an error here changes nothing.
            self._connection.close()

    @contextmanager
    def _using(self, action: str) -> Iterator[sqlite3.Connection]:
        with self._in_use:
            if self._closed:
                raise StateUnusable(f"cannot {action} {self.path}: it is closed")
            if _place(self.path) != self._place:
                raise StateUnusable(
                    f"cannot {action} {self.path}: it was moved or replaced meanwhile",
                    hint="start the command again",
                )
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise explained(action, self.path, error, self._schema.loss) from error


def scalar(connection: sqlite3.Connection, query: str, *values: object) -> object:
    """Return the first value of the first row; None if there is no row."""
    row: tuple[object, ...] | None = connection.execute(query, values).fetchone()
    return row[0] if row else None


def explained(action: str, path: Path, error: sqlite3.Error, loss: str) -> StateUnusable:
    """Say in our words what SQLite could not do; its own may quote what the file holds."""
    # Errors of the Python module itself carry no code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY
    if code in _DAMAGED:
        return _damaged(path, "is damaged", loss)
    if code in _BUSY:
        return StateUnusable(
            f"cannot {action} {path}: another process has been writing it for {BUSY_WAIT_S:g} s",
            hint="stop the process that hangs; `fuser` names those that have the file open",
        )
    if code in _CAUSES:
        cause = _CAUSES[code]
        return unusable(action, path, OSError(cause, os.strerror(cause)))
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StateUnusable(f"cannot {action} {path}: SQLite says {name}")


def _damaged(path: Path, what: str, loss: str) -> StateUnusable:
    return StateUnusable(
        f"{path} {what}",
        hint=f"move it away, and {path.name}-wal and -shm with it; a new one is made. {loss}",
    )


def _place(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _make_private(path: Path) -> None:
    """Create the file for this user only, its name durable; check the one that is there."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        sync_dir(path.parent)
    except FileExistsError:
        _check_private(path)
    except OSError as error:
        raise unusable("create", path, error) from error


def _check_private(path: Path) -> None:
    """Look at the file without opening it: a close would let go of this process's locks on it."""
    try:
        status = path.stat()
    except OSError as error:
        raise unusable("open", path, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise SettingsInvalid(f"{path} is not a regular file")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise SettingsInvalid(
            f"{path} is open to others (mode {mode:04o})", hint=f"type: chmod 600 {path}"
        )


def _connect(path: Path, sleep: Sleep) -> sqlite3.Connection:
    connection = sqlite3.connect(
        # Never made by SQLite: the file would be open to others.
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_WAIT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _prepare(connection, sleep)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, sleep: Sleep) -> None:
    # The module's message about a text that is not UTF-8 would quote it.
    connection.text_factory = bytes
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    # Without the log a commit is the removal of a file, which only EXTRA makes durable.
    level = "FULL" if _has_log(connection, sleep) else "EXTRA"
    connection.execute(f"PRAGMA synchronous = {level}")


def _settle(path: Path) -> None:
    """Make the log durable: a killed process may have left commits in memory only."""
    # Not so the file itself: to close it would let go of this whole process's locks on it.
    log = path.with_name(f"{path.name}-wal")
    try:
        fd = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except FileNotFoundError:
        return
    except OSError as error:
        raise unusable("read", log, error) from error


def _create(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    """Make the tables in a new file; refuse what is newer, or not ours."""
    version = scalar(connection, "PRAGMA user_version")
    if version == schema.version:
        return
    if version:
        raise StateUnusable(
            f"{path} has format {version}, this version of fleetdeploy knows {schema.version}",
            hint="use the version of fleetdeploy that wrote it, or a newer one",
        )
    if scalar(connection, "SELECT count(*) FROM sqlite_master"):
        raise _damaged(path, "is a database of something else", schema.loss)
    for statement in schema.create:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {schema.version}")


def _has_log(connection: sqlite3.Connection, sleep: Sleep) -> bool:
    """Ask for the write-ahead log; say whether the file system allows it."""
    for _ in range(MODE_TRIES):
        try:
            return scalar(connection, "PRAGMA journal_mode = WAL") == b"wal"
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & _PRIMARY not in _BUSY:
                raise
        sleep(MODE_PAUSE_S)
    return scalar(connection, "PRAGMA journal_mode = WAL") == b"wal"


def _truncate_log(connection: sqlite3.Connection) -> bool:
    busy = scalar(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
    return not busy


def _roll_back(connection: sqlite3.Connection) -> None:
    # SQLite has rolled back by itself after most errors of the disk.
    with contextlib.suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
