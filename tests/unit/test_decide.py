"""What is done next, phase by phase and row by row (platform-api.md 1.1)."""

from dataclasses import replace

import pytest

from fleetdeploy.core import endings
from fleetdeploy.core.app_state import AppState, advance
from fleetdeploy.core.decide import decide
from fleetdeploy.core.decisions import Confirm, Decision, Do, Note, Policy, Poll, Rest, Sight
from fleetdeploy.core.records import (
    AppFinished,
    ErrorNote,
    FoundStage,
    PackageFound,
    StepFailed,
    StepStarted,
    StepSucceeded,
)
from fleetdeploy.core.targets import Target
from fleetdeploy.model import Bundle, Outcome, Package, Phase, Step, Until
from tests.unit.core_builders import (
    APP,
    NOTE,
    OTHERS,
    VERSION,
    failed_row,
    make_app,
    make_bundle,
    make_row,
    make_target,
    uploading_row,
)

SETTLE_S = 10.0
VANISH_S = 60.0
VISIBLE_S = 1800.0
ID = "58210"


def look(
    app: AppState | Phase,
    *rows: Package,
    absent_s: float | None = None,
    phase_s: float = 0.0,
    policy: Policy | None = None,
    until: Until = Until.RELEASED,
    bundle: Bundle | None = None,
    target: Target | None = None,
) -> Decision:
    """Decide for an app that looks like `rows`; what is missing has been for `absent_s`."""
    app = make_app(app) if isinstance(app, Phase) else app
    rest = (policy or Policy(), until)
    target = target or make_target(bundle=bundle)
    first = decide(app, target, Sight(rows, phase_s=phase_s), *rest)
    missing = first.missing if isinstance(first, Confirm) else ""
    sight = Sight(rows, absent_s=absent_s, missing=missing, phase_s=phase_s)
    return decide(app, target, sight, *rest)


def started(step: Step, attempt: int = 1, known: tuple[str, ...] = ()) -> StepStarted:
    package_id = None if step is Step.UPLOAD else ID
    return StepStarted(app_id=APP, step=step, attempt=attempt, package_id=package_id, known=known)


def succeeded(step: Step, package_id: str | None = None, *, settled: bool = False) -> StepSucceeded:
    return StepSucceeded(app_id=APP, step=step, attempt=1, package_id=package_id, settled=settled)


def found(
    stage: FoundStage,
    package_id: str | None = ID,
    *,
    version: str = VERSION,
    known: tuple[str, ...] = (),
) -> PackageFound:
    return PackageFound(
        app_id=APP, stage=stage, package_id=package_id, version=version, known=known
    )


def do(decision: Decision) -> StepStarted:
    assert isinstance(decision, Do), decision
    return decision.record


def note(decision: Decision) -> object:
    assert isinstance(decision, Note), decision
    return decision.record


def end(decision: Decision) -> tuple[Outcome, str]:
    """Return how the app ended and the code of its cause."""
    record = note(decision)
    assert isinstance(record, AppFinished), record
    return record.outcome, record.error.code if record.error else ""


# --- queued ---


@pytest.mark.parametrize(
    "rows",
    [
        (),
        (make_row(1, "1", fingerprint=OTHERS),),
        (make_row(1, "1", fingerprint=None),),
        (make_row(3, "2", fingerprint=None),),
        (make_row(3, "2", fingerprint=OTHERS), make_row(6, "3", fingerprint=OTHERS)),
        (uploading_row(fingerprint=OTHERS),),
        (make_row(7, "2", fingerprint=None),),
    ],
    ids=["nothing", "older online", "foreign online", "foreign built", "older approved",
         "older uploading", "unknown status"],
)  # fmt: skip
def test_what_is_not_on_the_platform_is_uploaded(rows: tuple[Package, ...]) -> None:
    assert do(look(Phase.QUEUED, *rows)) == started(Step.UPLOAD)


