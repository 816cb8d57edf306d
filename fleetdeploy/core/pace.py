"""How fast we may call: the arithmetic of a pace that obeys, slows down and recovers.

Pure: it neither waits nor reads a clock. `guards/pacer.py` does the waiting.

How it works: `Meter` spaces calls evenly and lets at most `burst` of them catch up after a
pause, so that any window of one second holds at most `rate + burst` calls. `Pace` is the meter
of the whole process. A refusal for rate halves its rate, once for all calls that were under way
together, and stops everybody for a moment; every success lets it grow again, quickly up to just
below the rate that was refused, then slowly beyond it.
"""

from dataclasses import dataclass
from math import ceil

CUT = 0.5
GROWTH_FAST = 1.05
GROWTH_CAREFUL = 1.004
"""Near the refused rate: some hundred calls to cross it, so that the next refusal stays rare."""
GROWTH_BEYOND = 1.02
CAREFUL_FROM = 0.85
CAREFUL_TO = 1.25
SLOWEST_PER_S = 1 / 60
"""However often we are refused, we ask once a minute."""


def burst_for(rate: float) -> int:
    """Return how many calls may catch up: a twentieth of a second's worth, for coarse timers."""
    return max(1, ceil(rate * 0.05))


class Meter:
    """Spaces calls at `rate` per second; `ready_at` and `take` are all there is to it."""

    def __init__(self, rate: float, burst: int | None = None) -> None:
        assert rate > 0
        self.rate = rate
        self.burst = burst_for(rate) if burst is None else burst
        self._due = float("-inf")

    def ready_at(self) -> float:
        """Return the earliest time at which the next call may leave."""
        return self._due - (self.burst - 1) / self.rate

    def take(self, now: float) -> None:
        """Count a call that leaves now."""
        assert now >= self.ready_at() - _ROUNDING_S, (now, self.ready_at())
        self._due = max(self._due, now) + 1 / self.rate


_ROUNDING_S = 1e-6


@dataclass(slots=True)
class PaceStatistics:
    rate: float
    declared: float
    throttled: int
    cuts: int


class Pace(Meter):
    """The meter of the whole process, which learns from refusals."""

    def __init__(self, declared: float) -> None:
        super().__init__(declared)
        self.declared = declared
        self._refused_rate = declared
        self._cut_at = float("-inf")
        self._paused_until = float("-inf")
        self._throttled = 0
        self._cuts = 0

    def ready_at(self) -> float:
        return max(super().ready_at(), self._paused_until)

    def refused(self, *, sent_at: float, now: float, retry_after_s: float | None = None) -> None:
        """Slow down after a call that left at `sent_at` was refused for its rate.

        Calls that left before the last cut say nothing about the new rate and do not cut again.
        """
        self._throttled += 1
        if sent_at > self._cut_at:
            self._refused_rate = self.rate
            self._set_rate(max(self.rate * CUT, min(SLOWEST_PER_S, self.declared)))
            self._cut_at = now
            self._cuts += 1
        pause_s = retry_after_s if retry_after_s is not None else 1 / self.rate
        self._paused_until = max(self._paused_until, now + pause_s)

    def succeeded(self, *, sent_at: float) -> None:
        """Grow back towards the declared rate after a call that left at `sent_at` went through."""
        if self.rate < self.declared and sent_at > self._cut_at:
            self._set_rate(min(self.rate * self._growth(), self.declared))

    def _growth(self) -> float:
        if self.rate < self._refused_rate * CAREFUL_FROM:
            return GROWTH_FAST
        return GROWTH_CAREFUL if self.rate < self._refused_rate * CAREFUL_TO else GROWTH_BEYOND

    def _set_rate(self, rate: float) -> None:
        self.rate = rate
        self.burst = 1 if rate < self.declared else burst_for(rate)

    def statistics(self) -> PaceStatistics:
        return PaceStatistics(self.rate, self.declared, self._throttled, self._cuts)
