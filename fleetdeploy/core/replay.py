"""The state of a run, folded from its records.

This module knows no files and no effects. `RunState.apply` is the only function that changes a
run's state: the live run calls it with each record it has just made durable, `replay` calls it
with each record of a journal, and so the two cannot differ (J4).

How it works: a run begins as the apps of its plan, all `queued`. Records about an app move that
app through the table in `lifecycle.py`; records about the run change the fields of `RunState`.
`check` refuses a record that the table does not allow before it is written, and `apply` would
refuse it again when it is read.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, assert_never

from fleetdeploy.core.app_state import AppState, advance
from fleetdeploy.core.causes import Cause, cause_of_end
from fleetdeploy.core.endings import SUPERSEDED
from fleetdeploy.core.lifecycle import (
    event_of,
    kinds_of,
)
from fleetdeploy.core.outages import Outage, check_outage, with_outage
from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    CourseRecord,
    Entry,
    OutageBegan,
    OutageEnded,
    OutageRecord,
    PauseLifted,
    RunFinished,
    RunHalted,
    RunPaused,
    RunRecord,
    RunResumed,
    RunStarted,
    RunStopped,
    WaveApproved,
    WaveOpened,
    WaveSettled,
)
from fleetdeploy.core.set_aside import is_set_aside
from fleetdeploy.errors import IllegalTransition
from fleetdeploy.model import Outcome, RunKind, Until


@dataclass(slots=True)
class RunState:
    """A run as its records tell it.

    What records of several apps bring about does not depend on their order: those that become
    durable together may come to the live state in another one.

    `halted` is the last halt that no resume has lifted. `failing` and `blocking` are the apps that
    count against the budgets, those that earlier runs of the rollout left included. `causes` are
    those that apps have failed with, each with its apps; `causes_accepted` those of which somebody
    said that the run goes on all the same, and `waves_accepted` such waves, `waves_kept` those
    that were open then: no later halt rolls them back. `waves_ahead` may go as far as approval.
    `orders` are the requests of operators that were taken in. `outages` are all of the run, in the
    order of their beginning.
    """

    apps: dict[str, AppState]
    header: RunStarted | None = None
    until: Until = Until.RELEASED
    place: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    superseded_by: str | None = None
    halted: RunHalted | None = None
    stopped: RunStopped | None = None
    paused: RunPaused | None = None
    resumes: int = 0
    waves_opened: list[str] = field(default_factory=list)
    waves_ahead: list[str] = field(default_factory=list)
    waves_settled: dict[str, datetime] = field(default_factory=dict)
    waves_approved: dict[str, WaveApproved] = field(default_factory=dict)
    waves_accepted: set[str] = field(default_factory=set)
    waves_kept: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    blocking: set[str] = field(default_factory=set)
    causes: dict[Cause, set[str]] = field(default_factory=dict)
    causes_accepted: set[Cause] = field(default_factory=set)
    orders: set[str] = field(default_factory=set)
    outages: list[Outage] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)

    @classmethod
    def new(
        cls,
        app_ids: Iterable[str],
        in_doubt_before: Iterable[str] = (),
        *,
        failing: Iterable[str] = (),
        blocking: Iterable[str] = (),
    ) -> "RunState":
        """Begin a run: every app queued. Apps come in the order of the plan.

        `failing` and `blocking` count against the budgets from earlier runs of the rollout.
        """
        doubted = frozenset(in_doubt_before)
        return cls(
            {app_id: AppState(app_id, in_doubt_before=app_id in doubted) for app_id in app_ids},
            failing=set(failing),
            blocking=set(blocking),
        )

    @property
    def kind(self) -> RunKind:
        return self.header.run_kind if self.header is not None else RunKind.ROLLOUT

    @property
    def finished(self) -> bool:
        return self.finished_at is not None

    def is_elsewhere(self, place: str) -> bool:
        """Whether a directory is a copy of the one that was written to; False where unknown."""
        return bool(self.place and place) and self.place != place

    def check(self, record: RunRecord | AnyAppRecord) -> None:
        """Raise `IllegalTransition` if `apply` would refuse this record as the next one."""
        self._check_place(record)
        if isinstance(record, AnyAppRecord):
            self._check_kind(record)
            advance(self._app(record.app_id), record)
        elif isinstance(record, OutageRecord):
            check_outage(self.outages, record)

    def apply(self, entry: Entry) -> None:
        """Take one record into the state.

        Raises `IllegalTransition` and changes nothing if it does not fit.
        """
        self._check_place(entry.record)
        if isinstance(entry.record, AnyAppRecord):
            self._check_kind(entry.record)
            app = advance(self._app(entry.record.app_id), entry.record, at=entry.at)
            self.apps[app.app_id] = app
            if app.outcome in SUCCESSES:
                self.failing.discard(app.app_id)
                self.blocking.discard(app.app_id)
            if isinstance(entry.record, AppFinished):
                self._count(entry.record)
        else:
            self._apply_run(entry.record, entry.at)

    def _count(self, end: AppFinished) -> None:
        """Count an end against the budgets, and its cause among those that apps share.

        An app that a newer run took over has not come to an end of its own, and one that is set
        aside was not even tried.
        """
        if end.error is not None and end.error.code == SUPERSEDED.code:
            return
        self.failing.discard(end.app_id)
        self.blocking.discard(end.app_id)
        if is_set_aside(end.error):
            return
        if end.outcome is Outcome.BLOCKED:
            self.blocking.add(end.app_id)
        elif end.outcome not in SUCCESSES:
            self.failing.add(end.app_id)
        cause = cause_of_end(end)
        if cause is not None:
            self.causes.setdefault(cause, set()).add(end.app_id)

    def _check_place(self, record: RunRecord | AnyAppRecord) -> None:
        """Refuse what comes before the header, after the end, or a second header."""
        if self.finished or isinstance(record, RunStarted) != (self.header is None):
            raise IllegalTransition(f"{record.kind} cannot come here")

    def _check_kind(self, record: AnyAppRecord) -> None:
        """Refuse what does not happen in this kind of run, like an upload in a rollback."""
        event = event_of(record)
        if self.kind not in kinds_of(event):
            raise IllegalTransition(f"{event} cannot happen in a {self.kind}")

    def _apply_run(self, record: RunRecord, at: datetime) -> None:
        match record:
            case RunStarted():
                self.header, self.until, self.started_at = record, record.until, at
                self.place = record.writer.place
            case RunResumed():
                self._resume(record)
            case RunStopped():
                self.stopped = record
                self.calls.update(record.calls)
            case RunHalted():
                self.halted = record
                self.calls.update(record.calls)
                if record.asked is not None:
                    self.orders.add(record.asked.order)
            case RunFinished():
                self.finished_at, self.superseded_by = at, record.superseded_by
                self.calls.update(record.calls)
            case OutageBegan() | OutageEnded():
                check_outage(self.outages, record)
                self.outages = with_outage(self.outages, record, at)
            case _:
                self._apply_course(record, at)

    def _apply_course(self, record: CourseRecord, at: datetime) -> None:
        match record:
            case WaveOpened():
                (self.waves_ahead if record.ahead else self.waves_opened).append(record.wave)
            case WaveSettled():
                self.waves_settled[record.wave] = at
            case WaveApproved():
                self.waves_approved[record.wave] = record
                self.orders.add(record.asked.order)
            case RunPaused():
                self.paused = record
                self.orders.add(record.asked.order)
            case PauseLifted():
                self.paused = None
                self.orders.add(record.asked.order)
            case _:
                assert_never(record)

    def _resume(self, record: RunResumed) -> None:
        self.until, self.place = record.until, record.writer.place
        self.resumes += 1
        if record.moved:
            self.apps = {
                app_id: replace(app, in_doubt_before=True) for app_id, app in self.apps.items()
            }
        if record.last_order is not None:
            self.orders.add(record.last_order)
        halted = self.halted
        self.halted = self.stopped = None
        if record.override_reason is None:
            return
        self.failing.clear()
        self.blocking.clear()
        if halted is not None and halted.shared is not None:
            self.causes_accepted.add(halted.shared)
        if halted is not None and halted.wave is not None:
            self.waves_accepted.add(halted.wave)
        if halted is not None and self.waves_opened:
            self.waves_kept.add(self.waves_opened[-1])

    def _app(self, app_id: str) -> AppState:
        try:
            return self.apps[app_id]
        except KeyError:
            raise IllegalTransition(f"app {app_id} is not in this run's plan") from None


SUCCESSES: Final = frozenset(
    {Outcome.RELEASED, Outcome.ROLLED_BACK, Outcome.WITHDRAWN, Outcome.UNCHANGED}
)
"""An app is where it should be; all other ends count against a budget."""


def replay(state: RunState, entries: Sequence[Entry]) -> RunState:
    """Fold a journal into a fresh state, without effects. Any prefix of a valid journal folds.

    Raises `IllegalTransition` at the first record that does not fit.
    """
    for entry in entries:
        state.apply(entry)
    return state