def test_content_that_is_online_is_left_alone_whatever_its_version() -> None:
    assert end(look(Phase.QUEUED, make_row(1, version="9.9"))) == (Outcome.UNCHANGED, "")


def test_content_that_is_online_goes_up_again_where_the_manifest_says_so() -> None:
    policy = Policy(skip_unchanged=False)
    assert do(look(Phase.QUEUED, make_row(1), policy=policy)) == started(Step.UPLOAD, known=(ID,))


def test_what_is_being_rolled_back_is_not_uploaded_again_before_it_is_gone() -> None:
    assert look(Phase.QUEUED, make_row(8)) == Poll("the same content is rolling back")
    assert do(look(Phase.QUEUED, make_row(8, fingerprint=OTHERS))).step is Step.UPLOAD


def test_content_that_was_rolled_back_goes_up_again() -> None:
    """Gone from the list, or still there as approved: what the platform does is not documented."""
    before = make_row(1, "9", fingerprint=OTHERS, version="9.9")
    assert do(look(Phase.QUEUED, before)).step is Step.UPLOAD
    assert note(look(Phase.QUEUED, before, make_row(6))) == found(FoundStage.APPROVED)


@pytest.mark.parametrize(
    ("row", "stage"),
    [
        (make_row(3), FoundStage.UPLOADED),
        (make_row(4), FoundStage.AUDITING),
        (make_row(6), FoundStage.APPROVED),
        (make_row(6, version="9.9"), FoundStage.APPROVED),
        (uploading_row(), FoundStage.PROCESSING),
        (uploading_row(version="9.9"), FoundStage.PROCESSING),
    ],
)
def test_what_is_ours_already_is_adopted_and_keeps_its_version(
    row: Package, stage: FoundStage
) -> None:
    expected = found(stage, row.package_id, version=row.version)
    assert note(look(Phase.QUEUED, row)) == expected


def test_a_built_package_that_the_platform_submits_by_itself_is_waited_for() -> None:
    bundle = make_bundle(direct_commit=True)
    assert note(look(Phase.QUEUED, make_row(3), bundle=bundle)) == found(FoundStage.PROCESSING)


def test_of_several_of_ours_the_furthest_is_adopted() -> None:
    rows = (uploading_row(), make_row(3, "1"), make_row(4, "2"), make_row(6, "3"), make_row(5, "4"))
    assert note(look(Phase.QUEUED, *rows)) == found(
        FoundStage.APPROVED, "3", known=("2026/11/24 01:00:00 10.30.0.3 autumn [fd:0123456789]",
                                         "1", "2", "4"),
    )  # fmt: skip


def test_of_several_equally_far_the_highest_id_is_adopted_in_any_order() -> None:
    rows = (make_row(6, "99"), make_row(6, "100"), make_row(6, "98"))
    adopted = {note(look(Phase.QUEUED, *order)).package_id  # type: ignore[attr-defined]  # found
               for order in (rows, rows[::-1])}  # fmt: skip
    assert adopted == {"100"}


def test_content_rejected_before_is_sent_once_more_and_the_old_row_is_known() -> None:
    assert do(look(Phase.QUEUED, make_row(5))) == started(Step.UPLOAD, known=(ID,))


def test_a_row_that_failed_to_build_is_known_before_the_next_upload() -> None:
    key = "2026/11/24 01:00:00 10.30.0.3 autumn [fd:0123456789]"
    assert do(look(Phase.QUEUED, failed_row())) == started(Step.UPLOAD, known=(key,))


@pytest.mark.parametrize(
    ("fingerprint", "whose"), [(None, "somebody else's"), (OTHERS, "an earlier rollout's")]
)
@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.UPLOADED])
def test_another_package_in_audit_blocks(phase: Phase, fingerprint: str | None, whose: str) -> None:
    other = make_row(4, "9", fingerprint=fingerprint, version="8")
    rows = (other,) if phase is Phase.QUEUED else (make_row(3), other)
    decision = look(phase, *rows)
    assert end(decision) == (Outcome.BLOCKED, "package.foreign_in_audit")
    assert isinstance(decision, Note)
    assert decision.why == f"{whose} package 9 (version 8) is in audit"


