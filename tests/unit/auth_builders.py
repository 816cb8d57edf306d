"""A small platform's side of credentials, and what is put together around it, on virtual time."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import anyio

from fleetdeploy.auth.keeper import Credentials
from fleetdeploy.core.credentials import AppCredential, TpCredential, imported
from fleetdeploy.errors import (
    ClientMustAct,
    FleetRefused,
    PlatformError,
    RequestRefused,
    TokenRefused,
)
from fleetdeploy.model import AuthorizationCode, Grant, PreAuthCode, Template
from fleetdeploy.ports import PushPage, PushWindow, TemplatePage
from fleetdeploy.storage.memory_store import MemoryDisk, MemoryStore

APP = "100"
EPOCH = datetime(2026, 11, 24, tzinfo=UTC)
TICKET = "ticket-1"
NO_RELATION = ClientMustAct("platform.authorization_missing", "not authorized", errno=50032)
TP_REFUSED = TokenRefused("platform.token_refused", "the token is refused", errno=110)
SPENT = ClientMustAct("platform.grant_refused", "used already")


class Wall:
    """The wall clock goes by virtual time, and can be set."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=anyio.current_time() + self.offset_s)

    def unix(self) -> float:
        return self.now().timestamp()


@dataclass
class Desk:
    """An `Authority` that gives tokens and takes each refresh token and code once.

    `errors` are raised in turn by the named method, before it does anything; `lost` after it did.
    `again` are refresh tokens that were sent a second time.
    """

    takes_s: float = 0.1
    lifetime_s: float = 3600.0
    tp_lifetime_s: float = 2_592_000.0
    tickets: set[str] = field(default_factory=lambda: {TICKET})
    authorized: set[str] = field(default_factory=lambda: {APP})
    errors: dict[str, deque[PlatformError]] = field(default_factory=dict)
    lost: dict[str, deque[PlatformError]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    valid: dict[str, str] = field(default_factory=dict)
    tp_tokens: set[str] = field(default_factory=set)
    made: int = 0
    out: int = 0
    most_out: int = 0

    def issue(self, app_id: str) -> Grant:
        """Give an app a pair; its refresh token works once."""
        self.made += 1
        self.valid[f"refresh-{self.made}"] = app_id
        return Grant(f"access-{self.made}", self.lifetime_s, f"refresh-{self.made}")

    def hand_out(self, app_id: str) -> str:
        """Give a code that works once."""
        self.made += 1
        self.valid[f"code-{self.made}"] = app_id
        return f"code-{self.made}"

    async def tp_token(self, ticket: str) -> Grant:
        await self._enter("tp_token")
        if ticket not in self.tickets:
            raise _credentials(FleetRefused("platform.ticket_refused", "bad ticket", errno=50003))
        self.made += 1
        self.tp_tokens.add(f"tp-{self.made}")
        return Grant(f"tp-{self.made}", self.tp_lifetime_s)

    async def pre_auth_code(self, tp_token: str) -> PreAuthCode:
        await self._enter("pre_auth_code", tp_token)
        return PreAuthCode("pre", 1200.0)

    async def exchange(self, tp_token: str, code: str) -> Grant:
        await self._enter("exchange", tp_token)
        return self._spend("exchange", code)

    async def refresh(self, tp_token: str, refresh_token: str) -> Grant:
        await self._enter("refresh", tp_token)
        return self._spend("refresh", refresh_token)

    async def retrieve_code(self, tp_token: str, app_id: str) -> AuthorizationCode:
        await self._enter("retrieve_code", tp_token)
        if app_id not in self.authorized:
            raise NO_RELATION
        return AuthorizationCode(app_id, self.hand_out(app_id), 18_000.0)

    async def templates(self, tp_token: str, page: int) -> TemplatePage:
        await self._enter("templates", tp_token)
        return TemplatePage((Template("754"),) if page == 1 else (), 1)

    async def pushes(self, tp_token: str, window: PushWindow) -> PushPage:
        assert window.start < window.end
        await self._enter("pushes", tp_token)
        raise RequestRefused("platform.no_permission", "no list here", errno=6001)

    async def _enter(self, name: str, tp_token: str | None = None) -> None:
        self.calls.append(name)
        self.out += 1
        self.most_out = max(self.most_out, self.out)
        try:
            await anyio.sleep(self.takes_s)
        finally:
            self.out -= 1
        if errors := self.errors.get(name):
            raise errors.popleft()
        if tp_token is not None and tp_token not in self.tp_tokens:
            raise TP_REFUSED

    def _spend(self, name: str, token: str) -> Grant:
        if token in self.sent:
            self.again.append(token)
        self.sent.append(token)
        app_id = self.valid.pop(token, None)
        if app_id is None:
            raise SPENT
        grant = self.issue(app_id)
        if lost := self.lost.get(name):
            raise lost.popleft()
        return grant


def _credentials(error: FleetRefused) -> FleetRefused:
    error.credentials = True
    return error


@dataclass
class Office:
    """One process's credentials, with everything they stand on in reach."""

    credentials: Credentials
    desk: Desk
    disk: MemoryDisk
    store: MemoryStore
    wall: Wall

    def kept(self, app_id: str = APP) -> AppCredential:
        return self.disk.apps.get(app_id, AppCredential(app_id))

    @property
    def tp(self) -> TpCredential:
        return self.disk.tp


@asynccontextmanager
async def office(
    desk: Desk | None = None,
    disk: MemoryDisk | None = None,
    *,
    name: str = "one",
    store: MemoryStore | None = None,
    ticket: str = TICKET,
) -> AsyncIterator[Office]:
    """Keep credentials for a test; a desk and a disk may outlive several offices."""
    desk, disk, wall = desk or Desk(), disk or MemoryDisk(), Wall()
    store = store or MemoryStore(disk, name)
    async with Credentials.keeping(store, desk, wall, Random(1), ticket=ticket) as credentials:
        yield Office(credentials, desk, disk, store, wall)


async def bring(office: Office, app_id: str = APP) -> Grant:
    """Import a fresh pair, as a person would."""
    grant, now = office.desk.issue(app_id), office.wall.unix()
    pair = imported(AppCredential(app_id), grant.access_token, grant.refresh_token, now)
    await office.store.change_app(app_id, lambda _: pair)
    return grant
