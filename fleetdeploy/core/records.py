"""What a journal can say: one class per kind of record, and its JSON form.

A record is a fact in the past tense. The journal adds the envelope (`seq`, `at`, `prev`); see
`docs/journal.md`. Unknown kinds are refused, unknown fields are ignored, so an older tool can read
what a newer one wrote as long as it says nothing new. No record holds a token, ticket or password.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from fleetdeploy.model import Outcome, RunKind, Service, Step, Until

FORMAT: Final = 1
"""The journal's format, in its first record. A reader refuses a format it does not know."""


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ErrorNote(Record):
    """An error as it is kept: readable by another version after a crash.

    `errno` and `msg` are the platform's own words, `msg` verbatim.
    """

    code: str
    message: str
    hint: str = ""
    errno: int | None = None
    msg: str | None = None


class Writer(Record):
    """Which process writes: for people, and for the message of a lock.

    `place` tells the run's directory from a copy of it; empty where nobody knows.
    """

    host: str
    pid: int
    who: str
    tool_version: str
    place: str = ""


class Asked(Record):
    """Who asked for something, when and why; `order` tells one request from another."""

    order: str
    at: datetime
    who: str
    host: str
    reason: str = ""


class RunStarted(Record):
    """The header: always the first record, and only there."""

    kind: Literal["run_started"] = "run_started"
    format: Literal[1] = FORMAT
    run_id: str
    run_kind: RunKind = RunKind.ROLLOUT
    plan_digest: str
    manifest_name: str
    manifest_digest: str
    until: Until = Until.RELEASED
    writer: Writer


class RunResumed(Record):
    """A new process goes on with the run; what was in flight before is in doubt from here on.

    `override_reason` is why a halted run may go on; it starts the budgets' counts afresh, and
    accepts the cause or the wave that halted it for the rest of the run. `last_order` is the last
    order of an operator that was judged before (see `core/orders.py`).
    """

    kind: Literal["run_resumed"] = "run_resumed"
    until: Until
    writer: Writer
    override_reason: str | None = None
    moved: bool = False
    last_order: str | None = None


class StopReason(StrEnum):
    SIGNAL = "signal"
    DEADLINE = "deadline"
    NO_WAIT = "no_wait"
    RESTING = "resting"
    """Every app has come as far as `until` says."""


class RunStopped(Record):
    """The process left in good order; the run is resumable. `calls` counts this process's calls."""

    kind: Literal["run_stopped"] = "run_stopped"
    reason: StopReason
    calls: dict[str, int] = Field(default_factory=dict)


class HaltCause(StrEnum):
    BUDGET = "budget"
    CAUSE = "cause"
    """Several apps met the same new cause."""
    GATE = "gate"
    """A wave ended without a single success, or nobody approved it in time."""
    OPERATOR = "operator"
    """Somebody said so."""
    PLATFORM = "platform"
    CREDENTIALS = "credentials"


NEED_OVERRIDE: Final = frozenset(
    {HaltCause.BUDGET, HaltCause.CAUSE, HaltCause.GATE, HaltCause.OPERATOR}
)
"""Halts of our own choice: a person has to say why the run may go on."""


class RunHalted(Record):
    """Nothing new starts. After `platform` and `credentials` a resume needs what is wrong mended.

    After the others it needs a reason. `shared` is the cause that apps share (see
    `core/causes.py`), with `cause`; `wave` the one that was judged, with `gate`; `asked` who said
    so, with `operator`.
    """

    kind: Literal["run_halted"] = "run_halted"
    cause: HaltCause
    error: ErrorNote
    shared: str | None = None
    wave: str | None = None
    asked: Asked | None = None
    calls: dict[str, int] = Field(default_factory=dict)


class RunFinished(Record):
    """Every app has its outcome. `superseded_by` names the newer run that took the rest over."""

    kind: Literal["run_finished"] = "run_finished"
    calls: dict[str, int] = Field(default_factory=dict)
    superseded_by: str | None = None


class WaveOpened(Record):
    """The wave's apps may go; `ahead`: only as far as approval, nothing of it is released yet."""

    kind: Literal["wave_opened"] = "wave_opened"
    wave: str
    ahead: bool = False


class WaveSettled(Record):
    """Every app of the wave has come to its end: its soak counts from here."""

    kind: Literal["wave_settled"] = "wave_settled"
    wave: str


