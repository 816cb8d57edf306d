"""Nights that stop before their end, in good order, and what a resume makes of them."""

from dataclasses import replace
from http import HTTPStatus

import anyio
import pytest

from fleetdeploy.core.records import (
    HaltCause,
    RunFinished,
    RunHalted,
    RunStopped,
    StopReason,
)
from fleetdeploy.model import Phase, Step, Until
from fleetdeploy.simulator.behaviour import Behaviour
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.transport import Reply, Request, Transport
from tests.simulator.checkers import check, complaints, effects_of
from tests.simulator.harness import FIFTH, Night, make_night

APPS = 12
CALM = Behaviour(effect_delay_s=3.0, build_s=(1.0, 5.0), audit_s=(60.0, 120.0))


def night_of(behaviour: Behaviour = CALM, **changes: object) -> Night:
    return make_night(APPS, scenario=Scenario(behaviour=behaviour), **changes)


def last_record(night: Night) -> object:
    return night.entries()[-1].record


def halted_by(night: Night) -> HaltCause:
    record = last_record(night)
    assert isinstance(record, RunHalted)
    return record.cause


def stopped_for(night: Night) -> StopReason:
    record = last_record(night)
    assert isinstance(record, RunStopped)
    return record.reason


async def finish(night: Night) -> None:
    """Resume, and see everything released, each step once."""
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: APPS}
    assert len(night.world.effects) == 3 * APPS


# The budget.


@pytest.mark.anyio
async def test_one_rejection_more_than_allowed_halts_the_run_and_leaves_the_rest() -> None:
    behaviour = CALM.changed({"reject_chance": 1.0, "audit_s": (60.0, 6000.0)})
    night = night_of(behaviour, failures_allowed=2)
    await night.live()
    check(night)
    assert halted_by(night) is HaltCause.BUDGET
    assert night.phases() == {Phase.REJECTED: 3, Phase.AUDITING: APPS - 3}


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_halt_by_the_budget_holds_until_somebody_says_why_to_go_on() -> None:
    behaviour = CALM.changed({"reject_chance": 1.0, "audit_s": (60.0, 6000.0)})
    night = night_of(behaviour, failures_allowed=2)
    await night.live()
    calls = sum(night.calls.values())
    await night.live()
    check(night)
    assert halted_by(night) is HaltCause.BUDGET
    assert sum(night.calls.values()) == calls
    night.override_reason = "the reviewer has a bad day"
    night.failures_allowed = APPS
    await night.live()
    check(night)
    assert night.phases() == {Phase.REJECTED: APPS}


class Refusing:
    """Answers uploads with an errno, for as long as it is told to."""

    def __init__(self, inner: Transport, errno: int) -> None:
        self._inner = inner
        self.errno: int | None = errno

    async def send(self, request: Request) -> Reply:
        if self.errno is None or not request.path.endswith("/upload"):
            return await self._inner.send(request)
        await anyio.sleep(0.1)
        return Reply(HTTPStatus.OK, b'{"errno": %d, "msg": "no"}' % self.errno)


def refusing_uploads(night: Night, errno: int) -> Refusing:
    refusing = Refusing(night.witness.inner, errno)
    night.witness.inner = refusing
    return refusing


@pytest.mark.anyio
async def test_a_halt_at_the_first_apps_leaves_the_others_untouched() -> None:
    night = night_of(failures_allowed=2, in_flight=1)
    refusing_uploads(night, errno=40001)
    await night.live()
    check(night)
    assert halted_by(night) is HaltCause.BUDGET
    # One more may have been under way when the third failed.
    assert 3 <= night.phases()[Phase.FAILED] <= 4
    assert night.phases()[Phase.QUEUED] >= APPS - 4
    assert effects_of(night) == []


@pytest.mark.anyio
async def test_so_many_blocked_apps_as_are_allowed_do_not_stop_the_others() -> None:
    night = night_of(blocked_allowed=2, in_flight=1)
    refusing_uploads(night, errno=69002)
    await night.live()
    check(night)
    assert halted_by(night) is HaltCause.BUDGET
    assert 3 <= night.phases()[Phase.BLOCKED] <= 4
    night.blocked_allowed, night.override_reason = None, "their categories are on their way"
    await night.live()
    check(night)
    assert night.phases() == {Phase.BLOCKED: APPS}


