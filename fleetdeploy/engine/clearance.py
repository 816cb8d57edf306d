"""What must hold before a step is sent: its wave is open, no pause, room in the budget, its hours.

It waits for nothing itself and sends nothing: it says for how long a step may not be sent, and who
may have another try.

Strict budgets: a step counts as under way from its intent until the platform shows what became of
it, an audit not included: reviewers take days. While the budget can bear `n` more apps that end
badly, `n` at most are under way, and one where it can bear none. So however they end, the budget
is never exceeded by more than the one that halts the run.
"""

from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Final, Generic, TypeVar

from fleetdeploy.core.app_state import is_resting
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.targets import Target
from fleetdeploy.engine.opening import Opening
from fleetdeploy.model import Phase, Step

Waiter = TypeVar("Waiter")

AT_RISK: Final = frozenset(
    {
        Phase.UPLOADING,
        Phase.PROCESSING,
        Phase.SUBMITTING,
        Phase.RELEASING,
        Phase.PUBLISHING,
        Phase.ROLLING_BACK,
        Phase.REVERTING,
        Phase.WITHDRAWING,
        Phase.LEAVING_AUDIT,
    }
)
"""Something was sent, and what became of it does not show yet."""


class Budget(Generic[Waiter]):
    """How many apps may have a step under way, and who waits for a place.

    `allowed` is how many apps may end badly, None where the budget is soft. A place is taken
    before the intent of a step, and free again when the app is not at risk after its turn; it goes
    to the next in the queue at once, so that nobody overtakes.
    """

    def __init__(self, allowed: int | None, state: RunState) -> None:
        self._allowed = allowed
        self._state = state
        self._taken = {app.app_id for app in state.apps.values() if app.phase in AT_RISK}
        self._queue: list[tuple[int, int, str, Waiter]] = []
        self._queued: set[str] = set()
        self._order = count()

    def take(self, app_id: str) -> bool:
        """Take a place for a step of an app that is about to be sent; False where there is none.

        One that has a place gives it up when there are fewer by now than are taken.
        """
        if self._allowed is None:
            return True
        self._taken.discard(app_id)
        if self._room() <= 0:
            return False
        self._taken.add(app_id)
        return True

    def queue(self, app_id: str, waiter: Waiter, *, priority: int = 0) -> None:
        """Wait for a place; the higher priority first, then the one that came first.

        One who waits already keeps the place in the queue.
        """
        if app_id in self._queued:
            return
        self._queued.add(app_id)
        heappush(self._queue, (-priority, next(self._order), app_id, waiter))

    def after_turn(self, app_id: str) -> list[Waiter]:
        """Give back the place of an app that is not at risk; return those whose turn has come.

        One that has come to its end meanwhile, at the look that a notice asked for, has no turn any
        more, and nobody would give its place back.
        """
        if self._allowed is None:
            return []
        if self._state.apps[app_id].phase not in AT_RISK:
            self._taken.discard(app_id)
        called = []
        while self._queue and self._room() > 0:
            *_, next_id, waiter = heappop(self._queue)
            self._queued.discard(next_id)
            if not self._is_done(next_id):
                self._taken.add(next_id)
                called.append(waiter)
        return called

    def _is_done(self, app_id: str) -> bool:
        app = self._state.apps[app_id]
        return app.terminal or is_resting(app, self._state.until)

    def _room(self) -> int:
        assert self._allowed is not None
        places = max(1, self._allowed - len(self._state.failing))
        return places - len(self._taken)


class Clearance(Generic[Waiter]):
    """Puts the conditions in order; `Waiter` is whatever waits, and is woken by somebody else."""

    def __init__(self, state: RunState, opening: Opening, budget: Budget[Waiter]) -> None:
        self._state = state
        self._opening = opening
        self.budget = budget

    def wave_open(self, wave: str, step: Step | None = None) -> bool:
        """Whether steps of a wave may be sent; without a step, whether any may."""
        if wave in self._state.waves_opened:
            return True
        return wave in self._state.waves_ahead and step is not Step.RELEASE

    def wait_s(self, waiter: Waiter, target: Target, step: Step) -> float:
        """Return for how many seconds a step may not be sent: 0 if it may be, and must be, now.

        Without end where only an event lets it go. A place in the budget is taken with the 0.
        """
        if not self.wave_open(target.wave, step) or self._state.paused is not None:
            return inf
        wait_s = self._opening.wait_s(step, target.bundle)
        if wait_s:
            return wait_s
        if self.budget.take(target.app_id):
            return 0.0
        self.budget.queue(target.app_id, waiter, priority=target.priority)
        return inf
