"""What a plan of taking something back says: who has a way back, who has not, and why."""

from dataclasses import replace

import pytest

from fleetdeploy.cli.render.plan import render_plan
from fleetdeploy.cli.render.style import Output, Style
from fleetdeploy.core.decisions import Policy
from fleetdeploy.core.lifecycle import Event
from fleetdeploy.core.next_steps import next_command
from fleetdeploy.core.plan import Action, ManifestRef, Plan, PlannedApp, check_digest, seal
from fleetdeploy.core.plan_back import (
    left_alone,
    plan_back,
    plan_back_unread,
    rules_for,
    undoable,
)
from fleetdeploy.core.records import AppFinished, RunFinished, StepStarted
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.summary import summarise
from fleetdeploy.core.targets import Target, Undo
from fleetdeploy.errors import IllegalTransition
from fleetdeploy.model import Outcome, Package, RunKind, Step
from tests.unit.core_builders import (
    APP,
    NOTE,
    VERSION,
    entries_of,
    header,
    make_plan,
    make_row,
    make_target,
    record_of,
    state_of,
)

BACK, AWAY = RunKind.ROLLBACK, RunKind.WITHDRAW
LIVE = replace(make_row(1), rollback_version="9.9")
TARGET = replace(make_target(), undo=Undo("58210"))
TO_APPROVED = (
    Event.UPLOAD_STARTED,
    Event.UPLOAD_SUCCEEDED,
    Event.AWAIT_UPLOAD_SUCCEEDED,
    Event.SUBMIT_AUDIT_STARTED,
    Event.SUBMIT_AUDIT_SUCCEEDED,
    Event.AWAIT_AUDIT_SUCCEEDED,
)
TO_RELEASED = (
    *TO_APPROVED,
    Event.RELEASE_STARTED,
    Event.RELEASE_SUCCEEDED,
    Event.AWAIT_RELEASE_SUCCEEDED,
)


def planned(kind: RunKind, *rows: Package, doubted: bool = False) -> PlannedApp:
    return plan_back(kind, TARGET, rows, Policy(), in_doubt_before=doubted)


def plan_of(kind: RunKind, *apps: PlannedApp, **fields: object) -> Plan:
    plan = make_plan(*apps).model_copy(
        update={"run_kind": kind, "of_run": "r0", "apps": apps, **fields}
    )
    return seal(plan)


def candidates(kind: RunKind, *events: Event) -> tuple[Target, ...]:
    return undoable(kind, make_plan(), state_of(*map(record_of, events)), [APP]).targets


# --- who may have something to take back ---


@pytest.mark.parametrize("steps", [7, 8, 9])
def test_what_was_released_or_perhaps_so_may_be_rolled_back(steps: int) -> None:
    (found,) = candidates(BACK, *TO_RELEASED[:steps])
    assert found.undo == Undo("58210")
    assert found.bundle.version == VERSION


@pytest.mark.parametrize("steps", range(7))
def test_what_never_came_to_a_release_is_not_rolled_back(steps: int) -> None:
    assert candidates(BACK, *TO_RELEASED[:steps]) == ()
    state = state_of(*map(record_of, TO_RELEASED[:steps]))
    assert undoable(BACK, make_plan(), state, [APP]).others == (APP,)


def test_a_release_that_ended_badly_may_have_happened() -> None:
    assert candidates(BACK, *TO_RELEASED[:8], Event.ENDED_FAILED)
    assert candidates(BACK, *TO_RELEASED[:7], Event.ENDED_CANCELLED)
    assert not candidates(BACK, *TO_RELEASED[:5], Event.ENDED_CANCELLED)


def test_an_adopted_package_is_known_by_its_own_version() -> None:
    state = state_of(
        record_of(Event.FOUND_APPROVED, version="9.7"), *map(record_of, TO_RELEASED[6:])
    )
    (found,) = undoable(BACK, make_plan(), state, [APP]).targets
    assert found.bundle.version == "9.7"


