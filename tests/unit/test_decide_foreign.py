"""Packages that are not ours: withdrawn from our way where that is said, else left alone."""

from dataclasses import replace

import pytest

from fleetdeploy.core.app_state import AppState, advance
from fleetdeploy.core.decide import decide
from fleetdeploy.core.decide_foreign import OBSTACLES_MAX
from fleetdeploy.core.decisions import Confirm, Decision, Do, Note, Policy, Poll, Sight
from fleetdeploy.core.foreign import LeftOnline, replaced_by_hand
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
from fleetdeploy.core.targets import Target
from fleetdeploy.errors import IllegalTransition
from fleetdeploy.model import Outcome, Package, Phase, RunKind, Step, Until
from tests.unit.core_builders import (
    APP,
    NOTE,
    OTHERS,
    VERSION,
    header,
    make_app,
    make_row,
    make_target,
    state_of,
)

THEIRS = make_row(4, "9", fingerprint=None, version="8")
OURS = make_row(3)
WITHDRAW = Policy(foreign_package="withdraw")
RELEASED_BY_HAND = make_row(1, "9", fingerprint=None, version="8")
LEFT = LeftOnline(ours="9.9")


def look(
    app: AppState | Phase,
    *rows: Package,
    target: Target | None = None,
    policy: Policy = WITHDRAW,
    silent_s: float | None = None,
    missing: str = "",
    phase_s: float = 0.0,
) -> Decision:
    app = make_app(app) if isinstance(app, Phase) else app
    sight = Sight(rows, absent_s=silent_s, missing=missing, phase_s=phase_s)
    return decide(app, target or make_target(), sight, policy, Until.RELEASED)


def withdraws(attempt: int = 1, package_id: str = "9") -> StepStarted:
    return StepStarted(
        app_id=APP, step=Step.WITHDRAW, attempt=attempt, package_id=package_id, obstacle=True
    )


def out_of_audit() -> StepSucceeded:
    return StepSucceeded(
        app_id=APP, step=Step.AWAIT_WITHDRAW, attempt=1, package_id="9", obstacle=True
    )


def taken() -> StepSucceeded:
    return StepSucceeded(app_id=APP, step=Step.WITHDRAW, attempt=1)


def failed(attempt: int = 1) -> StepFailed:
    return StepFailed(app_id=APP, step=Step.WITHDRAW, attempt=attempt, error=NOTE)


def after(app: AppState, *records: AnyAppRecord) -> AppState:
    for record in records:
        app = advance(app, record)
    return app


def record_of(decision: Decision) -> AnyAppRecord:
    assert isinstance(decision, Note | Do), decision
    return decision.record


def code_of(decision: Decision) -> tuple[Outcome, str]:
    record = record_of(decision)
    assert isinstance(record, AppFinished), record
    assert record.error is not None
    return record.outcome, record.error.code


def before(phase: Phase) -> tuple[AppState, tuple[Package, ...]]:
    """Return an app that meets an obstacle, and its own rows: built already, or none."""
    return make_app(phase), () if phase is Phase.QUEUED else (OURS,)


both_phases = pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.UPLOADED])


# --- in audit ---


@both_phases
@pytest.mark.parametrize(
    ("fingerprint", "whose"), [(None, "somebody else's"), (OTHERS, "an earlier rollout's")]
)
def test_what_is_in_the_way_is_withdrawn_first(
    phase: Phase, fingerprint: str | None, whose: str
) -> None:
    app, ours = before(phase)
    other = make_row(4, "9", fingerprint=fingerprint, version="8")
    decision = look(app, *ours, other)
    why = f"withdraws {whose} package 9 (version 8) from audit first"
    assert decision == Do(withdraws(), why)


def test_the_rule_of_an_app_wins_over_the_runs() -> None:
    blocks, waits = (replace(make_target(), foreign_package=rule) for rule in ("block", "wait"))
    withdraw = replace(make_target(), foreign_package="withdraw")
    assert code_of(look(Phase.QUEUED, THEIRS, target=blocks))[0] is Outcome.BLOCKED
    assert isinstance(look(Phase.QUEUED, THEIRS, target=waits), Poll)
    assert look(Phase.QUEUED, THEIRS, target=withdraw, policy=Policy()) == look(
        Phase.QUEUED, THEIRS
    )


def test_nothing_is_withdrawn_before_what_a_dead_run_sent_would_show() -> None:
    app = make_app(Phase.QUEUED, in_doubt_before=True)
    assert isinstance(look(app, THEIRS), Confirm)
    assert record_of(look(app, THEIRS, silent_s=10.0, missing="earlier step")) == withdraws()


