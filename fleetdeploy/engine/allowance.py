"""Asks for an app's audit quota right before a submission would use some of it.

It decides nothing: what the answer and its failures mean is in `core/quota.py`.
"""

from collections import Counter
from datetime import datetime

from fleetdeploy.core.quota import must_ask_again
from fleetdeploy.errors import PlatformError
from fleetdeploy.model import AuditQuota
from fleetdeploy.ports import Platform, WallClock


class Allowance:
    """Remembers of each app only how often it was asked for in vain."""

    def __init__(self, platform: Platform, clock: WallClock) -> None:
        self._platform = platform
        self._clock = clock
        self._in_vain: Counter[str] = Counter()

    @property
    def now(self) -> datetime:
        """The time of day, by which a period ends."""
        return self._clock.now()

    async def ask(self, app_id: str) -> AuditQuota | None:
        """Return the app's quota, None where the submission has to go without knowing it.

        Raises a `PlatformError` after which it is to be asked again later, or the run stops.
        """
        quota = None
        try:
            quota = await self._platform.audit_quota(app_id)
        except PlatformError as error:
            self._in_vain[app_id] += 1
            if must_ask_again(error.remedy, self._in_vain[app_id]):
                raise
        self._in_vain.pop(app_id, None)
        return quota