def test_what_may_be_in_audit_may_be_withdrawn() -> None:
    for steps in range(3, 9):
        assert candidates(AWAY, *TO_RELEASED[:steps])
    assert not candidates(AWAY, *TO_RELEASED)
    assert not candidates(AWAY, *TO_RELEASED[:1])


def test_apps_that_were_not_chosen_are_not_spoken_of() -> None:
    found = undoable(BACK, make_plan(), state_of(), [])
    assert (found.targets, found.others) == ((), ())


# --- what the look says ---


def test_who_has_a_way_back_is_told_to_which_version() -> None:
    app = planned(BACK, LIVE)
    assert (app.action, app.start, app.reason) == (
        Action.ROLLBACK,
        Step.ROLLBACK,
        "goes back to version 9.9",
    )
    assert app.undo == Undo("58210", "9.9")
    assert app.target() == replace(TARGET, undo=app.undo)


def test_who_has_none_is_blocked_with_the_reason() -> None:
    app = planned(BACK, make_row(1))
    assert (app.action, app.start) == (Action.BLOCKED, None)
    assert app.error is not None
    assert app.error.code == "rollback.no_way_back"


def test_where_somebody_released_later_the_app_is_left_alone_and_said() -> None:
    app = planned(BACK, make_row(1, "77", fingerprint=None, version="11"))
    assert app.action is Action.UNCHANGED
    (note,) = left_alone(BACK, "r0", [app], ())
    assert note.app_ids == (APP,)
    assert "version 11 is online instead" in note.message


def test_who_was_never_released_is_said() -> None:
    (note,) = left_alone(BACK, "r0", [], ("1", "2"))
    assert (note.message, note.app_ids) == (
        "left alone: run r0 released nothing of these",
        ("1", "2"),
    )


def test_what_rolls_back_already_is_adopted() -> None:
    app = planned(BACK, make_row(8))
    assert (app.action, app.start) == (Action.ADOPT, Step.AWAIT_ROLLBACK)


def test_after_a_run_in_doubt_the_plan_says_what_comes_if_nothing_moves() -> None:
    assert planned(BACK, LIVE, doubted=True).action is Action.ROLLBACK
    assert planned(BACK, make_row(6), doubted=True).action is Action.WAIT
    assert planned(AWAY, make_row(4), doubted=True).action is Action.WITHDRAW
    assert planned(AWAY, make_row(3), doubted=True).action is Action.WAIT


def test_what_is_in_audit_is_planned_to_be_withdrawn() -> None:
    app = planned(AWAY, make_row(4))
    assert (app.action, app.start) == (Action.WITHDRAW, Step.WITHDRAW)
    assert planned(AWAY, make_row(6)).action is Action.UNCHANGED


def test_an_app_that_could_not_be_read_is_looked_at_by_the_run() -> None:
    app = plan_back_unread(BACK, TARGET, NOTE)
    assert (app.action, app.start, app.target()) == (Action.UNKNOWN, Step.ROLLBACK, TARGET)


def test_the_budget_is_worked_out_anew_for_the_apps_that_are_left() -> None:
    rules = make_plan().rules
    assert rules_for(rules, 30).failures_allowed == 3
    fixed = rules.model_copy(update={"max_failures": "4"})
    assert rules_for(fixed, 30).failures_allowed == 4


# --- the whole plan ---


def test_the_digest_covers_what_is_taken_back_and_old_rollouts_keep_theirs() -> None:
    plan = plan_of(BACK, planned(BACK, LIVE))
    check_digest(plan, "here")
    assert seal(plan.model_copy(update={"of_run": "r9"})).digest != plan.digest
    rollout = make_plan()
    document = rollout.model_dump(exclude={"of_run": True, "apps": {"__all__": {"undo"}}})
    check_digest(Plan.model_validate(document), "an older file")
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_the_plan_is_told_with_the_run_it_takes_back() -> None:
    note = left_alone(BACK, "r0", [], ("9",))
    plan = plan_of(BACK, planned(BACK, LIVE), notes=note)
    text = render_plan(plan, Output.TEXT, Style())
    assert "rolls back  r0" in text
    assert f"< {APP}" in text
    assert "goes back to version 9.9" in text
    assert "left alone: run r0 released nothing of these (1 app: 9)" in text
    assert text.endswith("next: fleetdeploy rollback r0")
    markdown = render_plan(plan, Output.MARKDOWN, Style())
    assert "| rollback | `100000282` |" in markdown


