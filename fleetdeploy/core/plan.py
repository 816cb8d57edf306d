"""What a run will do to each app, and why: pure, printable, saved beside the journal.

The prediction is made by the very function that the run decides with (`decide.py`), so a plan
that is still true is what happens. This module reads nothing: rows and history are passed in.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import Field

from fleetdeploy.core import sightings
from fleetdeploy.core.causes import Cause
from fleetdeploy.core.decide import decide
from fleetdeploy.core.decisions import (
    NOTES_MAX,
    Confirm,
    Decision,
    Do,
    Note,
    Policy,
    Poll,
    Rest,
    Sight,
)
from fleetdeploy.core.differences import changed_keys
from fleetdeploy.core.gates import Course, course_of
from fleetdeploy.core.records import AppFinished, ErrorNote
from fleetdeploy.core.replay import AppState, RunState, advance, step_of
from fleetdeploy.core.rules import LATER_RULES, RunRules, Value
from fleetdeploy.core.set_aside import SetAside
from fleetdeploy.core.so_far import SoFar
from fleetdeploy.core.targets import Target, Undo
from fleetdeploy.errors import PlanMismatch
from fleetdeploy.model import (
    AuditNote,
    Bundle,
    Outcome,
    Package,
    PackageStatus,
    RunKind,
    Step,
    Until,
)

SCHEMA_VERSION: Final = 1


class Action(StrEnum):
    """What a run will do for an app."""

    UPLOAD = "upload"
    ADOPT = "adopt"
    """Go on with a package of ours that is on the platform already."""
    ROLLBACK = "rollback"
    WITHDRAW = "withdraw"
    UNCHANGED = "unchanged"
    BLOCKED = "blocked"
    WAIT = "wait"
    """Look until another package is out of the way."""
    SET_ASIDE = "set_aside"
    """In quarantine: neither looked at nor touched."""
    UNKNOWN = "unknown"
    """The platform could not be read for this app; the run will look again."""


class OnlineNote(Value):
    """What is online now; `fingerprint` is None for a package that is not ours."""

    version: str
    fingerprint: str | None = None


class PlannedApp(Value):
    """One app's part. `ext_json` is the canonical text that goes over the wire.

    `start` is the step at which the run would begin, None where it does nothing. `changed` are
    the keys of `ext_json` that differ from what is online, None where that is not known.
    `unknown` lists what could not be known. `in_doubt_before`: an earlier run died in the middle
    of a step, so that silence of the platform proves nothing yet. `known_cause` is what the app's
    last run ended it with, where others may share it. `undo` is the package that is to be taken
    back, in a plan of a run that does so. Of a higher `priority` are those who go first.
    `set_aside` is why the app is in quarantine.
    """

    app_id: str
    name: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    wave: str
    template_id: str
    version: str
    description: str
    ext_json: str
    fingerprint: str
    audit_content: str
    audit_remark: str
    direct_commit: bool = False
    action: Action
    start: Step | None = None
    reason: str
    package_id: str | None = None
    online: OnlineNote | None = None
    changed: tuple[str, ...] | None = None
    unknown: tuple[str, ...] = ()
    error: ErrorNote | None = None
    in_doubt_before: bool = False
    known_cause: Cause | None = None
    undo: Undo | None = None
    priority: int = 0
    set_aside: SetAside | None = None

    def target(self) -> Target:
        bundle = Bundle(
            template_id=self.template_id,
            ext_json=self.ext_json,
            version=self.version,
            description=self.description,
            fingerprint=self.fingerprint,
            audit=AuditNote(self.audit_content, self.audit_remark),
            direct_commit=self.direct_commit,
        )
        return Target(
            self.app_id,
            self.name,
            self.labels,
            self.wave,
            bundle,
            undo=self.undo,
            priority=self.priority,
            set_aside=self.set_aside,
        )


class ManifestRef(Value):
    """Which manifest the plan was made from: `digest` covers the file and its `apps_file`."""

    name: str
    path: str
    digest: str


class PlanNote(Value):
    """Something to know before the run, of these apps or, without any, of the whole fleet.

    It says what was true when the plan was made, and decides nothing.
    """

    code: str
    message: str
    app_ids: tuple[str, ...] = ()
    hint: str = ""


class Plan(Value):
    """A whole plan. `digest` covers every other field but `notes`; `check_digest` proves it."""

    schema_version: Literal[1] = SCHEMA_VERSION
    run_id: str
    run_kind: RunKind = RunKind.ROLLOUT
    tool_version: str
    created_at: datetime
    manifest: ManifestRef
    until: Until
    rules: RunRules
    waves: tuple[str, ...]
    apps: tuple[PlannedApp, ...]
    notes: tuple[PlanNote, ...] = ()
    of_run: str | None = None
    """The run whose work is to be taken back, in a plan of a run that does so."""
    so_far: SoFar | None = None
    """What earlier runs of the same rollout left."""
    digest: str = ""

    @property
    def counts(self) -> Counter[Action]:
        return Counter(app.action for app in self.apps)

    @property
    def has_changes(self) -> bool:
        return any(app.action is not Action.UNCHANGED for app in self.apps)

    def targets(self) -> tuple[Target, ...]:
        return tuple(app.target() for app in self.apps)

    def course(self) -> Course:
        """Return how the plan's waves follow each other."""
        past = self.so_far.past() if self.so_far else {}
        return course_of(self.rules, ((app.app_id, app.wave) for app in self.apps), past)

    def fresh_state(self) -> RunState:
        """Return the state of a run of this plan that has no records yet."""
        given = self.so_far
        return RunState.new(
            (app.app_id for app in self.apps),
            self.doubted(),
            failing=given.failing if given else (),
            blocking=given.blocking if given else (),
        )

    def known_causes(self) -> dict[str, Cause]:
        return {app.app_id: app.known_cause for app in self.apps if app.known_cause is not None}

    def doubted(self) -> tuple[str, ...]:
        return tuple(app.app_id for app in self.apps if app.in_doubt_before)


