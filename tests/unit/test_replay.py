"""The state of a run, as its records tell it."""

from collections import Counter
from copy import deepcopy
from dataclasses import replace
from itertools import permutations

import pytest

from fleetdeploy.core.app_state import AppState, advance, is_resting, step_of
from fleetdeploy.core.endings import SUPERSEDED
from fleetdeploy.core.lifecycle import Event
from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    Entry,
    ErrorNote,
    FoundStage,
    HaltCause,
    PackageFound,
    RunFinished,
    RunHalted,
    RunRecord,
    RunResumed,
    RunStopped,
    StepDoubted,
    StepFailed,
    StepStarted,
    StepSucceeded,
    StopReason,
    WaveOpened,
)
from fleetdeploy.core.replay import RunState, replay
from fleetdeploy.errors import IllegalTransition
from fleetdeploy.model import Outcome, Phase, Step, Until
from tests.unit.core_builders import (
    APP,
    NOTE,
    START,
    WRITER,
    entries_of,
    header,
    make_app,
    record_of,
    state_of,
)


def ended(app_id: str, outcome: Outcome) -> AppFinished:
    return AppFinished(app_id=app_id, outcome=outcome, error=NOTE)


def resumed(until: Until = Until.RELEASED, override_reason: str | None = None) -> RunResumed:
    return RunResumed(until=until, writer=WRITER, override_reason=override_reason)


HALTED = RunHalted(cause=HaltCause.BUDGET, error=NOTE, calls={"packages": 3})


def test_a_run_begins_with_every_app_queued_in_the_plans_order() -> None:
    state = RunState.new(["b", "a"], in_doubt_before=["a"])
    assert list(state.apps.values()) == [AppState("b"), AppState("a", in_doubt_before=True)]


def test_the_header_says_how_far_and_since_when() -> None:
    state = RunState.new([APP])
    state.apply(Entry(0, START, header(Until.APPROVED)))
    assert (state.until, state.started_at, state.header) == (
        Until.APPROVED,
        START,
        header(Until.APPROVED),
    )


def test_a_started_step_is_kept_with_its_attempt_and_what_was_known() -> None:
    app = advance(
        AppState(APP), StepStarted(app_id=APP, step=Step.UPLOAD, attempt=2, known=("a", "b"))
    )
    assert app == AppState(
        APP, phase=Phase.UPLOADING, step=Step.UPLOAD, attempt=2, known=("a", "b")
    )
    assert (app.attempts_of(Step.UPLOAD), app.attempts_of(Step.RELEASE)) == (2, 0)


def test_a_submission_does_not_forget_which_rows_were_known() -> None:
    app = make_app(Phase.UPLOADED, known=("a",))
    started = StepStarted(app_id=APP, step=Step.SUBMIT_AUDIT, attempt=1, package_id="58210")
    assert advance(app, started).known == ("a",)


def test_a_found_package_is_adopted_with_id_version_and_neighbours() -> None:
    record = PackageFound(
        app_id=APP, stage=FoundStage.AUDITING, package_id="7", version="9.9", known=("6",)
    )
    assert advance(AppState(APP, error=NOTE), record) == AppState(
        APP, phase=Phase.AUDITING, package_id="7", version="9.9", known=("6",)
    )


def test_a_success_without_an_id_keeps_the_id() -> None:
    app = make_app(Phase.RELEASING, error=NOTE)
    after = advance(app, StepSucceeded(app_id=APP, step=Step.RELEASE, attempt=1))
    assert (after.package_id, after.phase, after.error) == ("58210", Phase.PUBLISHING, None)


@pytest.mark.parametrize(
    ("record", "phase"),
    [
        (StepDoubted(app_id=APP, step=Step.UPLOAD, attempt=1, error=NOTE), Phase.UPLOADING),
        (StepFailed(app_id=APP, step=Step.UPLOAD, attempt=1, error=NOTE), Phase.QUEUED),
        (ended(APP, Outcome.FAILED), Phase.FAILED),
    ],
)
def test_an_error_is_kept(record: AnyAppRecord, phase: Phase) -> None:
    after = advance(make_app(Phase.UPLOADING), record)
    assert (after.phase, after.error) == (phase, NOTE)


def test_an_app_is_in_doubt_from_the_intent_to_the_result() -> None:
    app = AppState(APP)
    doubts = []
    for event in (
        Event.UPLOAD_STARTED,
        Event.UPLOAD_DOUBTED,
        Event.UPLOAD_SUCCEEDED,
        Event.AWAIT_UPLOAD_SUCCEEDED,
        Event.SUBMIT_AUDIT_STARTED,
        Event.SUBMIT_AUDIT_FAILED,
    ):
        app = advance(app, record_of(event))
        doubts.append(app.in_doubt)
    assert doubts == [True, True, False, False, True, False]


