"""One call over a transport: send it, read the answer, and report how it ended.

Knows no endpoint and no token; neither paces nor repeats.
"""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import anyio

from fleetdeploy.baidu.errno import for_read
from fleetdeploy.errors import AnswerLost, PlatformError, RateLimited
from fleetdeploy.ports import Call, CallResult
from fleetdeploy.transport import Reply, Request, Transport

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

CANCELLED: Final = "call.cancelled"
"""The code of a call that was given up while it was out."""


class Operation(Protocol[T_co]):
    """What a codec makes of a call: names for the report, the request, and its reader."""

    @property
    def endpoint(self) -> str: ...

    @property
    def app_id(self) -> str: ...

    @property
    def changes(self) -> bool: ...

    @property
    def request(self) -> Request: ...

    @property
    def read(self) -> Callable[[Reply], T_co]: ...


class Line:
    """A transport, and who hears of its calls; `on_call` must return at once and never raise."""

    def __init__(self, transport: Transport, on_call: Callable[[Call], None] | None) -> None:
        self._transport = transport
        self._on_call = on_call

    async def perform(self, operation: Operation[T]) -> T:
        """Make one call and report how it ended, also if it is cancelled."""
        started = anyio.current_time()

        def report(result: CallResult, code: str = "") -> None:
            if self._on_call is not None:
                seconds = anyio.current_time() - started
                self._on_call(
                    Call(str(operation.endpoint), operation.app_id, result, seconds, code)
                )

        reply = await self._send(operation, report)
        try:
            answer = operation.read(reply)
        except PlatformError as error:
            report(_result(error), error.code)
            raise
        report(CallResult.OK)
        return answer

    async def _send(
        self, operation: Operation[object], report: Callable[[CallResult, str], None]
    ) -> Reply:
        try:
            return await self._transport.send(operation.request)
        except anyio.get_cancelled_exc_class():
            report(CallResult.LOST, CANCELLED)
            raise
        except PlatformError as error:
            lost = isinstance(error, AnswerLost)
            report(CallResult.LOST if lost else CallResult.NOT_SENT, error.code)
            raise (error if operation.changes else for_read(error)) from None


def _result(error: PlatformError) -> CallResult:
    """Name how a call ended to which a reply came."""
    if isinstance(error, RateLimited):
        return CallResult.THROTTLED
    return CallResult.LOST if isinstance(error, AnswerLost) else CallResult.REFUSED
