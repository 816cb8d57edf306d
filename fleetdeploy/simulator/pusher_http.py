"""Posts the pushes of a served world to a receiver's URL, on loopback unless told otherwise."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import anyio

from fleetdeploy.core.addresses import is_loopback
from fleetdeploy.errors import SettingsInvalid
from fleetdeploy.simulator.pusher import Post, deliver
from fleetdeploy.simulator.world import World

SUCCESS: Final = b"success"
_TIMEOUT_S: Final = 5.0
"""A receiver has to answer within a second; one that takes this long is as good as down."""


@asynccontextmanager
async def pushing(world: World, url: str, *, expose: bool = False) -> AsyncIterator[None]:
    """Push to a URL while the block runs, inside a `serve` of the same world.

    Raises `SettingsInvalid` if the URL is none, or is another machine's and `expose` is not given.
    """
    _check(url, expose=expose)
    assert world.wire.read is not None, "pushes go by the clock of a server that runs"
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        # A task group would wrap what the block raises.
        task = asyncio.create_task(deliver(world, _post_to(session, url), clock=world.wire.read))
        try:
            yield
        finally:
            task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([task])
            if not task.cancelled():
                task.result()


def _post_to(session: aiohttp.ClientSession, url: str) -> Post:
    headers = {"content-type": "application/json"}

    async def post(body: bytes) -> bool:
        try:
            async with session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as reply:
                return reply.status == HTTPStatus.OK and await _said(reply) == SUCCESS
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    return post


async def _said(reply: aiohttp.ClientResponse) -> bytes:
    """Read an answer as far as it takes to know it."""
    said = b""
    while len(said) <= len(SUCCESS) and (more := await reply.content.read(len(SUCCESS) + 1)):
        said += more
    return said


def _check(url: str, *, expose: bool) -> None:
    try:
        parts = urlsplit(url)
        scheme, host, _ = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host = "", None
    if host is None or scheme not in {"http", "https"}:
        raise SettingsInvalid("the URL to push to does not start with http:// and a host")
    if not expose and not is_loopback(host):
        raise SettingsInvalid(
            f"{host} is another machine",
            hint="the simulator pushes to this machine only, unless it is exposed explicitly",
        )