def test_another_upload_forgets_what_an_adopted_package_was_called() -> None:
    """After an adopted package could not be built, the next upload goes by the bundle's version."""
    app = AppState(APP)
    for record in (
        record_of(Event.FOUND_PROCESSING, version="9.9"),
        record_of(Event.AWAIT_UPLOAD_FAILED),
        StepStarted(app_id=APP, step=Step.UPLOAD, attempt=1, known=("a",)),
    ):
        app = advance(app, record)
    assert (app.version, app.package_id, app.known) == (None, None, ("a",))


def test_another_upload_knows_only_what_was_there_right_before_it() -> None:
    app = advance(
        AppState(APP, known=("gone",)), StepStarted(app_id=APP, step=Step.UPLOAD, attempt=2)
    )
    assert app.known == ()


def test_an_end_in_doubt_leaves_a_trace_for_the_next_run() -> None:
    """Else the next run could send again at once what this one may have sent."""
    app = advance(make_app(Phase.UPLOADING), ended(APP, Outcome.BLOCKED))
    assert app.in_doubt or app.in_doubt_before


@pytest.mark.parametrize("phase", list(Phase))
def test_an_outcome_is_had_exactly_by_the_ended(phase: Phase) -> None:
    app = AppState(APP, phase=phase)
    assert (app.outcome is not None) == app.terminal
    assert (step_of(app) is None) == app.terminal
    assert app.outcome is None or app.outcome.value == phase.value


# --- the run ---


def test_every_end_that_is_no_success_counts_once_and_blocked_apps_apart() -> None:
    state = state_of(
        ended("1", Outcome.FAILED),
        record_of(Event.FOUND_AUDITING, "2"),
        ended("2", Outcome.REJECTED),
        ended("3", Outcome.BLOCKED),
        ended("4", Outcome.CANCELLED),
        ended("5", Outcome.UNCHANGED),
        apps="123456",
    )
    assert (state.failing, state.blocking) == ({"1", "2", "4"}, {"3"})


def test_an_app_that_a_newer_run_took_over_counts_as_before() -> None:
    taken = AppFinished(app_id=APP, outcome=Outcome.CANCELLED, error=SUPERSEDED.note())
    state = RunState.new([APP, "2"], failing=[APP])
    state.apply(Entry(0, START, header()))
    state.apply(Entry(1, START, taken))
    state.apply(Entry(2, START, taken.model_copy(update={"app_id": "2"})))
    assert state.failing == {APP}


def test_what_earlier_runs_left_counts_until_the_app_succeeds() -> None:
    state = RunState.new("123", failing="129", blocking="3")
    state.apply(Entry(0, START, header()))
    state.apply(Entry(1, START, ended("1", Outcome.UNCHANGED)))
    state.apply(Entry(2, START, ended("2", Outcome.FAILED)))
    assert (state.failing, state.blocking) == ({"2", "9"}, {"3"})
    state.apply(Entry(3, START, ended("3", Outcome.FAILED)))
    assert (state.failing, state.blocking) == ({"2", "3", "9"}, set())


def test_an_app_that_is_released_in_this_run_counts_no_more() -> None:
    state = RunState.new("12", failing="12", blocking="1")
    to_release = (Event.FOUND_APPROVED, Event.RELEASE_STARTED, Event.RELEASE_SUCCEEDED)
    records = [record_of(event, "1") for event in (*to_release, Event.AWAIT_RELEASE_SUCCEEDED)]
    replay(state, entries_of([header(), *records]))
    assert state.apps["1"].phase is Phase.RELEASED
    assert (state.failing, state.blocking) == ({"2"}, set())


def test_a_failed_step_is_not_a_failed_app() -> None:
    state = state_of(record_of(Event.UPLOAD_STARTED), record_of(Event.UPLOAD_FAILED))
    assert state.failing == set()


def test_what_several_apps_did_at_once_comes_to_the_same_in_any_order() -> None:
    """Records that become durable together reach the live state in no certain order (J4)."""
    refused = ErrorNote(code="upload.refused", message="no", msg="bad")
    ends: list[AnyAppRecord] = [
        *(AppFinished(app_id=a, outcome=Outcome.FAILED, error=refused) for a in "abc"),
        AppFinished(app_id="d", outcome=Outcome.BLOCKED, error=NOTE),
        StepStarted(app_id="e", step=Step.UPLOAD, attempt=1),
    ]
    states = []
    for order in permutations(ends):
        state = RunState.new("abcde")
        for entry in entries_of([header(), *order]):
            state.apply(replace(entry, at=START))
        states.append(state)
    assert all(state == states[0] for state in states)
    assert [*map(len, states[0].causes.values())] == [3]


def test_an_override_forgives_the_failures_so_far_and_no_later_ones() -> None:
    state = state_of(
        ended("1", Outcome.FAILED),
        ended("2", Outcome.FAILED),
        HALTED,
        resumed(override_reason="known causes"),
        ended("3", Outcome.FAILED),
        apps="123",
    )
    assert state.failing == {"3"}


def test_a_plain_resume_forgives_nothing() -> None:
    assert state_of(ended(APP, Outcome.FAILED), resumed()).failing == {APP}


def test_a_resume_lifts_the_halt_and_says_how_far() -> None:
    state = state_of(HALTED)
    assert state.halted == HALTED
    after = state_of(HALTED, resumed(Until.APPROVED))
    assert after.halted is None
    assert (after.until, after.resumes) == (Until.APPROVED, 1)


