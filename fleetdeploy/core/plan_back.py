"""What a run that takes something back will do to each app, and why: pure.

It starts from what an earlier run left: its plan and its state. The prediction is made by the very
function that the run decides with (`decide_back.py`). Apps with nothing to take back are no part of
the run, so that it stands in nobody's way there; they are told in the plan's notes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from fleetdeploy.core import endings, sightings
from fleetdeploy.core.app_state import AppState, advance, step_of
from fleetdeploy.core.decide_back import decide_back
from fleetdeploy.core.decisions import NOTES_MAX, Confirm, Decision, Do, Note, Policy, Sight
from fleetdeploy.core.lifecycle import FIRST_STEP
from fleetdeploy.core.plan import (
    Action,
    OnlineNote,
    Plan,
    PlannedApp,
    PlanNote,
    planned_from,
)
from fleetdeploy.core.records import ErrorNote
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.rules import RunRules, WaveRule, with_budgets
from fleetdeploy.core.targets import Target, Undo
from fleetdeploy.model import Outcome, Package, Phase, RunKind, Step

_TAKES_BACK = {RunKind.ROLLBACK: Action.ROLLBACK, RunKind.WITHDRAW: Action.WITHDRAW}
_LEFT_ALONE = {RunKind.ROLLBACK: endings.NOT_ONLINE, RunKind.WITHDRAW: endings.NOT_IN_AUDIT}
_NEVER = {RunKind.ROLLBACK: "released nothing", RunKind.WITHDRAW: "has nothing in audit"}

_NEVER_IN_AUDIT = frozenset({Phase.RELEASED, Phase.UNCHANGED, Phase.REJECTED})


@dataclass(frozen=True, slots=True)
class Undoable:
    """What an earlier run may have to be taken back, and the apps where it surely has nothing."""

    targets: tuple[Target, ...]
    others: tuple[str, ...]


def undoable(kind: RunKind, plan: Plan, state: RunState, app_ids: Iterable[str]) -> Undoable:
    """Split the chosen apps of an earlier run by whether there may be something to take back.

    A release or submission that is in doubt counts: the platform will tell.
    """
    chosen = frozenset(app_ids)
    targets, others = [], []
    for planned in plan.apps:
        if planned.app_id not in chosen:
            continue
        app = state.apps[planned.app_id]
        if app.package_id is not None and _may_stand(kind, app):
            targets.append(_target(planned, app, app.package_id))
        else:
            others.append(planned.app_id)
    return Undoable(tuple(targets), tuple(others))


def _may_stand(kind: RunKind, app: AppState) -> bool:
    if kind is RunKind.WITHDRAW:
        return app.phase not in _NEVER_IN_AUDIT
    return app.may_be_released


def _target(planned: PlannedApp, app: AppState, package_id: str) -> Target:
    """Return what was sent, under the version that the package goes by: an adopted one has its own.

    What comes back is not known before a look.
    """
    target = planned.target()
    version = app.version or planned.version
    bundle = replace(target.bundle, version=version)
    return replace(target, bundle=bundle, undo=Undo(package_id), soaking=())


def rules_for(rules: RunRules, apps: int) -> RunRules:
    """Return an earlier run's rules, with its budgets worked out for so many apps.

    Windows, freezes, soaks and gates are left out: what is taken back is taken back at once. Its
    waves stay, one after the other.
    """
    return with_budgets(rules, apps).model_copy(
        update={
            "submit_windows": (),
            "release_windows": (),
            "freezes": (),
            "waves": tuple(WaveRule(name=wave.name) for wave in rules.waves),
            "order": None,
        }
    )


def plan_back(
    kind: RunKind,
    target: Target,
    rows: tuple[Package, ...],
    policy: Policy,
    *,
    in_doubt_before: bool = False,
) -> PlannedApp:
    """Predict what a run would do for one app whose packages look like `rows`."""
    app = AppState(target.app_id, in_doubt_before=in_doubt_before)
    decision: Decision = decide_back(kind, app, target, Sight(rows), policy)
    first = decision
    why = first.why
    if isinstance(first, Confirm) and in_doubt_before:
        # It looks first; said is what it will do if nothing moves meanwhile.
        why = decide_back(kind, AppState(target.app_id), target, Sight(rows), Policy()).why
    for _ in range(NOTES_MAX):
        if not isinstance(decision, Note) or (app := advance(app, decision.record)).terminal:
            break
        decision = decide_back(kind, app, target, Sight(rows), policy)
    live = sightings.online(rows)
    assert target.undo is not None
    return planned_from(
        replace(target, undo=replace(target.undo, back_to=_back_to(rows, target.undo))),
        action=_action(kind, target, rows, first, app),
        start=None if app.terminal else _start(kind, decision, app),
        reason=why,
        package_id=target.undo.package_id,
        online=OnlineNote(version=live.version, fingerprint=live.fingerprint) if live else None,
        error=app.error,
        in_doubt_before=in_doubt_before,
    )


def _back_to(rows: tuple[Package, ...], undo: Undo) -> str | None:
    row = sightings.row_of(rows, undo.package_id)
    return (row.rollback_version or None) if row else None


def _action(
    kind: RunKind, target: Target, rows: tuple[Package, ...], first: Decision, app: AppState
) -> Action:
    if app.terminal:
        return Action.UNCHANGED if app.outcome is Outcome.UNCHANGED else Action.BLOCKED
    if isinstance(first, Do):
        return _TAKES_BACK[kind]
    if isinstance(first, Confirm) and app.in_doubt_before:
        # It looks first; said is what it will do if nothing moves meanwhile.
        certain = decide_back(kind, AppState(app.app_id), target, Sight(rows), Policy())
        return _TAKES_BACK[kind] if isinstance(certain, Do) else Action.WAIT
    return Action.ADOPT if isinstance(first, Note) else Action.WAIT


def _start(kind: RunKind, decision: Decision, app: AppState) -> Step | None:
    return decision.record.step if isinstance(decision, Do) else step_of(app, kind)


def plan_back_unread(
    kind: RunKind, target: Target, error: ErrorNote, *, in_doubt_before: bool = False
) -> PlannedApp:
    """Plan an app whose packages could not be read: the run will look for itself."""
    assert target.undo is not None
    return planned_from(
        target,
        action=Action.UNKNOWN,
        start=FIRST_STEP[kind],
        reason=f"its packages could not be read: {error.message}",
        package_id=target.undo.package_id,
        error=error,
        unknown=("what is on the platform",),
        in_doubt_before=in_doubt_before,
    )


def goes_on(of_run: str, *, halted_first: bool) -> PlanNote:
    """Tell what becomes of the rest of a run that is not finished when something is taken back."""
    if halted_first:
        message = (
            f"run {of_run} is not finished: it is halted first, so that no resume brings to the "
            "others what is taken back"
        )
    else:
        message = f"run {of_run} is not finished: a resume goes on with its other apps"
    return PlanNote(code=endings.GOES_ON.code, message=message, hint=endings.GOES_ON.hint)


def left_alone(
    kind: RunKind, of_run: str, apps: Iterable[PlannedApp], others: tuple[str, ...]
) -> tuple[PlanNote, ...]:
    """Tell the apps that are no part of the run, by reason: nothing is sent for them."""
    ending = _LEFT_ALONE[kind]
    groups: dict[str, list[str]] = {}
    for app in apps:
        groups.setdefault(f"left alone: {app.reason}", []).append(app.app_id)
    if others:
        groups[f"left alone: run {of_run} {_NEVER[kind]} of these"] = list(others)
    return tuple(
        PlanNote(code=ending.code, message=message, app_ids=tuple(ids))
        for message, ids in groups.items()
    )
