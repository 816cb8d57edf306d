"""Nights on which there is not enough for all: audits, calls, hours."""

from collections import Counter
from dataclasses import replace

import anyio
import pytest

from fleetdeploy.core.app_state import AppState
from fleetdeploy.core.records import RunHalted, StepStarted, StopReason
from fleetdeploy.core.windows import Calendar, Hours, parse_window
from fleetdeploy.errors import FleetRefused, PlatformError, RequestRefused
from fleetdeploy.model import AuditQuota, Phase, Step
from fleetdeploy.ports import Platform
from fleetdeploy.simulator.behaviour import Behaviour
from fleetdeploy.simulator.endpoints import Endpoint
from fleetdeploy.simulator.faults import FaultRates, FaultScript
from fleetdeploy.simulator.scenario import Scenario
from tests.simulator.checkers import check, effects_of
from tests.simulator.harness import Night, app_ids, make_night, make_target
from tests.simulator.test_checkers import Through

pytestmark = pytest.mark.anyio

APPS = 3
QUICK = Behaviour(build_s=(0.1, 0.5), audit_s=(0.1, 0.5))
SPENT = QUICK.model_copy(update={"quota_times": 3, "quota_used": 3})
CALM = Behaviour(build_s=(0.1, 0.5), audit_s=(60.0, 90.0))
MONDAY = "about Monday 2026-11-30"
"""The first one after the nights' own date."""


def night_of(behaviour: Behaviour, *, direct_commit: bool = False, **changes: object) -> Night:
    scenario = Scenario(behaviour=behaviour)
    targets = tuple(make_target(app_id, direct_commit=direct_commit) for app_id in app_ids(APPS))
    return Night(**{"scenario": scenario, "targets": targets, **changes})  # type: ignore[arg-type]  # any field by name


def sent(night: Night) -> Counter[str]:
    return Counter(sent.endpoint for sent in night.witness.sent)


def announced(night: Night) -> set[Step]:
    records = (entry.record for entry in night.entries())
    return {record.step for record in records if isinstance(record, StepStarted)}


def apps_of(night: Night) -> list[AppState]:
    return list(night.replayed().apps.values())


# Audits.


async def test_apps_out_of_quota_end_blocked_with_the_day_and_nothing_is_submitted() -> None:
    night = night_of(SPENT)
    await night.live()
    check(night)
    assert night.phases() == {Phase.BLOCKED: APPS}
    assert sent(night)[Endpoint.SUBMIT_AUDIT] == 0
    assert sent(night)[Endpoint.AUDIT_QUOTA] == APPS
    assert announced(night) == {Step.UPLOAD}
    for app in apps_of(night):
        assert app.error is not None
        assert app.error.code == "audit.quota_used_up"
        assert MONDAY in app.error.message
        assert MONDAY in app.error.hint


async def test_an_upload_that_would_submit_is_not_sent_either() -> None:
    night = night_of(SPENT, direct_commit=True)
    await night.live()
    check(night)
    assert night.phases() == {Phase.BLOCKED: APPS}
    assert sent(night) == {Endpoint.PACKAGES: APPS, Endpoint.AUDIT_QUOTA: APPS}
    assert effects_of(night) == []


async def test_the_next_run_takes_them_on_when_the_period_has_turned() -> None:
    night = night_of(SPENT.model_copy(update={"quota_period_s": 3600.0}))
    await night.live()
    await anyio.sleep(3600.0)
    again = night.tomorrow()
    await again.live()
    check(again)
    assert again.phases() == {Phase.RELEASED: APPS}
    assert sent(again)[Endpoint.UPLOAD] == 0


async def test_the_last_submission_of_a_period_is_used_and_the_quota_read_once() -> None:
    last = QUICK.model_copy(update={"quota_times": 3, "quota_used": 2})
    night = night_of(last)
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: APPS}
    assert sent(night)[Endpoint.AUDIT_QUOTA] == sent(night)[Endpoint.SUBMIT_AUDIT] == APPS


@pytest.mark.slow
@pytest.mark.parametrize("direct_commit", [False, True])
@pytest.mark.parametrize(("behaviour", "end"), [(QUICK, Phase.RELEASED), (SPENT, Phase.BLOCKED)])
async def test_a_lost_answer_about_the_quota_does_no_harm(
    behaviour: Behaviour, end: Phase, *, direct_commit: bool
) -> None:
    """Of six reads in a row five are lost: a call is given up, and the next turn asks again."""
    lost = FaultScript(
        endpoints={Endpoint.AUDIT_QUOTA: FaultRates(answer_lost=1.0)}, max_consecutive=5
    )
    scenario = Scenario(behaviour=behaviour, faults=lost)
    night = night_of(behaviour, scenario=scenario, direct_commit=direct_commit)
    await night.live()
    check(night)
    assert night.phases() == {end: APPS}
    if end is Phase.BLOCKED:
        assert sent(night)[Endpoint.SUBMIT_AUDIT] == 0