def test_a_row_in_audit_without_an_id_cannot_be_withdrawn() -> None:
    decision = look(Phase.UPLOADED, OURS, replace(THEIRS, package_id=None))
    assert code_of(decision) == (Outcome.BLOCKED, "package.foreign_in_audit")


@both_phases
def test_our_own_package_survives_and_is_gone_on_with(phase: Phase) -> None:
    app, ours = before(phase)
    gone = after(app, withdraws(), taken(), out_of_audit())
    assert (gone.phase, gone.obstacle, gone.cleared) == (Phase.QUEUED, None, 1)
    assert gone.package_id == app.package_id
    record = record_of(look(gone, *ours, replace(THEIRS, status=3)))
    if phase is Phase.QUEUED:
        assert record == StepStarted(app_id=APP, step=Step.UPLOAD, attempt=1)
        return
    assert record == PackageFound(
        app_id=APP, stage=FoundStage.UPLOADED, package_id=OURS.package_id, version=VERSION
    )
    submit = record_of(look(after(gone, record), *ours, replace(THEIRS, status=3)))
    assert submit == StepStarted(
        app_id=APP, step=Step.SUBMIT_AUDIT, attempt=1, package_id=OURS.package_id
    )


def test_an_id_of_a_package_that_failed_to_build_is_not_gone_on_with() -> None:
    app = replace(make_app(Phase.QUEUED), package_id="7")
    gone = after(app, withdraws(), taken(), out_of_audit())
    assert gone.package_id is None
    record = record_of(look(gone))
    assert isinstance(record, StepStarted)
    assert record.step is Step.UPLOAD


def test_our_package_that_is_gone_afterwards_is_said_to_be_gone() -> None:
    gone = after(make_app(Phase.UPLOADED), withdraws(), taken(), out_of_audit())
    back = after(gone, record_of(look(gone)))
    assert isinstance(look(back), Confirm)
    assert code_of(look(back, silent_s=60.0, missing="package"))[1] == "package.gone"


@pytest.mark.parametrize("status", [3, 5, 6, 1])
def test_doubt_is_settled_once_it_is_out_of_audit_in_whatever_way(status: int) -> None:
    """A verdict that fell first clears the way as well."""
    doubted = StepDoubted(app_id=APP, step=Step.WITHDRAW, attempt=1, error=NOTE)
    app = after(make_app(Phase.UPLOADED), withdraws(), doubted)
    assert app.in_doubt
    there = replace(THEIRS, status=status)
    settled = record_of(look(app, OURS, there))
    assert settled == taken().model_copy(update={"settled": True})
    assert record_of(look(after(app, settled), OURS, there)) == out_of_audit()


def test_j3_a_withdrawal_that_does_not_show_is_repeated_only_after_silence() -> None:
    app = after(make_app(Phase.UPLOADED), withdraws())
    waits = look(app, OURS, THEIRS)
    assert isinstance(waits, Confirm)
    assert waits.wait_s == Policy().settle_s
    assert isinstance(look(app, OURS, THEIRS, silent_s=9.9, missing="withdraw"), Confirm)
    proof = record_of(look(app, OURS, THEIRS, silent_s=10.0, missing="withdraw"))
    assert isinstance(proof, StepFailed)
    assert proof.settled
    back = after(app, proof)
    found = after(back, record_of(look(back, OURS, THEIRS)))
    assert record_of(look(found, OURS, THEIRS)) == withdraws(attempt=2)


def test_a_withdrawal_that_was_taken_is_waited_for_and_never_sent_again() -> None:
    app = after(make_app(Phase.QUEUED), withdraws(), taken())
    assert isinstance(look(app, THEIRS), Poll)
    late = look(app, THEIRS, phase_s=1800.0)
    assert code_of(late) == (Outcome.FAILED, "withdraw.not_visible")


def test_an_obstacle_that_is_listed_no_more_is_believed_gone_after_a_while() -> None:
    app = after(make_app(Phase.QUEUED), withdraws(), taken())
    assert isinstance(look(app), Confirm)
    assert record_of(look(app, silent_s=60.0, missing="package")) == out_of_audit()


@both_phases
def test_tries_that_are_used_up_end_the_app_with_the_last_error(phase: Phase) -> None:
    app, ours = before(phase)
    for attempt in range(1, 11):
        assert record_of(look(app, *ours, THEIRS)) == withdraws(attempt)
        app = after(app, withdraws(attempt), failed(attempt))
        if phase is Phase.UPLOADED:
            app = after(app, record_of(look(app, *ours, THEIRS)))
        assert app.error == NOTE
    assert code_of(look(app, *ours, THEIRS)) == (Outcome.FAILED, NOTE.code)


