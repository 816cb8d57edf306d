"""A run in this process: locks and journal around the engine, and what it takes over."""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from random import Random

from fleetdeploy.cli.connect import Link
from fleetdeploy.cli.ordering import take_orders
from fleetdeploy.cli.planning import Planned, policy_of
from fleetdeploy.cli.process import Interrupts, SystemClock, this_holder, this_writer
from fleetdeploy.cli.settings import Settings
from fleetdeploy.cli.watching import Watcher
from fleetdeploy.core.hours import calendar_of
from fleetdeploy.core.orders import by
from fleetdeploy.core.plan import Plan
from fleetdeploy.core.polling import PollSchedule
from fleetdeploy.core.quarantine import Quarantine
from fleetdeploy.core.records import NEED_OVERRIDE, RunResumed, RunStarted, StopReason
from fleetdeploy.core.replay import RunState
from fleetdeploy.engine.ledger import Ledger
from fleetdeploy.engine.opening import Opening
from fleetdeploy.engine.run import Gauges, Looks, Rollout, RunOptions
from fleetdeploy.engine.steering import Steering
from fleetdeploy.errors import OverrideNeeded, PlanMismatch, RunIsPaused, RunLocked
from fleetdeploy.model import Until
from fleetdeploy.ports import Journal, NoticeFeed
from fleetdeploy.receiver.limits import Address
from fleetdeploy.storage.archive import (
    Recorded,
    at_work_since,
    fold,
    left_open_before,
    newer_owners,
    open_apps,
    read_run,
    supersede,
)
from fleetdeploy.storage.locks import Holder
from fleetdeploy.storage.orders_file import OrdersFeed
from fleetdeploy.storage.quarantine_file import change_quarantine
from fleetdeploy.storage.run_dir import RunDir, StateDir


@dataclass(frozen=True, slots=True)
class Manner:
    """How this process is to work on a run: the flags that a resume may set anew."""

    until: Until | None = None
    deadline_s: float | None = None
    wait: bool = True
    override_reason: str | None = None
    listen: Address | None = None

    def after(self, spent_s: float) -> "Manner":
        """Return what is left of it after so many seconds: a deadline counts from the start."""
        if self.deadline_s is None:
            return self
        return replace(self, deadline_s=max(0.0, self.deadline_s - spent_s))


@dataclass(frozen=True, slots=True)
class Seat:
    """A run that this process alone writes: its plan, its state so far, its open journal."""

    run: RunDir
    plan: Plan
    state: RunState
    journal: Journal
    torn_bytes: int


@dataclass(frozen=True, slots=True)
class Watch:
    """Who looks on while a run goes, and may interrupt it."""

    observer: Watcher
    interrupts: Interrupts


@asynccontextmanager
async def take_new(state_dir: StateDir, planned: Planned) -> AsyncGenerator[Seat]:
    """Create a run from a plan and hold it.

    On entry plan and header are durable, whom the plan sets aside is in quarantine, and the apps
    that dead runs had not finished belong to this run. Raises `RunLocked` if a live run works on
    one of the apps, `PlanMismatch` if one was at work on them since the plan was begun,
    `UsageInvalid` if the run id is taken, `StateUnusable`.
    """
    plan, holder = planned.plan, this_holder()
    app_ids = [app.app_id for app in plan.apps]
    with ExitStack() as held:
        with state_dir.exclusive(holder):
            check_no_live_run(state_dir, app_ids)
            _check_not_overtaken(state_dir, app_ids, planned)
            data = (plan.model_dump_json() + "\n").encode()
            run = state_dir.create_run(plan.run_id, data)
            held.enter_context(run.lock(holder))
            _keep_quarantine(state_dir, planned)
        journal, _ = run.open_journal(SystemClock())
        held.callback(journal.close)
        state = fold(plan, (), str(run.journal_path))
        state.apply(await journal.append(_header(run, plan, None)))
        for older in planned.before.unfinished:
            await supersede(older, plan.run_id, app_ids, SystemClock(), holder)
        yield Seat(run, plan, state, journal, 0)


