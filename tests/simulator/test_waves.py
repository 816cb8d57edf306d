"""Nights in waves: nothing goes before its gate, and what a gate waits for may take days."""

from random import Random

import anyio
import pytest

from fleetdeploy.core.records import (
    Asked,
    HaltCause,
    RunFinished,
    RunHalted,
    RunStopped,
    StepStarted,
    StopReason,
    WaveApproved,
    WaveOpened,
)
from fleetdeploy.core.rules import WaveRule
from fleetdeploy.model import Phase, Step, Until
from fleetdeploy.simulator.behaviour import Behaviour
from fleetdeploy.simulator.endpoints import Endpoint
from fleetdeploy.simulator.scenario import Scenario
from tests.crash.test_kill_nights import live_through_kills
from tests.simulator.checkers import check, complaints, effects_of
from tests.simulator.course_checks import course_complaints
from tests.simulator.drawing import draw
from tests.simulator.harness import EPOCH, FIFTH, Night, in_virtual_time, make_night

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
CALM = Behaviour(effect_delay_s=3.0, build_s=(1.0, 5.0), audit_s=(60.0, 120.0))
CANARY, REST = WaveRule(name="canary"), WaveRule(name="rest")


def yes(wave: str) -> WaveApproved:
    return WaveApproved(wave=wave, asked=Asked(order="o1", at=EPOCH, who="ops", host="here"))


def night_of(*waves: WaveRule, apps: int = 20, size: int = 3, **changes: object) -> Night:
    ahead = bool(changes.pop("ahead", False))
    made = make_night(apps, **{"scenario": Scenario(behaviour=CALM), **changes})
    return made.waved(*waves, sizes=[size] * (len(waves) - 1), ahead=ahead)


def first_sent(night: Night, endpoint: Endpoint, wave: str) -> float:
    ids = {target.app_id for target in night.targets if target.wave == wave}
    sent = night.witness.sent
    return min(one.at for one in sent if one.endpoint == endpoint and one.app_id in ids)


def last_ended(night: Night, wave: str) -> float:
    state = night.replayed()
    at = state.waves_settled[wave]
    return (at - EPOCH).total_seconds()


def check_course(night: Night) -> None:
    check(night)
    assert course_complaints(night) == []


@pytest.mark.anyio
async def test_the_next_wave_begins_when_the_one_before_is_online() -> None:
    night = night_of(CANARY, WaveRule(name="early"), REST)
    await night.live()
    check_course(night)
    assert night.phases() == {Phase.RELEASED: 20}
    opened = [e.record.wave for e in night.entries() if isinstance(e.record, WaveOpened)]
    assert opened == ["canary", "early", "rest"]
    assert first_sent(night, Endpoint.UPLOAD, "early") >= last_ended(night, "canary")


@pytest.mark.anyio
async def test_a_soak_is_waited_for_without_a_call() -> None:
    night = night_of(CANARY.model_copy(update={"soak_s": 6 * HOUR_S}), REST)
    await night.live()
    check_course(night)
    settled = last_ended(night, "canary")
    quiet = [s for s in night.witness.sent if settled < s.at < settled + 6 * HOUR_S - 1]
    assert quiet == []
    assert first_sent(night, Endpoint.UPLOAD, "rest") < settled + 6 * HOUR_S + 60.0


@pytest.mark.anyio
async def test_with_audit_ahead_later_waves_are_approved_when_their_gate_opens() -> None:
    soaking = CANARY.model_copy(update={"soak_s": HOUR_S})
    night = night_of(soaking, REST, ahead=True)
    await night.live()
    check_course(night)
    assert night.phases() == {Phase.RELEASED: 20}
    settled = last_ended(night, "canary")
    assert first_sent(night, Endpoint.UPLOAD, "rest") < settled
    assert first_sent(night, Endpoint.RELEASE, "rest") >= settled + HOUR_S
    done = (night.now - settled) - HOUR_S
    assert done < 60.0, "only the releases were left to do"


