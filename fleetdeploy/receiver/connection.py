"""One connection of the receiver: aiohttp's own, made silent, bounded and uniform.

Strangers can reach it. What is not HTTP gets the same answer as any push that is refused, nothing
is logged, and whoever sends a head drop by drop, or does not read its answers, is cut off.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from fleetdeploy.receiver.answers import BROKEN, REFUSED, respond
from fleetdeploy.receiver.limits import ReceiverLimits
from fleetdeploy.receiver.results import Kind, Result, Tally, failure

_LINE_BYTES: Final = 8190
_HEADERS: Final = 64
"""The platform sends about ten, and a proxy adds some."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connections(web.Server):
    """Makes a `Connection` of each socket, up to the limit."""

    def __init__(self, handler: Handler, limits: ReceiverLimits, tally: Tally) -> None:
        super().__init__(self._handle)
        self._handler = handler
        self.limits = limits
        self.tally = tally

    def __call__(self) -> web.RequestHandler:
        return Connection(self, self._loop)

    @property
    def crowded(self) -> bool:
        return len(self._connections) > self.limits.connections

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        connection.busy(True)
        try:
            return await self._handler(request)
        finally:
            connection.busy(False)


class Connection(web.RequestHandler):
    """Serves requests of one socket, one after the other."""

    __slots__ = ("_busy", "_head_timer", "_owner")

    def __init__(self, owner: Connections, loop: asyncio.AbstractEventLoop) -> None:
        options: dict[str, Any] = {
            "access_log": None,
            "auto_decompress": False,  # a small body must not become a huge one
            "keepalive_timeout": owner.limits.idle_s,
            "lingering_time": 0.0,  # nobody reads the rest of what was refused
            "max_field_size": _LINE_BYTES,
            "max_headers": _HEADERS,
            "max_line_size": _LINE_BYTES,
        }
        super().__init__(owner, loop=loop, **options)
        self._owner = owner
        self._busy = False
        self._head_timer: asyncio.TimerHandle | None = None

    def busy(self, is_so: bool) -> None:  # noqa: FBT001  a switch
        """Be told when a request of this connection begins and ends."""
        self._busy = is_so
        self._disarm()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._owner.crowded:
            self._owner.tally.add(Result(Kind.THROTTLED, "connections"))
            self._abort()
        else:
            self._arm()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came. A head has to be complete soon after its first byte."""
        if data and not self._busy:
            self._arm()
        try:
            super().data_received(data)
        except Exception:  # noqa: BLE001  a parser that fails on garbage must not fill a log
            self._abort()

    def pause_writing(self) -> None:
        """Cut off a client that has let many answers pile up: all of ours are short."""
        super().pause_writing()
        self._abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is not HTTP as any refusal, and a bug as any bug; without a word of it."""
        del message
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        if status < 500:  # noqa: PLR2004  the sender's fault
            self._owner.tally.add(Result(Kind.REFUSED, "not_http"))
            return respond(request, REFUSED)
        if isinstance(exc, Exception):
            self._owner.tally.add(failure(exc))
        return respond(request, BROKEN)

    def log_debug(self, *_: object, **__: object) -> None: ...

    def log_exception(self, *_: object, **__: object) -> None: ...

    def _arm(self) -> None:
        if self._head_timer is None:
            within_s = self._owner.limits.head_within_s
            self._head_timer = self._loop.call_later(within_s, self._abort)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _abort(self) -> None:
        transport = self.transport
        if transport is not None:
            transport.abort()