def _check_not_overtaken(state_dir: StateDir, app_ids: Iterable[str], planned: Planned) -> None:
    """Raise `PlanMismatch` if a run came and went on these apps while they were looked at.

    What it sent is not in the looks, nor in what is known of doubt: it would be sent again.
    """
    for run_id, apps in at_work_since(state_dir, planned.before.sizes, app_ids).items():
        raise PlanMismatch(
            f"run {run_id} has been at work on some of these apps since the plan was begun "
            f"({min(apps)}): nothing was sent",
            hint="give the same command again",
        )


def _keep_quarantine(state_dir: StateDir, planned: Planned) -> None:
    """Keep what the plan says of the quarantine, but for what somebody has typed since."""
    entries = [app.set_aside for app in planned.plan.apps if app.set_aside is not None]
    if not entries and not planned.back:
        return

    def change(quarantine: Quarantine) -> Quarantine:
        let_out = quarantine.let_out_unchanged(planned.back, SystemClock().now())
        return let_out.put_planned(entries, planned.plan.created_at)

    change_quarantine(state_dir.path, change)


@asynccontextmanager
async def take_up(state_dir: StateDir, recorded: Recorded, manner: Manner) -> AsyncGenerator[Seat]:
    """Hold a run that some process left, and record that it goes on.

    Raises `RunLocked` if it is alive or another live run works on one of its apps,
    `OverrideNeeded` if it was halted by our own choice and no reason is given, `RunIsPaused`,
    `JournalDamaged`. What was ordered while nobody worked on it is taken in first.
    """
    holder = this_holder()
    with ExitStack() as held:
        with state_dir.exclusive(holder):
            held.enter_context(recorded.run.lock(holder))
            journal, contents = recorded.run.open_journal(SystemClock())
            held.callback(journal.close)
            state = fold(recorded.plan, contents.entries, str(recorded.run.journal_path))
            check_no_live_run(state_dir, open_apps(state), own=recorded.run.run_id)
        if state.header is None:
            # It was killed before its first record, so there is nothing to judge an order by yet.
            state.apply(await journal.append(_header(recorded.run, recorded.plan, manner.until)))
        else:
            last_order = await take_orders(recorded.run, recorded.plan, state, journal)
            check_halt(recorded.run, state, manner)
            _check_pause(recorded.run, state)
            state.apply(await journal.append(_going_on(recorded.run, state, manner, last_order)))
        if not state.waves_opened:
            await _close_older(state_dir, recorded, holder)
        yield Seat(recorded.run, recorded.plan, state, journal, contents.torn_bytes)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run works with: the platform, the settings, who looks on, and notices if it waits.

    `say` is told of trouble that stops nothing.
    """

    link: Link
    settings: Settings
    watch: Watch
    say: Callable[[str], None]
    feed: NoticeFeed | None = None


async def work(
    seat: Seat, surroundings: Surroundings, manner: Manner, looks: Looks | None = None
) -> RunState:
    """Work on a run until nothing is left to do now; the journal's last record says why."""
    rules, settings = seat.plan.rules, surroundings.settings
    link, watch = surroundings.link, surroundings.watch
    watch.observer.begin(seat.state)
    steering = Steering(
        failures_allowed=rules.failures_allowed,
        blocked_allowed=rules.blocked_allowed,
        halt_on_cause=rules.halt_on_cause,
        known_causes=seat.plan.known_causes(),
        strict=rules.budget is None,
    )
    watch.interrupts.ask_with(lambda: steering.stop(StopReason.SIGNAL))
    options = RunOptions(
        policy=policy_of(rules, settings),
        polls=PollSchedule(settings.poll_initial, settings.poll_max),
        in_flight=rules.in_flight,
        wait=manner.wait,
        deadline_s=manner.deadline_s,
    )
    rollout = Rollout(
        seat.plan.targets(),
        link.platform,
        Ledger(seat.journal, seat.state, watch.observer),
        steering,
        options=options,
        rng=Random(),  # noqa: S311 - jitter, not a secret
        gauges=Gauges(
            SystemClock(),
            link.per_second,
            lambda: link.counts,
            surroundings.feed,
            Opening(calendar_of(rules), SystemClock()),
            OrdersFeed(seat.run.orders, surroundings.say),
        ),
        course=seat.plan.course(),
    )
    link.paced.in_vain = lambda: rollout.outages.platform_is_out
    return await rollout.work(looks)