@pytest.mark.anyio
async def test_an_approval_given_three_days_later_without_a_process_lets_the_resume_go_on() -> None:
    night = night_of(CANARY.model_copy(update={"gate": "approval"}), REST, wait=False)
    while sum(night.phases()[phase] for phase in (Phase.RELEASED,)) < 3:
        await night.live()
        check_course(night)
        await anyio.sleep(120.0)
    for _ in range(3):
        await anyio.sleep(DAY_S)
        await night.live()
        check_course(night)
        record = night.entries()[-1].record
        assert isinstance(record, RunStopped)
        assert record.reason is StopReason.NO_WAIT
    assert night.phases() == {Phase.RELEASED: 3, Phase.QUEUED: 17}
    night.now = anyio.current_time()
    night.say(yes("canary"))
    night.wait = True
    await night.live()
    check_course(night)
    assert night.phases() == {Phase.RELEASED: 20}


@pytest.mark.anyio
async def test_a_run_that_waits_stays_at_the_gate_until_its_deadline() -> None:
    gated = CANARY.model_copy(update={"gate": "approval"})
    night = night_of(gated, REST, deadline_s=DAY_S)
    await night.live()
    check_course(night)
    assert night.phases() == {Phase.RELEASED: 3, Phase.QUEUED: 17}
    assert night.now >= DAY_S


@pytest.mark.anyio
async def test_an_approval_that_does_not_come_in_time_halts_the_run() -> None:
    gated = CANARY.model_copy(update={"gate": "approval", "approve_within_s": DAY_S})
    night = night_of(gated, REST)
    state = await night.live()
    check_course(night)
    assert state.halted is not None
    assert (state.halted.cause, state.halted.wave) == (HaltCause.GATE, "canary")
    night.override_reason = "it looks well"
    await night.live()
    check_course(night)
    assert night.phases() == {Phase.RELEASED: 20}


@pytest.mark.anyio
@pytest.mark.parametrize("ahead", [False, True])
async def test_a_template_that_every_reviewer_rejects_stops_at_the_canaries(ahead: bool) -> None:
    rejecting = Scenario(behaviour=CALM.model_copy(update={"reject_chance": 1.0}))
    night = night_of(CANARY, REST, apps=300, size=5, scenario=rejecting, ahead=ahead)
    state = await night.live()
    check_course(night)
    assert night.phases() == {Phase.REJECTED: 5, Phase.QUEUED: 295}
    assert state.halted is not None
    assert state.halted.error.code == "run.wave_in_vain"
    others = {target.app_id for target in night.targets if target.wave == "rest"}
    assert [sent for sent in night.witness.sent if sent.app_id in others] == []


@pytest.mark.anyio
async def test_what_is_only_brought_to_approval_is_released_behind_its_gates() -> None:
    gated = CANARY.model_copy(update={"gate": "approval"})
    night = night_of(gated, REST, until=Until.APPROVED)
    await night.live()
    check_course(night)
    assert night.phases() == {Phase.APPROVED: 20}
    night.until, night.wait = Until.RELEASED, False
    while night.phases()[Phase.RELEASED] < 3:
        await night.live()
        check_course(night)
        await anyio.sleep(60.0)
    assert night.phases() == {Phase.RELEASED: 3, Phase.APPROVED: 17}
    night.say(yes("canary"))
    night.wait = True
    await night.live()
    check_course(night)
    assert night.phases() == {Phase.RELEASED: 20}


@pytest.mark.anyio
async def test_a_budget_that_can_bear_nothing_sends_one_step_after_the_other() -> None:
    night = make_night(8, scenario=Scenario(behaviour=CALM), failures_allowed=0)
    await night.live()
    check_course(night)
    assert night.phases() == {Phase.RELEASED: 8}


@pytest.mark.anyio
async def test_a_strict_budget_is_not_exceeded_by_more_than_one_build() -> None:
    broken = Scenario(
        behaviour=CALM.model_copy(update={"upload_fail_chance": 1.0, "upload_error": 40001})
    )
    for allowed in (0, 3):
        night = make_night(40, scenario=broken, failures_allowed=allowed)
        state = await night.live()
        check_course(night)
        assert night.phases() == {Phase.FAILED: allowed + 1, Phase.QUEUED: 39 - allowed}
        assert len(effects_of(night)) == allowed + 1
        assert state.halted is not None
        assert state.halted.error.code == "run.budget_exceeded"