@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.UPLOADED])
def test_another_package_in_audit_is_waited_for_where_the_manifest_says_so(phase: Phase) -> None:
    foreign = make_row(4, "9", fingerprint=None)
    rows = (foreign,) if phase is Phase.QUEUED else (make_row(3), foreign)
    decision = look(phase, *rows, policy=Policy(foreign_package="wait"))
    assert isinstance(decision, Poll)


def test_a_package_of_ours_in_audit_is_no_obstacle_but_adopted() -> None:
    rows = (make_row(4, "9", fingerprint=None), make_row(4, "10"))
    assert note(look(Phase.QUEUED, *rows)) == found(FoundStage.AUDITING, "10")


@pytest.mark.parametrize(
    ("phase", "step", "rows"),
    [
        (Phase.QUEUED, Step.UPLOAD, ()),
        (Phase.UPLOADED, Step.SUBMIT_AUDIT, (make_row(3),)),
        (Phase.APPROVED, Step.RELEASE, (make_row(6),)),
    ],
)
def test_after_a_run_that_died_in_a_step_silence_must_last_before_the_first_step(
    phase: Phase, step: Step, rows: tuple[Package, ...]
) -> None:
    """The step in doubt may be any of the three: what shows may be out of date."""
    app = make_app(phase, in_doubt_before=True)
    for absent_s in (None, 0.0, 9.99):
        decision = look(app, *rows, absent_s=absent_s)
        assert isinstance(decision, Confirm)
        assert decision.wait_s == SETTLE_S
    assert do(look(app, *rows, absent_s=10.0)).step is step


def test_what_a_dead_run_left_is_adopted_without_waiting() -> None:
    app = make_app(Phase.QUEUED, in_doubt_before=True)
    assert note(look(app, make_row(3))) == found(FoundStage.UPLOADED)


def test_a_row_with_a_status_and_no_id_is_not_a_package_yet() -> None:
    decision = look(Phase.QUEUED, make_row(3, None))
    assert note(decision) == found(FoundStage.PROCESSING, None)


@pytest.mark.parametrize(
    "version",
    [
        "",
        " ",
    ],
)
def test_an_adopted_package_with_an_odd_version_is_still_recognised(version: str) -> None:
    app = make_app(Phase.UPLOADED, version=version)
    assert do(look(app, make_row(3, version=version))).step is Step.SUBMIT_AUDIT


# --- tries ---


@pytest.mark.parametrize("attempt", range(1, 6))
def test_a_failed_upload_is_tried_again_with_the_next_number(attempt: int) -> None:
    app = make_app(Phase.QUEUED, step=Step.UPLOAD, attempt=attempt, error=NOTE)
    assert do(look(app)) == started(Step.UPLOAD, attempt + 1)


@pytest.mark.parametrize(
    ("phase", "step", "status"),
    [
        (Phase.QUEUED, Step.UPLOAD, 5),
        (Phase.UPLOADED, Step.SUBMIT_AUDIT, 3),
        (Phase.APPROVED, Step.RELEASE, 6),
    ],
)
def test_when_the_tries_are_used_up_the_last_error_is_how_the_app_ends(
    phase: Phase, step: Step, status: int
) -> None:
    app = make_app(phase, step=step, attempt=Policy().attempts, error=NOTE)
    assert do(look(replace(app, attempt=app.attempt - 1), make_row(status))).attempt == app.attempt
    decision = look(app, make_row(status))
    assert note(decision) == AppFinished(app_id=APP, outcome=Outcome.FAILED, error=NOTE)


def test_a_step_has_tries_of_its_own() -> None:
    app = make_app(Phase.UPLOADED, step=Step.UPLOAD, attempt=Policy().attempts)
    assert do(look(app, make_row(3))) == started(Step.SUBMIT_AUDIT)


