"""What operators ask of a run from another terminal, and what becomes of it.

Pure: it reads no file and writes no record.

How it works: orders lie in a file beside the journal, one after the other. An order that changes
the run becomes a record, which carries its id; one that changes nothing leaves no trace. So place
tells what is settled: every order up to the last one that the journal names has been judged, and
is not judged again when the run has moved on.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Final, Self, assert_never

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from fleetdeploy.core.endings import HALTED_BY_OPERATOR
from fleetdeploy.core.plan import Plan
from fleetdeploy.core.records import (
    Asked,
    HaltCause,
    PauseLifted,
    RunHalted,
    RunPaused,
    WaveApproved,
)
from fleetdeploy.core.replay import RunState

NAME_CHARS: Final = 255
"""The longest name of a host or a user that a system gives."""
REASON_CHARS: Final = 500
"""A sentence or two: it is shown on one line."""
WAVE_CHARS: Final = 200


class OrderKind(StrEnum):
    PAUSE = "pause"
    LIFT = "lift"
    """End a pause."""
    APPROVE = "approve"
    HALT = "halt"


class Order(BaseModel):
    """One order, as it lies in the file; `wave` is the one that is approved."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    kind: OrderKind
    wave: Annotated[str, Field(min_length=1, max_length=WAVE_CHARS)] | None = None
    at: AwareDatetime
    who: Annotated[str, Field(max_length=NAME_CHARS)]
    host: Annotated[str, Field(max_length=NAME_CHARS)]
    reason: Annotated[str, Field(max_length=REASON_CHARS)] = ""

    @model_validator(mode="after")
    def _names_what_it_approves(self) -> Self:
        if (self.kind is OrderKind.APPROVE) != (self.wave is not None):
            raise ValueError("an approval names a wave, and nothing else does")
        return self

    def asked(self) -> Asked:
        """Return what the journal keeps of it."""
        return Asked(order=self.id, at=self.at, who=self.who, host=self.host, reason=self.reason)


@dataclass(frozen=True, slots=True)
class Moot:
    """Why an order changes nothing. `holds`: what it asks for is so already."""

    why: str
    holds: bool


Verdict = RunPaused | PauseLifted | WaveApproved | RunHalted | Moot


def judge(order: Order, state: RunState, waves: Collection[str]) -> Verdict:
    """Return the record that an order becomes now, or why it becomes none.

    `waves` are the names of the run's waves.
    """
    if order.id in state.orders:
        return Moot("it is taken in already", holds=True)
    if state.finished:
        return Moot("the run is finished", holds=False)
    if state.header is None:
        return Moot("the run never started: nothing of it was sent", holds=False)
    match order.kind:
        case OrderKind.PAUSE:
            return _pause(order, state)
        case OrderKind.LIFT:
            return _lift(order, state)
        case OrderKind.APPROVE:
            return _approve(order, state, waves)
        case OrderKind.HALT:
            return _halt(order, state)
        case _:
            assert_never(order.kind)


def _pause(order: Order, state: RunState) -> Verdict:
    if state.paused is not None:
        return Moot(f"it is paused already, by {by(state.paused.asked)}", holds=True)
    return RunPaused(asked=order.asked())


def _lift(order: Order, state: RunState) -> Verdict:
    if state.paused is None:
        return Moot("it is not paused", holds=True)
    return PauseLifted(asked=order.asked())


def _approve(order: Order, state: RunState, waves: Collection[str]) -> Verdict:
    assert order.wave is not None
    if order.wave not in waves:
        named = ", ".join(waves)
        return Moot(f"it has no wave {order.wave}; its waves are {named}", holds=False)
    approved = state.waves_approved.get(order.wave)
    if approved is not None:
        return Moot(f"wave {order.wave} is approved already, by {by(approved.asked)}", holds=True)
    return WaveApproved(wave=order.wave, asked=order.asked())


def _halt(order: Order, state: RunState) -> Verdict:
    if state.halted is not None:
        return Moot(f"it is halted already: {state.halted.error.message}", holds=True)
    said = f": {order.reason}" if order.reason else ""
    error = HALTED_BY_OPERATOR.note(f"{by(order.asked())} halted the run{said}")
    return RunHalted(cause=HaltCause.OPERATOR, error=error, asked=order.asked())


def by(asked: Asked) -> str:
    return f"{asked.who} on {asked.host}"


def pending(orders: Sequence[Order], state: RunState) -> Sequence[Order]:
    """Return the orders that nobody has judged yet: those after the last that the journal names."""
    judged = [place for place, order in enumerate(orders, start=1) if order.id in state.orders]
    return orders[judged[-1] :] if judged else orders


def paused_after(orders: Sequence[Order], state: RunState) -> bool:
    """Whether the run is paused once it has taken in what is pending of these orders."""
    paused = state.paused is not None
    for order in pending(orders, state):
        if order.kind in (OrderKind.PAUSE, OrderKind.LIFT):
            paused = order.kind is OrderKind.PAUSE
    return paused


def waiting_wave(plan: Plan, state: RunState) -> str | None:
    """Return the wave that has settled and whose gate waits for somebody's approval, if any."""
    gated = {rule.name for rule in plan.rules.waves if rule.gate == "approval"}
    said_yes = state.waves_approved.keys() | state.waves_accepted
    # The last wave has nobody behind it who could wait.
    for wave, following in pairwise(plan.waves):
        waits = wave in state.waves_settled and following not in state.waves_opened
        if waits and wave in gated - said_yes:
            return wave
    return None
