"""Takes in what the platform pushed, whatever way it came: secrets to the store, hints to the log.

It decides no phase and asks the platform nothing. A push that comes twice, late or out of order
changes nothing that a push in order would not: an older ticket is dropped, a code that was taken
before is not taken again, and that a client has withdrawn its consent is believed only until the
platform has been asked.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from fleetdeploy.core.credentials import need_consent, take_code, take_ticket
from fleetdeploy.model import Notice, Push
from fleetdeploy.ports import CredentialStore, NoticeLog, WallClock

PUSHED: Final = "push"
LISTED: Final = "list"
"""The ways of hearing from the platform, as `NoticeLog.note_alive` knows them."""
LISTENING: Final = "listening"
"""That a receiver has begun: the first push may take as long as a ticket does."""
ALIVE_EVERY_S: Final = 20.0
"""How often a sign of life is written down; what goes by it waits for minutes."""
UNAUTHORIZED: Final = "UNAUTHORIZED"


class Inbox:
    """`on_code` hears of an app whose code is in the store, `on_notice` that the log has grown.

    Both must return at once.
    """

    def __init__(
        self,
        store: CredentialStore,
        log: NoticeLog,
        clock: WallClock,
        *,
        on_code: Callable[[str], None],
        on_notice: Callable[[], None],
    ) -> None:
        self._store = store
        self._log = log
        self._clock = clock
        self._on_code = on_code
        self._on_notice = on_notice
        self._noted_alive = float("-inf")

    async def begin_listening(self) -> None:
        """Note that a receiver is up, before anything has come."""
        await self._log.note_alive(LISTENING, self._now())

    async def take_pushed(self, push: Push) -> None:
        """Take what came to the receiver; it is durable on return, and the way here works."""
        await self.take(push)
        now = self._now()
        if not 0 <= now - self._noted_alive < ALIVE_EVERY_S:
            self._noted_alive = now
            await self._log.note_alive(PUSHED, now)

    async def take(self, push: Push) -> None:
        """Take one push; it is durable on return.

        If cancelled, or killed: what was stored of it stays, and the same push again completes it.
        """
        # The log comes last, since what it knows is not taken again.
        if _matters_to_credentials(push) and not await self._log.knows(push.key):
            await self._keep(push)
        new = await self._log.append([push])
        if new and push.code is not None:
            self._on_code(push.code.app_id)
        if new and push.notice is not None:
            self._on_notice()

    async def _keep(self, push: Push) -> None:
        ticket, code, now = push.ticket, push.code, self._now()
        if ticket is not None:
            # One that says it is from the future would shut out all later ones.
            dated = replace(ticket, created_at=min(ticket.created_at, now))
            await self._store.change_tp(lambda known: take_ticket(known, dated))
        if code is not None:
            await self._store.change_app(code.app_id, lambda known: take_code(known, code, now))
        elif _withdraws(push.notice):
            assert push.notice is not None
            await self._store.change_app(
                push.notice.app_id, lambda known: need_consent(known, now, confirmed=False)
            )

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _matters_to_credentials(push: Push) -> bool:
    return push.ticket is not None or push.code is not None or _withdraws(push.notice)


def _withdraws(notice: Notice | None) -> bool:
    return notice is not None and notice.event == UNAUTHORIZED