def test_a_resume_lifts_the_stop() -> None:
    stopped = RunStopped(reason=StopReason.SIGNAL)
    assert state_of(stopped).stopped == stopped
    assert state_of(stopped, resumed()).stopped is None


def test_calls_of_all_processes_add_up() -> None:
    state = state_of(
        HALTED,
        resumed(),
        RunStopped(reason=StopReason.NO_WAIT, calls={"packages": 2, "upload": 1}),
        resumed(),
        RunFinished(calls={"release": 5}),
    )
    assert state.calls == Counter(packages=5, upload=1, release=5)


def test_a_superseded_run_is_finished_and_names_the_newer_one() -> None:
    state = state_of(RunFinished(superseded_by="r2"))
    assert (state.finished, state.superseded_by) == (True, "r2")


def test_waves_are_opened_in_order() -> None:
    assert state_of(WaveOpened(wave="canary"), WaveOpened(wave="rest")).waves_opened == [
        "canary",
        "rest",
    ]


def test_the_time_of_an_apps_last_record_is_kept() -> None:
    last = entries_of((header(), record_of(Event.UPLOAD_STARTED)))[-1]
    assert state_of(record_of(Event.UPLOAD_STARTED)).apps[APP].updated_at == last.at


@pytest.mark.parametrize(
    "record",
    [
        header(),
        record_of(Event.RELEASE_STARTED),
        record_of(Event.UPLOAD_SUCCEEDED, "another app"),
        StepStarted(app_id=APP, step=Step.AWAIT_AUDIT, attempt=1),
        ended(APP, Outcome.RELEASED),
    ],
    ids=["second header", "not in this phase", "not in the plan", "started wait", "declared"],
)
def test_a_record_that_does_not_fit_is_refused_and_changes_nothing(
    record: RunRecord | AnyAppRecord,
) -> None:
    state = state_of(record_of(Event.UPLOAD_STARTED))
    before = deepcopy(state)
    with pytest.raises(IllegalTransition):
        state.check(record)
    with pytest.raises(IllegalTransition):
        state.apply(Entry(2, START, record))
    assert state == before


@pytest.mark.parametrize(
    "record", [resumed(), HALTED, WaveOpened(wave="all"), RunFinished()], ids=lambda r: r.kind
)
def test_the_header_comes_first(record: RunRecord) -> None:
    with pytest.raises(IllegalTransition, match="cannot come here"):
        RunState.new([APP]).check(record)


def test_the_header_comes_before_any_app() -> None:
    with pytest.raises(IllegalTransition):
        RunState.new([APP]).check(record_of(Event.UPLOAD_STARTED))


@pytest.mark.parametrize(
    "record", [resumed(), record_of(Event.UPLOAD_STARTED)], ids=["resumed", "step"]
)
def test_a_superseded_run_takes_nothing_more(record: RunRecord | AnyAppRecord) -> None:
    """Its apps belong to the newer run: two runs must never work on one app."""
    state = state_of(RunFinished(superseded_by="r2"))
    with pytest.raises(IllegalTransition):
        state.check(record)


def test_replay_returns_the_state_it_was_given() -> None:
    state = RunState.new([APP])
    assert replay(state, entries_of((header(), record_of(Event.UPLOAD_STARTED)))) is state
    assert state.apps[APP].phase is Phase.UPLOADING


RESTS = {
    Until.UPLOADED: {Phase.UPLOADED, Phase.AUDITING, Phase.APPROVED},
    Until.APPROVED: {Phase.APPROVED},
    Until.RELEASED: set(),
}


@pytest.mark.parametrize("until", list(Until))
def test_an_app_rests_at_or_past_the_phase_that_the_run_goes_to(until: Until) -> None:
    assert {p for p in Phase if is_resting(AppState(APP, phase=p), until)} == RESTS[until]


def test_a_resume_in_a_copy_doubts_every_app_that_may_have_gone_on_elsewhere() -> None:
    moved = resumed().model_copy(update={"moved": True})
    state = state_of(record_of(Event.FOUND_UPLOADED, "1"), moved, apps="12")
    assert [app.in_doubt_before for app in state.apps.values()] == [True, True]
    started = record_of(Event.SUBMIT_AUDIT_STARTED, "1")
    state.apply(Entry(9, START, started))
    assert [app.in_doubt_before for app in state.apps.values()] == [False, True]


@pytest.mark.parametrize(
    ("wrote", "here", "elsewhere"),
    [("1-2", "1-2", False), ("1-2", "1-3", True), ("", "1-3", False), ("1-2", "", False)],
)
def test_a_directory_is_a_copy_when_it_is_not_the_one_written_to(
    wrote: str, here: str, *, elsewhere: bool
) -> None:
    writer = WRITER.model_copy(update={"place": wrote})
    state = RunState.new("1")
    state.apply(Entry(0, START, header().model_copy(update={"writer": writer})))
    assert state.is_elsewhere(here) is elsewhere
