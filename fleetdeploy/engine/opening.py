"""Whether a step may be sent now, by the clock on the wall, and if not, how long until it may.

It decides nothing about apps and waits for nothing itself.
"""

from datetime import datetime, timedelta

import anyio

from fleetdeploy.core.windows import Calendar, Hours
from fleetdeploy.model import Bundle, Step
from fleetdeploy.ports import WallClock

_SECOND = timedelta(seconds=1)


class Opening:
    """Asks a calendar with a clock; without either everything may be sent at any time.

    The clock is asked every time, as it may be set back or forward. When the hours open is kept
    while the clock is in the time of which it was worked out.
    """

    def __init__(self, calendar: Calendar | None = None, clock: WallClock | None = None) -> None:
        assert calendar is None or clock is not None
        self._calendar = calendar or Calendar()
        self._clock = clock
        self._closed: dict[Hours, tuple[datetime, datetime]] = {}

    @property
    def may_close(self) -> bool:
        """Whether there is any time at which something may not be sent."""
        return not (self._calendar.submit.always and self._calendar.release.always)

    @property
    def ahead_s(self) -> float:
        """How far the wall clock is ahead of anyio's; changes only when one of them was moved."""
        assert self._clock is not None
        return self._clock.now().timestamp() - anyio.current_time()

    def wait_s(self, step: Step, bundle: Bundle) -> float:
        """Return for how many seconds a step may not be sent; 0 if it may be now."""
        hours = self._calendar.hours_of(step, direct_commit=bundle.direct_commit)
        if hours.always or self._clock is None:
            return 0.0
        now = self._clock.now()
        if hours.is_open(now):
            return 0.0
        since, opens = self._closed.get(hours, (now, now))
        if not since <= now < opens:
            opens = hours.opens_at(now)
            self._closed[hours] = (now, opens)
        return (opens - now) / _SECOND
