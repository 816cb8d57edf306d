"""A circuit breaker for one service: when trouble is an outage, and when to try whether it is over.

Pure: times and chance are passed in. What counts as trouble is not known here.

How it works: closed, it counts troubles in a row. So many of them, from several apps and without a
success between, open it. Open, it lets nothing through but a probe at growing intervals: whoever
comes first when one is due. The probe's success closes it; its trouble sets the next one. A result
that is neither, or none at all, lets the next probe go once this one is overdue.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Final

from fleetdeploy.core.polling import backoff_s

TROUBLES: Final = 5
"""In a row without a success. Where one call in ten goes wrong by itself, five together are one
in a hundred thousand; and of the ten tries of a step, most are left when it is found out."""
APPS: Final = 3
"""So many different apps have to meet it, or all where fewer can: an app whose own calls alone fail
is no outage, and has its bounds."""
PROBE_INITIAL_S: Final = 15.0
PROBE_MAX_S: Final = 120.0
"""The bounds of the interval between two probes: a short outage costs less than a minute, and one
of a night thirty calls an hour."""
COSTLY_PROBE_MAX_S: Final = 600.0
"""The upper bound where each probe leaves something on the platform: an upload is a package."""
OVERDUE_S: Final = 120.0
"""A probe whose result has not come by then holds nobody up any more."""
EXCUSED_FOR_S: Final = 6 * 3600.0
"""An outage excuses tries for so long, over all processes of a run. After that each probe costs
its app one try: a fleet whose builds never work looks like an outage, and has to come to an end."""


@dataclass(slots=True)
class Breaker:
    """Guards one service. `apps` is how many apps can meet it; times are seconds on one clock.

    `began_at`: since when the service was out as this process began, None where it was not; then
    the first who comes is to find out about it.
    """

    apps: int
    began_at: float | None = None
    probe_max_s: float = PROBE_MAX_S
    is_open: bool = field(init=False)
    closed_at: float = field(init=False, default=-inf)
    _opened_at: float = field(init=False)
    _troubles: int = field(init=False, default=0)
    _troubled: set[str] = field(init=False, default_factory=set)
    _probes: int = field(init=False, default=0)
    _probing: set[str] = field(init=False, default_factory=set)
    _probe_at: float = field(init=False, default=-inf)
    _overdue_at: float = field(init=False, default=-inf)

    def __post_init__(self) -> None:
        self.is_open = self.began_at is not None
        self._opened_at = -inf if self.began_at is None else self.began_at

    def excuses(self, now: float) -> bool:
        """Whether a try that fails now fails because of an outage."""
        return self.is_open and now - self._opened_at <= EXCUSED_FOR_S

    def lets(self, app_id: str, now: float) -> bool:
        """Whether this app may pass: always while closed, else as a probe."""
        return not self.is_open or app_id in self._probing or now >= self._probe_at

    def enter(self, app_id: str, now: float) -> None:
        """Count an app that passes now; it is the probe if the breaker is open."""
        assert self.lets(app_id, now)
        if self.is_open and app_id not in self._probing:
            self._probing.add(app_id)
            self._probe_at = self._overdue_at = now + OVERDUE_S

    def wait_s(self, now: float) -> float:
        """Return how long it takes until the next probe may go, as far as is known now."""
        return max(0.0, self._probe_at - now)

    def is_probed(self, now: float) -> bool:
        """Whether a probe is under way, whose result may close the breaker at any moment."""
        return self.is_open and bool(self._probing) and now < self._overdue_at

    def troubled(self, app_id: str, now: float, chance: float) -> bool:
        """Count trouble; return whether it opens the breaker. `chance` is uniform in [0, 1).

        While it is open only a probe's trouble counts: the others were on their way before.
        """
        if self.is_open:
            if app_id in self._probing:
                self._probing.discard(app_id)
                self._probes += 1
                self._put_off(now, chance)
            return False
        self._troubles += 1
        if len(self._troubled) < APPS:
            self._troubled.add(app_id)
        if self._troubles < TROUBLES or len(self._troubled) < min(APPS, self.apps):
            return False
        self.is_open, self._opened_at = True, now
        self._put_off(now, chance)
        return True

    def succeeded(self, app_id: str, now: float) -> bool:
        """Count a success; return whether it closes the breaker.

        While it is open only a probe's counts: the others may date from before the outage.
        """
        if self.is_open and app_id not in self._probing:
            return False
        closes, self.is_open = self.is_open, False
        if closes:
            self.closed_at = now
        self._troubles = self._probes = 0
        self._troubled.clear()
        self._probing.clear()
        return closes

    def _put_off(self, now: float, chance: float) -> None:
        """Set when the next probe may go; one that is overdue meanwhile is not waited for."""
        pause_s = backoff_s(
            self._probes, chance=chance, initial_s=PROBE_INITIAL_S, max_s=self.probe_max_s
        )
        self._probe_at = now + pause_s
        self._overdue_at = -inf