def test_each_obstacle_has_its_own_tries_and_there_is_an_end_of_obstacles() -> None:
    app = make_app(Phase.QUEUED)
    for number in range(OBSTACLES_MAX):
        theirs = make_row(4, str(number), fingerprint=None)
        assert record_of(look(app, theirs)) == withdraws(1, str(number))
        app = after(app, withdraws(1, str(number)), taken(), out_of_audit())
    decision = look(app, THEIRS)
    assert code_of(decision) == (Outcome.BLOCKED, "package.foreign_in_audit")
    assert isinstance(decision, Note)
    assert decision.why.endswith("is in audit, and 3 were withdrawn already")


def test_the_tries_that_an_outage_took_of_one_obstacle_are_no_more_tries_for_the_next() -> None:
    excused = failed().model_copy(update={"excused": True})
    app = after(make_app(Phase.QUEUED), withdraws(), excused, withdraws(2), taken(), out_of_audit())
    assert after(app, withdraws(1, "10")).counted == 1


@pytest.mark.parametrize(("kind", "obstacle"), [(RunKind.ROLLOUT, False), (RunKind.WITHDRAW, True)])
def test_a_rollout_withdraws_obstacles_and_a_withdrawal_what_is_its_own(
    kind: RunKind, obstacle: bool
) -> None:
    state = state_of()
    state.header = header(kind=kind)
    with pytest.raises(IllegalTransition, match=f"cannot happen in a {kind}"):
        state.check(withdraws().model_copy(update={"obstacle": obstacle}))
    state.check(withdraws().model_copy(update={"obstacle": not obstacle}))


# --- online ---


@pytest.mark.parametrize(
    ("live", "left", "replaced"),
    [
        (None, LEFT, None),
        (RELEASED_BY_HAND, None, None),
        (RELEASED_BY_HAND, LeftOnline(), None),
        (RELEASED_BY_HAND, LEFT, "9.9"),
        (replace(RELEASED_BY_HAND, version="9.9"), LEFT, "9.9"),
        (make_row(1, "9", fingerprint=OTHERS, version="8"), LEFT, None),
        (RELEASED_BY_HAND, LeftOnline(ours="9.9", back_to=("8",)), None),
        (RELEASED_BY_HAND, LeftOnline(ours="9.9", back_to=("7",)), "9.9"),
        (RELEASED_BY_HAND, LeftOnline(maybe=("9.9",)), None),
        (replace(RELEASED_BY_HAND, rollback_version="9.9"), LeftOnline(maybe=("9.9",)), "9.9"),
        (replace(RELEASED_BY_HAND, rollback_version="7"), LeftOnline(maybe=("9.9",)), None),
    ],
    ids=["nothing online", "first contact", "nothing known", "in place of ours",
         "same version, no marker", "ours by its marker", "our rollback brought it back",
         "after our rollback", "our release is in doubt", "it names our release",
         "it names another"],
)  # fmt: skip
def test_a_release_made_by_hand_is_one_that_took_the_place_of_ours(
    live: Package | None, left: LeftOnline | None, replaced: str | None
) -> None:
    assert replaced_by_hand(live, left) == replaced


@pytest.mark.parametrize(
    ("phase", "rows"),
    [
        (Phase.QUEUED, ()),
        (Phase.QUEUED, (make_row(6),)),
        (Phase.QUEUED, (THEIRS,)),
        (Phase.APPROVED, (make_row(6),)),
    ],
    ids=["nothing of ours", "ours to be adopted", "one to be withdrawn", "right before ours"],
)
def test_it_is_not_replaced_unless_that_is_said(phase: Phase, rows: tuple[Package, ...]) -> None:
    target = replace(make_target(), left_online=LEFT)
    rows = (replace(RELEASED_BY_HAND, package_id="11"), *rows)
    decision = look(phase, *rows, target=target)
    assert code_of(decision) == (Outcome.BLOCKED, "package.foreign_online")
    assert isinstance(decision, Note)
    assert decision.why == (
        "somebody else's package 11 (version 8) is online in place of ours (version 9.9)"
    )
    told = (
        look(phase, *rows, target=replace(target, overwrite_foreign=True)),
        look(phase, *rows, target=target, policy=replace(WITHDRAW, overwrite_foreign=True)),
    )
    unasked = look(phase, *rows)
    assert told == (unasked, unasked)
    own_no = replace(target, overwrite_foreign=False)
    assert look(phase, *rows, target=own_no, policy=Policy(overwrite_foreign=True)) == decision
