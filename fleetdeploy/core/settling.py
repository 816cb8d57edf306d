"""How doubt, silence and tries are handled in every kind of run; what is to be done is not here.

`decide.py` and `decide_back.py` compare the platform's rows with what the journal says; these
functions turn what they find into decisions that all kinds of run share.
"""

from dataclasses import dataclass

from fleetdeploy.core import endings
from fleetdeploy.core.app_state import AppState
from fleetdeploy.core.decisions import Confirm, Decision, Do, Note, Policy, Poll, Sight
from fleetdeploy.core.records import (
    AppFinished,
    ErrorNote,
    StepFailed,
    StepStarted,
    StepSucceeded,
)
from fleetdeploy.model import Outcome, Package, PackageStatus

PACKAGE = "package"
AUDIT = "audit"
EARLIER_STEP = "earlier step"
"""What can be missing beside the trace of a step."""

_ANSWERED_VAGUELY = frozenset({"platform.unknown_error"})


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What every decision is made from."""

    app: AppState
    sight: Sight
    policy: Policy


def attempt(now: Circumstances, record: StepStarted, why: str) -> Decision:
    """Start a step, unless its tries are used up; then the last error is how the app ends.

    `record` is the intent with any attempt; its number is set here. The first step after an
    earlier run died in the middle of one waits until that one would show.
    """
    waiting = earlier_step(now, why)
    if waiting is not None:
        return waiting
    done = now.app.attempts_of(record.step)
    error = now.app.error
    allowed = now.policy.attempts
    if error is not None and error.errno is not None and error.code in _ANSWERED_VAGUELY:
        allowed = now.policy.attempts_answered
    if done and now.app.counted >= allowed:
        assert error is not None
        return end(now, Outcome.FAILED, error, f"{record.step} failed {done} times")
    return Do(record.model_copy(update={"attempt": done + 1}), why)


def earlier_step(now: Circumstances, why: str) -> Confirm | None:
    """Wait while a step of an earlier run, which died in it, may still take effect."""
    settle_s = now.policy.settle_s
    if not now.app.in_doubt_before or silent_for(now, settle_s, EARLIER_STEP):
        return None
    return Confirm(settle_s, EARLIER_STEP, f"{why}; but an earlier run was at work on it")


def settled(now: Circumstances, why: str) -> Note:
    assert now.app.step is not None
    record = StepSucceeded(
        app_id=now.app.app_id, step=now.app.step, attempt=now.app.attempt, settled=True
    )
    return Note(record, why)


def silence(now: Circumstances, why: str) -> Decision:
    """Wait for a trace of an announced step; lasting silence proves that it did not happen."""
    assert now.app.step is not None
    if not silent_for(now, now.policy.settle_s, now.app.step):
        return Confirm(now.policy.settle_s, now.app.step, why)
    error = now.app.error or endings.no_effect(now.app.step)
    record = StepFailed(
        app_id=now.app.app_id,
        step=now.app.step,
        attempt=now.app.attempt,
        error=error,
        settled=True,
    )
    return Note(record, f"{why}, and has not for {now.policy.settle_s:g} s")


def silent_for(now: Circumstances, wait_s: float, missing: str) -> bool:
    """Whether this very thing has been missing for so long."""
    sight = now.sight
    return sight.absent_s is not None and sight.missing == missing and sight.absent_s >= wait_s


def still(now: Circumstances, overdue: endings.Ending) -> Decision:
    """Wait for something that the platform promised, but not for ever."""
    if now.sight.phase_s < now.policy.visible_s:
        return Poll(f"not yet: {overdue.meaning}")
    error = endings.overdue(overdue, now.sight.phase_s)
    return end(now, Outcome.FAILED, error, error.message)


def end(now: Circumstances, outcome: Outcome, error: ErrorNote | None, why: str) -> Note:
    return Note(AppFinished(app_id=now.app.app_id, outcome=outcome, error=error), why)


def status_words(row: Package) -> str:
    """Name the platform's word for a row, a number we do not know included."""
    try:
        return PackageStatus(row.status or 0).name.lower().replace("_", " ")
    except ValueError:
        return f"status {row.status}"
