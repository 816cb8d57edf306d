"""Credentials and notices in memory, for runs in virtual time; nothing outlives the process.

They make the weakest promises that the ports allow. Several stores may share a `MemoryDisk`: they
are the processes of one state directory, and each can crash by itself.
"""

from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
import anyio.lowlevel

from fleetdeploy.core.credentials import AppCredential, TpCredential
from fleetdeploy.errors import StateUnusable
from fleetdeploy.model import Notice, Push
from fleetdeploy.ports import LoggedNotice, WallClock
from fleetdeploy.storage.memory_journal import Moment
from fleetdeploy.storage.notice_log import ANSWER_MAX, KEEP_S, is_taken

Credential = TypeVar("Credential", AppCredential, TpCredential)
AnyCredential = AppCredential | TpCredential
Hook = Callable[[Moment, AnyCredential, AnyCredential], None]


def _no_hook(moment: Moment, before: AnyCredential, after: AnyCredential) -> None:
    """Let every change pass."""


@dataclass
class MemoryDisk:
    """What survives the processes; `living` are the names of those that have not ended."""

    apps: dict[str, AppCredential] = field(default_factory=dict)
    tp: TpCredential = field(default_factory=TpCredential)
    living: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    _locks: dict[str | None, anyio.Lock] = field(default_factory=dict)

    def bury(self, holder: str) -> None:
        """Let the process of that name be dead: its store fails from now on."""
        self.living.discard(holder)

    def lock(self, app_id: str | None) -> anyio.Lock:
        """Return what one writer of a row holds; without an app it is the platform's own row."""
        return self._locks.setdefault(app_id, anyio.Lock())


class MemoryStore:
    """Implements `ports.CredentialStore`. An exception out of `hook` is the crash of the process.

    The hook is told of each change with the credential before and after it (an empty one for an
    app that is removed). A crash at `Moment.WRITTEN` keeps the old one, a crash at
    `Moment.DURABLE` the new one. A store that crashed or was buried raises `StateUnusable`, also
    out of changes that were under way; of these the disk then keeps nothing.
    """

    def __init__(
        self, disk: MemoryDisk, holder: str, *, latency_s: float = 0, hook: Hook = _no_hook
    ) -> None:
        assert holder not in disk.used
        disk.used.add(holder)
        disk.living.add(holder)
        self._disk = disk
        self._holder = holder
        self._latency_s = latency_s
        self._hook = hook

    @property
    def holder(self) -> str:
        return self._holder

    def close(self) -> None:
        """End the process in good order."""
        self._disk.bury(self._holder)

    def is_alive(self, holder: str) -> bool:
        self._check_alive()
        return holder in self._disk.living

    async def app(self, app_id: str) -> AppCredential:
        await self._read()
        return self._app(app_id)

    async def apps(self) -> tuple[AppCredential, ...]:
        await self._read()
        return tuple(credential for _, credential in sorted(self._disk.apps.items()))

    async def tp(self) -> TpCredential:
        await self._read()
        return self._disk.tp

    async def change_app(
        self, app_id: str, change: Callable[[AppCredential], AppCredential]
    ) -> AppCredential:
        """Change an app; see `ports.CredentialStore`. If cancelled: nothing was changed."""
        async with self._row(app_id):
            before = self._app(app_id)
            after = change(before)
            assert after.app_id == app_id
            await self._make_durable(before, after)
            self._keep(after)
            self._tell(Moment.DURABLE, before, after)
            return after

    async def remove_app(self, app_id: str) -> bool:
        before: list[AppCredential] = []

        def empty(credential: AppCredential) -> AppCredential:
            before.append(credential)
            return AppCredential(app_id)

        after = await self.change_app(app_id, empty)
        return before != [after]

    async def change_tp(self, change: Callable[[TpCredential], TpCredential]) -> TpCredential:
        """Change the platform's own; see `ports.CredentialStore`. If cancelled: nothing was."""
        async with self._row(None):
            before = self._disk.tp
            after = change(before)
            await self._make_durable(before, after)
            self._disk.tp = after
            self._tell(Moment.DURABLE, before, after)
            return after

    def _app(self, app_id: str) -> AppCredential:
        return self._disk.apps.get(app_id) or AppCredential(app_id)

    def _keep(self, credential: AppCredential) -> None:
        """Put an app on the disk; what is empty is not kept."""
        if credential == AppCredential(credential.app_id):
            self._disk.apps.pop(credential.app_id, None)
        else:
            self._disk.apps[credential.app_id] = credential

    @asynccontextmanager
    async def _row(self, app_id: str | None) -> AsyncIterator[None]:
        self._check_alive()
        async with self._disk.lock(app_id):
            self._check_alive()
            yield

    async def _read(self) -> None:
        self._check_alive()
        await anyio.lowlevel.checkpoint()
        self._check_alive()

    async def _make_durable(self, before: AnyCredential, after: AnyCredential) -> None:
        self._tell(Moment.WRITTEN, before, after)
        if self._latency_s:
            await anyio.sleep(self._latency_s)
        else:
            await anyio.lowlevel.checkpoint()
        self._check_alive()

    def _check_alive(self) -> None:
        if self._holder not in self._disk.living:
            raise StateUnusable("the store was lost in a crash")

    def _tell(self, moment: Moment, before: AnyCredential, after: AnyCredential) -> None:
        crashed = True
        try:
            self._hook(moment, before, after)
            crashed = False
        finally:
            if crashed:
                self._disk.bury(self._holder)


