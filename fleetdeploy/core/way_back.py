"""What earlier runs released that still soaks, and what a run makes of it.

Pure: the runs come in as they were read, and so does the time. History alone decides nothing: what
counts is that the package that soaks is the one online, by a look.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from fleetdeploy.core import sightings
from fleetdeploy.core.app_state import AppState
from fleetdeploy.core.decisions import Note
from fleetdeploy.core.endings import WOULD_LOSE_WAY_BACK
from fleetdeploy.core.plan import Action, Plan, PlannedApp, PlanNote
from fleetdeploy.core.records import AppFinished
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.soaking import Soaking, lost_by_release
from fleetdeploy.core.targets import Target
from fleetdeploy.model import Outcome, Package, RunKind


class Soaks:
    """Takes in runs, the newest first, and says what of their releases soaks."""

    def __init__(self, wanted: Iterable[str]) -> None:
        self._wanted = frozenset(wanted)
        self._found: dict[str, dict[str, Soaking | None]] = {}

    def take(self, plan: Plan, state: RunState) -> None:
        """Take in the next older run. Of the same content, what the newest run says holds."""
        if plan.run_kind is not RunKind.ROLLOUT:
            return
        soak_s = {wave.name: wave.soak_s for wave in plan.rules.waves}
        for planned in plan.apps:
            app = state.apps[planned.app_id]
            if planned.app_id in self._wanted and app.may_be_released:
                soaking = _soaking(plan.run_id, planned, app, state, soak_s.get(planned.wave, 0.0))
                self._found.setdefault(planned.app_id, {}).setdefault(planned.fingerprint, soaking)

    def found(self) -> dict[str, tuple[Soaking, ...]]:
        """Return what soaks or has soaked, by app id, the newest release first."""
        every = {
            app_id: tuple(one for one in by_content.values() if one is not None)
            for app_id, by_content in self._found.items()
        }
        return {app_id: soaking for app_id, soaking in every.items() if soaking}


def _soaking(
    run_id: str, planned: PlannedApp, app: AppState, state: RunState, soak_s: float
) -> Soaking | None:
    """Say until when a release soaks; where its wave never settled it counts from the app."""
    since = state.waves_settled.get(planned.wave) or app.updated_at
    if since is None or not soak_s:
        return None
    return Soaking(
        run_id=run_id,
        version=app.version or planned.version,
        fingerprint=planned.fingerprint,
        until=since + timedelta(seconds=soak_s),
    )


def protected_end(target: Target, rows: tuple[Package, ...], now: datetime) -> Note | None:
    """End an app's part in this run if its release would lose the way back; None if it may go."""
    live = sightings.online(rows)
    lost = lost_by_release(target.soaking, target.bundle.fingerprint, live, now)
    if live is None or lost is None:
        return None
    error = WOULD_LOSE_WAY_BACK.note(
        f"version {lost.version} of run {lost.run_id} soaks until {_moment(lost.until)}: "
        f"a release would lose the way back to version {live.rollback_version}"
    )
    record = AppFinished(app_id=target.app_id, outcome=Outcome.BLOCKED, error=error)
    return Note(record, error.message)


def way_back_notes(
    apps: Iterable[PlannedApp],
    rows: Mapping[str, tuple[Package, ...]],
    now: datetime,
    *,
    protect: bool,
) -> tuple[PlanNote, ...]:
    """Warn of those whose release would lose their way back, were it sent now."""
    lost: dict[str, Soaking] = {}
    for app in apps:
        live = sightings.online(rows.get(app.app_id, ()))
        one = lost_by_release(app.soaking, app.fingerprint, live, now)
        if one is not None and app.action is not Action.BLOCKED:
            lost[app.app_id] = one
    if not lost:
        return ()
    until = _moment(max(one.until for one in lost.values()))
    note = PlanNote(
        code=WOULD_LOSE_WAY_BACK.code,
        message=f"what is online soaks until {until} at the latest: a release before that loses "
        "the way back to the version before it",
        app_ids=tuple(lost),
        hint=_PROTECTED if protect else _UNPROTECTED,
    )
    return (note,)


_PROTECTED = "protect_rollback is on: who would be released before that ends blocked"
_UNPROTECTED = "to keep the way back, run later or set rollout.protect_rollback: true"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