async def test_where_the_quota_can_never_be_read_the_platform_s_refusal_protects() -> None:
    lost = FaultScript(
        endpoints={Endpoint.AUDIT_QUOTA: FaultRates(answer_lost=1.0)}, max_consecutive=1000
    )
    night = night_of(SPENT, scenario=Scenario(behaviour=SPENT, faults=lost))
    await night.live()
    check(night)
    assert night.phases() == {Phase.BLOCKED: APPS}
    assert sent(night)[Endpoint.SUBMIT_AUDIT] == APPS
    assert {app.error.code for app in apps_of(night) if app.error} == {
        "platform.audit_quota_used_up"
    }


class QuotaSays(Through):
    """A platform whose quota says something of its own."""

    def __init__(self, inner: Platform, answer: AuditQuota | PlatformError) -> None:
        super().__init__(inner)
        self.answer = answer

    async def audit_quota(self, app_id: str) -> AuditQuota:
        assert app_id
        if isinstance(self.answer, PlatformError):
            raise self.answer
        return self.answer


def saying(answer: AuditQuota | PlatformError, behaviour: Behaviour) -> Night:
    return night_of(behaviour, around_platform=lambda inner: QuotaSays(inner, answer))


async def test_a_platform_that_knows_no_quota_is_submitted_to_all_the_same() -> None:
    night = saying(RequestRefused("platform.unknown_method", "unknown method"), QUICK)
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: APPS}


async def test_a_refusal_after_a_quota_that_promised_more_names_the_day_too() -> None:
    night = saying(AuditQuota(2, 3, 1), SPENT)
    await night.live()
    check(night)
    assert night.phases() == {Phase.BLOCKED: APPS}
    for app in apps_of(night):
        assert app.error is not None
        assert (app.error.code, app.error.errno) == ("platform.audit_quota_used_up", 69013)
        assert MONDAY in app.error.message
        assert MONDAY in app.error.hint


async def test_a_refusal_that_would_meet_every_app_halts_before_anything_is_submitted() -> None:
    night = saying(FleetRefused("platform.ip_not_whitelisted", "not on the list"), QUICK)
    await night.live()
    check(night)
    assert isinstance(night.entries()[-1].record, RunHalted)
    assert sent(night)[Endpoint.SUBMIT_AUDIT] == 0


class StopsMeanwhile(Through):
    """A platform during whose answer about the quota somebody stops the run."""

    def __init__(self, inner: Platform, night: Night) -> None:
        super().__init__(inner)
        self.night = night

    async def audit_quota(self, app_id: str) -> AuditQuota:
        quota = await super().audit_quota(app_id)
        self.night.steering.stop(StopReason.SIGNAL)
        return quota


async def test_a_stop_while_the_quota_is_read_announces_and_submits_nothing_more() -> None:
    night = night_of(QUICK)
    night.around_platform = lambda inner: StopsMeanwhile(inner, night)
    await night.live()
    check(night)
    assert announced(night) == {Step.UPLOAD}
    assert sent(night)[Endpoint.AUDIT_QUOTA] > sent(night)[Endpoint.SUBMIT_AUDIT] == 0


# Calls and hours.


def ranked_night(apps: int, high: int, **changes: object) -> Night:
    """Return a night of which the last `high` apps go before the others."""
    night = make_night(apps, scenario=Scenario(behaviour=CALM), **changes)
    low, first = night.targets[:-high], night.targets[-high:]
    return replace(night, targets=(*low, *(replace(target, priority=10) for target in first)))


def order_of(night: Night, endpoint: Endpoint) -> list[str]:
    return [sent.app_id for sent in night.witness.sent if sent.endpoint == endpoint]


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", [Endpoint.UPLOAD, Endpoint.SUBMIT_AUDIT])
async def test_the_higher_priorities_go_first_where_the_pace_does_not_suffice(
    endpoint: Endpoint,
) -> None:
    night = ranked_night(20, 5, rate=1.0, in_flight=1)
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: 20}
    assert set(order_of(night, endpoint)[:5]) == set(app_ids(20)[-5:])


@pytest.mark.slow
async def test_the_higher_priorities_go_first_where_the_budget_has_few_places() -> None:
    """One place at a time: whoever is first takes it, and those who then wait have an order."""
    night = ranked_night(12, 4, failures_allowed=1)
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: 12}
    assert set(order_of(night, Endpoint.UPLOAD)[:5]) > set(app_ids(12)[-4:])


@pytest.mark.slow
async def test_a_deadline_too_short_for_all_uploads_the_high_priorities() -> None:
    night = ranked_night(40, 10, rate=1.0, in_flight=1, deadline_s=40.0)
    await night.live()
    check(night)
    queued = {app.app_id for app in apps_of(night) if app.phase is Phase.QUEUED}
    assert len(queued) > 10
    assert queued.isdisjoint(app_ids(40)[-10:])


@pytest.mark.slow
async def test_a_window_too_short_for_all_releases_the_high_priorities() -> None:
    """The pace lets about 30 of 60 apps through; the two turns that begin at once may be low."""
    release = Hours((parse_window("Mon-Sun 01:00-01:01 UTC"),))
    night = ranked_night(
        60, 20, rate=1.0, in_flight=1, calendar=Calendar(release=release), deadline_s=7200.0
    )
    await night.live()
    check(night)
    released = {app.app_id for app in apps_of(night) if app.phase is Phase.RELEASED}
    assert 20 < len(released) < 50
    assert released > set(app_ids(60)[-20:])
