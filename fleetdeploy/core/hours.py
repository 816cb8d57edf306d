"""A plan's windows and freezes as a calendar, and what an app waits for in it.

Decides nothing: the engine asks the calendar before each effect.
"""

from datetime import datetime

from fleetdeploy.core.app_state import is_resting
from fleetdeploy.core.plan import Plan, PlannedApp
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.rules import RunRules
from fleetdeploy.core.windows import Calendar, Freeze, Hours, parse_window, parse_zone
from fleetdeploy.errors import UsageInvalid
from fleetdeploy.model import Phase, Step


def calendar_of(rules: RunRules) -> Calendar:
    """Return when what may happen; raises `UsageInvalid` where a zone is not known here."""
    try:
        freezes = tuple(
            Freeze(rule.first, rule.last, parse_zone(rule.zone), rule.reason)
            for rule in rules.freezes
        )
        return Calendar(
            Hours(tuple(map(parse_window, rules.submit_windows)), freezes),
            Hours(tuple(map(parse_window, rules.release_windows)), freezes),
        )
    except ValueError as error:
        raise UsageInvalid(
            f"a window of the plan {error}",
            hint="install the system's time zone data (tzdata), the same as where it was planned",
        ) from None


def openings(plan: Plan, state: RunState, now: datetime) -> dict[str, datetime]:
    """Return, by app id, when the window opens that an app's next step waits for.

    By the journal alone: what else an app may be waiting for, only a look at the platform tells.
    Nothing is told where a zone of the plan is not known here.
    """
    try:
        calendar = calendar_of(plan.rules)
    except UsageInvalid:
        return {}
    closed = {
        hours: hours.opens_at(now)
        for hours in (calendar.submit, calendar.release)
        if not hours.is_open(now)
    }
    if not closed or state.finished:
        return {}
    waits = ((app.app_id, _hours(app, state, calendar)) for app in plan.apps)
    return {app_id: closed[hours] for app_id, hours in waits if hours in closed}


def _hours(planned: PlannedApp, state: RunState, calendar: Calendar) -> Hours | None:
    """Return the hours of what an app is to have sent next, if that is known."""
    app = state.apps[planned.app_id]
    step = _NEXT_EFFECT.get(app.phase)
    if step is None or is_resting(app, state.until):
        return None
    return calendar.hours_of(step, direct_commit=planned.direct_commit)


_NEXT_EFFECT = {
    Phase.QUEUED: Step.UPLOAD,
    Phase.UPLOADED: Step.SUBMIT_AUDIT,
    Phase.APPROVED: Step.RELEASE,
}
