"""Lives through a fate: process after process, deaths, operators, and the runs that follow.

After each life the checkers look. A run must come to its end within a number of lives, and each
life within a time, on the virtual clock: what hangs is a finding like any other.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

import anyio
from anyio.abc import TaskGroup

from fleetdeploy.core.orders import OrderKind
from fleetdeploy.core.records import (
    Entry,
    PauseLifted,
    RunHalted,
    RunPaused,
    RunStopped,
    WaveApproved,
)
from fleetdeploy.core.replay import RunState
from fleetdeploy.model import Phase, RunKind, Until
from fleetdeploy.simulator.endpoints import Endpoint
from fleetdeploy.simulator.faults import Fault, Faults
from fleetdeploy.simulator.outages import Service
from fleetdeploy.simulator.pusher import deliver
from tests.simulator.checkers import complaints, ended, outcomes
from tests.simulator.course_checks import course_complaints
from tests.simulator.fate import Death, Fate, NextRun, Plot
from tests.simulator.harness import Crash, Night, in_virtual_time
from tests.simulator.keyed import KeyedNight, credential_complaints
from tests.simulator.people import go_about
from tests.simulator.plots import DAY_S, NO_HOURS, make_order, newer_content, plot_of
from tests.simulator.strays import Strays

LIVES_MAX: Final = 60
"""Many more than drawn deaths, gates and windows can ask for."""
HELPFUL_FROM: Final = 20
"""From this life on the operator does all there is to do, and each process waits."""
HOUR_S: Final = 3600.0
LANDING_S: Final = 3600.0
"""Much more than a process takes to end after its deadline."""

KILL: Final = "kill"
OUTAGE: Final = "outage"

Met = Counter[tuple[str, str]]
"""How often an app in a phase met a kind of trouble."""


class NotedFaults(Faults):
    """Faults that say whom they meet."""

    def __init__(self, night: Night, note: Callable[[str, str], None]) -> None:
        super().__init__(night.scenario.faults, seed=night.scenario.seed)
        self._note = note

    def draw(self, app_id: str, endpoint: str) -> Fault | None:
        fault = super().draw(app_id, endpoint)
        if fault is not None:
            self._note(app_id, str(fault.kind))
        return fault


@dataclass
class Story:
    """One fate as it is lived: the run at work and those before it, and all that was found."""

    plot: Plot
    night: Night = field(init=False)
    past: list[Night] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    met: Met = field(default_factory=Counter)
    deaths: int = 0
    strays: int = 0
    tasks: TaskGroup | None = None
    helped: int = 0

    def __post_init__(self) -> None:
        self._take_up(replace(self.plot.night, faults=NotedFaults(self.plot.night, self._meet)))

    @property
    def nights(self) -> list[Night]:
        return [*self.past, self.night]

    @property
    def longest_s(self) -> float:
        """How long a process may live."""
        return HOUR_S if isinstance(self.night, KeyedNight) else 2 * DAY_S

    def follow(self, night: Night) -> None:
        """Go on with another run on the same world."""
        self.past.append(self.night)
        self._take_up(night)

    def _take_up(self, night: Night) -> None:
        self.night = night
        see = night.witness.on_send

        def on_send(endpoint: str, params: dict[str, str]) -> None:
            see(endpoint, params)
            self._meet_outage(endpoint, params)

        night.witness.on_send = on_send  # type: ignore[assignment]  # a mapping is a dict here
        self._let_stray()

    def _let_stray(self) -> None:
        """Let requests outlive their processes, once there is a world that they can go on in."""
        night, plot = self.night, self.plot
        if self.tasks is not None and plot.stray_s:
            rng = Random(f"strays {night.seed} {len(self.past)}")
            inner = night.witness.inner
            night.witness.inner = Strays(inner, self.tasks, rng, plot.stray_s, self._strayed)

    def _strayed(self) -> None:
        self.strays += 1

    def begin(self, tasks: TaskGroup) -> None:
        """Be told of the tasks that outlive processes; nobody has lived yet."""
        self.tasks = tasks
        self._let_stray()

    def _meet(self, app_id: str, trouble: str) -> None:
        state = self.night.at_work
        if state is not None and app_id in state.apps:
            self.met[state.apps[app_id].phase, trouble] += 1

    def _meet_outage(self, endpoint: str, params: dict[str, str]) -> None:
        world, now = self.night.world, anyio.current_time()
        if world.began is None:
            return
        out = world.outages.out(Service.PLATFORM, now)
        if out or world.outages.refusal_of(Endpoint(endpoint), now):
            self._meet(world.owner(params.get("access_token", "")), OUTAGE)

    def died(self) -> None:
        self.deaths += 1
        state = self.night.at_work
        for app in state.apps.values() if state else ():
            if not app.terminal:
                self._meet(app.app_id, KILL)

    def look(self, *, over: bool, at: Night | None = None) -> None:
        """Let the checkers look, after a death or at the end of a life of its own."""
        night = at or self.night
        found = [*complaints(night), *course_complaints(night)]
        if over:
            found += ended(night)
        if isinstance(night, KeyedNight):
            found += credential_complaints(night)
        self.found += [line for line in found if not _lawful(night, line)]


def _lawful(night: Night, line: str) -> bool:
    """Whether it is a withdrawal that came as the verdict fell, which nobody can know."""
    return night.kind is RunKind.WITHDRAW and line.startswith("unlawful: withdraw")


def live_through(fate: Fate) -> Story:
    """Live through a fate in virtual time; what was found is in the story, a crash of ours too."""
    story = Story(plot_of(fate))
    try:
        in_virtual_time(lambda: _whole(story))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        story.found.append(f"{type(error).__name__}: {error}")
    return story


async def _whole(story: Story) -> None:
    plot, chance = story.plot, story.plot.chance
    story.night.until = plot.until_first
    async with _world_going(story):
        await _die_all(story, plot.deaths)
        if plot.next_run is NextRun.WITHDRAW and not story.past:
            await _up_to_the_audits(story)
        else:
            await _to_the_end(story, chance)
        if plot.next_run and not story.past and not story.found:
            _follow_up(story, plot.next_run)
            await _die_all(story, plot.next_deaths)
            await _to_the_end(story, chance)
        if plot.stray_s:
            await anyio.sleep(LANDING_S)
            # What was still on its way did no harm either, and was each run's own.
            for night in story.nights:
                story.look(over=False, at=night)


async def _die_all(story: Story, deaths: Sequence[Death]) -> None:
    """Die these deaths, one after the other, up to an end that comes before them."""
    plot, first = story.plot, not story.past
    for number, death in enumerate(deaths):
        await _die(story, death)
        if story.found or story.night.replayed().finished:
            return
        if first and plot.next_run and number == plot.next_after:
            _follow_up(story, plot.next_run)


async def _up_to_the_audits(story: Story) -> None:
    """Live one life that leaves when all that is to come is for people."""
    night = story.night
    if night.replayed().finished or story.found:
        return
    night.wait, night.deadline_s = False, story.longest_s
    if await _ends_by_itself(night):
        story.look(over=True)
    else:
        story.found.append(f"hangs: life {night.lives} did not end by itself")


async def _ends_by_itself(night: Night) -> bool:
    """Let a process live; say whether it did not need to be ended after its deadline."""
    assert night.deadline_s is not None
    with anyio.move_on_after(night.deadline_s + LANDING_S) as scope:
        await night.live()
    return not scope.cancelled_caught


@asynccontextmanager
async def _world_going(story: Story) -> AsyncIterator[None]:
    """Let the platform's courier go about, where there is one, and people in the console."""

    async def post(body: bytes) -> bool:
        night = story.night
        return isinstance(night, KeyedNight) and await night.post(body)

    night = story.night
    if isinstance(night, KeyedNight) and story.plot.chance.random() < 0.7:
        await night.bring_pairs()
    async with anyio.create_task_group() as tasks:
        story.begin(tasks)
        tasks.start_soon(go_about, night.world, story.plot.deeds, night.deeds)
        if isinstance(night, KeyedNight):
            tasks.start_soon(deliver, night.world, post)
        yield
        tasks.cancel_scope.cancel()


