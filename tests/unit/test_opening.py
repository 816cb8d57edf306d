"""What may be sent now: by the engine before the intent, and at the door before each try."""

from datetime import UTC, datetime, timedelta

import pytest

from fleetdeploy.core.hours import calendar_of, openings
from fleetdeploy.core.lifecycle import Event
from fleetdeploy.core.windows import Calendar, Hours, parse_window
from fleetdeploy.engine.opening import Opening
from fleetdeploy.errors import ExitCode, Remedy, UsageInvalid, WindowClosed
from fleetdeploy.guards.punctual import PunctualPlatform
from fleetdeploy.model import AuditNote, AuditQuota, Bundle, Package, Step, Until
from tests.builders import make_rules
from tests.unit.core_builders import (
    APP,
    make_bundle,
    make_plan,
    make_planned,
    record_of,
    state_of,
)

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
NOTE = AuditNote("content", "remark")


class SetClock:
    """Shows what the test sets it to."""

    def __init__(self, hour: float) -> None:
        self.at = MONDAY + timedelta(hours=hour)

    def now(self) -> datetime:
        return self.at

    def set(self, hour: float) -> None:
        self.at = MONDAY + timedelta(hours=hour)


class Counted:
    """A platform that counts what reaches it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def packages(self, app_id: str) -> tuple[Package, ...]:
        self.calls.append(f"packages {app_id}")
        return ()

    async def audit_quota(self, app_id: str) -> AuditQuota:
        self.calls.append(f"audit_quota {app_id}")
        return AuditQuota(2, 3, 1)

    async def upload(self, app_id: str, bundle: Bundle) -> None:
        self.calls.append(f"upload {app_id} {bundle.direct_commit}")

    async def submit_audit(self, app_id: str, package_id: str, note: AuditNote) -> None:
        self.calls.append(f"submit_audit {app_id} {package_id} {note.remark}")

    async def release(self, app_id: str, package_id: str) -> None:
        self.calls.append(f"release {app_id} {package_id}")

    async def rollback(self, app_id: str, package_id: str) -> None:
        self.calls.append(f"rollback {app_id} {package_id}")

    async def withdraw(self, app_id: str, package_id: str) -> None:
        self.calls.append(f"withdraw {app_id} {package_id}")


DAY = Hours((parse_window("Mon-Fri 09:00-18:00 UTC"),))
NIGHT = Hours((parse_window("Mon-Fri 22:00-06:00 UTC"),))
CALENDAR = Calendar(submit=DAY, release=NIGHT)


# The engine's.


def test_a_step_waits_until_its_own_window_opens() -> None:
    clock = SetClock(12)
    opening = Opening(CALENDAR, clock)
    assert opening.wait_s(Step.RELEASE, make_bundle()) == 10 * 3600
    assert opening.wait_s(Step.SUBMIT_AUDIT, make_bundle()) == 0.0
    clock.set(20.5)
    assert opening.wait_s(Step.RELEASE, make_bundle()) == 1.5 * 3600
    assert opening.wait_s(Step.UPLOAD, make_bundle()) == 0.0
    assert opening.wait_s(Step.UPLOAD, make_bundle(direct_commit=True)) == 12.5 * 3600


def test_a_clock_that_is_set_back_or_forward_is_believed_at_once() -> None:
    clock = SetClock(12)
    opening = Opening(CALENDAR, clock)
    waits = []
    for hour in (12, 13, 23, 6, 5, -3, 12):
        clock.set(hour)
        waits.append(opening.wait_s(Step.RELEASE, make_bundle()) / 3600)
    assert waits == [10, 9, 0, 16, 17, 25, 10]


def test_without_a_calendar_everything_may_be_sent_and_no_clock_is_needed() -> None:
    opening = Opening()
    assert not opening.may_close
    waits = [opening.wait_s(step, make_bundle(direct_commit=True)) for step in Step]
    assert waits == [0.0] * len(Step)


# At the door.


@pytest.mark.anyio
async def test_nothing_leaves_outside_its_hours_and_what_is_free_always_passes() -> None:
    platform, clock = Counted(), SetClock(20)
    punctual = PunctualPlatform(platform, CALENDAR, clock)
    direct = make_bundle(direct_commit=True)
    with pytest.raises(WindowClosed) as caught:
        await punctual.upload("1", direct)
    assert (caught.value.code, caught.value.remedy) == ("window.closed", Remedy.RETRY)
    with pytest.raises(WindowClosed):
        await punctual.submit_audit("1", "2", NOTE)
    with pytest.raises(WindowClosed):
        await punctual.release("1", "2")
    await punctual.packages("1")
    assert await punctual.audit_quota("1") == AuditQuota(2, 3, 1)
    await punctual.upload("1", make_bundle())
    await punctual.rollback("1", "2")
    await punctual.withdraw("1", "2")
    free = ["packages 1", "audit_quota 1", "upload 1 False", "rollback 1 2", "withdraw 1 2"]
    assert platform.calls == free


@pytest.mark.anyio
async def test_inside_its_hours_everything_passes_as_it_is() -> None:
    platform, clock = Counted(), SetClock(12)
    punctual = PunctualPlatform(platform, CALENDAR, clock)
    await punctual.upload("1", make_bundle(direct_commit=True))
    await punctual.submit_audit("1", "2", NOTE)
    clock.set(23)
    await punctual.release("1", "2")
    assert platform.calls == ["upload 1 True", "submit_audit 1 2 remark", "release 1 2"]


# From a plan.


FEAST = {"first": "2026-11-23", "last": "2026-11-23", "zone": "UTC", "reason": "a feast"}


def test_a_plan_s_windows_and_freezes_make_its_calendar() -> None:
    rules = make_rules(
        submit_windows=("Mon-Fri 09:00-18:00 UTC",),
        release_windows=("Mon-Fri 22:00-06:00 UTC",),
    )
    assert calendar_of(rules) == CALENDAR
    frozen = calendar_of(make_rules(freezes=(FEAST,)))
    assert frozen.submit == frozen.release
    assert frozen.release.opens_at(MONDAY) == MONDAY + timedelta(days=1)
    assert calendar_of(make_rules()) == Calendar()


@pytest.mark.parametrize(
    "rules",
    [
        {"release_windows": ("Mon-Fri 22:00-06:00 Mars/Base",)},
        {"freezes": (FEAST | {"zone": "Mars/Base"},)},
    ],
    ids=["window", "freeze"],
)
def test_a_zone_that_this_machine_does_not_know_stops_a_run_before_it_begins(
    rules: dict[str, object],
) -> None:
    with pytest.raises(UsageInvalid, match=r"names no time zone .*: 'Mars/Base'") as caught:
        calendar_of(make_rules(**rules))
    assert caught.value.exit_code is ExitCode.USAGE
    assert "tzdata" in caught.value.hint


UPLOADED = (Event.UPLOAD_STARTED, Event.UPLOAD_SUCCEEDED, Event.AWAIT_UPLOAD_SUCCEEDED)
APPROVED = (
    *UPLOADED,
    Event.SUBMIT_AUDIT_STARTED,
    Event.SUBMIT_AUDIT_SUCCEEDED,
    Event.AWAIT_AUDIT_SUCCEEDED,
)


@pytest.mark.parametrize(
    ("events", "hour", "opens"),
    [
        ((), 12, None),
        (UPLOADED, 12, None),
        (UPLOADED, 20, 33),
        (APPROVED, 12, 22),
        (APPROVED, 23, None),
        ((*APPROVED, Event.RELEASE_STARTED), 12, None),
    ],
)
def test_who_waits_for_a_window_is_read_off_the_journal(
    events: tuple[Event, ...], hour: int, opens: int | None
) -> None:
    rules = make_rules(
        submit_windows=("Mon-Fri 09:00-18:00 UTC",),
        release_windows=("Mon-Fri 22:00-06:00 UTC",),
    )
    plan = make_plan(make_planned()).model_copy(update={"rules": rules})
    state = state_of(*(record_of(event) for event in events))
    expected = {} if opens is None else {APP: MONDAY + timedelta(hours=opens)}
    assert openings(plan, state, MONDAY + timedelta(hours=hour)) == expected


def test_who_rests_or_has_a_zone_that_is_not_known_waits_for_nothing_that_could_be_told() -> None:
    rules = make_rules(release_windows=("Mon-Fri 22:00-06:00 UTC",))
    plan = make_plan(make_planned()).model_copy(update={"rules": rules})
    state = state_of(*(record_of(event) for event in APPROVED))
    state.until = Until.APPROVED
    assert (
        openings(plan, state, MONDAY) == openings(plan, state, MONDAY + timedelta(hours=12)) == {}
    )
    state.until = Until.RELEASED
    unknown = rules.model_copy(update={"release_windows": ("Mon-Fri 22:00-06:00 Mars/Base",)})
    elsewhere = plan.model_copy(update={"rules": unknown})
    assert openings(elsewhere, state, MONDAY + timedelta(hours=12)) == {}
