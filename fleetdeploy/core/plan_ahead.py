"""What a rollout will do to each app, and why: pure.

The prediction is made by the very function that the run decides with (`decide.py`), so a plan
that is still true is what happens. This module reads nothing: rows and history are passed in.
"""

from dataclasses import replace

from fleetdeploy.core import sightings
from fleetdeploy.core.app_state import AppState, advance, step_of
from fleetdeploy.core.comparison import History, changed, unknown, upload_reason
from fleetdeploy.core.decide import decide
from fleetdeploy.core.decisions import (
    NOTES_MAX,
    Confirm,
    Decision,
    Do,
    Note,
    Policy,
    Poll,
    Rest,
    Sight,
)
from fleetdeploy.core.foreign import LeftOnline
from fleetdeploy.core.plan import Action, ObstacleNote, OnlineNote, PlannedApp, planned_from
from fleetdeploy.core.records import AppFinished, ErrorNote
from fleetdeploy.core.targets import Target
from fleetdeploy.model import Outcome, Package, Step, Until


def plan_app(
    target: Target,
    rows: tuple[Package, ...],
    policy: Policy,
    until: Until,
    history: History,
    *,
    in_doubt_before: bool = False,
) -> PlannedApp:
    """Predict what a run would do for one app whose packages look like `rows`."""
    app = AppState(target.app_id, in_doubt_before=in_doubt_before)
    decision = decide(app, target, Sight(rows), policy, until)
    first = decision
    for _ in range(NOTES_MAX):
        if not isinstance(decision, Note) or (app := advance(app, decision.record)).terminal:
            break
        decision = decide(app, target, Sight(rows), policy, until)
    if isinstance(decision, Confirm):
        # It looks first; said is what it will do if nothing moves meanwhile.
        settled = replace(app, in_doubt_before=False)
        decision = decide(settled, target, Sight(rows), policy, until)
    live = sightings.online(rows)
    action = _action(first, decision, app)
    uploads = action is Action.UPLOAD
    past = history.get((target.app_id, live.fingerprint or "")) if live else None
    why = upload_reason(target.bundle, rows, past) if uploads else _reason(action, first, decision)
    obstacle = _withdrawn_first(decision, rows)
    if obstacle is not None:
        assert isinstance(decision, Do)
        why = f"{decision.why}; {why}"
    return planned_from(
        target,
        action=action,
        start=_start(decision, app),
        reason=why,
        package_id=app.package_id,
        online=OnlineNote(version=live.version, fingerprint=live.fingerprint) if live else None,
        changed=changed(target.bundle, past) if uploads else None,
        unknown=unknown(target.bundle, live, past) if uploads else (),
        error=app.error,
        in_doubt_before=in_doubt_before,
        obstacle=obstacle,
        left_online=_left_online(target, live),
    )


def _withdrawn_first(decision: Decision, rows: tuple[Package, ...]) -> ObstacleNote | None:
    if not isinstance(decision, Do) or not decision.record.obstacle:
        return None
    row = sightings.row_of(rows, decision.record.package_id)
    assert row is not None
    assert row.package_id is not None
    return ObstacleNote(package_id=row.package_id, version=row.version, fingerprint=row.fingerprint)


def _left_online(target: Target, live: Package | None) -> LeftOnline | None:
    """Keep what history knows; a package of ours that shows is what we left, whatever it says."""
    if live is not None and live.fingerprint is not None:
        return LeftOnline(ours=live.version)
    return target.left_online


def plan_unread(target: Target, error: ErrorNote, *, in_doubt_before: bool = False) -> PlannedApp:
    """Plan an app whose packages could not be read: the run will look for itself."""
    return planned_from(
        target,
        action=Action.UNKNOWN,
        start=Step.UPLOAD,
        reason=f"its packages could not be read: {error.message}",
        error=error,
        unknown=("what is on the platform",),
        in_doubt_before=in_doubt_before,
    )


def _action(first: Decision, last: Decision, app: AppState) -> Action:
    if app.terminal:
        return Action.UNCHANGED if app.outcome is Outcome.UNCHANGED else Action.BLOCKED
    if isinstance(first, Do | Confirm):
        return Action.UPLOAD
    if isinstance(first, Poll) or (isinstance(last, Poll) and step_of(app) is Step.SUBMIT_AUDIT):
        return Action.WAIT
    return Action.ADOPT


def _start(decision: Decision, app: AppState) -> Step | None:
    if isinstance(decision, Rest):
        return None
    return decision.record.step if isinstance(decision, Do) else step_of(app)


def _reason(action: Action, first: Decision, last: Decision) -> str:
    if isinstance(last, Note) and isinstance(last.record, AppFinished):
        return last.why
    if isinstance(first, Note) and action is Action.WAIT:
        return f"{first.why}; {last.why}"
    return first.why
