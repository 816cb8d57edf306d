"""What a night did is taken back, through lost answers and kills, and nothing is sent twice."""

from collections.abc import Mapping
from functools import partial
from random import Random

import anyio
import pytest

from fleetdeploy.core.records import StepStarted
from fleetdeploy.model import PackageStatus, Phase, RunKind, Until
from fleetdeploy.simulator.behaviour import Behaviour, ForeignPackage, Unsettled
from fleetdeploy.simulator.faults import Faults, FaultScript
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.storage.memory_journal import Moment
from tests.crash.test_kill_nights import live_through_kills
from tests.simulator.checkers import check, complaints, effects_of
from tests.simulator.harness import FIFTH, Night, app_ids, in_virtual_time, make_night

APPS = 60
WITHOUT = 4
"""Apps that had nothing online before: there is no way back for them."""
BY_HAND: Mapping[str, object] = {"foreign": [{"status": 1, "version": "0.9"}]}
LATER = ForeignPackage(version="11", status=PackageStatus.ONLINE)
SWIFT = Behaviour(effect_delay_s=3.0, build_s=(1.0, 5.0), audit_s=(5.0, 20.0))


def scenario_of(count: int, *, without: int = 0, seed: int = 1, **fields: object) -> Scenario:
    apps = {app_id: dict(BY_HAND) for app_id in app_ids(count)[without:]}
    return Scenario.model_validate({"seed": seed, "behaviour": SWIFT, "apps": apps, **fields})


async def released(count: int, *, without: int = 0, seed: int = 1, **fields: object) -> Night:
    """Roll out to everybody; the first few had nothing online before."""
    night = make_night(count, scenario=scenario_of(count, without=without, seed=seed, **fields))
    await night.live()
    assert night.phases() == {Phase.RELEASED: count}
    return night


async def in_audit(count: int, *, audit_s: tuple[float, float], **fields: object) -> Night:
    """Roll out as far as that; nobody waits for the verdicts."""
    behaviour = SWIFT.changed({"audit_s": audit_s})
    night = make_night(
        count, scenario=Scenario.model_validate({"behaviour": behaviour, **fields}), wait=False
    )
    await night.live()
    assert night.phases() == {Phase.AUDITING: count}
    return night


def after_faults(night: Night, kind: RunKind, script: FaultScript, seed: int) -> Night:
    """Take back on a platform where calls go wrong from now on."""
    faults = Faults(script, seed=seed)
    return night.taken_back(kind, faults=faults, wait=True, seed=seed, journal_latency_s=0.02)


def online_versions(night: Night) -> set[str]:
    return {
        row.version
        for app_id in night.world.app_ids
        for row in night.world.packages(app_id, night.now)
        if row.status == PackageStatus.ONLINE
    }


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.parametrize(("apps", "seed"), [(300, 1)])
async def test_all_apps_go_back_once_each_through_lost_answers_and_kills(
    apps: int, seed: int
) -> None:
    rng = Random(seed)
    first = await released(apps, without=WITHOUT, seed=seed)
    night = after_faults(first, RunKind.ROLLBACK, FIFTH, seed)
    await live_through_kills(night, [rng.uniform(2.0, 20.0) for _ in range(8)], rng)
    check(night)
    assert night.phases() == {Phase.ROLLED_BACK: apps - WITHOUT, Phase.BLOCKED: WITHOUT}
    assert len(effects_of(night)) == apps - WITHOUT
    stuck = {app_id for app_id, phase in night.phase_of().items() if phase is Phase.BLOCKED}
    assert stuck == set(app_ids(apps)[:WITHOUT])
    codes = {app.error.code for app in night.replayed().apps.values() if app.error is not None}
    assert codes == {"rollback.no_way_back"}
    intents = [e.record for e in night.entries() if isinstance(e.record, StepStarted)]
    assert {intent.back_to for intent in intents} == {"0.9"}


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.parametrize(("seed", "to"), [(1, "development"), (2, "gone")])
async def test_all_apps_leave_audit_once_each_through_lost_answers_and_kills(
    seed: int, to: str
) -> None:
    rng = Random(seed)
    first = await in_audit(APPS, audit_s=(5e5, 6e5), unsettled=Unsettled(withdrawn_to=to))
    night = after_faults(first, RunKind.WITHDRAW, FIFTH, seed)
    await live_through_kills(night, [rng.uniform(0.5, 4.0) for _ in range(8)], rng)
    check(night)
    assert night.phases() == {Phase.WITHDRAWN: APPS}
    assert len(effects_of(night)) == APPS


@pytest.mark.anyio
@pytest.mark.slow
async def test_what_went_back_goes_up_again_with_the_same_content() -> None:
    first = await released(20)
    back = first.taken_back(RunKind.ROLLBACK)
    await back.live()
    check(back)
    assert online_versions(back) == {"0.9"}
    again = first.tomorrow()
    await again.live()
    check(again)
    assert again.phases() == {Phase.RELEASED: 20}
    assert online_versions(again) == {"10.30.0.3"}


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.parametrize("late_s", [0.0, 2.0, 5.0, 12.0])
async def test_a_rollout_of_what_is_going_back_waits_until_it_is_gone(late_s: float) -> None:
    """The rollback died; tonight's run comes in whatever state it left the apps."""
    first = await released(20)
    back = first.taken_back(RunKind.ROLLBACK)
    await back.live_until(late_s)
    unsettled = {app.app_id for app in back.replayed().apps.values() if app.unsettled}
    again = first.tomorrow(doubted=frozenset(unsettled))
    await again.live()
    check(again)
    assert set(again.phases()) <= {Phase.RELEASED, Phase.UNCHANGED}
    assert online_versions(again) == {"10.30.0.3"}


