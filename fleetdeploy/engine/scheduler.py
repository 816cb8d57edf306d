"""Who goes next: a few turns at once out of many apps that mostly wait.

It knows nothing of steps or the platform. An app that waits costs an entry in a heap, no task,
no lock and no call slot.

How it works: `run` is the only place that starts turns. It moves what is due from the heap of
waiters to the heap of the ready, starts turns from it, urgent ones first, while there is room,
and sleeps until a turn ends, something falls due, or somebody nudges it. A turn returns when and
how urgently it wants to come again, or None for never. Draining starts nothing more and gives
what is under way `grace_s` to end, then cancels it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import Generic, TypeVar

import anyio

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Next:
    """When an item wants its next turn.

    `urgent`: it is about to change something. `patient`: it waits for a person; a scheduler that
    does not wait lets it go.
    """

    delay_s: float
    urgent: bool = False
    patient: bool = False


@dataclass(frozen=True, slots=True)
class SchedulerStatistics:
    waiting: int
    ready: int
    flying: int
    turns: int


class Scheduler(Generic[Item]):
    def __init__(self, *, at_once: int, wait: bool = True, grace_s: float = 5.0) -> None:
        assert at_once > 0
        self._at_once = at_once
        self._wait = wait
        self._grace_s = grace_s
        self._later: list[tuple[float, int, bool, Item]] = []
        self._ready: list[tuple[bool, int, Item]] = []
        self._flying = 0
        self._turns = 0
        self._order = 0
        self._draining = False
        self._changed = anyio.Event()

    def add(self, item: Item, wanted: Next) -> None:
        """Enter an item; one that is in already must not be entered again."""
        if wanted.patient and not self._wait:
            return
        self._order += 1
        due = anyio.current_time() + wanted.delay_s
        heappush(self._later, (due, self._order, not wanted.urgent, item))
        self._changed.set()

    def drain(self) -> None:
        """Start nothing more; `run` returns when what is under way has ended or was cancelled."""
        self._draining = True
        self._changed.set()

    def statistics(self) -> SchedulerStatistics:
        return SchedulerStatistics(len(self._later), len(self._ready), self._flying, self._turns)

    async def run(self, turn: Callable[[Item], Awaitable[Next | None]]) -> None:
        """Give turns until no item is left or draining is over.

        What a turn raises comes out of here, in an exception group, and cancels the others.
        """
        async with anyio.create_task_group() as flights:
            while (self._later or self._ready or self._flying) and not self._draining:
                self._promote()
                while self._ready and self._flying < self._at_once:
                    *_, item = heappop(self._ready)
                    self._flying += 1
                    self._turns += 1
                    flights.start_soon(self._fly, turn, item)
                await self._sleep()
            await self._land()
            flights.cancel_scope.cancel()

    async def _fly(self, turn: Callable[[Item], Awaitable[Next | None]], item: Item) -> None:
        try:
            wanted = await turn(item)
        finally:
            self._flying -= 1
            self._changed.set()
        if wanted is not None:
            self.add(item, wanted)

    def _promote(self) -> None:
        """Move what is due to the ready."""
        now = anyio.current_time()
        while self._later and self._later[0][0] <= now:
            _, order, lazy, item = heappop(self._later)
            heappush(self._ready, (lazy, order, item))

    async def _sleep(self) -> None:
        """Sleep until something changed or falls due."""
        full = self._flying >= self._at_once
        due = inf if full or not self._later else self._later[0][0]
        with anyio.move_on_after(due - anyio.current_time()):
            await self._changed.wait()
        self._changed = anyio.Event()

    async def _land(self) -> None:
        """Wait for what is under way, not for ever."""
        with anyio.move_on_after(self._grace_s):
            while self._flying:
                await self._changed.wait()
                self._changed = anyio.Event()
