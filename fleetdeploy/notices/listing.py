"""Reads the platform's list of pushes, for where no push can reach us and to fill gaps.

One call for the whole fleet in place of one an app (platform-api.md 2.2). Its rows are the same
messages as pushes and are taken in the same way. Where the list cannot be read nothing is lost:
nobody says then that it is alive, and apps are looked at one by one as before.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

import anyio

from fleetdeploy.errors import PlatformError, PushRefused, StateUnusable
from fleetdeploy.model import Push
from fleetdeploy.notices.inbox import LISTED
from fleetdeploy.ports import NoticeLog, PushPage, PushWindow, WallClock

EVERY_S: Final = 60.0
EVERY_MAX_S: Final = 15 * 60.0
"""Between two tries after errors that last."""
OVERLAP_S: Final = 10 * 60.0
"""A row may appear in the list later than its time says; what is read twice is kept once."""
FIRST_BACK_S: Final = 24 * 3600.0
BACK_MAX_S: Final = 7 * 24 * 3600.0 - 60.0
"""The window may be a week at most."""
PAGES_MAX: Final = 50
"""A bound on one reading: 5,000 pushes in the window; the next one goes on with the rest."""


Ask = Callable[[PushWindow], Awaitable[PushPage]]
"""Reads one page, with a TP token that works; raises `PlatformError`."""


class ListReader:
    """Reads the list once in `EVERY_S`, together with all other processes of the state directory.

    `open_row` decrypts a row and raises `PushRefused`; `take` is durable when it returns;
    `on_read` hears of each reading that went well, and must return at once.
    """

    def __init__(
        self,
        ask: Ask,
        open_row: Callable[[str], Push],
        take: Callable[[Push], Awaitable[None]],
        log: NoticeLog,
        clock: WallClock,
        on_read: Callable[[], None],
    ) -> None:
        self._ask = ask
        self._open_row = open_row
        self._take = take
        self._log = log
        self._clock = clock
        self._on_read = on_read
        self._pause_s = EVERY_S
        self._rest: PushWindow | None = None
        self.problem: str = ""

    async def run(self) -> None:
        """Read until cancelled; what is wrong is kept in `problem` and tried again."""
        while True:
            await self.read_in_turn()
            await anyio.sleep(self._pause_s)

    async def read_in_turn(self) -> None:
        """Read, unless another process has done so just now."""
        try:
            # A little less than the interval, so that our own pause is always long enough.
            if not await self._log.take_turn(LISTED, self._now(), EVERY_S * 0.9):
                return
            await self._read()
        except (PlatformError, StateUnusable) as error:
            self.problem = error.message
            self._pause_s = min(self._pause_s * 2, EVERY_MAX_S)
        else:
            self._pause_s = EVERY_S

    async def _read(self) -> None:
        """Take in all that came since the last reading, with overlap, or what that one left."""
        window = self._rest or await self._window()
        listed, rows, opened, ended = 0, 0, 0, False
        for _ in range(PAGES_MAX):
            page = await self._ask(window)
            listed += page.listed
            rows += len(page.rows)
            opened += await self._take_all(page.rows)
            window = replace(window, offset=window.offset + window.count)
            ended = page.listed < window.count
            if ended:
                break
        self.problem = _problem(listed, rows, opened)
        # Until its end was seen, silence about an app means nothing, and nothing may be skipped.
        self._rest = None if ended or self.problem else window
        if ended and not self.problem:
            await self._conclude(window)
        elif opened:
            self._on_read()

    async def _window(self) -> PushWindow:
        now = self._now()
        last = await self._log.cursor(LISTED)
        # One that is ahead of us was noted while the clock was wrong: nobody knows what it skips.
        known = last if last is not None and last <= now + OVERLAP_S else None
        start = now - FIRST_BACK_S if known is None else known - OVERLAP_S
        return PushWindow(int(max(start, now - BACK_MAX_S)), int(now))

    async def _take_all(self, rows: Sequence[str]) -> int:
        """Take in what can be opened; return how many that were."""
        opened = 0
        for row in rows:
            try:
                push = self._open_row(row)
            except PushRefused:
                continue
            await self._take(push)
            opened += 1
        return opened

    async def _conclude(self, window: PushWindow) -> None:
        """Say that the list is alive, and was read as far as the window goes."""
        await self._log.set_cursor(LISTED, float(window.end))
        await self._log.note_alive(LISTED, float(window.end))
        self._on_read()

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _problem(listed: int, rows: int, opened: int) -> str:
    """Say why a list tells nothing although there is something on it; empty if it does."""
    if opened or not listed:
        return ""
    if not rows:
        return "no row of the list of pushes has a content that can be read"
    return "no row of the list of pushes can be decrypted: check the AES key"