class WaveApproved(Record):
    """A person said yes: the next wave may come once this one has settled and soaked."""

    kind: Literal["wave_approved"] = "wave_approved"
    wave: str
    asked: Asked


class RunPaused(Record):
    """Nothing new is sent until the pause is lifted; looking goes on."""

    kind: Literal["run_paused"] = "run_paused"
    asked: Asked


class PauseLifted(Record):
    """The run goes on after a pause."""

    kind: Literal["pause_lifted"] = "pause_lifted"
    asked: Asked


class OutageBegan(Record):
    """A service is out: several apps in a row met trouble there. Only probes go until its end.

    `error` is the last of the trouble.
    """

    kind: Literal["outage_began"] = "outage_began"
    service: Service
    error: ErrorNote


class OutageEnded(Record):
    """A probe got through: all who waited for the service go on."""

    kind: Literal["outage_ended"] = "outage_ended"
    service: Service


class FoundStage(StrEnum):
    """How far a package of ours, found on the platform, has come."""

    PROCESSING = "processing"
    UPLOADED = "uploaded"
    AUDITING = "auditing"
    APPROVED = "approved"
    RELEASED = "released"
    ROLLING_BACK = "rolling_back"


class AppRecord(Record):
    app_id: str


class PackageFound(AppRecord):
    """A look showed our package further on than we had brought it: adopted as it is.

    `known` are the keys of other rows that look like it, where it has no id of its own yet.
    """

    kind: Literal["package_found"] = "package_found"
    stage: FoundStage
    package_id: str | None = None
    version: str
    known: tuple[str, ...] = ()


class StepStarted(AppRecord):
    """The intent: on disk before the request leaves (J1).

    `known` are the keys of rows that already looked like ours before an upload (see
    `core/sightings.py`), so that only a new row proves that this upload happened. `back_to` is the
    version that a rollback is to bring back, as the platform said right before. `obstacle`: the
    package is none of this rollout's, and is withdrawn because it is in the way.
    """

    kind: Literal["step_started"] = "step_started"
    step: Step
    attempt: int
    package_id: str | None = None
    known: tuple[str, ...] = ()
    back_to: str | None = None
    obstacle: bool = False


class StepSucceeded(AppRecord):
    """The step's result. `settled`: its answer was lost and it was read off the platform.

    `obstacle`: what is out of audit was in the way of this rollout.
    """

    kind: Literal["step_succeeded"] = "step_succeeded"
    step: Step
    attempt: int
    package_id: str | None = None
    settled: bool = False
    obstacle: bool = False


class StepDoubted(AppRecord):
    """The answer was lost, or says nothing certain; a look at the platform will settle it.

    `excused`: its service was out, and the try does not count against those of the step.
    """

    kind: Literal["step_doubted"] = "step_doubted"
    step: Step
    attempt: int
    error: ErrorNote
    excused: bool = False


class StepFailed(AppRecord):
    """The step certainly did not take effect; it may be tried again.

    `settled` says that the platform's silence, over the settle time, proved it; `excused` is as in
    `step_doubted`, or its window closed before it could leave.
    """

    kind: Literal["step_failed"] = "step_failed"
    step: Step
    attempt: int
    error: ErrorNote
    settled: bool = False
    excused: bool = False


class AppFinished(AppRecord):
    """The app's outcome, with its cause where it is not a success.

    `unseen`: it ended because it could not be looked at, so what was sent last may not show yet.
    """

    kind: Literal["app_finished"] = "app_finished"
    outcome: Outcome
    error: ErrorNote | None = None
    unseen: bool = False


CourseRecord = WaveOpened | WaveSettled | WaveApproved | RunPaused | PauseLifted
"""What waves and operators do to the course of a run."""

OutageRecord = OutageBegan | OutageEnded

RunRecord = (
    RunStarted | RunResumed | RunStopped | RunHalted | RunFinished | CourseRecord | OutageRecord
)
AnyAppRecord = PackageFound | StepStarted | StepSucceeded | StepDoubted | StepFailed | AppFinished
AnyRecord = Annotated[RunRecord | AnyAppRecord, Field(discriminator="kind")]

RECORDS: TypeAdapter[RunRecord | AnyAppRecord] = TypeAdapter(AnyRecord)


@dataclass(frozen=True, slots=True)
class Entry:
    """A record with its place in the journal: `seq` counts from 0, `at` is UTC."""

    seq: int
    at: datetime
    record: RunRecord | AnyAppRecord
