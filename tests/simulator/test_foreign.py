"""Somebody else's packages in a rollout: in audit in its way, or released by hand in its place."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from random import Random

import anyio
import pytest

from fleetdeploy.core.decisions import Policy
from fleetdeploy.core.foreign import LeftOnline
from fleetdeploy.core.records import PackageFound, StepStarted, StepSucceeded
from fleetdeploy.model import PackageStatus, Phase, RunKind, Step
from fleetdeploy.simulator.behaviour import Behaviour, ForeignPackage, Unsettled
from fleetdeploy.simulator.faults import FaultScript
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.storage.memory_journal import Moment
from tests.crash.test_kill_nights import live_through_kills
from tests.simulator.checkers import check, complaints, effects_of
from tests.simulator.harness import FIFTH, Night, app_ids, in_virtual_time, make_night, make_target

pytestmark = pytest.mark.slow

APPS = 60
RATE = 10.0
"""Slow enough for so few apps that kills within a minute come in the middle of the work."""
IN_AUDIT: Mapping[str, object] = {"foreign": [{"version": "0.9", "status": 4}]}
SUBMITTED = ForeignPackage(version="8", status=PackageStatus.IN_AUDIT)
RELEASED = ForeignPackage(version="8", status=PackageStatus.ONLINE)
LONG = Behaviour(effect_delay_s=3.0, build_s=(1.0, 5.0), audit_s=(900.0, 1200.0))
SWIFT = Behaviour(effect_delay_s=3.0, build_s=(20.0, 30.0), audit_s=(60.0, 90.0))
WITHDRAW = Policy(foreign_package="withdraw")
OURS = "10.30.0.3"


def in_the_way(count: int, behaviour: Behaviour = LONG, **fields: object) -> Scenario:
    """Everybody has a package of somebody else's in audit."""
    apps = {app_id: dict(IN_AUDIT) for app_id in app_ids(count)}
    return Scenario.model_validate({"behaviour": behaviour, "apps": apps, **fields})


def kinds(night: Night) -> Counter[str]:
    return Counter(effect.kind.value for effect in effects_of(night))


def versions(night: Night, status: PackageStatus) -> Counter[str]:
    return Counter(
        row.version
        for app_id in night.world.app_ids
        for row in night.world.packages(app_id, night.now)
        if row.status == status
    )


def codes(night: Night) -> set[str]:
    return {app.error.code for app in night.replayed().apps.values() if app.error is not None}


# --- in audit ---


@pytest.mark.anyio
@pytest.mark.parametrize(("seed", "to"), [(1, "development"), (2, "gone")])
async def test_every_package_leaves_audit_once_through_lost_answers_and_kills(
    seed: int, to: str
) -> None:
    rng = Random(seed)
    unsettled = Unsettled(withdrawn_to=to, checks_lag=True)
    scenario = in_the_way(APPS, seed=seed, faults=FIFTH, unsettled=unsettled)
    night = make_night(
        APPS, scenario=scenario, policy=WITHDRAW, seed=seed, rate=RATE, journal_latency_s=0.02
    )
    await live_through_kills(night, [rng.uniform(0.5, 12.0) for _ in range(10)], rng)
    check(night)
    assert night.phases() == {Phase.RELEASED: APPS}
    assert kinds(night) == dict.fromkeys(("withdraw", "upload", "submit_audit", "release"), APPS)
    assert versions(night, PackageStatus.ONLINE) == {OURS: APPS}
    assert versions(night, PackageStatus.IN_AUDIT) == {}


async def submitted_later(night: Night) -> None:
    """Let somebody submit a package of theirs for each app while ours is being built."""

    def uploaded(app_id: str) -> bool:
        rows = night.world.packages(app_id, anyio.current_time())
        return any(row.version == OURS for row in rows)

    async def submit() -> None:
        for app_id in night.world.app_ids:
            while not uploaded(app_id):  # noqa: ASYNC110  # the world has no events
                await anyio.sleep(0.5)
            night.world.add_foreign(app_id, SUBMITTED, anyio.current_time())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(submit)
        await night.live()


