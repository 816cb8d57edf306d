"""What a run's end asks for, in runs of their own.

A wave that halted is rolled back, and what was withdrawn to be submitted anew is rolled out.

Which apps that concerns, and what other runs have done about it, is said by `core/aftermath.py`.
"""

import shlex
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from fleetdeploy.cli.afterwards import aftermath, status_of
from fleetdeploy.cli.options import Desk
from fleetdeploy.cli.planning import Wish, wish_of
from fleetdeploy.cli.planning_back import errand_of, planned_errand
from fleetdeploy.cli.process import SystemClock
from fleetdeploy.cli.render.layout import count_of, some
from fleetdeploy.cli.render.plan import note_words
from fleetdeploy.cli.render.safe import safe_lines
from fleetdeploy.cli.render.status import render_status
from fleetdeploy.cli.rig import (
    Ending,
    Rig,
    go_on,
    in_rig,
    in_rig_that_hears,
    planned_wish,
    run_planned,
)
from fleetdeploy.cli.running import Manner, yield_to_newer
from fleetdeploy.cli.streams import write_error
from fleetdeploy.core.aftermath import TakenBack, worse
from fleetdeploy.core.selection import Selection
from fleetdeploy.errors import FleetError, PlanMismatch, UsageInvalid
from fleetdeploy.model import RunKind, Until
from fleetdeploy.storage.archive import Recorded, read_run
from fleetdeploy.storage.manifest_file import LoadedManifest, load_manifest
from fleetdeploy.storage.run_dir import StateDir

WHOLE = Manner()
"""A rollback that nobody asked for at a keyboard goes to its end: no deadline cuts it short."""


async def followed_up(desk: Desk, ending: Ending, manner: Manner) -> Ending:
    """Do what the end of a run asks for, and tell what came of it; the end is durable before.

    `manner` is how to work on a rollout that follows; its deadline counts from now.
    """
    if ending.run_id is None:
        return ending
    recorded = read_run(desk.state_dir.run(ending.run_id))
    found = aftermath(desk.state_dir, recorded)
    if found.to_roll_back:
        return await _rolled_back(desk, recorded, found.to_roll_back, ending)
    if found.to_resubmit and ending.interrupted:
        return replace(ending, text=_told(desk, recorded))
    if found.to_resubmit:
        return await _resubmitted(desk, recorded, found.to_resubmit, ending, manner)
    return ending


def _told(desk: Desk, recorded: Recorded) -> str:
    """Tell a run as it is now, with what came after it."""
    status = status_of(desk.state_dir, read_run(recorded.run))
    return render_status(status, desk.output, desk.style)


async def _rolled_back(
    desk: Desk, recorded: Recorded, app_ids: tuple[str, ...], ending: Ending
) -> Ending:
    """Roll back what the halt of a run asks for, and tell the run as it is then.

    The exit code stays the run's own; what goes wrong here is said, and a resume goes on with it.
    """
    signalled = ending.interrupted
    if not signalled:
        try:
            await _roll_back(desk, recorded, app_ids)
        except FleetError as error:
            what = f"error: {_what(app_ids)}: {error.message} [{error.code}]"
            write_error(safe_lines(f"{what}\n{_later(recorded.run.run_id)}"))
        except click.exceptions.Exit:
            signalled = True
    if signalled:
        desk.say(f"{_what(app_ids)}: not begun, as a signal came. {_later(recorded.run.run_id)}")
    return replace(ending, text=_told(desk, recorded))


async def finish_rollback(desk: Desk, recorded: Recorded, *, overridden: bool) -> None:
    """Go on with the rollback that a run's halt asked for, before anything else happens to the run.

    One that has begun is brought to its end in any case. Whether one that has not begun is still
    wanted is for whoever says why the run may go on: then it is left out, and said.
    """
    found = aftermath(desk.state_dir, recorded)
    if found.open_rollback is not None:
        desk.say(_unfinished(recorded, f"run {found.open_rollback.run_id} goes on with it"))
        await _go_on(desk, found.open_rollback)
    elif found.to_roll_back and overridden:
        kept = f"run {recorded.run.run_id} goes on, and they stay released"
        desk.say(f"{_what(found.to_roll_back)}: not begun, and left out. {kept}")
    elif found.to_roll_back:
        desk.say(_unfinished(recorded, "it begins now"))
        await _roll_back(desk, recorded, found.to_roll_back)


