"""Nights in which the platform, or a service of it, is out: apps wait, and nobody fails."""

from collections import Counter
from collections.abc import Iterator
from random import Random

import anyio
import pytest

from fleetdeploy.core.records import (
    OutageBegan,
    OutageEnded,
    RunStopped,
    StepStarted,
    StopReason,
)
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.rules import WaveRule
from fleetdeploy.model import Phase, Service, Step
from fleetdeploy.simulator.behaviour import Behaviour
from fleetdeploy.simulator.scenario import Scenario
from tests.simulator.checkers import check
from tests.simulator.harness import EPOCH, Night, make_night

pytestmark = pytest.mark.anyio

HOUR_S = 3600.0
CALM = Behaviour(effect_delay_s=3.0, build_s=(1.0, 5.0), audit_s=(60.0, 600.0))
LONGEST_PROBE_S = 120.0
SHORTEST_LAST_PROBE_S = 60.0


def night_out(
    apps: int, service: Service, *, from_s: float, lasts_s: float, **changes: object
) -> Night:
    """Return a night in which a service is out for a while."""
    outages = [{"service": str(service), "from_s": from_s, "lasts_s": lasts_s}]
    behaviour = changes.pop("behaviour", CALM)
    scenario = Scenario.model_validate({"behaviour": behaviour, "outages": outages})
    return make_night(apps, scenario=scenario, **changes)


def told(night: Night) -> list[tuple[type, Service]]:
    """The records of outages, in their order."""
    records = (entry.record for entry in night.entries())
    return [(type(r), r.service) for r in records if isinstance(r, OutageBegan | OutageEnded)]


def sent_between(night: Night, from_s: float, until_s: float) -> list[str]:
    return [sent.endpoint for sent in night.witness.sent if from_s <= sent.at < until_s]


def tries_of(night: Night, step: Step) -> Iterator[int]:
    for entry in night.entries():
        if isinstance(entry.record, StepStarted) and entry.record.step is step:
            yield entry.record.attempt


async def finish(night: Night, apps: int) -> None:
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: apps}
    state = night.replayed()
    assert not state.failing
    assert not state.causes


@pytest.mark.slow
async def test_two_hours_without_the_platform_fail_no_app_and_cost_the_probes_alone() -> None:
    night = night_out(60, Service.PLATFORM, from_s=100.0, lasts_s=2 * HOUR_S)
    await finish(night, 60)
    assert told(night) == [(OutageBegan, Service.PLATFORM), (OutageEnded, Service.PLATFORM)]
    (outage,) = night.replayed().outages
    assert outage.until is not None
    # It is found out once looks have had their tries; then one look is sent for each probe.
    began_s = (outage.since - EPOCH).total_seconds()
    assert began_s < 100.0 + 20.0
    during = sent_between(night, began_s + 5.0, 100.0 + 2 * HOUR_S)
    assert set(during) == {"packages"}
    assert len(during) <= 2 * HOUR_S / SHORTEST_LAST_PROBE_S
    assert len(night.world.effects) == 3 * 60


@pytest.mark.slow
async def test_the_fleet_goes_on_within_one_probe_of_the_end() -> None:
    night = night_out(50, Service.PLATFORM, from_s=20.0, lasts_s=HOUR_S)
    await finish(night, 50)
    (outage,) = night.replayed().outages
    assert outage.until is not None
    late_s = (outage.until - EPOCH).total_seconds() - (20.0 + HOUR_S)
    assert 0.0 <= late_s <= LONGEST_PROBE_S + 2.0


@pytest.mark.slow
@pytest.mark.parametrize("apps", [1, 2, 30])
@pytest.mark.parametrize(
    ("service", "from_s"),
    [(Service.UPLOAD, 0.0), (Service.BUILD, 1.0), (Service.AUDIT, 0.0), (Service.RELEASE, 0.0)],
)
async def test_an_hour_without_one_service_fails_no_app(
    apps: int, service: Service, from_s: float
) -> None:
    night = night_out(apps, service, from_s=from_s, lasts_s=1.5 * HOUR_S)
    await finish(night, apps)
    assert told(night) == [(OutageBegan, service), (OutageEnded, service)]