@pytest.mark.anyio
@pytest.mark.slow
async def test_withdrawn_content_is_submitted_again_by_the_next_rollout() -> None:
    first = await in_audit(20, audit_s=(500.0, 600.0))
    back = first.taken_back(RunKind.WITHDRAW)
    await back.live()
    check(back)
    again = first.tomorrow(wait=True)
    await again.live()
    check(again)
    assert again.phases() == {Phase.RELEASED: 20}
    assert {effect.kind for effect in effects_of(again)} == {"submit_audit", "release"}


@pytest.mark.anyio
@pytest.mark.slow
async def test_where_somebody_released_since_the_app_is_left_alone() -> None:
    first = await released(4)
    mine = first.world.app_ids[0]
    for app_id in first.world.app_ids[1:]:
        first.world.add_foreign(app_id, LATER, first.now)
    back = first.taken_back(RunKind.ROLLBACK)
    await back.live()
    check(back)
    phases = dict(back.phase_of())
    assert phases.pop(mine) is Phase.ROLLED_BACK
    assert set(phases.values()) == {Phase.UNCHANGED}
    assert [effect.app_id for effect in effects_of(back)] == [mine]
    errors = [app.error for app in back.replayed().apps.values() if app.error]
    assert all("version 11 is online instead" in error.message for error in errors)


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_rollback_that_somebody_began_is_adopted_and_waited_for() -> None:
    first = await released(4)
    for app_id in first.world.app_ids:
        package_id = first.replayed().apps[app_id].package_id
        assert package_id is not None
        first.world.rollback(app_id, int(package_id), first.now)
    await anyio.sleep(3.5)
    back = first.taken_back(RunKind.ROLLBACK)
    await back.live()
    check(back)
    assert back.phases() == {Phase.ROLLED_BACK: 4}
    assert effects_of(back) == []


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_release_that_was_in_doubt_goes_back_once_it_shows() -> None:
    """The rollout died right after its releases left; nothing shows yet when the rollback looks."""
    scenario = scenario_of(6, behaviour=SWIFT.changed({"effect_delay_s": 8.0}))
    first = make_night(6, scenario=scenario)

    async def kill_in_time() -> None:
        while sum(effect.kind == "release" for effect in first.world.effects) < 6:  # noqa: ASYNC110  # the world has no events
            await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kill_in_time)
        await first.live()
    assert complaints(first) == []
    back = first.taken_back(RunKind.ROLLBACK)
    await back.live()
    check(back)
    assert set(back.phases()) <= {Phase.ROLLED_BACK}
    assert online_versions(back) == {"0.9"}


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_verdict_that_falls_in_the_middle_of_a_withdrawal_is_told() -> None:
    first = await in_audit(60, audit_s=(10.0, 40.0))
    night = after_faults(first, RunKind.WITHDRAW, FIFTH, 3)
    await night.live()
    found = [line for line in [*complaints(night)] if not line.startswith("unlawful: withdraw")]
    assert found == []
    assert set(night.phases()) <= {
        Phase.WITHDRAWN,
        Phase.UNCHANGED,
        Phase.CANCELLED,
        Phase.FAILED,
    }
    assert night.phases()[Phase.WITHDRAWN] > 0


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_run_that_rests_at_its_approvals_has_nothing_to_take_back() -> None:
    night = make_night(4, scenario=scenario_of(4), until=Until.APPROVED)
    await night.live()
    assert night.phases() == {Phase.APPROVED: 4}
    for kind in (RunKind.ROLLBACK, RunKind.WITHDRAW):
        back = night.taken_back(kind, until=Until.RELEASED)
        await back.live()
        check(back)
        assert back.phases() == {Phase.UNCHANGED: 4}
        assert effects_of(back) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", [RunKind.ROLLBACK, RunKind.WITHDRAW])
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("moment", [*Moment])
def test_a_crash_at_any_append_is_gone_on_from(moment: Moment, keep: bool, kind: RunKind) -> None:
    """Before and after the record is durable, and whether or not the disk kept the bytes."""

    back = kind is RunKind.ROLLBACK
    first = in_virtual_time(lambda: released(3) if back else in_audit(3, audit_s=(5e5, 6e5)))

    async def crash_at(seq: int) -> int:
        night = after_faults(first.copy(), kind, FIFTH, 3)
        crashed = await night.crash_at(seq, moment, keep=keep) is None
        assert complaints(night) == []
        if crashed:
            await night.live()
        check(night)
        assert set(night.phases()) == {Phase.ROLLED_BACK if back else Phase.WITHDRAWN}
        assert len(effects_of(night)) == 3
        return len(night.entries()) if crashed else 0

    seq = 0
    while in_virtual_time(partial(crash_at, seq), start_s=first.now):
        seq += 1
    assert seq > 10  # a header, a wave, and three records an app at least
