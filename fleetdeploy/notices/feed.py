"""Follows the log of notices, for a run that waits; writes nothing.

Notices may be put into the log by this process, which nudges, or by another one on the same state
directory, which is found by looking.
"""

from typing import Final

import anyio

from fleetdeploy.errors import StateUnusable
from fleetdeploy.model import Notice
from fleetdeploy.notices.inbox import LISTED, LISTENING, PUSHED
from fleetdeploy.ports import LoggedNotice, NoticeLog, WallClock

TAIL_S: Final = 1.0
"""Between two looks at what another process may have written; each costs some microseconds."""
PUSHES_ALIVE_S: Final = 25 * 60.0
"""A ticket is pushed every 10 minutes (platform-api.md 3): two missing, and pushes do not come."""
LIST_ALIVE_S: Final = 5 * 60.0
"""The list is read every minute: several readings failed in a row."""
QUIET_LISTED_S: Final = 24 * 3600.0
"""The list says what was pushed whether or not it arrived; looking all the same is a last net."""
QUIET_PUSHED_S: Final = 8 * 3600.0
"""A push may be lost for good: the platform repeats it \"several times\" and no more."""


class LogFeed:
    """Implements `ports.NoticeFeed`: what the log is given after `position`."""

    def __init__(
        self, log: NoticeLog, clock: WallClock, position: int, *, tail_s: float = TAIL_S
    ) -> None:
        self._log = log
        self._clock = clock
        self._position = position
        self._tail_s = tail_s
        self._quiet_s = 0.0
        self._nudged = anyio.Event()

    @property
    def quiet_s(self) -> float:
        return self._quiet_s

    def nudge(self) -> None:
        """Be told that this process has put something into the log."""
        self._nudged.set()

    async def next(self) -> tuple[Notice, ...]:
        """Wait for notices, or for a change of `quiet_s`; see `ports.NoticeFeed`."""
        while True:
            quiet_s, logged = await self._look()
            if logged or quiet_s != self._quiet_s:
                self._quiet_s = quiet_s
                self._position = logged[-1].position if logged else self._position
                return tuple(one.notice for one in logged)
            with anyio.move_on_after(self._tail_s):
                await self._nudged.wait()
            self._nudged = anyio.Event()

    async def _look(self) -> tuple[float, tuple[LoggedNotice, ...]]:
        """Return what silence means by now, and what was said.

        A disk that fails takes nothing from a run but its notices.
        """
        try:
            return await self._believed_s(), await self._log.since(self._position)
        except StateUnusable:
            return 0.0, ()

    async def _believed_s(self) -> float:
        """See which ways of hearing from the platform work, and how far silence is believed."""
        now = self._clock.now().timestamp()
        if _within(await self._log.last_alive(LISTED), now, LIST_ALIVE_S):
            return QUIET_LISTED_S
        for kind in (PUSHED, LISTENING):
            if _within(await self._log.last_alive(kind), now, PUSHES_ALIVE_S):
                return QUIET_PUSHED_S
        return 0.0


def _within(at: float | None, now: float, span_s: float) -> bool:
    return at is not None and abs(now - at) <= span_s
