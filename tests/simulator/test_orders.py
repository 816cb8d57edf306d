"""Nights that somebody steers from outside: paused, gone on with, halted, and killed meanwhile."""

from dataclasses import replace

import anyio
import pytest

from fleetdeploy.core.gates import Course
from fleetdeploy.core.orders import Order, OrderKind
from fleetdeploy.core.records import (
    HaltCause,
    PauseLifted,
    RunHalted,
    RunPaused,
    RunStopped,
    StepDoubted,
    StepFailed,
    StepStarted,
    StepSucceeded,
    StopReason,
    WaveApproved,
)
from fleetdeploy.core.rules import WaveRule
from fleetdeploy.model import Phase
from fleetdeploy.simulator.behaviour import Behaviour
from fleetdeploy.simulator.endpoints import Endpoint
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.storage.memory_journal import Moment
from tests.simulator.checkers import check, complaints
from tests.simulator.harness import EPOCH, Night, make_night

APPS = 6
SLOWLY = 2.0
"""Calls per second: few enough that an order comes in the middle of the uploads."""
MIDDLE_S = 3.3
CALM = Behaviour(effect_delay_s=3.0, build_s=(1.0, 5.0), audit_s=(60.0, 120.0))


def order(kind: OrderKind, number: int = 1) -> Order:
    wave = "all" if kind is OrderKind.APPROVE else None
    return Order(
        id=f"{number:032x}", kind=kind, wave=wave, at=EPOCH, who="ops", host="desk", reason="lunch"
    )


def night_of(*orders: tuple[float, Order], **changes: object) -> Night:
    scenario = Scenario(behaviour=CALM)
    return make_night(APPS, scenario=scenario, rate=SLOWLY, orders=orders, **changes)


def kinds(night: Night) -> list[str]:
    return [entry.record.kind for entry in night.entries()]


def started_in_pauses(night: Night) -> list[str]:
    """Return the apps of which a step was announced while the run was paused."""
    paused, started = False, []
    for entry in night.entries():
        match entry.record:
            case RunPaused():
                paused = True
            case PauseLifted():
                paused = False
            case StepStarted() if paused:
                started.append(entry.record.app_id)
    return started


def under_way_at_pause(night: Night) -> dict[str, str]:
    """Return the apps with an announced step when the pause came, and the next about each."""
    before: set[str] = set()
    after: dict[str, str] = {}
    paused = False
    for entry in night.entries():
        match entry.record:
            case RunPaused():
                paused = True
            case PauseLifted():
                break
            case StepStarted():
                before.add(entry.record.app_id)
            case StepSucceeded() | StepFailed() | StepDoubted():
                app_id = entry.record.app_id
                if paused and app_id in before:
                    after.setdefault(app_id, entry.record.kind)
                before -= set() if paused else {app_id}
    return {app_id: after.get(app_id, "") for app_id in before}


def all_released(night: Night) -> None:
    check(night)
    assert night.phases() == {Phase.RELEASED: APPS}
    assert len(night.world.effects) == 3 * APPS


@pytest.mark.anyio
async def test_in_a_pause_what_is_under_way_lands_and_nothing_new_is_sent() -> None:
    night = night_of((MIDDLE_S, order(OrderKind.PAUSE)), (600.0, order(OrderKind.LIFT, 2)))
    await night.live()
    all_released(night)
    assert (kinds(night).count("run_paused"), kinds(night).count("pause_lifted")) == (1, 1)
    assert started_in_pauses(night) == []
    landed = under_way_at_pause(night)
    assert landed
    assert set(landed.values()) == {"step_succeeded"}


@pytest.mark.anyio
async def test_a_pause_that_comes_while_the_quota_is_read_keeps_the_submission_back() -> None:
    slow = Scenario(behaviour=CALM, latency_s=(4.0, 4.0))
    probe = make_night(1, scenario=slow)
    await probe.live()
    (asked_at,) = [s.at for s in probe.witness.sent if s.endpoint == Endpoint.AUDIT_QUOTA]
    began_at = anyio.current_time()
    pause, lift = order(OrderKind.PAUSE), order(OrderKind.LIFT, 2)
    orders = ((began_at + asked_at + 1.0, pause), (began_at + 600.0, lift))
    night = make_night(1, scenario=slow, orders=orders)
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: 1}
    assert started_in_pauses(night) == []


@pytest.mark.anyio
async def test_in_a_pause_verdicts_are_seen_and_nothing_is_released() -> None:
    night = night_of((50.0, order(OrderKind.PAUSE)), deadline_s=900.0)
    await night.live()
    assert complaints(night) == []
    assert night.phases() == {Phase.APPROVED: APPS}
    assert started_in_pauses(night) == []


