"""The journal on disk: append-only, one writer, many records to one sync.

This module does not know what a record means; the lines are made in `core/journal_line.py`, and
that only one process writes is seen to by the run's lock (`storage/locks.py`).

How it works (group commit, J7): `append` stamps its record at once, in the order of the calls, and
puts the line into the open batch. The first task of a batch waits for the batch before to be on
disk, then closes its own and writes it with one `write` and one `fdatasync` in a worker thread;
the other tasks of the batch wait for that. While a sync runs, all newcomers gather in the next
batch, so the slower the disk, the more records share a sync.

A failed write breaks the journal for good: after a failed sync the system may have dropped the
bytes and would call the next sync a success. The file is cut back to its last durable line if the
disk allows it; what remains otherwise are whole lines that say the truth, and a torn one.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Self

import anyio
from anyio import to_thread

from fleetdeploy.core.journal_line import Chain, JournalContents, read_journal
from fleetdeploy.core.records import AnyAppRecord, Entry, RunRecord
from fleetdeploy.errors import JournalDamaged, JournalWriteFailed
from fleetdeploy.ports import WallClock
from fleetdeploy.storage.atomic import hint_for, reason_of, sync_dir, unusable

MAX_BATCH_BYTES: Final = 1024 * 1024
"""Closes a batch: some thousands of records, and a write that still takes milliseconds."""

_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
"""A link in its place is not followed: a torn tail is cut off whatever file it is."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The two calls that make bytes durable; tests count them and make them fail."""

    write: Callable[[int, memoryview], int] = os.write
    sync: Callable[[int], None] = os.fdatasync


REAL_DISK: Final = Disk()


class JournalStatistics(NamedTuple):
    """What this process made durable."""

    records: int
    batches: int
    bytes: int


@dataclass(slots=True)
class _Batch:
    """Lines that become durable together. `failure` is final once `done` is set."""

    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    failure: str = ""
    done: anyio.Event = field(default_factory=anyio.Event)


class JournalFile:
    """Implements `ports.Journal` on a file. Make it with `create` or `open`."""

    def __init__(self, path: Path, fd: int, chain: Chain, clock: WallClock, disk: Disk) -> None:
        self._path = path
        self._fd = fd
        self._chain = chain
        self._clock = clock
        self._disk = disk
        self._end = os.fstat(fd).st_size
        self._gathering: _Batch | None = None
        self._turn = anyio.Lock()
        self._thread = anyio.CapacityLimiter(1)
        self._in_use = threading.Lock()
        self._failure = ""
        self._hint = ""
        self._statistics = JournalStatistics(0, 0, 0)

    @classmethod
    def create(cls, path: Path, clock: WallClock, *, disk: Disk = REAL_DISK) -> Self:
        """Make a new, empty journal; its name is on disk when this returns.

        Raises `StateUnusable`, also if the file exists.
        """
        try:
            fd = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
            with _closed_on_error(fd):
                sync_dir(path.parent)
        except OSError as error:
            raise unusable("create", path, error) from error
        return cls(path, fd, Chain(), clock, disk)

    @classmethod
    def open(
        cls, path: Path, clock: WallClock, *, disk: Disk = REAL_DISK
    ) -> tuple[Self, JournalContents]:
        """Go on with a journal. What it says is durable, and a torn tail cut off, on return.

        Raises `JournalDamaged` and `StateUnusable`; the file is then as it was.
        """
        try:
            fd = os.open(path, _FLAGS)
            with _closed_on_error(fd):
                contents = read_file(path)
                _settle(path, fd, contents)
        except OSError as error:
            raise unusable("open", path, error) from error
        return cls(path, fd, Chain.after(contents), clock, disk), contents

    async def append(self, record: RunRecord | AnyAppRecord) -> Entry:
        """Write one record; it is durable when this returns.

        If cancelled: the record is written all the same and this returns; the cancellation shows
        at the caller's next checkpoint. Raises `JournalWriteFailed`, from then on each time.
        """
        if self._failure:
            raise self._error(self._failure)
        entry, line = self._chain.stamp(record, self._clock.now())
        with anyio.CancelScope(shield=True):
            batch = self._gathering
            if batch is None or batch.size + len(line) > MAX_BATCH_BYTES:
                await self._lead(line)
            else:
                await self._join(batch, line)
        return entry

    async def _join(self, batch: _Batch, line: bytes) -> None:
        batch.lines.append(line)
        batch.size += len(line)
        await batch.done.wait()
        if batch.failure:
            raise self._error(batch.failure)

    async def _lead(self, line: bytes) -> None:
        """Open a batch, write it when its turn has come, and wake all who joined it."""
        batch = self._gathering = _Batch([line], len(line), failure="the write did not finish")
        try:
            # The lock is first in, first out, so batches reach the disk in the order of `seq`.
            async with self._turn:
                if self._gathering is batch:
                    self._gathering = None
                batch.failure = self._failure or await self._flush(batch)
        finally:
            # A bug or a hard interruption must neither leave others waiting nor be written over.
            self._failure = self._failure or batch.failure
            batch.done.set()
        if batch.failure:
            raise self._error(batch.failure)

    async def _flush(self, batch: _Batch) -> str:
        """Make a batch durable; return what went wrong, empty if nothing."""
        data = b"".join(batch.lines)
        try:
            await to_thread.run_sync(self._persist, data, limiter=self._thread)
        except OSError as error:
            self._hint = hint_for(error)
            return reason_of(error)
        self._end += len(data)
        records, batches, size = self._statistics
        self._statistics = JournalStatistics(
            records + len(batch.lines), batches + 1, size + len(data)
        )
        return ""

    def _persist(self, data: bytes) -> None:
        """Run in a worker thread, one at a time."""
        with self._in_use:
            try:
                self._write_all(data)
                self._disk.sync(self._fd)
            except OSError:
                self._cut_back()
                raise

    def _write_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = self._disk.write(self._fd, rest)
            if written <= 0:
                raise OSError(errno.EIO, "the disk took no more bytes")
            rest = rest[written:]

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._fd, self._end)
            os.fsync(self._fd)
        except OSError:
            # The write's own error is the one to report; a reader cuts the torn line off.
            return

    def _error(self, reason: str) -> JournalWriteFailed:
        return JournalWriteFailed(f"cannot write to {self._path}: {reason}", hint=self._hint)

    def statistics(self) -> JournalStatistics:
        return self._statistics

    def close(self) -> None:
        """Close the file; every later append fails. Waits for a write that is under way."""
        self._failure = self._failure or "the journal is closed"
        # Else the thread of a task that was torn down might write to whatever is opened next.
        with self._in_use:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


def read_file(path: Path) -> JournalContents:
    """Read a journal, also one that another process is writing: its torn tail is then normal.

    Raises `JournalDamaged` and `StateUnusable`.
    """
    try:
        with path.open("rb") as file:
            return read_journal(file)
    except OSError as error:
        raise unusable("read", path, error) from error
    except JournalDamaged as error:
        raise JournalDamaged(f"{path}: {error.message}", line=error.line, hint=error.hint) from None


@contextmanager
def _closed_on_error(fd: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        os.close(fd)
        raise


def _settle(path: Path, fd: int, contents: JournalContents) -> None:
    """Make what was read durable: a killed process may have left it in memory only."""
    if contents.torn_bytes:
        os.ftruncate(fd, contents.end_offset)
    os.fsync(fd)
    sync_dir(path.parent)
