"""The real command line in processes that end themselves, by SIGKILL, at a named point.

It is a nursery (`tests/e2e/nursery.py`) whose children watch the calls that a crash may fall
between: those that make bytes durable, and the requests. This is the one place where functions of
`os` are replaced, in these processes alone; they are replaced before anything is loaded that keeps
one. Two variables arm a child: `DIES_AT` names the point and how often it is passed, as in
`after fdatasync:3`, and `CLOCK_AHEAD_S` is by how much its clock on the wall is wrong.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from aiohttp import ClientResponse
from aiohttp.connector import Connection
from anyio.lowlevel import checkpoint

if TYPE_CHECKING:
    from fleetdeploy.baidu.http import HttpTransport
    from fleetdeploy.transport import Reply, Request

Send: TypeAlias = "Callable[[HttpTransport, Request], Coroutine[None, None, Reply]]"
Start: TypeAlias = "Callable[[ClientResponse, Connection], Coroutine[None, None, ClientResponse]]"

DIES_AT: Final = "DIES_AT"
CLOCK_AHEAD_S: Final = "CLOCK_AHEAD_S"

CALLS: Final = ("fdatasync", "fsync", "replace", "ftruncate")
"""What makes bytes and names durable: the first is the journal's, the others are for all else."""
WRITES: Final = ("before write", "within write", "after write")
"""Of the journal; within means that half of the bytes are in the file."""
REQUESTS: Final = tuple(
    f"{where} {what}"
    for what in ("look", "change")
    for where in ("before", "sent", "answered", "after")
)
"""A look is a GET and a change a POST. One that is sent has left, and nothing of its answer is
read; answered means that the answer begins to arrive; after it, it is whole and not yet used."""
POINTS: Final = (
    *(f"{where} {call}" for call in CALLS for where in ("before", "after")),
    *WRITES,
    *REQUESTS,
)


class Doom:
    """Counts how often the point that is armed was passed, and ends the process there."""

    def __init__(self) -> None:
        self._point = ""
        self._left = 0

    def arm(self, text: str) -> None:
        point, _, nth = text.partition(":")
        assert point in POINTS
        self._point, self._left = point, int(nth)

    def is_near(self, point: str) -> bool:
        """Say whether the next time that this point is passed is the last."""
        return point == self._point and self._left == 1

    def passes(self, point: str) -> None:
        if point != self._point:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


DOOM: Final = Doom()


def replace_calls() -> None:
    """Let the calls of the system pass their points; before anything of ours is loaded."""
    for name in CALLS:
        setattr(os, name, _passing(getattr(os, name), name))
    os.write = partial(_write, os.write)


def _passing(call: Callable[..., object], name: str) -> Callable[..., object]:
    def passing(*arguments: object) -> object:
        DOOM.passes(f"before {name}")
        result = call(*arguments)
        DOOM.passes(f"after {name}")
        return result

    return passing


def _write(write: Callable[..., int], descriptor: int, data: memoryview) -> int:
    if not Path(f"/proc/self/fd/{descriptor}").readlink().name.endswith("journal.jsonl"):
        return write(descriptor, data)
    DOOM.passes("before write")
    if DOOM.is_near("within write"):
        write(descriptor, data[: len(data) // 2])
    DOOM.passes("within write")
    written = write(descriptor, data)
    DOOM.passes("after write")
    return written


def replace_sending() -> None:
    """Let requests pass their points."""
    from fleetdeploy.baidu.http import HttpTransport  # noqa: PLC0415 - the system's calls are first

    HttpTransport.send = _sending(HttpTransport.send)  # type: ignore[method-assign, assignment]
    ClientResponse.start = _awaiting(ClientResponse.start)  # type: ignore[method-assign, assignment]


def _sending(send: Send) -> Send:
    async def sending(transport: "HttpTransport", request: "Request") -> "Reply":
        what = _what(request.method)
        DOOM.passes(f"before {what}")
        reply = await send(transport, request)
        DOOM.passes(f"after {what}")
        return reply

    return sending


def _awaiting(start: Start) -> Start:
    async def awaiting(response: ClientResponse, connection: Connection) -> ClientResponse:
        what = _what(response.method)
        # A body is written by a task of its own, which is as good as done once it had its turn.
        await checkpoint()
        DOOM.passes(f"sent {what}")
        begun = await start(response, connection)
        DOOM.passes(f"answered {what}")
        return begun

    return awaiting


def _what(method: str) -> str:
    return "change" if method == "POST" else "look"


def arm() -> None:
    """Read in a child what it is to live with."""
    if point := os.environ.get(DIES_AT):
        DOOM.arm(point)
    if ahead := os.environ.get(CLOCK_AHEAD_S):
        _set_clock(timedelta(seconds=float(ahead)))


def _set_clock(ahead: timedelta) -> None:
    from fleetdeploy.cli.process import SystemClock  # noqa: PLC0415 - the calls come before

    now = SystemClock.now

    def wrong(clock: SystemClock) -> datetime:
        return now(clock) + ahead

    SystemClock.now = wrong  # type: ignore[method-assign, assignment]


def main() -> None:
    replace_calls()
    replace_sending()
    from tests.e2e.nursery import serve  # noqa: PLC0415 - it loads everything of ours

    serve(socket.socket(fileno=int(sys.argv[1])), arm)


if __name__ == "__main__":
    main()
