"""How far notices are relied on: only as far as they have announced what looks have shown."""

import pytest

from fleetdeploy.core.attention import LATE_S, PROVEN, SCOUT_S, Attention

DAY_S = 86_400.0


def proven() -> Attention:
    attention = Attention()
    for number in range(PROVEN):
        attention.noticed(str(number))
        attention.verdict(str(number), 0.0)
    return attention


def test_verdicts_that_were_announced_prove_that_notices_come() -> None:
    attention = proven()
    assert attention.announced == PROVEN
    assert attention.relied_on(1e9)


def test_a_notice_may_come_after_the_look_that_showed_the_verdict() -> None:
    attention = Attention()
    attention.verdict("100", 0.0)
    assert attention.relied_on(LATE_S)
    attention.noticed("100")
    assert attention.relied_on(LATE_S * 10)
    assert attention.announced == 1


def test_one_verdict_that_nothing_announced_ends_all_reliance_for_good() -> None:
    attention = proven()
    attention.verdict("100", 0.0)
    assert attention.relied_on(LATE_S)
    assert not attention.relied_on(LATE_S + 1)
    attention.noticed("100")
    assert not attention.relied_on(LATE_S + 2)


def test_the_first_of_several_unannounced_verdicts_counts() -> None:
    attention = Attention()
    attention.verdict("100", 0.0)
    attention.verdict("200", LATE_S)
    attention.verdict("100", LATE_S)
    assert not attention.relied_on(LATE_S + 1)


@pytest.mark.parametrize("chance", [0.0, 0.3, 0.999])
def test_until_something_is_proven_the_fleet_as_a_whole_is_scouted(chance: float) -> None:
    attention = Attention()
    small = attention.interval_s(300.0, DAY_S, looks=0, waiters=5, chance=chance)
    assert small == max(300.0, 2 * chance * 5 * SCOUT_S)
    large = attention.interval_s(300.0, DAY_S, looks=0, waiters=100_000, chance=chance)
    assert large == pytest.approx(max(300.0, min(DAY_S * (0.5 + chance), chance * 1.2e8)))


def test_a_fleet_is_scouted_about_once_in_the_time_named() -> None:
    """The mean interval of one app is the number of apps times `SCOUT_S`."""
    attention = Attention()
    chances = [(number + 0.5) / 1000 for number in range(1000)]
    intervals = [
        attention.interval_s(0.0, DAY_S, looks=0, waiters=20, chance=chance) for chance in chances
    ]
    assert sum(intervals) / len(intervals) == pytest.approx(20 * SCOUT_S)


def test_once_proven_an_app_is_left_alone_and_ever_longer() -> None:
    attention = proven()
    intervals = [
        attention.interval_s(300.0, DAY_S, looks=looks, waiters=300, chance=0.5)
        for looks in range(6)
    ]
    assert intervals == [DAY_S, 2 * DAY_S, 4 * DAY_S, 8 * DAY_S, 8 * DAY_S, 8 * DAY_S]


def test_the_usual_interval_is_the_least() -> None:
    assert proven().interval_s(1e9, 1.0, looks=0, waiters=1, chance=0.0) == 1e9