def _unfinished(recorded: Recorded, how: str) -> str:
    return f"run {recorded.run.run_id} halted, and its automatic rollback was not finished: {how}"


async def _go_on(desk: Desk, rollback: TakenBack) -> None:
    run = await yield_to_newer(desk.state_dir, read_run(desk.state_dir.run(rollback.run_id)))
    if run.state.finished:
        return
    await in_rig(desk, run.plan.rules, partial(go_on, recorded=run, manner=WHOLE))
    _say_end(desk, run)


async def _roll_back(desk: Desk, recorded: Recorded, app_ids: tuple[str, ...]) -> None:
    """Do what `fleetdeploy rollback RUN --only APPS --yes` does."""
    flags = Selection.parse(app_ids, ()).flags(app_ids)
    errand = errand_of(desk.state_dir, RunKind.ROLLBACK, recorded, app_ids, chosen=flags)
    wave = recorded.state.waves_opened[-1]
    desk.say(
        f"run {recorded.run.run_id} halted in wave {wave}, which goes back by itself: "
        f"{_what(app_ids)} ({some(app_ids)})"
    )
    plan_it = partial(planned_errand, errand=errand)
    planned = await in_rig(desk, errand.wish.rules, plan_it)
    if not planned.plan.apps:
        for note in planned.plan.notes:
            desk.say(f"note: {note_words(note)}")
        return
    run_it = partial(run_planned, planned=planned, manner=WHOLE)
    await in_rig(desk, planned.plan.rules, run_it)
    _say_end(desk, read_run(desk.state_dir.run(planned.plan.run_id)))


async def _resubmitted(
    desk: Desk, recorded: Recorded, app_ids: tuple[str, ...], ending: Ending, manner: Manner
) -> Ending:
    """Roll out to what a withdrawal has brought back what was confirmed together with it.

    Raises `PlanMismatch` if the manifest is another one by now.
    """
    _say_end(desk, recorded)
    wish = _wish_for(desk, recorded, app_ids)
    left_out = [app.app_id for app in recorded.plan.apps if app.app_id not in app_ids]
    if left_out:
        apps = count_of(len(left_out), "app")
        desk.say(f"left out of the rollout, as not withdrawn: {apps} ({some(left_out)})")

    async def act(rig: Rig) -> Ending:
        return await run_planned(rig, await planned_wish(rig, wish), manner)

    rollout = await in_rig_that_hears(desk, wish.rules, manner, act)
    rollout = await followed_up(desk, rollout, manner)
    return replace(rollout, code=worse(ending.code, rollout.code))


def _wish_for(desk: Desk, recorded: Recorded, app_ids: tuple[str, ...]) -> Wish:
    reference = recorded.plan.resubmit
    assert reference is not None
    loaded = load_manifest(Path(reference.path))
    if loaded.digest != reference.digest:
        raise PlanMismatch(
            f"{reference.path} was changed after it was confirmed: nothing of it was sent",
            hint=f"run it yourself: fleetdeploy run {shlex.quote(reference.path)} "
            "--only phase=withdrawn",
        )
    return wish_for(loaded, app_ids, desk.state_dir)


def wish_for(loaded: LoadedManifest, app_ids: Iterable[str], state_dir: StateDir) -> Wish:
    """Resolve a manifest for exactly these apps. Raises `UsageInvalid` for one it does not have."""
    missing = sorted(set(app_ids) - {app.app_id for app in loaded.manifest.apps})
    if missing:
        raise UsageInvalid(
            f"{count_of(len(missing), 'app')} of the withdrawal not in {loaded.path}: "
            f"{some(missing)}",
            hint="leave them out with --exclude, or add them to the manifest",
        )
    chosen = Selection.parse(app_ids, ())
    now = SystemClock().now()
    return wish_of(loaded, chosen, state_dir, until=Until.RELEASED, run_id=None, now=now)


def _say_end(desk: Desk, recorded: Recorded) -> None:
    status = status_of(desk.state_dir, read_run(recorded.run))
    counts = ", ".join(f"{count} {phase}" for phase, count in status.counts.items())
    desk.say(f"{status.kind} {status.run_id}: {status.state}; {counts}; next: {status.next}")


def _what(app_ids: tuple[str, ...]) -> str:
    return f"the rollback of {count_of(len(app_ids), 'app')}"


def _later(run_id: str) -> str:
    return f"To go on with it: fleetdeploy resume {run_id}"
