"""Answers HTTP requests: reads a push, has it opened and stored, and only then says `success`.

It knows nothing of how pushes are sealed, and keeps none itself. Whatever is wrong with a push,
the sender gets the same answer: a difference would tell a forger what was right.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from aiohttp import hdrs, web

from fleetdeploy.core.pace import Meter
from fleetdeploy.errors import PushRefused
from fleetdeploy.model import Push
from fleetdeploy.ports import WallClock
from fleetdeploy.receiver.answers import (
    BROKEN,
    NOT_FOUND,
    NOT_NOW,
    REFUSED,
    SUCCESS,
    THROTTLED,
    Answer,
    respond,
)
from fleetdeploy.receiver.limits import ReceiverLimits
from fleetdeploy.receiver.results import Kind, Result, Statistics, Tally, failure

PUSH_PATH: Final = "/push"
HEALTH_PATH: Final = "/health"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

OpenPush = Callable[[bytes, float], Push]
"""Opens a sealed push at a time of day in unix seconds; raises `PushRefused`. It is quick."""
TakePush = Callable[[Push], Awaitable[None]]
"""Stores a push, once however often it comes; durable on return. Raises `StateUnusable`."""


class Desk:
    """Takes pushes over HTTP; `clock` is monotonic."""

    def __init__(
        self,
        open_push: OpenPush,
        take: TakePush,
        wall: WallClock,
        clock: Callable[[], float],
        limits: ReceiverLimits,
        on_result: Callable[[Result], None],
    ) -> None:
        self._open_push = open_push
        self._take = take
        self._wall = wall
        self._clock = clock
        self._limits = limits
        self._meter = Meter(limits.per_second, burst=max(1, int(limits.per_second)))
        self._reading = 0
        # Each stores one push, and outlives its request: what was begun is not cut off half-way.
        self._works: set[asyncio.Task[Result]] = set()
        self.tally = Tally(clock, on_result)

    def statistics(self) -> Statistics:
        return self.tally.statistics(self._reading + len(self._works))

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer one request; the host and what proxies add to it mean nothing."""
        if request.method == hdrs.METH_POST and _is_push(request.path):
            return respond(request, await self._receive(request))
        if request.method == hdrs.METH_GET and request.path == HEALTH_PATH:
            return respond(request, self._health())
        return respond(request, NOT_FOUND)

    async def finish(self, within_s: float) -> None:
        """Wait for what is still being stored; cut off what takes longer than `within_s`.

        What then does not even let itself be cut off, such as a thread that hangs on a disk, is
        left behind after as long again.
        """
        if not self._works:
            return
        _, late = await asyncio.wait(self._works, timeout=within_s)
        for work in late:
            work.cancel()
        if late:
            await asyncio.wait(late, timeout=within_s)

    def _health(self) -> Answer:
        now = self.statistics()
        shown = {
            "ok": now.ok,
            **{kind.value: count for kind, count in now.counts.items()},
            "under_way": now.under_way,
            "last_taken_s": None if now.last_taken_s is None else round(now.last_taken_s, 1),
        }
        return Answer(200 if now.ok else 503, json.dumps(shown) + "\n", "application/json")

    async def _receive(self, request: web.BaseRequest) -> Answer:
        crowded = self._crowded()
        if crowded:
            self.tally.add(Result(Kind.THROTTLED, crowded))
            return THROTTLED
        self._reading += 1
        try:
            body = await self._read(request)
        finally:
            self._reading -= 1
        opened = body if isinstance(body, Result) else self._open(body)
        if isinstance(opened, Result):
            self.tally.add(opened)
            return REFUSED if opened.kind is Kind.REFUSED else BROKEN
        return await self._store(opened)

    def _crowded(self) -> str:
        """Name the bound that is reached, or count the push in and return nothing."""
        if self._reading + len(self._works) >= self._limits.at_once:
            return "at_once"
        now = self._clock()
        if now < self._meter.ready_at():
            return "per_second"
        self._meter.take(now)
        return ""

    async def _read(self, request: web.BaseRequest) -> bytes | Result:
        """Read a body of bounded size in bounded time, whatever its headers promise."""
        if (request.content_length or 0) > self._limits.body_bytes:
            return Result(Kind.REFUSED, "too_large")
        body = bytearray()
        with anyio.move_on_after(self._limits.body_within_s):
            try:
                await _continue(request)
                while chunk := await request.content.readany():
                    body += chunk
                    if len(body) > self._limits.body_bytes:
                        return Result(Kind.REFUSED, "too_large")
            except Exception:  # noqa: BLE001  a reader raises whatever its parser left in it
                return Result(Kind.REFUSED, "cut_off")
            return bytes(body)
        return Result(Kind.REFUSED, "too_slow")

    def _open(self, body: bytes) -> Push | Result:
        try:
            return self._open_push(body, self._wall.now().timestamp())
        except PushRefused as error:
            return Result(Kind.REFUSED, error.reason)
        except Exception as error:  # noqa: BLE001  the sender must not see a bug, nor end us by it
            return failure(error)

    async def _store(self, push: Push) -> Answer:
        work = asyncio.get_running_loop().create_task(self._work(push))
        self._works.add(work)
        work.add_done_callback(self._works.discard)
        await asyncio.wait({work}, timeout=self._limits.answer_within_s)
        if not work.done():
            self.tally.add(Result(Kind.TOO_SLOW))
            return NOT_NOW
        return SUCCESS if work.result().kind is Kind.TAKEN else NOT_NOW

    async def _work(self, push: Push) -> Result:
        try:
            await self._take(push)
        except Exception as error:  # noqa: BLE001  one push that cannot be stored is not the end
            result = failure(error)
            self.tally.not_stored(result)
            return result
        result = Result(Kind.TAKEN)
        self.tally.add(result)
        return result


def _is_push(path: str) -> bool:
    """Whether a path is `/push` or `/push/{name}`; which name it is does not matter."""
    rest = path.removeprefix(PUSH_PATH)
    if rest == path:
        return False
    return not rest or (len(rest) > 1 and rest.rfind("/") == 0)


async def _continue(request: web.BaseRequest) -> None:
    """Tell a sender that waits to be asked for its body to go on; some do above 1 KB."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(_CONTINUE)
