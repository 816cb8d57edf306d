"""What a run's end asks for, in runs of their own: the rollback of a wave that halted.

Which apps that concerns, and what other runs have done about it, is said by `core/aftermath.py`.
"""

from functools import partial

from fleetdeploy.cli.afterwards import aftermath, status_of
from fleetdeploy.cli.options import Desk
from fleetdeploy.cli.planning_back import errand_of, planned_errand
from fleetdeploy.cli.render.layout import count_of, some
from fleetdeploy.cli.render.plan import note_words
from fleetdeploy.cli.render.status import render_status
from fleetdeploy.cli.rig import Ending, go_on, in_rig, run_planned
from fleetdeploy.cli.running import Manner, yield_to_newer
from fleetdeploy.core.aftermath import TakenBack
from fleetdeploy.errors import FleetError
from fleetdeploy.model import RunKind
from fleetdeploy.storage.archive import Recorded, read_run

WHOLE = Manner()
"""A rollback that nobody asked for at a keyboard goes to its end: no deadline cuts it short."""


async def followed_up(desk: Desk, ending: Ending) -> Ending:
    """Roll back what the halt of a run asks for, and tell the run as it is then.

    The halt is durable before. The exit code stays the run's own; what goes wrong here is said, and
    a resume of the run goes on with it.
    """
    if ending.run_id is None:
        return ending
    recorded = read_run(desk.state_dir.run(ending.run_id))
    app_ids = aftermath(desk.state_dir, recorded).to_roll_back
    if not app_ids:
        return ending
    if ending.interrupted:
        desk.say(f"{_what(app_ids)}: not begun, as a signal came. {_later(ending.run_id)}")
    else:
        try:
            await _roll_back(desk, recorded, app_ids)
        except FleetError as error:
            desk.say(f"{_what(app_ids)}: {error.message}. {_later(ending.run_id)}")
    status = status_of(desk.state_dir, read_run(recorded.run))
    return Ending(render_status(status, desk.output, desk.style), ending.code)


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
    errand = errand_of(desk.state_dir, RunKind.ROLLBACK, recorded, app_ids)
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


def _say_end(desk: Desk, rollback: Recorded) -> None:
    status = status_of(desk.state_dir, read_run(rollback.run))
    counts = ", ".join(f"{count} {phase}" for phase, count in status.counts.items())
    desk.say(f"rollback {status.run_id}: {status.state}; {counts}; next: {status.next}")


def _what(app_ids: tuple[str, ...]) -> str:
    return f"the rollback of {count_of(len(app_ids), 'app')}"


def _later(run_id: str) -> str:
    return f"To go on with it: fleetdeploy resume {run_id}"