@pytest.mark.anyio
async def test_a_soft_budget_sends_as_much_as_the_limits_allow() -> None:
    broken = Scenario(
        behaviour=CALM.model_copy(update={"upload_fail_chance": 1.0, "upload_error": 40001})
    )
    night = make_night(40, scenario=broken, failures_allowed=3, strict=False)
    await night.live()
    check(night)
    assert len(effects_of(night)) > 4


@pytest.mark.anyio
async def test_eleven_blocked_of_200_do_not_touch_a_budget_of_five_percent() -> None:
    clients = {f"{100_000_001 + number}": {"name_approved": False} for number in range(11)}
    scenario = Scenario(behaviour=CALM, apps=clients)
    night = make_night(200, scenario=scenario, failures_allowed=10)
    await night.live()
    check_course(night)
    assert night.phases() == {Phase.RELEASED: 189, Phase.BLOCKED: 11}
    assert isinstance(night.entries()[-1].record, RunFinished)


def drawn_night(seed: int) -> Night:
    """Draw a night of waves on top of a drawn night: gates, soaks, order, budget and faults."""
    rng = Random(f"waves {seed}")
    night = draw(seed, apps=(6, 14)).night
    waves = [
        WaveRule(
            name=f"w{number}",
            soak_s=rng.choice([0.0, 600.0, DAY_S]),
            gate=rng.choice([None, "approval"]),
        )
        for number in range(rng.randint(1, 3))
    ]
    sizes = [rng.randint(1, 4) for _ in waves]
    night = night.waved(*waves, WaveRule(name="rest"), sizes=sizes, ahead=rng.random() < 0.5)
    night.failures_allowed = rng.choice([0, 1, 3, 10**6])
    night.strict = rng.random() < 0.8
    night.halt_on_cause = rng.choice([None, 3])
    return night


async def live_to_the_end(night: Night, rng: Random) -> None:
    """Live through kills, approve what waits, override what halts, until the run is finished."""
    night.deadline_s = HOUR_S
    await live_through_kills(night, [rng.uniform(0.0, 60.0) for _ in range(rng.randrange(4))], rng)
    for _ in range(40):
        assert complaints(night) == []
        state = night.replayed()
        if state.finished:
            return
        night.override_reason = "go on" if state.halted else None
        waiting = [w.name for w in night.course.waves if w.gate] if night.course else []
        unsaid = [wave for wave in waiting if wave not in state.waves_approved]
        if unsaid and rng.random() < 0.7:
            night.now = anyio.current_time()
            night.say(yes(rng.choice(unsaid)))
        night.deadline_s = rng.choice([HOUR_S, 2 * DAY_S])
        await night.live()
    raise AssertionError("not finished")


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 24, 6))
def test_no_gate_and_no_budget_is_passed_whatever_goes_wrong(first: int) -> None:
    for seed in range(first, first + 6):
        night = drawn_night(seed)
        in_virtual_time(lambda n=night, s=seed: live_to_the_end(n, Random(s)))  # type: ignore[misc]  # bound now
        assert course_complaints(night) == [], f"seed {seed}"
        check(night)


@pytest.mark.anyio
@pytest.mark.slow
async def test_every_wave_keeps_its_gate_through_kills_and_lost_answers() -> None:
    soaking = CANARY.model_copy(update={"soak_s": 300.0})
    scenario = Scenario(seed=3, behaviour=CALM, faults=FIFTH)
    night = night_of(soaking, REST, apps=40, scenario=scenario, journal_latency_s=0.02)
    rng = Random(3)
    await live_through_kills(night, [rng.uniform(5.0, 200.0) for _ in range(8)], rng)
    check_course(night)
    assert night.phases() == {Phase.RELEASED: 40}
    uploads = [
        entry.record
        for entry in night.entries()
        if isinstance(entry.record, StepStarted) and entry.record.step is Step.RELEASE
    ]
    assert len({record.app_id for record in uploads}) == 40
    assert not any(isinstance(entry.record, RunHalted) for entry in night.entries())
