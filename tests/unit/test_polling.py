"""Intervals between looks, and pauses between tries."""

import pytest

from fleetdeploy.core.polling import JITTER, POLL_SHARE, PollSchedule, backoff_s

SCHEDULE = PollSchedule(initial_s=3.0, max_s=300.0)


def interval(looks: int, waiters: int = 1, *, chance: float = 0.5) -> float:
    return SCHEDULE.interval_s(looks, waiters=waiters, per_second=10.0, chance=chance)


def test_the_interval_grows_by_half_with_each_look_in_vain() -> None:
    assert [interval(looks) for looks in range(4)] == pytest.approx([3.0, 4.5, 6.75, 10.125])


@pytest.mark.parametrize("looks", [12, 64, 10**9])
def test_the_interval_stops_growing_at_its_bound(looks: int) -> None:
    assert interval(looks) == 300.0


def test_many_waiters_stretch_the_interval_beyond_its_bound() -> None:
    assert interval(100, waiters=10_000) == 2000.0


@pytest.mark.parametrize("waiters", [1, 50, 300, 100_000])
def test_all_looks_together_stay_within_their_share_of_the_pace(waiters: int) -> None:
    for looks in range(30):
        assert waiters / interval(looks, waiters) <= 10.0 * POLL_SHARE + 1e-9


def test_chance_spreads_the_interval_evenly_around_itself() -> None:
    assert interval(0, chance=0.0) == pytest.approx(3.0 * (1 - JITTER))
    assert interval(0, chance=1.0) == pytest.approx(3.0 * (1 + JITTER))


def test_the_slowest_pace_still_gives_an_interval() -> None:
    interval_s = SCHEDULE.interval_s(0, waiters=100, per_second=1 / 60, chance=0.5)
    assert interval_s == pytest.approx(12_000)


@pytest.mark.parametrize(
    ("attempt", "ceiling"), [(1, 2.0), (2, 4.0), (3, 8.0), (7, 120.0), (10**9, 120.0)]
)
def test_the_pause_doubles_up_to_its_bound_and_half_of_it_is_chance(
    attempt: int, ceiling: float
) -> None:
    assert backoff_s(attempt, chance=0.0) == ceiling / 2
    assert backoff_s(attempt, chance=1.0) == ceiling
