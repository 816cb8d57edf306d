"""Hostile bytes on a connection of the receiver: fixed answers come out, and no bug is met.

No socket is needed: the bytes go to the protocol as aiohttp's own loop hands them over, whole and
in two pieces.
"""

import asyncio
import re
from datetime import UTC, datetime
from typing import Final

import anyio.lowlevel
from aiohttp import web

from fleetdeploy.baidu.events import PushReader
from fleetdeploy.model import Push
from fleetdeploy.receiver.connection import Connections
from fleetdeploy.receiver.desk import Desk
from fleetdeploy.receiver.limits import DEFAULT_LIMITS
from fleetdeploy.receiver.results import Kind, Result
from tests.unit.test_envelope import KEYS, NOW

_READER: Final = PushReader(KEYS, max_age_s=600.0)
_TURNS: Final = 20
"""Of the loop, after each piece: far more than its requests take."""
_ANSWER: Final = re.compile(
    rb"HTTP/(?:0\.9|1\.[01]) (100 Continue\r\n\r\n|(200|403|404|429|503) .*?\r\n\r\n)", re.DOTALL
)
_BODIES: Final = (b"success", b"refused\n", b"not found\n", b"not now\n", b"too many\n", b'{"ok":')


class _Clock:
    def now(self) -> datetime:
        return datetime.fromtimestamp(NOW, UTC)


class _Client(asyncio.Transport):
    """The far end of a connection, which keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def try_one(data: bytes) -> str:
    """Hand one input to a connection; return the statuses of the answers."""
    whole = asyncio.run(_answers((data,)))
    pieces = asyncio.run(_answers((data[: len(data) // 2], data[len(data) // 2 :])))
    return f"{whole}, in pieces {pieces}"


async def _answers(pieces: tuple[bytes, ...]) -> str:
    results: list[Result] = []
    desk = Desk(
        _READER.open,
        _taken,
        _Clock(),
        asyncio.get_running_loop().time,
        DEFAULT_LIMITS,
        results.append,
    )
    connections = Connections(desk.answer, DEFAULT_LIMITS, desk.tally)
    client, protocol = _Client(), connections()
    assert isinstance(protocol, web.RequestHandler)
    protocol.connection_made(client)
    for piece in pieces:
        if not client.closed:
            protocol.data_received(piece)
        await _turns()
    if not client.closed:
        protocol.eof_received()
    await _turns()
    protocol.connection_lost(None)
    await _turns()
    await desk.finish(1.0)
    failed = [result.detail for result in results if result.kind is Kind.FAILED]
    assert not failed, f"a bug was met: {failed}"
    return _statuses(bytes(client.written))


async def _turns() -> None:
    for _ in range(_TURNS):
        await anyio.lowlevel.checkpoint()


async def _taken(push: Push) -> None:
    assert push.key


def _statuses(written: bytes) -> str:
    """Read the answers, and fail on whatever is none of the few that are fixed."""
    statuses, place = [], 0
    while found := _ANSWER.match(written, place):
        statuses.append((found[2] or b"100").decode())
        place = found.end()
        if found[2]:
            assert written[place:].startswith(_BODIES), "an answer of another kind"
            ends = written.find(b"HTTP/", place)
            place = len(written) if ends < 0 else ends
    assert place == len(written), "bytes that are no answer"
    return " ".join(statuses) or "silence"
