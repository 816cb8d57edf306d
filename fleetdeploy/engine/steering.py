"""Why a run stops starting things: signal, operator, deadline, budget, shared cause, refusal."""

from collections.abc import Callable, Sequence

from fleetdeploy.core.causes import Cause, KnownCauses
from fleetdeploy.core.endings import BLOCKED_EXCEEDED, BUDGET_EXCEEDED, CAUSE_SHARED
from fleetdeploy.core.records import Asked, ErrorNote, HaltCause, RunHalted, StopReason
from fleetdeploy.core.replay import RunState


class Steering:
    """Holds the first reason to stop; later ones change nothing.

    `stopping` is asked before every step that changes something. `on_stop` wakes the scheduler.
    `halt_on_cause` is how many apps that fail alike halt the run, None where none do;
    `known_causes` are no news of their app and do not count. `strict`: no more steps are to be
    under way than the failures that are allowed could still bear.
    """

    def __init__(
        self,
        *,
        failures_allowed: int,
        blocked_allowed: int | None = None,
        halt_on_cause: int | None = None,
        known_causes: KnownCauses | None = None,
        strict: bool = True,
    ) -> None:
        self._failures_allowed = failures_allowed
        self.places = failures_allowed if strict else None
        self._blocked_allowed = blocked_allowed
        self._halt_on_cause = halt_on_cause
        self._known_causes = known_causes or {}
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

    def stop_for(
        self,
        cause: HaltCause,
        error: ErrorNote,
        *,
        shared: Cause | None = None,
        wave: str | None = None,
        asked: Asked | None = None,
    ) -> None:
        """Halt the run; it goes on only when the cause is mended or somebody says so."""
        if self.halt is None:
            self.halt = RunHalted(cause=cause, error=error, shared=shared, wave=wave, asked=asked)
        self._on_stop()

    def count_ends(self, state: RunState) -> None:
        """Halt when apps share a cause, or when more ended badly than a budget allows.

        To be called after every end of an app, and before the first turn.
        """
        self._count_causes(state)
        failing, blocking = len(state.failing), len(state.blocking)
        if failing > self._failures_allowed:
            error = BUDGET_EXCEEDED.note(
                f"{failing} apps of this rollout failed, were rejected or cancelled; "
                f"max_failures allows {self._failures_allowed}"
            )
            self.stop_for(HaltCause.BUDGET, error)
        if self._blocked_allowed is not None and blocking > self._blocked_allowed:
            error = BLOCKED_EXCEEDED.note(
                f"{blocking} apps of this rollout are blocked; "
                f"max_blocked allows {self._blocked_allowed}"
            )
            self.stop_for(HaltCause.BUDGET, error)

    def _count_causes(self, state: RunState) -> None:
        if self._halt_on_cause is None:
            return
        for cause, app_ids in state.causes.items():
            if len(app_ids) < self._halt_on_cause or cause in state.causes_accepted:
                continue
            struck = [app_id for app_id in app_ids if self._known_causes.get(app_id) != cause]
            if len(struck) >= self._halt_on_cause:
                self.stop_for(HaltCause.CAUSE, _shared(state, struck), shared=cause)


def _shared(state: RunState, app_ids: Sequence[str]) -> ErrorNote:
    """Tell what these apps share, in the platform's words of the last one."""
    error = state.apps[app_ids[-1]].error
    assert error is not None
    words = f" ({error.msg})" if error.msg else ""
    return CAUSE_SHARED.note(
        f"{len(app_ids)} apps share one cause: {error.message}{words}",
        errno=error.errno,
        msg=error.msg or "",
    )
