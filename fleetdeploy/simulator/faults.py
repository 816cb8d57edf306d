"""What goes wrong between a client and the platform, on either way, drawn from a seed.

Nothing here sends or executes anything: a `Fault` says what a transport is to pretend.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from fleetdeploy.simulator.behaviour import Duration, Model, Probability, Span
from fleetdeploy.simulator.chance import Chance
from fleetdeploy.simulator.endpoints import Endpoint


class FaultKind(StrEnum):
    """What the client sees, and whether the platform carried the request out."""

    NOT_CONNECTED = "not_connected"
    """No connection; not executed, and the client knows."""
    REQUEST_LOST = "request_lost"
    """Cut off before the request arrived; not executed, and the client cannot know."""
    ANSWER_LOST = "answer_lost"
    """Executed, then cut off before the answer."""
    ERROR_PAGE_UNDONE = "error_page_undone"
    """Status 502 with an HTML page; not executed."""
    ERROR_PAGE_DONE = "error_page_done"
    """Status 502 with an HTML page; executed all the same."""
    CUT_BODY = "cut_body"
    """Executed; the answer breaks off in its middle."""
    SLOW = "slow"
    """Executed at once; the answer takes its time."""


EXECUTED: Final = frozenset(
    {FaultKind.ANSWER_LOST, FaultKind.ERROR_PAGE_DONE, FaultKind.CUT_BODY, FaultKind.SLOW}
)


class FaultRates(Model):
    """How likely each fault is for one request; together at most 1."""

    not_connected: Probability = 0.0
    request_lost: Probability = 0.0
    answer_lost: Probability = 0.0
    error_page_undone: Probability = 0.0
    error_page_done: Probability = 0.0
    cut_body: Probability = 0.0
    slow: Probability = 0.0

    @model_validator(mode="after")
    def _together_at_most_one(self) -> Self:
        # The sum of ten tenths is a little more than one.
        if sum(self.chances().values()) > 1 + 1e-9:
            raise ValueError("the chances of all faults together exceed 1")
        return self

    def chances(self) -> dict[FaultKind, float]:
        return {kind: getattr(self, kind) for kind in FaultKind}


class FaultScript(Model):
    """The faults of a scenario: for every endpoint, or differently for the endpoints named.

    `max_consecutive` bounds the bad luck: after so many faults in a row on one endpoint of one app
    the next request gets through, so that a patient client always ends. Slow answers count as
    getting through.
    """

    rates: FaultRates = FaultRates()
    endpoints: Mapping[Endpoint, FaultRates] = Field(default_factory=dict)
    slow_s: Span = (1.0, 20.0)
    max_consecutive: Annotated[int, Field(ge=1, le=1000)] = 3


class PushScript(Model):
    """What happens to pushes on their way; each chance is of one push, and they go together.

    A push that the receiver does not take is repeated `retries` times, each `retry_s` later.
    """

    lost: Probability = 0.0
    """It never arrives, however often it is tried."""
    late: Probability = 0.0
    """It arrives `late_s` later, and so perhaps after newer ones."""
    late_s: Span = (5.0, 120.0)
    twice: Probability = 0.0
    """The same again, `late_s` after the first."""
    forged: Probability = 0.0
    """Beside it comes one of somebody else's: `UNAUTHORIZED`, with a wrong signature."""
    retries: Annotated[int, Field(ge=0, le=1000)] = 3
    retry_s: Annotated[Duration, Field(gt=0)] = 30.0


def even_faults(share: float) -> FaultScript:
    """Let this share of all requests go wrong, each kind of damage as often as the others."""
    kinds = [kind for kind in FaultKind if kind is not FaultKind.SLOW]
    return FaultScript(rates=FaultRates(**{str(kind): share / len(kinds) for kind in kinds}))


@dataclass(frozen=True, slots=True)
class Fault:
    """`delay_s` is how much later the answer comes; only slow ones have one."""

    kind: FaultKind
    delay_s: float = 0.0

    @property
    def executed(self) -> bool:
        return self.kind in EXECUTED


class Faults:
    """Draws the faults; the nth request of an app to an endpoint always has the same luck.

    Keeps two numbers per app and endpoint, and none at all where no fault is possible.
    """

    def __init__(self, script: FaultScript | None = None, *, seed: int = 0) -> None:
        self._script = script or FaultScript()
        self._chance = Chance(seed)
        self._chances: dict[str, dict[FaultKind, float]] = {
            name: rates.chances() for name, rates in self._script.endpoints.items()
        }
        self._otherwise = self._script.rates.chances()
        self._requests: dict[tuple[str, str], int] = {}
        self._in_a_row: dict[tuple[str, str], int] = {}

    def draw(self, app_id: str, endpoint: str) -> Fault | None:
        """Draw for the next request of this app to this endpoint."""
        chances = self._chances.get(endpoint, self._otherwise)
        if not any(chances.values()):
            return None
        key = (app_id, endpoint)
        nth = self._requests[key] = self._requests.get(key, 0) + 1
        kind = _pick(chances, self._chance.fraction("fault", app_id, endpoint, nth))
        if kind is FaultKind.SLOW:
            self._in_a_row.pop(key, None)
            span = self._script.slow_s
            return Fault(kind, self._chance.within(span, "slow_s", app_id, endpoint, nth))
        if kind is None or self._in_a_row.get(key, 0) >= self._script.max_consecutive:
            self._in_a_row.pop(key, None)
            return None
        self._in_a_row[key] = self._in_a_row.get(key, 0) + 1
        return Fault(kind)


def _pick(chances: Mapping[FaultKind, float], fraction: float) -> FaultKind | None:
    for kind, probability in chances.items():
        if fraction < probability:
            return kind
        fraction -= probability
    return None
