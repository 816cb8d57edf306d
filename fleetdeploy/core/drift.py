"""How a plan that was saved differs from one that is made now; pure."""

from collections.abc import Iterable

from fleetdeploy.core.plan import PlannedApp


def drifted(saved: Iterable[PlannedApp], now: Iterable[PlannedApp]) -> list[str]:
    """Say for each app whose part has moved since the plan was saved what it was and is.

    Doubt that is new counts as well: what a run sent a moment ago may not show yet, and the saved
    plan would not wait for it.
    """
    current = {app.app_id: app for app in now}
    return [
        _told(was, there)
        for was in saved
        if _essence(was) != _essence(there := current.get(was.app_id)) or _doubt(was, there)
    ]


def _doubt(was: PlannedApp, now: PlannedApp | None) -> str:
    if now is None or was.in_doubt_before or not now.in_doubt_before:
        return ""
    return "; a run was at work on it since"


def _told(was: PlannedApp, now: PlannedApp | None) -> str:
    planned, moved = _part(was), _part(now)
    if planned == moved and now is not None and _essence(was) != _essence(now):
        planned, moved = f"{planned}{_details(was)}", f"{moved}{_details(now)}"
    return f"{was.app_id}: planned {planned}, now {moved}{_doubt(was, now)}"


def _details(app: PlannedApp) -> str:
    """Say what tells apart what is otherwise told alike."""
    online = app.online and (f"ours, {app.online.fingerprint}" if app.online.fingerprint else "")
    whose = "" if online is None else f", what is online is {online or 'not ours'}"
    return f" beginning with {app.start or 'nothing'}{whose}"


def _essence(app: PlannedApp | None) -> tuple[object, ...]:
    return (app.action, app.start, app.package_id, app.online, app.obstacle) if app else ()


def _part(app: PlannedApp | None) -> str:
    if app is None:
        return "not planned"
    online = f"{app.online.version} online" if app.online else "nothing online"
    package = f", package {app.package_id}" if app.package_id else ""
    first = f", first withdraws {app.obstacle.package_id}" if app.obstacle else ""
    return f"{app.action} ({online}{package}{first})"