@pytest.mark.slow
async def test_an_outage_that_only_two_canaries_can_meet_fails_neither() -> None:
    night = night_out(10, Service.RELEASE, from_s=50.0, lasts_s=HOUR_S)
    await finish(night.waved(WaveRule(name="canary"), WaveRule(name="rest"), sizes=[2]), 10)


async def test_what_is_built_goes_on_while_no_more_can_be_built() -> None:
    night = night_out(60, Service.UPLOAD, from_s=1.0, lasts_s=HOUR_S, rate=20.0)
    await finish(night, 60)
    during = sent_between(night, 60.0, HOUR_S)
    assert during.count("release") >= 5
    assert during.count("upload") <= HOUR_S / SHORTEST_LAST_PROBE_S


@pytest.mark.slow
async def test_the_probes_of_one_app_alone_do_not_use_up_its_tries() -> None:
    night = night_out(1, Service.BUILD, from_s=0.0, lasts_s=3 * HOUR_S)
    await finish(night, 1)
    assert max(tries_of(night, Step.UPLOAD)) > night.policy.attempts


@pytest.mark.slow
async def test_an_app_whose_uploads_alone_fail_has_its_bounds_as_ever() -> None:
    """The others get through, so that nothing is out."""
    behaviour = CALM.changed({"audit_s": (6 * HOUR_S, 6 * HOUR_S)})
    scenario = Scenario(behaviour=behaviour, apps={"100000001": {"upload_fail_chance": 1.0}})
    night = make_night(6, scenario=scenario)
    await night.live()
    check(night)
    assert night.phases() == {Phase.FAILED: 1, Phase.RELEASED: 5}
    assert max(tries_of(night, Step.UPLOAD)) == night.policy.attempts
    assert told(night) == []


async def no_wait(night: Night) -> RunState:
    night.wait = False
    state = await night.live()
    check(night)
    assert isinstance(state.stopped, RunStopped)
    assert state.stopped.reason is StopReason.NO_WAIT
    return state


@pytest.mark.parametrize(
    ("service", "looks", "uploads"),
    [(Service.PLATFORM, 1, 0), (Service.UPLOAD, 31, 1), (Service.BUILD, 40, 1)],
)
async def test_a_run_that_does_not_wait_leaves_an_outage_and_its_next_process_only_probes(
    service: Service, looks: int, uploads: int
) -> None:
    """Where reads get through each app is looked at once, as ever."""
    night = night_out(30, service, from_s=0.0, lasts_s=HOUR_S)
    await no_wait(night)
    assert anyio.current_time() < 300.0
    before = len(night.witness.sent)
    await no_wait(night)
    sent = Counter(one.endpoint for one in night.witness.sent[before:])
    assert sent["packages"] <= looks
    assert sent["upload"] == uploads
    await anyio.sleep(HOUR_S)
    night.wait = True
    await finish(night, 30)


async def test_a_run_that_does_not_wait_goes_on_with_all_apps_once_its_probe_got_through() -> None:
    night = night_out(30, Service.BUILD, from_s=0.0, lasts_s=HOUR_S)
    await no_wait(night)
    await anyio.sleep(HOUR_S)
    await no_wait(night)
    assert night.phases() == {Phase.AUDITING: 30}


@pytest.mark.parametrize("service", [Service.PLATFORM, Service.BUILD])
async def test_a_deadline_ends_a_run_in_an_outage(service: Service) -> None:
    night = night_out(12, service, from_s=0.0, lasts_s=2 * HOUR_S, deadline_s=HOUR_S)
    state = await night.live()
    check(night)
    assert state.stopped is not None
    assert state.stopped.reason is StopReason.DEADLINE
    assert anyio.current_time() <= HOUR_S + night.grace_s


@pytest.mark.slow
@pytest.mark.parametrize("service", [Service.PLATFORM, Service.BUILD, Service.RELEASE])
async def test_kills_in_an_outage_change_nothing(service: Service) -> None:
    night = night_out(15, service, from_s=0.5, lasts_s=2 * HOUR_S)
    rng = Random(7)
    for _ in range(12):
        assert await night.live_until(rng.uniform(60.0, 900.0)) is None
    await finish(night, 15)
    assert told(night) == [(OutageBegan, service), (OutageEnded, service)]
