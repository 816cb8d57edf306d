"""A release over what still soaks is held back at the last moment, through kills, until it may."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from fleetdeploy.core.decisions import Policy
from fleetdeploy.core.soaking import Soaking
from fleetdeploy.model import Phase
from fleetdeploy.simulator.faults import Faults
from tests.crash.test_kill_nights import live_through_kills
from tests.simulator.checkers import check, effects_of
from tests.simulator.harness import EPOCH, FIFTH, Night, make_target
from tests.simulator.test_going_back import released

APPS = 20
KEEPS = Policy(protect_rollback=True)


async def watched(until_s: float) -> Night:
    """Roll out; then want other content while half of the apps soak."""
    first = await released(APPS)
    until = EPOCH + timedelta(seconds=until_s)
    targets = []
    for place, target in enumerate(first.targets):
        bundle = target.bundle
        soaks = Soaking(
            run_id="r0", version=bundle.version, fingerprint=bundle.fingerprint, until=until
        )
        wanted = make_target(target.app_id, theme="winter", version="10.31")
        targets.append(replace(wanted, soaking=(soaks,) if place % 2 else ()))
    return first.tomorrow(targets=tuple(targets), policy=KEEPS, seed=3)


@pytest.mark.anyio
@pytest.mark.slow
async def test_who_still_soaks_ends_blocked_and_is_released_by_a_later_run() -> None:
    rng = Random(3)
    night = replace(await watched(until_s=1e6), faults=Faults(FIFTH, seed=3))
    await live_through_kills(night, [rng.uniform(0.5, 4.0) for _ in range(6)], rng)
    check(night)
    assert night.phases() == {Phase.RELEASED: APPS // 2, Phase.BLOCKED: APPS // 2}
    codes = {app.error.code for app in night.replayed().apps.values() if app.error is not None}
    assert codes == {"release.would_lose_way_back"}
    sent: Counter[str] = Counter(effect.kind for effect in effects_of(night))
    assert (sent["upload"], sent["release"]) == (APPS, APPS // 2)
    over = tuple(replace(target, soaking=()) for target in night.targets)
    later = night.tomorrow(targets=over, seed=4)
    await later.live()
    check(later)
    assert later.phases() == {Phase.RELEASED: APPS // 2, Phase.UNCHANGED: APPS // 2}
    assert {effect.kind for effect in effects_of(later)} == {"release"}


@pytest.mark.anyio
@pytest.mark.slow
async def test_it_is_the_clock_at_the_release_that_counts() -> None:
    """The soak is not over as the run begins, and is before the first release."""
    night = await watched(until_s=0.0)
    began = EPOCH + timedelta(seconds=night.now)
    soon = began + timedelta(seconds=2)
    targets = tuple(
        replace(target, soaking=tuple(s.model_copy(update={"until": soon}) for s in target.soaking))
        for target in night.targets
    )
    later = night.tomorrow(targets=targets)
    await later.live()
    check(later)
    assert later.phases() == {Phase.RELEASED: APPS}
