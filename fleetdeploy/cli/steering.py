"""The commands that steer a run from another terminal: `pause`, `approve`, `halt`.

They ask nothing and wait for nobody: what they order is on disk before anything else. `resume`
ends a pause, see `lift_pause`.
"""

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

import anyio
import click

from fleetdeploy.cli.afterwards import status_of
from fleetdeploy.cli.options import Desk, common
from fleetdeploy.cli.ordering import Fate, Post, make_order
from fleetdeploy.cli.render.status import render_status
from fleetdeploy.cli.render.steered import Steered, render_steered
from fleetdeploy.core.orders import (
    Moot,
    Order,
    OrderKind,
    judge,
    paused_after,
    pending,
    waiting_wave,
)
from fleetdeploy.errors import ExitCode, UsageInvalid
from fleetdeploy.storage.archive import Recorded, read_run

P = ParamSpec("P")
R = TypeVar("R")


def _with_reason(command: Callable[P, R]) -> Callable[P, R]:
    return click.option(
        "--reason", default="", metavar="TEXT", help="Why, for the journal and for status."
    )(command)


@click.command("pause")
@click.argument("run")
@_with_reason
@common()
def pause_command(desk: Desk, *, run: str, reason: str) -> ExitCode:
    """Let a run send nothing new until fleetdeploy resume RUN; looking goes on."""
    return _steer(desk, _recorded(desk, run), make_order(OrderKind.PAUSE, reason))


@click.command("halt")
@click.argument("run")
@_with_reason
@common()
def halt_command(desk: Desk, *, run: str, reason: str) -> ExitCode:
    """Stop a run once what is under way has landed; a resume then needs a reason."""
    return _steer(desk, _recorded(desk, run), make_order(OrderKind.HALT, reason))


@click.command("approve")
@click.argument("run")
@click.argument("wave", required=False)
@_with_reason
@common()
def approve_command(desk: Desk, *, run: str, wave: str | None, reason: str) -> ExitCode:
    """Say yes to a wave, so that the next may come: to the one that waits if none is named."""
    recorded = _recorded(desk, run)
    wave = wave or _waiting(recorded)
    return _steer(desk, recorded, make_order(OrderKind.APPROVE, reason, wave))


def _recorded(desk: Desk, run_id: str) -> Recorded:
    return read_run(desk.state_dir.run(run_id))


def _waiting(recorded: Recorded) -> str:
    wave = waiting_wave(recorded.plan, recorded.state)
    if wave is None:
        raise UsageInvalid(
            f"no wave of run {recorded.run.run_id} waits for approval",
            hint=f"to approve one beforehand, name it: {', '.join(recorded.plan.waves)}",
        )
    return wave


def _steer(desk: Desk, recorded: Recorded, order: Order) -> ExitCode:
    """Give an order and tell what became of it. Raises `UsageInvalid` if it makes no sense."""
    steered = anyio.run(_given, desk, recorded, order)
    desk.print(render_steered(steered, desk.output, desk.style))
    return ExitCode.OK


async def _given(desk: Desk, recorded: Recorded, order: Order) -> Steered:
    moot = _moot(recorded, order)
    # What is ordered already and not taken in yet may end what holds now, like a pause.
    if moot is not None and not pending(recorded.run.orders.read().orders, recorded.state):
        return _told(desk, recorded, order, "already", moot.why)
    fate = await Post(desk.state_dir, recorded, desk.say).give(order)
    recorded = read_run(recorded.run)
    if order.id in recorded.state.orders:
        return _told(desk, recorded, order, "taken", _TAKEN[order.kind])
    moot = _moot(recorded, order) if fate is Fate.JUDGED else None
    if moot is not None:
        return _told(desk, recorded, order, "already", moot.why)
    return _told(desk, recorded, order, "handed_over", HANDED_OVER)


def _moot(recorded: Recorded, order: Order) -> Moot | None:
    """Say why an order would change nothing, as the run's journal stands.

    Raises `UsageInvalid` where it makes no sense.
    """
    state, run_id = recorded.state, recorded.run.run_id
    if recorded.alive and state.header is None:
        return None  # it is about to begin
    verdict = judge(order, state, recorded.plan.waves)
    if not isinstance(verdict, Moot):
        return None
    if not verdict.holds:
        raise UsageInvalid(
            f"run {run_id} cannot be steered so: {verdict.why}",
            hint=f"see fleetdeploy status {run_id}",
        )
    return verdict


HANDED_OVER: Final = "the order is on disk; the run's process takes it in as soon as it can"
_TAKEN: Final = {
    OrderKind.PAUSE: "paused: nothing new is sent until somebody resumes it by its name",
    OrderKind.LIFT: "goes on",
    OrderKind.APPROVE: "approved: the next wave may come once this one is done and has soaked",
    OrderKind.HALT: "halted: to go on, a resume has to say why",
}


def _told(desk: Desk, recorded: Recorded, order: Order, result: str, message: str) -> Steered:
    status = status_of(desk.state_dir, recorded)
    return Steered.model_validate(
        {
            "run_id": status.run_id,
            "order": order.kind,
            "wave": order.wave,
            "result": result,
            "message": message,
            "state": status.state,
            "next": status.next,
        }
    )


def is_paused(recorded: Recorded) -> bool:
    """Whether a run is paused, orders that nobody has taken in yet included."""
    return paused_after(recorded.run.orders.read().orders, recorded.state)


async def lift_pause(desk: Desk, recorded: Recorded) -> str:
    """End the pause of a run on which a process works; return its status, rendered."""
    steered = await _given(desk, recorded, make_order(OrderKind.LIFT, ""))
    desk.say(f"run {recorded.run.run_id}: {steered.message}")
    recorded = read_run(recorded.run)
    return render_status(status_of(desk.state_dir, recorded), desk.output, desk.style)
