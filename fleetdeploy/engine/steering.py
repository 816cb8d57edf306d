"""Why a run stops starting things: a signal, a deadline, the budget, or the platform's refusal."""

from collections.abc import Callable

from fleetdeploy.core.endings import BUDGET_EXCEEDED
from fleetdeploy.core.records import ErrorNote, HaltCause, RunHalted, StopReason
from fleetdeploy.core.replay import RunState


class Steering:
    """Holds the first reason to stop; later ones change nothing.

    `stopping` is asked before every step that changes something. `on_stop` wakes the scheduler.
    """

    def __init__(self, *, failures_allowed: int) -> None:
        self._failures_allowed = failures_allowed
        self._on_stop: Callable[[], None] = lambda: None
        self.reason: StopReason | None = None
        self.halt: RunHalted | None = None

    @property
    def stopping(self) -> bool:
        return self.reason is not None or self.halt is not None

    def when_stopping(self, on_stop: Callable[[], None]) -> None:
        self._on_stop = on_stop
        if self.stopping:
            on_stop()

    def stop(self, reason: StopReason) -> None:
        """Ask for an orderly end: start nothing new and let flights land."""
        if not self.stopping:
            self.reason = reason
        self._on_stop()

    def stop_for(self, cause: HaltCause, error: ErrorNote) -> None:
        """Halt the run; it goes on only when the cause is mended or somebody says so."""
        if self.halt is None:
            self.halt = RunHalted(cause=cause, error=error)
        self._on_stop()

    def count_failures(self, state: RunState) -> None:
        """Halt when more apps failed or were rejected than the budget allows."""
        if state.failures <= self._failures_allowed:
            return
        error = BUDGET_EXCEEDED.note(
            f"{state.failures} of {len(state.apps)} apps failed or were rejected; "
            f"max_failures allows {self._failures_allowed}"
        )
        self.stop_for(HaltCause.BUDGET, error)
