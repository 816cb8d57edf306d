"""The commands that plan and run: `plan`, `run`, `resume`."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import click

from fleetdeploy.cli.afterwards import status_of
from fleetdeploy.cli.following_up import finish_rollback, followed_up
from fleetdeploy.cli.hearing import address_of
from fleetdeploy.cli.options import Desk, common, going, selecting, selection
from fleetdeploy.cli.ordering import as_text, make_order
from fleetdeploy.cli.planning import (
    Planned,
    Wish,
    check_not_stale,
    wish_again,
    wish_of,
)
from fleetdeploy.cli.process import SystemClock
from fleetdeploy.cli.render.plan import render_plan
from fleetdeploy.cli.render.status import render_status
from fleetdeploy.cli.rig import (
    Ending,
    Rig,
    go_on,
    in_rig,
    in_rig_that_hears,
    planned_wish,
    run_planned,
    told,
)
from fleetdeploy.cli.running import (
    Manner,
    check_halt,
    yield_to_newer,
)
from fleetdeploy.cli.steering import is_paused, lift_pause
from fleetdeploy.core.next_steps import exit_code_of, start_command
from fleetdeploy.core.orders import OrderKind
from fleetdeploy.core.plan import Plan
from fleetdeploy.errors import ExitCode, UsageInvalid
from fleetdeploy.model import RunKind, Until
from fleetdeploy.receiver.limits import Address
from fleetdeploy.storage.archive import Recorded, latest_unfinished, read_plan, read_run
from fleetdeploy.storage.atomic import write_atomic
from fleetdeploy.storage.manifest_file import load_manifest

T = TypeVar("T")


@click.command("plan")
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Save the plan for run --plan.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 20 if there are changes.")
@click.option("--run-id", help="Name of the run to come.")
@click.option(
    "--until",
    type=click.Choice([str(until) for until in Until]),
    help="How far the run will bring the apps.",
)
@selecting
@common(markdown=True)
def plan_command(
    desk: Desk,
    *,
    manifest: Path,
    out: Path | None,
    detailed_exitcode: bool,
    run_id: str | None,
    until: str | None,
    only: tuple[str, ...],
    exclude: tuple[str, ...],
) -> ExitCode:
    """Say what a run would do to each app, and why: the dry run. Only reads."""
    wish = _wish(desk, manifest, run_id=run_id, until=until, only=only, exclude=exclude)
    planned = anyio.run(_plan_only, desk, wish)
    if out is not None:
        write_atomic(out, planned.plan.model_dump_json(indent=2).encode() + b"\n")
    verbose = desk.verbosity > 0
    saved = str(out) if out else ""
    desk.print(render_plan(planned.plan, desk.output, desk.style, verbose=verbose, saved=saved))
    changes = detailed_exitcode and planned.plan.has_changes
    return ExitCode.CHANGES if changes else ExitCode.OK


@click.command("run")
@click.argument("manifest", required=False, type=click.Path(path_type=Path))
@click.option(
    "--plan", "plan_file", type=click.Path(path_type=Path), help="Run exactly this saved plan."
)
@click.option("--dry-run", is_flag=True, help="The same as plan.")
@click.option("--run-id", help="Name of the run; made up from the time if not given.")
@click.option("--yes", is_flag=True, help="Answer yes beforehand; a rollout asks nothing.")
@going
@selecting
@common()
def run_command(
    desk: Desk,
    *,
    manifest: Path | None,
    plan_file: Path | None,
    dry_run: bool,
    run_id: str | None,
    yes: bool,  # noqa: ARG001 - scripts may pass it to every command that changes something
    until: str | None,
    deadline: float | None,
    listen: str | None,
    no_wait: bool,
    only: tuple[str, ...],
    exclude: tuple[str, ...],
) -> ExitCode:
    """Roll the manifest out to its apps, or carry out a saved plan."""
    manner = Manner(
        deadline_s=deadline, wait=not no_wait, listen=_listening(listen, no_wait=no_wait)
    )
    if plan_file is not None:
        if manifest or only or exclude or run_id or until:
            raise UsageInvalid(
                "--plan runs a plan as it was saved",
                hint="leave out the manifest, --only, --exclude, --until and --run-id",
            )
        saved = _read_plan_file(plan_file)
        if saved.run_kind is not RunKind.ROLLOUT:
            raise UsageInvalid(
                f"{plan_file} is the plan of a {saved.run_kind}: only a rollout's can be run",
                hint=f"type: {start_command(saved)}",
            )
        return told(desk, anyio.run(partial(_run_saved, desk, saved, manner, dry_run=dry_run)))
    if manifest is None:
        raise UsageInvalid("nothing to run", hint="name a manifest, or a plan with --plan FILE")
    wish = _wish(desk, manifest, run_id=run_id, until=until, only=only, exclude=exclude)
    return told(desk, anyio.run(partial(_run_wish, desk, wish, manner, dry_run=dry_run)))


@click.command("resume")
@click.argument("run", required=False)
@click.option(
    "--override-halt", metavar="REASON", help="Go on after a halt by a budget, a cause or a person."
)
@going
@common()
def resume_command(
    desk: Desk,
    *,
    run: str | None,
    override_halt: str | None,
    until: str | None,
    deadline: float | None,
    listen: str | None,
    no_wait: bool,
) -> ExitCode:
    """Go on with a run: the latest unfinished one if none is named."""
    manner = Manner(
        until=Until(until) if until else None,
        deadline_s=deadline,
        wait=not no_wait,
        override_reason=None if override_halt is None else as_text(override_halt),
        listen=_listening(listen, no_wait=no_wait),
    )
    return told(desk, anyio.run(_resume, desk, run, manner))


async def _plan_only(desk: Desk, wish: Wish) -> Planned:
    return await in_rig(desk, wish.rules, partial(planned_wish, wish=wish))


async def _run_wish(desk: Desk, wish: Wish, manner: Manner, *, dry_run: bool) -> Ending:
    async def act(rig: Rig) -> Ending:
        planned = await planned_wish(rig, wish)
        if dry_run:
            return Ending(render_plan(planned.plan, desk.output, desk.style), ExitCode.OK)
        return await run_planned(rig, planned, manner)

    if dry_run:
        return await in_rig(desk, wish.rules, act)
    return await followed_up(desk, await in_rig_that_hears(desk, wish.rules, manner, act), manner)


async def _run_saved(desk: Desk, saved: Plan, manner: Manner, *, dry_run: bool) -> Ending:
    async def act(rig: Rig) -> Ending:
        now = await planned_wish(rig, wish_again(saved))
        check_not_stale(saved, now.plan)
        if dry_run:
            return Ending(render_plan(saved, desk.output, desk.style), ExitCode.OK)
        return await run_planned(rig, replace(now, plan=saved), manner)

    if dry_run:
        return await in_rig(desk, saved.rules, act)
    ending = await in_rig_that_hears(desk, saved.rules, manner, act)
    return await followed_up(desk, ending, manner)


async def _resume(desk: Desk, run_id: str | None, manner: Manner) -> Ending:
    recorded = read_run(desk.state_dir.run(run_id)) if run_id else latest_unfinished(desk.state_dir)
    named_and_paused = run_id is not None and is_paused(recorded)
    if named_and_paused and recorded.alive and manner == Manner():
        return Ending(await lift_pause(desk, recorded), ExitCode.OK)
    recorded = await yield_to_newer(desk.state_dir, recorded)
    overridden = manner.override_reason is not None
    await finish_rollback(desk, recorded, overridden=overridden)
    recorded = read_run(recorded.run)
    if recorded.state.finished:
        return await _already_finished(desk, recorded, manner)
    if named_and_paused and not recorded.alive:
        check_halt(recorded.run, recorded.state, manner)

    async def act(rig: Rig) -> Ending:
        if named_and_paused and not recorded.alive:
            # Only now: what could not even begin leaves the run paused, as `status` says.
            recorded.run.orders.append(make_order(OrderKind.LIFT, ""))
        return await go_on(rig, recorded, manner)

    began = anyio.current_time()
    ending = await in_rig_that_hears(desk, recorded.plan.rules, manner, act)
    return await followed_up(desk, ending, manner.after(anyio.current_time() - began))


async def _already_finished(desk: Desk, recorded: Recorded, manner: Manner) -> Ending:
    """Tell a run that is at its end, and go on with what is to follow it."""
    status = status_of(desk.state_dir, recorded)
    if not status.to_resubmit:
        desk.say(f"run {status.run_id} is finished: there is nothing to resume")
    text = render_status(status, desk.output, desk.style)
    ending = Ending(text, exit_code_of(recorded.state), recorded.run.run_id)
    return await followed_up(desk, ending, manner)


def _listening(text: str | None, *, no_wait: bool) -> Address | None:
    if text is None:
        return None
    if no_wait:
        raise UsageInvalid(
            "--listen is for a run that waits, and --no-wait does not",
            hint="leave one out; fleetdeploy listen receives pushes for all runs",
        )
    return address_of(text)


def _wish(
    desk: Desk,
    manifest: Path,
    *,
    run_id: str | None,
    until: str | None,
    only: tuple[str, ...],
    exclude: tuple[str, ...],
) -> Wish:
    return wish_of(
        load_manifest(manifest),
        selection(only, exclude),
        desk.state_dir,
        until=Until(until or Until.RELEASED),
        run_id=run_id,
        now=SystemClock().now(),
    )


def _read_plan_file(path: Path) -> Plan:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageInvalid(f"{path} cannot be read: {error.strerror}") from None
    return read_plan(data, str(path))
