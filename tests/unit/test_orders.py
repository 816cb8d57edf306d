"""What operators ask of a run: what becomes of it, once, and in which order."""

from collections.abc import Sequence

import pytest
from pydantic import ValidationError

from fleetdeploy.core.orders import (
    REASON_CHARS,
    Moot,
    Order,
    OrderKind,
    judge,
    paused_after,
    pending,
    waiting_wave,
)
from fleetdeploy.core.plan import Plan
from fleetdeploy.core.records import (
    AnyAppRecord,
    HaltCause,
    PauseLifted,
    RunFinished,
    RunHalted,
    RunPaused,
    RunRecord,
    RunResumed,
    WaveApproved,
    WaveOpened,
    WaveSettled,
)
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.rules import WaveRule
from fleetdeploy.engine.orders import take_in
from tests.unit.core_builders import START, WRITER, entries_of, header, make_plan, state_of

WAVES = ("canary", "rest")


def order(
    kind: OrderKind, number: int = 1, *, wave: str | None = None, reason: str = "lunch"
) -> Order:
    wave = "canary" if kind is OrderKind.APPROVE and wave is None else wave
    return Order(
        id=f"{number:032x}", kind=kind, wave=wave, at=START, who="ops", host="desk", reason=reason
    )


PAUSE, LIFT = order(OrderKind.PAUSE, 1), order(OrderKind.LIFT, 2)
APPROVE, HALT = order(OrderKind.APPROVE, 3), order(OrderKind.HALT, 4)
PAUSED = RunPaused(asked=PAUSE.asked())
LIFTED = PauseLifted(asked=LIFT.asked())
HALTED = judge(HALT, state_of(), WAVES)
RESUMED = RunResumed(until=state_of().until, writer=WRITER, override_reason="it was a mistake")


def moot(given: Order, *records: RunRecord) -> Moot:
    verdict = judge(given, state_of(*records), WAVES)
    assert isinstance(verdict, Moot)
    return verdict


def test_each_order_becomes_a_record_that_says_who_asked_for_it() -> None:
    assert judge(PAUSE, state_of(), WAVES) == PAUSED
    assert judge(LIFT, state_of(PAUSED), WAVES) == LIFTED
    assert judge(APPROVE, state_of(), WAVES) == WaveApproved(wave="canary", asked=APPROVE.asked())
    assert isinstance(HALTED, RunHalted)
    assert (HALTED.cause, HALTED.asked) == (HaltCause.OPERATOR, HALT.asked())
    assert HALTED.error.message == "ops on desk halted the run: lunch"


def test_an_order_that_holds_already_changes_nothing_and_says_by_whom() -> None:
    again = order(OrderKind.PAUSE, 9)
    assert moot(again, PAUSED) == Moot("it is paused already, by ops on desk", holds=True)
    assert moot(LIFT) == Moot("it is not paused", holds=True)
    approved = WaveApproved(wave="canary", asked=PAUSE.asked())
    assert moot(APPROVE, approved).why == "wave canary is approved already, by ops on desk"
    assert isinstance(HALTED, RunHalted)
    assert moot(order(OrderKind.HALT, 9), HALTED).holds


def test_an_order_is_taken_in_once_also_after_the_run_has_moved_on() -> None:
    assert moot(PAUSE, PAUSED, LIFTED) == Moot("it is taken in already", holds=True)


def test_an_unknown_wave_is_told_with_those_that_there_are() -> None:
    verdict = moot(order(OrderKind.APPROVE, wave="canari"))
    assert verdict == Moot("it has no wave canari; its waves are canary, rest", holds=False)


@pytest.mark.parametrize("given", [PAUSE, LIFT, APPROVE, HALT])
def test_a_run_that_is_over_or_never_began_cannot_be_steered(given: Order) -> None:
    assert moot(given, RunFinished()) == Moot("the run is finished", holds=False)
    verdict = judge(given, RunState.new(["1"]), WAVES)
    assert isinstance(verdict, Moot)
    assert not verdict.holds


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "approve"},
        {"kind": "pause", "wave": "canary"},
        {"kind": "approve", "wave": ""},
        {"kind": "stop"},
        {"id": "1"},
        {"at": "2026-11-24T01:00:00"},
        {"reason": "x" * (REASON_CHARS + 1)},
    ],
)
def test_what_is_no_order_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Order.model_validate(PAUSE.model_dump() | fields)


def test_a_newer_tool_may_say_more_in_an_order() -> None:
    assert Order.model_validate(PAUSE.model_dump() | {"colour": "red"}) == PAUSE


# What is pending: place tells, since an order that changes nothing leaves no trace.


