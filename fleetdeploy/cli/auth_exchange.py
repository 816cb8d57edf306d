"""Exchanging the code of a consent that a person brought, for an app that the person names.

How it works: a code names no app, and neither do the tokens that it is exchanged for. So the
exchange is claimed in the store like any rotation, the platform is asked whose the new access token
is, and only a pair of the right app is kept. In every other case the app is given a pair by a code
that the platform makes for it: that one cannot be another's. A crash at any point leaves a claim,
which the next rotation recovers from.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fleetdeploy.auth.keeper import Credentials
from fleetdeploy.cli.auth_rotating import rotated
from fleetdeploy.cli.render.auth_results import RotationRow, failed_row
from fleetdeploy.cli.render.credentials import instant
from fleetdeploy.core.credentials import (
    AppCredential,
    Intent,
    Rotation,
    claim,
    is_held,
    let_go,
    succeed,
    take_code,
)
from fleetdeploy.core.endings import CODE_OF_ANOTHER_APP, CODE_UNCHECKED, CONSENT_NEEDED
from fleetdeploy.errors import (
    ClientMustAct,
    FleetRefused,
    NotSent,
    PlatformError,
    RateLimited,
    UsageInvalid,
)
from fleetdeploy.model import AuthorizationCode, Grant
from fleetdeploy.ports import CredentialStore, WallClock

Whose = Callable[[Grant], Awaitable[str]]
"""Tells which app a pair is of; empty where the platform does not say."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Takes a code that somebody brought; see the module."""

    credentials: Credentials
    whose: Whose
    clock: WallClock

    async def take(self, code: AuthorizationCode, *, unchecked: bool = False) -> RotationRow:
        """Exchange the code, and keep its pair if it is the app's; durable on return.

        Raises what holds for every app, and what proves that the code was not sent. If cancelled,
        or killed: the app is in doubt, and the next rotation recovers.
        """
        credentials, app_id = self.credentials, code.app_id
        # Before the claim: where this fails nothing was sent, and there is nothing to take back.
        await credentials.tp.token()
        before, claimed = await self._claim(code)
        try:
            grant = await credentials.tp.with_token(
                lambda token: credentials.authority.exchange(token, code.text)
            )
        except (NotSent, RateLimited, FleetRefused):
            await self._take_back(before, claimed)
            raise
        except PlatformError as error:
            return await self._recover(before, _not_exchanged(app_id, error))
        owner = await self.whose(grant)
        if owner == app_id or (unchecked and not owner):
            return await self._keep(app_id, grant)
        wrong = _another_app(app_id, owner) if owner else _untold(app_id)
        return await self._recover(before, wrong)

    async def _claim(self, code: AuthorizationCode) -> tuple[AppCredential, AppCredential]:
        """Announce the exchange; return what was known before, and after it; durable on return.

        The code itself is not kept: another process would spend it without asking whose it is.
        """
        store, now = self._store, self._now()
        seen: list[AppCredential] = []

        def change(credential: AppCredential) -> AppCredential:
            if is_held(credential, store.holder, store.is_alive):
                raise UsageInvalid(
                    f"app {code.app_id} is being renewed by another process right now",
                    hint="the code was not sent: give the same command again in a minute",
                )
            seen[:] = [credential]
            taken = take_code(credential, code, now)
            return claim(taken, Intent(Rotation.EXCHANGE, store.holder, now))

        claimed = await store.change_app(code.app_id, change)
        return seen[0], claimed

    async def _take_back(self, before: AppCredential, claimed: AppCredential) -> None:
        """Let all be as before, but for what somebody else has put in meanwhile."""

        def change(credential: AppCredential) -> AppCredential:
            return before if credential == claimed else let_go(credential)

        await self._store.change_app(before.app_id, change)

    async def _keep(self, app_id: str, grant: Grant) -> RotationRow:
        now = self._now()
        kept = await self._store.change_app(
            app_id, lambda credential: succeed(credential, grant, now)
        )
        return RotationRow(app_id=app_id, renewed=True, expires_at=instant(kept.expires_at))

    async def _recover(self, before: AppCredential, wrong: ClientMustAct) -> RotationRow:
        """Get the app a pair that is its own for certain; tell what was wrong with the code."""
        app_id = before.app_id
        row = await rotated(self.credentials.keeper, app_id, Rotation.RECOVER)
        if row.renewed:
            return (
                row
                if wrong.code != CODE_OF_ANOTHER_APP.code
                else failed_row(app_id, wrong, renewed=True)
            )
        if before == AppCredential(app_id) and row.error and row.error.code == CONSENT_NEEDED.code:
            # Nothing was known of it, and nothing is: the id may have been mistyped.
            await self._store.remove_app(app_id)
        if row.error and wrong.code != CODE_OF_ANOTHER_APP.code:
            wrong.message += f"; nor does the platform give another: {row.error.message}"
        return failed_row(app_id, wrong)

    @property
    def _store(self) -> CredentialStore:
        return self.credentials.store

    def _now(self) -> float:
        return self.clock.now().timestamp()


def _another_app(app_id: str, owner: str) -> ClientMustAct:
    return ClientMustAct(
        CODE_OF_ANOTHER_APP.code,
        f"the code was app {owner}'s and not app {app_id}'s; its tokens were not kept",
        hint=f"the code is spent: type `fleetdeploy auth recover {owner}` for tokens of that app",
    )


def _untold(app_id: str) -> ClientMustAct:
    return ClientMustAct(
        CODE_UNCHECKED.code,
        f"the platform does not tell whether the code was app {app_id}'s, so its tokens were not "
        "kept",
        hint=CODE_UNCHECKED.hint,
    )


def _not_exchanged(app_id: str, error: PlatformError) -> ClientMustAct:
    return ClientMustAct(
        error.code,
        f"app {app_id}: the code brought no tokens: {error.message}",
        hint="is it authorized? Print another link with --redirect-uri",
        errno=error.errno,
        msg=error.msg,
    )