def test_words_that_say_nothing_certain_are_heard_twice() -> None:
    code = "platform.unknown_error"
    vague = ErrorNote(code=code, message="?", errno=-1024)
    once = make_app(Phase.QUEUED, step=Step.UPLOAD, attempt=1, error=vague)
    assert do(look(once)).attempt == 2
    assert end(look(replace(once, attempt=2))) == (Outcome.FAILED, code)


def test_a_kill_is_no_answer_of_the_platform() -> None:
    """One vague answer, then a process that died in the next attempt: there are tries left."""
    vague = ErrorNote(code="platform.unknown_error", message="?", errno=-1)
    app = AppState(APP)
    for record in (
        started(Step.UPLOAD),
        StepFailed(app_id=APP, step=Step.UPLOAD, attempt=1, error=vague),
        started(Step.UPLOAD, 2),
    ):
        app = advance(app, record)
    failed = note(look(app, absent_s=SETTLE_S))
    assert isinstance(failed, StepFailed)
    assert failed.error.code == "step.no_effect"
    assert do(look(advance(app, failed))).attempt == 3


# --- uploading ---


@pytest.mark.parametrize("row", [uploading_row(), failed_row(), make_row(3), make_row(4)])
def test_a_new_row_proves_the_upload(row: Package) -> None:
    assert note(look(Phase.UPLOADING, row)) == succeeded(Step.UPLOAD, settled=True)


@pytest.mark.parametrize(
    "row",
    [
        make_row(3, fingerprint=None),
        make_row(3, fingerprint=OTHERS),
        make_row(3, version="9.9"),
        make_row(5, "known"),
    ],
    ids=["foreign", "older rollout", "other version", "there before"],
)
def test_no_other_row_proves_the_upload(row: Package) -> None:
    app = make_app(Phase.UPLOADING, known=("known",))
    assert look(app, row) == Confirm(SETTLE_S, "upload", "the upload does not show")


@pytest.mark.parametrize(
    ("phase", "step", "rows"),
    [
        (Phase.UPLOADING, Step.UPLOAD, ()),
        (Phase.SUBMITTING, Step.SUBMIT_AUDIT, (make_row(3),)),
        (Phase.SUBMITTING, Step.SUBMIT_AUDIT, ()),
        (Phase.RELEASING, Step.RELEASE, (make_row(6),)),
        (Phase.RELEASING, Step.RELEASE, ()),
    ],
)
def test_j3_only_lasting_silence_proves_that_a_step_did_not_happen(
    phase: Phase, step: Step, rows: tuple[Package, ...]
) -> None:
    for absent_s in (None, 0.0, 9.99):
        assert isinstance(look(phase, *rows, absent_s=absent_s), Confirm)
    record = note(look(phase, *rows, absent_s=10.0))
    assert isinstance(record, StepFailed)
    assert (record.step, record.attempt, record.settled) == (step, 1, True)
    assert record.error.code == "step.no_effect"


@pytest.mark.parametrize(
    ("app", "rows"),
    [
        (make_app(Phase.UPLOADING), ()),
        (make_app(Phase.SUBMITTING), (make_row(3),)),
        (make_app(Phase.RELEASING), (make_row(6),)),
        (make_app(Phase.AUDITING), (make_row(3),)),
        (make_app(Phase.AUDITING), ()),
        (make_app(Phase.APPROVED, in_doubt_before=True), (make_row(6),)),
    ],
)
def test_silence_about_another_thing_proves_nothing(
    app: AppState, rows: tuple[Package, ...]
) -> None:
    own = look(app, *rows)
    assert isinstance(own, Confirm)
    for missing in {"", "package", "audit", "earlier step", *Step} - {own.missing}:
        sight = Sight(rows, absent_s=1e6, missing=missing)
        assert decide(app, make_target(), sight, Policy(), Until.RELEASED) == own


def test_the_error_that_left_the_doubt_is_the_cause_of_the_failed_step() -> None:
    record = note(look(make_app(Phase.UPLOADING, error=NOTE), absent_s=10.0))
    assert isinstance(record, StepFailed)
    assert record.error == NOTE


