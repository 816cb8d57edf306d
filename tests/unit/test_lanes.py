"""Seeds dealt out to processes."""

import signal
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.lanes import Ended, Work, dealt

pytestmark = pytest.mark.slow

NEVER_S = 3600.0


def results(work: Work[int], limit_s: float = NEVER_S, seeds: int = 5) -> list[Ended[int]]:
    left: Iterator[int] = iter(range(seeds))
    every = dealt(
        work, count(), lanes=2, limit_s=limit_s, more=lambda: next(left, None) is not None
    )
    return sorted(every, key=lambda ended: ended.seed)


def doubled(seed: int, tell: Callable[[int], None]) -> None:
    tell(-1)
    tell(seed * 2)


def endless_at_two(seed: int, tell: Callable[[int], None]) -> None:
    tell(seed)
    while seed == 2:
        signal.pause()


def silent_at_two(seed: int, tell: Callable[[int], None]) -> None:
    if seed == 2:
        raise SystemExit(1)
    tell(seed)


def test_each_seed_is_worked_on_once_and_what_it_tells_last_holds() -> None:
    assert results(doubled) == [Ended(seed, seed * 2, in_time=True) for seed in range(5)]


def test_one_that_does_not_end_is_killed_and_what_it_told_is_kept() -> None:
    ended = results(endless_at_two, limit_s=0.5)
    assert [one.in_time for one in ended] == [True, True, False, True, True]
    assert [one.result for one in ended] == [0, 1, 2, 3, 4]


def test_one_that_dies_without_a_word_has_no_result() -> None:
    ended = results(silent_at_two)
    assert [one.result for one in ended] == [0, 1, None, 3, 4]


def test_nothing_is_begun_where_no_more_is_wanted() -> None:
    assert results(doubled, seeds=0) == []
