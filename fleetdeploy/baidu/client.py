"""The platform as the engine sees it: one method, one call, over a transport and a token source.

Neither paces nor repeats: the guards around it do, also after a refused token.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from fleetdeploy.baidu import wire
from fleetdeploy.baidu.calls import Line
from fleetdeploy.baidu.errno import own_error
from fleetdeploy.baidu.replies import without_secret
from fleetdeploy.errors import ClientMustAct, TokenRefused
from fleetdeploy.model import AppInfo, AuditNote, AuditQuota, Bundle, Package
from fleetdeploy.ports import Call, TokenSource
from fleetdeploy.transport import Reply, Request, Transport

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

RELATION_GONE: Final = "platform.authorization_missing"


class BaiduPlatform:
    """`Platform` and `Inspector` over one `Transport`.

    It takes the token that the source has at hand; whoever calls has prepared it. A refused one,
    and one whose app is said to be no longer authorized, raises `TokenRefused`, and the source is
    told. `on_call` hears of each request as it ended; it must return at once and never raise.
    """

    def __init__(
        self,
        transport: Transport,
        tokens: TokenSource,
        *,
        on_call: Callable[[Call], None] | None = None,
    ) -> None:
        self._line = Line(transport, on_call)
        self._tokens = tokens

    async def packages(self, app_id: str) -> tuple[Package, ...]:
        return await self._perform(app_id, wire.packages())

    async def audit_quota(self, app_id: str) -> AuditQuota:
        return await self._perform(app_id, wire.audit_quota())

    async def upload(self, app_id: str, bundle: Bundle) -> None:
        await self._perform(app_id, wire.upload(bundle))

    async def submit_audit(self, app_id: str, package_id: str, note: AuditNote) -> None:
        await self._perform(app_id, wire.submit_audit(package_id, note))

    async def release(self, app_id: str, package_id: str) -> None:
        await self._perform(app_id, wire.release(package_id))

    async def rollback(self, app_id: str, package_id: str) -> None:
        await self._perform(app_id, wire.rollback(package_id))

    async def withdraw(self, app_id: str, package_id: str) -> None:
        await self._perform(app_id, wire.withdraw(package_id))

    async def package_detail(self, app_id: str, package_id: str | None) -> Package:
        return await self._perform(app_id, wire.package_detail(package_id))

    async def app_info(self, app_id: str) -> AppInfo:
        return await self._perform(app_id, wire.app_info())

    async def _perform(self, app_id: str, operation: wire.Operation[T]) -> T:
        """Make the call with the token at hand, and tell the source if it was refused."""
        token = self._tokens.token(app_id)
        if token is None:
            raise own_error("auth.no_token", f"app {app_id}")
        call = _Bound(
            operation.endpoint,
            app_id,
            operation.changes,
            operation.request(token),
            lambda reply: operation.read(without_secret(reply, token)),
        )
        try:
            return await self._line.perform(call)
        except (TokenRefused, ClientMustAct) as error:
            refusal = _refusal_in(error)
            if refusal is None:
                raise
        self._tokens.refused(app_id, refusal, token)
        raise refusal


def _refusal_in(error: TokenRefused | ClientMustAct) -> TokenRefused | None:
    """Return the refusal of a token that an error is, or may be: None for all else.

    Where the relation is said to be gone (50032, 45002), another token may show that it is not, and
    getting one finds out (platform-api.md 3, 5.4).
    """
    if isinstance(error, TokenRefused):
        return error
    if error.code != RELATION_GONE:
        return None
    return TokenRefused(
        error.code, error.message, hint=error.hint, errno=error.errno, msg=error.msg
    )


@dataclass(frozen=True, slots=True)
class _Bound(Generic[T_co]):
    """An operation with the token that it goes with."""

    endpoint: str
    app_id: str
    changes: bool
    request: Request
    read: Callable[[Reply], T_co] = field(repr=False)