@pytest.mark.anyio
@pytest.mark.parametrize("faults", [FaultScript(), FIFTH])
async def test_our_own_package_waits_for_the_withdrawal_and_goes_on(faults: FaultScript) -> None:
    """What was uploaded before the other came is what is submitted: nothing goes up again."""
    scenario = Scenario(behaviour=SWIFT.changed({"audit_s": (900.0, 1200.0)}), faults=faults)
    night = make_night(10, scenario=scenario, policy=WITHDRAW)
    await submitted_later(night)
    check(night)
    assert night.phases() == {Phase.RELEASED: 10}
    assert kinds(night) == dict.fromkeys(("withdraw", "upload", "submit_audit", "release"), 10)
    for app_id in night.world.app_ids:
        story = [e.record for e in night.entries() if getattr(e.record, "app_id", "") == app_id]
        (gone,) = [r for r in story if isinstance(r, StepSucceeded) and r.obstacle]
        (back,) = [r for r in story[story.index(gone) :] if isinstance(r, PackageFound)]
        (submitted, *_) = [
            r for r in story if isinstance(r, StepStarted) and r.step is Step.SUBMIT_AUDIT
        ]
        assert back.package_id == submitted.package_id != gone.package_id


@pytest.mark.anyio
async def test_whoever_submits_again_and_again_is_left_alone_in_the_end() -> None:
    night = make_night(1, scenario=in_the_way(1), policy=WITHDRAW)
    (app_id,) = night.world.app_ids

    async def submit_again() -> None:
        while True:
            rows = night.world.packages(app_id, anyio.current_time())
            if not any(row.status == PackageStatus.IN_AUDIT for row in rows):
                night.world.add_foreign(app_id, SUBMITTED, anyio.current_time())
            await anyio.sleep(0.1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(submit_again)
        await night.live()
        tasks.cancel_scope.cancel()
    check(night)
    assert night.phases() == {Phase.BLOCKED: 1}
    assert kinds(night) == {"withdraw": 3}
    assert codes(night) == {"package.foreign_in_audit"}


@pytest.mark.anyio
@pytest.mark.parametrize("errno", [-1024, 40001])
async def test_a_verdict_that_falls_first_clears_the_way_too(errno: int) -> None:
    swift = SWIFT.changed({"audit_s": (5.0, 20.0), "effect_delay_s": 8.0, "build_s": (1.0, 5.0)})
    scenario = in_the_way(
        30, swift, faults=FIFTH, unsettled=Unsettled(wrong_status_errno=errno, checks_lag=False)
    )
    night = make_night(30, scenario=scenario, policy=WITHDRAW, rate=5.0)
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: 30}
    assert 0 < kinds(night)["withdraw"] < 30


@pytest.mark.anyio
async def test_each_app_may_have_a_rule_of_its_own() -> None:
    night = make_night(3, scenario=in_the_way(3), policy=Policy(foreign_package="wait"))
    one, two, three = night.targets
    blocks = replace(two, foreign_package="block")
    night.targets = (replace(one, foreign_package="withdraw"), blocks, three)
    await night.live()
    check(night)
    assert night.phase_of() == {
        one.app_id: Phase.RELEASED,
        two.app_id: Phase.BLOCKED,
        three.app_id: Phase.RELEASED,
    }
    assert [e.app_id for e in effects_of(night) if e.kind == "withdraw"] == [one.app_id]
    assert [e.app_id for e in effects_of(night) if e.kind == "release"] == [
        one.app_id,
        three.app_id,
    ]


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("moment", [*Moment])
def test_a_crash_at_any_append_is_gone_on_from(moment: Moment, keep: bool) -> None:
    """Before and after the record is durable, and whether or not the disk kept the bytes."""

    async def crash_at(seq: int) -> int:
        night = make_night(1, scenario=in_the_way(1, faults=FIFTH, seed=3), policy=WITHDRAW)
        crashed = await night.crash_at(seq, moment, keep=keep) is None
        assert complaints(night) == []
        if crashed:
            await night.live()
        check(night)
        assert night.phases() == {Phase.RELEASED: 1}
        assert kinds(night)["withdraw"] == 1
        return len(night.entries()) if crashed else 0

    seq = 0
    while in_virtual_time(partial(crash_at, seq)):
        seq += 1
    assert seq > 10  # a header, a wave, and nine records at least


