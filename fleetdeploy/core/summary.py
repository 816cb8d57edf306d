"""A run told to a person or a script: counts, causes, and the command to type next."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from fleetdeploy.core.aftermath import NOTHING, Aftermath, TakenBack, next_after
from fleetdeploy.core.app_state import AppState, step_of
from fleetdeploy.core.endings import QUARANTINED
from fleetdeploy.core.gates import Soak, next_move
from fleetdeploy.core.hours import openings
from fleetdeploy.core.next_steps import next_command
from fleetdeploy.core.orders import waiting_wave
from fleetdeploy.core.outages import Outage
from fleetdeploy.core.plan import Plan, PlannedApp
from fleetdeploy.core.records import ErrorNote, HaltCause, StopReason
from fleetdeploy.core.replay import SUCCESSES, RunState
from fleetdeploy.core.wave_notes import WaveNote, wave_notes
from fleetdeploy.model import Outcome, Phase, RunKind, Service, Step

SCHEMA_VERSION: Final = 1


class Document(BaseModel):
    model_config = ConfigDict(frozen=True)


class ManifestNote(Document):
    name: str
    digest: str


class AppError(Document):
    code: str
    message: str
    errno: int | None
    msg: str | None


class AppStatus(Document):
    """One app. `attempts` counts the tries of the last step that was started."""

    app_id: str
    name: str
    wave: str
    phase: Phase
    outcome: Outcome | None
    template_id: str
    version: str
    fingerprint: str
    package_id: str | None
    step: Step | None
    attempts: int
    error: AppError | None
    hint: str
    updated_at: datetime | None
    opens_at: datetime | None = None
    """When the window opens that the app's step waits for; None if it waits for none."""


class Cause(Document):
    """Apps that share a reason: the same code and the platform's same words."""

    code: str
    message: str
    count: int
    app_ids: tuple[str, ...]
    hint: str


class WindowWait(Document):
    """Apps whose step waits for its window, or for the end of a freeze."""

    step: Step
    count: int
    app_ids: tuple[str, ...]
    opens_at: datetime


class OutageNote(Document):
    """One outage of the run; `until` is None while it lasts, as far as the journal knows."""

    service: Service
    since: datetime
    until: datetime | None
    code: str
    message: str


class HaltNote(Document):
    cause: HaltCause
    code: str
    message: str
    hint: str


class PauseNote(Document):
    """Who paused the run, when and why."""

    who: str
    host: str
    at: datetime
    reason: str


class SoakNote(Document):
    """A wave that is done and watched for a while before the next one may open."""

    wave: str
    until: datetime


class Status(Document):
    """What `status -o json` prints. `of_run` is the run whose work this one takes back."""

    schema_version: Literal[1] = SCHEMA_VERSION
    run_id: str
    kind: RunKind
    of_run: str | None = None
    manifest: ManifestNote
    started_at: datetime | None
    finished_at: datetime | None
    alive: bool
    state: str
    halted: HaltNote | None
    paused: PauseNote | None = None
    approval: str | None = None
    """The wave whose gate waits for somebody's yes."""
    soaking: SoakNote | None = None
    superseded_by: str | None
    taken_back: tuple[TakenBack, ...] = ()
    """Runs that take something of this one back, the newest first, where its halt asked for it."""
    to_roll_back: tuple[str, ...] = ()
    """Apps that its halt asks to be rolled back, and no run has begun with."""
    to_resubmit: tuple[str, ...] = ()
    """Apps that were withdrawn to be rolled out anew, and no run has begun with."""
    counts: dict[Phase, int]
    waves: tuple[WaveNote, ...] = ()
    """Where there are several."""
    calls: dict[str, int] = Field(default_factory=dict)
    apps: tuple[AppStatus, ...]
    causes: tuple[Cause, ...]
    waits: tuple[WindowWait, ...] = ()
    outages: tuple[OutageNote, ...] = ()
    next: str


def summarise(
    plan: Plan,
    state: RunState,
    *,
    alive: bool,
    now: datetime | None = None,
    aftermath: Aftermath = NOTHING,
) -> Status:
    """Tell a run. `alive` says whether a process works on it right now.

    With `now` it is also told which apps wait for a window, and which wave soaks, as far as the
    journal knows.
    `aftermath` is what newer runs have made of it.
    """
    opens = openings(plan, state, now) if now else {}
    kind = plan.run_kind
    apps = tuple(
        _app_status(planned, state.apps[planned.app_id], kind, opens.get(planned.app_id))
        for planned in plan.apps
    )
    counts = Counter(app.phase for app in apps)
    return Status(
        run_id=plan.run_id,
        kind=kind,
        of_run=plan.of_run,
        manifest=ManifestNote(name=plan.manifest.name, digest=plan.manifest.digest),
        started_at=state.started_at,
        finished_at=state.finished_at,
        alive=alive,
        state=describe_state(state, alive=alive),
        halted=_halt_note(state),
        paused=_pause_note(state),
        approval=None if state.finished else waiting_wave(plan, state),
        soaking=_soak_note(plan, state, now) if now else None,
        superseded_by=state.superseded_by,
        taken_back=aftermath.taken_back,
        to_roll_back=aftermath.to_roll_back,
        to_resubmit=aftermath.to_resubmit,
        counts={phase: counts[phase] for phase in Phase if counts[phase]},
        waves=wave_notes(plan, state),
        calls=dict(sorted(state.calls.items())),
        apps=apps,
        causes=group_causes(apps),
        waits=group_waits(apps),
        outages=tuple(_outage_note(outage) for outage in state.outages),
        next=(None if alive else next_after(plan, aftermath))
        or next_command(plan, state, alive=alive),
    )


