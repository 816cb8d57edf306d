"""Many changes to one commit: newcomers gather while the batch before them is carried out.

It knows neither what a change is nor what carries it out; the journal has its own form of this in
`storage/journal_file.py`, where a line is stamped before it is written.
"""

import copy
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

import anyio

from fleetdeploy.errors import FleetError, StateUnusable

BATCH_MAX: Final = 1000
"""Changes that share a commit: more would hold up other processes for longer than a sync does."""

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class GroupStatistics(NamedTuple):
    """What this process made durable; changes that raised are not counted."""

    changes: int
    commits: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The outcome of a change that raised; nothing of it was written."""

    error: Exception


@dataclass(slots=True)
class _Batch(Generic[Item, Outcome]):
    """Changes that become durable together. Its outcomes are final once `done` is set."""

    items: list[Item]
    outcomes: Sequence[Outcome | Refused] = ()
    failure: FleetError | None = field(
        default_factory=lambda: StateUnusable("the change was not finished")
    )
    done: anyio.Event = field(default_factory=anyio.Event)

    def outcome(self, nth: int) -> Outcome:
        if self.failure is not None:
            # Each caller gets an error of its own: tracebacks are written into it.
            raise copy.copy(self.failure) from self.failure
        outcome = self.outcomes[nth]
        if isinstance(outcome, Refused):
            raise outcome.error
        return outcome


class GroupCommit(Generic[Item, Outcome]):
    """Hands items to `carry_out` in batches, one batch at a time, in the order they came.

    `carry_out` returns one outcome an item once all of them are durable. A `FleetError` out of it
    means that none is, and goes to every caller.
    """

    def __init__(
        self, carry_out: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome | Refused]]]
    ) -> None:
        self._carry_out = carry_out
        self._gathering: _Batch[Item, Outcome] | None = None
        self._turn = anyio.Lock()
        self._statistics = GroupStatistics(0, 0)

    async def submit(self, item: Item) -> Outcome:
        """Return the outcome of one item, durable by then.

        If cancelled: it is carried out all the same and this returns; the cancellation shows at
        the caller's next checkpoint.
        """
        with anyio.CancelScope(shield=True):
            gathering = self._gathering
            if gathering is None or len(gathering.items) >= BATCH_MAX:
                nth, batch = 0, _Batch[Item, Outcome]([item])
                await self._lead(batch)
            else:
                nth, batch = len(gathering.items), gathering
                batch.items.append(item)
                await batch.done.wait()
        return batch.outcome(nth)

    async def _lead(self, batch: _Batch[Item, Outcome]) -> None:
        """Let others join until the turn has come, then carry the batch out and wake them."""
        self._gathering = batch
        try:
            # The lock is first in, first out.
            async with self._turn:
                self._close(batch)
                batch.outcomes = await self._carry_out(batch.items)
            assert len(batch.outcomes) == len(batch.items)
            batch.failure = None
            self._count(batch)
        except FleetError as error:
            batch.failure = error
        finally:
            # A bug or a hard interruption must not leave others waiting.
            self._close(batch)
            batch.done.set()

    def _close(self, batch: _Batch[Item, Outcome]) -> None:
        if self._gathering is batch:
            self._gathering = None

    def _count(self, batch: _Batch[Item, Outcome]) -> None:
        made = sum(not isinstance(outcome, Refused) for outcome in batch.outcomes)
        changes, commits = self._statistics
        self._statistics = GroupStatistics(changes + made, commits + 1)

    def statistics(self) -> GroupStatistics:
        return self._statistics
