"""When submissions and releases may happen: windows of wall time, less the freezes.

Pure: the time comes in, always aware. It waits for nothing and knows no steps' results.

How it works: whether a moment is inside is read off the wall clock of the zone alone, so an hour
that is skipped or repeated when clocks change cannot open a window outside what that clock shows.
When it changes is found by trying the moments at which it can: the windows' times on each day, the
midnights, and the moments at which the zone's clock is moved.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fleetdeploy.model import Step

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY_MINUTES: Final = 24 * 60
_DAY: Final = timedelta(days=1)
_SOON: Final = timedelta(days=16)
"""Each window opens within a week, or in the second where the hour it lies in is skipped."""
_ZONE: Final = r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*"
_WINDOW: Final = re.compile(
    r"(?P<days>[A-Z][a-z]{2}(?:[-,][A-Z][a-z]{2})*) "
    r"(?P<from>[0-2][0-9]:[0-5][0-9])-(?P<to>[0-2][0-9]:[0-5][0-9]) "
    rf"(?P<zone>{_ZONE})",
    re.ASCII,
)
_NO_ZONES: Final = frozenset({"posix", "right", "localtime", "posixrules", "Factory"})
"""Files beside the zones: other countings of time, or whatever this machine is set to."""


@dataclass(frozen=True, slots=True)
class Window:
    """A time of day in a zone, on the weekdays on which it begins (0 is Monday).

    `end` is a minute of the day that no longer belongs to it; one that is not after `start` lies
    on the next day.
    """

    text: str
    days: frozenset[int]
    start: int
    end: int
    zone: ZoneInfo

    def holds(self, at: datetime) -> bool:
        local = at.astimezone(self.zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        yesterday = (day - 1) % len(DAYS)
        return (day in self.days and minute >= self.start) or (
            yesterday in self.days and minute < self.end
        )

    def instants(self, after: datetime, until: datetime) -> Iterator[datetime]:
        return _instants(self.zone, {self.start, self.end % DAY_MINUTES}, after, until)


@dataclass(frozen=True, slots=True)
class Freeze:
    """Whole days in a zone, first and last included, on which nothing may happen."""

    first: date
    last: date
    zone: ZoneInfo
    reason: str = ""

    def holds(self, at: datetime) -> bool:
        return self.first <= at.astimezone(self.zone).date() <= self.last

    def instants(self, after: datetime, until: datetime) -> Iterator[datetime]:
        return _instants(self.zone, {0}, after, until)

    @property
    def over_by(self) -> datetime:
        """A moment at which it is over wherever it is."""
        return datetime.combine(self.last + 2 * _DAY, time(), UTC)


@dataclass(frozen=True, slots=True)
class Hours:
    """When one kind of step may happen: in any of the windows, and in no freeze.

    Without windows it may at any time that is not frozen.
    """

    windows: tuple[Window, ...] = ()
    freezes: tuple[Freeze, ...] = ()

    @property
    def always(self) -> bool:
        return not self.windows and not self.freezes

    def is_open(self, at: datetime) -> bool:
        if self.frozen(at) is not None:
            return False
        return not self.windows or any(window.holds(at) for window in self.windows)

    def frozen(self, at: datetime) -> Freeze | None:
        """Return the freeze that a moment is in."""
        return next((freeze for freeze in self.freezes if freeze.holds(at)), None)

    def next_change(self, at: datetime) -> datetime | None:
        """Return the first moment after `at`, in UTC, at which it opens or closes; None if never.

        To find it takes time in proportion to the days until then.
        """
        after = at.astimezone(UTC)
        was_open = self.is_open(after)
        last = max([after, *(freeze.over_by for freeze in self.freezes)]) + _SOON
        while after < last:
            until = after + _DAY
            for moment in self._instants(after, until):
                if self.is_open(moment) is not was_open:
                    return moment
            after = until
        return None

    def opens_at(self, at: datetime) -> datetime:
        """Return the first moment from `at` on, in UTC, at which it is open."""
        if self.is_open(at):
            return at.astimezone(UTC)
        opens = self.next_change(at)
        assert opens is not None, "every window opens, and every freeze ends"
        return opens

    def _instants(self, after: datetime, until: datetime) -> list[datetime]:
        rules: Sequence[Window | Freeze] = (*self.windows, *self.freezes)
        found = {moment for rule in rules for moment in rule.instants(after, until)}
        return sorted(moment for moment in found if after < moment <= until)


ALWAYS: Final = Hours()


@dataclass(frozen=True, slots=True)
class Calendar:
    """When what may happen in a run. Reads, and uploads that submit nothing, always may."""

    submit: Hours = ALWAYS
    release: Hours = ALWAYS

    def hours_of(self, step: Step, *, direct_commit: bool) -> Hours:
        """Return when a step may be sent."""
        if step is Step.RELEASE:
            return self.release
        return self.submit if step.submits(direct_commit=direct_commit) else ALWAYS


def parse_window(text: str) -> Window:
    """Read a text like `Mon-Fri 22:00-06:00 Asia/Shanghai`; raises `ValueError`."""
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise ValueError("must be like Mon-Fri 22:00-06:00 Asia/Shanghai")
    days = _days(found["days"])
    if max(found["from"], found["to"]) > "24:00":
        raise ValueError("has a time after 24:00")
    start, end = _minute(found["from"]), _minute(found["to"])
    if start % DAY_MINUTES == end % DAY_MINUTES and (start, end) != (0, DAY_MINUTES):
        raise ValueError("begins when it ends; the whole day is 00:00-24:00")
    if start == DAY_MINUTES:
        raise ValueError("begins at 24:00; write 00:00 and the day after")
    return Window(text, days, start, end, parse_zone(found["zone"]))


def parse_zone(name: str) -> ZoneInfo:
    """Return a zone by its name in the tz database; raises `ValueError`."""
    known = re.fullmatch(_ZONE, name, re.ASCII) and name.partition("/")[0] not in _NO_ZONES
    try:
        zone = ZoneInfo(name) if known else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = None
    if zone is None:
        raise ValueError(f"names no time zone that this machine knows: {name[:60]!a}")
    return zone


def _days(text: str) -> frozenset[int]:
    """Read days and ranges of days, which may go over the end of the week: `Sat-Mon,Wed`."""
    parts = [part.split("-") for part in text.split(",")]
    unknown = sorted({day for part in parts for day in part} - set(DAYS))
    if unknown:
        raise ValueError(f"names no day of the week: {', '.join(unknown)}")
    days: set[int] = set()
    for part in parts:
        if len(part) > 2 or (len(part) > 1 and part[0] == part[1]):  # noqa: PLR2004 - from and to
            raise ValueError("must name days like Mon, Mon-Fri or Sat-Mon,Wed")
        first, last = DAYS.index(part[0]), DAYS.index(part[-1])
        days |= {(first + step) % len(DAYS) for step in range((last - first) % len(DAYS) + 1)}
    return frozenset(days)


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _instants(
    zone: ZoneInfo, minutes: Iterable[int], after: datetime, until: datetime
) -> Iterator[datetime]:
    """Yield, in UTC and at least those in between, when the zone's clock shows a time or jumps.

    A time that is shown twice is yielded twice; for one that is skipped there is the jump.
    """
    # A clock that is put back over midnight comes to a day that it has left already.
    day = after.astimezone(zone).date() - _DAY
    while day <= until.astimezone(zone).date():
        for minute in minutes:
            shown = datetime.combine(day, time(minute // 60, minute % 60), zone)
            yield shown.astimezone(UTC)
            yield shown.replace(fold=1).astimezone(UTC)
        day += _DAY
    if _offset(zone, after) != _offset(zone, until):
        yield _jump(zone, after, until)


def _jump(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Find the second at which a zone's clock is moved, between two moments in UTC."""
    before, offset = before.replace(microsecond=0), _offset(zone, before)
    low, high = 0, int((after - before) / timedelta(seconds=1)) + 1
    while high - low > 1:
        middle = (low + high) // 2
        same = _offset(zone, before + timedelta(seconds=middle)) == offset
        low, high = (middle, high) if same else (low, middle)
    return before + timedelta(seconds=high)


def _offset(zone: ZoneInfo, at: datetime) -> timedelta | None:
    return at.astimezone(zone).utcoffset()
