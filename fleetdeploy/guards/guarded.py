"""A platform that is never hammered: one pace, one capacity, bounded retries, for every call."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

import anyio

from fleetdeploy.errors import RateLimited, Remedy
from fleetdeploy.guards.pacer import Pacer
from fleetdeploy.guards.retry import RetryLimits, call_with_retries
from fleetdeploy.model import AuditNote, Bundle, Package
from fleetdeploy.ports import Platform

T = TypeVar("T")

_READ = frozenset({Remedy.WAIT, Remedy.REFRESH, Remedy.RETRY, Remedy.RECONCILE})
"""A read may be repeated whatever became of it."""
_CHANGE = frozenset({Remedy.WAIT, Remedy.REFRESH})
"""A change is repeated here only when its rate or its token was refused, which proves that it had
no effect; all else is the engine's."""


class GuardedPlatform:
    """Wraps a `Platform` and is one: every try of every call waits for its turn at the pacer."""

    def __init__(
        self, platform: Platform, pacer: Pacer, *, rng: Random, limits: RetryLimits | None = None
    ) -> None:
        self._platform = platform
        self._pacer = pacer
        self._rng = rng
        self._limits = limits or RetryLimits()

    async def packages(self, app_id: str) -> tuple[Package, ...]:
        return await self.read("packages", lambda: self._platform.packages(app_id))

    async def upload(self, app_id: str, bundle: Bundle) -> None:
        await self._change("upload", lambda: self._platform.upload(app_id, bundle))

    async def submit_audit(self, app_id: str, package_id: str, note: AuditNote) -> None:
        await self._change(
            "submit_audit", lambda: self._platform.submit_audit(app_id, package_id, note)
        )

    async def release(self, app_id: str, package_id: str) -> None:
        await self._change("release", lambda: self._platform.release(app_id, package_id))

    async def rollback(self, app_id: str, package_id: str) -> None:
        await self._change("rollback", lambda: self._platform.rollback(app_id, package_id))

    async def withdraw(self, app_id: str, package_id: str) -> None:
        await self._change("withdraw", lambda: self._platform.withdraw(app_id, package_id))

    async def read(self, endpoint: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make any read under the same pace, capacity and retries."""
        return await self._guard(endpoint, call, _READ, urgent=False)

    async def _change(self, endpoint: str, call: Callable[[], Awaitable[None]]) -> None:
        await self._guard(endpoint, call, _CHANGE, urgent=True)

    async def _guard(
        self,
        endpoint: str,
        call: Callable[[], Awaitable[T]],
        again: frozenset[Remedy],
        *,
        urgent: bool,
    ) -> T:
        async def once() -> T:
            async with self._pacer.turn(endpoint, urgent=urgent) as sent_at:
                return await self._learn(sent_at, call)

        return await call_with_retries(once, again=again, limits=self._limits, rng=self._rng)

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
