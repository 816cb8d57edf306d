"""The third-party platform's own token: made from the latest ticket, renewed before it ends.

A ticket may be used again (platform-api.md 3 says nothing else), so a lost answer does no harm and
nothing has to be announced before it is sent.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio
from anyio.abc import TaskGroup

from fleetdeploy.core.credentials import Freshness, TpCredential, renew_tp, tp_freshness
from fleetdeploy.core.endings import NO_TICKET
from fleetdeploy.errors import FleetError, FleetRefused, TokenRefused
from fleetdeploy.model import Grant
from fleetdeploy.ports import Authority, CredentialStore, WallClock

T = TypeVar("T")

_BAD_TICKET: Final = "platform.ticket_refused"


class TpTokens:
    """One TP token for all who need it; one call to the platform, however many ask at once.

    `ticket` is one from the settings, for where no receiver runs. Renewals before the end go on in
    `tasks`, and their failure is nobody's until the token is really over.
    """

    def __init__(
        self,
        store: CredentialStore,
        authority: Authority,
        clock: WallClock,
        tasks: TaskGroup,
        *,
        ticket: str = "",
    ) -> None:
        self._store = store
        self._authority = authority
        self._clock = clock
        self._tasks = tasks
        self._ticket = ticket
        self._known = TpCredential()
        self._refused = ""
        self._renewing = anyio.Lock()

    async def token(self) -> str:
        """Return a token that ought to work.

        Raises `FleetRefused` where none can be had, and other `PlatformError`s that pass by
        themselves. If cancelled: a renewal under way may still be stored.
        """
        if not self._usable(self._known):
            self._known = await self._store.tp()
        if not self._usable(self._known):
            await self._renew(self._usable)
        elif self._freshness(self._known) is Freshness.DUE and not self._renewing.locked():
            self._tasks.start_soon(self._renew_early)
        return self._known.access_token

    async def with_token(self, call: Callable[[str], Awaitable[T]]) -> T:
        """Make a call with the token, and once more with another if that one is refused.

        Raises what the call raises, and `FleetRefused` where a new token is refused as well.
        """
        token = await self.token()
        try:
            return await call(token)
        except TokenRefused:
            self.refused(token)
        try:
            return await call(await self.token())
        except TokenRefused as error:
            refusal = error
        raise _new_one_refused(refusal)

    def refused(self, token: str) -> None:
        """Be told that the platform refused this token: it is not given again."""
        self._refused = token

    async def renew(self) -> TpCredential:
        """Get another token whatever the present one is like."""
        await self._renew(lambda _: False)
        return self._known

    async def _renew_early(self) -> None:
        try:
            await self._renew(lambda known: self._freshness(known) is Freshness.GOOD)
        except FleetError:
            return

    async def _renew(self, good: Callable[[TpCredential], bool]) -> None:
        """Renew, unless somebody else has done so while we waited."""
        async with self._renewing:
            self._known = await self._store.tp()
            if good(self._known):
                return
            asked_at, grant = await self._grant(self._known)
            self._known = await self._store.change_tp(
                lambda known: renew_tp(known, grant, asked_at)
            )

    async def _grant(self, known: TpCredential) -> tuple[float, Grant]:
        """Try the ticket that was pushed, then the one from the settings.

        Tell also when the token was asked for, from when its lifetime counts.
        """
        tickets = [ticket for ticket in (known.ticket, self._ticket) if ticket]
        refusal = FleetRefused(NO_TICKET.code, NO_TICKET.meaning, hint=NO_TICKET.hint)
        refusal.credentials = True
        for ticket in dict.fromkeys(tickets):
            try:
                asked_at = self._now()
                return asked_at, await self._authority.tp_token(ticket)
            except FleetRefused as error:
                if error.code != _BAD_TICKET:
                    raise
                refusal = error
        raise refusal

    def _usable(self, known: TpCredential) -> bool:
        stale = self._freshness(known) is Freshness.STALE
        return not stale and known.access_token != self._refused

    def _freshness(self, known: TpCredential) -> Freshness:
        return tp_freshness(known, self._now())

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _new_one_refused(error: TokenRefused) -> FleetRefused:
    """Say that a token which was just made is refused: no app can get one."""
    refused = FleetRefused(
        error.code,
        "the third-party platform's token is refused, and a new one as well",
        hint="type `fleetdeploy doctor`; check FLEETDEPLOY_TP_CLIENT_ID and the ticket",
        errno=error.errno,
        msg=error.msg,
    )
    refused.credentials = True
    return refused
