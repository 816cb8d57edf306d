"""Who lends a hand in the console, and requests that arrive after their process has died."""

from random import Random

import anyio
import pytest

from fleetdeploy.model import PackageStatus, Phase
from fleetdeploy.simulator.behaviour import Behaviour
from fleetdeploy.simulator.scenario import Scenario
from tests.simulator.checkers import check, complaints
from tests.simulator.harness import Night, app_ids, make_night
from tests.simulator.people import BY_HAND, Deed, DeedKind, draw_deeds, go_about
from tests.simulator.strays import Strays

pytestmark = pytest.mark.anyio

(APP,) = app_ids(1)
SLOW = Scenario(
    behaviour=Behaviour(effect_delay_s=0.0, build_s=(5.0, 5.0), audit_s=(100.0, 100.0)),
    latency_s=(0.1, 0.1),
)
OURS = {
    DeedKind.SUBMIT_OURS: (PackageStatus.DEVELOPMENT, PackageStatus.IN_AUDIT),
    DeedKind.WITHDRAW_OURS: (PackageStatus.IN_AUDIT, PackageStatus.DEVELOPMENT),
    DeedKind.RELEASE_OURS: (PackageStatus.AUDIT_PASSED, PackageStatus.ONLINE),
}


async def done(night: Night, *kinds: DeedKind) -> list[DeedKind]:
    """Let somebody try each of these right now; return what could be done."""
    now = anyio.current_time()
    await go_about(night.world, [Deed(now, APP, kind) for kind in kinds], night.deeds)
    return [deed.kind for deed in night.deeds.done]


def statuses(night: Night) -> list[int | None]:
    return [row.status for row in night.world.packages(APP, anyio.current_time())]


async def test_people_move_our_package_only_where_it_is() -> None:
    for kind, (before, after) in OURS.items():
        night = make_night(1, scenario=SLOW)
        assert await done(night, *OURS) == []
        row = night.world.add_foreign(APP, BY_HAND.changed({"description": "ours"}), 0.0)
        assert row.package_id is not None
        night.world.move_foreign(APP, row.package_id, before, 0.0)
        assert await done(night, kind) == [kind]
        assert statuses(night) == [after]
        assert night.deeds.between(APP, 0.0, 0.0)
        assert not night.deeds.between(APP, 0.1, 1.0)
        assert night.world.effects == []


async def test_people_delete_ours_and_bring_packages_of_their_own() -> None:
    night = make_night(1, scenario=SLOW)
    await done(night, DeedKind.UPLOAD_THEIRS, DeedKind.SUBMIT_THEIRS, DeedKind.RELEASE_THEIRS)
    assert sorted(statuses(night), key=str) == [1, 3, 4]
    assert DeedKind.DELETE_OURS not in await done(night, DeedKind.DELETE_OURS)
    night.world.add_foreign(APP, BY_HAND.changed({"description": "ours"}), 0.0)
    assert DeedKind.DELETE_OURS in await done(night, DeedKind.DELETE_OURS)
    assert len(statuses(night)) == 3


async def test_what_people_did_unseen_excuses_a_refusal_and_nothing_else_does() -> None:
    """Somebody withdraws what is approved; between our look and our release nobody can know."""
    night = make_night(1, scenario=SLOW)
    with anyio.fail_after(3600.0):
        await withdrawn_as_it_is_released(night)
    assert len(night.world.violations) == 1
    assert complaints(night) == []
    night.deeds.done.clear()
    assert [line.split()[0] for line in complaints(night)] == ["unlawful:"]


def is_releasing(night: Night) -> bool:
    return night.at_work is not None and night.at_work.apps[APP].phase is Phase.RELEASING


async def withdrawn_as_it_is_released(night: Night) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(night.live)
        while not is_releasing(night):  # noqa: ASYNC110  # a night has no events
            await anyio.sleep(0.01)
        (row,) = night.world.packages(APP, anyio.current_time())
        assert row.package_id is not None
        now = anyio.current_time()
        night.world.move_foreign(APP, row.package_id, PackageStatus.DEVELOPMENT, now)
        night.deeds.done.append(Deed(now, APP, DeedKind.WITHDRAW_OURS))


@pytest.mark.parametrize("seed", range(20))
async def test_a_request_that_arrives_after_its_process_died_is_not_sent_again(seed: int) -> None:
    """It is looked for until the settle time is over, and so it is found."""
    night, rng = make_night(3, scenario=SLOW, seed=seed), Random(seed)
    night.deadline_s = 86_400.0
    async with anyio.create_task_group() as world:
        for _ in range(6):
            night.witness.inner = Strays(night.witness.inner, world, rng, late_s=8.0)
            if await night.live_until(rng.uniform(0.5, 20.0), keep=0.0):
                break
        else:
            await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: 3}


@pytest.mark.parametrize(
    ("deed", "end", "longest_s"),
    [
        (DeedKind.DELETE_OURS, Phase.FAILED, 120.0),
        (DeedKind.WITHDRAW_OURS, Phase.CANCELLED, 2000.0),
    ],
)
async def test_a_run_that_does_not_wait_finds_out_what_people_did(
    deed: DeedKind, end: Phase, longest_s: float
) -> None:
    """Each process of a cron job begins its silence anew, so each has to sit it out."""
    for_ever = SLOW.changed({"behaviour": {"audit_s": (1e6, 1e6)}})
    night = make_night(1, scenario=for_ever, wait=False)
    await night.live()
    assert night.phases() == {Phase.AUDITING: 1}
    await done(night, deed)
    await anyio.sleep(60.0)
    with anyio.fail_after(longest_s):
        await night.live()
    assert night.phases() == {end: 1}
    check(night)


async def test_a_stray_goes_on_when_its_sender_is_gone() -> None:
    night, arrived = make_night(1, scenario=SLOW), []

    async with anyio.create_task_group() as world:
        strays = Strays(night.witness.inner, world, Random(1), late_s=5.0)
        night.witness.inner = strays
        with anyio.move_on_after(0.01):
            await night.live()
        arrived.append(night.world.traffic.total)
    arrived.append(night.world.traffic.total)
    assert arrived == [0, 1]


def test_deeds_are_drawn_of_every_kind_and_in_order() -> None:
    drawn = [draw_deeds(Random(seed), [APP]) for seed in range(50)]
    assert {deed.kind for deeds in drawn for deed in deeds} == {*DeedKind}
    assert all(list(d) == sorted(d, key=lambda deed: deed.at_s) for d in drawn)
