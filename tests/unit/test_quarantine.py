"""Who is set aside, for what, and what brings whom back; and what a run makes of it."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from fleetdeploy.core.app_checks import APP_CHECKS
from fleetdeploy.core.app_state import AppState
from fleetdeploy.core.decide_back import decide_for
from fleetdeploy.core.decisions import Do, Note, Policy, Sight
from fleetdeploy.core.diagnosis import AppCheckup, Check, State, fine
from fleetdeploy.core.endings import QUOTA_USED_UP, WOULD_LOSE_WAY_BACK
from fleetdeploy.core.gates import HaltAt, Move, Open, in_order, next_move
from fleetdeploy.core.next_steps import exit_code_of
from fleetdeploy.core.plan import Action, Plan, check_digest
from fleetdeploy.core.quarantine import (
    JUDGES,
    Admission,
    Quarantine,
    Rows,
    WayBack,
    admission_notes,
    admit,
    plan_set_aside,
    recovered,
    way_back,
)
from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    ErrorNote,
    RunFinished,
    WaveOpened,
    WaveSettled,
)
from fleetdeploy.core.replay import RunState, replay
from fleetdeploy.core.set_aside import SetAside, leave_alone
from fleetdeploy.core.so_far import SoFar
from fleetdeploy.core.summary import summarise
from fleetdeploy.core.targets import Target, Undo
from fleetdeploy.errors import ExitCode, PlanMismatch
from fleetdeploy.model import Outcome, RunKind, Step, Until
from tests.builders import (
    NOTE,
    START,
    blocked,
    make_entries,
    make_plan,
    make_planned,
    make_state,
    released,
)
from tests.unit.core_builders import OURS, make_row, make_target

APP, OTHER = "100000282", "100000283"
DAY = timedelta(days=1)
REJECTED = ErrorNote(code="audit.rejected", message="the reviewer rejected it", msg="内容为空")
LATER = START + 30 * DAY


def ended(
    outcome: Outcome, error: ErrorNote | None = NOTE, app_id: str = APP
) -> list[AnyAppRecord]:
    return [AppFinished(app_id=app_id, outcome=outcome, error=error)]


BLOCKED = ended(Outcome.BLOCKED)
FAILED = ended(Outcome.FAILED)
UNCHANGED = ended(Outcome.UNCHANGED, None)
NO_QUOTA = ended(Outcome.BLOCKED, QUOTA_USED_UP.note())
SOAKS = ended(Outcome.BLOCKED, WOULD_LOSE_WAY_BACK.note())
CANCELLED = ended(Outcome.CANCELLED)
NO_END: list[AnyAppRecord] = []
ASIDE = SetAside(
    app_id=APP,
    name="Hot Pot House",
    since=START,
    runs=("run-2", "run-1", "run-0"),
    reason=NOTE,
    fingerprint=OURS,
)
BY_HAND = SetAside(app_id=APP, since=START, by="ops on night", note="a quarrel")
FOR_CONTENT = ASIDE.model_copy(update={"reason": REJECTED})
UNCHANGED_OTHER = ended(Outcome.UNCHANGED, None, OTHER)
SET_ASIDE: list[AnyAppRecord] = [leave_alone(ASIDE).record]


def rows_of(
    runs: Iterable[list[AnyAppRecord]],
    *,
    after: int | None = 3,
    quarantine: Quarantine | None = None,
    kind: RunKind = RunKind.ROLLOUT,
) -> Rows:
    """Gather the rows from runs that ended so, the newest first."""
    rows = Rows([APP], after, quarantine)
    for place, records in enumerate(runs):
        plan = make_plan([make_planned(APP)], run_id=f"run-{place}")
        state = make_state(plan, records)
        rows.take(plan.model_copy(update={"run_kind": kind}), state)
    return rows


def is_due(rows: Rows) -> bool:
    return APP in rows.due(LATER)


# --- rows ---


@pytest.mark.parametrize(
    ("runs", "due"),
    [
        ([BLOCKED, BLOCKED, BLOCKED], True),
        ([BLOCKED, FAILED, blocked(APP)], True),
        ([BLOCKED, BLOCKED, BLOCKED, UNCHANGED], True),
        ([BLOCKED, BLOCKED], False),
        ([BLOCKED, BLOCKED, UNCHANGED, BLOCKED], False),
        ([BLOCKED, released(APP), BLOCKED, BLOCKED], False),
        ([UNCHANGED, BLOCKED, BLOCKED, BLOCKED], False),
        ([CANCELLED, BLOCKED, NO_END, BLOCKED, SET_ASIDE, BLOCKED], True),
        ([CANCELLED, CANCELLED, CANCELLED], False),
        ([NO_QUOTA, NO_QUOTA, NO_QUOTA], False),
        ([SOAKS, SOAKS, SOAKS], False),
        ([BLOCKED, NO_QUOTA, BLOCKED, NO_QUOTA, BLOCKED], True),
        ([NO_END, NO_END, NO_END], False),
        ([SET_ASIDE, SET_ASIDE, SET_ASIDE], False),
        ([], False),
    ],
)
def test_bad_ends_make_a_row_until_a_good_one(runs: list[list[AnyAppRecord]], due: bool) -> None:
    assert is_due(rows_of(runs)) is due


@pytest.mark.parametrize(("after", "runs", "due"), [(1, 1, True), (5, 4, False), (5, 5, True)])
def test_it_takes_as_many_bad_ends_as_the_manifest_says(
    after: int,
    runs: int,
    due: bool,
) -> None:
    assert is_due(rows_of([BLOCKED] * runs, after=after)) is due


def test_nobody_is_due_where_the_manifest_says_never() -> None:
    rows = rows_of([BLOCKED] * 9, after=None)
    assert (is_due(rows), rows.undecided) == (False, False)


def test_what_takes_something_back_is_no_part_of_a_row() -> None:
    assert not is_due(rows_of([BLOCKED] * 3, kind=RunKind.ROLLBACK))


def test_who_is_due_is_told_with_its_last_end_and_all_its_runs() -> None:
    rows = rows_of([ended(Outcome.FAILED, REJECTED), BLOCKED, CANCELLED, FAILED])
    assert rows.due(LATER) == {
        APP: SetAside(
            app_id=APP,
            name="Hot Pot House",
            since=LATER,
            runs=("run-0", "run-1", "run-3"),
            reason=REJECTED,
            fingerprint="0123456789",
        )
    }


def test_more_runs_are_wanted_only_while_one_may_go_on_with_a_row() -> None:
    wanted = [rows_of([BLOCKED] * number).undecided for number in range(4)]
    assert wanted == [False, True, True, False]
    assert not rows_of([BLOCKED, UNCHANGED]).undecided


def test_ends_from_before_an_app_came_back_do_not_count() -> None:
    # In these journals an app ends a minute or more after the header.
    before, after = START, START + timedelta(minutes=1)
    assert is_due(rows_of([BLOCKED] * 3, quarantine=Quarantine(back={APP: before})))
    forgiven = rows_of([BLOCKED] * 3, quarantine=Quarantine(back={APP: after}))
    assert (is_due(forgiven), forgiven.undecided) == (False, False)


def test_who_is_inside_has_no_row() -> None:
    rows = rows_of([BLOCKED] * 3, quarantine=Quarantine(entries=(ASIDE,)))
    assert not is_due(rows)


# --- what is kept ---


def test_who_is_let_out_begins_anew_and_who_is_put_in_again_has_nothing_to_forget() -> None:
    inside = Quarantine().put([ASIDE])
    out = inside.let_out([APP, OTHER], LATER)
    assert (out.entries, out.back) == ((), {APP: LATER})
    again = out.put([BY_HAND])
    assert (again.entries, again.back) == ((BY_HAND,), {})


def test_a_person_who_sets_somebody_aside_has_the_last_word() -> None:
    by_hand = Quarantine().put([ASIDE]).put([BY_HAND])
    assert by_hand.entries == (BY_HAND,)
    assert by_hand.let_out_unchanged([ASIDE], LATER) == by_hand
    assert by_hand.put_planned([ASIDE], LATER) == by_hand


@pytest.mark.parametrize(
    ("back", "inside"), [(START - DAY, True), (START, False), (START + DAY, False)]
)
def test_a_plan_sets_nobody_aside_who_was_let_out_since_it_was_made(
    back: datetime,
    inside: bool,
) -> None:
    quarantine = Quarantine(back={APP: back}).put_planned([ASIDE], START)
    assert (APP in quarantine.by_id()) is inside


# --- who is set aside tonight ---


def target_of(fingerprint: str = OURS) -> Target:
    target = make_target()
    return replace(target, bundle=replace(target.bundle, fingerprint=fingerprint))


@pytest.mark.parametrize(
    ("entry", "way", "stays"),
    [
        (ASIDE, WayBack.DOCTOR, True),
        (BY_HAND, WayBack.CLEAR, True),
        (FOR_CONTENT, WayBack.CONTENT, False),
    ],
)
def test_only_what_can_change_with_the_content_comes_back_with_it(
    entry: SetAside,
    way: WayBack,
    stays: bool,
) -> None:
    assert way_back(entry) is way
    same = admit([target_of()], Quarantine(entries=(entry,)), {})
    assert same == Admission({APP: entry})
    other = admit([target_of("abcdefabcd")], Quarantine(entries=(entry,)), {})
    assert other == (Admission({APP: entry}) if stays else Admission(back=(entry,)))


def test_content_that_was_never_tried_gets_its_try_however_long_the_row() -> None:
    due = {APP: FOR_CONTENT}
    assert admit([target_of()], Quarantine(), due) == Admission({APP: FOR_CONTENT}, new=(APP,))
    assert admit([target_of("abcdefabcd")], Quarantine(), due) == Admission()


def test_who_is_no_part_of_the_run_is_left_where_it_is() -> None:
    elsewhere = FOR_CONTENT.model_copy(update={"app_id": OTHER})
    assert admit([target_of()], Quarantine(entries=(elsewhere,)), {}) == Admission()


def test_the_notes_tell_who_is_new_who_is_back_and_who_was_asked_for() -> None:
    back = FOR_CONTENT.model_copy(update={"app_id": OTHER})
    admission = Admission({APP: ASIDE}, new=(APP,), back=(back,))
    notes = admission_notes(admission, [APP, OTHER])
    assert [note.app_ids for note in notes] == [(APP,), (OTHER,), (APP,)]
    assert notes[2].hint == f"to try them: fleetdeploy quarantine clear {APP}"
    assert admission_notes(Admission({APP: ASIDE})) == ()


# --- the plan and the run ---


def test_the_plan_says_what_the_run_does_and_neither_looks() -> None:
    (target,) = Admission({APP: ASIDE}).marked([target_of()])
    app = plan_set_aside(target)
    decision = decide_for(
        RunKind.ROLLOUT, AppState(APP), app.target(), Sight(()), Policy(), Until.RELEASED
    )
    assert isinstance(decision, Note)
    assert isinstance(decision.record, AppFinished)
    assert (app.action, app.start, app.online) == (Action.SET_ASIDE, None, None)
    assert (decision.record.outcome, decision.record.error) == (Outcome.BLOCKED, app.error)
    assert app.reason == decision.why
    assert app.reason.startswith("set aside after 3 bad ends in a row: no service category")
    assert app.reason.endswith(f"({NOTE.msg})")


def test_a_run_that_takes_something_back_does_not_care() -> None:
    target = replace(target_of(), set_aside=ASIDE, undo=Undo("58210"))
    sight = Sight((replace(make_row(1), rollback_version="9.9"),))
    decision = decide_for(RunKind.ROLLBACK, AppState(APP), target, sight, Policy(), Until.RELEASED)
    assert isinstance(decision, Do)
    assert decision.record.step is Step.ROLLBACK


def aside_plan(*entries: SetAside) -> Plan:
    apps = [make_planned(one.app_id, action=Action.SET_ASIDE, set_aside=one) for one in entries]
    return make_plan([*apps, make_planned("100000290")])


def aside_state(plan: Plan) -> RunState:
    records = [leave_alone(app.set_aside).record for app in plan.apps if app.set_aside]
    return make_state(plan, records)


def test_the_digest_covers_who_is_set_aside_and_for_what() -> None:
    plan = aside_plan(ASIDE)
    check_digest(plan, "plan.json")
    check_digest(Plan.model_validate_json(plan.model_dump_json()), "plan.json")
    for other in (aside_plan(BY_HAND), make_plan([*aside_plan(ASIDE).apps[1:]])):
        with pytest.raises(PlanMismatch):
            check_digest(plan.model_copy(update={"apps": other.apps}), "plan.json")


def test_an_end_by_quarantine_counts_against_nothing() -> None:
    for entry in (ASIDE, BY_HAND, FOR_CONTENT):
        state = aside_state(aside_plan(entry))
        assert (state.failing, state.blocking, state.causes) == (set(), set(), {})


def test_who_counted_from_earlier_runs_counts_no_longer_once_it_is_set_aside() -> None:
    state = RunState.new([APP, OTHER], failing=[APP], blocking=[APP, OTHER])
    replay(state, make_entries(SET_ASIDE))
    assert (state.failing, state.blocking) == (set(), {OTHER})


def test_what_counts_of_a_rollout_is_passed_on_without_those_who_are_not_tried() -> None:
    given = SoFar(rollout="r", apps=9, failing=(APP, OTHER), blocking=(APP,))
    assert given.without({APP}) == SoFar(rollout="r", apps=9, failing=(OTHER,))


@pytest.mark.parametrize(
    ("rest_of_wave", "move"),
    [
        # As if the others were the whole wave: they are online, and prove what they did before.
        (UNCHANGED_OTHER, Open("rest")),
        (released(OTHER), Open("rest")),
        # A canary that nobody tried shows nothing.
        ([leave_alone(BY_HAND.model_copy(update={"app_id": OTHER})).record], HaltAt),
    ],
)
def test_a_wave_is_judged_without_those_who_are_set_aside(
    rest_of_wave: list[AnyAppRecord], move: Move | type[Move]
) -> None:
    course = in_order([(APP, "canary"), (OTHER, "canary"), ("100000290", "rest")])
    records = [WaveOpened(wave="canary"), *SET_ASIDE, *rest_of_wave, WaveSettled(wave="canary")]
    state = RunState.new([APP, OTHER, "100000290"])
    replay(state, make_entries(records))
    found = next_move(course, state, LATER)
    assert isinstance(found, move) if isinstance(move, type) else found == move


def test_who_is_set_aside_for_one_cause_is_told_in_one_line() -> None:
    entries = [ASIDE.model_copy(update={"app_id": str(100000282 + place)}) for place in range(3)]
    other = FOR_CONTENT.model_copy(update={"app_id": "100000289"})
    plan = aside_plan(*entries, other)
    causes = summarise(plan, aside_state(plan), alive=False).causes
    assert [(cause.code, cause.count) for cause in causes] == [
        ("app.quarantined", 3),
        ("app.quarantined", 1),
    ]
    assert causes[0].message == (
        f"set aside after 3 bad ends in a row, the last of them {NOTE.code} ({NOTE.msg})"
    )


def test_two_people_s_reasons_are_told_apart() -> None:
    other = BY_HAND.model_copy(update={"app_id": OTHER, "note": "moves away"})
    plan = aside_plan(BY_HAND, other)
    causes = summarise(plan, aside_state(plan), alive=False).causes
    assert {cause.message for cause in causes} == {
        "set aside by ops on night: a quarrel",
        "set aside by ops on night: moves away",
    }


@pytest.mark.parametrize(
    ("rest", "following"),
    [
        (released("100000290"), "fleetdeploy quarantine list"),
        (blocked("100000290"), "fleetdeploy run shop.yaml"),
    ],
)
def test_the_next_command_looks_into_the_quarantine_where_all_else_is_well(
    rest: list[AnyAppRecord], following: str
) -> None:
    plan = aside_plan(ASIDE)
    state = make_state(plan, [*SET_ASIDE, *rest, RunFinished()])
    assert exit_code_of(state) is ExitCode.INCOMPLETE
    assert summarise(plan, state, alive=False).next == following


# --- the check-up ---


def checkup(app_id: str = APP, **states: State) -> AppCheckup:
    """Make a check-up in which every check is ok but for these."""
    checks = tuple(
        Check(name=name, state=states[name], found="so") if name in states else fine(name, "so")
        for name in APP_CHECKS
    )
    return AppCheckup(app_id=app_id, name="", state=State.OK, checks=checks)


@pytest.mark.parametrize(
    ("found", "mended"),
    [
        (checkup(), True),
        (checkup(quota=State.WARNING, template=State.UNKNOWN), True),
        (checkup(category=State.PROBLEM), False),
        (checkup(category=State.UNKNOWN), False),
        (checkup(category=State.WARNING), False),
        # What comes next in its way would only begin the next row.
        (checkup(authenticity=State.PROBLEM), False),
        (checkup(OTHER), False),
    ],
)
def test_a_check_up_lets_out_whose_cause_is_seen_to_be_gone(
    found: AppCheckup,
    mended: bool,
) -> None:
    quarantine = Quarantine(entries=(ASIDE,))
    assert recovered(quarantine, [found]) == ((ASIDE,) if mended else ())


@pytest.mark.parametrize("entry", [BY_HAND, FOR_CONTENT])
def test_a_check_up_lets_nobody_out_of_whom_it_knows_nothing(entry: SetAside) -> None:
    assert recovered(Quarantine(entries=(entry,)), [checkup()]) == ()


def test_the_checks_that_judge_are_checks_that_are_made() -> None:
    assert {name for names in JUDGES.values() for name in names} <= set(APP_CHECKS)