# --- processing ---


@pytest.mark.parametrize("status", [1, 3, 4, 5, 6, 7, 8])
def test_a_finished_package_ends_the_wait_whatever_its_status(status: int) -> None:
    assert note(look(Phase.PROCESSING, make_row(status))) == succeeded(Step.AWAIT_UPLOAD, ID)


@pytest.mark.parametrize(
    "rows",
    [(), (uploading_row(),), (make_row(3, version="9.9"),), (make_row(3, fingerprint=None),)],
)
def test_what_the_platform_took_is_waited_for_but_not_for_ever(rows: tuple[Package, ...]) -> None:
    assert isinstance(look(Phase.PROCESSING, *rows, phase_s=VISIBLE_S - 1), Poll)
    outcome, code = end(look(Phase.PROCESSING, *rows, phase_s=VISIBLE_S))
    assert outcome is Outcome.FAILED
    assert code == ("upload.not_built" if rows == (uploading_row(),) else "upload.not_visible")


def test_what_was_there_before_the_upload_is_not_what_is_waited_for() -> None:
    app = make_app(Phase.PROCESSING, known=(ID,))
    assert isinstance(look(app, make_row(5)), Poll)
    assert note(look(app, make_row(5), make_row(3, "7"))) == succeeded(Step.AWAIT_UPLOAD, "7")


def test_a_finished_package_counts_more_than_a_row_that_failed() -> None:
    rows = (failed_row(), uploading_row(at="01:00:05"), make_row(3))
    assert note(look(Phase.PROCESSING, *rows)) == succeeded(Step.AWAIT_UPLOAD, ID)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_finished_packages_the_one_that_the_platform_submitted_counts(order: int) -> None:
    bundle, rows = make_bundle(direct_commit=True), (make_row(3), make_row(4, "1"))
    decision = look(Phase.PROCESSING, *rows[::order], bundle=bundle)
    assert note(decision) == succeeded(Step.AWAIT_UPLOAD, "1")


def test_a_build_under_way_counts_more_than_a_row_that_failed() -> None:
    assert isinstance(look(Phase.PROCESSING, failed_row(), uploading_row(at="01:00:05")), Poll)


def test_with_direct_commit_built_is_not_enough() -> None:
    bundle = make_bundle(direct_commit=True)
    assert isinstance(look(Phase.PROCESSING, make_row(3), bundle=bundle), Poll)
    late = look(Phase.PROCESSING, make_row(3), bundle=bundle, phase_s=VISIBLE_S)
    assert end(late) == (Outcome.FAILED, "upload.not_submitted")
    in_audit = look(Phase.PROCESSING, make_row(4), bundle=bundle)
    assert note(in_audit) == succeeded(Step.AWAIT_UPLOAD, ID)


@pytest.mark.parametrize(
    ("errno", "code", "halt"),
    [
        (69009, "upload.unavailable", False),
        (69010, "upload.template_broken", True),
        (-1, "upload.failed", False),
        (None, "upload.failed", False),
        (424242, "upload.failed", False),
    ],
)
def test_a_failed_build_is_a_failed_step_with_the_platforms_words(
    errno: int | None, code: str, *, halt: bool
) -> None:
    decision = look(Phase.PROCESSING, failed_row(errno))
    record = note(decision)
    assert isinstance(record, StepFailed)
    assert (record.step, record.error.code, record.error.errno) == (Step.AWAIT_UPLOAD, code, errno)
    assert record.error.msg == "提包服务暂时不可用，请稍后重试"
    assert isinstance(decision, Note)
    assert decision.halt is halt


def test_a_build_refused_for_our_input_is_not_tried_again() -> None:
    assert end(look(Phase.PROCESSING, failed_row(40001))) == (Outcome.FAILED, "upload.refused")


