"""What is done next where something is taken back, phase by phase and row by row."""

from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from fleetdeploy.core.app_state import AppState, advance
from fleetdeploy.core.decide_back import decide_back
from fleetdeploy.core.decisions import Confirm, Decision, Do, Note, Policy, Poll, Sight
from fleetdeploy.core.lifecycle import TERMINAL
from fleetdeploy.core.records import (
    AppFinished,
    FoundStage,
    PackageFound,
    StepFailed,
    StepStarted,
    StepSucceeded,
)
from fleetdeploy.core.targets import Target, Undo
from fleetdeploy.model import Outcome, Package, PackageStatus, Phase, RunKind, Step
from tests.unit.core_builders import APP, NOTE, OTHERS, make_app, make_row, make_target

ID = "58210"
SETTLE_S, VANISH_S, VISIBLE_S = 10.0, 60.0, 1800.0
BACK, AWAY = RunKind.ROLLBACK, RunKind.WITHDRAW
LIVE = replace(make_row(1), rollback_version="9.9")
BEFORE = make_row(1, "9", fingerprint=OTHERS, version="9.9")


def target(back_to: str | None = None) -> Target:
    return replace(make_target(), undo=Undo(ID, back_to))


def look(
    kind: RunKind,
    app: AppState | Phase,
    *rows: Package,
    absent_s: float | None = None,
    phase_s: float = 0.0,
    back_to: str | None = None,
) -> Decision:
    """Decide for an app that looks like `rows`; what is missing has been for `absent_s`."""
    state = make_app(app) if isinstance(app, Phase) else app
    what = target(back_to)
    first = decide_back(kind, state, what, Sight(rows, phase_s=phase_s), Policy())
    missing = first.missing if isinstance(first, Confirm) else ""
    sight = Sight(rows, absent_s=absent_s, missing=missing, phase_s=phase_s)
    return decide_back(kind, state, what, sight, Policy())


def end(decision: Decision) -> tuple[Outcome, str | None]:
    assert isinstance(decision, Note)
    assert isinstance(decision.record, AppFinished)
    error = decision.record.error
    return decision.record.outcome, error.code if error else None


def result(decision: Decision) -> tuple[Step, bool]:
    assert isinstance(decision, Note)
    assert isinstance(decision.record, StepSucceeded)
    return decision.record.step, decision.record.settled


def intent(decision: Decision) -> StepStarted:
    assert isinstance(decision, Do)
    return decision.record


# --- rollback ---


def test_what_is_online_goes_back_to_the_version_that_the_platform_names() -> None:
    record = intent(look(BACK, Phase.QUEUED, LIVE))
    assert record == StepStarted(
        app_id=APP, step=Step.ROLLBACK, attempt=1, package_id=ID, back_to="9.9"
    )


def test_without_a_version_before_there_is_no_way_back() -> None:
    assert end(look(BACK, Phase.QUEUED, make_row(1))) == (
        Outcome.BLOCKED,
        "rollback.no_way_back",
    )


@pytest.mark.parametrize(
    "row",
    [
        replace(LIVE, package_id="7"),
        replace(LIVE, version="11"),
        replace(LIVE, description="by hand"),
        BEFORE,
    ],
    ids=["another id", "another version", "no marker", "another package"],
)
def test_only_the_very_package_is_rolled_back(row: Package) -> None:
    assert not isinstance(look(BACK, Phase.QUEUED, row), Do)


@pytest.mark.parametrize("status", [3, 4, 5, 6])
def test_what_is_not_online_is_left_alone(status: int) -> None:
    assert end(look(BACK, Phase.QUEUED, make_row(status))) == (
        Outcome.UNCHANGED,
        "rollback.not_online",
    )


def test_an_empty_list_is_believed_only_after_a_while() -> None:
    assert isinstance(look(BACK, Phase.QUEUED), Confirm)
    assert isinstance(look(BACK, Phase.QUEUED, absent_s=VANISH_S - 1), Confirm)
    assert end(look(BACK, Phase.QUEUED, absent_s=VANISH_S))[0] is Outcome.UNCHANGED


def test_after_a_run_in_doubt_nothing_is_sent_or_given_up_at_once() -> None:
    app = AppState(APP, in_doubt_before=True)
    for rows in ((LIVE,), (BEFORE,), (make_row(6),), ()):
        assert isinstance(look(BACK, app, *rows), Confirm)
    assert intent(look(BACK, app, LIVE, absent_s=SETTLE_S)).step is Step.ROLLBACK
    assert end(look(BACK, app, BEFORE, absent_s=SETTLE_S))[0] is Outcome.UNCHANGED


