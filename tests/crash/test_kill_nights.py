"""Nights whose process is killed at any moment, again and again: nothing twice, all goes on."""

from random import Random

import anyio
import pytest

from fleetdeploy.model import Phase
from fleetdeploy.simulator.behaviour import Behaviour
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.storage.memory_journal import Moment
from tests.simulator.checkers import check, complaints, effects_of
from tests.simulator.drawing import draw
from tests.simulator.harness import FIFTH, Night, in_virtual_time, make_night

APPS = 300
SLOW_EFFECTS = Behaviour(effect_delay_s=8.0, build_s=(0.5, 3.0), audit_s=(10.0, 60.0))


async def live_through_kills(night: Night, moments_s: list[float], rng: Random) -> None:
    """Kill a life at each moment; the disk keeps any share of what was on its way."""
    for moment_s in moments_s:
        if await night.live_until(moment_s, keep=rng.choice([0.0, rng.random(), 1.0])):
            return
        assert complaints(night) == []
        # From a process manager that restarts at once to a person who takes a moment.
        await anyio.sleep(rng.choice([0.0, 0.0, 1.0, 5.0, 15.0]))
    await night.live()


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
async def test_a_night_of_300_apps_killed_ten_times_in_a_row_releases_everything_once(
    seed: int,
) -> None:
    rng = Random(seed)
    scenario = Scenario(seed=seed, behaviour=SLOW_EFFECTS, faults=FIFTH)
    night = make_night(APPS, scenario=scenario, seed=seed, journal_latency_s=0.02)
    await live_through_kills(night, [rng.uniform(0.5, 20.0) for _ in range(10)], rng)
    check(night)
    assert night.lives == 11
    assert night.phases() == {Phase.RELEASED: APPS}
    assert len(effects_of(night)) == 3 * APPS


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 30, 10))
def test_small_fleets_killed_at_random_moments_end_as_they_must(first: int) -> None:
    for seed in range(first, first + 10):
        drawn, rng = draw(seed, apps=(3, 8)), Random(seed)
        spans = [rng.choice([1.0, 20.0, 60.0]) for _ in range(10)]
        moments_s = [rng.uniform(0.0, span) for span in spans]
        in_virtual_time(lambda d=drawn, m=moments_s, r=rng: live_through_kills(d.night, m, r))  # type: ignore[misc]  # bound now
        check(drawn.night, drawn.expected)


def small_night(seed: int) -> Night:
    scenario = Scenario(
        seed=seed,
        behaviour=Behaviour(effect_delay_s=8.0, build_s=(0.5, 3.0), audit_s=(1.0, 10.0)),
        faults=FIFTH,
    )
    return make_night(3, scenario=scenario, seed=seed, journal_latency_s=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("moment", [*Moment])
def test_a_crash_at_any_append_is_gone_on_from(moment: Moment, keep: bool) -> None:
    """Before and after the record is durable, and whether or not the disk kept the bytes."""
    whole = small_night(3)
    in_virtual_time(whole.live)
    check(whole)
    for seq in range(len(whole.entries())):
        night = small_night(3)

        async def crash_and_go_on(night: Night = night, seq: int = seq) -> None:
            assert await night.crash_at(seq, moment, keep=keep) is None
            assert complaints(night) == []
            await night.live()

        in_virtual_time(crash_and_go_on)
        check(night)
        assert night.phases() == {Phase.RELEASED: 3}
        assert len(effects_of(night)) == 9


@pytest.mark.slow
def test_a_crash_at_every_append_of_every_life_still_comes_to_the_end() -> None:
    """Each process lives for seven records only."""
    night = small_night(5)

    async def limp() -> None:
        for _ in range(100):
            dies_at = len(night.entries()) + 7
            if await night.crash_at(dies_at, Moment.DURABLE) is not None:
                return
            assert complaints(night) == []

    in_virtual_time(limp)
    check(night)
    assert night.phases() == {Phase.RELEASED: 3}
    assert len(effects_of(night)) == 9