async def _die(story: Story, death: Death) -> None:
    """Live until a drawn death, or to an end that comes before it."""
    night = story.night
    night.deadline_s = story.longest_s
    state = await _until(night, death)
    if state is None:
        story.died()
        loose = len(night.data) - night.durable_bytes
        night.data = night.data[: night.durable_bytes + round(loose * death.keep)]
    story.look(over=state is not None)
    await anyio.sleep(death.rest_s)


async def _until(night: Night, death: Death) -> RunState | None:
    dies_at = None if death.record is None else len(night.entries()) + death.record
    crashed = False

    def hook(moment: object, entry: Entry) -> None:
        nonlocal crashed
        if (moment, entry.seq) == (death.moment, dies_at):
            crashed = True
            raise Crash

    try:
        with anyio.move_on_after(None if dies_at is not None else death.after_s):
            return await night.live(hook=hook)
    except Exception:
        if not crashed:
            raise
    return None


async def _to_the_end(story: Story, chance: Random) -> None:
    """Live on, as an operator lets the run, until it is finished."""
    for life in range(LIVES_MAX):
        night = story.night
        if story.found:
            return
        if night.replayed().finished:
            break
        _help(story, chance, all_there_is=life >= HELPFUL_FROM)
        night.deadline_s = chance.choice([600.0, HOUR_S, story.longest_s])
        if not await _ends_by_itself(night):
            story.found.append(f"hangs: life {night.lives} did not end by itself")
            return
        story.look(over=True)
        await anyio.sleep(0.0 if night.wait else chance.choice([0.0, 60.0, HOUR_S]))
    else:
        last = story.night.entries()[-1].record
        story.found.append(f"not finished after {LIVES_MAX} lives: the last said {last.kind}")
        return
    story.found += outcomes(story.night, _expected(story))