def test_doubt_about_an_empty_list_comes_to_an_end() -> None:
    app = AppState(APP, in_doubt_before=True)
    assert end(look(BACK, app, absent_s=VANISH_S))[0] is Outcome.UNCHANGED


def test_what_is_rolling_back_already_is_adopted() -> None:
    decision = look(BACK, Phase.QUEUED, make_row(8))
    assert isinstance(decision, Note)
    assert decision.record == PackageFound(
        app_id=APP, stage=FoundStage.ROLLING_BACK, package_id=ID, version=make_row(8).version
    )


def test_two_packages_online_are_waited_out() -> None:
    assert isinstance(look(BACK, Phase.QUEUED, LIVE, BEFORE), Poll)
    late = look(BACK, Phase.QUEUED, LIVE, BEFORE, phase_s=VISIBLE_S)
    assert end(late) == (Outcome.FAILED, "rollback.two_online")


@pytest.mark.parametrize("rows", [(make_row(8),), (BEFORE,), (BEFORE, make_row(6)), ()])
def test_a_rollback_happened_where_its_package_is_not_online(rows: tuple[Package, ...]) -> None:
    assert result(look(BACK, Phase.ROLLING_BACK, *rows)) == (Step.ROLLBACK, True)


def test_j3_a_rollback_that_does_not_show_failed_only_after_the_settle_time() -> None:
    assert isinstance(look(BACK, Phase.ROLLING_BACK, LIVE), Confirm)
    late = look(BACK, Phase.ROLLING_BACK, LIVE, absent_s=SETTLE_S)
    assert isinstance(late, Note)
    assert isinstance(late.record, StepFailed)
    assert late.record.settled


@pytest.mark.parametrize("rows", [(LIVE,), (make_row(8),), (), (make_row(8), BEFORE)])
def test_a_rollback_is_over_only_when_the_version_before_is_online(
    rows: tuple[Package, ...],
) -> None:
    assert isinstance(look(BACK, Phase.REVERTING, *rows), Poll)
    late = look(BACK, Phase.REVERTING, *rows, phase_s=VISIBLE_S)
    assert end(late) == (Outcome.FAILED, "rollback.not_visible")


def test_the_version_before_online_is_the_result() -> None:
    app = make_app(Phase.REVERTING, back_to="9.9")
    assert result(look(BACK, app, BEFORE)) == (Step.AWAIT_ROLLBACK, False)
    assert result(look(BACK, Phase.REVERTING, BEFORE)) == (Step.AWAIT_ROLLBACK, False)
    assert result(look(BACK, Phase.REVERTING, BEFORE, back_to="9.9"))[0] is Step.AWAIT_ROLLBACK


def test_another_version_than_the_one_named_is_somebody_elses_release() -> None:
    app = make_app(Phase.REVERTING, back_to="9.8")
    assert end(look(BACK, app, BEFORE)) == (Outcome.CANCELLED, "rollback.other_version")


def test_a_rollback_is_tried_a_bounded_number_of_times() -> None:
    app = make_app(Phase.QUEUED, step=Step.ROLLBACK, attempt=10, error=NOTE)
    assert end(look(BACK, app, LIVE)) == (Outcome.FAILED, NOTE.code)


# --- withdraw ---


def test_what_is_in_audit_is_withdrawn() -> None:
    record = intent(look(AWAY, Phase.QUEUED, make_row(4)))
    assert (record.step, record.package_id, record.back_to) == (Step.WITHDRAW, ID, None)


@pytest.mark.parametrize(
    ("status", "said"), [(6, "approved"), (5, "rejected"), (1, "online"), (3, "development")]
)
def test_what_is_not_in_audit_any_more_is_left_alone_and_said(status: int, said: str) -> None:
    decision = look(AWAY, Phase.QUEUED, make_row(status))
    assert end(decision) == (Outcome.UNCHANGED, "withdraw.not_in_audit")
    assert isinstance(decision, Note)
    assert said in decision.why


@pytest.mark.parametrize("row", [make_row(4, "7"), make_row(4, fingerprint=None)])
def test_only_the_very_package_is_withdrawn(row: Package) -> None:
    assert isinstance(look(AWAY, Phase.QUEUED, row), Confirm)
    assert end(look(AWAY, Phase.QUEUED, row, absent_s=VANISH_S))[0] is Outcome.UNCHANGED


