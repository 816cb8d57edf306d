"""A journal in memory, for runs in virtual time; nothing in it outlives the process.

It keeps the same bytes as the journal file and the weakest promises that the port allows: a
cancelled append may leave its record behind, and what became durable is always a prefix.
"""

from collections.abc import Callable
from enum import StrEnum

import anyio
import anyio.lowlevel

from fleetdeploy.core.journal_line import Chain, read_journal
from fleetdeploy.core.records import AnyAppRecord, Entry, RunRecord
from fleetdeploy.errors import JournalWriteFailed
from fleetdeploy.ports import WallClock


class Moment(StrEnum):
    """When a hook is called for a record."""

    WRITTEN = "written"
    """Its bytes are on their way: a crash now may keep them or lose them."""
    DURABLE = "durable"
    """Its bytes stay, but nobody has been told yet."""


Hook = Callable[[Moment, Entry], None]


def _no_hook(moment: Moment, entry: Entry) -> None:
    """Let every record pass."""


class MemoryJournal:
    """Implements `ports.Journal`. An exception out of `hook` is the crash of the process.

    `data` is what an earlier crash left, `contents` what it says; a torn tail is cut off. After a
    crash every append fails and `data` and `durable` stay as they were at that moment;
    any cut of `data` that is not shorter than `durable` is what a disk may have kept.
    """

    def __init__(
        self, clock: WallClock, *, latency_s: float = 0, hook: Hook = _no_hook, data: bytes = b""
    ) -> None:
        self.contents = read_journal(data)
        self._clock = clock
        self._latency_s = latency_s
        self._hook = hook
        self._chain = Chain.after(self.contents)
        self._data = bytearray(data[: self.contents.end_offset])
        self._durable_bytes = len(self._data)
        self._crashed = False

    @property
    def data(self) -> bytes:
        """All bytes that were written, durable or not."""
        return bytes(self._data)

    @property
    def durable(self) -> bytes:
        """The bytes that survive any crash."""
        return bytes(self._data[: self._durable_bytes])

    async def append(self, record: RunRecord | AnyAppRecord) -> Entry:
        """Write one record; see `ports.Journal`.

        If cancelled: the record is in `data`, and durable with the next one that becomes so.
        """
        self._check_alive()
        entry, line = self._chain.stamp(record, self._clock.now())
        self._data += line
        end = len(self._data)
        self._tell(Moment.WRITTEN, entry)
        await self._flush()
        self._check_alive()
        self._durable_bytes = max(self._durable_bytes, end)
        self._tell(Moment.DURABLE, entry)
        return entry

    async def _flush(self) -> None:
        if self._latency_s:
            await anyio.sleep(self._latency_s)
        else:
            await anyio.lowlevel.checkpoint()

    def _check_alive(self) -> None:
        if self._crashed:
            raise JournalWriteFailed("the journal was lost in a crash")

    def _tell(self, moment: Moment, entry: Entry) -> None:
        crashed = True
        try:
            self._hook(moment, entry)
            crashed = False
        finally:
            self._crashed = self._crashed or crashed
