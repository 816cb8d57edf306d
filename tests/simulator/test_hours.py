"""Nights with windows and freezes: nothing leaves outside its hours, and nothing is stuck."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from random import Random
from zoneinfo import ZoneInfo

import anyio
import pytest

from fleetdeploy.core.decisions import Policy
from fleetdeploy.core.records import RunFinished, RunStopped, StepFailed, StopReason
from fleetdeploy.core.windows import Calendar, Freeze, Hours, parse_window
from fleetdeploy.errors import WindowClosed
from fleetdeploy.model import Notice, Phase
from fleetdeploy.simulator.behaviour import Behaviour
from fleetdeploy.simulator.endpoints import Endpoint
from fleetdeploy.simulator.scenario import Scenario
from tests.crash.test_kill_nights import live_through_kills
from tests.simulator.checkers import check, effects_of
from tests.simulator.drawing import draw, draw_calendar
from tests.simulator.harness import (
    EPOCH,
    Night,
    VirtualWall,
    app_ids,
    in_virtual_time,
    make_night,
    make_target,
)
from tests.simulator.test_checkers import Through

APPS = 12
HOUR_S = 3600.0
CALM = Behaviour(effect_delay_s=3.0, build_s=(1.0, 5.0), audit_s=(60.0, 120.0))


def hours(*windows: str, freezes: tuple[Freeze, ...] = ()) -> Hours:
    return Hours(tuple(map(parse_window, windows)), freezes)


def night_of(submit: Hours | None = None, release: Hours | None = None, **changes: object) -> Night:
    calendar = Calendar(submit or Hours(), release or Hours())
    scenario = Scenario(behaviour=CALM)
    return make_night(APPS, **{"scenario": scenario, "calendar": calendar, **changes})


def sent_at(night: Night, endpoint: Endpoint) -> list[datetime]:
    return [night.wall.at(sent.at) for sent in night.witness.sent if sent.endpoint == endpoint]


def last_record(night: Night) -> object:
    return night.entries()[-1].record


def check_waits(night: Night) -> None:
    check(night)
    record = last_record(night)
    assert isinstance(record, RunStopped)
    assert record.reason is StopReason.NO_WAIT


# One night.


@pytest.mark.anyio
async def test_releases_wait_for_their_window_without_a_call_and_look_again_before() -> None:
    """It is midnight; all is approved within minutes, and the window opens at six."""
    night = night_of(release=hours("Tue 06:00-07:00 UTC"))
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: APPS}
    releases = sent_at(night, Endpoint.RELEASE)
    assert EPOCH + timedelta(hours=6) <= min(releases)
    assert max(releases) < EPOCH + timedelta(hours=6, minutes=1)
    quiet = [sent for sent in night.witness.sent if 600.0 < sent.at < 6 * HOUR_S - 1]
    assert quiet == []
    looks = {
        sent.app_id
        for sent in night.witness.sent
        if sent.endpoint == Endpoint.PACKAGES and 6 * HOUR_S - 1 < sent.at < 6 * HOUR_S + 30
    }
    assert len(looks) == APPS


@pytest.mark.anyio
async def test_submissions_wait_for_theirs_and_uploads_do_not() -> None:
    night = night_of(submit=hours("Tue 03:00-04:00 UTC"))
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: APPS}
    assert max(sent_at(night, Endpoint.UPLOAD)) < EPOCH + timedelta(minutes=1)
    assert min(sent_at(night, Endpoint.SUBMIT_AUDIT)) >= EPOCH + timedelta(hours=3)


@pytest.mark.anyio
async def test_an_upload_that_submits_waits_as_a_submission() -> None:
    ids = app_ids(2)
    targets = (make_target(ids[0], direct_commit=True), make_target(ids[1]))
    night = replace(night_of(submit=hours("Tue 03:00-04:00 UTC")), targets=targets)
    await night.live()
    check(night)
    plain, direct = sent_at(night, Endpoint.UPLOAD)
    assert plain < EPOCH + timedelta(minutes=1)
    assert direct >= EPOCH + timedelta(hours=3)


@pytest.mark.anyio
async def test_a_freeze_holds_everything_back_though_the_window_is_open() -> None:
    feast = Freeze(date(2026, 11, 24), date(2026, 11, 25), ZoneInfo("UTC"), "a feast")
    always = hours("Mon-Sun 00:00-24:00 UTC", freezes=(feast,))
    night = night_of(submit=always, release=always)
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: APPS}
    assert min(sent_at(night, Endpoint.SUBMIT_AUDIT)) >= EPOCH + timedelta(days=2)


@pytest.mark.anyio
async def test_a_run_that_does_not_wait_leaves_when_only_the_window_is_waited_for() -> None:
    quick = Scenario(behaviour=Behaviour(build_s=(0.1, 0.5), audit_s=(0.1, 0.5)))
    night = night_of(release=hours("Tue 06:00-07:00 UTC"), wait=False, scenario=quick)
    while anyio.current_time() < HOUR_S:
        await night.live()
        check_waits(night)
        await anyio.sleep(1200.0)
    assert night.phases() == {Phase.APPROVED: APPS}
    await anyio.sleep(6 * HOUR_S - anyio.current_time())
    night.wait = True
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: APPS}


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_window_that_closes_in_the_middle_leaves_nothing_stuck() -> None:
    """The pace lets 30 of 60 apps through; a later resume, inside the window, does the rest."""
    night = make_night(
        60,
        scenario=Scenario(behaviour=Behaviour(build_s=(0.1, 0.5), audit_s=(60.0, 90.0))),
        rate=1.0,
        calendar=Calendar(release=hours("Mon-Sun 01:00-01:01 UTC")),
    )
    night.deadline_s = 2 * HOUR_S
    await night.live()
    check(night)
    phases = night.phases()
    assert 10 < phases[Phase.RELEASED] < 50
    assert phases[Phase.RELEASED] + phases[Phase.APPROVED] == 60
    night.deadline_s = None
    night.wait = False
    await night.live()
    check_waits(night)
    assert night.phases() == phases
    night.wait = True
    await night.live()
    check(night)
    assert isinstance(last_record(night), RunFinished)
    assert night.phases() == {Phase.RELEASED: 60}
    assert len(effects_of(night)) == 3 * 60


@pytest.mark.anyio
async def test_what_the_pace_holds_back_until_the_window_is_closed_does_not_leave() -> None:
    """Its intent is in the journal, and so is why it was not sent."""
    night = night_of(release=hours("Mon-Sun 01:00-01:01 UTC"), rate=0.25)
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: APPS}
    late = [
        entry.record
        for entry in night.entries()
        if isinstance(entry.record, StepFailed) and entry.record.error.code == "window.closed"
    ]
    assert late != []


@dataclass
class Late(Through):
    """Each release finds its window closed when its turn comes, for so many times."""

    left: Counter[str]

    async def release(self, app_id: str, package_id: str) -> None:
        self.left[app_id] -= 1
        if self.left[app_id] >= 0:
            raise WindowClosed("window.closed", "late")
        await super().release(app_id, package_id)


@pytest.mark.anyio
async def test_however_often_a_window_closes_too_soon_no_app_fails_because_of_it() -> None:
    left = Counter(dict.fromkeys(app_ids(APPS), 3 * Policy().attempts))
    night = night_of(around_platform=partial(Late, left=left))
    await night.live()
    assert night.phases() == {Phase.RELEASED: APPS}


class OneNotice:
    """A feed that says one thing at a time of its own, and nothing else for ever."""

    quiet_s = 24 * HOUR_S

    def __init__(self, notice: Notice, at_s: float) -> None:
        self._notice, self._at_s = notice, at_s

    async def next(self) -> tuple[Notice, ...]:
        await anyio.sleep_until(self._at_s)
        self._at_s = float("inf")
        return (self._notice,)


@pytest.mark.anyio
async def test_a_notice_about_an_app_that_waits_for_its_window_is_a_look_and_no_release() -> None:
    app_id = app_ids(1)[0]
    feed = OneNotice(Notice(app_id, "PACKAGE_AUDIT_PASS"), 3 * HOUR_S)
    night = night_of(release=hours("Tue 06:00-07:00 UTC"), feed=feed)
    await night.live()
    check(night)
    waiting = [
        (sent.app_id, sent.endpoint)
        for sent in night.witness.sent
        if 2.9 * HOUR_S < sent.at < 6 * HOUR_S - 1
    ]
    assert waiting == [(app_id, Endpoint.PACKAGES)]
    assert night.phases() == {Phase.RELEASED: APPS}


# The clock is moved.


@pytest.mark.anyio
@pytest.mark.parametrize("back_s", [2 * HOUR_S, 30 * HOUR_S])
async def test_a_clock_that_is_set_back_while_apps_wait_releases_by_what_it_shows(
    back_s: float,
) -> None:
    wall = VirtualWall({5 * HOUR_S: -back_s})
    night = night_of(release=hours("Mon-Sun 06:00-07:00 UTC"), wall=wall)
    await night.live()
    check(night)
    assert night.phases() == {Phase.RELEASED: APPS}
    assert 6 <= min(sent_at(night, Endpoint.RELEASE)).hour < 7


@pytest.mark.anyio
async def test_a_clock_that_is_set_forward_is_noticed_within_a_minute() -> None:
    wall = VirtualWall({HOUR_S + 1: 5 * HOUR_S})
    night = night_of(release=hours("Mon-Sun 06:00-07:00 UTC"), wall=wall)
    await night.live()
    check(night)
    assert anyio.current_time() < HOUR_S + 180


@pytest.mark.anyio
async def test_a_clock_that_leaves_the_window_behind_releases_the_day_after() -> None:
    wall = VirtualWall({5.5 * HOUR_S: 2 * HOUR_S})
    night = night_of(release=hours("Mon-Sun 06:00-07:00 UTC"), wall=wall)
    await night.live()
    check(night)
    assert {at.date() for at in sent_at(night, Endpoint.RELEASE)} == {date(2026, 11, 25)}


# Nights on which clocks change.


def at_utc(text: str) -> float:
    """Return the virtual time of a moment in UTC."""
    return (datetime.fromisoformat(f"{text}+00:00") - EPOCH).total_seconds()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("window", "begin", "first"),
    [
        ("Sun 02:30-04:00 Europe/Berlin", "2027-03-28 00:00", "2027-03-28 01:00"),
        ("Sun 02:15-02:45 Europe/Berlin", "2027-03-28 00:00", "2027-04-04 00:15"),
        ("Sun 02:30-02:45 Europe/Berlin", "2027-10-31 00:35", "2027-10-31 00:35"),
        ("Sun 02:30-02:45 Europe/Berlin", "2027-10-31 00:46", "2027-10-31 01:30"),
        ("Sun 02:30-04:00 America/New_York", "2027-03-14 06:00", "2027-03-14 07:00"),
        ("Sun 01:30-01:45 America/New_York", "2027-11-07 05:46", "2027-11-07 06:30"),
        ("Sun 02:30-04:00 Asia/Shanghai", "2027-03-27 18:00", "2027-03-27 18:30"),
    ],
)
def test_the_night_of_a_change_goes_by_what_the_clock_on_the_wall_shows(
    window: str, begin: str, first: str
) -> None:
    scenario = Scenario(behaviour=Behaviour(build_s=(0.1, 0.5), audit_s=(0.1, 0.5)))
    night = night_of(release=hours(window), scenario=scenario)
    in_virtual_time(night.live, start_s=at_utc(begin))
    check(night)
    assert night.phases() == {Phase.RELEASED: APPS}
    late_s = (min(sent_at(night, Endpoint.RELEASE)) - EPOCH).total_seconds() - at_utc(first)
    assert 0 <= late_s < 60


# Whatever is drawn.


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 40, 10))
def test_random_windows_with_faults_and_kills_let_nothing_out_and_lose_nothing(first: int) -> None:
    for seed in range(first, first + 10):
        rng = Random(f"hours {seed}")
        drawn = draw(seed, apps=(3, 8))
        drawn.night.calendar = draw_calendar(rng)
        spans = [rng.choice([5.0, 60.0, 600.0, 40_000.0]) for _ in range(6)]
        moments_s = [rng.uniform(0.0, span) for span in spans]
        in_virtual_time(lambda d=drawn, m=moments_s, r=rng: live_through_kills(d.night, m, r))  # type: ignore[misc]  # bound now
        check(drawn.night, drawn.expected)
        assert isinstance(last_record(drawn.night), RunFinished)
