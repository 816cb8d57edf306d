"""Whole nights of 300 apps in virtual time: what the promises look like when all goes on."""

from random import Random

import pytest

from fleetdeploy.core.records import RunFinished
from fleetdeploy.model import Phase
from fleetdeploy.simulator.behaviour import Behaviour, RateAnswer, RateLimit
from fleetdeploy.simulator.scenario import Scenario
from tests.simulator.checkers import CHANGES, check, effects_of
from tests.simulator.drawing import draw
from tests.simulator.harness import FIFTH, Night, app_ids, in_virtual_time, make_night

APPS = 300
QUICK = Behaviour(build_s=(0.1, 0.5), audit_s=(0.1, 0.5))
"""With an effect delay up to 2 s, all is there at the first look after 3 s."""
MINUTES = Behaviour(effect_delay_s=3.0, build_s=(1.0, 5.0), audit_s=(10.0, 40.0))


def quick_scenario(seed: int) -> Scenario:
    """Every app takes effect after 0 to 2 s, each after its own."""
    rng = Random(seed)
    delays = {app_id: {"effect_delay_s": rng.uniform(0, 2)} for app_id in app_ids(APPS)}
    return Scenario(seed=seed, behaviour=QUICK, apps=delays)


@pytest.mark.anyio
@pytest.mark.slow
async def test_an_ordinary_night_takes_eight_calls_an_app_and_the_next_none_that_changes() -> None:
    night = make_night(APPS, scenario=quick_scenario(1))
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: APPS}
    assert sum(night.calls.values()) <= 8 * APPS
    again = night.tomorrow()
    await again.live()
    check(again)
    assert again.phases() == {Phase.UNCHANGED: APPS}
    assert effects_of(again) == []
    assert CHANGES.isdisjoint(sent.endpoint for sent in again.witness.sent)


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_night_in_which_a_fifth_of_all_calls_goes_wrong_releases_everything_once(
    seed: int,
) -> None:
    scenario = Scenario(seed=seed, behaviour=MINUTES, faults=FIFTH)
    night = make_night(APPS, scenario=scenario, seed=seed)
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: APPS}
    assert len(effects_of(night)) == 3 * APPS


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "retry_after_s"),
    [
        (RateAnswer.GATEWAY, None),
        (RateAnswer.ERRNO, None),
        (RateAnswer.HTTP_429, None),
        (RateAnswer.HTTP_429, 1),
    ],
)
async def test_at_a_tenth_of_the_declared_pace_fewer_than_a_tenth_of_the_calls_are_refused(
    answer: RateAnswer, retry_after_s: int | None
) -> None:
    limit = RateLimit(per_second=5, answer=answer, retry_after_s=retry_after_s)
    scenario = Scenario(behaviour=QUICK, rate_limit=limit)
    night = make_night(60, scenario=scenario)
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: 60}
    traffic = night.world.traffic
    assert 0 < traffic.throttled < 0.1 * traffic.total


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 60, 10))
def test_small_fleets_with_all_kinds_of_trouble_end_as_they_must(first: int) -> None:
    """Clients, switches, faults and limits are drawn; what must come is read off the draw."""
    for seed in range(first, first + 10):
        drawn = draw(seed)
        in_virtual_time(drawn.night.live)
        check(drawn.night, drawn.expected)
        assert isinstance(drawn.night.entries()[-1].record, RunFinished)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_night_to_the_byte() -> None:
    def journal() -> bytes:
        night = draw(7).night
        in_virtual_time(night.live)
        return night.data

    assert journal() == journal()


@pytest.mark.slow
def test_the_journal_s_latency_changes_no_outcome() -> None:
    for seed in range(4):
        nights = [draw(seed).night for _ in range(2)]
        nights[0].journal_latency_s, nights[1].journal_latency_s = 0.0, 0.05
        for night in nights:
            in_virtual_time(night.live)
            check(night)
        assert _ends(nights[0]) == _ends(nights[1])


def _ends(night: Night) -> dict[str, Phase]:
    return dict(night.phase_of())
