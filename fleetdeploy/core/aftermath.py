"""What other runs have made of a run since, and what it still asks for by itself.

A wave with `auto_rollback` is rolled back when its run halts in it, and a withdrawal may have been
confirmed together with a rollout of what was withdrawn. Both are runs of their own, and need no
record here: which run takes back what is said by their plans. Pure: it starts nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from fleetdeploy.core.endings import SUPERSEDED
from fleetdeploy.core.plan import Plan
from fleetdeploy.core.records import HaltCause
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.rules import Value
from fleetdeploy.errors import ExitCode
from fleetdeploy.model import Outcome, Package, PackageStatus, RunKind, Step

ROLLS_BACK: Final = frozenset({HaltCause.BUDGET, HaltCause.CAUSE, HaltCause.GATE})
"""Halts that speak against what was released. A person decides; the platform and credentials say
nothing about it, and may keep a rollback from getting through."""


class TakenBack(Value):
    """A run that takes something of another one back; `state` as in its own status."""

    run_id: str
    kind: RunKind
    state: str
    alive: bool
    finished: bool


@dataclass(frozen=True, slots=True)
class Later:
    """A newer run that has started; `told` is its state in a word."""

    plan: Plan
    state: RunState
    told: str
    alive: bool


@dataclass(frozen=True, slots=True)
class Aftermath:
    """`taken_back`: the newest first. `open_rollback` is the one that a halt asked for, unfinished.

    `to_roll_back` are apps that a halt asks to be rolled back, and `to_resubmit` those that were
    withdrawn to be submitted anew; no run has begun with them.
    """

    taken_back: tuple[TakenBack, ...] = ()
    open_rollback: TakenBack | None = None
    to_roll_back: tuple[str, ...] = ()
    to_resubmit: tuple[str, ...] = ()


NOTHING: Final = Aftermath()


def rolled_back_by_halt(plan: Plan, state: RunState) -> tuple[str, ...]:
    """Return the apps that the run's halt asks to be rolled back, in the order of the plan.

    They are those of the last wave whose releases were let go, if it has `auto_rollback`, to which
    this very run has sent a release that happened, or may have. A wave with which a person has gone
    on after a halt is left to people from then on.
    """
    halted = state.halted
    if plan.run_kind is not RunKind.ROLLOUT or halted is None or not state.waves_opened:
        return ()
    wave = state.waves_opened[-1]
    rules = {rule.name: rule for rule in plan.course().waves}
    if halted.cause not in ROLLS_BACK or not rules[wave].auto_rollback or wave in state.waves_kept:
        return ()
    return tuple(
        app.app_id for app in plan.apps if app.wave == wave and _released_here(state, app.app_id)
    )


def _released_here(state: RunState, app_id: str) -> bool:
    app = state.apps[app_id]
    return app.step is Step.RELEASE and app.may_be_released


def to_submit_anew(plan: Plan, state: RunState) -> tuple[str, ...]:
    """Return the apps that a withdrawal has brought back for the rollout that is to follow it."""
    if plan.resubmit is None or not state.finished:
        return ()
    ended = state.apps.items()
    return tuple(app_id for app_id, app in ended if app.outcome is Outcome.WITHDRAWN)


def asks_for_more(plan: Plan, state: RunState) -> bool:
    """Whether something is to follow the run, begun or not."""
    return bool(rolled_back_by_halt(plan, state) or to_submit_anew(plan, state))


def aftermath_of(plan: Plan, state: RunState, later: Sequence[Later]) -> Aftermath:
    """Compare what a run asks for with what newer runs, the newest first, have begun with.

    What another run has begun with is that run's: nothing is taken back or submitted twice.
    """
    backs = [one for one in later if one.plan.of_run == plan.run_id]
    known = {app_id for one in later for app_id in one.state.apps}
    known |= {app_id for one in backs for note in one.plan.notes for app_id in note.app_ids}
    asked = rolled_back_by_halt(plan, state)
    return Aftermath(
        taken_back=tuple(map(_taken_back, backs)),
        open_rollback=_unfinished(backs, frozenset(asked)),
        to_roll_back=tuple(
            app_id for app_id in asked if app_id not in known and not _taken_over(state, app_id)
        ),
        to_resubmit=tuple(one for one in to_submit_anew(plan, state) if one not in known),
    )


def _taken_over(state: RunState, app_id: str) -> bool:
    """Whether a newer run has the app, also one that cannot be read."""
    error = state.apps[app_id].error
    return error is not None and error.code == SUPERSEDED.code


def _unfinished(backs: Sequence[Later], asked: frozenset[str]) -> TakenBack | None:
    for one in backs:
        rolls_back = one.plan.run_kind is RunKind.ROLLBACK and not one.state.finished
        if rolls_back and not asked.isdisjoint(one.state.apps):
            return _taken_back(one)
    return None


def once_withdrawn(rows: tuple[Package, ...], package_id: str | None) -> tuple[Package, ...]:
    """Return an app's packages as they will be when this one is out of audit: in development."""
    return tuple(
        replace(row, status=PackageStatus.DEVELOPMENT)
        if row.package_id == package_id and row.status == PackageStatus.IN_AUDIT
        else row
        for row in rows
    )


_BY_MEANING: Final = (
    ExitCode.OK,
    ExitCode.INCOMPLETE,
    ExitCode.UNFINISHED,
    ExitCode.HALTED,
    ExitCode.CREDENTIALS,
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
)


def worse(one: ExitCode, other: ExitCode) -> ExitCode:
    """Return the exit code of two runs that belong together: that of the one that went worse."""
    return max(one, other, key=_BY_MEANING.index)


def _taken_back(later: Later) -> TakenBack:
    return TakenBack(
        run_id=later.plan.run_id,
        kind=later.plan.run_kind,
        state=later.told,
        alive=later.alive,
        finished=later.state.finished,
    )


def next_after(plan: Plan, aftermath: Aftermath) -> str | None:
    """Return the command that brings what a run asks for to its end; None if nothing is left."""
    rollback = aftermath.open_rollback
    if rollback is not None and rollback.alive:
        return f"fleetdeploy status {rollback.run_id}"
    if rollback is not None or aftermath.to_roll_back or aftermath.to_resubmit:
        return f"fleetdeploy resume {plan.run_id}"
    return None
