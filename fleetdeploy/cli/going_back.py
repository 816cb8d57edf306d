"""The commands that take back what a run did: `rollback`, `withdraw`; each is a run of its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import anyio
import click

from fleetdeploy.cli.confirming import ask_for_number, check_can_ask
from fleetdeploy.cli.following_up import followed_up, wish_for
from fleetdeploy.cli.options import Desk, common, lasting, selecting, selection
from fleetdeploy.cli.ordering import Post, make_order
from fleetdeploy.cli.planning import Planned, reference_of
from fleetdeploy.cli.planning_back import Errand, errand_of, planned_errand
from fleetdeploy.cli.render.layout import document
from fleetdeploy.cli.render.plan import render_plan
from fleetdeploy.cli.render.resubmission import Resubmission
from fleetdeploy.cli.render.style import Output
from fleetdeploy.cli.rig import Ending, in_rig, planned_wish, run_planned, told
from fleetdeploy.cli.running import Manner
from fleetdeploy.cli.streams import write_error
from fleetdeploy.core.aftermath import once_withdrawn
from fleetdeploy.core.next_steps import start_command
from fleetdeploy.core.orders import OrderKind
from fleetdeploy.core.plan import Plan
from fleetdeploy.core.plan_back import goes_on
from fleetdeploy.core.selection import Selectable, Selection
from fleetdeploy.errors import ExitCode, PlanMismatch, UsageInvalid
from fleetdeploy.model import Package, RunKind
from fleetdeploy.storage.archive import Recorded, read_run
from fleetdeploy.storage.manifest_file import LoadedManifest, load_manifest
from fleetdeploy.storage.run_dir import StateDir

P = ParamSpec("P")
R = TypeVar("R")

WHAT: Final = {RunKind.ROLLBACK: "a rollback", RunKind.WITHDRAW: "a withdrawal"}
FORECAST: Final = "then, for those that were withdrawn, as far as it can be known now:"
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
    resubmit: Path | None = None


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
@click.option(
    "--and-resubmit",
    "resubmit",
    metavar="MANIFEST",
    type=click.Path(path_type=Path),
    help="Then roll this manifest out to exactly the apps that were withdrawn: a second run.",
)
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
    resubmit: Path | None = None,
) -> Request:
    manner = Manner(deadline_s=deadline, wait=not no_wait)
    return Request(run, run_id, selection(only, exclude), manner, yes, dry_run, resubmit)


def _go_back(desk: Desk, kind: RunKind, request: Request) -> ExitCode:
    """Plan, ask, run. Where there is nothing to take back the plan says so and no run is made."""
    if not (request.yes or request.dry_run):
        check_can_ask(WHAT[kind])
    loaded = load_manifest(request.resubmit) if request.resubmit else None
    recorded = _meant(desk, request)
    errand = _errand(desk, kind, recorded, request, loaded)
    runs_before = desk.state_dir.runs()
    review = anyio.run(_review, desk, errand, loaded)
    plan = review.planned.plan
    if request.dry_run or not plan.apps:
        desk.print(_told(review, desk, desk.output))
        return ExitCode.OK
    if not request.yes:
        write_error(_told(review, desk, Output.TEXT))
        ask_for_number(len(plan.apps), review.doing)
        _check_still_alone(desk.state_dir, runs_before)
    # Whoever was asked took their time: a run that somebody has resumed since is left alone.
    recorded = read_run(recorded.run)
    if _halts_first(recorded, request):
        anyio.run(_halted, desk, recorded, kind)
    return told(desk, anyio.run(_taken_back, desk, review.planned, request.manner))


@dataclass(frozen=True, slots=True)
class Review:
    """What would be done: what is taken back, and the plan of the rollout that follows, if any."""

    planned: Planned
    then: Plan | None = None

    @property
    def doing(self) -> str:
        doing = DOING[self.planned.plan.run_kind]
        return doing if self.then is None else f"{doing}, and roll out to them anew"


async def _review(desk: Desk, errand: Errand, loaded: LoadedManifest | None) -> Review:
    """Plan what is taken back, and what follows as far as it can be known before. Reads only."""
    planned = await in_rig(desk, errand.wish.rules, partial(planned_errand, errand=errand))
    apps = planned.plan.apps
    if loaded is None or not apps:
        return Review(planned)
    wish = wish_for(loaded, [app.app_id for app in apps], desk.state_dir)
    withdrawn = {app.app_id: app.package_id for app in apps}

    def foresee(app_id: str, rows: tuple[Package, ...]) -> tuple[Package, ...]:
        return once_withdrawn(rows, withdrawn[app_id])

    act = partial(planned_wish, wish=wish, foresee=foresee)
    then = await in_rig(desk, wish.rules, act)
    return Review(planned, then.plan)


def _told(review: Review, desk: Desk, output: Output) -> str:
    """Tell both plans; the second is a forecast."""
    verbose = desk.verbosity > 0
    plan, then = review.planned.plan, review.then
    if then is None:
        return render_plan(plan, output, desk.style, verbose=verbose)
    if output is Output.JSON:
        return document(Resubmission(withdrawal=plan, rollout=then))
    # One command does both, and is told once, at the end.
    first = render_plan(plan, output, desk.style, verbose=verbose, following="")
    both = start_command(plan)
    second = render_plan(then, output, desk.style, verbose=verbose, following=both)
    return f"{first}\n\n{FORECAST}\n\n{second}"


def _halts_first(recorded: Recorded, request: Request) -> bool:
    """Whether nobody's resume may go on with the rest: all of it is taken back, so it is bad."""
    held = recorded.state.halted is not None or recorded.state.finished
    return request.chosen.everything and not held and not recorded.alive


