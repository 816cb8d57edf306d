"""What to do next for one app, given what a look at the platform showed.

This is for rollouts; `decide_back.py` is for runs that take something back.

Pure: it sends nothing, waits for nothing and knows no clock; the times it needs are passed in.
It does not retry either: a decision is made anew from every look.

How it works: `decide` has one function per phase. Each compares the rows of the platform's list
with what the journal says we did, and returns one of five decisions:

- `Note`: the look itself settles something; record it, then decide again from the same rows.
- `Do`: send a request that changes something, after recording the intent.
- `Poll`: nothing to do but to look again after the usual interval.
- `Confirm`: something is missing that ought to be there. Silence proves nothing at first, since
  calls take effect with a delay; look again when the silence has lasted `wait_s`.
- `Rest`: the app has come as far as this run goes.

The plan makes its prediction with the same function, so that plan and run agree by construction.
"""

from collections.abc import Callable, Mapping

from fleetdeploy.core import endings, sightings
from fleetdeploy.core.app_state import AppState, is_resting
from fleetdeploy.core.case import Case
from fleetdeploy.core.decide_foreign import (
    back_to_ours,
    by_hand,
    leaving_audit,
    obstacle,
    withdrawing,
)
from fleetdeploy.core.decisions import (
    Confirm,
    Decision,
    Note,
    Policy,
    Poll,
    Rest,
    Sight,
)
from fleetdeploy.core.records import (
    FoundStage,
    PackageFound,
    StepFailed,
    StepStarted,
    StepSucceeded,
)
from fleetdeploy.core.settling import (
    AUDIT,
    PACKAGE,
    attempt,
    end,
    settled,
    silence,
    silent_for,
    status_words,
    still,
)
from fleetdeploy.core.targets import Target
from fleetdeploy.model import (
    Outcome,
    Package,
    PackageStatus,
    Phase,
    Step,
    Until,
)


def decide(app: AppState, target: Target, sight: Sight, policy: Policy, until: Until) -> Decision:
    """Choose what to do for an app that is not at its end."""
    assert not app.terminal, app.phase
    if is_resting(app, until):
        return Rest(f"as far as {until}")
    return _BY_PHASE[app.phase](Case(app, sight, policy, target))


def _queued(case: Case) -> Decision:
    if case.app.step is Step.WITHDRAW and case.app.package_id is not None:
        return back_to_ours(case)
    live = sightings.online(case.sight.rows)
    if case.policy.skip_unchanged and live and live.fingerprint == case.bundle.fingerprint:
        return end(case, Outcome.UNCHANGED, None, "its content is already online")
    replaced = by_hand(case)
    if replaced is not None:
        return replaced
    if sightings.rolling_back(case.sight.rows, case.bundle):
        return Poll("the same content is rolling back")
    ours = sightings.furthest_of_ours(case.sight.rows, case.bundle)
    if ours is not None:
        return _adopt(case, ours)
    return obstacle(case) or _attempt(case, Step.UPLOAD, "not on the platform yet")


def _adopt(case: Case, ours: Package) -> Decision:
    found = ours.status if ours.package_id is not None else None
    stage = _STAGES.get(found, FoundStage.PROCESSING)
    if stage is FoundStage.UPLOADED and case.bundle.direct_commit:
        # The platform submits this one by itself; wait for that as after an upload of our own.
        stage = FoundStage.PROCESSING
    record = PackageFound(
        app_id=case.app.app_id,
        stage=stage,
        package_id=ours.package_id,
        version=ours.version,
        known=sightings.keys_like(case.sight.rows, case.bundle, ours),
    )
    return Note(record, f"ours is there already ({_where(stage)})")


def _uploading(case: Case) -> Decision:
    if case.fresh:
        return settled(case, "it shows in the list")
    return silence(case, "the upload does not show")


def _processing(case: Case) -> Decision:
    row = case.row if case.app.package_id else sightings.furthest(case.fresh)
    if row is None:
        return still(case, endings.NOT_VISIBLE)
    if sightings.upload_failed(row):
        return _upload_failure(case, row)
    if sightings.is_uploading(row):
        return still(case, endings.NOT_BUILT)
    if row.status == PackageStatus.DEVELOPMENT and case.bundle.direct_commit:
        return still(case, endings.NOT_SUBMITTED)
    record = StepSucceeded(
        app_id=case.app.app_id, step=Step.AWAIT_UPLOAD, attempt=1, package_id=row.package_id
    )
    return Note(record, "the platform has built it")


def _uploaded(case: Case) -> Decision:
    row = case.row
    if row is None:
        return _gone(case)
    if row.status != PackageStatus.DEVELOPMENT:
        return _moved_on(case, row)
    if case.bundle.direct_commit:
        return still(case, endings.NOT_SUBMITTED)
    return obstacle(case) or _attempt(case, Step.SUBMIT_AUDIT, "built and not in audit")


def _submitting(case: Case) -> Decision:
    row = case.row
    if row is not None and row.status != PackageStatus.DEVELOPMENT:
        return settled(case, f"the platform says {status_words(row)}")
    return silence(case, "the submission does not show")