@pytest.mark.parametrize("phase", [Phase.PROCESSING])
def test_a_failed_row_that_does_have_an_id_is_a_failed_build(phase: Phase) -> None:
    """Which fields a failed row has is documented nowhere (platform-api.md 1.1)."""
    record = note(look(phase, replace(failed_row(), package_id=ID)))
    assert isinstance(record, StepFailed)


# --- uploaded ---


def test_built_and_not_in_audit_is_submitted() -> None:
    assert do(look(Phase.UPLOADED, make_row(3))) == started(Step.SUBMIT_AUDIT)


@pytest.mark.parametrize(
    ("status", "stage"),
    [(4, FoundStage.AUDITING), (6, FoundStage.APPROVED), (1, FoundStage.RELEASED)],
)
def test_what_somebody_brought_further_is_taken_from_there(status: int, stage: FoundStage) -> None:
    assert note(look(Phase.UPLOADED, make_row(status))) == found(stage)


@pytest.mark.parametrize("status", [7, 8, None])
@pytest.mark.parametrize("phase", [Phase.UPLOADED, Phase.AUDITING, Phase.APPROVED])
def test_a_status_that_says_nothing_is_waited_out(phase: Phase, status: int | None) -> None:
    assert isinstance(look(phase, make_row(status)), Poll)


@pytest.mark.parametrize("phase", [Phase.UPLOADED, Phase.AUDITING, Phase.APPROVED])
@pytest.mark.parametrize(
    "rows",
    [
        (),
        (make_row(6, version="9.9"),),
        (make_row(6, fingerprint=OTHERS),),
        (make_row(6, fingerprint=None),),
        (make_row(6, "other id"),),
    ],
    ids=["gone", "other version", "other content", "no marker", "other id"],
)
def test_a_package_that_is_no_longer_ours_ends_the_app_only_after_a_while(
    phase: Phase, rows: tuple[Package, ...]
) -> None:
    """Promise 2: an approval counts only for the package, version and content we made."""
    assert isinstance(look(phase, *rows), Confirm)
    assert isinstance(look(phase, *rows, absent_s=VANISH_S - 1), Confirm)
    decision = look(phase, *rows, absent_s=VANISH_S)
    assert end(decision) == (Outcome.FAILED, "package.gone")


def test_nothing_is_submitted_while_another_package_of_ours_is_in_audit() -> None:
    rows = (make_row(3), make_row(4, "9"))
    assert not isinstance(look(Phase.UPLOADED, *rows), Do)


def test_of_one_package_in_two_rows_the_furthest_counts() -> None:
    """Whether the development row stays beside the audit row is documented nowhere."""
    assert not isinstance(look(Phase.UPLOADED, make_row(3), make_row(4)), Do)


def test_with_direct_commit_a_package_that_was_withdrawn_is_not_submitted() -> None:
    decision = look(Phase.UPLOADED, make_row(3), bundle=make_bundle(direct_commit=True))
    assert not isinstance(decision, Do)


# --- submitting and auditing ---


@pytest.mark.parametrize("status", [1, 4, 5, 6, 7, 8])
def test_any_further_status_proves_the_submission(status: int) -> None:
    assert note(look(Phase.SUBMITTING, make_row(status))) == succeeded(
        Step.SUBMIT_AUDIT, settled=True
    )


def test_the_reviewers_yes_is_a_result() -> None:
    assert note(look(Phase.AUDITING, make_row(6))) == succeeded(Step.AWAIT_AUDIT, ID)


def test_what_is_in_audit_is_waited_for() -> None:
    assert look(Phase.AUDITING, make_row(4), absent_s=1e6, phase_s=1e9) == Poll(
        "the platform says in audit"
    )


@pytest.mark.parametrize("phase", [Phase.UPLOADED, Phase.AUDITING, Phase.APPROVED])
def test_the_reviewers_no_ends_the_app_with_the_reviewers_words(phase: Phase) -> None:
    decision = look(phase, make_row(5, said="类目不符"))
    record = note(decision)
    assert isinstance(record, AppFinished)
    assert record.outcome is Outcome.REJECTED
    assert record.error is not None
    assert (record.error.code, record.error.msg) == ("audit.rejected", "类目不符")


