"""The simulated platform as a real HTTP server, on loopback unless told otherwise.

A thin shell: what is answered comes from `Api`; this module adds sockets, bounds, and the damage
that faults do to a connection. It logs nothing, as tokens ride in the query string.
"""

import json
from asyncio import get_running_loop
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import parse_qsl

import anyio
from aiohttp import web

from fleetdeploy.core.addresses import is_loopback
from fleetdeploy.errors import SettingsInvalid
from fleetdeploy.simulator.api import Api, Delivery
from fleetdeploy.simulator.faults import FaultKind, Faults
from fleetdeploy.simulator.report import report
from fleetdeploy.simulator.world import World
from fleetdeploy.transport import Request

REPORT_PATH: Final = "/_simulator/report"
MAX_BODY_BYTES: Final = 2 * 1024 * 1024
"""Far above any `ext_json`; no limit is documented (platform-api.md 7)."""
_MAX_FIELDS: Final = 100
_MAX_TIME_SCALE: Final = 1e6
_SHUTDOWN_S: Final = 1.0
"""How long a stop waits for answers under way; slow ones are cut off."""
_FORM: Final = "application/x-www-form-urlencoded"


@asynccontextmanager
async def serve(
    world: World,
    faults: Faults | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    time_scale: float = 1.0,
    expose: bool = False,
) -> AsyncIterator[str]:
    """Serve a world over HTTP while the block runs, and yield its base URL.

    Port 0 takes a free one. The world's time starts at 0 and passes `time_scale` times as fast as
    real time; pace, rate limit, slow answers and the lifetimes of tokens go by real time. A host
    that is not loopback needs `expose`, as the simulator trusts everybody. Raises `SettingsInvalid`
    if it may not or cannot listen there.
    """
    if not expose and not is_loopback(host):
        raise SettingsInvalid(
            f"{host} is reachable from other machines",
            hint="the simulator trusts everybody; listen on 127.0.0.1, or expose it explicitly",
        )
    if not 0 < time_scale <= _MAX_TIME_SCALE:
        raise SettingsInvalid(
            f"a time scale of {time_scale:g} is not between 0 and {_MAX_TIME_SCALE:g}"
        )
    loop = get_running_loop()
    world.time_scale = time_scale
    began = loop.time()
    world.wire.read = lambda: loop.time() - began
    front = _Front(Api(world, faults), time_scale)
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_get(REPORT_PATH, front.report)
    app.router.add_route("*", "/{path:.*}", front.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        yield await _listen(runner, host, port)
    finally:
        # Sockets are closed also where the block is left by cancellation.
        world.wire.read = None
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> str:
    try:
        await web.TCPSite(runner, host, port).start()
    except (OSError, OverflowError) as error:
        raise SettingsInvalid(
            f"cannot listen on {host} port {port}: {error}",
            hint="port 0 takes any free port",
        ) from error
    taken: int = runner.addresses[0][1]
    return f"http://{f'[{host}]' if ':' in host else host}:{taken}"


class _Front:
    """Turns HTTP requests into the api's values, and deliveries into what a socket shows."""

    def __init__(self, api: Api, time_scale: float) -> None:
        self._api = api
        self._time_scale = time_scale

    async def report(self, _: web.Request) -> web.Response:
        text = json.dumps(report(self._api.world), ensure_ascii=False, indent=2)
        return web.Response(text=text + "\n", content_type="application/json")

    async def answer(self, request: web.Request) -> web.StreamResponse:
        with self._api.world.traffic.flight():
            asked = Request(
                request.method, request.path, dict(request.query), await _read_form(request)
            )
            clock = self._api.world.wire.read
            assert clock is not None, "a clock goes as long as the server does"
            real_s = clock()
            delivery = self._api.deliver(asked, real_s * self._time_scale, wire_now=real_s)
            return await self._bring(request, delivery)

    async def _bring(self, request: web.Request, delivery: Delivery) -> web.StreamResponse:
        fault, reply = delivery.fault, delivery.reply
        if fault is not None and fault.kind is FaultKind.SLOW:
            await anyio.sleep(fault.delay_s)
        if fault is not None and fault.kind is FaultKind.CUT_BODY and reply is not None:
            return await _send_half(request, reply.body)
        if reply is None:
            _cut(request)
            return web.Response()
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)


async def _read_form(request: web.Request) -> dict[str, str] | None:
    """Read a urlencoded body of bounded size; a body of another kind counts as none."""
    raw = await request.read()
    if request.content_type != _FORM:
        return None
    try:
        return dict(parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except ValueError:
        return None


async def _send_half(request: web.Request, body: bytes) -> web.StreamResponse:
    """Promise the whole body, send half of it, and hang up."""
    half = web.StreamResponse(headers={"content-type": "application/json; charset=utf-8"})
    half.content_length = len(body)
    # A client that was killed meanwhile has hung up first.
    with suppress(ConnectionResetError):
        await half.prepare(request)
        await half.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return half


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
