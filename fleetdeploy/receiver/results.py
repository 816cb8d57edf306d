"""What became of the pushes: one value for each, and their counts. Keeps no content of any push."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from fleetdeploy.errors import FleetError


class Kind(StrEnum):
    TAKEN = "taken"
    """On the disk."""
    REFUSED = "refused"
    """Not the platform's, too old, or no message; also what is not even HTTP."""
    THROTTLED = "throttled"
    """Too many at once or in a second; nobody looked at it."""
    FAILED = "failed"
    """Ours to mend: the disk, or a bug."""
    TOO_SLOW = "too_slow"
    """Answered before the disk was done; `TAKEN` or `FAILED` follows when it is."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one push.

    `reason` is one of a few fixed words, for counts; `detail` is for the people who mend it, and
    holds nothing that came in with the push.
    """

    kind: Kind
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts since the start; `last_taken_s` is how long ago the newest push was on the disk.

    `ok` says that the newest attempt to store one neither failed nor is overdue.
    """

    ok: bool
    counts: Mapping[Kind, int]
    refusals: Mapping[str, int]
    under_way: int
    last_taken_s: float | None


class Tally:
    """Counts results and passes them on."""

    def __init__(self, clock: Callable[[], float], on_result: Callable[[Result], None]) -> None:
        self._clock = clock
        self._on_result = on_result
        self._counts: Counter[Kind] = Counter()
        self._refusals: Counter[str] = Counter()
        self._last_taken_at: float | None = None
        self._stores = True

    def add(self, result: Result) -> None:
        self._counts[result.kind] += 1
        match result.kind:
            case Kind.REFUSED:
                self._refusals[result.reason] += 1
            case Kind.TAKEN:
                self._last_taken_at = self._clock()
                self._stores = True
            case Kind.TOO_SLOW:
                self._stores = False
        self._on_result(result)

    def not_stored(self, result: Result) -> None:
        """Count a push that was in order and could not be stored."""
        self._stores = False
        self.add(result)

    def statistics(self, under_way: int) -> Statistics:
        last = self._last_taken_at
        return Statistics(
            ok=self._stores,
            counts={kind: self._counts[kind] for kind in Kind},
            refusals=dict(self._refusals),
            under_way=under_way,
            last_taken_s=None if last is None else self._clock() - last,
        )


def failure(error: Exception) -> Result:
    """Make a result of what went wrong on our side.

    A bug is told by its kind and place only: its text may hold what came in.
    """
    if isinstance(error, FleetError):
        return Result(Kind.FAILED, error.code, error.message)
    return Result(Kind.FAILED, "bug", f"{type(error).__name__} at {_place(error)}")


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "an unknown place"
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
