"""The narrow ports between what decides and the world.

The engine's own are `Platform`, `Journal`, `Observer`, `NoticeFeed` and `OrderFeed`. Credentials
have theirs: `TokenSource` is what a client needs, `Authority` and `CredentialStore` are what keeps
it supplied.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from fleetdeploy.core.credentials import AppCredential, TpCredential
from fleetdeploy.core.orders import Order
from fleetdeploy.core.records import AnyAppRecord, Entry, RunRecord
from fleetdeploy.errors import TokenRefused
from fleetdeploy.model import (
    AppInfo,
    AuditNote,
    AuditQuota,
    AuthorizationCode,
    Bundle,
    Grant,
    Notice,
    Package,
    PreAuthCode,
    Push,
    Template,
)


class Platform(Protocol):
    """What the engine needs of the platform.

    Each call raises only `PlatformError`s (and cancellation). A call that changes something
    either returns (the platform said yes), raises an error that certainly had no effect, or
    raises `AnswerLost`, after which only reading tells. If cancelled, it may have taken effect.
    """

    async def packages(self, app_id: str) -> tuple[Package, ...]:
        """List the app's packages, in the platform's own order (which means nothing)."""
        ...

    async def audit_quota(self, app_id: str) -> AuditQuota: ...

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


class TokenSource(Protocol):
    """Where access tokens of apps come from."""

    async def prepare(self, app_id: str) -> None:
        """See to it that `token` gives one that ought to work; may take calls of its own.

        Raises `PlatformError`s: `ClientMustAct` where no token can be had for this app,
        `FleetRefused` where for none. Call it without a turn at the pacer: it may need one itself.
        """
        ...

    def token(self, app_id: str) -> str | None:
        """Return the app's token without any wait; None if it is gone or over by now."""
        ...

    def refused(self, app_id: str, error: TokenRefused, token: str) -> None:
        """Be told that the platform refused `token`; the next `prepare` finds another or raises."""
        ...


class Authority(Protocol):
    """The platform's side of credentials (platform-api.md 3); each method is one request.

    Raises only `PlatformError`s. After an `AnswerLost` from `refresh` or `exchange` the token or
    code may be spent; all other methods may be repeated.
    """

    async def tp_token(self, ticket: str) -> Grant: ...

    async def pre_auth_code(self, tp_token: str) -> PreAuthCode: ...

    async def exchange(self, tp_token: str, code: str) -> Grant:
        """Turn a code into an app's pair of tokens; the code works once."""
        ...

    async def refresh(self, tp_token: str, refresh_token: str) -> Grant:
        """Turn a refresh token into a new pair; it works once."""
        ...

    async def retrieve_code(self, tp_token: str, app_id: str) -> AuthorizationCode:
        """Ask for a new code of an app that is authorized; each call gives another."""
        ...

    async def templates(self, tp_token: str, page: int) -> "TemplatePage":
        """List a page of the library, counted from 1; it holds 50 at most (platform-api.md 2.1)."""
        ...

    async def pushes(self, tp_token: str, window: "PushWindow") -> "PushPage":
        """Read one page of what was pushed in a span of time (platform-api.md 2.2)."""
        ...


@dataclass(frozen=True, slots=True)
class PushWindow:
    """`start` and `end` are unix seconds, at most a week apart; `offset` counts rows."""

    start: int
    end: int
    offset: int = 0
    count: int = 100


@dataclass(frozen=True, slots=True)
class PushPage:
    """The rows of a page, still sealed; `listed` counts those without content too."""

    rows: tuple[str, ...]
    listed: int


@dataclass(frozen=True, slots=True)
class TemplatePage:
    """One page of the library; `total` is how many it holds, if the answer says."""

    templates: tuple[Template, ...]
    total: int | None


class CredentialStore(Protocol):
    """Credentials that outlive the process; safe with several processes.

    A `change` function is pure and quick, and may run in another thread. It is given the newest
    state and returns the new one; nobody writes in between. What it returns is durable when the
    method returns. If it raises, nothing is changed and the error comes out of the method.
    If cancelled: the change may or may not be stored, never a part of it.
    Raises `StateUnusable` where the disk fails.
    """

    @property
    def holder(self) -> str:
        """The name of this process in an `Intent`, unique among all that ever were."""
        ...

    def is_alive(self, holder: str) -> bool:
        """Say whether the process of that name still lives; certain, on one machine."""
        ...

    async def app(self, app_id: str) -> AppCredential:
        """Return what is known of an app; an empty credential if nothing."""
        ...

    async def apps(self) -> tuple[AppCredential, ...]:
        """Return all apps that something is known of, by app id."""
        ...

    async def change_app(
        self, app_id: str, change: Callable[[AppCredential], AppCredential]
    ) -> AppCredential: ...

    async def remove_app(self, app_id: str) -> bool:
        """Forget an app; say whether there was anything to forget."""
        ...

    async def tp(self) -> TpCredential: ...

    async def change_tp(self, change: Callable[[TpCredential], TpCredential]) -> TpCredential: ...


@dataclass(frozen=True, slots=True)
class LoggedNotice:
    """A notice as it is kept; `position` grows, `received_at` is unix seconds of our clock."""

    position: int
    received_at: float
    notice: Notice


class NoticeLog(Protocol):
    """The notices of the last days, shared by all processes of a state directory; no secrets."""

    async def append(self, pushes: Sequence[Push]) -> int:
        """Keep what is new of these; durable on return. Returns how many were new, tickets too.

        A push whose `key` is known already is not kept again. If cancelled: some of them may be
        kept. Raises `StateUnusable`.
        """
        ...

    async def knows(self, key: str) -> bool:
        """Say whether a push of this key was kept."""
        ...

    async def since(self, position: int) -> tuple[LoggedNotice, ...]:
        """Return the notices after a position, in order; cheap when there are none."""
        ...

    async def end(self) -> int:
        """Return the position of the newest."""
        ...

    async def note_alive(self, kind: str, at: float) -> None:
        """Keep when a way of hearing from the platform last worked (unix seconds)."""
        ...

    async def last_alive(self, kind: str) -> float | None: ...

    async def take_turn(self, what: str, now: float, every_s: float) -> bool:
        """Say whether it is our turn: nobody, in any process, took it within `every_s`."""
        ...

    async def cursor(self, name: str) -> float | None: ...

    async def set_cursor(self, name: str, value: float) -> None: ...


class NoticeFeed(Protocol):
    """Hints about apps, as they come, for a run that waits."""

    @property
    def quiet_s(self) -> float:
        """For how long no notice about an app means that nothing happened to it.

        0 where notices do not come, or cannot be counted on now.
        """
        ...

    async def next(self) -> tuple[Notice, ...]:
        """Wait for notices, or for a change of `quiet_s` (then perhaps none)."""
        ...


class OrderFeed(Protocol):
    """What operators ask of a run, as it comes."""

    async def next(self) -> tuple[Order, ...]:
        """Wait for orders: at first all that there are, then those that were added since.

        In the order in which they were given, each once.
        """
        ...
