"""What the audit quota allows, when there is more of it, and what a failed read of it means."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from fleetdeploy.core.quota import ASKED_IN_VAIN, must_ask_again, next_period, quota_end, told
from fleetdeploy.core.records import AppFinished, ErrorNote
from fleetdeploy.errors import Remedy
from fleetdeploy.model import AuditQuota, Outcome
from tests.unit.core_builders import APP

TUESDAY = datetime(2026, 11, 24, 3, 7, tzinfo=UTC)
WEEKLY = AuditQuota(quota_type=2, total=3, remaining=0)


def ended(quota: AuditQuota | None) -> AppFinished | None:
    note = quota_end(APP, quota, TUESDAY)
    if note is None:
        return None
    assert isinstance(note.record, AppFinished)
    return note.record


@pytest.mark.parametrize("remaining", [1, 3, None])
def test_an_app_with_something_left_or_without_a_limit_may_submit(remaining: int | None) -> None:
    assert ended(AuditQuota(2, 3, remaining)) is None


def test_an_app_whose_quota_is_not_known_may_submit() -> None:
    assert ended(None) is None


def test_an_app_with_nothing_left_is_blocked_and_told_the_day_of_the_next_week() -> None:
    record = ended(WEEKLY)
    assert record is not None
    assert record.error is not None
    assert (record.app_id, record.outcome) == (APP, Outcome.BLOCKED)
    assert record.error.code == "audit.quota_used_up"
    assert "about Monday 2026-11-30" in record.error.message
    assert "about Monday 2026-11-30" in record.error.hint


def test_where_no_day_is_known_that_is_said() -> None:
    record = ended(AuditQuota(quota_type=7, total=3, remaining=0))
    assert record is not None
    assert record.error is not None
    assert record.error.message.endswith("when a new period begins is not known")
    assert "about" not in record.error.hint


def test_the_platform_s_own_refusal_keeps_its_words_beside_the_day() -> None:
    refusal = ErrorNote(
        code="platform.audit_quota_used_up", message="used up", errno=69013, msg="额度"
    )
    said = told(refusal, WEEKLY, TUESDAY)
    assert (said.code, said.errno, said.msg) == (refusal.code, 69013, "额度")
    assert said.message.startswith("used up; a new period begins about Monday 2026-11-30")


@pytest.mark.parametrize(
    ("now", "begins"),
    [
        ("2026-11-23T00:00:00+08:00", date(2026, 11, 30)),
        ("2026-11-29T23:59:59+08:00", date(2026, 11, 30)),
        ("2026-11-29T15:59:59+00:00", date(2026, 11, 30)),
        ("2026-11-29T16:00:00+00:00", date(2026, 12, 7)),
        ("2026-12-28T12:00:00-05:00", date(2027, 1, 4)),
    ],
)
def test_a_week_begins_on_monday_in_beijing_wherever_we_are(now: str, begins: date) -> None:
    assert next_period(WEEKLY, datetime.fromisoformat(now)) == begins


def test_the_next_week_is_never_today_and_never_more_than_seven_days_away() -> None:
    beijing = timezone(timedelta(hours=8))
    for hours in range(0, 24 * 21, 5):
        now = TUESDAY + timedelta(hours=hours)
        begins = next_period(WEEKLY, now)
        assert begins is not None
        assert begins.weekday() == 0
        assert 1 <= (begins - now.astimezone(beijing).date()).days <= 7


@pytest.mark.parametrize("remedy", [Remedy.RETRY, Remedy.WAIT, Remedy.RECONCILE])
def test_what_may_pass_is_waited_for_but_not_for_ever(remedy: Remedy) -> None:
    waits = [must_ask_again(remedy, failures) for failures in range(1, ASKED_IN_VAIN + 2)]
    assert waits == [True] * (ASKED_IN_VAIN - 1) + [False, False]


@pytest.mark.parametrize("remedy", [Remedy.GIVE_UP, Remedy.PARK, Remedy.REFRESH])
def test_what_will_not_pass_keeps_no_submission_back(remedy: Remedy) -> None:
    assert not must_ask_again(remedy, 1)


def test_what_stops_the_run_does_so_here_too() -> None:
    assert must_ask_again(Remedy.STOP, ASKED_IN_VAIN)
