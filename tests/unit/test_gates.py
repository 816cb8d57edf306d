"""When the next wave may open."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest

from fleetdeploy.core.endings import SUPERSEDED
from fleetdeploy.core.gates import (
    AllOpen,
    AwaitApproval,
    Course,
    HaltAt,
    Open,
    Settle,
    Soak,
    WavePast,
    Working,
    course_of,
    in_order,
    next_move,
)
from fleetdeploy.core.lifecycle import Event
from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    Asked,
    Entry,
    HaltCause,
    RunHalted,
    RunRecord,
    RunResumed,
    WaveApproved,
    WaveOpened,
    WaveSettled,
)
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.rules import WaveRule
from fleetdeploy.model import Outcome, RunKind, Until
from tests.unit.core_builders import NOTE, START, WRITER, header, make_plan, record_of

HOUR = timedelta(hours=1)
ASKED = Asked(order="o1", at=START, who="ops", host="night")
YES = WaveApproved(wave="canary", asked=ASKED)
OPENED = WaveOpened(wave="canary")
SETTLED = WaveSettled(wave="canary")
MEMBERS = {"canary": ("1", "2"), "early": ("3",), "rest": ("4", "5")}

Records = Iterable[RunRecord | AnyAppRecord]


def course(*, ahead: bool = False, past: WavePast | None = None, **canary: object) -> Course:
    rules = [WaveRule(name=name) for name in MEMBERS]
    rules[0] = rules[0].model_copy(update=canary)
    return Course(tuple(rules), MEMBERS, ahead=ahead, past={"canary": past} if past else {})


def state_of(
    *records: RunRecord | AnyAppRecord,
    until: Until = Until.RELEASED,
    kind: RunKind = RunKind.ROLLOUT,
) -> RunState:
    state = RunState.new("12345")
    first = header().model_copy(update={"until": until, "run_kind": kind})
    for seq, record in enumerate([first, *records]):
        state.apply(Entry(seq, START, record))
    return state


def ended(*app_ids: str, outcome: Outcome = Outcome.UNCHANGED) -> list[AppFinished]:
    error = None if outcome is Outcome.UNCHANGED else NOTE
    return [AppFinished(app_id=one, outcome=outcome, error=error) for one in app_ids]


def released(*app_ids: str) -> list[AnyAppRecord]:
    steps = (Event.FOUND_APPROVED, Event.FOUND_RELEASED)
    return [record_of(step, one) for one in app_ids for step in steps]


def approved(app_id: str) -> AnyAppRecord:
    return record_of(Event.FOUND_APPROVED, app_id)


def move(course: Course, *records: RunRecord | AnyAppRecord, at: datetime = START) -> object:
    return next_move(course, state_of(*records), at)


Said = list[RunRecord | AnyAppRecord]
DONE: Said = [OPENED, *released("1", "2"), SETTLED]


def test_the_first_wave_opens_first() -> None:
    assert move(course()) == Open("canary")


def test_the_next_waits_for_every_app_of_the_wave() -> None:
    assert move(course(), OPENED, *released("1")) == Working("canary")


def test_a_wave_whose_apps_are_all_at_their_end_is_noted_and_then_the_next_opens() -> None:
    assert move(course(), OPENED, *released("1", "2")) == Settle("canary")
    assert move(course(), *DONE) == Open("early")


def test_after_the_last_wave_nothing_is_left_to_open() -> None:
    waves: Said = [WaveOpened(wave=wave) for wave in MEMBERS]
    assert move(course(), *waves) == AllOpen()


def test_a_soak_counts_from_the_end_of_the_last_app() -> None:
    soaking = course(soak_s=3600.0)
    assert move(soaking, *DONE, at=START + HOUR / 2) == Soak("canary", START + HOUR)
    assert move(soaking, *DONE, at=START + HOUR) == Open("early")


def test_a_gate_waits_for_its_approval_without_end() -> None:
    gated = course(gate="approval")
    assert move(gated, *DONE, at=START + 365 * 24 * HOUR) == AwaitApproval("canary", None)
    assert move(gated, *DONE, YES) == Open("early")


def test_an_approval_may_come_beforehand_and_does_not_shorten_the_soak() -> None:
    gated = course(gate="approval", soak_s=3600.0)
    assert move(gated, YES, *DONE) == Soak("canary", START + HOUR)
    assert move(gated, YES, *DONE, at=START + HOUR) == Open("early")


def test_an_approval_of_another_wave_is_none() -> None:
    other = YES.model_copy(update={"wave": "early"})
    assert move(course(gate="approval"), *DONE, other) == AwaitApproval("canary", None)


def test_an_approval_that_does_not_come_in_time_halts_after_the_soak() -> None:
    gated = course(gate="approval", soak_s=3600.0, approve_within_s=3600.0)
    assert move(gated, *DONE, at=START + HOUR) == AwaitApproval("canary", START + 2 * HOUR)
    late = move(gated, *DONE, at=START + 2 * HOUR)
    assert isinstance(late, HaltAt)
    assert (late.wave, late.error.code) == ("canary", "run.not_approved")


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.BLOCKED, Outcome.CANCELLED])
def test_a_first_wave_without_a_single_release_halts(outcome: Outcome) -> None:
    halted = move(course(), OPENED, *ended("1", "2", outcome=outcome), SETTLED)
    assert isinstance(halted, HaltAt)
    assert halted.error.code == "run.wave_in_vain"
    assert halted.error.message == (
        "no app of wave canary was released: busy (网络繁忙，请稍后重试)"
    )


def test_what_was_online_before_is_no_evidence_for_a_wave() -> None:
    half: Said = [OPENED, *ended("1"), *ended("2", outcome=Outcome.FAILED), SETTLED]
    assert isinstance(move(course(), *half), HaltAt)


def test_one_release_of_this_run_is_enough() -> None:
    half: Said = [OPENED, *released("1"), *ended("2", outcome=Outcome.FAILED), SETTLED]
    assert move(course(), *half) == Open("early")


def test_a_later_wave_of_blocked_apps_does_not_halt_and_one_that_fails_does() -> None:
    second: Said = [*DONE, WaveOpened(wave="early")]
    settled = WaveSettled(wave="early")
    blocked = ended("3", outcome=Outcome.BLOCKED)
    assert move(course(), *second, *blocked, settled) == Open("rest")
    failed = ended("3", outcome=Outcome.FAILED)
    assert isinstance(move(course(), *second, *failed, settled), HaltAt)


def test_after_an_override_the_wave_is_not_judged_again() -> None:
    gated = course(gate="approval", approve_within_s=1.0)
    bad: Said = [OPENED, *ended("1", "2", outcome=Outcome.FAILED), SETTLED]
    halt = RunHalted(cause=HaltCause.GATE, error=NOTE, wave="canary")
    again = RunResumed(until=Until.RELEASED, writer=WRITER, override_reason="seen")
    assert move(gated, *bad, halt, again, at=START + HOUR) == Open("early")


def test_a_rollback_goes_on_whatever_became_of_a_wave() -> None:
    records: Said = [OPENED, *ended("1", "2", outcome=Outcome.BLOCKED), SETTLED]
    assert next_move(course(), state_of(*records, kind=RunKind.ROLLBACK), START) == Open("early")


def test_apps_that_a_newer_run_took_over_say_nothing() -> None:
    taken: Said = [
        AppFinished(app_id=one, outcome=Outcome.CANCELLED, error=SUPERSEDED.note()) for one in "12"
    ]
    assert move(course(), OPENED, *taken, SETTLED) == Open("early")


# What earlier runs of the rollout left.


def test_a_wave_that_an_earlier_run_passed_and_this_one_finds_unchanged_holds_nothing_back() -> (
    None
):
    gated = course(past=WavePast(START - HOUR, passed=True), gate="approval", soak_s=3600.0)
    unchanged: Said = [OPENED, *ended("1", "2"), SETTLED]
    assert move(gated, *unchanged) == Open("early")


def test_a_wave_that_was_passed_is_not_in_vain_for_what_is_still_blocked_in_it() -> None:
    passed = course(past=WavePast(START - HOUR, passed=True), gate="approval")
    again: Said = [OPENED, *ended("1"), *ended("2", outcome=Outcome.BLOCKED), SETTLED]
    assert move(passed, *again) == Open("early")
    assert isinstance(move(course(), *again), HaltAt)


def test_a_wave_that_was_passed_is_held_back_again_once_something_changes_in_it() -> None:
    gated = course(past=WavePast(START - HOUR, passed=True), gate="approval")
    assert move(gated, OPENED, *ended("1"), *released("2"), SETTLED) == AwaitApproval(
        "canary", None
    )


def test_a_soak_that_an_earlier_run_began_is_not_begun_anew() -> None:
    soaking = course(past=WavePast(START - HOUR / 2), soak_s=3600.0)
    unchanged: Said = [OPENED, *ended("1", "2"), SETTLED]
    assert move(soaking, *unchanged) == Soak("canary", START + HOUR / 2)


# Ahead of the gate.


def test_with_audit_ahead_the_first_approval_opens_all_waves_as_far_as_approval() -> None:
    ahead = course(ahead=True)
    assert move(ahead, OPENED) == Working("canary")
    records: Said = [OPENED, approved("1")]
    assert move(ahead, *records) == Open("early", ahead=True)
    records.append(WaveOpened(wave="early", ahead=True))
    assert move(ahead, *records) == Open("rest", ahead=True)
    records.append(WaveOpened(wave="rest", ahead=True))
    assert move(ahead, *records) == Working("canary")


def test_an_approval_outside_the_first_wave_opens_nothing_ahead() -> None:
    assert move(course(ahead=True), OPENED, *ended("3"), approved("4")) == Working("canary")


def test_a_run_that_releases_nothing_prepares_wave_after_wave_and_needs_no_approval() -> None:
    gated = course(gate="approval", soak_s=3600.0)
    records: Said = [OPENED, approved("1")]
    state = state_of(*records, until=Until.APPROVED)
    assert next_move(gated, state, START) == Working("canary")
    state = state_of(*records, approved("2"), until=Until.APPROVED)
    assert next_move(gated, state, START) == Open("early", ahead=True)


def test_a_run_that_releases_nothing_halts_too_when_a_wave_was_in_vain() -> None:
    bad = state_of(OPENED, *ended("1", "2", outcome=Outcome.FAILED), until=Until.APPROVED)
    assert isinstance(next_move(course(), bad, START), HaltAt)


def test_what_was_prepared_is_released_behind_its_gate_only() -> None:
    gated = course(gate="approval")
    prepared: Said = [WaveOpened(wave=wave, ahead=True) for wave in ("early", "rest")]
    assert move(gated, *DONE, *prepared) == AwaitApproval("canary", None)
    assert move(gated, *DONE, *prepared, YES) == Open("early")


# How a course is made.


def test_a_course_has_the_waves_that_have_apps_in_the_order_of_the_rules() -> None:
    rules = make_plan().rules.model_copy(
        update={
            "waves": (WaveRule(name="b", soak_s=1.0), WaveRule(name="empty"), WaveRule(name="a")),
            "order": "audit_ahead",
        }
    )
    made = course_of(rules, [("1", "a"), ("2", "b"), ("3", "a"), ("4", "other")])
    assert [wave.name for wave in made.waves] == ["b", "a", "other"]
    assert made.members == {"a": ("1", "3"), "b": ("2",), "other": ("4",)}
    assert (made.ahead, made.waves[0].soak_s) == (True, 1.0)


def test_without_rules_waves_follow_each_other_by_themselves() -> None:
    plain = in_order([("1", "b"), ("2", "a")])
    assert plain.waves == (WaveRule(name="b"), WaveRule(name="a"))