def test_a_plan_with_nothing_to_do_says_so() -> None:
    for kind, said in ((BACK, "none of it is online"), (AWAY, "none of it is in audit")):
        assert said in render_plan(plan_of(kind), Output.TEXT, Style())


# --- the run ---


def run_of(kind: RunKind, *events: Event) -> RunState:
    state = RunState.new([APP])
    for entry in entries_of((header(kind=kind), *map(record_of, events))):
        state.apply(entry)
    return state


def test_a_run_that_takes_back_is_told_as_such() -> None:
    plan = plan_of(BACK, planned(BACK, LIVE))
    state = run_of(BACK)
    status = summarise(plan, state, alive=False)
    assert (status.kind, status.of_run, status.apps[0].step) == (BACK, "r0", Step.ROLLBACK)
    assert next_command(plan, RunState.new([APP]), alive=False) == "fleetdeploy rollback r0"
    went = run_of(
        BACK, Event.ROLLBACK_STARTED, Event.ROLLBACK_SUCCEEDED, Event.AWAIT_ROLLBACK_SUCCEEDED
    )
    assert went.apps[APP].outcome is Outcome.ROLLED_BACK
    assert summarise(plan, went, alive=False).causes == ()


@pytest.mark.parametrize(
    ("end", "command"),
    [
        (Event.ENDED_FAILED, "fleetdeploy rollback r0"),
        (Event.ENDED_BLOCKED, "fleetdeploy report r1"),
        (Event.ENDED_UNCHANGED, "fleetdeploy report r1"),
    ],
)
def test_the_same_command_is_named_again_where_it_may_help(end: Event, command: str) -> None:
    plan = plan_of(BACK, planned(BACK, LIVE))
    state = run_of(BACK, end)
    state.apply(entries_of([header(), RunFinished()])[-1])
    assert next_command(plan, state, alive=False) == command


def test_the_same_command_names_the_same_apps_and_what_follows() -> None:
    then = ManifestRef(name="m", path="mended.yaml", digest="d")
    plan = plan_of(AWAY, planned(AWAY, make_row(4)), chosen=("--only", APP), resubmit=then)
    command = f"fleetdeploy withdraw r0 --and-resubmit mended.yaml --only {APP}"
    assert next_command(plan, RunState.new([APP]), alive=False) == command


def test_that_an_earlier_run_was_at_work_on_an_app_is_said_once() -> None:
    app = planned(AWAY, make_row(4), doubted=True)
    assert (app.reason, app.in_doubt_before) == (planned(AWAY, make_row(4)).reason, True)


def test_an_app_that_was_left_alone_is_no_cause() -> None:
    plan = plan_of(BACK, planned(BACK, LIVE))
    state = run_of(BACK)
    record = AppFinished(app_id=APP, outcome=Outcome.UNCHANGED, error=NOTE)
    state.apply(entries_of([header(), record])[-1])
    assert summarise(plan, state, alive=False).causes == ()


def test_a_step_of_another_kind_of_run_is_refused() -> None:
    for kind, step in (
        (BACK, Step.UPLOAD),
        (AWAY, Step.ROLLBACK),
        (RunKind.ROLLOUT, Step.WITHDRAW),
    ):
        record = StepStarted(app_id=APP, step=step, attempt=1)
        with pytest.raises(IllegalTransition, match=f"cannot happen in a {kind}"):
            run_of(kind).check(record)


def test_a_rollback_keeps_the_package_and_the_version_to_come_back() -> None:
    state = run_of(BACK)
    record = StepStarted(
        app_id=APP, step=Step.ROLLBACK, attempt=1, package_id="58210", back_to="9.9"
    )
    state.apply(entries_of([header(), record])[-1])
    app = state.apps[APP]
    assert (app.package_id, app.back_to) == ("58210", "9.9")