def _header(run: RunDir, plan: Plan, until: Until | None) -> RunStarted:
    return RunStarted(
        run_id=plan.run_id,
        run_kind=plan.run_kind,
        plan_digest=plan.digest,
        manifest_name=plan.manifest.name,
        manifest_digest=plan.manifest.digest,
        until=until or plan.until,
        writer=this_writer(run.place()),
    )


def _going_on(run: RunDir, state: RunState, manner: Manner, last_order: str | None) -> RunResumed:
    place = run.place()
    return RunResumed(
        until=manner.until or state.until,
        writer=this_writer(place),
        moved=state.is_elsewhere(place),
        override_reason=manner.override_reason,
        last_order=last_order,
    )


async def _close_older(state_dir: StateDir, recorded: Recorded, holder: Holder) -> None:
    """Close what this run has taken over, in case it was killed before it could."""
    app_ids = [app.app_id for app in recorded.plan.apps]
    for older in left_open_before(state_dir, recorded.run.run_id, app_ids):
        await supersede(older, recorded.run.run_id, app_ids, SystemClock(), holder)


def check_halt(run: RunDir, state: RunState, manner: Manner) -> None:
    """Raise `OverrideNeeded` if the run was halted and nobody says why it may go on."""
    halted = state.halted
    if halted is None or halted.cause not in NEED_OVERRIDE or manner.override_reason:
        return
    raise OverrideNeeded(
        f"run {run.run_id} was halted: {halted.error.message}",
        hint=f'fleetdeploy resume {run.run_id} --override-halt "REASON"',
    )


def _check_pause(run: RunDir, state: RunState) -> None:
    if state.paused is None:
        return
    asked = state.paused.asked
    said = f" ({asked.reason})" if asked.reason else ""
    raise RunIsPaused(
        f"run {run.run_id} was paused by {by(asked)}, {asked.at:%Y-%m-%d %H:%M} UTC{said}",
        hint=f"to go on: fleetdeploy resume {run.run_id}",
    )


def check_no_live_run(state_dir: StateDir, app_ids: Iterable[str], own: str = "") -> None:
    """Raise `RunLocked` if another live run works on one of these apps (J6)."""
    wanted = frozenset(app_ids)
    for run in state_dir.live_runs():
        if run.run_id == own or wanted.isdisjoint(open_apps(read_run(run).state)):
            continue
        raise RunLocked(
            f"run {run.run_id} works on some of these apps right now: {run.holder()}",
            hint=f"wait for it, or see fleetdeploy status {run.run_id}",
        )


async def yield_to_newer(state_dir: StateDir, recorded: Recorded) -> Recorded:
    """Close apps that a newer run planned, in case it was killed before it could say so.

    Returns the run as it is then; it may be finished.
    """
    owners: Mapping[str, set[str]] = newer_owners(state_dir, recorded)
    if owners and not recorded.contents.started:
        raise PlanMismatch(
            f"run {recorded.run.run_id} never started, and run {next(iter(owners))} has come since",
            hint="nothing of it was sent; start a new run instead: fleetdeploy run MANIFEST",
        )
    for run_id, app_ids in owners.items():
        await supersede(recorded, run_id, app_ids, SystemClock(), this_holder())
    return read_run(recorded.run) if owners else recorded
