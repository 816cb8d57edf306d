"""When trouble is an outage, and when somebody may try whether it is over."""

import pytest

from fleetdeploy.core.breaker import (
    EXCUSED_FOR_S,
    OVERDUE_S,
    PROBE_INITIAL_S,
    PROBE_MAX_S,
    TROUBLES,
    Breaker,
)

MANY = ["a", "b", "c", "d", "e", "f", "g"]
SOON, LATE = 0.0, 1.0 - 1e-9
"""Chances that give the shortest and the longest pause."""


def opened(apps: int = 300, now: float = 100.0) -> Breaker:
    breaker = Breaker(apps)
    told = [breaker.troubled(app_id, now, LATE) for app_id in MANY[:TROUBLES]]
    assert told == [False] * (TROUBLES - 1) + [True]
    return breaker


def passes(breaker: Breaker, app_id: str, now: float) -> bool:
    lets = breaker.lets(app_id, now)
    if lets:
        breaker.enter(app_id, now)
    return lets


def test_a_closed_breaker_lets_everybody_through() -> None:
    breaker = Breaker(300)
    assert all(passes(breaker, app_id, 0.0) for app_id in MANY)


def test_a_success_between_begins_the_count_anew() -> None:
    breaker = Breaker(300)
    for app_id in MANY[: TROUBLES - 1]:
        breaker.troubled(app_id, 0.0, SOON)
    assert not breaker.succeeded("z", 0.0)
    told = [breaker.troubled(app_id, 0.0, SOON) for app_id in MANY[: TROUBLES - 1]]
    assert not any(told)


def test_the_trouble_of_two_apps_of_many_is_their_own() -> None:
    breaker = Breaker(300)
    assert not any(breaker.troubled("ab"[n % 2], 0.0, SOON) for n in range(100))
    assert breaker.troubled("c", 0.0, SOON)


@pytest.mark.parametrize("apps", [1, 2])
def test_a_fleet_of_one_or_two_finds_an_outage_out_too(apps: int) -> None:
    breaker = Breaker(apps)
    told = [breaker.troubled(MANY[n % apps], 0.0, SOON) for n in range(TROUBLES)]
    assert told == [False] * (TROUBLES - 1) + [True]


def test_an_open_breaker_lets_only_the_first_through_when_a_probe_is_due() -> None:
    breaker = opened()
    assert not passes(breaker, "a", 100.0 + PROBE_INITIAL_S - 0.1)
    assert breaker.wait_s(100.0) == pytest.approx(PROBE_INITIAL_S)
    due = 100.0 + PROBE_INITIAL_S
    assert [passes(breaker, app_id, due) for app_id in MANY] == [True] + [False] * 6
    assert breaker.is_probed(due)
    assert passes(breaker, "a", due + 1.0)


def test_pauses_between_probes_grow_to_their_bound() -> None:
    breaker, now, pauses = opened(), 100.0, []
    for _ in range(6):
        pauses.append(breaker.wait_s(now))
        now += pauses[-1]
        breaker.enter("a", now)
        assert not breaker.troubled("a", now, LATE)
    assert pauses == pytest.approx([15.0, 30.0, 60.0, PROBE_MAX_S, PROBE_MAX_S, PROBE_MAX_S])


def test_the_success_of_a_probe_closes_the_breaker_and_no_other_does() -> None:
    breaker = opened()
    breaker.enter("a", 200.0)
    assert not breaker.succeeded("b", 201.0)
    assert not breaker.lets("b", 201.0)
    assert breaker.succeeded("a", 202.0)
    assert breaker.closed_at == 202.0
    assert all(passes(breaker, app_id, 202.0) for app_id in MANY)


def test_trouble_from_before_the_outage_does_not_put_the_probe_off() -> None:
    breaker = opened()
    for app_id in MANY:
        assert not breaker.troubled(app_id, 110.0, LATE)
    assert breaker.wait_s(100.0) == pytest.approx(PROBE_INITIAL_S)


def test_a_probe_that_is_never_heard_of_does_not_hold_the_others_up() -> None:
    breaker = opened()
    breaker.enter("a", 200.0)
    assert not passes(breaker, "b", 200.0 + OVERDUE_S - 0.1)
    assert passes(breaker, "b", 200.0 + OVERDUE_S)
    assert breaker.succeeded("a", 400.0)


def test_after_an_outage_the_next_one_is_probed_soon_again() -> None:
    breaker = opened()
    for now in (200.0, 400.0, 600.0):
        breaker.enter("a", now)
        breaker.troubled("a", now, LATE)
    breaker.enter("a", 800.0)
    breaker.succeeded("a", 800.0)
    for app_id in MANY[:TROUBLES]:
        breaker.troubled(app_id, 900.0, LATE)
    assert breaker.wait_s(900.0) == pytest.approx(PROBE_INITIAL_S)


def test_what_was_out_when_the_process_began_is_probed_at_once() -> None:
    breaker = Breaker(300, began_at=0.0)
    assert passes(breaker, "a", 0.0)
    assert not passes(breaker, "b", 0.0)
    assert breaker.succeeded("a", 1.0)


def test_tries_are_excused_while_it_is_open_and_no_longer_than_its_bound() -> None:
    assert not Breaker(300).excuses(0.0)
    breaker = opened(now=100.0)
    assert breaker.excuses(100.0 + EXCUSED_FOR_S)
    assert not breaker.excuses(100.0 + EXCUSED_FOR_S + 0.1)
    again = Breaker(300, began_at=500.0)
    assert again.excuses(500.0 + EXCUSED_FOR_S)
    assert not again.excuses(500.0 + EXCUSED_FOR_S + 0.1)
