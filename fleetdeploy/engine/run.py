"""One process's part of a run: from the first turn to the last record.

It puts scheduler, pipeline and steering together and ends the journal's part of this process with
one record that says why it ended. It knows no files, signals or HTTP.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

import anyio

from fleetdeploy.core.app_state import is_resting
from fleetdeploy.core.decisions import Policy
from fleetdeploy.core.gates import Course, in_order
from fleetdeploy.core.polling import PollSchedule
from fleetdeploy.core.records import RunFinished, RunStopped, StopReason
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.targets import Target
from fleetdeploy.engine.allowance import Allowance
from fleetdeploy.engine.clearance import Budget, Clearance
from fleetdeploy.engine.flight import Flight
from fleetdeploy.engine.gatekeeper import Gatekeeper
from fleetdeploy.engine.ledger import Ledger
from fleetdeploy.engine.lookout import Crowd, Lookout
from fleetdeploy.engine.opening import Opening
from fleetdeploy.engine.orders import follow_orders
from fleetdeploy.engine.outages import Outages
from fleetdeploy.engine.pipeline import Pipeline
from fleetdeploy.engine.scheduler import PARKED, Next, Scheduler
from fleetdeploy.engine.steering import Steering
from fleetdeploy.engine.waiting import WaitingRoom
from fleetdeploy.errors import FleetError
from fleetdeploy.model import Package, Phase
from fleetdeploy.ports import NoticeFeed, OrderFeed, Platform, WallClock

TURNS_PER_PLACE = 2
"""Turns under way for each call that may be: some wait for the pace or the disk meanwhile."""

CLOCK_CHECK_S = 60.0
CLOCK_MOVED_S = 1.0
"""How often the wall clock is compared with the one that delays are measured by, and how far
they must have come apart to count: more than reading the two takes."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How this process works on the run; none of it changes what is to be done.

    `wait=False` leaves as soon as only people are waited for. `deadline_s` and `grace_s` are
    seconds from the start, and the time that calls under way get to end.
    """

    policy: Policy = field(default_factory=Policy)
    polls: PollSchedule = field(default_factory=PollSchedule)
    in_flight: int = 32
    wait: bool = True
    deadline_s: float | None = None
    grace_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Looks:
    """Packages as the plan saw them, by app id, and when (anyio's clock)."""

    rows: Mapping[str, tuple[Package, ...]]
    looked_at: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Gauges:
    """What the run reads off its surroundings.

    `clock` is on the wall, `calls` counts the requests so far, `per_second` is the pace now, `feed`
    brings notices, `opening` tells what may be sent at this time of day, `orders` what operators
    ask.
    """

    clock: WallClock
    per_second: Callable[[], float]
    calls: Callable[[], Mapping[str, int]] = dict
    feed: NoticeFeed | None = None
    opening: Opening = field(default_factory=Opening)
    orders: OrderFeed | None = None


class Rollout:
    """Works on the apps of one plan until each is at its end, at rest, or something says stop.

    `course` says how the waves follow each other; without one they do so by themselves.
    """

    def __init__(  # noqa: PLR0913 - the composition root names every part
        self,
        targets: Iterable[Target],
        platform: Platform,
        ledger: Ledger,
        steering: Steering,
        *,
        options: RunOptions,
        rng: Random,
        gauges: Gauges,
        course: Course | None = None,
    ) -> None:
        self._targets = tuple(targets)
        self._ledger = ledger
        self._steering = steering
        self._options = options
        self._calls = gauges.calls
        self._opening = gauges.opening
        self._orders = gauges.orders
        self._scheduler: Scheduler[Flight] = Scheduler(
            at_once=options.in_flight * TURNS_PER_PLACE,
            wait=options.wait,
            grace_s=options.grace_s,
            rank=lambda flight: -flight.target.priority,
        )
        # Those whose wave is not open yet.
        self._unopened: dict[str, list[Flight]] = {}
        # Who is to be woken by a notice; nobody, where none come.
        self._flights: dict[str, Flight] = {}
        feed = gauges.feed if options.wait else None
        self._hears = feed is not None
        self.lookout = Lookout(
            options.polls,
            lambda: Crowd(max(1, self._pollers()), gauges.per_second()),
            rng,
            feed,
        )
        self._clearance: Clearance[Flight] = Clearance(
            ledger.state, self._opening, Budget(steering.places, ledger.state)
        )
        waves_of = ((target.app_id, target.wave) for target in self._targets)
        self._course = course or in_order(waves_of)
        self._gatekeeper = Gatekeeper(self._course, ledger, steering, gauges.clock, self._opened)
        self.outages = Outages(
            ledger, gauges.clock, rng, waits=options.wait, apps=self._apps_of_open_waves
        )
        self.outages.on_end = self._wake_stalled
        self._waiting = WaitingRoom(self._clearance, self.outages)
        self._pipeline = Pipeline(
            platform,
            ledger,
            steering,
            options.policy,
            self.lookout,
            waiting=self._waiting,
            allowance=Allowance(platform, gauges.clock),
            outages=self.outages,
        )

    async def work(self, looks: Looks | None = None) -> RunState:
        """Work until nothing is left to do now; return the state, whose last record says why.

        `looks` are what the plan has just seen; those still fresh spare a call.
        Raises `JournalWriteFailed` when the journal broke, and whatever a bug raised, with the
        journal intact. If cancelled: as after a kill.
        """
        self._steering.count_ends(self._ledger.state)
        self._steering.when_stopping(self._scheduler.drain)
        await self._gatekeeper.review()
        self._enter(looks or Looks({}, {}))
        try:
            async with anyio.create_task_group() as tasks:
                if self._options.deadline_s is not None:
                    tasks.start_soon(self._watch_deadline, self._options.deadline_s)
                if self._opening.may_close:
                    tasks.start_soon(self._watch_clock)
                tasks.start_soon(self._gatekeeper.watch)
                if self._orders is not None:
                    tasks.start_soon(self._follow_orders, self._orders)
                tasks.start_soon(self.lookout.follow, self._wake, self._scheduler.hasten)
                await self._scheduler.run(self._turn)
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise first_of(group) from group
        await self._close()
        return self._ledger.state

    async def _turn(self, flight: Flight) -> Next | None:
        """Give an app its turn, and others what it may have made room for."""
        wanted = await self._pipeline.turn(flight)
        await self._gatekeeper.after_turn()
        for called in self._clearance.budget.after_turn(flight.target.app_id):
            self._scheduler.wake(called)
        return wanted

    def _opened(self, wave: str) -> None:
        """Let the apps of a wave go that waited for it."""
        waiting = [flight for flight in self._waiting.parked if flight.target.wave == wave]
        for flight in [*self._unopened.pop(wave, ()), *waiting]:
            self._scheduler.wake(flight)

    def _enter(self, looks: Looks) -> None:
        state = self._ledger.state
        for target in self._targets:
            app = state.apps[target.app_id]
            if app.terminal or is_resting(app, state.until):
                continue
            flight = Flight(target)
            if app.phase is Phase.QUEUED and target.app_id in looks.rows:
                flight.rows = looks.rows[target.app_id]
                flight.looked_at = looks.looked_at[target.app_id]
            if self._hears:
                self._flights[target.app_id] = flight
            if self._clearance.wave_open(target.wave):
                self._scheduler.add(flight, Next(0.0, urgent=app.phase not in _WAITING))
            else:
                self._unopened.setdefault(target.wave, []).append(flight)
                self._scheduler.add(flight, PARKED)

    def _wake(self, app_id: str) -> None:
        """Let a notice about an app bring its next look forward; one of no app of ours is none."""
        flight = self._flights.get(app_id)
        if flight is not None:
            flight.rows = None
            self._waiting.release(flight)
            self.lookout.alert(flight.patience)
            self._scheduler.wake(flight)

    def _apps_of_open_waves(self) -> int:
        members = self._course.members.items()
        return sum(len(app_ids) for wave, app_ids in members if self._clearance.wave_open(wave))

    def _pollers(self) -> int:
        """Count those who wait and look: not for a window, an event or the end of an outage."""
        statistics, waiting = self._scheduler.statistics(), self._waiting
        idle = statistics.parked + len(waiting.held) + len(waiting.stalled)
        return statistics.waiting - idle

    def _wake_stalled(self) -> None:
        """Let those who wait for the end of an outage ask again: one has ended."""
        for flight in self._waiting.stalled:
            self._scheduler.wake(flight)

    async def _watch_clock(self) -> None:
        """Wake those who wait for a window when the clock was set, or stood still as we slept."""
        since_s = self._opening.ahead_s
        while True:
            await anyio.sleep(CLOCK_CHECK_S)
            if abs(self._opening.ahead_s - since_s) > CLOCK_MOVED_S:
                since_s = self._opening.ahead_s
                for flight in self._waiting.held:
                    self._scheduler.wake(flight)

    async def _follow_orders(self, feed: OrderFeed) -> None:
        waves = tuple(dict.fromkeys(target.wave for target in self._targets))
        await follow_orders(feed, self._ledger, self._steering, waves, self._after_orders)

    async def _after_orders(self) -> None:
        """Let go what an order may have let go: who waits for the end of a pause, and waves."""
        for flight in self._waiting.parked:
            self._scheduler.wake(flight)
        await self._gatekeeper.review()

    async def _watch_deadline(self, deadline_s: float) -> None:
        await anyio.sleep(deadline_s)
        self._steering.stop(StopReason.DEADLINE)

    async def _close(self) -> None:
        """Write the one record that says how this process ended."""
        state = self._ledger.state
        calls = dict(self._calls())
        if all(app.terminal for app in state.apps.values()):
            await self._ledger.append(RunFinished(calls=calls))
        elif self._steering.halt is not None:
            halted = self._steering.halt.model_copy(update={"calls": calls})
            await self._ledger.append(halted)
        else:
            reason = self._steering.reason or self._why_idle(state)
            await self._ledger.append(RunStopped(reason=reason, calls=calls))

    def _why_idle(self, state: RunState) -> StopReason:
        resting = all(app.terminal or is_resting(app, state.until) for app in state.apps.values())
        return StopReason.RESTING if resting else StopReason.NO_WAIT


_WAITING = frozenset(
    {
        Phase.PROCESSING,
        Phase.AUDITING,
        Phase.PUBLISHING,
        Phase.REVERTING,
        Phase.LEAVING_AUDIT,
    }
)


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Choose what to tell of several errors at once: a bug if there is one, else one of ours."""
    leaves = list(_leaves(group))
    return next((leaf for leaf in leaves if not isinstance(leaf, FleetError)), leaves[0])


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterable[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
