"""The three narrow ports between the engine and the world, and the clock on the wall."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from fleetdeploy.core.records import AnyAppRecord, Entry, RunRecord
from fleetdeploy.model import AppInfo, AuditNote, AuditQuota, Bundle, Package


class Platform(Protocol):
    """What the engine needs of the platform.

    Each call raises only `PlatformError`s (and cancellation). A call that changes something
    either returns (the platform said yes), raises an error that certainly had no effect, or
    raises `AnswerLost`, after which only reading tells. If cancelled, it may have taken effect.
    """

    async def packages(self, app_id: str) -> tuple[Package, ...]:
        """List the app's packages, in the platform's own order (which means nothing)."""
        ...

    async def upload(self, app_id: str, bundle: Bundle) -> None: ...

    async def submit_audit(self, app_id: str, package_id: str, note: AuditNote) -> None: ...

    async def release(self, app_id: str, package_id: str) -> None: ...

    async def rollback(self, app_id: str, package_id: str) -> None:
        """Ask for the version before; `package_id` is the package now online."""
        ...

    async def withdraw(self, app_id: str, package_id: str) -> None: ...


class Inspector(Protocol):
    """Further reads, for people and preflight; the engine does without."""

    async def package_detail(self, app_id: str, package_id: str | None) -> Package:
        """One package; without an id, the one online."""
        ...

    async def audit_quota(self, app_id: str) -> AuditQuota: ...

    async def app_info(self, app_id: str) -> AppInfo: ...


class Journal(Protocol):
    """The truth about a run; one writer."""

    async def append(self, record: RunRecord | AnyAppRecord) -> Entry:
        """Write one record; it is durable (fdatasync) when this returns.

        If cancelled: the record may or may not be in the journal, and may become durable later.
        Raises `JournalWriteFailed` when it could not be made durable; every later append then
        fails too.
        """
        ...


class CallResult(StrEnum):
    OK = "ok"
    REFUSED = "refused"
    THROTTLED = "throttled"
    LOST = "lost"
    NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it went over the wire, retries counted one by one."""

    endpoint: str
    app_id: str
    result: CallResult
    seconds: float
    code: str = ""


class Observer(Protocol):
    """Is told what happens, after it happened; must return at once and never raise."""

    def recorded(self, entry: Entry) -> None: ...

    def called(self, call: Call) -> None: ...


class WallClock(Protocol):
    def now(self) -> datetime:
        """Return the time of day, aware, in UTC; durations come from anyio's clock instead."""
        ...