def test_a_rejection_without_words_has_no_msg() -> None:
    assert endings.rejection(make_row(5)).msg is None
    assert endings.rejection(replace(make_row(5), remark="see mail")).msg == "see mail"


@pytest.mark.parametrize(
    ("phase", "wait_s"),
    [(Phase.AUDITING, VISIBLE_S), (Phase.APPROVED, VANISH_S)],
)
def test_a_withdrawn_package_ends_the_app_only_after_a_while(phase: Phase, wait_s: float) -> None:
    assert isinstance(look(phase, make_row(3)), Confirm)
    assert isinstance(look(phase, make_row(3), absent_s=wait_s - 1), Confirm)
    late = look(phase, make_row(3), absent_s=wait_s)
    assert end(late) == (Outcome.CANCELLED, "audit.withdrawn")


@pytest.mark.parametrize("phase", [Phase.UPLOADED, Phase.AUDITING, Phase.APPROVED])
def test_what_somebody_released_is_released(phase: Phase) -> None:
    assert note(look(phase, make_row(1))) == found(FoundStage.RELEASED)


# --- approved, releasing, publishing ---


def test_approved_and_not_online_is_released() -> None:
    assert do(look(Phase.APPROVED, make_row(6))) == started(Step.RELEASE)


def test_an_adopted_approval_is_released_under_its_own_version() -> None:
    app = make_app(Phase.APPROVED, version="9.9")
    assert do(look(app, make_row(6, version="9.9"))).step is Step.RELEASE
    assert isinstance(look(app, make_row(6, version=VERSION)), Confirm)


@pytest.mark.parametrize("status", [4, 7, 8, None])
def test_nothing_is_released_whose_approval_no_longer_shows(status: int | None) -> None:
    assert isinstance(look(Phase.APPROVED, make_row(status)), Poll)


def test_being_online_proves_the_release() -> None:
    assert note(look(Phase.RELEASING, make_row(1))) == succeeded(Step.RELEASE, settled=True)


def test_a_release_that_somebody_rolls_back_already_is_not_sent_again() -> None:
    """Only what was online rolls back."""
    assert note(look(Phase.RELEASING, make_row(8))) == succeeded(Step.RELEASE, settled=True)
    assert note(look(Phase.PUBLISHING, make_row(1))) == succeeded(Step.AWAIT_RELEASE)


def test_another_package_online_proves_no_release() -> None:
    assert isinstance(look(Phase.RELEASING, make_row(6), make_row(1, "1")), Confirm)
    assert isinstance(look(Phase.PUBLISHING, make_row(6), make_row(1, "1")), Poll)


def test_an_acknowledged_release_is_never_sent_again_and_not_waited_for_for_ever() -> None:
    assert isinstance(look(Phase.PUBLISHING, make_row(6), phase_s=VISIBLE_S - 1), Poll)
    late = look(Phase.PUBLISHING, make_row(6), phase_s=VISIBLE_S)
    assert end(late) == (Outcome.FAILED, "release.not_visible")


# --- rest ---


@pytest.mark.parametrize(
    ("until", "phase"),
    [
        (Until.UPLOADED, Phase.UPLOADED),
        (Until.UPLOADED, Phase.AUDITING),
        (Until.UPLOADED, Phase.APPROVED),
        (Until.APPROVED, Phase.APPROVED),
    ],
)
def test_a_run_goes_no_further_than_it_was_told(until: Until, phase: Phase) -> None:
    for status in (1, 3, 4, 5, 6):
        assert look(phase, make_row(status), until=until) == Rest(f"as far as {until}")


@pytest.mark.parametrize("phase", [Phase.UPLOADING, Phase.SUBMITTING, Phase.RELEASING])
@pytest.mark.parametrize("until", list(Until))
def test_doubt_is_settled_however_far_the_run_goes(until: Until, phase: Phase) -> None:
    assert isinstance(look(phase, until=until), Confirm)
