"""Keeps every app supplied with an access token: renewed early, once, whoever asks.

It implements `ports.TokenSource`. How a new pair is got without locking a client out is
`rotation.py`'s; what is on disk is the store's.

How it works: `prepare` finds the app's credential in memory, else in the store, and judges it by
its time. A good one is left alone, one that is due is renewed in the background, one that is stale
or was refused is renewed while the caller waits. All who wait for the same app wait for the same
rotation, which goes on if they are cancelled.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Final, Self

import anyio
from anyio.abc import TaskGroup

from fleetdeploy.auth.rotation import Rotator, consent_needed
from fleetdeploy.auth.tp import TpTokens
from fleetdeploy.core.credentials import (
    AppCredential,
    Freshness,
    Rotation,
    app_freshness,
    awaits_consent,
    has_code,
)
from fleetdeploy.errors import ClientMustAct, FleetError, TokenRefused
from fleetdeploy.ports import (
    Authority,
    CredentialStore,
    PushPage,
    PushWindow,
    TemplatePage,
    WallClock,
)

LANDING_S: Final = 10.0
"""How long rotations under way may take to end when the keeper is closed: a few calls."""


@dataclass(slots=True)
class _Flight:
    """A rotation under way. `error` is final once `done` is set."""

    done: anyio.Event = field(default_factory=anyio.Event)
    error: FleetError | None = None


@dataclass(frozen=True, slots=True)
class _Refusal:
    token: str = field(repr=False)
    error: TokenRefused


class Keeper:
    """A `TokenSource`; make it with `keeping`, which gives its rotations a place to run."""

    def __init__(
        self, store: CredentialStore, rotator: Rotator, clock: WallClock, tasks: TaskGroup
    ) -> None:
        self._store = store
        self._rotator = rotator
        self._clock = clock
        self._tasks = tasks
        self._known: dict[str, AppCredential] = {}
        self._flights: dict[str, _Flight] = {}
        self._refusals: dict[str, _Refusal] = {}
        self._suspects: dict[str, str] = {}
        self._codes: set[str] = set()

    async def prepare(self, app_id: str) -> None:
        """See to a token that ought to work; see `ports.TokenSource`.

        If cancelled: a rotation under way goes on and is stored.
        """
        if not self._usable(app_id):
            self._known[app_id] = await self._store.app(app_id)
        if not self._usable(app_id):
            self._check_final(app_id)
            await self._renewed(app_id)
        elif self._freshness(app_id) is Freshness.DUE:
            self._take_off(app_id)

    def token(self, app_id: str) -> str | None:
        return self._known[app_id].access_token if self._usable(app_id) else None

    def refused(self, app_id: str, error: TokenRefused, token: str) -> None:
        self._refusals[app_id] = _Refusal(token, error)

    def exchange(self, app_id: str) -> None:
        """Start spending a code that has just come: it may live for a minute only.

        Whatever the rotation fails with, the next `prepare` meets again.
        """
        self._known.pop(app_id, None)
        if app_id in self._flights:
            # What is under way may have been claimed before the code came.
            self._codes.add(app_id)
        else:
            self._take_off(app_id)

    async def exchange_waiting(self) -> None:
        """Start spending every code that came when nobody could; raises `StateUnusable`."""
        for credential in await self._store.apps():
            if has_code(credential, self._now()):
                self.exchange(credential.app_id)

    async def renew(self, app_id: str, kind: Rotation | None = None) -> AppCredential:
        """Rotate an app because somebody says so."""
        self._known[app_id] = await self._rotator.rotate(app_id, kind=kind)
        return self._known[app_id]

    async def land(self) -> None:
        """Wait until no rotation is under way."""
        while self._flights:
            await next(iter(self._flights.values())).done.wait()

    async def _renewed(self, app_id: str) -> None:
        flight = self._take_off(app_id)
        await flight.done.wait()
        if flight.error is not None:
            raise flight.error

    def _take_off(self, app_id: str) -> _Flight:
        """Start a rotation, unless one is under way."""
        flight = self._flights.get(app_id)
        if flight is None:
            flight = self._flights[app_id] = _Flight()
            self._tasks.start_soon(self._fly, app_id, flight)
        return flight

    async def _fly(self, app_id: str, flight: _Flight) -> None:
        known, refused = self._known.get(app_id), self._refused_token(app_id)
        try:
            renewed = await self._rotator.rotate(
                app_id, unless=lambda credential: self._is_new(app_id, credential)
            )
        except FleetError as error:
            flight.error = error
        else:
            self._known[app_id] = renewed
            # Of a refusal of an older token, sent before another one, nothing follows.
            if known is not None and known.access_token == refused:
                self._suspects[app_id] = renewed.access_token
        finally:
            del self._flights[app_id]
            flight.done.set()
        if app_id in self._codes:
            self._codes.discard(app_id)
            self.exchange(app_id)

    def _is_new(self, app_id: str, credential: AppCredential) -> bool:
        """Whether a credential is better than what we know: somebody else has renewed it."""
        known = self._known.get(app_id, AppCredential(app_id))
        fresh = app_freshness(credential, self._now()) is Freshness.GOOD
        other = credential.access_token not in (known.access_token, self._refused_token(app_id))
        settled = credential.intent is None and credential.consent is None
        return fresh and other and settled and not has_code(credential, self._now())

    def _check_final(self, app_id: str) -> None:
        """Raise `ClientMustAct` where a new pair would not help either."""
        credential = self._known[app_id]
        if awaits_consent(credential, self._now()):
            raise consent_needed(app_id)
        refusal = self._refusals.get(app_id)
        if refusal is None or refusal.token != self._suspects.get(app_id):
            return
        # It was new, it is not over by its time, and it was refused all the same.
        if app_freshness(credential, self._now()) is not Freshness.STALE:
            # The next one tries anew: a person may have mended it meanwhile.
            del self._suspects[app_id]
            raise ClientMustAct(
                refusal.error.code,
                f"app {app_id}: a token that was just renewed is refused as well",
                hint="look at the app's authorization in the console, or type "
                "`fleetdeploy auth recover APP`; then run again",
                errno=refusal.error.errno,
                msg=refusal.error.msg,
            )

    def _usable(self, app_id: str) -> bool:
        credential = self._known.get(app_id)
        if credential is None or credential.consent or has_code(credential, self._now()):
            return False
        refused = credential.access_token == self._refused_token(app_id)
        return not refused and self._freshness(app_id) is not Freshness.STALE

    def _refused_token(self, app_id: str) -> str | None:
        refusal = self._refusals.get(app_id)
        return refusal.token if refusal else None

    def _freshness(self, app_id: str) -> Freshness:
        return app_freshness(self._known[app_id], self._now())

    def _now(self) -> float:
        return self._clock.now().timestamp()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a process has of credentials: a token for each app, and one for the platform itself."""

    keeper: Keeper
    tp: TpTokens
    store: CredentialStore
    authority: Authority

    async def pushes(self, window: PushWindow) -> PushPage:
        """Read a page of the platform's list of pushes; raises `PlatformError`s."""
        return await self.tp.with_token(lambda token: self.authority.pushes(token, window))

    async def templates(self, page: int) -> TemplatePage:
        """Read a page of the template library; raises `PlatformError`s."""
        return await self.tp.with_token(lambda token: self.authority.templates(token, page))

    @classmethod
    @asynccontextmanager
    async def keeping(
        cls,
        store: CredentialStore,
        authority: Authority,
        clock: WallClock,
        rng: Random,
        *,
        ticket: str = "",
        landing_s: float = LANDING_S,
    ) -> AsyncGenerator[Self]:
        """Keep credentials while the block runs.

        On leaving, rotations under way are given `landing_s` to end; what is cut off then is
        settled by whoever comes next. `authority` has to keep the pace: nothing here does.
        """
        async with anyio.create_task_group() as tasks:
            tp = TpTokens(store, authority, clock, tasks, ticket=ticket)
            keeper = Keeper(store, Rotator(store, authority, tp, clock, rng), clock, tasks)
            try:
                yield cls(keeper, tp, store, authority)
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(landing_s):
                    await keeper.land()
                tasks.cancel_scope.cancel()
