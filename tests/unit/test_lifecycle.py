"""The table of transitions, exhaustively."""

from collections.abc import Iterable
from itertools import product
from typing import get_args

import pytest

from fleetdeploy.core.lifecycle import (
    SENT,
    STEP_OF,
    TERMINAL,
    TRANSITIONS,
    Event,
    event_of,
    kinds_of,
    next_phase,
)
from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    FoundStage,
    PackageFound,
    StepDoubted,
    StepFailed,
    StepStarted,
    StepSucceeded,
)
from fleetdeploy.errors import IllegalTransition
from fleetdeploy.model import Outcome, Phase, RunKind, Step
from tests.unit.core_builders import APP, NOTE, record_of

EXPECTED = """
queued      upload_started          uploading
queued      found_processing        processing
queued      found_uploaded          uploaded
queued      found_auditing          auditing
queued      found_approved          approved
queued      ended_unchanged         unchanged
uploading   upload_doubted          uploading
uploading   upload_succeeded        processing
uploading   upload_failed           queued
processing  await_upload_succeeded  uploaded
processing  await_upload_failed     queued
uploaded    submit_audit_started    submitting
uploaded    found_auditing          auditing
uploaded    found_approved          approved
uploaded    found_released          released
uploaded    ended_rejected          rejected
submitting  submit_audit_doubted    submitting
submitting  submit_audit_succeeded  auditing
submitting  submit_audit_failed     uploaded
auditing    await_audit_succeeded   approved
auditing    found_released          released
auditing    ended_rejected          rejected
approved    release_started         releasing
approved    found_released          released
approved    ended_rejected          rejected
releasing   release_doubted         releasing
releasing   release_succeeded       publishing
releasing   release_failed          approved
publishing  await_release_succeeded released
queued      rollback_started        rolling_back
queued      found_rolling_back      reverting
queued      withdraw_started        withdrawing
queued      obstacle_withdraw_started withdrawing
uploaded    obstacle_withdraw_started withdrawing
rolling_back   rollback_doubted         rolling_back
rolling_back   rollback_succeeded       reverting
rolling_back   rollback_failed          queued
reverting      await_rollback_succeeded rolled_back
withdrawing    withdraw_doubted         withdrawing
withdrawing    withdraw_succeeded       leaving_audit
withdrawing    withdraw_failed          queued
leaving_audit  await_withdraw_succeeded withdrawn
leaving_audit  obstacle_await_withdraw_succeeded queued
"""
"""Every way on but the three ends that are open to each phase that is not an end."""

ENDS_OF_ALL = {
    Event.ENDED_BLOCKED: Phase.BLOCKED,
    Event.ENDED_FAILED: Phase.FAILED,
    Event.ENDED_CANCELLED: Phase.CANCELLED,
}


def expected_table() -> dict[tuple[Phase, Event], Phase]:
    table = {}
    for line in EXPECTED.strip().splitlines():
        before, event, after = line.split()
        table[Phase(before), Event(event)] = Phase(after)
    for phase, (event, end) in product(set(Phase) - TERMINAL, ENDS_OF_ALL.items()):
        table[phase, event] = end
    return table


TABLE = expected_table()


@pytest.mark.parametrize("phase", list(Phase))
def test_every_pair_is_in_the_table_or_illegal(phase: Phase) -> None:
    for event in Event:
        if (phase, event) in TABLE:
            assert next_phase(phase, event) is TABLE[phase, event]
        else:
            with pytest.raises(IllegalTransition, match=f"{event} cannot happen in phase {phase}"):
                next_phase(phase, event)


def test_the_table_has_a_line_for_every_phase() -> None:
    assert set(TRANSITIONS) == set(Phase)


def test_every_event_can_happen_somewhere() -> None:
    assert {event for exits in TRANSITIONS.values() for event in exits} == set(Event)


def test_terminal_phases_are_the_outcomes() -> None:
    assert {phase.value for phase in TERMINAL} == {outcome.value for outcome in Outcome}


def test_every_phase_that_is_no_end_calls_for_a_step() -> None:
    assert set(STEP_OF) == set(Phase) - TERMINAL
    assert set(STEP_OF.values()) == set(Step)


def reachable(start: Phase) -> set[Phase]:
    seen, open_ends = {start}, [start]
    while open_ends:
        found = set(TRANSITIONS[open_ends.pop()].values()) - seen
        seen |= found
        open_ends += found
    return seen


GOALS = {
    RunKind.ROLLOUT: Phase.RELEASED,
    RunKind.ROLLBACK: Phase.ROLLED_BACK,
    RunKind.WITHDRAW: Phase.WITHDRAWN,
}


def phases_of(kind: RunKind) -> set[Phase]:
    """Return the phases that an app can be in, in a run of this kind."""
    seen, open_ends = {Phase.QUEUED}, [Phase.QUEUED]
    while open_ends:
        exits = TRANSITIONS[open_ends.pop()].items()
        found = {after for event, after in exits if kind in kinds_of(event)} - seen
        seen |= found
        open_ends += found
    return seen


@pytest.mark.parametrize("kind", list(RunKind))
def test_every_phase_that_is_no_end_can_still_reach_what_the_run_is_for(kind: RunKind) -> None:
    for phase in phases_of(kind) - TERMINAL:
        assert GOALS[kind] in reachable(phase)


