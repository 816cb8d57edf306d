"""Another run takes over: the one before died, or its state directory is lost."""

from dataclasses import dataclass, field
from functools import partial

import anyio
import pytest

from fleetdeploy.core.decisions import Policy
from fleetdeploy.core.records import Entry, StepSucceeded
from fleetdeploy.errors import ClientMustAct
from fleetdeploy.model import AuditNote, Bundle, Package, Phase
from fleetdeploy.simulator.behaviour import Behaviour
from fleetdeploy.simulator.endpoints import Endpoint
from fleetdeploy.simulator.faults import FaultRates, FaultScript
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.storage.memory_journal import Moment
from tests.simulator.checkers import check, complaints, effects_of
from tests.simulator.harness import Crash, Night, make_night
from tests.simulator.test_checkers import Through

APPS = 4
STEPS = ("upload", "submit_audit", "release")
LAGGING = Behaviour(effect_delay_s=8.0, build_s=(1.0, 2.0), audit_s=(5.0, 9.0))
LATE_S = (0.0, 4.0, 60.0)
"""The next run begins at once, while the last call takes effect, or long after."""


def lagging_night(**changes: object) -> Night:
    return make_night(APPS, scenario=Scenario(behaviour=LAGGING), **changes)


def after(night: Night) -> Night:
    """Return the run that takes over, told of the doubts as a plan is."""
    unsettled = (app.app_id for app in night.replayed().apps.values() if app.unsettled)
    return night.tomorrow(doubted=frozenset(unsettled))


async def live_until_sent(night: Night, step: str) -> None:
    """Be killed when one such request has arrived and no answer is there."""

    async def kill_in_time() -> None:
        while not any(effect.kind == step for effect in night.world.effects):  # noqa: ASYNC110  # the world has no events
            await anyio.sleep(0.02)  # shorter than any way back
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kill_in_time)
        await night.live()


async def live_until_answered(night: Night, step: str) -> None:
    """Be killed when one such request has just been acknowledged, and that is on disk."""

    def hook(moment: Moment, entry: Entry) -> None:
        record = entry.record
        if moment is Moment.DURABLE and isinstance(record, StepSucceeded) and record.step == step:
            raise Crash

    with pytest.raises(Crash):
        await night.live(hook=hook)


async def released_once(night: Night) -> None:
    """See the run bring everything online; what the one before had online it leaves alone."""
    await night.live()
    check(night)
    assert set(night.phases()) <= {Phase.RELEASED, Phase.UNCHANGED}
    assert len(night.world.effects) == 3 * APPS


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.parametrize("late_s", LATE_S)
@pytest.mark.parametrize("step", STEPS)
async def test_a_run_that_died_with_a_request_out_is_taken_over_and_nothing_is_sent_twice(
    step: str, late_s: float
) -> None:
    night = lagging_night()
    await live_until_sent(night, step)
    assert complaints(night) == []
    await anyio.sleep(late_s)
    await released_once(after(night))


@pytest.mark.anyio
@pytest.mark.parametrize("late_s", LATE_S)
@pytest.mark.parametrize("step", STEPS)
async def test_a_run_that_died_with_a_request_acknowledged_is_taken_over_and_nothing_is_sent_twice(
    step: str, late_s: float
) -> None:
    """The platform said yes, and its lists do not show it yet."""
    night = lagging_night()
    await live_until_answered(night, step)
    assert complaints(night) == []
    await anyio.sleep(late_s)
    await released_once(after(night))


@dataclass
class Withdrawn(Through):
    """An app cannot be read any more once one such request has been answered."""

    step: str
    apps: set[str] = field(default_factory=set)

    async def packages(self, app_id: str) -> tuple[Package, ...]:
        if app_id in self.apps:
            raise ClientMustAct("platform.authorization_missing", "withdrawn")
        return await super().packages(app_id)

    async def upload(self, app_id: str, bundle: Bundle) -> None:
        await super().upload(app_id, bundle)
        self._answered("upload", app_id)

    async def submit_audit(self, app_id: str, package_id: str, note: AuditNote) -> None:
        await super().submit_audit(app_id, package_id, note)
        self._answered("submit_audit", app_id)

    async def release(self, app_id: str, package_id: str) -> None:
        await super().release(app_id, package_id)
        self._answered("release", app_id)

    def _answered(self, step: str, app_id: str) -> None:
        if step == self.step:
            self.apps.add(app_id)


@pytest.mark.anyio
@pytest.mark.parametrize("step", STEPS)
async def test_an_app_that_could_not_be_looked_at_after_a_step_is_looked_at_by_the_next_run(
    step: str,
) -> None:
    """It ended right after the platform's yes, which its lists do not show yet."""
    night = lagging_night(around_platform=partial(Withdrawn, step=step))
    await night.live()
    assert night.phases() == {Phase.BLOCKED: APPS}
    second = after(night)
    assert second.doubted
    second.around_platform = lambda platform: platform
    await released_once(second)


@pytest.mark.anyio
async def test_a_run_that_does_not_wait_sits_out_a_doubt_however_long_the_settle_time() -> None:
    """It would begin anew in each process, and never come to its end."""
    night = lagging_night(policy=Policy(settle_s=120.0), wait=False)
    await live_until_answered(night, "upload")
    second = after(night)
    await second.live()
    assert complaints(second) == []
    assert second.phases() == {Phase.AUDITING: APPS}


@pytest.mark.anyio
@pytest.mark.parametrize("step", STEPS)
async def test_doubt_is_inherited_by_the_run_after_the_next(step: str) -> None:
    """The run that takes over dies before it has settled anything."""
    night = lagging_night()
    await live_until_sent(night, step)
    second = after(night)
    assert await second.live_until(1.0) is None
    third = after(second)
    assert third.doubted
    await released_once(third)


@pytest.mark.anyio
async def test_a_request_that_never_arrived_is_sent_by_the_run_that_takes_over() -> None:
    lost = FaultScript(endpoints={Endpoint.UPLOAD: FaultRates(request_lost=1.0)}, max_consecutive=1)
    night = make_night(APPS, scenario=Scenario(behaviour=LAGGING, faults=lost))
    assert await night.live_until(1.0) is None
    assert night.world.effects == []
    await released_once(after(night))


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.parametrize("lost_at_s", [9.0, 10.5, 24.0, 80.0, 85.0, 300.0])
async def test_a_run_without_the_state_directory_adopts_what_the_platform_shows(
    lost_at_s: float,
) -> None:
    """Being built, built, in audit, approved, online: whatever is there is gone on with."""
    behaviour = LAGGING.changed({"build_s": (1.0, 30.0), "audit_s": (1.0, 200.0)})
    night = make_night(30, scenario=Scenario(behaviour=behaviour))
    await night.live_until(lost_at_s)
    assert complaints(night) == []
    # What nobody remembers has to be visible at least.
    await anyio.sleep(behaviour.effect_delay_s)
    fresh = night.tomorrow()
    await fresh.live()
    check(fresh)
    assert set(fresh.phases()) <= {Phase.RELEASED, Phase.UNCHANGED}
    assert len(night.world.effects) == 90


@pytest.mark.anyio
async def test_what_is_online_already_is_left_alone_by_a_run_that_remembers_nothing() -> None:
    night = lagging_night()
    await released_once(night)
    fresh = night.tomorrow()
    await fresh.live()
    check(fresh)
    assert fresh.phases() == {Phase.UNCHANGED: APPS}
    assert effects_of(fresh) == []
