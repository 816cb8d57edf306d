"""What the receiver tells of pushes: counts that add up, and failures without content."""

import pytest

from fleetdeploy.errors import StateUnusable
from fleetdeploy.receiver.results import Kind, Result, Tally, failure

SECRET = "marked-secret-of-a-push"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_results_are_counted_and_passed_on() -> None:
    heard: list[Result] = []
    tally = Tally(Clock(), heard.append)
    sent = [Result(Kind.TAKEN), Result(Kind.REFUSED, "stale"), Result(Kind.REFUSED, "stale")]
    for result in sent:
        tally.add(result)
    told = tally.statistics(under_way=3)
    assert heard == sent
    assert told.counts == {**dict.fromkeys(Kind, 0), Kind.TAKEN: 1, Kind.REFUSED: 2}
    assert told.refusals == {"stale": 2}
    assert told.under_way == 3


def test_only_a_push_that_is_on_the_disk_counts_as_the_last() -> None:
    clock = Clock()
    tally = Tally(clock, lambda _: None)
    assert tally.statistics(0).last_taken_s is None
    tally.add(Result(Kind.TAKEN))
    clock.now += 7
    for kind in set(Kind) - {Kind.TAKEN}:
        tally.add(Result(kind))
    assert tally.statistics(0).last_taken_s == 7


@pytest.mark.parametrize("kind", [Kind.REFUSED, Kind.THROTTLED, Kind.FAILED])
def test_what_strangers_send_says_nothing_of_the_disk(kind: Kind) -> None:
    tally = Tally(Clock(), lambda _: None)
    tally.add(Result(kind))
    assert tally.statistics(0).ok
    tally.not_stored(Result(Kind.FAILED))
    tally.add(Result(kind))
    assert not tally.statistics(0).ok


def test_the_disk_is_well_again_when_a_push_was_stored() -> None:
    tally = Tally(Clock(), lambda _: None)
    tally.add(Result(Kind.TOO_SLOW))
    assert not tally.statistics(0).ok
    tally.add(Result(Kind.TAKEN))
    assert tally.statistics(0).ok


def test_an_error_of_ours_is_told_in_its_words() -> None:
    told = failure(StateUnusable("no space left"))
    assert told == Result(Kind.FAILED, "state.unusable", "no space left")


def test_a_bug_is_told_by_its_kind_and_place() -> None:
    with pytest.raises(KeyError) as caught:
        dict[str, int]().pop(SECRET)
    told = failure(caught.value)
    assert told.reason == "bug"
    assert told.detail.startswith("KeyError at ")
    assert "test_receiver_results.py:" in told.detail
    assert SECRET not in repr(told)


def test_a_bug_that_was_never_raised_has_no_place() -> None:
    assert failure(KeyError(SECRET)).detail == "KeyError at an unknown place"
