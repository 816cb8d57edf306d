"""The contract over the transport within the process, in virtual time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from fleetdeploy.baidu.client import BaiduPlatform
from fleetdeploy.simulator.faults import FaultRates, Faults, FaultScript
from fleetdeploy.simulator.inproc import InprocTransport
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.world import World
from tests.contract.platform_contract import PlatformContract
from tests.contract.stage import APP, OTHER, RenewedTokens, Stage, Stages

NOBODY_THERE = FaultScript(rates=FaultRates(not_connected=1.0), max_consecutive=1000)


@asynccontextmanager
async def inproc_stage(scenario: Scenario, *, reachable: bool = True) -> AsyncIterator[Stage]:
    world = World.from_scenario(scenario, [APP, OTHER])
    transport = InprocTransport(world, None if reachable else Faults(NOBODY_THERE))
    yield Stage(
        world=world,
        client=BaiduPlatform(transport, RenewedTokens(world)),
        advance=anyio.sleep,
        hasten=anyio.lowlevel.checkpoint,  # Virtual time passes by itself.
        now=anyio.current_time,
    )


class TestInprocPlatform(PlatformContract):
    @pytest.fixture
    def stages(self) -> Stages:
        return inproc_stage