def seal(plan: Plan) -> Plan:
    """Return the plan with its digest."""
    return plan.model_copy(update={"digest": _digest(plan)})


def check_digest(plan: Plan, where: str) -> None:
    """Raise `PlanMismatch` if the plan was changed after it was made."""
    if plan.digest != _digest(plan):
        raise PlanMismatch(
            f"{where}: the plan was changed after it was made (its digest does not match)",
            hint="make a new one with `fleetdeploy plan`",
        )


def _digest(plan: Plan) -> str:
    # Plans were saved before there was all this: where it says nothing, their digests must hold.
    silent = {name for name in LATER_RULES if getattr(plan.rules, name) in (None, ())}
    exclude: dict[str, Any] = {"digest": True, "notes": True, "rules": silent}
    apart = {"undo"} if plan.run_kind is RunKind.ROLLOUT else set()
    for name in ("known_cause", "priority", "set_aside"):
        if not any(getattr(app, name) for app in plan.apps):
            apart.add(name)
    exclude["apps"] = {"__all__": apart}
    exclude |= {name: True for name in ("of_run", "so_far") if getattr(plan, name) is None}
    covered = plan.model_dump_json(exclude=exclude)
    return hashlib.sha256(covered.encode()).hexdigest()


class Past(Value):
    """What our own history knows of a bundle it sent once."""

    template_id: str
    ext_json: str


History = Mapping[tuple[str, str], Past]
"""By app id and fingerprint."""


def plan_app(
    target: Target,
    rows: tuple[Package, ...],
    policy: Policy,
    until: Until,
    history: History,
    *,
    in_doubt_before: bool = False,
) -> PlannedApp:
    """Predict what a run would do for one app whose packages look like `rows`."""
    app = AppState(target.app_id, in_doubt_before=in_doubt_before)
    decision = decide(app, target.bundle, Sight(rows), policy, until)
    first = decision
    for _ in range(NOTES_MAX):
        if not isinstance(decision, Note) or (app := advance(app, decision.record)).terminal:
            break
        decision = decide(app, target.bundle, Sight(rows), policy, until)
    live = sightings.online(rows)
    action = _action(first, decision, app)
    uploads = action is Action.UPLOAD
    past = history.get((target.app_id, live.fingerprint or "")) if live else None
    changed = _changed(target.bundle, past) if uploads else None
    return planned_from(
        target,
        action=action,
        start=_start(decision, app),
        reason=_upload_reason(target.bundle, rows, past)
        if uploads
        else _reason(action, first, decision),
        package_id=app.package_id,
        online=OnlineNote(version=live.version, fingerprint=live.fingerprint) if live else None,
        changed=changed,
        unknown=_unknown(target.bundle, live, past) if uploads else (),
        error=app.error,
        in_doubt_before=in_doubt_before,
    )


