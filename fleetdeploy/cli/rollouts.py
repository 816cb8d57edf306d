"""The commands that plan and run: `plan`, `run`, `resume`."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar

import anyio
import click

from fleetdeploy.cli.connect import Link, connect
from fleetdeploy.cli.hearing import address_of, hearing, say_where
from fleetdeploy.cli.options import Desk, common, going, selecting, selection
from fleetdeploy.cli.ordering import make_order, torn_words
from fleetdeploy.cli.planning import (
    Planned,
    Wish,
    check_not_stale,
    limits_of,
    make_plan,
    wish_again,
    wish_of,
)
from fleetdeploy.cli.process import Interrupts, SystemClock
from fleetdeploy.cli.render.hours import hours_facts
from fleetdeploy.cli.render.layout import words
from fleetdeploy.cli.render.plan import note_words, render_plan
from fleetdeploy.cli.render.safe import safe
from fleetdeploy.cli.render.status import render_status
from fleetdeploy.cli.running import (
    Manner,
    Seat,
    Surroundings,
    Watch,
    check_halt,
    take_new,
    take_up,
    work,
    yield_to_newer,
)
from fleetdeploy.cli.steering import is_paused, lift_pause
from fleetdeploy.cli.watching import open_watcher
from fleetdeploy.core.hours import calendar_of
from fleetdeploy.core.orders import OrderKind
from fleetdeploy.core.plan import Plan
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.rules import RunRules
from fleetdeploy.core.summary import exit_code_of, start_command, summarise
from fleetdeploy.errors import ExitCode, UsageInvalid
from fleetdeploy.model import RunKind, Until
from fleetdeploy.ports import NoticeFeed
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
        override_reason=override_halt,
        listen=_listening(listen, no_wait=no_wait),
    )
    return told(desk, anyio.run(_resume, desk, run, manner))


@dataclass(frozen=True, slots=True)
class Ending:
    """What a command has to say at last, and the code to leave with."""

    text: str
    code: ExitCode


@dataclass(frozen=True, slots=True)
class Rig:
    """A connected platform, those who look on, and what brings notices to a run that waits."""

    desk: Desk
    link: Link
    watch: Watch
    began: float
    feed: NoticeFeed | None = None

    def left(self, manner: Manner) -> Manner:
        """Count the deadline from when this process began, not from when the looks were done."""
        if manner.deadline_s is None:
            return manner
        spent_s = anyio.current_time() - self.began
        return replace(manner, deadline_s=max(0.0, manner.deadline_s - spent_s))


@asynccontextmanager
async def rig_up(desk: Desk, rules: RunRules) -> AsyncGenerator[Rig]:
    """Connect, show progress and listen to signals while the block runs."""
    limits, calendar = limits_of(rules), calendar_of(rules)
    interrupts = Interrupts(desk.say)
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(interrupts.watch)
        async with open_watcher(desk) as observer:
            rng = Random()  # noqa: S311 - jitter, not a secret
            async with connect(desk.settings, limits, observer, rng, calendar) as link:
                observer.show_pace(link.per_second)
                yield Rig(desk, link, Watch(observer, interrupts), began)
        tasks.cancel_scope.cancel()


async def interruptible(rig: Rig, act: Callable[[], Awaitable[T]]) -> T:
    """Await something that changes nothing; a signal leaves it at once."""
    with anyio.CancelScope() as scope:
        rig.watch.interrupts.ask_with(scope.cancel)
        return await act()
    code = rig.watch.interrupts.exit_code
    assert code is not None
    raise click.exceptions.Exit(code)


async def in_rig(desk: Desk, rules: RunRules, act: Callable[[Rig], Awaitable[T]]) -> T:
    """Await `act` with a rig, and return what it returns once the rig is down."""
    async with rig_up(desk, rules) as rig:
        result = [await act(rig)]
    return result[0]


async def _in_rig_that_hears(
    desk: Desk, rules: RunRules, manner: Manner, act: Callable[[Rig], Awaitable[T]]
) -> T:
    """Do the same with notices from the platform, unless the run does not wait for any."""
    if not manner.wait:
        return await in_rig(desk, rules, act)

    async def hear(rig: Rig) -> T:
        async with hearing(
            desk.settings,
            rig.link.credentials,
            listen=manner.listen,
            on_result=rig.watch.observer.pushed,
        ) as ears:
            if ears.problem:
                desk.say(f"warning: the run goes on without notices: {ears.problem}")
            if manner.listen is not None and ears.receiver is not None:
                say_where(desk, manner.listen, ears.receiver)
            result = [await act(replace(rig, feed=ears.feed))]
        return result[0]

    return await in_rig(desk, rules, hear)


async def _plan_only(desk: Desk, wish: Wish) -> Planned:
    return await in_rig(desk, wish.rules, partial(_planned, wish=wish))


async def _planned(rig: Rig, wish: Wish) -> Planned:
    desk = rig.desk
    act = partial(make_plan, wish, rig.link, desk.state_dir, desk.settings, wish.limits.in_flight)
    return await interruptible(rig, act)


async def _run_wish(desk: Desk, wish: Wish, manner: Manner, *, dry_run: bool) -> Ending:
    async def act(rig: Rig) -> Ending:
        planned = await _planned(rig, wish)
        if dry_run:
            return Ending(render_plan(planned.plan, desk.output, desk.style), ExitCode.OK)
        return await run_planned(rig, planned, manner)

    if dry_run:
        return await in_rig(desk, wish.rules, act)
    return await _in_rig_that_hears(desk, wish.rules, manner, act)


async def _run_saved(desk: Desk, saved: Plan, manner: Manner, *, dry_run: bool) -> Ending:
    async def act(rig: Rig) -> Ending:
        now = await _planned(rig, wish_again(saved))
        check_not_stale(saved, now.plan)
        if dry_run:
            return Ending(render_plan(saved, desk.output, desk.style), ExitCode.OK)
        return await run_planned(rig, replace(now, plan=saved), manner)

    if dry_run:
        return await in_rig(desk, saved.rules, act)
    return await _in_rig_that_hears(desk, saved.rules, manner, act)


async def run_planned(rig: Rig, planned: Planned, manner: Manner) -> Ending:
    """Create the run, work on it, and tell how it ended."""
    for error in planned.before.unreadable:
        what = words(error.message)
        rig.desk.say(f"warning: an earlier run cannot be read and stays as it is: {what}")
    for note in planned.plan.notes:
        rig.desk.say(f"note: {note_words(note)}")
    async with take_new(rig.desk.state_dir, planned) as seat:
        rig.desk.say(f"run {seat.plan.run_id}: {len(seat.plan.apps)} apps")
        _say_hours(rig.desk, seat.plan)
        manner = rig.left(manner)
        surroundings = Surroundings(rig.link, rig.desk.settings, rig.watch, rig.desk.say, rig.feed)
        state = await work(seat, surroundings, manner, planned.looks)
    return _ending(rig, seat, state)


async def _resume(desk: Desk, run_id: str | None, manner: Manner) -> Ending:
    recorded = read_run(desk.state_dir.run(run_id)) if run_id else latest_unfinished(desk.state_dir)
    named_and_paused = run_id is not None and is_paused(recorded)
    if named_and_paused and recorded.alive and manner == Manner():
        return Ending(await lift_pause(desk, recorded), ExitCode.OK)
    recorded = await yield_to_newer(desk.state_dir, recorded)
    if recorded.state.finished:
        status = summarise(recorded.plan, recorded.state, alive=recorded.alive)
        desk.say(f"run {status.run_id} is finished: there is nothing to resume")
        text = render_status(status, desk.output, desk.style)
        return Ending(text, exit_code_of(recorded.state))
    if named_and_paused and not recorded.alive:
        check_halt(recorded.run, recorded.state, manner)
        recorded.run.orders.append(make_order(OrderKind.LIFT, ""))
    act = partial(_go_on, recorded, manner)
    return await _in_rig_that_hears(desk, recorded.plan.rules, manner, act)


async def _go_on(recorded: Recorded, manner: Manner, rig: Rig) -> Ending:
    desk = rig.desk
    async with take_up(desk.state_dir, recorded, manner) as seat:
        if seat.torn_bytes:
            desk.say(torn_words(seat.run, seat.torn_bytes))
        _say_hours(desk, seat.plan)
        surroundings = Surroundings(rig.link, desk.settings, rig.watch, desk.say, rig.feed)
        state = await work(seat, surroundings, manner)
    return _ending(rig, seat, state)


def _say_hours(desk: Desk, plan: Plan) -> None:
    """Say what may happen only at times, so that nobody wonders why a run seems to stand still."""
    for label, fact in hours_facts(plan, desk.style, SystemClock().now()):
        desk.say(f"{label}: {safe(fact)}")


def _ending(rig: Rig, seat: Seat, state: RunState) -> Ending:
    """Tell how the run stands, and choose the exit code."""
    status = summarise(seat.plan, state, alive=False, now=SystemClock().now())
    text = render_status(status, rig.desk.output, rig.desk.style)
    signalled = rig.watch.interrupts.exit_code
    if signalled is not None and not state.finished and state.halted is None:
        return Ending(text, signalled)
    return Ending(text, exit_code_of(state))


def _listening(text: str | None, *, no_wait: bool) -> Address | None:
    if text is None:
        return None
    if no_wait:
        raise UsageInvalid(
            "--listen is for a run that waits, and --no-wait does not",
            hint="leave one out; fleetdeploy listen receives pushes for all runs",
        )
    return address_of(text)


def told(desk: Desk, ending: Ending) -> ExitCode:
    """Print the last words, once nothing draws on the terminal any more."""
    desk.print(ending.text)
    return ending.code


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