def test_a_withdrawal_happened_where_the_package_is_back_or_gone() -> None:
    for rows in ((make_row(3),), ()):
        assert result(look(AWAY, Phase.WITHDRAWING, *rows)) == (Step.WITHDRAW, True)
    assert isinstance(look(AWAY, Phase.WITHDRAWING, make_row(4)), Confirm)
    assert result(look(AWAY, Phase.LEAVING_AUDIT, make_row(3)))[0] is Step.AWAIT_WITHDRAW
    assert isinstance(look(AWAY, Phase.LEAVING_AUDIT), Confirm)
    gone = look(AWAY, Phase.LEAVING_AUDIT, absent_s=VANISH_S)
    assert result(gone)[0] is Step.AWAIT_WITHDRAW


@pytest.mark.parametrize("phase", [Phase.WITHDRAWING, Phase.LEAVING_AUDIT])
@pytest.mark.parametrize("status", [1, 5, 6, 8])
def test_a_verdict_that_was_faster_is_told(phase: Phase, status: int) -> None:
    assert end(look(AWAY, phase, make_row(status))) == (Outcome.CANCELLED, "withdraw.too_late")


def test_a_withdrawal_that_was_taken_is_not_waited_for_for_ever() -> None:
    assert isinstance(look(AWAY, Phase.LEAVING_AUDIT, make_row(4)), Poll)
    late = look(AWAY, Phase.LEAVING_AUDIT, make_row(4), phase_s=VISIBLE_S)
    assert end(late) == (Outcome.FAILED, "withdraw.not_visible")


# --- laws ---

PHASES = {
    BACK: [Phase.QUEUED, Phase.ROLLING_BACK, Phase.REVERTING],
    AWAY: [Phase.QUEUED, Phase.WITHDRAWING, Phase.LEAVING_AUDIT],
}
situations = st.sampled_from([(kind, phase) for kind, found in PHASES.items() for phase in found])
rows_of_any_kind = st.lists(
    st.builds(
        lambda status, package_id, version, fingerprint, back: replace(
            make_row(status, package_id, version=version, fingerprint=fingerprint),
            rollback_version=back,
        ),
        st.sampled_from([None, 1, 1, 3, 4, 5, 6, 7, 8, 8]),
        st.sampled_from([ID, ID, "9", None]),
        st.sampled_from([make_row(1).version, "9.9"]),
        st.sampled_from([make_row(1).fingerprint, OTHERS, None]),
        st.sampled_from(["", "9.9"]),
    ),
    max_size=4,
    unique_by=lambda row: row.package_id or object(),
).map(tuple)
sights = st.builds(
    Sight,
    rows_of_any_kind,
    absent_s=st.none() | st.floats(0, 200),
    missing=st.sampled_from(["", *Step, "package", "earlier step"]),
    phase_s=st.floats(0, 4000),
)


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(situations, sights, st.booleans())
def test_any_rows_lead_to_a_decision_that_the_table_knows_and_none_is_sent_for_another_package(
    situation: tuple[RunKind, Phase], sight: Sight, doubted: bool
) -> None:
    kind, phase = situation
    app = make_app(phase, in_doubt_before=doubted)
    for _ in range(4):
        decision = decide_back(kind, app, target(), sight, Policy())
        if isinstance(decision, Do):
            wanted = PackageStatus.ONLINE if kind is BACK else PackageStatus.IN_AUDIT
            mine = [row for row in sight.rows if row.package_id == ID and row.status == wanted]
            assert app.phase is Phase.QUEUED
            assert mine
            assert decision.record.package_id == ID
        if isinstance(decision, Note | Do):
            app = advance(app, decision.record)
        if not isinstance(decision, Note) or app.phase in TERMINAL:
            return
        sight = Sight(sight.rows)
    raise AssertionError("one look, and no end of decisions")


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(situations, sights)
def test_the_order_of_rows_does_not_change_what_is_decided(
    situation: tuple[RunKind, Phase], sight: Sight
) -> None:
    kind, phase = situation
    turned = replace(sight, rows=sight.rows[::-1])
    one, two = (decide_back(kind, make_app(phase), target(), s, Policy()) for s in (sight, turned))
    assert type(one) is type(two)
