"""How many requests come, how fast and how many at once: the rate limit and the books of it.

Times here are seconds on the clock of the wire, which a fast-forwarded world does not share.
"""

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

WINDOW_S: Final = 1.0
_EPSILON_S: Final = 1e-9
"""A request exactly one window after another is not in its window, whatever the float error."""


@dataclass(frozen=True, slots=True)
class CallSeen:
    """One request that left the client; `lost` ones never reached the platform."""

    at: float
    endpoint: str
    app_id: str
    refused: bool
    lost: bool = False


@dataclass(slots=True)
class Window:
    """The requests of the last second, and the most there ever were in any one second.

    Its size is bounded by the requests of one second.
    """

    times: deque[float] = field(default_factory=deque)
    most: int = 0

    def count(self, at: float) -> int:
        """Return how many requests lie in the second that ends now."""
        while self.times and self.times[0] <= at - WINDOW_S + _EPSILON_S:
            self.times.popleft()
        return len(self.times)

    def add(self, at: float) -> None:
        self.times.append(at)
        self.most = max(self.most, self.count(at))


class Traffic:
    """Counts every request; keeps the last `keep` of them in full."""

    def __init__(self, *, per_second: int | None = None, keep: int = 10_000) -> None:
        self._per_second = per_second
        self._let_through = Window()
        self._windows: dict[str, Window] = {}
        self._all = Window()
        self.calls: deque[CallSeen] = deque(maxlen=keep)
        self.by_endpoint: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.lost = 0
        self.throttled = 0
        self.in_flight = 0
        self.most_in_flight = 0

    @property
    def total(self) -> int:
        return self.by_endpoint.total()

    def admit(self, at: float) -> bool:
        """Say whether the rate limit lets a request through; refused ones do not count on it."""
        if self._per_second is None:
            return True
        if self._let_through.count(at) >= self._per_second:
            self.throttled += 1
            return False
        self._let_through.add(at)
        return True

    def arrived(self, at: float, endpoint: str) -> None:
        """Count a request as it comes, for the pace."""
        self.by_endpoint[endpoint] += 1
        self._all.add(at)
        self._windows.setdefault(endpoint, Window()).add(at)

    def ended(self, call: CallSeen) -> None:
        self.refused[call.endpoint] += call.refused
        self.lost += call.lost
        self.calls.append(call)

    def max_per_second(self, endpoint: str | None = None) -> int:
        """Return the most requests in any one second, overall or to one endpoint.

        The second is half open: ten requests 0.1 s apart, over and over, are ten in any second.
        """
        if endpoint is None:
            return self._all.most
        return self._windows[endpoint].most if endpoint in self._windows else 0

    def endpoints(self) -> list[str]:
        return sorted(self.by_endpoint)

    @contextmanager
    def flight(self) -> Iterator[None]:
        """Count a request as in flight; left also if cancelled."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1
