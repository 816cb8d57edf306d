"""A plan as a document: what a run will do to each app, and why; saved beside the journal.

Pure values, and the digest that shows whether one was changed. What a run will do is predicted in
`plan_ahead.py`, for what takes something back in `plan_back.py`.
"""

import hashlib
from collections import Counter
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import Field

from fleetdeploy.core.causes import Cause
from fleetdeploy.core.foreign import LeftOnline
from fleetdeploy.core.gates import Course, course_of
from fleetdeploy.core.records import ErrorNote
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.rules import LATER_RULES, ForeignPackage, RunRules, Value
from fleetdeploy.core.set_aside import SetAside
from fleetdeploy.core.so_far import SoFar
from fleetdeploy.core.soaking import Soaking
from fleetdeploy.core.targets import Target, Undo
from fleetdeploy.errors import PlanMismatch
from fleetdeploy.model import AuditNote, Bundle, RunKind, Step, Until

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


class ObstacleNote(Value):
    """A package in audit that a run would withdraw first; without `fingerprint` it is not ours."""

    package_id: str
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
    `obstacle` is what would be withdrawn from audit first. `foreign_package` and
    `overwrite_foreign` are None where the run's rules hold, `left_online` is None where our runs
    never released anything. `soaking` are releases of ours that were still being watched.
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
    obstacle: ObstacleNote | None = None
    foreign_package: ForeignPackage | None = None
    overwrite_foreign: bool | None = None
    left_online: LeftOnline | None = None
    soaking: tuple[Soaking, ...] = ()

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
            app_id=self.app_id,
            name=self.name,
            labels=self.labels,
            wave=self.wave,
            bundle=bundle,
            undo=self.undo,
            foreign_package=self.foreign_package,
            overwrite_foreign=self.overwrite_foreign,
            left_online=self.left_online,
            soaking=self.soaking,
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
    resubmit: ManifestRef | None = None
    """The manifest that is to be rolled out to what a withdrawal has brought back."""
    so_far: SoFar | None = None
    """What earlier runs of the same rollout left."""
    chosen: tuple[str, ...] | None = None
    """The flags that chose the apps, where these are not all: whoever goes on chooses them too."""
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
    apart = {name for name in _LATER_FIELDS if _says_nothing(plan, name)}
    if plan.run_kind is RunKind.ROLLOUT:
        apart.add("undo")
    exclude["apps"] = {"__all__": apart}
    optional = ("of_run", "resubmit", "so_far", "chosen")
    exclude |= {name: True for name in optional if getattr(plan, name) is None}
    covered = plan.model_dump_json(exclude=exclude)
    return hashlib.sha256(covered.encode()).hexdigest()


_LATER_FIELDS: Final = (
    "known_cause",
    "obstacle",
    "foreign_package",
    "overwrite_foreign",
    "left_online",
    "soaking",
    "priority",
    "set_aside",
)
"""Left out of a digest where no app of the plan says anything in them."""


def _says_nothing(plan: Plan, name: str) -> bool:
    usual = PlannedApp.model_fields[name].default
    return all(getattr(app, name) == usual for app in plan.apps)


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
            "foreign_package": target.foreign_package,
            "overwrite_foreign": target.overwrite_foreign,
            "left_online": target.left_online,
            "soaking": target.soaking,
            **fields,
        }
    )
