"""The commands that take back what a run did: `rollback`, `withdraw`; each is a run of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, ParamSpec, TypeVar

import anyio
import click

from fleetdeploy.cli.confirming import ask_for_number, check_can_ask
from fleetdeploy.cli.options import Desk, common, lasting, selecting, selection
from fleetdeploy.cli.planning_back import Errand, errand_of, planned_errand
from fleetdeploy.cli.render.plan import render_plan
from fleetdeploy.cli.render.style import Output
from fleetdeploy.cli.rig import in_rig, run_planned, told
from fleetdeploy.cli.running import Manner
from fleetdeploy.cli.streams import write_error
from fleetdeploy.core.selection import Selectable, Selection
from fleetdeploy.errors import ExitCode, PlanMismatch, UsageInvalid
from fleetdeploy.model import RunKind
from fleetdeploy.storage.archive import Recorded, read_run
from fleetdeploy.storage.run_dir import StateDir

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
    planned = anyio.run(in_rig, desk, rules, partial(planned_errand, errand=errand))
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
    other = recorded.plan.run_kind
    if other is not RunKind.ROLLOUT:
        raise UsageInvalid(
            f"run {recorded.run.run_id} is itself {WHAT[other]}: there is nothing to take back",
            hint="name the rollout; fleetdeploy history lists the runs",
        )
    chosen = _chosen(recorded, request.chosen)
    return errand_of(desk.state_dir, kind, recorded, chosen, request.run_id)


def _chosen(recorded: Recorded, chosen: Selection) -> frozenset[str]:
    """Choose among the run's apps; `phase=` is where that run left them."""
    apps = recorded.state.apps
    return chosen.apply(
        [Selectable(app.app_id, app.labels, apps[app.app_id].phase) for app in recorded.plan.apps]
    )