# The causes that apps share.

REJECTING = CALM.changed(
    {"reject_chance": 1.0, "reject_reasons": ["the icon is blurred"], "audit_s": (60.0, 6000.0)}
)


@pytest.mark.anyio
async def test_the_third_app_that_is_rejected_in_the_same_words_halts_the_run() -> None:
    night = night_of(REJECTING, halt_on_cause=3)
    await night.live()
    check(night)
    record = last_record(night)
    assert isinstance(record, RunHalted)
    assert (record.cause, record.error.code) == (HaltCause.CAUSE, "run.cause_shared")
    assert "the icon is blurred" in record.error.message
    assert night.phases() == {Phase.REJECTED: 3, Phase.AUDITING: APPS - 3}


@pytest.mark.anyio
async def test_a_cause_that_somebody_accepts_halts_the_run_no_more() -> None:
    night = night_of(REJECTING, halt_on_cause=3)
    await night.live()
    await night.live()
    assert night.phases()[Phase.REJECTED] == 3
    night.override_reason = "the reviewer has a bad day"
    await night.live()
    check(night)
    assert night.phases() == {Phase.REJECTED: APPS}


@pytest.mark.anyio
async def test_a_cause_that_ended_an_app_before_is_no_news_of_it() -> None:
    night = night_of(REJECTING, halt_on_cause=3)
    cause = "audit.rejected the icon is blurred"
    night.known_causes = {target.app_id: cause for target in night.targets[2:]}
    await night.live()
    check(night)
    assert night.phases() == {Phase.REJECTED: APPS}


@pytest.mark.anyio
async def test_trouble_of_single_clients_is_no_shared_cause() -> None:
    night = night_of(halt_on_cause=1)
    refusing_uploads(night, errno=69002)
    await night.live()
    check(night)
    assert night.phases() == {Phase.BLOCKED: APPS}


# What no app can go on from.


@pytest.mark.anyio
@pytest.mark.parametrize("at_s", [0.5, 12.0, 100.0])
async def test_an_address_that_leaves_the_whitelist_halts_and_a_resume_finishes(
    at_s: float,
) -> None:
    night = night_of()

    async def leave_the_whitelist() -> None:
        await anyio.sleep(at_s)
        night.world.ip_whitelisted = False

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leave_the_whitelist)
        await night.live()
    check(night)
    assert halted_by(night) is HaltCause.CREDENTIALS
    await night.live()
    assert halted_by(night) is HaltCause.CREDENTIALS
    night.world.ip_whitelisted = True
    await finish(night)


def mend_template(night: Night) -> None:
    """Let the template be readable from now on; packages that could not be built stay so."""
    for app in night.world._apps.values():
        app.settle(night.now)
        app._rules = replace(app._rules, broken_templates=frozenset())
    night.world.scenario = Scenario(behaviour=CALM)


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_template_that_cannot_be_built_halts_and_resumes_after_the_mend_finish() -> None:
    scenario = Scenario(behaviour=CALM, broken_templates=("754",))
    night = make_night(APPS, scenario=scenario, in_flight=2)
    await night.live()
    check(night)
    assert halted_by(night) is HaltCause.PLATFORM
    assert Phase.FAILED not in night.phases()
    mend_template(night)
    while isinstance(last_record(night), RunHalted):
        assert night.lives < 10
        await night.live()
        check(night)
    assert night.phases() == {Phase.RELEASED: APPS}


@pytest.mark.anyio
async def test_one_resume_is_enough_after_the_template_was_mended() -> None:
    scenario = Scenario(behaviour=CALM, broken_templates=("754",))
    night = make_night(APPS, scenario=scenario, in_flight=2)
    await night.live()
    mend_template(night)
    await night.live()
    assert night.phases() == {Phase.RELEASED: APPS}


@pytest.mark.anyio
async def test_a_template_that_is_gone_halts_and_a_resume_after_the_mend_finishes() -> None:
    night = night_of()
    refusing = refusing_uploads(night, errno=69007)
    await night.live()
    check(night)
    assert halted_by(night) is HaltCause.PLATFORM
    assert night.phases() == {Phase.QUEUED: APPS}
    assert effects_of(night) == []
    refusing.errno = None
    await finish(night)


