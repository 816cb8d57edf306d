"""From what an earlier run left to the plan of a run that takes it back."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from fleetdeploy.cli.planning import Planned, Wish, check_credentials, policy_of, with_history
from fleetdeploy.cli.process import SystemClock, tool_version
from fleetdeploy.cli.rig import Rig, interruptible
from fleetdeploy.core.decisions import Policy
from fleetdeploy.core.plan import Action, ManifestRef, Plan, PlannedApp, PlanNote, seal
from fleetdeploy.core.plan_back import (
    left_alone,
    plan_back,
    plan_back_unread,
    rules_for,
    undoable,
)
from fleetdeploy.core.targets import Target
from fleetdeploy.engine.pipeline import error_note
from fleetdeploy.engine.survey import Survey, survey
from fleetdeploy.model import RunKind, Until
from fleetdeploy.storage.archive import Before, Recorded, is_left_open, look_back
from fleetdeploy.storage.run_dir import StateDir, new_run_id


@dataclass(frozen=True, slots=True)
class Errand:
    """What may be taken back, not yet compared with the platform; `others` have nothing there.

    `resubmit` is the manifest that is to be rolled out to what was withdrawn, and `notes` what is
    to be known of the run itself.
    """

    kind: RunKind
    of_run: str
    wish: Wish
    others: tuple[str, ...]
    resubmit: ManifestRef | None = None
    notes: tuple[PlanNote, ...] = ()


def errand_of(
    state_dir: StateDir,
    kind: RunKind,
    recorded: Recorded,
    app_ids: Iterable[str],
    run_id: str | None = None,
    chosen: tuple[str, ...] = (),
) -> Errand:
    """Say what of a rollout is to be taken back from these apps. Raises `UsageInvalid`.

    `chosen` are the flags that chose them.
    """
    plan = recorded.plan
    now = SystemClock().now()
    run_id = run_id or new_run_id(now, Random())  # noqa: S311 - an id, not a secret
    state_dir.check_free(run_id)
    found = undoable(kind, plan, recorded.state, app_ids)
    wish = Wish(
        run_id=run_id,
        until=Until.RELEASED,
        manifest=plan.manifest,
        rules=plan.rules,
        targets=found.targets,
        created_at=now,
        chosen=chosen,
    )
    return Errand(kind, recorded.run.run_id, wish, found.others)


async def planned_errand(rig: Rig, errand: Errand) -> Planned:
    """Look at every app and predict, unless a signal comes. Reads only."""
    return await interruptible(rig, partial(_make_plan, rig, errand))


async def _make_plan(rig: Rig, errand: Errand) -> Planned:
    """Look at every app and predict. Reads only."""
    desk, wish, kind = rig.desk, errand.wish, errand.kind
    before = look_back(desk.state_dir, wish.app_ids)
    seen = await survey(rig.link.platform, wish.app_ids, at_once=wish.limits.in_flight)
    check_credentials(seen)
    policy = policy_of(wish.rules, desk.settings)
    every = [_plan_one(kind, target, seen, before, policy) for target in wish.targets]
    apps = tuple(app for app in every if app.action is not Action.UNCHANGED)
    alone = [app for app in every if app.action is Action.UNCHANGED]
    plan = Plan(
        run_id=wish.run_id,
        run_kind=kind,
        of_run=errand.of_run,
        resubmit=errand.resubmit,
        tool_version=tool_version(),
        created_at=wish.created_at,
        manifest=wish.manifest,
        until=wish.until,
        rules=rules_for(wish.rules, len(apps)),
        waves=(),
        apps=apps,
        notes=(
            *(errand.notes if apps else ()),
            *left_alone(kind, errand.of_run, alone, errand.others),
        ),
        chosen=wish.chosen or None,
    )
    waves = tuple(wave.name for wave in plan.course().waves)
    plan = seal(plan.model_copy(update={"waves": waves}))
    return Planned(plan, seen.looks(), _of_these(before, apps))


def _of_these(before: Before, apps: tuple[PlannedApp, ...]) -> Before:
    """Leave runs alone that have none of the apps that the new run will work on."""
    ids = {app.app_id for app in apps}
    unfinished = tuple(run for run in before.unfinished if is_left_open(run, ids))
    return replace(before, unfinished=unfinished)


def _plan_one(
    kind: RunKind, target: Target, seen: Survey, before: Before, policy: Policy
) -> PlannedApp:
    target = with_history(target, before)
    doubted = target.app_id in before.doubted
    error = seen.errors.get(target.app_id)
    if error is not None:
        return plan_back_unread(kind, target, error_note(error), in_doubt_before=doubted)
    rows = seen.rows[target.app_id]
    return plan_back(kind, target, rows, policy, in_doubt_before=doubted)