class MemoryNoticeLog:
    """Implements `ports.NoticeLog`, for all processes that share it."""

    def __init__(self, clock: WallClock, *, keep_s: float = KEEP_S, latency_s: float = 0) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._latency_s = latency_s
        self._keys: dict[str, float] = {}
        self._notices: list[LoggedNotice] = []
        self._end = 0
        self._facts: dict[str, float] = {}

    async def append(self, pushes: Sequence[Push]) -> int:
        """Keep what is new; see `ports.NoticeLog`. If cancelled: nothing was kept."""
        await self._wait()
        now = self._clock.now().timestamp()
        self._prune(now)
        new = 0
        for push in pushes:
            if push.key not in self._keys:
                self._keys[push.key] = now
                self._keep(push.notice, now)
                new += 1
        return new

    async def knows(self, key: str) -> bool:
        await anyio.lowlevel.checkpoint()
        return key in self._keys

    async def since(self, position: int) -> tuple[LoggedNotice, ...]:
        """Return the notices after a position, 10,000 at most: ask again after the last of them."""
        await anyio.lowlevel.checkpoint()
        start = bisect_right(self._notices, position, key=lambda logged: logged.position)
        return tuple(self._notices[start : start + ANSWER_MAX])

    async def end(self) -> int:
        await anyio.lowlevel.checkpoint()
        return self._end

    async def note_alive(self, kind: str, at: float) -> None:
        """Note that a source of notices spoke."""
        await self._wait()
        self._facts[f"alive:{kind}"] = at

    async def last_alive(self, kind: str) -> float | None:
        """Return when a source last spoke."""
        return await self._fact(f"alive:{kind}")

    async def take_turn(self, what: str, now: float, every_s: float) -> bool:
        """Say whether it is the caller's turn; see `SqliteNoticeLog.take_turn`."""
        await self._wait()
        name = f"turn:{what}"
        if is_taken(self._facts.get(name), now, every_s):
            return False
        self._facts[name] = now
        return True

    async def cursor(self, name: str) -> float | None:
        """Return how far something was read, in the reader's own terms; None if never."""
        return await self._fact(f"cursor:{name}")

    async def set_cursor(self, name: str, value: float) -> None:
        await self._wait()
        self._facts[f"cursor:{name}"] = value

    async def _fact(self, name: str) -> float | None:
        await anyio.lowlevel.checkpoint()
        return self._facts.get(name)

    async def _wait(self) -> None:
        if self._latency_s:
            await anyio.sleep(self._latency_s)
        else:
            await anyio.lowlevel.checkpoint()

    def _keep(self, notice: Notice | None, now: float) -> None:
        self._end += 1
        if notice is not None:
            self._notices.append(LoggedNotice(self._end, now, notice))

    def _prune(self, now: float) -> None:
        """Drop what is too old, oldest first."""
        oldest = now - self._keep_s
        while self._keys and next(iter(self._keys.values())) < oldest:
            del self._keys[next(iter(self._keys))]
        kept = bisect_left(self._notices, oldest, key=lambda logged: logged.received_at)
        del self._notices[:kept]
