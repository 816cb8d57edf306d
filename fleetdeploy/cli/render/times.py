"""Times and durations for people."""

from datetime import UTC, datetime

from fleetdeploy.cli.render.safe import safe
from fleetdeploy.cli.render.style import Style

_MINUTE_S = 60
_HOUR_S = 3_600
_DAY_S = 86_400


def moment(at: datetime | None, style: Style) -> str:
    """Write a time with its zone, in the style's zone: `2026-11-24 11:07:00 CST`."""
    if at is None:
        return "-"
    local = _local(at, style)
    return f"{local:%Y-%m-%d %H:%M:%S} {safe(local.tzname() or '')}".rstrip()


def time_of_day(at: datetime, style: Style) -> str:
    """Write only the time, for lists whose day is said elsewhere."""
    return f"{_local(at, style):%H:%M:%S}"


def day_of(at: datetime, style: Style) -> str:
    local = _local(at, style)
    return f"{local:%Y-%m-%d} ({safe(local.tzname() or '')})"


def _local(at: datetime, style: Style) -> datetime:
    """Return the time in the style's zone; as it is, where no calendar goes so far."""
    try:
        return at.astimezone(style.zone)
    except OverflowError:
        return at


def span(seconds: float) -> str:
    """Write a duration in its two largest units: `8s`, `4m 10s`, `2h 03m`, `3d 04h`."""
    whole = max(0, int(seconds))
    if whole < _MINUTE_S:
        return f"{whole}s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S}m {whole % _MINUTE_S:02d}s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S}h {whole % _HOUR_S // _MINUTE_S:02d}m"
    return f"{whole // _DAY_S}d {whole % _DAY_S // _HOUR_S:02d}h"


def between(start: datetime | None, end: datetime | None) -> float | None:
    """Return the seconds between two times, None where one of them is not known."""
    if start is None or end is None:
        return None
    return (end.astimezone(UTC) - start.astimezone(UTC)).total_seconds()
