"""Waiting for a turn to call: one queue for the whole process, urgent calls first.

It decides nothing about rates (`core/pace.py` does) and knows nothing of what is called.
"""

from bisect import insort
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf

import anyio

from fleetdeploy.core.pace import Meter, Pace, PaceStatistics


@dataclass(eq=False, slots=True)
class _Waiter:
    order: tuple[int, int]
    endpoint: str
    wake: anyio.Event = field(default_factory=anyio.Event)


class Pacer:
    """Lets calls through at the pace, `in_flight` at once, urgent ones first, else in order.

    An endpoint may have a pace of its own on top; its waiters do not hold up the others.
    """

    def __init__(
        self, pace: Pace, *, in_flight: int, endpoints: Mapping[str, float] | None = None
    ) -> None:
        assert in_flight > 0
        self.pace = pace
        self._meters = {name: Meter(rate, burst=1) for name, rate in (endpoints or {}).items()}
        self._capacity = in_flight
        self._in_flight = 0
        self._waiters: list[_Waiter] = []  # the most urgent first, then the oldest
        self._arrivals = 0

    @asynccontextmanager
    async def turn(self, endpoint: str, *, urgent: bool) -> AsyncGenerator[float]:
        """Hold one place for one call; yields the time at which it leaves (anyio's clock).

        The caller must send at once. If cancelled while waiting: no call is counted.
        """
        sent_at = await self._wait(endpoint, urgent=urgent)
        try:
            yield sent_at
        finally:
            self._in_flight -= 1
            self._wake_first()

    def statistics(self) -> PaceStatistics:
        return self.pace.statistics()

    async def _wait(self, endpoint: str, *, urgent: bool) -> float:
        self._arrivals += 1
        me = _Waiter((0 if urgent else 1, self._arrivals), endpoint)
        insort(self._waiters, me, key=lambda waiter: waiter.order)
        try:
            while (delay_s := self._delay_s(me)) > 0:
                with anyio.move_on_after(delay_s):
                    await me.wake.wait()
                me.wake = anyio.Event()
            return self._leave(endpoint)
        finally:
            self._waiters.remove(me)
            self._wake_first()

    def _leave(self, endpoint: str) -> float:
        now = anyio.current_time()
        self.pace.take(now)
        if endpoint in self._meters:
            self._meters[endpoint].take(now)
        self._in_flight += 1
        assert self._in_flight <= self._capacity
        return now

    def _delay_s(self, me: _Waiter) -> float:
        """Return how long `me` must wait; without end while others must act first."""
        if self._in_flight >= self._capacity:
            return inf
        first = self._first()
        if first is not None and first is not me:
            # Time alone can make somebody else the first: nobody but us would tell them.
            first.wake.set()
            return inf
        return self._ready_at(me) - anyio.current_time()

    def _first(self) -> _Waiter | None:
        """Choose who goes next: of those who can go soonest the most urgent, then the oldest."""
        soonest = max(anyio.current_time(), self.pace.ready_at())
        held_up: list[_Waiter] = []
        for waiter in self._waiters:
            if self._ready_at(waiter) <= soonest:
                return waiter
            held_up.append(waiter)
        return min(held_up, key=self._ready_at, default=None)

    def _ready_at(self, waiter: _Waiter) -> float:
        meter = self._meters.get(waiter.endpoint)
        return max(self.pace.ready_at(), meter.ready_at()) if meter else self.pace.ready_at()

    def _wake_first(self) -> None:
        first = self._first()
        if first is not None:
            first.wake.set()
