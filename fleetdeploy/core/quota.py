"""What an app's audit quota allows, and on which day there will be more of it; asks nobody."""

from datetime import date, datetime, timedelta, timezone
from typing import Final

from fleetdeploy.core.decisions import Note
from fleetdeploy.core.endings import QUOTA_USED_UP
from fleetdeploy.core.records import AppFinished, ErrorNote
from fleetdeploy.errors import Remedy
from fleetdeploy.model import AuditQuota, Outcome

WEEK: Final = 2
"""As `quota_type` (platform-api.md 6); no other type is documented."""
REFUSED: Final = "platform.audit_quota_used_up"
"""The code of the platform's own refusal (errno 69013)."""
BEIJING: Final = timezone(timedelta(hours=8), "Asia/Shanghai")
"""Where weeks are assumed to turn. Its clocks are never changed, so no tz data is needed."""
ASKED_IN_VAIN: Final = 3
"""After so many failed reads a submission goes without: the platform refuses it if it must."""

_MAY_PASS: Final = frozenset({Remedy.RETRY, Remedy.WAIT, Remedy.RECONCILE})


def quota_end(app_id: str, quota: AuditQuota | None, now: datetime) -> Note | None:
    """End an app's part in this run if it has no submission left; None where it may submit.

    A quota that could not be read forbids nothing.
    """
    if quota is None or quota.remaining != 0:
        return None
    error = told(QUOTA_USED_UP.note(), quota, now)
    return Note(AppFinished(app_id=app_id, outcome=Outcome.BLOCKED, error=error), error.message)


def told(error: ErrorNote, quota: AuditQuota, now: datetime) -> ErrorNote:
    """Say of a used-up quota when there is a new one, as far as that is known."""
    begins = next_period(quota, now)
    if begins is None:
        message = f"{error.message}; when a new period begins is not known"
        return error.model_copy(update={"message": message})
    day = f"about {begins:%A} {begins} ({BEIJING})"
    return error.model_copy(
        update={
            "message": f"{error.message}; a new period begins {day}",
            "hint": f"run again when the new period has begun, {day}",
        }
    )


def next_period(quota: AuditQuota, now: datetime) -> date | None:
    """Return the first day of the next period; None for a kind of period that nobody explains.

    That a week begins on Monday in Beijing is assumed: docs/unverified.md.
    """
    if quota.quota_type != WEEK:
        return None
    today = now.astimezone(BEIJING).date()
    return today + timedelta(days=7 - today.weekday())


def must_ask_again(remedy: Remedy, failures: int) -> bool:
    """Whether a submission waits after so many failed reads of the quota in a row.

    What stops the run does so here too. What will not pass says nothing of the submission.
    """
    return remedy is Remedy.STOP or (remedy in _MAY_PASS and failures < ASKED_IN_VAIN)