def test_all_is_pending_until_the_journal_names_an_order() -> None:
    assert pending([PAUSE, LIFT], state_of()) == [PAUSE, LIFT]
    assert pending([PAUSE, LIFT], state_of(PAUSED)) == [LIFT]
    assert pending([PAUSE, LIFT], state_of(PAUSED, LIFTED)) == []


def test_an_order_that_changed_nothing_is_over_with_the_next_that_did() -> None:
    """Else a second pause would hold the run when the first one has been lifted."""
    second = order(OrderKind.PAUSE, 9)
    assert pending([PAUSE, second, LIFT], state_of(PAUSED, LIFTED)) == []


def test_what_was_judged_before_a_resume_is_not_judged_after_it() -> None:
    second = order(OrderKind.HALT, 9)
    assert isinstance(HALTED, RunHalted)
    resumed = RESUMED.model_copy(update={"last_order": second.id})
    assert pending([HALT, second], state_of(HALTED, resumed)) == []
    assert pending([HALT, second], state_of(HALTED, RESUMED)) == [second]


def test_a_pause_counts_before_it_is_taken_in() -> None:
    assert paused_after([PAUSE], state_of())
    assert not paused_after([PAUSE, LIFT], state_of(PAUSED))
    assert paused_after([PAUSE, APPROVE], state_of())
    assert not paused_after([], state_of())


# Taking in.


class Taken:
    """A run that takes orders in; what was recorded and how it was halted."""

    def __init__(self, *records: RunRecord) -> None:
        self.state = state_of(*records)
        self.records: list[RunRecord | AnyAppRecord] = [header(), *records]
        self.halts: list[RunRecord] = []

    async def take(self, orders: Sequence[Order], *, halts_now: bool = True) -> str | None:
        halt = self.record if halts_now else self.note
        return await take_in(orders, self.state, WAVES, record=self.record, halt=halt)

    async def record(self, record: RunRecord) -> None:
        self.records.append(record)
        self.state.apply(entries_of(self.records)[-1])

    async def note(self, record: RunRecord) -> None:
        self.halts.append(record)


@pytest.mark.anyio
async def test_orders_are_taken_in_as_they_were_given() -> None:
    taken = Taken()
    assert await taken.take([PAUSE, order(OrderKind.PAUSE, 9), LIFT, APPROVE]) == APPROVE.id
    assert [record.kind for record in taken.records[1:]] == [
        "run_paused",
        "pause_lifted",
        "wave_approved",
    ]
    assert await taken.take([PAUSE, LIFT, APPROVE]) is None


@pytest.mark.anyio
async def test_an_order_that_changes_nothing_was_judged_all_the_same() -> None:
    taken = Taken()
    assert await taken.take([LIFT]) == LIFT.id
    assert taken.records == [header()]


@pytest.mark.anyio
@pytest.mark.parametrize("halts_now", [True, False])
async def test_nothing_after_a_halt_is_taken_in_so_that_a_kill_cannot_lose_the_halt(
    *, halts_now: bool
) -> None:
    taken = Taken(PAUSED)
    later = order(OrderKind.LIFT, 9)
    assert await taken.take([PAUSE, HALT, later], halts_now=halts_now) == HALT.id
    assert taken.state.paused is not None
    left = [later] if halts_now else [HALT, later]
    assert list(pending([PAUSE, HALT, later], taken.state)) == left


# Which wave waits for a person.


def gated_plan() -> Plan:
    plan = make_plan()
    waves = (WaveRule(name="canary", gate="approval"), WaveRule(name="rest", gate="approval"))
    rules = plan.rules.model_copy(update={"waves": waves})
    return plan.model_copy(update={"rules": rules, "waves": WAVES})


def test_a_wave_waits_for_approval_from_its_last_end_until_somebody_says_yes() -> None:
    opened, settled = WaveOpened(wave="canary"), WaveSettled(wave="canary")
    approved = WaveApproved(wave="canary", asked=APPROVE.asked())
    plan = gated_plan()
    assert waiting_wave(plan, state_of(opened)) is None
    assert waiting_wave(plan, state_of(opened, settled)) == "canary"
    assert waiting_wave(plan, state_of(opened, settled, approved)) is None
    assert waiting_wave(plan, state_of(opened, settled, WaveOpened(wave="rest"))) is None


def test_nobody_waits_behind_the_last_wave_or_one_without_a_gate() -> None:
    assert waiting_wave(gated_plan(), state_of(WaveSettled(wave="rest"))) is None
    assert waiting_wave(make_plan(), state_of(WaveSettled(wave="all"))) is None