# --- online ---


async def released(count: int, scenario: Scenario | None = None) -> Night:
    night = make_night(count, scenario=scenario or Scenario(behaviour=SWIFT))
    await night.live()
    assert night.phases() == {Phase.RELEASED: count}
    return night


def next_night(night: Night, left: LeftOnline, **changes: object) -> Night:
    """Return a rollout of other content; earlier runs left so much online."""
    targets = tuple(
        replace(make_target(app_id, theme="winter", version="10.31"), left_online=left)
        for app_id in night.world.app_ids
    )
    return night.tomorrow(targets=targets, kind=RunKind.ROLLOUT, doubted=frozenset(), **changes)


@pytest.mark.anyio
@pytest.mark.parametrize("overwrite", [False, True])
async def test_a_release_made_by_hand_is_replaced_only_where_that_is_said(
    overwrite: bool,
) -> None:
    first = await released(8)
    for app_id in first.world.app_ids:
        first.world.add_foreign(app_id, RELEASED, first.now)
    night = next_night(first, LeftOnline(ours=OURS), policy=Policy(overwrite_foreign=overwrite))
    await night.live()
    check(night)
    if overwrite:
        assert night.phases() == {Phase.RELEASED: 8}
        assert versions(night, PackageStatus.ONLINE) == {"10.31": 8}
    else:
        assert night.phases() == {Phase.BLOCKED: 8}
        assert codes(night) == {"package.foreign_online"}
        assert versions(night, PackageStatus.ONLINE) == {"8": 8}
        assert effects_of(night) == []


@pytest.mark.anyio
@pytest.mark.parametrize("overwrite", [False, True])
async def test_a_release_made_by_hand_during_our_audit_is_seen_before_ours(
    overwrite: bool,
) -> None:
    first = await released(10)
    night = next_night(first, LeftOnline(ours=OURS), policy=Policy(overwrite_foreign=overwrite))

    async def release_by_hand() -> None:
        await anyio.sleep(60.0)
        for app_id in night.world.app_ids:
            night.world.add_foreign(app_id, RELEASED, anyio.current_time())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(release_by_hand)
        await night.live()
    check(night)
    assert kinds(night)["submit_audit"] == 10
    assert kinds(night)["release"] == (10 if overwrite else 0)
    assert night.phases() == {Phase.RELEASED if overwrite else Phase.BLOCKED: 10}
    assert versions(night, PackageStatus.ONLINE) == {"10.31" if overwrite else "8": 10}


@pytest.mark.anyio
async def test_what_our_rollback_brought_back_is_no_release_made_by_hand() -> None:
    by_hand = {app_id: {"foreign": [{"status": 1, "version": "0.9"}]} for app_id in app_ids(4)}
    first = await released(4, Scenario.model_validate({"behaviour": SWIFT, "apps": by_hand}))
    back = first.taken_back(RunKind.ROLLBACK)
    await back.live()
    check(back)
    left = LeftOnline(ours=OURS, back_to=("0.9",))
    one, *others = back.world.app_ids
    back.world.add_foreign(one, RELEASED, back.now)
    night = next_night(back, left)
    await night.live()
    check(night)
    assert night.phase_of() == {one: Phase.BLOCKED, **dict.fromkeys(others, Phase.RELEASED)}
