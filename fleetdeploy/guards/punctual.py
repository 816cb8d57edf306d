"""A platform that sends nothing outside its hours: the last look at the clock before each try.

The engine asks the calendar before it announces a step; between that and the request lies the
queue for the pace, which may take minutes. It waits for no window: that is the engine's.
"""

from fleetdeploy.core.endings import WINDOW_CLOSED
from fleetdeploy.core.windows import Calendar
from fleetdeploy.errors import WindowClosed
from fleetdeploy.model import AuditNote, AuditQuota, Bundle, Package, Step
from fleetdeploy.ports import Platform, WallClock


class PunctualPlatform:
    """Wraps a `Platform` and is one; stands behind the pace, so that nothing waits after it.

    Raises `WindowClosed` where a call would leave outside its hours. Reads always pass, and so
    does what takes something back.
    """

    def __init__(self, platform: Platform, calendar: Calendar, clock: WallClock) -> None:
        self._platform = platform
        self._calendar = calendar
        self._clock = clock

    async def packages(self, app_id: str) -> tuple[Package, ...]:
        return await self._platform.packages(app_id)

    async def audit_quota(self, app_id: str) -> AuditQuota:
        return await self._platform.audit_quota(app_id)

    async def upload(self, app_id: str, bundle: Bundle) -> None:
        self._check(Step.UPLOAD, direct_commit=bundle.direct_commit)
        await self._platform.upload(app_id, bundle)

    async def submit_audit(self, app_id: str, package_id: str, note: AuditNote) -> None:
        self._check(Step.SUBMIT_AUDIT)
        await self._platform.submit_audit(app_id, package_id, note)

    async def release(self, app_id: str, package_id: str) -> None:
        self._check(Step.RELEASE)
        await self._platform.release(app_id, package_id)

    async def rollback(self, app_id: str, package_id: str) -> None:
        await self._platform.rollback(app_id, package_id)

    async def withdraw(self, app_id: str, package_id: str) -> None:
        await self._platform.withdraw(app_id, package_id)

    def _check(self, step: Step, *, direct_commit: bool = False) -> None:
        hours = self._calendar.hours_of(step, direct_commit=direct_commit)
        if not hours.always and not hours.is_open(self._clock.now()):
            raise WindowClosed(WINDOW_CLOSED.code, WINDOW_CLOSED.meaning, hint=WINDOW_CLOSED.hint)