def _expected(story: Story) -> Mapping[str, tuple[Phase, ...]]:
    """Return how the apps of the run at work may end, where the draw tells.

    A run after another one may find online what that one had released; or in audit, and have no
    quota left, where its content is another.
    """
    if story.night.kind is not RunKind.ROLLOUT:
        return {}
    found: tuple[Phase, ...] = (Phase.UNCHANGED,) if story.past else ()
    if story.past and story.plot.next_run is NextRun.NEWER:
        found = (Phase.BLOCKED,)
    return {app_id: (*phases, *found) for app_id, phases in story.plot.expected.items()}


def _help(story: Story, chance: Random, *, all_there_is: bool) -> None:
    """Do as an operator may before the next life, by what the journal says."""
    night = story.night
    records = [entry.record for entry in night.entries()]
    last = records[-1] if records else None
    willing = 1.0 if all_there_is else 0.7
    night.override_reason = None
    if isinstance(last, RunHalted) and chance.random() < willing:
        night.override_reason = "go on"
    if isinstance(last, RunStopped) and (all_there_is or chance.random() < willing):
        night.until = Until.RELEASED
    night.wait = night.wait or all_there_is
    if _is_paused(records) and chance.random() < willing:
        _order(story, OrderKind.LIFT)
    said = {record.wave for record in records if isinstance(record, WaveApproved)}
    gated = [wave.name for wave in night.course.waves if wave.gate] if night.course else []
    unsaid = [wave for wave in gated if wave not in said]
    if unsaid and chance.random() < willing:
        _order(story, OrderKind.APPROVE, chance.choice(unsaid))


def _is_paused(records: Sequence[object]) -> bool:
    last = [record for record in records if isinstance(record, RunPaused | PauseLifted)]
    return bool(last) and isinstance(last[-1], RunPaused)


def _order(story: Story, kind: OrderKind, wave: str | None = None) -> None:
    story.helped += 1
    now = anyio.current_time()
    order = make_order(kind, 1000 + story.helped, now, wave)
    due = tuple((at_s, given) for at_s, given in story.night.orders if at_s <= now)
    later = story.night.orders[len(due) :]
    story.night.orders = (*due, (now, order), *later)


def _follow_up(story: Story, next_run: NextRun) -> None:
    """Begin the run that comes after this one, told of its doubts as a plan is."""
    night = story.night
    if next_run.kind is RunKind.ROLLOUT:
        doubted = {app.app_id for app in night.replayed().apps.values() if app.unsettled}
        newer = next_run is NextRun.NEWER
        targets = tuple(newer_content(t) if newer else t for t in night.targets)
        story.follow(night.tomorrow(targets=targets, doubted=frozenset(doubted), orders=()))
        return
    back = night.taken_back(
        next_run.kind,
        course=None,
        orders=(),
        calendar=NO_HOURS,
        failures_allowed=10**6,
        blocked_allowed=None,
        halt_on_cause=None,
        until=Until.RELEASED,
        wait=True,
        override_reason=None,
    )
    if back.targets:
        story.follow(back)
