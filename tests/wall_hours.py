"""What the wall clock says of windows and freezes: slow, plain, and of no code of ours."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]

Frozen = tuple[date, date, str]
"""First day, last day, zone."""


def begins_on(days: str, day: str) -> bool:
    for part in days.split(","):
        walk = DAYS * 2
        if "-" in part:
            first, last = part.split("-")
            walk = walk[walk.index(first) :]
            if day in walk[: walk.index(last) + 1]:
                return True
        elif part == day:
            return True
    return False


def shows_open(window: str, at: datetime) -> bool:
    days, hours, zone = window.split(" ")
    opens, closes = hours.split("-")
    local = at.astimezone(ZoneInfo(zone))
    clock = f"{local:%H:%M}"
    today, yesterday = DAYS[local.weekday()], DAYS[local.weekday() - 1]
    if opens < closes:
        return begins_on(days, today) and opens <= clock < closes
    late = begins_on(days, today) and clock >= opens
    early = begins_on(days, yesterday) and clock < closes
    return late or early


def may_happen(windows: Iterable[str], freezes: Iterable[Frozen], at: datetime) -> bool:
    windows = list(windows)
    for first, last, zone in freezes:
        if f"{first}" <= f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d}" <= f"{last}":
            return False
    return not windows or any(shows_open(window, at) for window in windows)


def first_change(
    windows: Iterable[str], freezes: Iterable[Frozen], at: datetime, *, days: int
) -> datetime | None:
    """Walk minute by minute until it opens or closes; None if it does not within so many days."""
    windows, freezes = list(windows), list(freezes)
    was_open = may_happen(windows, freezes, at)
    moment = at.astimezone(UTC).replace(second=0, microsecond=0)
    for _ in range(days * 24 * 60):
        moment += timedelta(minutes=1)
        if may_happen(windows, freezes, moment) is not was_open:
            return moment
    return None