@pytest.mark.anyio
async def test_after_a_pause_a_strict_budget_has_room_for_everybody() -> None:
    """Who waited for a place in it when the pause came is not forgotten, and not called twice."""
    orders = ((MIDDLE_S, order(OrderKind.PAUSE)), (600.0, order(OrderKind.LIFT, 2)))
    night = night_of(*orders, failures_allowed=1)
    await night.live()
    all_released(night)
    assert started_in_pauses(night) == []


@pytest.mark.anyio
async def test_an_approval_opens_the_next_wave_of_a_run_that_waits_for_it() -> None:
    waves = (WaveRule(name="first", gate="approval"), WaveRule(name="rest"))
    approval = order(OrderKind.APPROVE).model_copy(update={"wave": "first"})
    night = night_of((900.0, approval))
    names = ["first" if place < 2 else "rest" for place in range(APPS)]
    night.targets = tuple(
        replace(target, wave=name) for target, name in zip(night.targets, names, strict=True)
    )
    ids = tuple(target.app_id for target in night.targets)
    night.course = Course(waves, {"first": ids[:2], "rest": ids[2:]})
    await night.live()
    all_released(night)
    opened = [e for e in night.entries() if e.record.kind in ("wave_approved", "wave_opened")]
    assert [entry.record.kind for entry in opened] == [
        "wave_opened",
        "wave_approved",
        "wave_opened",
    ]
    assert (opened[2].at - opened[1].at).total_seconds() < 1


@pytest.mark.anyio
async def test_a_paused_run_that_does_not_wait_leaves_at_once() -> None:
    night = night_of((MIDDLE_S, order(OrderKind.PAUSE)), wait=False)
    await night.live()
    assert complaints(night) == []
    last = night.entries()[-1].record
    assert isinstance(last, RunStopped)
    assert last.reason is StopReason.NO_WAIT
    assert night.replayed().paused is not None


@pytest.mark.anyio
async def test_a_halt_lets_land_what_is_under_way_and_says_who_and_why() -> None:
    night = night_of((MIDDLE_S, order(OrderKind.HALT)))
    await night.live()
    assert complaints(night) == []
    last = night.entries()[-1].record
    assert isinstance(last, RunHalted)
    assert last.cause is HaltCause.OPERATOR
    assert last.asked == order(OrderKind.HALT).asked()
    assert last.error.message == "ops on desk halted the run: lunch"
    assert night.phases()[Phase.QUEUED] > 0
    night.override_reason = "it was the wrong run"
    await night.live()
    all_released(night)
    assert kinds(night).count("run_halted") == 1


@pytest.mark.anyio
async def test_what_is_ordered_after_a_halt_is_left_to_the_next_process() -> None:
    """In the journal a later order would say that the halt before it was taken in."""
    night = night_of(
        (MIDDLE_S, order(OrderKind.HALT)), (MIDDLE_S, order(OrderKind.APPROVE, 2)), grace_s=60.0
    )
    await night.live()
    assert "wave_approved" not in kinds(night)
    night.override_reason = "it was the wrong run"
    await night.live()
    all_released(night)
    approved = [e.record for e in night.entries() if isinstance(e.record, WaveApproved)]
    assert [record.asked.order for record in approved] == [order(OrderKind.APPROVE, 2).id]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [OrderKind.PAUSE, OrderKind.HALT])
async def test_an_order_that_a_killed_process_had_not_taken_in_is_taken_by_the_next(
    kind: OrderKind,
) -> None:
    """It is written down while the process lives; that dies before it has looked."""
    night = night_of((MIDDLE_S, order(kind)))
    assert await night.live_until(MIDDLE_S - 0.1) is None
    before = len(night.entries())
    night.deadline_s = 300.0
    await night.live()
    assert complaints(night) == []
    new = [entry.record for entry in night.entries()[before:]]
    asked = [record.asked for record in new if isinstance(record, RunPaused | RunHalted)]
    assert asked == [order(kind).asked()]
    assert not any(isinstance(record, StepStarted) for record in new[3:])


@pytest.mark.anyio
@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("keep", [True, False])
async def test_a_kill_as_a_pause_is_recorded_neither_loses_nor_doubles_it(
    moment: Moment, *, keep: bool
) -> None:
    orders = ((MIDDLE_S, order(OrderKind.PAUSE)), (600.0, order(OrderKind.LIFT, 2)))
    model = night_of(*orders)
    await model.copy().live_until(MIDDLE_S + 5)
    night = model.copy()
    probe = model.copy()
    await probe.live_until(MIDDLE_S + 5)
    seq = kinds(probe).index("run_paused")
    assert await night.crash_at(seq, moment, keep=keep) is None
    await night.live()
    all_released(night)
    assert (kinds(night).count("run_paused"), kinds(night).count("pause_lifted")) == (1, 1)
    assert started_in_pauses(night) == []
