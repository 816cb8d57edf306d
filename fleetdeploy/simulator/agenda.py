"""What comes due, for one app and in the whole world; knows nothing of what it means."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from fleetdeploy.simulator.rows import Row


class Change(StrEnum):
    """What can come due."""

    APPEAR = "appear"
    BUILT = "built"
    IN_AUDIT = "in_audit"
    VERDICT = "verdict"
    WITHDRAWN = "withdrawn"
    ONLINE = "online"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """A change of one row; those due at the same moment come in the order they were put here."""

    at: float
    order: int
    change: Change = field(compare=False)
    row: Row = field(compare=False)
    audit_round: int = field(compare=False)


class Agenda:
    """A queue by time; bounded by the calls that the world accepted."""

    __slots__ = ("_dues", "_put")

    def __init__(self) -> None:
        self._dues: list[Due] = []
        self._put = 0

    def put(self, at: float, change: Change, row: Row) -> None:
        self._put += 1
        heapq.heappush(self._dues, Due(at, self._put, change, row, row.audit_round))

    def take(self, now: float) -> Iterator[Due]:
        """Yield what is due, also what is put here meanwhile; skip packages that are gone."""
        while self._dues and self._dues[0].at <= now:
            due = heapq.heappop(self._dues)
            if not due.row.gone:
                yield due

    def appearing(self) -> Iterator[Row]:
        """Yield the packages that were accepted and that no list shows yet."""
        return (due.row for due in self._dues if due.change is Change.APPEAR)


class Calendar:
    """When which app is to be settled, so that a verdict falls in time though nobody asks.

    Bounded by the calls that the world accepted. `sooner` is called when something is put here that
    is due before all else.
    """

    __slots__ = ("_dues", "_sooner")

    def __init__(self, sooner: Callable[[], None]) -> None:
        self._dues: list[tuple[float, str]] = []
        self._sooner = sooner

    def put(self, at: float, app_id: str) -> None:
        heapq.heappush(self._dues, (at, app_id))
        if self._dues[0][0] == at:
            self._sooner()

    def take(self, now: float) -> Iterator[str]:
        """Yield the apps that are due, also those that are put here meanwhile."""
        while self._dues and self._dues[0][0] <= now:
            yield heapq.heappop(self._dues)[1]

    def next_at(self) -> float | None:
        return self._dues[0][0] if self._dues else None
