"""Requests that outlive their process: what was sent may arrive after its sender has died."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

import anyio
from anyio.abc import TaskGroup

from fleetdeploy.errors import PlatformError
from fleetdeploy.transport import Reply, Request, Transport

LATE_SHARE: Final = 0.3
"""So many requests take their time on the way out."""


@dataclass
class _Carried:
    done: anyio.Event = field(default_factory=anyio.Event)
    reply: Reply | None = None
    error: PlatformError | None = None


@dataclass
class Strays:
    """A transport whose requests are on their way up to `late_s` longer, in the `world`'s tasks.

    If the sender is cancelled the request goes on, and arrives; `outlived` is told.
    """

    inner: Transport
    world: TaskGroup
    rng: Random
    late_s: float
    outlived: Callable[[], None] = lambda: None

    async def send(self, request: Request) -> Reply:
        carried = _Carried()
        late_s = self.rng.uniform(0.0, self.late_s) if self.rng.random() < LATE_SHARE else 0.0
        self.world.start_soon(self._carry, request, late_s, carried)
        try:
            await carried.done.wait()
        finally:
            if not carried.done.is_set():
                self.outlived()
        if carried.error is not None:
            raise carried.error
        assert carried.reply is not None
        return carried.reply

    async def _carry(self, request: Request, late_s: float, carried: _Carried) -> None:
        await anyio.sleep(late_s)
        try:
            carried.reply = await self.inner.send(request)
        except PlatformError as error:
            carried.error = error
        finally:
            carried.done.set()
