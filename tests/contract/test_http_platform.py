"""The contract over real HTTP on loopback: the real transport against the served simulator.

Time on the event loop is real time and, on top, what a test skips: nothing here waits for it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from fleetdeploy.baidu.client import BaiduPlatform
from fleetdeploy.baidu.http import TOTAL_S, HttpTransport
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.server import serve
from fleetdeploy.simulator.world import World
from tests.contract.platform_contract import PlatformContract
from tests.contract.stage import APP, OTHER, RenewedTokens, Stage, Stages

SPINS = 100_000
"""Turns of the event loop within which a request arrives; some hundred are enough."""


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be put forward."""

    skipped_s = 0.0

    def time(self) -> float:
        return super().time() + self.skipped_s


def _loop() -> SkippingLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SkippingLoop)
    return loop


async def skip(seconds: float) -> None:
    _loop().skipped_s += seconds
    await anyio.lowlevel.checkpoint()


async def skip_a_wait(world: World) -> None:
    """As soon as a request has arrived, skip what a client waits, and the slow answer too."""
    before = world.traffic.total
    for _ in range(SPINS):
        if world.traffic.total > before:
            break
        await anyio.lowlevel.checkpoint()
    await skip(TOTAL_S + 5.0)
    # The client gives up before the server's answer comes due.
    for _ in range(SPINS):
        if world.traffic.in_flight == 0:
            return
        await anyio.lowlevel.checkpoint()
        await skip(0.01)
    raise AssertionError("the slow answer never ended")


@asynccontextmanager
async def _address(world: World, *, reachable: bool) -> AsyncIterator[str]:
    """Serve a world; or yield an address where nobody is any more."""
    async with serve(world) as url:
        if reachable:
            yield url
            return
    yield url


@asynccontextmanager
async def http_stage(scenario: Scenario, *, reachable: bool = True) -> AsyncIterator[Stage]:
    world = World.from_scenario(scenario, [APP, OTHER])
    began = _loop().time()
    async with (
        _address(world, reachable=reachable) as url,
        HttpTransport(url) as transport,
    ):

        async def hasten() -> None:
            await skip_a_wait(world)

        yield Stage(
            world=world,
            client=BaiduPlatform(transport, RenewedTokens(world)),
            advance=skip,
            hasten=hasten,
            now=lambda: _loop().time() - began,
        )


class TestHttpPlatform(PlatformContract):
    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, object]]:
        return "asyncio", {"loop_factory": SkippingLoop}

    @pytest.fixture
    def stages(self) -> Stages:
        return http_stage
