"""The state of one app, as its records move it.

Pure: `advance` is the only function that makes one state out of another, by the table in
`lifecycle.py`; live run, replay and prediction all go through it (J4).
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from fleetdeploy.core.lifecycle import FIRST_STEP, SENT, STEP_OF, TERMINAL, event_of, next_phase
from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    ErrorNote,
    PackageFound,
    StepDoubted,
    StepFailed,
    StepStarted,
    StepSucceeded,
)
from fleetdeploy.model import Outcome, Phase, RunKind, Step, Until


@dataclass(frozen=True, slots=True)
class AppState:
    """Where one app is. `attempt` counts the tries of `step`, the last step that was started.

    `known` are the keys of rows that looked like ours before the upload (see `sightings.py`).
    `version` is that of an adopted package, `back_to` the one that a rollback is to bring back.
    `obstacle` is a package in the way whose withdrawal is not over, `cleared` how many are.
    `in_doubt_before` says that a step which is over for
    this run may still take effect: an earlier run died in it, or the app was given up in it.
    """

    app_id: str
    phase: Phase = Phase.QUEUED
    package_id: str | None = None
    version: str | None = None
    step: Step | None = None
    attempt: int = 0
    excused: int = 0
    known: tuple[str, ...] = ()
    back_to: str | None = None
    obstacle: str | None = None
    cleared: int = 0
    error: ErrorNote | None = None
    updated_at: datetime | None = None
    in_doubt_before: bool = False

    @property
    def terminal(self) -> bool:
        return self.phase in TERMINAL

    @property
    def in_doubt(self) -> bool:
        """Whether a step was announced whose result is not known."""
        return self.phase in SENT

    @property
    def unsettled(self) -> bool:
        """Whether something that was sent for this app may not show on the platform yet."""
        return self.in_doubt_before or self.phase in SENT or self.phase in _JUST_SENT

    @property
    def may_be_released(self) -> bool:
        """Whether its package came online in this run, or may have: a release that is in doubt."""
        return self.phase in _AT_RELEASE or (self.terminal and self.step is Step.RELEASE)

    @property
    def outcome(self) -> Outcome | None:
        return Outcome(self.phase.value) if self.terminal else None

    @property
    def counted(self) -> int:
        """The tries of the last step that count against its limit."""
        return self.attempt - self.excused

    def attempts_of(self, step: Step) -> int:
        return self.attempt if self.step is step else 0


_AT_RELEASE = frozenset({Phase.RELEASING, Phase.PUBLISHING, Phase.RELEASED})
_JUST_SENT = frozenset(
    {
        Phase.PROCESSING,
        Phase.AUDITING,
        Phase.PUBLISHING,
        Phase.REVERTING,
        Phase.LEAVING_AUDIT,
    }
)
"""The platform said yes, perhaps a moment ago: calls take effect with a delay."""


def advance(app: AppState, record: AnyAppRecord, *, at: datetime | None = None) -> AppState:
    """Return the app after a record; raise `IllegalTransition` where the table has none."""
    phase = next_phase(app.phase, event_of(record))
    match record:
        case StepStarted():
            return _started(app, record, phase, at)
        case PackageFound():
            return replace(
                app,
                phase=phase,
                package_id=record.package_id,
                version=record.version,
                known=record.known,
                # What is found after a withdrawal that failed is no news about that.
                error=app.error if app.obstacle else None,
                updated_at=at,
            )
        case StepSucceeded() if record.obstacle:
            return _cleared(app, phase, at)
        case StepSucceeded():
            package_id = record.package_id or app.package_id
            return replace(app, phase=phase, package_id=package_id, error=None, updated_at=at)
        case StepFailed() | StepDoubted():
            excused = app.excused + record.excused
            return replace(app, phase=phase, error=record.error, excused=excused, updated_at=at)
        case AppFinished():
            doubt = app.unsettled if record.unseen else app.in_doubt or app.in_doubt_before
            return replace(
                app, phase=phase, error=record.error, in_doubt_before=doubt, updated_at=at
            )
        case _:
            assert_never(record)


def _started(app: AppState, record: StepStarted, phase: Phase, at: datetime | None) -> AppState:
    """Begin a step."""
    uploads = record.step is Step.UPLOAD
    return replace(
        app,
        phase=phase,
        package_id=_own_package(app, record),
        version=None if uploads else app.version,
        step=record.step,
        attempt=record.attempt,
        excused=app.excused if app.step is record.step else 0,
        known=record.known if uploads else app.known,
        back_to=record.back_to,
        obstacle=record.package_id if record.obstacle else None,
        error=None,
        updated_at=at,
        in_doubt_before=False,
    )


def _own_package(app: AppState, record: StepStarted) -> str | None:
    """Return which package is the app's own from here on: what is in its way never is."""
    if record.step is Step.UPLOAD or (record.obstacle and app.phase is Phase.QUEUED):
        return None
    return app.package_id if record.obstacle else record.package_id or app.package_id


def _cleared(app: AppState, phase: Phase, at: datetime | None) -> AppState:
    """Take note that an obstacle is gone; the next one has tries of its own."""
    gone = replace(app, attempt=0, excused=0, obstacle=None, cleared=app.cleared + 1)
    return replace(gone, phase=phase, error=None, updated_at=at)


def is_resting(app: AppState, until: Until) -> bool:
    """Whether the app has come as far as the run is to go, without being at its end."""
    if until is Until.RELEASED or app.terminal:
        return False
    if until is Until.APPROVED:
        return app.phase is Phase.APPROVED
    return app.phase in _PAST_UPLOAD


_PAST_UPLOAD = frozenset({Phase.UPLOADED, Phase.AUDITING, Phase.APPROVED})


def step_of(app: AppState, kind: RunKind = RunKind.ROLLOUT) -> Step | None:
    """Return the step an app is in or waits for; None at its end."""
    return FIRST_STEP[kind] if app.phase is Phase.QUEUED else STEP_OF.get(app.phase)