def plan_unread(target: Target, error: ErrorNote, *, in_doubt_before: bool = False) -> PlannedApp:
    """Plan an app whose packages could not be read: the run will look for itself."""
    return planned_from(
        target,
        action=Action.UNKNOWN,
        start=Step.UPLOAD,
        reason=f"its packages could not be read: {error.message}",
        error=error,
        unknown=("what is on the platform",),
        in_doubt_before=in_doubt_before,
    )


def planned_from(target: Target, **fields: object) -> PlannedApp:
    """Return an app's part of a plan: what the target says, and the rest by name."""
    bundle = target.bundle
    return PlannedApp.model_validate(
        {
            "app_id": target.app_id,
            "name": target.name,
            "labels": dict(target.labels),
            "wave": target.wave,
            "template_id": bundle.template_id,
            "version": bundle.version,
            "description": bundle.description,
            "ext_json": bundle.ext_json,
            "fingerprint": bundle.fingerprint,
            "audit_content": bundle.audit.content,
            "audit_remark": bundle.audit.remark,
            "direct_commit": bundle.direct_commit,
            "undo": target.undo,
            "priority": target.priority,
            "set_aside": target.set_aside,
            **fields,
        }
    )


def _action(first: Decision, last: Decision, app: AppState) -> Action:
    if app.terminal:
        return Action.UNCHANGED if app.outcome is Outcome.UNCHANGED else Action.BLOCKED
    if isinstance(first, Do | Confirm):
        return Action.UPLOAD
    if isinstance(first, Poll) or (isinstance(last, Poll) and step_of(app) is Step.SUBMIT_AUDIT):
        return Action.WAIT
    return Action.ADOPT


def _start(decision: Decision, app: AppState) -> Step | None:
    if isinstance(decision, Rest):
        return None
    return decision.record.step if isinstance(decision, Do) else step_of(app)


def _reason(action: Action, first: Decision, last: Decision) -> str:
    if isinstance(last, Note) and isinstance(last.record, AppFinished):
        return last.why
    if isinstance(first, Note) and action is Action.WAIT:
        return f"{first.why}; {last.why}"
    return first.why


def _upload_reason(bundle: Bundle, rows: tuple[Package, ...], past: Past | None) -> str:
    live = sightings.online(rows)
    reasons = [_against_online(bundle, live, past)]
    refused = _rejected_before(bundle, rows)
    if refused is not None:
        said = refused.audit_message or refused.remark or "no reason given"
        reasons.append(f"the reviewer rejected this very content before ({said})")
    return "; ".join(reasons)


def _against_online(bundle: Bundle, live: Package | None, past: Past | None) -> str:
    if live is None:
        return "nothing is online yet"
    if live.fingerprint is None:
        return f"what is online (version {live.version}) is not ours"
    if live.fingerprint == bundle.fingerprint:
        return "the same content is online, and skip_unchanged is off"
    if past is not None and past.template_id != bundle.template_id:
        return f"template {bundle.template_id} instead of {past.template_id} (online)"
    return f"the content differs from what is online (version {live.version})"


def _rejected_before(bundle: Bundle, rows: tuple[Package, ...]) -> Package | None:
    return next(
        (
            row
            for row in rows
            if row.status == PackageStatus.AUDIT_FAILED and row.fingerprint == bundle.fingerprint
        ),
        None,
    )


def _changed(bundle: Bundle, past: Past | None) -> tuple[str, ...] | None:
    return changed_keys(past.ext_json, bundle.ext_json) if past is not None else None


def _unknown(bundle: Bundle, live: Package | None, past: Past | None) -> tuple[str, ...]:
    unknown = []
    if live is not None and past is None and live.fingerprint != bundle.fingerprint:
        unknown.append("which keys differ from what is online: our history does not know it")
    return tuple(unknown)