# As far as somebody wanted, or as long.


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("until", "rests"),
    [(Until.UPLOADED, Phase.UPLOADED), (Until.APPROVED, Phase.APPROVED)],
)
async def test_a_run_rests_where_it_was_to_go_and_goes_on_when_told(
    until: Until, rests: Phase
) -> None:
    night = night_of(until=until)
    await night.live()
    check(night)
    assert stopped_for(night) is StopReason.RESTING
    assert night.phases() == {rests: APPS}
    await night.live()
    assert stopped_for(night) is StopReason.RESTING
    night.until = Until.RELEASED
    await finish(night)


@pytest.mark.anyio
async def test_a_run_that_does_not_wait_leaves_with_its_audits_out() -> None:
    night = night_of(wait=False)
    await night.live()
    check(night)
    assert stopped_for(night) is StopReason.NO_WAIT
    assert night.phases() == {Phase.AUDITING: APPS}
    assert anyio.current_time() < 60.0
    await anyio.sleep(120.0)
    await night.live()
    check(night)
    assert isinstance(last_record(night), RunFinished)
    assert night.phases() == {Phase.RELEASED: APPS}


@pytest.mark.anyio
@pytest.mark.parametrize("deadline_s", [0.0, 0.3, 5.0, 40.0])
async def test_a_deadline_stops_in_time_and_a_resume_finishes(deadline_s: float) -> None:
    night = night_of(deadline_s=deadline_s)
    await night.live()
    check(night)
    assert stopped_for(night) is StopReason.DEADLINE
    assert anyio.current_time() <= deadline_s + night.grace_s
    night.deadline_s = None
    await finish(night)


@pytest.mark.anyio
async def test_a_signal_lets_calls_under_way_land_and_starts_nothing_new() -> None:
    night = night_of()

    async def interrupt() -> None:
        await anyio.sleep(0.3)
        night.steering.stop(StopReason.SIGNAL)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(interrupt)
        await night.live()
    check(night)
    assert stopped_for(night) is StopReason.SIGNAL
    assert not any(app.in_doubt for app in night.replayed().apps.values())
    await finish(night)


@pytest.mark.anyio
@pytest.mark.parametrize("grace_s", [0.0, 0.1])
async def test_a_drain_whose_grace_ends_leaves_a_journal_that_is_gone_on_from(
    grace_s: float,
) -> None:
    """Calls under way are cut off: their steps are in doubt, and nothing is sent twice."""
    scenario = Scenario(behaviour=CALM, latency_s=(0.5, 4.0), faults=FIFTH)
    night = make_night(APPS, scenario=scenario, deadline_s=1.5, grace_s=grace_s)
    await night.live()
    check(night)
    assert any(app.in_doubt for app in night.replayed().apps.values())
    night.deadline_s = None
    await finish(night)


@pytest.mark.anyio
@pytest.mark.parametrize("deadline_s", [0.11, 0.2])
async def test_j4_a_drain_that_ends_in_the_middle_of_an_append_keeps_state_and_journal_one(
    deadline_s: float,
) -> None:
    night = night_of(journal_latency_s=0.5, deadline_s=deadline_s, grace_s=0.1)
    await night.live()
    found = complaints(night)
    night.deadline_s, night.grace_s = None, 5.0
    await finish(night)
    assert found == []


# The platform is out.


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.parametrize("from_s", [0.2, 11.0, 70.0])
async def test_an_hour_without_the_platform_delays_the_night_and_doubles_nothing(
    from_s: float,
) -> None:
    night = night_of(outages=((from_s, from_s + 3600.0),))
    await finish(night)
    assert anyio.current_time() > 3600.0


@pytest.mark.anyio
@pytest.mark.slow
async def test_outages_again_and_again_delay_the_night_and_double_nothing() -> None:
    spans = tuple((start, start + 45.0) for start in range(5, 1200, 60))
    night = make_night(APPS, scenario=Scenario(behaviour=CALM, faults=FIFTH), outages=spans)
    await finish(night)


# The books.


@pytest.mark.anyio
async def test_each_resume_counts_the_calls_of_its_own_process() -> None:
    night = night_of(until=Until.UPLOADED)
    await night.live()
    night.until = Until.RELEASED
    await night.live()
    assert night.replayed().calls == night.calls
    assert night.replayed().apps[night.targets[0].app_id].step is Step.RELEASE
