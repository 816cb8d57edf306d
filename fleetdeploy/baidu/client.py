"""The platform as the engine sees it: one method, one call, over a transport and a token source.

Neither paces nor repeats: the guards around it do, also after a refused token.
"""

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import anyio

from fleetdeploy.baidu import wire
from fleetdeploy.baidu.errno import for_read, own_error
from fleetdeploy.baidu.replies import without_secret
from fleetdeploy.errors import AnswerLost, PlatformError, RateLimited, TokenRefused
from fleetdeploy.model import AppInfo, AuditNote, AuditQuota, Bundle, Package
from fleetdeploy.ports import Call, CallResult, TokenSource
from fleetdeploy.transport import Transport

T = TypeVar("T")

CANCELLED: Final = "call.cancelled"
"""The code of a call that was given up while it was out."""


class BaiduPlatform:
    """`Platform` and `Inspector` over one `Transport`.

    It takes the token that the source has at hand; whoever calls has prepared it. A refused one
    raises `TokenRefused`, and the source is told. `on_call` hears of each request as it ended; it
    must return at once and never raise.
    """

    def __init__(
        self,
        transport: Transport,
        tokens: TokenSource,
        *,
        on_call: Callable[[Call], None] | None = None,
    ) -> None:
        self._transport = transport
        self._tokens = tokens
        self._on_call = on_call

    async def packages(self, app_id: str) -> tuple[Package, ...]:
        return await self._perform(app_id, wire.packages())

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

    async def audit_quota(self, app_id: str) -> AuditQuota:
        return await self._perform(app_id, wire.audit_quota())

    async def app_info(self, app_id: str) -> AppInfo:
        return await self._perform(app_id, wire.app_info())

    async def _perform(self, app_id: str, operation: wire.Operation[T]) -> T:
        """Make the call with the token at hand, and tell the source if it was refused."""
        token = self._tokens.token(app_id)
        if token is None:
            raise own_error("auth.no_token", f"app {app_id}")
        try:
            return await self._call(app_id, operation, token)
        except TokenRefused as error:
            self._tokens.refused(app_id, error, token)
            raise

    async def _call(self, app_id: str, operation: wire.Operation[T], token: str) -> T:
        """Make one call and report how it ended, also if it is cancelled."""
        request = operation.request(token)
        report = partial(self._report, operation.endpoint, app_id, anyio.current_time())
        try:
            reply = await self._transport.send(request)
        except anyio.get_cancelled_exc_class():
            report(CallResult.LOST, CANCELLED)
            raise
        except PlatformError as error:
            lost = isinstance(error, AnswerLost)
            report(CallResult.LOST if lost else CallResult.NOT_SENT, error.code)
            raise (error if operation.changes else for_read(error)) from None
        try:
            answer = operation.read(without_secret(reply, token))
        except PlatformError as error:
            report(_result(error), error.code)
            raise
        report(CallResult.OK)
        return answer

    def _report(
        self, endpoint: str, app_id: str, started: float, result: CallResult, code: str = ""
    ) -> None:
        if self._on_call is not None:
            seconds = anyio.current_time() - started
            self._on_call(Call(endpoint, app_id, result, seconds, code))


def _result(error: PlatformError) -> CallResult:
    """Name how a call ended to which a reply came."""
    if isinstance(error, RateLimited):
        return CallResult.THROTTLED
    return CallResult.LOST if isinstance(error, AnswerLost) else CallResult.REFUSED
