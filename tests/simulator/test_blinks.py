"""Lists that once leave a package out: one look proves nothing, silence has to last."""

from collections.abc import Callable

import pytest

from fleetdeploy.model import Package, Phase
from fleetdeploy.ports import Platform
from fleetdeploy.simulator.behaviour import Behaviour
from fleetdeploy.simulator.endpoints import Endpoint
from fleetdeploy.simulator.faults import FaultRates, FaultScript
from fleetdeploy.simulator.scenario import Scenario
from tests.simulator.checkers import check
from tests.simulator.harness import make_night
from tests.simulator.test_checkers import Through

LAGGING = Behaviour(effect_delay_s=8.0, build_s=(1.0, 1.0), audit_s=(5.0, 5.0))


class Blinking(Through):
    """Shows nothing at one look of all."""

    def __init__(self, inner: Platform, look: int) -> None:
        super().__init__(inner)
        self.look = look
        self.looks = 0

    async def packages(self, app_id: str) -> tuple[Package, ...]:
        self.looks += 1
        rows = await super().packages(app_id)
        return () if self.looks == self.look else rows


def blink_at(look: int) -> Callable[[Platform], Platform]:
    return lambda platform: Blinking(platform, look)


LOOKS = range(2, 14)
"""The looks of a night that may blink."""


async def blinking_night(scenario: Scenario, look: int) -> None:
    night = make_night(1, scenario=scenario, around_platform=blink_at(look))
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: 1}


@pytest.mark.anyio
@pytest.mark.parametrize("look", LOOKS)
async def test_a_package_that_one_look_leaves_out_is_not_gone(look: int) -> None:
    await blinking_night(Scenario(behaviour=LAGGING), look)


def refused_once(endpoint: Endpoint) -> Scenario:
    """Every other call to an endpoint finds no connection."""
    faults = FaultScript(endpoints={endpoint: FaultRates(not_connected=1.0)}, max_consecutive=1)
    return Scenario(behaviour=LAGGING, faults=faults)


@pytest.mark.anyio
@pytest.mark.parametrize("look", LOOKS)
async def test_nor_after_an_upload_that_did_not_get_through(look: int) -> None:
    await blinking_night(refused_once(Endpoint.UPLOAD), look)


@pytest.mark.anyio
@pytest.mark.parametrize("look", LOOKS)
async def test_nor_after_a_submission_that_did_not_get_through(look: int) -> None:
    await blinking_night(refused_once(Endpoint.SUBMIT_AUDIT), look)


@pytest.mark.anyio
@pytest.mark.parametrize("look", LOOKS)
async def test_nor_after_a_release_that_did_not_get_through(look: int) -> None:
    await blinking_night(refused_once(Endpoint.RELEASE), look)
