"""Nights with rotating credentials and the platform's pushes, in virtual time."""

import contextlib
from random import Random

import anyio
import pytest

from fleetdeploy.errors import StateUnusable
from fleetdeploy.model import Phase
from fleetdeploy.simulator.faults import FaultRates
from fleetdeploy.storage.memory_journal import Moment
from fleetdeploy.storage.memory_store import AnyCredential
from tests.simulator.checkers import check, complaints
from tests.simulator.harness import in_virtual_time
from tests.simulator.keyed import (
    TOKEN_CALLS,
    KeyedNight,
    credential_complaints,
    draw_keyed,
    keyed_scenario,
    live_through_keyed,
    make_keyed_night,
    world_going,
)

APPS = 60
HOURS = {"effect_delay_s": 2.0, "build_s": [0.1, 0.5], "audit_s": ["1h", "20h"]}
"""With such delays a build is there at the first look after 3 s."""
MINUTES = {"effect_delay_s": 2.0, "build_s": [0.5, 3.0], "audit_s": [20.0, 300.0]}


def check_keyed(night: KeyedNight) -> None:
    check(night)
    assert credential_complaints(night) == []


def package_calls(night: KeyedNight) -> int:
    """Count what is not for tokens, pushes or the quota, which is read once for an app."""
    others = {*TOKEN_CALLS, "pushes", "audit_quota"}
    return sum(count for endpoint, count in night.calls.items() if endpoint not in others)


def most_calls_of_one_app(night: KeyedNight) -> int:
    calls = [sent.app_id for sent in night.witness.sent if sent.app_id]
    return max(calls.count(app_id) for app_id in set(calls))


async def one_life(night: KeyedNight) -> None:
    await night.bring_pairs()
    async with world_going(night):
        await night.live()


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.parametrize(
    ("pushed", "listed"), [(True, False), (False, True), (True, True)], ids=["push", "list", "both"]
)
async def test_whatever_an_audit_takes_an_app_costs_eight_calls(pushed: bool, listed: bool) -> None:
    """Audits of 1 to 20 hours: a look a verdict, in place of a look every five minutes."""
    scenario = keyed_scenario(seed=1, behaviour=HOURS, token_lifetime_s=3600)
    night = make_keyed_night(APPS, scenario, pushed=pushed, listed=listed)
    await one_life(night)
    check_keyed(night)
    assert night.phases() == {Phase.RELEASED: APPS}
    assert package_calls(night) <= 8 * APPS
    assert night.calls["audit_quota"] == APPS
    # Until notices are proven, a few apps are looked at to find out.
    assert most_calls_of_one_app(night) <= 10
    assert sum(night.calls[endpoint] for endpoint in TOKEN_CALLS) <= 2 * APPS + 2
    minutes = anyio.current_time() / 60
    assert night.calls["pushes"] <= (minutes + 2 if listed else 0)


@pytest.mark.anyio
@pytest.mark.slow
async def test_without_notices_the_same_night_takes_many_times_the_calls() -> None:
    scenario = keyed_scenario(seed=1, behaviour=HOURS, token_lifetime_s=3600)
    night = make_keyed_night(4, scenario, pushed=False, listed=False)
    await one_life(night)
    check_keyed(night)
    assert night.phases() == {Phase.RELEASED: 4}
    assert package_calls(night) > 4 * 8 * 5


LOST = FaultRates(answer_lost=0.3)
TOKENS_LOST = {
    "endpoints": {
        name: LOST.model_dump()
        for name in ("tp_token", "refresh_token", "exchange_code", "retrieve_code")
    }
}


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
async def test_a_night_with_tokens_of_seconds_lost_answers_and_kills_locks_nobody_out(
    seed: int,
) -> None:
    """Tokens that live 40 s, 30 % of token answers lost, and kills at random."""
    scenario = keyed_scenario(seed=seed, behaviour=MINUTES, token_lifetime_s=40, faults=TOKENS_LOST)
    night = make_keyed_night(APPS, scenario, seed=seed, store_latency_s=0.01)
    await night.bring_pairs()
    rng = Random(seed)
    async with world_going(night):
        for _ in range(15):
            if await night.live_until(rng.uniform(1.0, 40.0), keep=rng.random()) is not None:
                break
            assert complaints(night) == []
            assert credential_complaints(night) == []
        else:
            await night.live()
    check_keyed(night)
    assert night.lives > 5
    assert night.phases() == {Phase.RELEASED: APPS}
    assert night.calls["retrieve_code"] > 10


