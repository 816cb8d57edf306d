"""The platform's side of credentials over a transport: one method, one request.

Keeps no token and no ticket, and neither paces nor repeats; what to do about an error is its
caller's to know.
"""

from collections.abc import Callable

from fleetdeploy.baidu import auth_wire
from fleetdeploy.baidu.calls import Line
from fleetdeploy.baidu.errno import own_error
from fleetdeploy.errors import PlatformError, TokenRefused
from fleetdeploy.model import AuthorizationCode, Grant, PreAuthCode
from fleetdeploy.ports import Call, PushPage, PushWindow, TemplatePage
from fleetdeploy.transport import Transport


class BaiduAuthority:
    """`Authority` over one `Transport`; `client_id` is the third-party platform's key.

    `on_call` hears of each request as it ended; it must return at once and never raise. No error
    holds anything secret that was sent.
    """

    def __init__(
        self,
        transport: Transport,
        client_id: str,
        *,
        on_call: Callable[[Call], None] | None = None,
    ) -> None:
        self._line = Line(transport, on_call)
        self._client_id = client_id

    async def tp_token(self, ticket: str) -> Grant:
        """Make a TP token from a ticket; a refused one is `FleetRefused`."""
        try:
            return await self._line.perform(auth_wire.tp_token(self._client_id, ticket))
        except TokenRefused as error:
            # No token was sent: whoever would now renew the TP token came here to do just that.
            raise _ticket_refused(error) from None

    async def pre_auth_code(self, tp_token: str) -> PreAuthCode:
        return await self._line.perform(auth_wire.pre_auth_code(tp_token))

    async def exchange(self, tp_token: str, code: str) -> Grant:
        return await self._line.perform(auth_wire.exchange_code(tp_token, code))

    async def refresh(self, tp_token: str, refresh_token: str) -> Grant:
        return await self._line.perform(auth_wire.refresh_token(tp_token, refresh_token))

    async def retrieve_code(self, tp_token: str, app_id: str) -> AuthorizationCode:
        return await self._line.perform(auth_wire.retrieve_code(tp_token, app_id))

    async def templates(self, tp_token: str, page: int) -> TemplatePage:
        return await self._line.perform(auth_wire.templates(tp_token, page))

    async def pushes(self, tp_token: str, window: PushWindow) -> PushPage:
        return await self._line.perform(auth_wire.pushes(tp_token, window))


def _ticket_refused(refusal: TokenRefused) -> PlatformError:
    error = own_error("platform.ticket_refused", changes=False)
    error.errno, error.msg = refusal.errno, refusal.msg
    return error
