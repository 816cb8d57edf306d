"""Opens the waves of a run when their turn has come, and halts it where a gate says so.

What comes next is decided in `core/gates.py`; here it is recorded and done.
"""

from collections.abc import Callable
from datetime import timedelta
from math import inf
from typing import assert_never

import anyio

from fleetdeploy.core.app_state import is_resting
from fleetdeploy.core.gates import (
    AllOpen,
    AwaitApproval,
    Course,
    HaltAt,
    Move,
    Open,
    Settle,
    Soak,
    Working,
    next_move,
)
from fleetdeploy.core.records import HaltCause, WaveOpened, WaveSettled
from fleetdeploy.engine.ledger import Ledger
from fleetdeploy.engine.steering import Steering
from fleetdeploy.ports import WallClock

CLOCK_CHECK_S = 60.0
"""A soak is over by the clock on the wall, which may be set or stand still as the machine sleeps:
it is asked at least so often."""

_SECOND = timedelta(seconds=1)


class Gatekeeper:
    """Reviews the course of the waves after each turn; `on_open` is told of each wave it opens."""

    def __init__(
        self,
        course: Course,
        ledger: Ledger,
        steering: Steering,
        clock: WallClock,
        on_open: Callable[[str], None],
    ) -> None:
        self._course = course
        self._ledger = ledger
        self._steering = steering
        self._clock = clock
        self._on_open = on_open
        self._lock = anyio.Lock()
        # How far each wave's apps were found settled, so that a review does not ask them all.
        self._settled: dict[str, int] = {}
        self._move: Move | None = None
        self._changed = anyio.Event()

    async def after_turn(self) -> None:
        """Review, if a turn may have changed what comes next. Raises `JournalWriteFailed`."""
        waits = isinstance(self._move, Soak | AwaitApproval) and not self._opens_ahead()
        if not (waits or isinstance(self._move, AllOpen) or self._busy()):
            await self.review()

    async def review(self) -> None:
        """Do what the course asks for, until it asks for nothing but time, apps or people.

        Raises `JournalWriteFailed`.
        """
        async with self._lock:
            while not self._steering.stopping:
                now = self._clock.now()
                self._move = next_move(self._course, self._ledger.state, now)
                if not await self._do(self._move):
                    break
        self._changed.set()

    async def watch(self) -> None:
        """Review again when time alone brings the next move, until the run stops."""
        while not self._steering.stopping:
            left_s = self._left_s()
            with anyio.move_on_after(left_s):
                await self._changed.wait()
            if self._changed.is_set():
                self._changed = anyio.Event()
            else:
                await self.review()

    async def _do(self, move: Move) -> bool:
        """Record a move and carry it out; say whether there may be another at once."""
        match move:
            case Open(wave, ahead):
                await self._ledger.append(WaveOpened(wave=wave, ahead=ahead))
                self._on_open(wave)
                return True
            case Settle(wave):
                await self._ledger.append(WaveSettled(wave=wave))
                return True
            case HaltAt(wave, error):
                self._steering.stop_for(HaltCause.GATE, error, wave=wave)
                return False
            case Working() | Soak() | AwaitApproval() | AllOpen():
                return False
            case _:
                assert_never(move)

    def _busy(self) -> bool:
        """Whether apps of the wave that is waited for are still under way."""
        if not isinstance(self._move, Working) or self._opens_ahead():
            return False
        state, wave = self._ledger.state, self._move.wave
        members = self._course.members[wave]
        place = self._settled.get(wave, 0)
        while place < len(members):
            app = state.apps[members[place]]
            if not (app.terminal or is_resting(app, state.until)):
                break
            place += 1
        self._settled[wave] = place
        return place < len(members)

    def _opens_ahead(self) -> bool:
        """Whether a first approval would open waves."""
        ready = {*self._ledger.state.waves_opened, *self._ledger.state.waves_ahead}
        return self._course.ahead and len(ready) < len(self._course.waves)

    def _left_s(self) -> float:
        """Return for how long nothing is to be reviewed; without end if time brings nothing."""
        move = self._move
        if not isinstance(move, Soak | AwaitApproval) or move.until is None:
            return inf
        return min(CLOCK_CHECK_S, max(0.0, (move.until - self._clock.now()) / _SECOND))
