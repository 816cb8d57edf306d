"""A run's progress as numbers, folded from what an observer is told; draws nothing.

How it works: `Progress` keeps only the phase of each app and moves it through the same table as
the run itself, so it costs a dictionary entry an app and can be asked at any moment.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from fleetdeploy.cli.render.layout import count_of, words
from fleetdeploy.cli.render.outages import out_line
from fleetdeploy.cli.render.safe import safe
from fleetdeploy.cli.render.times import span
from fleetdeploy.core.lifecycle import TERMINAL, event_of, next_phase
from fleetdeploy.core.orders import by
from fleetdeploy.core.outages import out_now
from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    Entry,
    ErrorNote,
    OutageBegan,
    OutageEnded,
    PauseLifted,
    RunHalted,
    RunPaused,
    StepDoubted,
    StepFailed,
)
from fleetdeploy.core.replay import RunState
from fleetdeploy.errors import IllegalTransition
from fleetdeploy.model import Phase, RunKind, Service
from fleetdeploy.ports import Call, CallResult

Clock = Callable[[], float]
"""Seconds from any point, never going back."""

WINDOW_S: Final = 10
"""Calls per second are an average over so long: short enough to see a slow-down."""
CAUSES_KEPT: Final = 3
BEFORE: Final = "looking at the platform"
GOOD: Final = (Phase.RELEASED, Phase.ROLLED_BACK, Phase.WITHDRAWN, Phase.UNCHANGED)
GOALS: Final = {
    RunKind.ROLLOUT: Phase.RELEASED,
    RunKind.ROLLBACK: Phase.ROLLED_BACK,
    RunKind.WITHDRAW: Phase.WITHDRAWN,
}
"""Where a run wants its apps, by its kind."""


class Rate:
    """Counts per second over the last `WINDOW_S` whole seconds."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, int]] = deque(maxlen=WINDOW_S + 1)

    def add(self, now_s: float) -> None:
        second = int(now_s)
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1] = (second, self._seconds[-1][1] + 1)
        else:
            self._seconds.append((second, 1))

    def per_second(self, now_s: float, since_s: float) -> float:
        """Return the average up to now, over less than the window right after the start."""
        recent = sum(n for second, n in self._seconds if second > now_s - WINDOW_S)
        return recent / max(1.0, min(float(WINDOW_S), now_s - since_s))


@dataclass(slots=True)
class Progress:
    """How far a run has come; `phases` holds every app of the run, none before it begins.

    `out` are the services that are out now, and since when.
    """

    started_s: float
    phases: dict[str, Phase] = field(default_factory=dict)
    counts: Counter[Phase] = field(default_factory=Counter)
    results: Counter[CallResult] = field(default_factory=Counter)
    causes: deque[str] = field(default_factory=lambda: deque(maxlen=CAUSES_KEPT))
    halted: str = ""
    out: dict[Service, datetime] = field(default_factory=dict)
    paused: str = ""
    goal: Phase = Phase.RELEASED
    _rate: Rate = field(default_factory=Rate)

    @classmethod
    def of(cls, state: RunState, now_s: float) -> "Progress":
        """Begin where a run is, queued or resumed."""
        progress = cls(now_s)
        progress.begin(state)
        return progress

    def begin(self, state: RunState) -> None:
        """Take the apps of a run in, once it is known; calls before that count too."""
        self.goal = GOALS[state.kind]
        self.paused = _pause(state.paused) if state.paused is not None else ""
        self.phases = {app_id: app.phase for app_id, app in state.apps.items()}
        self.counts = Counter(self.phases.values())
        self.out = {service: outage.since for service, outage in out_now(state.outages).items()}

    @property
    def total(self) -> int:
        return len(self.phases)

    @property
    def done(self) -> str:
        """Say how many are where they should be: `120/300 released`."""
        return f"{self.good}/{self.total} {self.goal.replace('_', ' ')}"

    @property
    def good(self) -> int:
        return sum(self.counts[phase] for phase in GOOD)

    @property
    def ended(self) -> int:
        return sum(self.counts[phase] for phase in TERMINAL)

    def recorded(self, entry: Entry) -> None:
        """Take a record in; one about an app that is not of this run is none of ours."""
        record = entry.record
        if isinstance(record, AnyAppRecord):
            self._move(record)
            if isinstance(record, StepFailed | StepDoubted | AppFinished) and record.error:
                self._remember(f"{safe(record.app_id)}: {_cause(record.error)}")
        elif isinstance(record, RunHalted):
            self.halted = _cause(record.error)
        elif isinstance(record, OutageBegan):
            self.out[record.service] = entry.at
        elif isinstance(record, OutageEnded):
            self.out.pop(record.service, None)
        elif isinstance(record, RunPaused):
            self.paused = _pause(record)
        elif isinstance(record, PauseLifted):
            self.paused = ""

    def _move(self, record: AnyAppRecord) -> None:
        phase = self.phases.get(record.app_id)
        if phase is None:
            return
        try:
            following = next_phase(phase, event_of(record))
        except IllegalTransition:
            # The run itself judges its records; a picture of it must not stop it.
            return
        self.phases[record.app_id] = following
        self.counts[phase] -= 1
        self.counts[following] += 1

    def _remember(self, cause: str) -> None:
        if cause not in self.causes:
            self.causes.append(cause)

    def called(self, call: Call, now_s: float) -> None:
        self.results[call.result] += 1
        self._rate.add(now_s)

    def per_second(self, now_s: float) -> float:
        return self._rate.per_second(now_s, self.started_s)

    def snapshot(self) -> Mapping[Phase, int]:
        """Return the phases that hold apps, in the order of an app's life."""
        return {phase: self.counts[phase] for phase in Phase if self.counts[phase]}


def _pause(paused: RunPaused) -> str:
    """Say who paused the run, and why."""
    said = f" ({paused.asked.reason})" if paused.asked.reason else ""
    return words(f"by {by(paused.asked)}{said}")


def _cause(error: ErrorNote) -> str:
    said = f" ({error.msg})" if error.msg else ""
    return f"{words(f'{error.message}{said}')} [{safe(error.code)}]"


def progress_line(progress: Progress, now_s: float) -> str:
    """Tell the progress in one line: `120/300 released, 12 auditing, 8.2 calls/s, 4m 10s`.

    Apps with nothing to do count as done.
    """
    parts = [*_apps_of(progress), *calls_of(progress, now_s), *outages_of(progress)]
    if progress.paused:
        parts.append(f"paused {progress.paused}")
    if progress.halted:
        parts.append(f"halted: {progress.halted}")
    return ", ".join([*parts, span(now_s - progress.started_s)])


def _apps_of(progress: Progress) -> list[str]:
    if not progress.total:
        return [BEFORE]
    rest = [f"{n} {phase}" for phase, n in progress.snapshot().items() if phase not in GOOD]
    return [progress.done, *rest]


def calls_of(progress: Progress, now_s: float) -> list[str]:
    """Tell the pace, and what went wrong on the wire."""
    told = [f"{progress.per_second(now_s):.1f} calls/s"]
    throttled = progress.results[CallResult.THROTTLED]
    lost = progress.results[CallResult.LOST]
    told += [f"{throttled} throttled"] if throttled else []
    return told + ([f"{count_of(lost, 'answer')} lost"] if lost else [])


def outages_of(progress: Progress) -> list[str]:
    """Tell what the run waits for because it is out."""
    return [out_line(service, since) for service, since in progress.out.items()]