def test_of_three_kinds_of_run_each_has_phases_of_its_own_and_shares_the_ends() -> None:
    """A rollout withdraws too, what is in its way, and ends otherwise."""
    clearing = {Phase.WITHDRAWING, Phase.LEAVING_AUDIT}
    shared = {Phase.QUEUED, Phase.UNCHANGED, Phase.BLOCKED, Phase.FAILED, Phase.CANCELLED}
    own = {kind: phases_of(kind) - shared for kind in RunKind}
    assert set.union(*own.values()) | shared == set(Phase)
    assert own[RunKind.ROLLOUT] & own[RunKind.WITHDRAW] == clearing
    assert not own[RunKind.ROLLBACK] & (own[RunKind.ROLLOUT] | own[RunKind.WITHDRAW])


def test_an_event_belongs_to_the_kinds_of_run_whose_step_it_is_about() -> None:
    for event in Event:
        kinds = kinds_of(event)
        if event in ENDS_OF_ALL or event is Event.ENDED_UNCHANGED:
            assert kinds == set(RunKind)
        elif "rollback" in event.value or event is Event.FOUND_ROLLING_BACK:
            assert kinds == {RunKind.ROLLBACK}
        elif event in {Event.WITHDRAW_STARTED, Event.AWAIT_WITHDRAW_SUCCEEDED}:
            assert kinds == {RunKind.WITHDRAW}
        elif event.value.startswith("withdraw"):
            assert kinds == {RunKind.ROLLOUT, RunKind.WITHDRAW}
        else:
            assert kinds == {RunKind.ROLLOUT}


def test_a_rollout_withdraws_only_what_is_in_its_way_and_goes_on() -> None:
    assert Phase.WITHDRAWN not in phases_of(RunKind.ROLLOUT)
    starts = [p for p in Phase if Event.OBSTACLE_WITHDRAW_STARTED in TRANSITIONS[p]]
    assert starts == [Phase.QUEUED, Phase.UPLOADED]


def test_every_phase_is_reached_from_queued() -> None:
    assert reachable(Phase.QUEUED) == set(Phase)


@pytest.mark.parametrize("phase", sorted(SENT))
def test_a_sent_phase_is_left_only_by_what_became_of_its_own_step_or_an_end(phase: Phase) -> None:
    """No look may adopt something and no other step may start while a result is not known."""
    step = STEP_OF[phase]
    own = {Event(f"{step}_{how}") for how in ("doubted", "succeeded", "failed")}
    assert set(TRANSITIONS[phase]) == own | set(ENDS_OF_ALL)
    assert TRANSITIONS[phase][Event(f"{step}_doubted")] is phase


@pytest.mark.parametrize("phase", sorted(SENT))
def test_a_failed_step_leads_back_to_where_it_was_started(phase: Phase) -> None:
    step = STEP_OF[phase]
    starts = [p for p, exits in TRANSITIONS.items() if Event(f"{step}_started") in exits]
    assert starts == [TRANSITIONS[phase][Event(f"{step}_failed")]]


def test_only_started_steps_lead_into_a_sent_phase() -> None:
    into = {
        event
        for before, exits in TRANSITIONS.items()
        for event, after in exits.items()
        if after in SENT and after is not before
    }
    assert into == {event for event in Event if event.value.endswith("_started")}


def test_release_is_started_only_from_approved() -> None:
    """Promise 2: nothing is released that was not approved."""
    assert [p for p in Phase if Event.RELEASE_STARTED in TRANSITIONS[p]] == [Phase.APPROVED]


@pytest.mark.parametrize("event", list(Event))
def test_every_event_is_said_by_a_record(event: Event) -> None:
    assert event_of(record_of(event)) is event


def every_record() -> Iterable[AnyAppRecord]:
    for step in Step:
        yield StepStarted(app_id=APP, step=step, attempt=1)
        yield StepSucceeded(app_id=APP, step=step, attempt=1)
        yield StepDoubted(app_id=APP, step=step, attempt=1, error=NOTE)
        yield StepFailed(app_id=APP, step=step, attempt=1, error=NOTE)
    for stage in FoundStage:
        yield PackageFound(app_id=APP, stage=stage, version="1")
    for outcome in Outcome:
        yield AppFinished(app_id=APP, outcome=outcome)


@pytest.mark.parametrize("record", list(every_record()), ids=repr)
def test_every_record_is_an_event_or_refused(record: AnyAppRecord) -> None:
    said = [event for event in Event if type(record_of(event)) is type(record)]
    try:
        event = event_of(record)
    except IllegalTransition:
        return
    assert event in said


def test_every_kind_of_record_about_an_app_stands_for_some_event() -> None:
    assert {type(record_of(event)) for event in Event} == set(get_args(AnyAppRecord))


@pytest.mark.parametrize("step", [step for step in Step if step.value.startswith("await_")])
def test_waiting_is_never_started_nor_in_doubt(step: Step) -> None:
    for record in (
        StepStarted(app_id=APP, step=step, attempt=1),
        StepDoubted(app_id=APP, step=step, attempt=1, error=NOTE),
    ):
        with pytest.raises(IllegalTransition):
            event_of(record)


@pytest.mark.parametrize("outcome", [Outcome.RELEASED, Outcome.ROLLED_BACK, Outcome.WITHDRAWN])
def test_what_a_run_is_for_is_never_just_declared(outcome: Outcome) -> None:
    """An app becomes `released` by seeing it online, never by a record that only says so."""
    with pytest.raises(IllegalTransition):
        event_of(AppFinished(app_id=APP, outcome=outcome))