@pytest.mark.slow
@pytest.mark.parametrize("moment", [*Moment])
def test_a_process_that_dies_at_any_change_of_the_store_locks_nobody_out(moment: Moment) -> None:
    """The nth change of the store is the last of its process, for every n up to the end."""

    async def dying_at(nth: int) -> bool:
        changes = 0

        def hook(now: Moment, _before: AnyCredential, _after: AnyCredential) -> None:
            nonlocal changes
            changes += now is moment
            if changes == nth and now is moment:
                raise RuntimeError("dies here")

        scenario = keyed_scenario(seed=nth, behaviour=MINUTES, token_lifetime_s=60)
        night = make_keyed_night(3, scenario, seed=nth, store_hook=hook)
        await night.bring_pairs()
        async with world_going(night):
            # The last change may be one after which nothing is asked of the store any more.
            with contextlib.suppress(RuntimeError, StateUnusable, ExceptionGroup):
                await night.live()
            assert credential_complaints(night) == []
            await night.live()
        check_keyed(night)
        assert night.phases() == {Phase.RELEASED: 3}
        return changes >= nth

    nth = 1
    while in_virtual_time(lambda: dying_at(nth)):  # noqa: B023 - called at once
        nth += 1
    assert nth > 6


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.parametrize("listed", [True, False])
async def test_pushes_that_are_lost_late_doubled_and_forged_do_no_harm(listed: bool) -> None:
    pushes = {"lost": 0.2, "late": 0.3, "late_s": [60, 1200], "twice": 0.3, "forged": 0.3}
    scenario = keyed_scenario(
        seed=5, behaviour={**HOURS, "audit_s": ["30m", "4h"]}, pushes=pushes, token_lifetime_s=3600
    )
    # So many that the first push that is lost comes early in the night.
    night = make_keyed_night(100, scenario, listed=listed)
    await one_life(night)
    check_keyed(night)
    assert night.phases() == {Phase.RELEASED: 100}
    # A lost push costs polls for the rest of the night, and no more than those.
    assert anyio.current_time() < 4.5 * 3600


@pytest.mark.anyio
@pytest.mark.slow
async def test_where_the_list_answers_with_an_error_apps_are_looked_at_as_before() -> None:
    scenario = keyed_scenario(
        seed=1,
        behaviour={**HOURS, "audit_s": ["30m", "2h"]},
        unsettled={"push_list": False},
        token_lifetime_s=3600,
    )
    night = make_keyed_night(20, scenario, pushed=False)
    await one_life(night)
    check_keyed(night)
    assert night.phases() == {Phase.RELEASED: 20}
    assert anyio.current_time() < 2.2 * 3600


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_list_that_shows_no_verdict_is_found_out_and_not_relied_on() -> None:
    """It answers without an error, and nothing is ever in it."""
    scenario = keyed_scenario(
        seed=1,
        behaviour={**HOURS, "audit_s": ["1h", "3h"]},
        unsettled={"push_list_delay_s": 1e8},
        token_lifetime_s=3600,
    )
    night = make_keyed_night(20, scenario, pushed=False)
    await one_life(night)
    check_keyed(night)
    assert night.phases() == {Phase.RELEASED: 20}
    assert anyio.current_time() < 4 * 3600


@pytest.mark.anyio
async def test_a_client_that_withdraws_is_blocked_and_comes_back_with_its_consent() -> None:
    behaviour = {**HOURS, "audit_s": ["1h", "2h"]}
    scenario = keyed_scenario(seed=1, behaviour=behaviour, token_lifetime_s=3600)
    night = make_keyed_night(2, scenario)
    gone, other = night.world.app_ids
    await night.bring_pairs()
    async with world_going(night):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(night.live)
            await anyio.sleep(600.0)
            night.world.change(gone, authorization="withdrawn")
        check_keyed(night)
        assert night.phase_of() == {gone: Phase.BLOCKED, other: Phase.RELEASED}
        app = night.replayed().apps[gone]
        assert app.error is not None
        assert app.error.code == "auth.consent_needed"
        assert "fleetdeploy auth authorize" in app.error.hint
        night.world.change(gone, authorization="granted")
        again = night.tomorrow()
        assert isinstance(again, KeyedNight)
        await again.live()
    check_keyed(again)
    assert again.phase_of() == {gone: Phase.RELEASED, other: Phase.UNCHANGED}


@pytest.mark.anyio
async def test_an_authorized_fleet_of_which_nothing_was_imported_is_rolled_out() -> None:
    scenario = keyed_scenario(seed=1, behaviour=MINUTES, token_lifetime_s=3600)
    night = make_keyed_night(5, scenario)
    async with world_going(night):
        await night.live()
    check_keyed(night)
    assert night.phases() == {Phase.RELEASED: 5}
    assert night.calls["retrieve_code"] == 5
    assert night.calls["refresh_token"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 10])
def test_small_fleets_of_all_kinds_end_as_they_must_whatever_happens_to_their_tokens(
    first: int,
) -> None:
    for seed in range(first, first + 10):
        drawn, rng = draw_keyed(seed, apps=(3, 6)), Random(seed)
        moments_s = [rng.uniform(0.0, 40.0) for _ in range(rng.randrange(6))]
        in_virtual_time(lambda d=drawn, m=moments_s, r=rng: live_through_keyed(d, m, r))  # type: ignore[misc]  # bound now
        assert isinstance(drawn.night, KeyedNight)
        check(drawn.night, drawn.expected)
        assert credential_complaints(drawn.night) == []