async def _halted(desk: Desk, recorded: Recorded, kind: RunKind) -> None:
    """Halt the run that is taken back, as `fleetdeploy halt` does; durable on return."""
    order = make_order(OrderKind.HALT, f"{WHAT[kind]} of all of it was ordered")
    await Post(desk.state_dir, recorded, desk.say).give(order)


async def _taken_back(desk: Desk, planned: Planned, manner: Manner) -> Ending:
    """Take back, and go on with what was confirmed together with it."""
    began = anyio.current_time()
    act = partial(run_planned, planned=planned, manner=manner)
    ending = await in_rig(desk, planned.plan.rules, act)
    return await followed_up(desk, ending, manner.after(anyio.current_time() - began))


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


def _meant(desk: Desk, request: Request) -> Recorded:
    """Read the run that is meant. Raises `UsageInvalid`, `RunNotFound`."""
    recorded = read_run(desk.state_dir.run(request.run))
    other = recorded.plan.run_kind
    if other is not RunKind.ROLLOUT:
        raise UsageInvalid(
            f"run {recorded.run.run_id} is itself {WHAT[other]}: there is nothing to take back",
            hint="name the rollout; fleetdeploy history lists the runs",
        )
    return recorded


def _errand(
    desk: Desk,
    kind: RunKind,
    recorded: Recorded,
    request: Request,
    loaded: LoadedManifest | None,
) -> Errand:
    """Choose the apps of a run, and say what becomes of the others. Raises `UsageInvalid`."""
    chosen = _chosen(recorded, request.chosen)
    flags = request.chosen.flags(sorted(chosen))
    errand = errand_of(desk.state_dir, kind, recorded, chosen, request.run_id, flags)
    if not recorded.state.finished and recorded.state.halted is None:
        note = goes_on(recorded.run.run_id, halted_first=_halts_first(recorded, request))
        errand = replace(errand, notes=(note,))
    return replace(errand, resubmit=reference_of(loaded)) if loaded else errand


def _chosen(recorded: Recorded, chosen: Selection) -> frozenset[str]:
    """Choose among the run's apps; `phase=` is where that run left them."""
    apps = recorded.state.apps
    return chosen.apply(
        [Selectable(app.app_id, app.labels, apps[app.app_id].phase) for app in recorded.plan.apps]
    )
