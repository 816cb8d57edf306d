"""The platform's side of credentials, under the same pace and capacity as everything else."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fleetdeploy.errors import Remedy
from fleetdeploy.guards.paced import Paced
from fleetdeploy.model import AuthorizationCode, Grant, PreAuthCode
from fleetdeploy.ports import Authority, PushPage, PushWindow, TemplatePage

T = TypeVar("T")

_REPEATABLE = frozenset({Remedy.WAIT, Remedy.RETRY, Remedy.RECONCILE})
"""Of calls that spend nothing. What to do about a refused TP token is its keeper's to know."""
_SPENDING = frozenset({Remedy.WAIT, Remedy.RETRY})
"""Of calls that spend a token or a code: repeated only when certainly nothing came of it."""


class GuardedAuthority:
    """Wraps an `Authority` and is one. Its calls are urgent: others wait for what they bring."""

    def __init__(self, authority: Authority, paced: Paced) -> None:
        self._authority = authority
        self._paced = paced

    async def tp_token(self, ticket: str) -> Grant:
        return await self._repeat("tp_token", lambda: self._authority.tp_token(ticket))

    async def pre_auth_code(self, tp_token: str) -> PreAuthCode:
        return await self._repeat("pre_auth_code", lambda: self._authority.pre_auth_code(tp_token))

    async def exchange(self, tp_token: str, code: str) -> Grant:
        return await self._spend("exchange_code", lambda: self._authority.exchange(tp_token, code))

    async def refresh(self, tp_token: str, refresh_token: str) -> Grant:
        return await self._spend(
            "refresh_token", lambda: self._authority.refresh(tp_token, refresh_token)
        )

    async def retrieve_code(self, tp_token: str, app_id: str) -> AuthorizationCode:
        return await self._repeat(
            "retrieve_code", lambda: self._authority.retrieve_code(tp_token, app_id)
        )

    async def templates(self, tp_token: str, page: int) -> TemplatePage:
        return await self._repeat("templates", lambda: self._authority.templates(tp_token, page))

    async def pushes(self, tp_token: str, window: PushWindow) -> PushPage:
        return await self._repeat("pushes", lambda: self._authority.pushes(tp_token, window))

    async def _repeat(self, endpoint: str, call: Callable[[], Awaitable[T]]) -> T:
        return await self._paced.call(endpoint, call, again=_REPEATABLE, urgent=True)

    async def _spend(self, endpoint: str, call: Callable[[], Awaitable[T]]) -> T:
        return await self._paced.call(endpoint, call, again=_SPENDING, urgent=True)
