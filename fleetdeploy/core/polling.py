"""When to look again: intervals that stretch with time and with the number of waiters.

Pure arithmetic; randomness comes in as a number between 0 and 1.
"""

from dataclasses import dataclass

GROWTH = 1.5
"""Each look that finds nothing new makes the next interval half as long again."""
POLL_SHARE = 0.5
"""Waiting apps together take at most this share of the pace; steps that change something and
the looks before them have the rest."""
JITTER = 0.1
"""Intervals vary by this share, so that apps that began together do not stay together."""


@dataclass(frozen=True, slots=True)
class PollSchedule:
    """The bounds of the interval between two looks at the same waiting app."""

    initial_s: float = 3.0
    max_s: float = 300.0

    def interval_s(self, looks: int, *, waiters: int, per_second: float, chance: float) -> float:
        """Return how long to wait after `looks` looks in this phase found nothing new.

        With many waiters the interval stretches beyond `max_s`: their looks share one budget of
        `POLL_SHARE` of the pace, `per_second`. `chance` is uniform in [0, 1).
        """
        grown = min(self.initial_s * GROWTH ** min(looks, 64), self.max_s)
        shared = waiters / (per_second * POLL_SHARE)
        return max(grown, shared) * (1 + JITTER * (2 * chance - 1))


def backoff_s(
    attempt: int, *, chance: float, initial_s: float = 1.0, max_s: float = 120.0
) -> float:
    """Return how long to wait before the try after `attempt`, doubling, half of it by chance."""
    ceiling: float = min(initial_s * 2 ** min(attempt, 32), max_s)
    return ceiling * (0.5 + 0.5 * chance)
