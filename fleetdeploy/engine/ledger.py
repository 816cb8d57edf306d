"""The one way to write about a run: check, make durable, apply, tell."""

import anyio

from fleetdeploy.core.records import AnyAppRecord, Entry, RunRecord
from fleetdeploy.core.replay import RunState
from fleetdeploy.ports import Journal, Observer


class Ledger:
    """Keeps the journal and the live state in step (J4): the state never runs ahead of the disk."""

    def __init__(self, journal: Journal, state: RunState, observer: Observer) -> None:
        self._journal = journal
        self._observer = observer
        self.state = state

    async def append(self, record: RunRecord | AnyAppRecord) -> Entry:
        """Write one record; on return it is durable and part of the state.

        A record that replay would refuse raises `IllegalTransition` and is not written.
        If cancelled: the record is in both all the same, and the caller is cancelled after that.
        """
        self.state.check(record)
        with anyio.CancelScope(shield=True):
            entry = await self._journal.append(record)
            self.state.apply(entry)
            self._observer.recorded(entry)
        return entry
