"""Getting an app a new pair of tokens, so that no kill and no lost answer locks a client out.

It does not decide when a pair is needed (`keeper.py`) nor how often a call may be repeated.

How it works: a rotation is claimed in the store before anything is sent, and the claim goes away
together with the new pair. Whoever finds a claim of a process that lives waits for it; one of a
process that is gone, or of our own whose answer was lost, means that the refresh token may be
spent. Then the platform is asked for a code of the app and the code is exchanged (platform-api.md
3, steps 7 and 5). A code is spent at once and may be lost without harm: the next one is free. The
old refresh token is never sent again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Final

import anyio

from fleetdeploy.auth.tp import TpTokens
from fleetdeploy.core.credentials import (
    AppCredential,
    Intent,
    Rotation,
    abandon,
    awaits_consent,
    choose,
    claim,
    is_held,
    let_go,
    need_consent,
    succeed,
)
from fleetdeploy.core.endings import CONSENT_NEEDED, IN_DOUBT
from fleetdeploy.core.polling import backoff_s
from fleetdeploy.errors import (
    ClientMustAct,
    FleetError,
    FleetRefused,
    NotSent,
    PlatformError,
    RateLimited,
    TokenRefused,
)
from fleetdeploy.model import Grant
from fleetdeploy.ports import Authority, CredentialStore, WallClock

RECOVERIES: Final = 6
"""Codes in a row whose exchange brings nothing, before the app is left for later."""
HELD_PAUSE_S: Final = 0.25
HELD_MAX_S: Final = 120.0
"""A rotation takes a few calls; one that takes longer than this hangs on something else."""
NO_RELATION: Final = frozenset({"platform.authorization_missing"})
"""The platform's word for a client that has withdrawn its consent."""


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A rotation of ours: its kind, and the credential as it was just before."""

    intent: Intent
    before: AppCredential


@dataclass(frozen=True, slots=True)
class _Got:
    """A new pair, and when the call that brought it was sent, in Unix seconds."""

    grant: Grant
    asked_at: float


class Rotator:
    """Rotates one app at a time, as often as it is asked; single flight is the caller's."""

    def __init__(
        self,
        store: CredentialStore,
        authority: Authority,
        tp: TpTokens,
        clock: WallClock,
        rng: Random,
    ) -> None:
        self._store = store
        self._authority = authority
        self._tp = tp
        self._clock = clock
        self._rng = rng

    async def rotate(
        self,
        app_id: str,
        *,
        unless: Callable[[AppCredential], bool] = lambda _: False,
        kind: Rotation | None = None,
    ) -> AppCredential:
        """Get the app a new pair, and return it once it is on disk.

        `unless` recognises a credential that another process has renewed meanwhile; `kind` forces
        the way. Raises `ClientMustAct` where the client has to authorize again, `FleetRefused`
        where nobody gets tokens, else what passes by itself: `NotSent` or `RateLimited`.
        If cancelled, or killed: the claim stays, and the next rotation recovers.
        """
        # Before the claim: where this fails nothing was sent, and there is nothing to take back.
        await self._tp.token()
        waited_s = 0.0
        while True:
            credential, claimed = await self._claim(app_id, unless, kind)
            if claimed is not None:
                return await self._carry_out(claimed)
            if unless(credential):
                return credential
            if awaits_consent(credential, self._now()):
                raise consent_needed(app_id)
            if waited_s >= HELD_MAX_S:
                raise _in_doubt(app_id, "another process has been renewing it for too long")
            await anyio.sleep(HELD_PAUSE_S)
            waited_s += HELD_PAUSE_S

    async def _claim(
        self, app_id: str, unless: Callable[[AppCredential], bool], kind: Rotation | None
    ) -> tuple[AppCredential, _Claimed | None]:
        """Announce a rotation unless there is a reason not to; durable on return."""
        claimed: list[_Claimed] = []
        now = self._now()

        def change(credential: AppCredential) -> AppCredential:
            claimed.clear()
            if (
                unless(credential)
                or is_held(credential, self._store.holder, self._store.is_alive)
                or (kind is None and awaits_consent(credential, now))
            ):
                return credential
            intent = Intent(kind or choose(credential, now), self._store.holder, now)
            claimed.append(_Claimed(intent, credential))
            return claim(credential, intent)

        credential = await self._store.change_app(app_id, change)
        return credential, claimed[0] if claimed else None

    async def _carry_out(self, claimed: _Claimed) -> AppCredential:
        """Spend what was claimed; if it may be spent for nothing, recover."""
        before = claimed.before
        if claimed.intent.kind is not Rotation.RECOVER:
            try:
                got = await self._spend(claimed)
            except (NotSent, RateLimited, FleetRefused):
                await self._take_back(before)
                raise
            except PlatformError:
                # Refused or lost: either way the token or code is of no more use.
                got = await self._recover(claimed)
        else:
            got = await self._recover(claimed)
        return await self._store.change_app(
            before.app_id, lambda credential: succeed(credential, got.grant, got.asked_at)
        )

    async def _spend(self, claimed: _Claimed) -> _Got:
        before, tp_token = claimed.before, await self._tp.token()
        asked_at = self._now()
        try:
            if claimed.intent.kind is Rotation.EXCHANGE:
                grant = await self._authority.exchange(tp_token, before.code)
            else:
                grant = await self._authority.refresh(tp_token, before.refresh_token)
            return _Got(grant, asked_at)
        except TokenRefused:
            self._tp.refused(tp_token)
            raise

    async def _take_back(self, before: AppCredential) -> None:
        """Put back a token or code that certainly did not arrive."""

        def change(credential: AppCredential) -> AppCredential:
            free = let_go(credential)
            if before.code and not free.code:
                free = replace(free, code=before.code, code_expires_at=before.code_expires_at)
            return free

        await self._store.change_app(before.app_id, change)

    async def _recover(self, claimed: _Claimed) -> _Got:
        """Get a pair by a code of the platform.

        Where none comes the doubt stays in the store, but nobody holds it: this process may live
        for weeks and never try again, and the next rotation, whoever makes it, has to recover.
        """
        app_id = claimed.before.app_id
        try:
            return await self._by_code(app_id)
        except FleetError:
            await self._store.change_app(
                app_id, lambda credential: abandon(credential, claimed.intent)
            )
            raise

    async def _by_code(self, app_id: str) -> _Got:
        """Ask for a code and exchange it, until a pair comes back."""
        for attempt in range(1, RECOVERIES + 1):
            try:
                code = await self._tp.with_token(
                    lambda tp_token: self._authority.retrieve_code(tp_token, app_id)
                )
            except PlatformError as error:
                if error.code in NO_RELATION:
                    await self._note_consent(app_id)
                    raise consent_needed(app_id, error) from None
                raise
            try:
                return await self._tp.with_token(partial(self._exchange, code.text))
            except (FleetRefused, RateLimited):
                raise
            except PlatformError:
                # This code is spent or was not good; the next one is free.
                await anyio.sleep(backoff_s(attempt, chance=self._rng.random(), max_s=30.0))
        raise _in_doubt(app_id, f"{RECOVERIES} codes in a row brought nothing")

    async def _exchange(self, code: str, tp_token: str) -> _Got:
        asked_at = self._now()
        return _Got(await self._authority.exchange(tp_token, code), asked_at)

    async def _note_consent(self, app_id: str) -> None:
        now = self._now()
        await self._store.change_app(
            app_id, lambda credential: need_consent(credential, now, confirmed=True)
        )

    def _now(self) -> float:
        return self._clock.now().timestamp()


def consent_needed(app_id: str, error: PlatformError | None = None) -> ClientMustAct:
    """Say that only the client can help, and how."""
    return ClientMustAct(
        CONSENT_NEEDED.code,
        f"app {app_id}: {CONSENT_NEEDED.meaning}",
        hint=CONSENT_NEEDED.hint,
        errno=error.errno if error else None,
        msg=error.msg if error else None,
    )


def _in_doubt(app_id: str, why: str) -> NotSent:
    return NotSent(IN_DOUBT.code, f"app {app_id}: there is no token yet: {why}", hint=IN_DOUBT.hint)
