"""A platform that is never hammered: one pace, one capacity, bounded retries, for every call."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fleetdeploy.errors import Remedy
from fleetdeploy.guards.paced import Paced
from fleetdeploy.model import AuditNote, AuditQuota, Bundle, Package
from fleetdeploy.ports import Platform, TokenSource

T = TypeVar("T")

_READ = frozenset({Remedy.WAIT, Remedy.REFRESH, Remedy.RETRY, Remedy.RECONCILE})
"""A read may be repeated whatever became of it."""
_CHANGE = frozenset({Remedy.WAIT, Remedy.REFRESH})
"""A change is repeated here only when its rate or its token was refused, which proves that it had
no effect; all else is the engine's."""


class GuardedPlatform:
    """Wraps a `Platform` and is one: every try of every call waits for its turn at the pacer.

    Before each try the app's token is prepared.
    """

    def __init__(self, platform: Platform, paced: Paced, tokens: TokenSource) -> None:
        self._platform = platform
        self._paced = paced
        self._tokens = tokens

    async def packages(self, app_id: str) -> tuple[Package, ...]:
        return await self.read("packages", app_id, lambda: self._platform.packages(app_id))

    async def audit_quota(self, app_id: str) -> AuditQuota:
        return await self.read("audit_quota", app_id, lambda: self._platform.audit_quota(app_id))

    async def upload(self, app_id: str, bundle: Bundle) -> None:
        await self._change("upload", app_id, lambda: self._platform.upload(app_id, bundle))

    async def submit_audit(self, app_id: str, package_id: str, note: AuditNote) -> None:
        await self._change(
            "submit_audit", app_id, lambda: self._platform.submit_audit(app_id, package_id, note)
        )

    async def release(self, app_id: str, package_id: str) -> None:
        await self._change("release", app_id, lambda: self._platform.release(app_id, package_id))

    async def rollback(self, app_id: str, package_id: str) -> None:
        await self._change("rollback", app_id, lambda: self._platform.rollback(app_id, package_id))

    async def withdraw(self, app_id: str, package_id: str) -> None:
        await self._change("withdraw", app_id, lambda: self._platform.withdraw(app_id, package_id))

    async def read(self, endpoint: str, app_id: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make any read under the same pace, capacity and retries."""
        return await self._paced.call_as(
            self._tokens, app_id, endpoint, call, again=_READ, urgent=False
        )

    async def _change(
        self, endpoint: str, app_id: str, call: Callable[[], Awaitable[None]]
    ) -> None:
        await self._paced.call_as(self._tokens, app_id, endpoint, call, again=_CHANGE, urgent=True)
