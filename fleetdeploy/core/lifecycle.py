"""The life of one app, as a table.

This module decides nothing about time, retries or the network. It answers two questions: which
phase follows an event, and which step a phase calls for.

How it works: the live run and the replay of a journal both go through `next_phase`, so a journal
that could be written can always be replayed. A pair that is missing from `TRANSITIONS` is a bug
on our side or damage in the file; it is never skipped.

The phases in which something was sent (`uploading`, `submitting`, `releasing`, `rolling_back`,
`withdrawing`) are left only by knowing: the answer came, or a look at the platform settled it.
After a crash an app in one of them is in doubt. A failed step leads back to the phase before it,
from where it may be tried again.

All kinds of run share the table and begin in `queued`. Which events belong to which kinds is said
by `kinds_of`: a rollout never rolls back, and a rollback never uploads. A rollout withdraws only
obstacles, and then leads back to `queued`; an app that has a package goes on from there with it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import assert_never

from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    PackageFound,
    StepDoubted,
    StepFailed,
    StepStarted,
    StepSucceeded,
)
from fleetdeploy.errors import IllegalTransition
from fleetdeploy.model import Phase, RunKind, Step


class Event(StrEnum):
    """What can happen to an app; every record about an app is one of these."""

    UPLOAD_STARTED = "upload_started"
    UPLOAD_DOUBTED = "upload_doubted"
    UPLOAD_SUCCEEDED = "upload_succeeded"
    UPLOAD_FAILED = "upload_failed"
    AWAIT_UPLOAD_SUCCEEDED = "await_upload_succeeded"
    AWAIT_UPLOAD_FAILED = "await_upload_failed"
    SUBMIT_AUDIT_STARTED = "submit_audit_started"
    SUBMIT_AUDIT_DOUBTED = "submit_audit_doubted"
    SUBMIT_AUDIT_SUCCEEDED = "submit_audit_succeeded"
    SUBMIT_AUDIT_FAILED = "submit_audit_failed"
    AWAIT_AUDIT_SUCCEEDED = "await_audit_succeeded"
    RELEASE_STARTED = "release_started"
    RELEASE_DOUBTED = "release_doubted"
    RELEASE_SUCCEEDED = "release_succeeded"
    RELEASE_FAILED = "release_failed"
    AWAIT_RELEASE_SUCCEEDED = "await_release_succeeded"
    ROLLBACK_STARTED = "rollback_started"
    ROLLBACK_DOUBTED = "rollback_doubted"
    ROLLBACK_SUCCEEDED = "rollback_succeeded"
    ROLLBACK_FAILED = "rollback_failed"
    AWAIT_ROLLBACK_SUCCEEDED = "await_rollback_succeeded"
    WITHDRAW_STARTED = "withdraw_started"
    WITHDRAW_DOUBTED = "withdraw_doubted"
    WITHDRAW_SUCCEEDED = "withdraw_succeeded"
    WITHDRAW_FAILED = "withdraw_failed"
    AWAIT_WITHDRAW_SUCCEEDED = "await_withdraw_succeeded"
    OBSTACLE_WITHDRAW_STARTED = "obstacle_withdraw_started"
    OBSTACLE_AWAIT_WITHDRAW_SUCCEEDED = "obstacle_await_withdraw_succeeded"
    FOUND_PROCESSING = "found_processing"
    FOUND_UPLOADED = "found_uploaded"
    FOUND_AUDITING = "found_auditing"
    FOUND_APPROVED = "found_approved"
    FOUND_RELEASED = "found_released"
    FOUND_ROLLING_BACK = "found_rolling_back"
    ENDED_UNCHANGED = "ended_unchanged"
    ENDED_REJECTED = "ended_rejected"
    ENDED_BLOCKED = "ended_blocked"
    ENDED_FAILED = "ended_failed"
    ENDED_CANCELLED = "ended_cancelled"


_ENDED: Mapping[Event, Phase] = {
    Event.ENDED_BLOCKED: Phase.BLOCKED,
    Event.ENDED_FAILED: Phase.FAILED,
    Event.ENDED_CANCELLED: Phase.CANCELLED,
}
_REVIEWED: Mapping[Event, Phase] = {Event.ENDED_REJECTED: Phase.REJECTED, **_ENDED}

TRANSITIONS: Mapping[Phase, Mapping[Event, Phase]] = {
    Phase.QUEUED: {
        Event.UPLOAD_STARTED: Phase.UPLOADING,
        Event.FOUND_PROCESSING: Phase.PROCESSING,
        Event.FOUND_UPLOADED: Phase.UPLOADED,
        Event.FOUND_AUDITING: Phase.AUDITING,
        Event.FOUND_APPROVED: Phase.APPROVED,
        Event.ROLLBACK_STARTED: Phase.ROLLING_BACK,
        Event.FOUND_ROLLING_BACK: Phase.REVERTING,
        Event.WITHDRAW_STARTED: Phase.WITHDRAWING,
        Event.OBSTACLE_WITHDRAW_STARTED: Phase.WITHDRAWING,
        Event.ENDED_UNCHANGED: Phase.UNCHANGED,
        **_ENDED,
    },
    Phase.UPLOADING: {
        Event.UPLOAD_DOUBTED: Phase.UPLOADING,
        Event.UPLOAD_SUCCEEDED: Phase.PROCESSING,
        Event.UPLOAD_FAILED: Phase.QUEUED,
        **_ENDED,
    },
    Phase.PROCESSING: {
        Event.AWAIT_UPLOAD_SUCCEEDED: Phase.UPLOADED,
        Event.AWAIT_UPLOAD_FAILED: Phase.QUEUED,
        **_ENDED,
    },
    Phase.UPLOADED: {
        Event.SUBMIT_AUDIT_STARTED: Phase.SUBMITTING,
        Event.OBSTACLE_WITHDRAW_STARTED: Phase.WITHDRAWING,
        Event.FOUND_AUDITING: Phase.AUDITING,
        Event.FOUND_APPROVED: Phase.APPROVED,
        Event.FOUND_RELEASED: Phase.RELEASED,
        **_REVIEWED,
    },
    Phase.SUBMITTING: {
        Event.SUBMIT_AUDIT_DOUBTED: Phase.SUBMITTING,
        Event.SUBMIT_AUDIT_SUCCEEDED: Phase.AUDITING,
        Event.SUBMIT_AUDIT_FAILED: Phase.UPLOADED,
        **_ENDED,
    },
    Phase.AUDITING: {
        Event.AWAIT_AUDIT_SUCCEEDED: Phase.APPROVED,
        Event.FOUND_RELEASED: Phase.RELEASED,
        **_REVIEWED,
    },
    Phase.APPROVED: {
        Event.RELEASE_STARTED: Phase.RELEASING,
        Event.FOUND_RELEASED: Phase.RELEASED,
        **_REVIEWED,
    },
    Phase.RELEASING: {
        Event.RELEASE_DOUBTED: Phase.RELEASING,
        Event.RELEASE_SUCCEEDED: Phase.PUBLISHING,
        Event.RELEASE_FAILED: Phase.APPROVED,
        **_ENDED,
    },
    Phase.PUBLISHING: {
        Event.AWAIT_RELEASE_SUCCEEDED: Phase.RELEASED,
        **_ENDED,
    },
    Phase.ROLLING_BACK: {
        Event.ROLLBACK_DOUBTED: Phase.ROLLING_BACK,
        Event.ROLLBACK_SUCCEEDED: Phase.REVERTING,
        Event.ROLLBACK_FAILED: Phase.QUEUED,
        **_ENDED,
    },
    Phase.REVERTING: {
        Event.AWAIT_ROLLBACK_SUCCEEDED: Phase.ROLLED_BACK,
        **_ENDED,
    },
    Phase.WITHDRAWING: {
        Event.WITHDRAW_DOUBTED: Phase.WITHDRAWING,
        Event.WITHDRAW_SUCCEEDED: Phase.LEAVING_AUDIT,
        Event.WITHDRAW_FAILED: Phase.QUEUED,
        **_ENDED,
    },
    Phase.LEAVING_AUDIT: {
        Event.AWAIT_WITHDRAW_SUCCEEDED: Phase.WITHDRAWN,
        Event.OBSTACLE_AWAIT_WITHDRAW_SUCCEEDED: Phase.QUEUED,
        **_ENDED,
    },
    Phase.RELEASED: {},
    Phase.ROLLED_BACK: {},
    Phase.WITHDRAWN: {},
    Phase.UNCHANGED: {},
    Phase.REJECTED: {},
    Phase.BLOCKED: {},
    Phase.FAILED: {},
    Phase.CANCELLED: {},
}

TERMINAL = frozenset(phase for phase, exits in TRANSITIONS.items() if not exits)
SENT = frozenset(
    {
        Phase.UPLOADING,
        Phase.SUBMITTING,
        Phase.RELEASING,
        Phase.ROLLING_BACK,
        Phase.WITHDRAWING,
    }
)
"""A request that changes something was announced; without an answer the app is in doubt."""

STEP_OF: Mapping[Phase, Step] = {
    Phase.QUEUED: Step.UPLOAD,
    Phase.UPLOADING: Step.UPLOAD,
    Phase.PROCESSING: Step.AWAIT_UPLOAD,
    Phase.UPLOADED: Step.SUBMIT_AUDIT,
    Phase.SUBMITTING: Step.SUBMIT_AUDIT,
    Phase.AUDITING: Step.AWAIT_AUDIT,
    Phase.APPROVED: Step.RELEASE,
    Phase.RELEASING: Step.RELEASE,
    Phase.PUBLISHING: Step.AWAIT_RELEASE,
    Phase.ROLLING_BACK: Step.ROLLBACK,
    Phase.REVERTING: Step.AWAIT_ROLLBACK,
    Phase.WITHDRAWING: Step.WITHDRAW,
    Phase.LEAVING_AUDIT: Step.AWAIT_WITHDRAW,
}
"""The step that a phase calls for or is in; terminal phases call for none."""

FIRST_STEP: Mapping[RunKind, Step] = {
    RunKind.ROLLOUT: Step.UPLOAD,
    RunKind.ROLLBACK: Step.ROLLBACK,
    RunKind.WITHDRAW: Step.WITHDRAW,
}
"""What `queued` calls for, by the kind of run."""

_OF_ALL_KINDS = frozenset({Event.ENDED_UNCHANGED, *_ENDED})
_OF_ROLLBACKS = frozenset(
    {
        Event.ROLLBACK_STARTED,
        Event.ROLLBACK_DOUBTED,
        Event.ROLLBACK_SUCCEEDED,
        Event.ROLLBACK_FAILED,
        Event.AWAIT_ROLLBACK_SUCCEEDED,
        Event.FOUND_ROLLING_BACK,
    }
)
_OF_WITHDRAWALS = frozenset({Event.WITHDRAW_STARTED, Event.AWAIT_WITHDRAW_SUCCEEDED})
_OF_ALL_THAT_WITHDRAW = frozenset(
    {Event.WITHDRAW_DOUBTED, Event.WITHDRAW_SUCCEEDED, Event.WITHDRAW_FAILED}
)


def kinds_of(event: Event) -> frozenset[RunKind]:
    """Return the kinds of run in which an event can happen."""
    if event in _OF_ALL_KINDS:
        return frozenset(RunKind)
    if event in _OF_ALL_THAT_WITHDRAW:
        return frozenset({RunKind.ROLLOUT, RunKind.WITHDRAW})
    if event in _OF_ROLLBACKS:
        return frozenset({RunKind.ROLLBACK})
    return frozenset({RunKind.WITHDRAW if event in _OF_WITHDRAWALS else RunKind.ROLLOUT})


def event_of(record: AnyAppRecord) -> Event:
    """Name the event that a record about an app stands for.

    Raises `IllegalTransition` for a combination that no transition knows, like a started wait.
    """
    match record:
        case StepStarted():
            name = f"{_whose(record)}{record.step}_started"
        case StepSucceeded():
            name = f"{_whose(record)}{record.step}_succeeded"
        case StepDoubted():
            name = f"{record.step}_doubted"
        case StepFailed():
            name = f"{record.step}_failed"
        case PackageFound():
            name = f"found_{record.stage}"
        case AppFinished():
            name = f"ended_{record.outcome}"
        case _:
            assert_never(record)
    try:
        return Event(name)
    except ValueError:
        raise IllegalTransition(f"app {record.app_id}: there is no event {name}") from None


def _whose(record: StepStarted | StepSucceeded) -> str:
    return "obstacle_" if record.obstacle else ""


def next_phase(phase: Phase, event: Event) -> Phase:
    """Return the phase that follows; raise `IllegalTransition` for a pair not in the table."""
    try:
        return TRANSITIONS[phase][event]
    except KeyError:
        raise IllegalTransition(f"{event} cannot happen in phase {phase}") from None
