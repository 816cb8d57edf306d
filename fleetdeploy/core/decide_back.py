"""What to do next for one app in a run that takes something back: a rollback or a withdrawal.

Pure, and shaped like `decide.py`: one function per phase, each from the rows of the platform's list
and what the journal says to one decision. It chooses no apps: what is to be taken back is the
target's `undo`, a package that an earlier run made.

A package counts as that one only where id, version and marker agree. What is not online (or not in
audit) any more is left alone and said: somebody has seen to it, or released later.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fleetdeploy.core import endings, sightings
from fleetdeploy.core.app_state import AppState
from fleetdeploy.core.decide import decide
from fleetdeploy.core.decisions import Confirm, Decision, Note, Policy, Sight
from fleetdeploy.core.records import FoundStage, PackageFound, StepStarted, StepSucceeded
from fleetdeploy.core.set_aside import leave_alone
from fleetdeploy.core.settling import (
    PACKAGE,
    Circumstances,
    attempt,
    earlier_step,
    end,
    settled,
    silence,
    silent_for,
    status_words,
    still,
)
from fleetdeploy.core.targets import Target, Undo
from fleetdeploy.model import Outcome, Package, PackageStatus, Phase, RunKind, Step, Until


def decide_for(
    kind: RunKind, app: AppState, target: Target, sight: Sight, policy: Policy, until: Until
) -> Decision:
    """Choose what to do for an app that is not at its end, in any kind of run."""
    if kind is RunKind.ROLLOUT:
        if target.set_aside is not None:
            return leave_alone(target.set_aside)
        return decide(app, target, sight, policy, until)
    return decide_back(kind, app, target, sight, policy)


def decide_back(
    kind: RunKind, app: AppState, target: Target, sight: Sight, policy: Policy
) -> Decision:
    """Choose what to do for an app whose package is to be taken back."""
    assert not app.terminal, app.phase
    assert target.undo is not None
    return _BY_PHASE[kind, app.phase](_Case(app, sight, policy, target, target.undo))


@dataclass(frozen=True, slots=True)
class _Case(Circumstances):
    target: Target
    undo: Undo

    @property
    def row(self) -> Package | None:
        """The package in the list, only where version and marker still agree."""
        bundle = self.target.bundle
        row = sightings.row_of(self.sight.rows, self.undo.package_id)
        return row if row and sightings.is_bundle(row, bundle, bundle.version) else None

    @property
    def other_online(self) -> Package | None:
        """What is online, or on its way off, instead of the package."""
        there = (PackageStatus.ONLINE, PackageStatus.ROLLING_BACK)
        rows = self.sight.rows
        others = [row for row in rows if row.package_id != self.undo.package_id]
        return min(
            (row for row in others if row.status in there),
            key=lambda row: (row.status or 0, row.package_id or "", row.version),
            default=None,
        )

    def intent(self, step: Step, back_to: str | None = None) -> StepStarted:
        return StepStarted(
            app_id=self.app.app_id,
            step=step,
            attempt=1,
            package_id=self.undo.package_id,
            back_to=back_to,
        )


def _rollback_queued(case: _Case) -> Decision:
    row = case.row
    if row is not None and row.status == PackageStatus.ROLLING_BACK:
        return _adopt(case, row)
    if row is None or row.status != PackageStatus.ONLINE:
        return _not_online(case, row)
    other = case.other_online
    if other is not None:
        return still(case, endings.TWO_ONLINE)
    if not row.rollback_version:
        why = f"version {row.version} is online, and the platform names no version before it"
        return end(case, Outcome.BLOCKED, endings.NO_WAY_BACK.note(), why)
    record = case.intent(Step.ROLLBACK, row.rollback_version)
    return attempt(case, record, f"goes back to version {row.rollback_version}")


def _adopt(case: _Case, row: Package) -> Note:
    record = PackageFound(
        app_id=case.app.app_id,
        stage=FoundStage.ROLLING_BACK,
        package_id=row.package_id,
        version=row.version,
    )
    return Note(record, "it is rolling back already")


def _not_online(case: _Case, row: Package | None) -> Decision:
    """Leave an app alone where the package is not online, once that is certain."""
    other = case.other_online
    if other is not None:
        why = f"version {other.version} is online instead: somebody released or rolled back since"
    elif row is not None:
        why = f"it is not online: the platform says {status_words(row)}"
    else:
        why = "nothing is online"
    wait = _uncertain(case, why, gone=other is None and row is None)
    return wait or end(case, Outcome.UNCHANGED, endings.NOT_ONLINE.note(why), why)


def _uncertain(case: _Case, why: str, *, gone: bool) -> Confirm | None:
    """Wait until what is missing has been so for long enough to leave the app alone.

    What an earlier run may have sent has to show first; a list that shows no trace of the package
    at all is believed only after a while, and that outlasts the other.
    """
    if not gone:
        return earlier_step(case, why)
    wait_s = max(case.policy.vanish_s, case.policy.settle_s)
    return None if silent_for(case, wait_s, PACKAGE) else Confirm(wait_s, PACKAGE, why)


def _rolling_back(case: _Case) -> Decision:
    row = case.row
    if row is not None and row.status == PackageStatus.ROLLING_BACK:
        return settled(case, "it is rolling back")
    if row is None or row.status != PackageStatus.ONLINE:
        return settled(case, "it is not online any more")
    return silence(case, "the rollback does not show")


def _reverting(case: _Case) -> Decision:
    row, other = case.row, case.other_online
    still_there = row is not None and row.status in (
        PackageStatus.ONLINE,
        PackageStatus.ROLLING_BACK,
    )
    if still_there or other is None or other.status != PackageStatus.ONLINE:
        return still(case, endings.ROLLBACK_NOT_VISIBLE)
    wanted = case.app.back_to or case.undo.back_to
    if wanted and other.version != wanted:
        why = f"version {other.version} is online, and {wanted} was to come back"
        return end(case, Outcome.CANCELLED, endings.OTHER_VERSION.note(why), why)
    record = StepSucceeded(app_id=case.app.app_id, step=Step.AWAIT_ROLLBACK, attempt=1)
    return Note(record, f"version {other.version} is online again")


def _withdraw_queued(case: _Case) -> Decision:
    row = case.row
    if row is not None and row.status == PackageStatus.IN_AUDIT:
        return attempt(case, case.intent(Step.WITHDRAW), "it is in audit")
    why = f"it is not in audit: {_where(case, row)}"
    wait = _uncertain(case, why, gone=row is None)
    return wait or end(case, Outcome.UNCHANGED, endings.NOT_IN_AUDIT.note(why), why)


def _where(case: _Case, row: Package | None) -> str:
    if row is None:
        return f"package {case.undo.package_id} is no longer in the list"
    return _VERDICTS.get(row.status) or f"the platform says {status_words(row)}"


_VERDICTS: Mapping[int | None, str] = {
    PackageStatus.AUDIT_PASSED: "the reviewer has approved it",
    PackageStatus.AUDIT_FAILED: "the reviewer has rejected it",
    PackageStatus.ONLINE: "it is online",
    PackageStatus.ROLLING_BACK: "it was online, and is rolling back",
}
"""A package that got so far was not withdrawn."""


def _withdrawing(case: _Case) -> Decision:
    row = case.row
    if row is None or row.status == PackageStatus.DEVELOPMENT:
        return settled(case, "it is not in audit any more")
    return _too_late(case, row) or silence(case, "the withdrawal does not show")


def _leaving_audit(case: _Case) -> Decision:
    row = case.row
    if row is None and not silent_for(case, case.policy.vanish_s, PACKAGE):
        return Confirm(case.policy.vanish_s, PACKAGE, "it is no longer in the list")
    if row is not None and row.status != PackageStatus.DEVELOPMENT:
        return _too_late(case, row) or still(case, endings.WITHDRAW_NOT_VISIBLE)
    record = StepSucceeded(app_id=case.app.app_id, step=Step.AWAIT_WITHDRAW, attempt=1)
    return Note(record, "it is out of audit")


def _too_late(case: _Case, row: Package) -> Decision | None:
    """End an app whose verdict fell before the withdrawal took effect."""
    verdict = _VERDICTS.get(row.status)
    if verdict is None:
        return None
    why = f"{verdict} before the withdrawal took effect"
    return end(case, Outcome.CANCELLED, endings.TOO_LATE.note(why), why)


_BY_PHASE: Mapping[tuple[RunKind, Phase], Callable[[_Case], Decision]] = {
    (RunKind.ROLLBACK, Phase.QUEUED): _rollback_queued,
    (RunKind.ROLLBACK, Phase.ROLLING_BACK): _rolling_back,
    (RunKind.ROLLBACK, Phase.REVERTING): _reverting,
    (RunKind.WITHDRAW, Phase.QUEUED): _withdraw_queued,
    (RunKind.WITHDRAW, Phase.WITHDRAWING): _withdrawing,
    (RunKind.WITHDRAW, Phase.LEAVING_AUDIT): _leaving_audit,
}
