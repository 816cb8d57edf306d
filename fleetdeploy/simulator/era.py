"""When a clock of the simulation began, and what time of day that was; reads no clock itself."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Era:
    """One of the two clocks: the world's, or that of the wire.

    `read` is there while something runs that knows the time on it: a server.
    """

    epoch_unix: int
    began: float | None = None
    read: Callable[[], float] | None = None

    def begin(self, now: float) -> float:
        """Return when it began: now, if nobody asked before."""
        if self.began is None:
            self.began = now
        return self.began

    def passed(self, now: float) -> float:
        """Return the seconds since the beginning."""
        return now - (self.begin(now) if self.began is None else self.began)

    def unix(self, at: float) -> float:
        """Turn a time into seconds since 1970."""
        return self.epoch_unix + at - (0.0 if self.began is None else self.began)

    def at(self, unix: float) -> float:
        """Turn seconds since 1970 into a time of this clock."""
        return unix - self.epoch_unix + (0.0 if self.began is None else self.began)