def describe_state(state: RunState, *, alive: bool) -> str:
    """Say in a word or two where the run stands."""
    if state.superseded_by is not None:
        return "superseded"
    if state.finished:
        return "finished"
    if alive:
        return "paused" if state.paused is not None else "running"
    if state.header is None:
        return "never started"
    if state.halted is not None:
        return "halted"
    if state.paused is not None:
        return "paused"
    if state.stopped is not None:
        return _STOPPED[state.stopped.reason]
    return "interrupted"


_STOPPED = {
    StopReason.SIGNAL: "stopped",
    StopReason.DEADLINE: "stopped at its deadline",
    StopReason.NO_WAIT: "waiting",
    StopReason.RESTING: "at rest",
}


def group_causes(apps: Iterable[AppStatus]) -> tuple[Cause, ...]:
    """Group apps that did not get where they should by code and the platform's words.

    The cause shared by most comes first.
    """
    groups: dict[_Alike, list[AppStatus]] = {}
    for app in apps:
        if app.error is not None and app.outcome not in SUCCESSES:
            groups.setdefault(_told_alike(app.error), []).append(app)
    causes = [
        Cause(
            code=code,
            message=_cause_message(together[0].error, msg),
            count=len(together),
            app_ids=tuple(app.app_id for app in together),
            hint=together[0].hint,
        )
        for (code, msg, _), together in groups.items()
    ]
    return tuple(sorted(causes, key=lambda cause: (-cause.count, cause.code)))


_Alike = tuple[str, str, str]


def _told_alike(error: AppError) -> _Alike:
    """Return what apps have in common whose ends are told in one line.

    Messages differ from app to app; only that of an app in quarantine says why, for all alike.
    """
    why = error.message if error.code == QUARANTINED.code else ""
    return error.code, error.msg or "", why


def group_waits(apps: Iterable[AppStatus]) -> tuple[WindowWait, ...]:
    """Group apps that wait for a window by step and by when it opens, the soonest first."""
    groups: dict[tuple[datetime, Step], list[str]] = {}
    for app in apps:
        if app.opens_at is not None and app.step is not None:
            groups.setdefault((app.opens_at, app.step), []).append(app.app_id)
    return tuple(
        WindowWait(step=step, count=len(ids), app_ids=tuple(ids), opens_at=opens_at)
        for (opens_at, step), ids in sorted(groups.items())
    )


def _cause_message(error: AppError | None, msg: str) -> str:
    assert error is not None
    return f"{error.message} ({msg})" if msg else error.message


def _app_status(
    planned: PlannedApp, app: AppState, kind: RunKind, opens_at: datetime | None
) -> AppStatus:
    return AppStatus(
        app_id=planned.app_id,
        name=planned.name,
        wave=planned.wave,
        phase=app.phase,
        outcome=app.outcome,
        template_id=planned.template_id,
        version=app.version or planned.version,
        fingerprint=planned.fingerprint,
        package_id=app.package_id,
        step=step_of(app, kind),
        attempts=app.attempt,
        error=_app_error(app.error),
        hint=app.error.hint if app.error else _waiting_hint(app, opens_at),
        updated_at=app.updated_at,
        opens_at=opens_at,
    )


def _waiting_hint(app: AppState, opens_at: datetime | None) -> str:
    return f"{step_of(app)} waits until {opens_at:%Y-%m-%d %H:%M} UTC" if opens_at else ""


def _app_error(error: ErrorNote | None) -> AppError | None:
    if error is None:
        return None
    return AppError(code=error.code, message=error.message, errno=error.errno, msg=error.msg)


def _outage_note(outage: Outage) -> OutageNote:
    error = outage.error
    return OutageNote(
        service=outage.service,
        since=outage.since,
        until=outage.until,
        code=error.code,
        message=error.message,
    )


def _halt_note(state: RunState) -> HaltNote | None:
    if state.halted is None:
        return None
    error = state.halted.error
    return HaltNote(
        cause=state.halted.cause, code=error.code, message=error.message, hint=error.hint
    )


def _soak_note(plan: Plan, state: RunState, now: datetime) -> SoakNote | None:
    if state.finished or state.header is None:
        return None
    move = next_move(plan.course(), state, now)
    return SoakNote(wave=move.wave, until=move.until) if isinstance(move, Soak) else None


def _pause_note(state: RunState) -> PauseNote | None:
    if state.paused is None or state.finished:
        return None
    asked = state.paused.asked
    return PauseNote(who=asked.who, host=asked.host, at=asked.at, reason=asked.reason)
