"""The commands that take back what a run did: `rollback`, `withdraw`; each is a run of its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Final, ParamSpec, TypeVar

import anyio
import click

from fleetdeploy.cli.confirming import ask_for_number, check_can_ask
from fleetdeploy.cli.options import Desk, common, lasting, selecting, selection
from fleetdeploy.cli.planning import Planned, Wish, check_credentials, policy_of, with_history
from fleetdeploy.cli.process import SystemClock, tool_version
from fleetdeploy.cli.render.plan import render_plan
from fleetdeploy.cli.render.style import Output
from fleetdeploy.cli.rollouts import Rig, in_rig, interruptible, run_planned, told
from fleetdeploy.cli.running import Manner
from fleetdeploy.cli.streams import write_error
from fleetdeploy.core.decisions import Policy
from fleetdeploy.core.plan import Action, Plan, PlannedApp, seal
from fleetdeploy.core.plan_back import (
    left_alone,
    plan_back,
    plan_back_unread,
    rules_for,
    undoable,
)
from fleetdeploy.core.selection import Selectable, Selection
from fleetdeploy.core.targets import Target
from fleetdeploy.engine.pipeline import error_note
from fleetdeploy.engine.survey import Survey, survey
from fleetdeploy.errors import ExitCode, PlanMismatch, UsageInvalid
from fleetdeploy.model import RunKind, Until
from fleetdeploy.storage.archive import Before, Recorded, look_back, open_apps, read_run
from fleetdeploy.storage.run_dir import StateDir, new_run_id

P = ParamSpec("P")
R = TypeVar("R")

WHAT: Final = {RunKind.ROLLBACK: "a rollback", RunKind.WITHDRAW: "a withdrawal"}
DOING: Final = {RunKind.ROLLBACK: "roll them back", RunKind.WITHDRAW: "withdraw them"}


@dataclass(frozen=True, slots=True)
class Request:
    """What was typed beside the run: how to go about it."""

    run: str
    run_id: str | None
    chosen: Selection
    manner: Manner
    yes: bool
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Errand:
    """What may be taken back, not yet compared with the platform; `others` have nothing there."""

    kind: RunKind
    of_run: str
    wish: Wish
    others: tuple[str, ...]


def _going_back(command: Callable[P, R]) -> Callable[P, R]:
    command = click.option("--dry-run", is_flag=True, help="Only say what would be done.")(command)
    command = click.option("--yes", is_flag=True, help="Do not ask for the number of apps.")(
        command
    )
    command = click.option(
        "--run-id", help="Name of the new run; made up from the time if not given."
    )(command)
    return lasting(selecting(click.argument("run")(command)))


@click.command("rollback")
@_going_back
@common(markdown=True)
def rollback_command(desk: Desk, **words: object) -> ExitCode:
    """Take what a run released back to the version before it, app by app: a run of its own."""
    return _go_back(desk, RunKind.ROLLBACK, _request(**words))  # type: ignore[arg-type]


@click.command("withdraw")
@_going_back
@common(markdown=True)
def withdraw_command(desk: Desk, **words: object) -> ExitCode:
    """Take back what a run has in audit, app by app: a run of its own."""
    return _go_back(desk, RunKind.WITHDRAW, _request(**words))  # type: ignore[arg-type]


def _request(
    *,
    run: str,
    run_id: str | None,
    only: tuple[str, ...],
    exclude: tuple[str, ...],
    deadline: float | None,
    no_wait: bool,
    yes: bool,
    dry_run: bool,
) -> Request:
    manner = Manner(deadline_s=deadline, wait=not no_wait)
    return Request(run, run_id, selection(only, exclude), manner, yes, dry_run)


def _go_back(desk: Desk, kind: RunKind, request: Request) -> ExitCode:
    """Plan, ask, run. Where there is nothing to take back the plan says so and no run is made."""
    if not (request.yes or request.dry_run):
        check_can_ask(WHAT[kind])
    errand = _errand(desk, kind, request)
    runs_before = desk.state_dir.runs()
    rules = errand.wish.rules
    planned = anyio.run(in_rig, desk, rules, partial(_planned, errand=errand))
    plan = planned.plan
    if request.dry_run or not plan.apps:
        desk.print(render_plan(plan, desk.output, desk.style, verbose=desk.verbosity > 0))
        return ExitCode.OK
    if not request.yes:
        write_error(render_plan(plan, Output.TEXT, desk.style))
        ask_for_number(len(plan.apps), DOING[kind])
        _check_still_alone(desk.state_dir, runs_before)
    act = partial(run_planned, planned=planned, manner=request.manner)
    return told(desk, anyio.run(in_rig, desk, plan.rules, act))


def _check_still_alone(state_dir: StateDir, runs_before: list[str]) -> None:
    """Raise `PlanMismatch` if a run has begun while the plan was read: it may have changed things.

    What changes on the platform alone does not matter: each app is looked at again.
    """
    come = sorted(set(state_dir.runs()) - set(runs_before))
    if come:
        raise PlanMismatch(
            f"run {come[0]} has begun since the plan was made: nothing was sent",
            hint="give the same command again",
        )


def _errand(desk: Desk, kind: RunKind, request: Request) -> Errand:
    """Read the run that is meant and choose its apps. Raises `UsageInvalid`, `RunNotFound`."""
    recorded = read_run(desk.state_dir.run(request.run))
    of_run, plan = recorded.run.run_id, recorded.plan
    if plan.run_kind is not RunKind.ROLLOUT:
        raise UsageInvalid(
            f"run {of_run} is itself {WHAT[plan.run_kind]}: there is nothing to take back",
            hint="name the rollout; fleetdeploy history lists the runs",
        )
    now = SystemClock().now()
    run_id = request.run_id or new_run_id(now, Random())  # noqa: S311 - an id, not a secret
    desk.state_dir.check_free(run_id)
    found = undoable(kind, plan, recorded.state, _chosen(recorded, request.chosen))
    wish = Wish(
        run_id=run_id,
        until=Until.RELEASED,
        manifest=plan.manifest,
        rules=plan.rules,
        targets=found.targets,
        created_at=now,
    )
    return Errand(kind, of_run, wish, found.others)


def _chosen(recorded: Recorded, chosen: Selection) -> frozenset[str]:
    """Choose among the run's apps; `phase=` is where that run left them."""
    apps = recorded.state.apps
    return chosen.apply(
        [Selectable(app.app_id, app.labels, apps[app.app_id].phase) for app in recorded.plan.apps]
    )


async def _planned(rig: Rig, errand: Errand) -> Planned:
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
        tool_version=tool_version(),
        created_at=wish.created_at,
        manifest=wish.manifest,
        until=wish.until,
        rules=rules_for(wish.rules, len(apps)),
        waves=(),
        apps=apps,
        notes=left_alone(kind, errand.of_run, alone, errand.others),
    )
    waves = tuple(wave.name for wave in plan.course().waves)
    plan = seal(plan.model_copy(update={"waves": waves}))
    return Planned(plan, seen.looks(), _of_these(before, apps))


def _of_these(before: Before, apps: tuple[PlannedApp, ...]) -> Before:
    """Leave runs alone that have none of the apps that the new run will work on."""
    ids = {app.app_id for app in apps}
    unfinished = tuple(run for run in before.unfinished if not ids.isdisjoint(open_apps(run.state)))
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
