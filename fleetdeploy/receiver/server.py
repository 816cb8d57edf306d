"""The receiver of pushes as an HTTP server, on loopback unless told otherwise.

A push is answered with `success` only once it is on the disk, so whatever the platform does not
hear of, it sends again. It speaks plain HTTP: a proxy in front of it has the certificate. It logs
nothing, and opens and stores pushes only through what it is given.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio
from aiohttp import web

from fleetdeploy.errors import SettingsInvalid
from fleetdeploy.ports import WallClock
from fleetdeploy.receiver.connection import Connections
from fleetdeploy.receiver.desk import Desk, OpenPush, TakePush
from fleetdeploy.receiver.limits import DEFAULT_LIMITS, Address, ReceiverLimits
from fleetdeploy.receiver.results import Result, Statistics

_BACKLOG: Final = 512
"""Connections that wait to be accepted: a burst of the whole fleet."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver that listens at `url`."""

    url: str
    _desk: Desk = field(repr=False)

    def statistics(self) -> Statistics:
        return self._desk.statistics()


@asynccontextmanager
async def serve_receiver(
    open_push: OpenPush,
    take: TakePush,
    clock: WallClock,
    address: Address,
    on_result: Callable[[Result], None],
    limits: ReceiverLimits = DEFAULT_LIMITS,
) -> AsyncIterator[Receiver]:
    """Receive pushes while the block runs.

    `take` may be called many times at once. `on_result` must return at once and never raise.
    When the block ends, however it ends, no connection is accepted any more, and what is under way
    gets `stop_within_s` twice: to be answered, and to be stored. A push that is cut off after that
    was not answered with `success`.

    Raises `SettingsInvalid` if it cannot listen there.
    """
    loop = asyncio.get_running_loop()
    desk = Desk(open_push, take, clock, loop.time, limits, on_result)
    connections = Connections(desk.answer, limits, desk.tally)
    runner = web.ServerRunner(connections, shutdown_timeout=limits.stop_within_s)
    await runner.setup()
    try:
        yield Receiver(await _listen(runner, address), desk)
    finally:
        # What is under way is brought to its end also where the block is left by cancellation.
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
            await desk.finish(limits.stop_within_s)


async def _listen(runner: web.ServerRunner, address: Address) -> str:
    host, port = address.host, address.port
    try:
        await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
    except (OSError, OverflowError, UnicodeError) as error:
        raise SettingsInvalid(
            f"cannot listen on {host} port {port}: {error}",
            hint="port 0 takes any free port",
        ) from error
    taken: int = runner.addresses[0][1]
    return f"http://{f'[{host}]' if ':' in host else host}:{taken}"