def _auditing(case: Case) -> Decision:
    row = case.row
    if row is None:
        return _gone(case)
    if row.status == PackageStatus.AUDIT_PASSED:
        record = StepSucceeded(
            app_id=case.app.app_id,
            step=Step.AWAIT_AUDIT,
            attempt=1,
            package_id=row.package_id,
        )
        return Note(record, "the reviewer said yes")
    if row.status == PackageStatus.DEVELOPMENT:
        # The platform took the submission; that may show as late as an upload or a release.
        return _withdrawn(case, case.policy.visible_s)
    if row.status in (PackageStatus.AUDIT_FAILED, PackageStatus.ONLINE):
        return _moved_on(case, row)
    return Poll(f"the platform says {status_words(row)}")


def _approved(case: Case) -> Decision:
    row = case.row
    if row is None:
        return _gone(case)
    if row.status == PackageStatus.AUDIT_PASSED:
        return by_hand(case) or _attempt(case, Step.RELEASE, "approved and not online")
    if row.status in (PackageStatus.AUDIT_FAILED, PackageStatus.ONLINE):
        return _moved_on(case, row)
    if row.status == PackageStatus.DEVELOPMENT:
        return _withdrawn(case, case.policy.vanish_s)
    return Poll(f"approved, but now the platform says {status_words(row)}")


def _releasing(case: Case) -> Decision:
    row = case.row
    if row is not None and row.status == PackageStatus.ONLINE:
        return settled(case, "it is online")
    if row is not None and row.status == PackageStatus.ROLLING_BACK:
        # Only what was online rolls back, and whoever wants that wants no second release.
        return settled(case, "it was online, and is rolling back")
    return silence(case, "the release does not show")


def _publishing(case: Case) -> Decision:
    row = case.row
    if row is not None and row.status == PackageStatus.ONLINE:
        record = StepSucceeded(app_id=case.app.app_id, step=Step.AWAIT_RELEASE, attempt=1)
        return Note(record, "it is online")
    return still(case, endings.RELEASE_NOT_VISIBLE)


_BY_PHASE: Mapping[Phase, Callable[[Case], Decision]] = {
    Phase.QUEUED: _queued,
    Phase.UPLOADING: _uploading,
    Phase.PROCESSING: _processing,
    Phase.UPLOADED: _uploaded,
    Phase.SUBMITTING: _submitting,
    Phase.AUDITING: _auditing,
    Phase.APPROVED: _approved,
    Phase.RELEASING: _releasing,
    Phase.PUBLISHING: _publishing,
    Phase.WITHDRAWING: withdrawing,
    Phase.LEAVING_AUDIT: leaving_audit,
}

_STAGES: Mapping[int | None, FoundStage] = {
    PackageStatus.DEVELOPMENT: FoundStage.UPLOADED,
    PackageStatus.IN_AUDIT: FoundStage.AUDITING,
    PackageStatus.AUDIT_PASSED: FoundStage.APPROVED,
    PackageStatus.ONLINE: FoundStage.RELEASED,
}


def _where(stage: FoundStage) -> str:
    return {
        FoundStage.PROCESSING: "being built",
        FoundStage.UPLOADED: "built",
        FoundStage.AUDITING: "in audit",
        FoundStage.APPROVED: "approved",
        FoundStage.RELEASED: "online",
    }[stage]


def _attempt(case: Case, step: Step, why: str) -> Decision:
    known = sightings.keys_like(case.sight.rows, case.bundle) if step is Step.UPLOAD else ()
    record = StepStarted(
        app_id=case.app.app_id,
        step=step,
        attempt=1,
        package_id=case.app.package_id,
        known=known,
    )
    return attempt(case, record, why)


def _upload_failure(case: Case, row: Package) -> Note:
    error = endings.upload_failure(row)
    if error.code == endings.UPLOAD_REFUSED.code:
        return end(case, Outcome.FAILED, error, error.message)
    record = StepFailed(app_id=case.app.app_id, step=Step.AWAIT_UPLOAD, attempt=1, error=error)
    return Note(record, error.message, halt=error.code == endings.TEMPLATE_BROKEN.code)


def _moved_on(case: Case, row: Package) -> Decision:
    """Our package is further on than we brought it: somebody helped by hand, or a verdict fell."""
    if row.status == PackageStatus.AUDIT_FAILED:
        return end(case, Outcome.REJECTED, endings.rejection(row), "the reviewer said no")
    stage = _STAGES.get(row.status)
    if stage is None:
        return Poll(f"the platform says {status_words(row)}")
    record = PackageFound(
        app_id=case.app.app_id, stage=stage, package_id=row.package_id, version=row.version
    )
    return Note(record, f"the platform says {status_words(row)}")


def _withdrawn(case: Case, wait_s: float) -> Decision:
    why = "no longer in audit: somebody withdrew it"
    if not silent_for(case, wait_s, AUDIT):
        return Confirm(wait_s, AUDIT, why)
    error = endings.WITHDRAWN.note()
    return end(case, Outcome.CANCELLED, error, why)


def _gone(case: Case) -> Decision:
    why = f"package {case.app.package_id} is no longer in the list"
    if not silent_for(case, case.policy.vanish_s, PACKAGE):
        return Confirm(case.policy.vanish_s, PACKAGE, why)
    error = endings.gone(case.app.package_id, case.version)
    return end(case, Outcome.FAILED, error, why)
