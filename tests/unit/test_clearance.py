"""What must hold before a step is sent."""

from dataclasses import replace
from math import inf

import pytest

from fleetdeploy.core.lifecycle import Event
from fleetdeploy.core.records import Asked, Entry, RunPaused, WaveOpened
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.targets import Target
from fleetdeploy.engine.clearance import Budget, Clearance
from fleetdeploy.engine.opening import Opening
from fleetdeploy.model import Outcome, Step, Until
from tests.unit.core_builders import START, header, make_bundle, record_of

PAUSED = RunPaused(asked=Asked(order="o", at=START, who="ops", host="night"))


def state_of(*records: object, apps: str = "123456", failing: str = "") -> RunState:
    state = RunState.new(apps, failing=failing)
    for seq, record in enumerate([header(), *records]):
        state.apply(Entry(seq, START, record))  # type: ignore[arg-type]  # any record
    return state


def do(state: RunState, event: Event, app_id: str) -> None:
    state.apply(Entry(99, START, record_of(event, app_id)))


def target(app_id: str, wave: str = "all") -> Target:
    return Target(app_id, "", {}, wave, make_bundle())


# The budget.


def test_no_more_apps_are_under_way_than_the_budget_can_bear() -> None:
    budget: Budget[str] = Budget(2, state_of())
    assert [budget.take(app_id) for app_id in "1232"] == [True, True, False, True]


def test_a_budget_that_can_bear_nothing_lets_one_go() -> None:
    budget: Budget[str] = Budget(0, state_of())
    assert [budget.take(app_id) for app_id in "12"] == [True, False]


def test_what_failed_leaves_less_room_and_what_succeeds_later_gives_it_back() -> None:
    state = state_of(failing="5")
    budget: Budget[str] = Budget(2, state)
    assert [budget.take(app_id) for app_id in "12"] == [True, False]
    do(state, Event.ENDED_UNCHANGED, "5")
    assert budget.take("2")


def test_who_has_a_place_may_not_go_on_once_there_are_fewer() -> None:
    state = state_of()
    budget: Budget[str] = Budget(2, state)
    assert [budget.take(app_id) for app_id in "12"] == [True, True]
    do(state, Event.ENDED_FAILED, "5")
    assert not budget.take("2")
    assert budget.take("1")


def test_a_soft_budget_holds_nobody_back() -> None:
    budget: Budget[str] = Budget(None, state_of())
    assert all(budget.take(app_id) for app_id in "123456")
    assert budget.after_turn("1") == []


def test_a_resume_counts_what_was_under_way() -> None:
    state = state_of(record_of(Event.UPLOAD_STARTED, "1"))
    assert not Budget[str](1, state).take("2")


def test_a_place_is_free_when_the_app_is_not_at_risk_after_its_turn_and_goes_to_the_next() -> None:
    state = state_of()
    budget: Budget[str] = Budget(1, state)
    assert budget.take("1")
    do(state, Event.UPLOAD_STARTED, "1")
    budget.queue("2", "second")
    budget.queue("3", "third")
    assert budget.after_turn("1") == []
    do(state, Event.UPLOAD_FAILED, "1")
    assert budget.after_turn("1") == ["second"]
    assert not budget.take("1"), "the place is the second's by now"
    assert budget.take("2")


def test_an_audit_takes_no_place() -> None:
    state = state_of(record_of(Event.FOUND_UPLOADED, "1"), record_of(Event.FOUND_AUDITING, "1"))
    assert Budget[str](1, state).take("2")


def test_a_called_app_that_does_nothing_gives_its_place_on() -> None:
    budget: Budget[str] = Budget(1, state_of())
    assert budget.take("1")
    budget.queue("2", "second")
    budget.queue("3", "third")
    assert budget.after_turn("1") == ["second"]
    assert budget.after_turn("2") == ["third"]


def test_who_is_woken_in_vain_keeps_one_place_in_the_queue() -> None:
    budget: Budget[str] = Budget(1, state_of())
    assert budget.take("1")
    for app_id in "2323":
        budget.queue(app_id, app_id)
    assert [budget.after_turn(app_id) for app_id in "123"] == [["2"], ["3"], []]


def test_the_higher_priority_is_called_first() -> None:
    budget: Budget[str] = Budget(1, state_of())
    assert budget.take("1")
    budget.queue("2", "usual")
    budget.queue("3", "dear", priority=5)
    assert budget.after_turn("1") == ["dear"]


@pytest.mark.parametrize(
    ("event", "until"),
    [(Event.ENDED_BLOCKED, Until.RELEASED), (Event.FOUND_APPROVED, Until.APPROVED)],
)
def test_who_came_to_its_end_in_the_queue_takes_no_place(event: Event, until: Until) -> None:
    """A notice had it looked at meanwhile: it has no turn any more to give a place back."""
    state = state_of()
    state.until = until
    budget: Budget[str] = Budget(1, state)
    assert budget.take("1")
    budget.queue("2", "second")
    budget.queue("3", "third")
    do(state, event, "2")
    assert budget.after_turn("2") == []
    assert budget.after_turn("1") == ["third"]


# All conditions together.


def clearance_of(state: RunState, allowed: int | None = None) -> Clearance[str]:
    return Clearance(state, Opening(), Budget(allowed, state))


def test_nothing_is_sent_before_its_wave_is_open() -> None:
    state = state_of(WaveOpened(wave="canary"))
    clearance = clearance_of(state)
    assert clearance.wait_s("x", target("1", "canary"), Step.UPLOAD) == 0.0
    assert clearance.wait_s("x", target("2", "rest"), Step.UPLOAD) == inf


def test_a_wave_that_is_open_ahead_is_not_released() -> None:
    clearance = clearance_of(state_of(WaveOpened(wave="rest", ahead=True)))
    waits = [
        clearance.wait_s("x", target("1", "rest"), step)
        for step in (Step.UPLOAD, Step.SUBMIT_AUDIT, Step.RELEASE)
    ]
    assert waits == [0.0, 0.0, inf]


def test_a_pause_holds_every_step() -> None:
    clearance = clearance_of(state_of(WaveOpened(wave="all"), PAUSED))
    assert clearance.wait_s("x", target("1"), Step.RELEASE) == inf


def test_who_finds_no_room_is_queued_and_called() -> None:
    state = state_of(WaveOpened(wave="all"))
    clearance = clearance_of(state, allowed=1)
    assert clearance.wait_s("one", target("1"), Step.UPLOAD) == 0.0
    assert clearance.wait_s("two", target("2"), Step.UPLOAD) == inf
    do(state, Event.UPLOAD_STARTED, "1")
    do(state, Event.ENDED_FAILED, "1")
    assert state.apps["1"].outcome is Outcome.FAILED
    assert clearance.budget.after_turn("1") == ["two"]


def test_of_those_who_find_no_room_the_higher_priority_is_called_first() -> None:
    state = state_of(WaveOpened(wave="all"))
    clearance = clearance_of(state, allowed=1)
    assert clearance.wait_s("one", target("1"), Step.UPLOAD) == 0.0
    assert clearance.wait_s("usual", target("2"), Step.UPLOAD) == inf
    assert clearance.wait_s("dear", replace(target("3"), priority=5), Step.UPLOAD) == inf
    assert clearance.budget.after_turn("1") == ["dear"]
