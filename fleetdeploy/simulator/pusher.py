"""The courier: brings the platform's pushes to a receiver, in virtual time if need be.

Knows only anyio. What is pushed and when, and which accidents happen, is `pushes.py`'s to say.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import anyio
from anyio.abc import TaskGroup

from fleetdeploy.simulator.pushes import Posting
from fleetdeploy.simulator.world import World

IN_FLIGHT: Final = 32
"""Posts at once."""
_NAP_MIN_S: Final = 0.001
"""Sleeping until a moment may end a rounding error before it."""

Post: TypeAlias = Callable[[bytes], Awaitable[bool]]
"""Posts a body; true where the receiver answered status 200 with exactly `success`."""


async def deliver(
    world: World,
    post: Post,
    *,
    clock: Callable[[], float] = anyio.current_time,
    in_flight: int = IN_FLIGHT,
) -> None:
    """Deliver the pushes of a world, each when it is due, until cancelled.

    `clock` is that of the wire. One courier at a time; while there is none, nothing is tried.
    If cancelled: what was under way counts as not taken, and the next courier tries it again.
    """
    assert world.pushes.on_news is None, "a world has one courier at a time"
    assert in_flight > 0, "a courier carries something"
    courier = _Courier(world, post, clock, in_flight)
    world.pushes.on_news = courier.ring
    try:
        async with anyio.create_task_group() as tasks:
            await courier.run(tasks)
    finally:
        world.pushes.on_news = None
        courier.give_back()


class _Courier:
    def __init__(
        self, world: World, post: Post, clock: Callable[[], float], in_flight: int
    ) -> None:
        self._world = world
        self._post = post
        self._clock = clock
        self._in_flight = in_flight
        self._flying: set[Posting] = set()
        self._rung = anyio.Event()

    def ring(self) -> None:
        self._rung.set()

    def give_back(self) -> None:
        for posting in self._flying:
            self._world.pushes.answered(posting, self._clock(), taken=False)

    async def run(self, tasks: TaskGroup) -> None:
        while True:
            self._rung = anyio.Event()
            free = self._in_flight - len(self._flying)
            for posting in self._world.pushes_due(self._clock(), most=free):
                self._flying.add(posting)
                tasks.start_soon(self._carry, posting)
            await self._rest()

    async def _rest(self) -> None:
        """Sleep until something is due or new, or until a hand is free."""
        if len(self._flying) >= self._in_flight:
            await self._rung.wait()
            return
        now = self._clock()
        with anyio.move_on_after(max(_NAP_MIN_S, self._world.next_push_at(now) - now)):
            await self._rung.wait()

    async def _carry(self, posting: Posting) -> None:
        taken = await self._post(self._world.pushes.body(posting))
        self._flying.discard(posting)
        self._world.pushes.answered(posting, self._clock(), taken=taken)
        self.ring()
