"""Who goes next: a few turns at once out of many apps that mostly wait.

It knows nothing of steps or the platform. An app that waits costs an entry in a heap, no task,
no lock and no call slot.

How it works: `run` is the only place that starts turns. It moves what is due from the heap of
waiters to the heap of the ready, starts turns from it while there is room (urgent ones first, then
by rank, then as they came), and sleeps until a turn ends, something falls due, or somebody nudges
it. A turn returns when and how urgently it wants to come again, or None for never. Draining starts
nothing more and gives what is under way `grace_s` to end, then cancels it.

A waiter may be woken before its time, or have no time and be parked until then: it gets a new
entry, and the old one, recognised by its number, is dropped when its time comes. One that is flying
comes again at once.
"""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, replace
from enum import Enum, auto
from heapq import heapify, heappop, heappush
from math import inf
from typing import Final, Generic, TypeVar

import anyio

Item = TypeVar("Item", bound=Hashable)


REPLACED_SHARE: Final = 2
REPLACED_LEAST: Final = 64
"""Entries that were replaced are cleared out when they are as many as those that count."""


@dataclass(frozen=True, slots=True)
class Next:
    """When an item wants its next turn.

    `urgent`: it is about to change something. `patient`: it waits for a person; a scheduler that
    does not wait lets it go. Without end (`PARKED`): when it is woken.
    """

    delay_s: float
    urgent: bool = False
    patient: bool = False


PARKED: Final = Next(inf)
"""It has nothing to do until it is woken. A scheduler that does not wait ends when all are so."""


class _How(Enum):
    """How a waiter wants to come; one that would be urgent and patient is urgent."""

    URGENT = auto()
    USUAL = auto()
    PATIENT = auto()
    PARKED = auto()


def _how(wanted: Next) -> _How:
    if wanted.delay_s == inf:
        return _How.PARKED
    if wanted.urgent:
        return _How.URGENT
    return _How.PATIENT if wanted.patient else _How.USUAL


_MAY_BE_WOKEN: Final = frozenset({_How.PATIENT, _How.PARKED})


@dataclass(frozen=True, slots=True)
class SchedulerStatistics:
    """`waiting` counts those who are parked too."""

    waiting: int
    parked: int
    ready: int
    flying: int
    turns: int


class Scheduler(Generic[Item]):
    """Gives turns, `at_once` at a time. Of those who are ready, a lower `rank` goes first."""

    def __init__(
        self,
        *,
        at_once: int,
        wait: bool = True,
        grace_s: float = 5.0,
        rank: Callable[[Item], int] = lambda _: 0,
    ) -> None:
        assert at_once > 0
        self._rank = rank
        self._at_once = at_once
        self._wait = wait
        self._grace_s = grace_s
        # Of each waiter the entry that counts: when it is due, a number that is never given twice,
        # how it wants to come, and who it is. `_later` holds these, and some that were replaced.
        self._waits: dict[Item, tuple[float, int, _How, Item]] = {}
        self._later: list[tuple[float, int, _How, Item]] = []
        self._ready: list[tuple[bool, int, int, Item]] = []
        self._flying: set[Item] = set()
        self._woken: set[Item] = set()
        self._parked = 0
        self._turns = 0
        self._order = 0
        self._draining = False
        self._changed = anyio.Event()

    def add(self, item: Item, wanted: Next) -> None:
        """Enter an item; one that is in already must not be entered again."""
        if wanted.patient and not self._wait:
            return
        self._enter(item, anyio.current_time() + wanted.delay_s, _how(wanted))
        self._changed.set()

    def _enter(self, item: Item, due: float, how: _How) -> None:
        self._order += 1
        self._leave(item)
        self._parked += how is _How.PARKED
        entry = self._waits[item] = (due, self._order, how, item)
        heappush(self._later, entry)
        if len(self._later) > REPLACED_SHARE * len(self._waits) + REPLACED_LEAST:
            self._later = list(self._waits.values())
            heapify(self._later)

    def _leave(self, item: Item) -> None:
        """Forget that an item waits, if it does."""
        wait = self._waits.pop(item, None)
        self._parked -= wait is not None and wait[2] is _How.PARKED

    def wake(self, item: Item) -> None:
        """Give one who is parked or waits patiently its turn now.

        One who is flying comes again, if it then wants to wait so. Whoever does not wait for a
        person comes again soon anyway, and has its reasons when.
        """
        if item in self._flying:
            self._woken.add(item)
            return
        wait = self._waits.get(item)
        if wait is None or wait[2] not in _MAY_BE_WOKEN:
            return
        how = _How.URGENT if wait[2] is _How.PARKED else wait[2]
        self._enter(item, anyio.current_time(), how)
        self._changed.set()

    def hasten(self, delay_s: Callable[[], float]) -> None:
        """Let those who wait patiently come again after such a delay, if that is sooner."""
        now = anyio.current_time()
        for before, _, how, item in list(self._waits.values()):
            due = now + delay_s()
            if how is _How.PATIENT and due < before:
                self._enter(item, due, how)
        self._changed.set()

    def drain(self) -> None:
        """Start nothing more; `run` returns when what is under way has ended or was cancelled."""
        self._draining = True
        self._changed.set()

    def statistics(self) -> SchedulerStatistics:
        return SchedulerStatistics(
            len(self._waits), self._parked, len(self._ready), len(self._flying), self._turns
        )

    async def run(self, turn: Callable[[Item], Awaitable[Next | None]]) -> None:
        """Give turns until no item is left or draining is over.

        What a turn raises comes out of here, in an exception group, and cancels the others.
        """
        async with anyio.create_task_group() as flights:
            while self._has_more() and not self._draining:
                self._promote()
                while self._ready and len(self._flying) < self._at_once:
                    *_, item = heappop(self._ready)
                    self._flying.add(item)
                    self._turns += 1
                    flights.start_soon(self._fly, turn, item)
                await self._sleep()
            await self._land()
            flights.cancel_scope.cancel()

    def _has_more(self) -> bool:
        """Whether anybody will come again: of those who are parked, only where it is waited."""
        awaited = len(self._waits) - (0 if self._wait else self._parked)
        return bool(awaited or self._ready or self._flying)

    async def _fly(self, turn: Callable[[Item], Awaitable[Next | None]], item: Item) -> None:
        try:
            wanted = await turn(item)
        finally:
            self._flying.discard(item)
            self._changed.set()
        woken = item in self._woken
        self._woken.discard(item)
        if wanted is not None:
            again = woken and _how(wanted) in _MAY_BE_WOKEN
            self.add(item, replace(wanted, delay_s=0.0) if again else wanted)

    def _promote(self) -> None:
        """Move what is due to the ready; drop entries that were replaced."""
        now = anyio.current_time()
        while self._later and (self._later[0][0] <= now or not self._counts(self._later[0])):
            entry = heappop(self._later)
            if self._counts(entry):
                _, order, how, item = entry
                self._leave(item)
                heappush(self._ready, (how is not _How.URGENT, self._rank(item), order, item))

    def _counts(self, entry: tuple[float, int, _How, Item]) -> bool:
        return self._waits.get(entry[3]) is entry

    async def _sleep(self) -> None:
        """Sleep until something changed or falls due."""
        full = len(self._flying) >= self._at_once
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
