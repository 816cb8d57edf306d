"""One call under the pace: a turn for each try, bounded retries, and the pace told how it went."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, TypeVar

import anyio

from fleetdeploy.core.endings import OUTLIVED
from fleetdeploy.errors import NotSent, RateLimited, Remedy
from fleetdeploy.guards.pacer import Pacer
from fleetdeploy.guards.retry import RetryLimits, call_with_retries
from fleetdeploy.ports import TokenSource

T = TypeVar("T")

PREPARATIONS: Final = 3
"""How often a token may run out while its call waits for a turn, before the call is put off."""


class Paced:
    """Makes calls in turns at one pacer; what is said here holds for every try of every call.

    `in_vain` tells while it is no use to try again after trouble: whoever knows sets it.
    """

    def __init__(self, pacer: Pacer, *, rng: Random, limits: RetryLimits | None = None) -> None:
        self._pacer = pacer
        self._rng = rng
        self._limits = limits or RetryLimits()
        self.in_vain: Callable[[], bool] = lambda: False

    async def call(
        self,
        endpoint: str,
        call: Callable[[], Awaitable[T]],
        *,
        again: frozenset[Remedy],
        urgent: bool,
    ) -> T:
        """Await `call` in a turn, again after an error whose remedy is in `again`."""

        async def once() -> T:
            async with self._pacer.turn(endpoint, urgent=urgent) as sent_at:
                return await self._learn(sent_at, call)

        return await self._repeat(once, again)

    async def call_as(
        self,
        tokens: TokenSource,
        app_id: str,
        endpoint: str,
        call: Callable[[], Awaitable[T]],
        *,
        again: frozenset[Remedy],
        urgent: bool,
    ) -> T:
        """Do the same with a token of the app at hand in every turn.

        The token is prepared before the turn, as that may take calls and turns of its own; a turn
        that comes when the token has just run out is given back unused. Raises `NotSent` where
        that goes on: a token that was over before it came is bad luck, and none of the client's.
        """

        async def once() -> T:
            for _ in range(PREPARATIONS):
                await tokens.prepare(app_id)
                async with self._pacer.turn(endpoint, urgent=urgent) as sent_at:
                    if tokens.token(app_id) is not None:
                        return await self._learn(sent_at, call)
            raise NotSent(OUTLIVED.code, f"app {app_id}: {OUTLIVED.meaning}", hint=OUTLIVED.hint)

        return await self._repeat(once, again)

    async def _repeat(self, once: Callable[[], Awaitable[T]], again: frozenset[Remedy]) -> T:
        return await call_with_retries(
            once, again=again, limits=self._limits, rng=self._rng, in_vain=self.in_vain
        )

    async def _learn(self, sent_at: float, call: Callable[[], Awaitable[T]]) -> T:
        """Make the call and tell the pace how it went."""
        pace = self._pacer.pace
        try:
            answer = await call()
        except RateLimited as error:
            now = anyio.current_time()
            pace.refused(sent_at=sent_at, now=now, retry_after_s=error.retry_after_s)
            raise
        pace.succeeded(sent_at=sent_at)
        return answer
