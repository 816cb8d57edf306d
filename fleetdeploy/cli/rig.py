"""A run in its surroundings: connected, watched, worked on, and told at the end.

It decides nothing about what is to be run.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import TypeVar

import anyio
import click

from fleetdeploy.cli.connect import Link, connect
from fleetdeploy.cli.hearing import hearing, say_where
from fleetdeploy.cli.options import Desk
from fleetdeploy.cli.ordering import torn_words
from fleetdeploy.cli.planning import Foresee, Planned, Wish, as_seen, limits_of, make_plan
from fleetdeploy.cli.process import Interrupts, SystemClock
from fleetdeploy.cli.render.hours import hours_facts
from fleetdeploy.cli.render.layout import words
from fleetdeploy.cli.render.plan import note_words
from fleetdeploy.cli.render.safe import safe
from fleetdeploy.cli.render.status import render_status
from fleetdeploy.cli.running import Manner, Seat, Surroundings, Watch, take_new, take_up, work
from fleetdeploy.cli.watching import open_watcher
from fleetdeploy.core.hours import calendar_of
from fleetdeploy.core.next_steps import exit_code_of
from fleetdeploy.core.plan import Plan
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.rules import RunRules
from fleetdeploy.core.summary import summarise
from fleetdeploy.engine.run import first_of
from fleetdeploy.errors import ExitCode
from fleetdeploy.ports import NoticeFeed
from fleetdeploy.storage.archive import Recorded

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ending:
    """What a command has to say at last, and the code to leave with.

    `run_id` is the run that was worked on, if any; `interrupted`: a signal ended the work.
    """

    text: str
    code: ExitCode
    run_id: str | None = None
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Rig:
    """A connected platform, those who look on, and what brings notices to a run that waits."""

    desk: Desk
    link: Link
    watch: Watch
    began: float
    feed: NoticeFeed | None = None

    def left(self, manner: Manner) -> Manner:
        """Count the deadline from when this process began, not from when the looks were done."""
        return manner.after(anyio.current_time() - self.began)


@asynccontextmanager
async def rig_up(desk: Desk, rules: RunRules) -> AsyncGenerator[Rig]:
    """Connect, show progress and listen to signals while the block runs."""
    limits, calendar = limits_of(rules), calendar_of(rules)
    interrupts = Interrupts(desk.say)
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(interrupts.watch)
        async with open_watcher(desk) as observer:
            rng = Random()  # noqa: S311 - jitter, not a secret
            async with connect(desk.settings, limits, observer, rng, calendar) as link:
                observer.show_pace(link.per_second)
                yield Rig(desk, link, Watch(observer, interrupts), began)
        tasks.cancel_scope.cancel()


async def interruptible(rig: Rig, act: Callable[[], Awaitable[T]]) -> T:
    """Await something that changes nothing; a signal leaves it at once."""
    with anyio.CancelScope() as scope:
        rig.watch.interrupts.ask_with(scope.cancel)
        return await act()
    code = rig.watch.interrupts.exit_code
    assert code is not None
    raise click.exceptions.Exit(code)


async def in_rig(desk: Desk, rules: RunRules, act: Callable[[Rig], Awaitable[T]]) -> T:
    """Await `act` with a rig, and return what it returns once the rig is down.

    Raises what it raises, and not a group of it: callers go on after some errors.
    """
    try:
        async with rig_up(desk, rules) as rig:
            result = [await act(rig)]
    except BaseExceptionGroup as group:
        raise first_of(group) from group
    return result[0]


async def in_rig_that_hears(
    desk: Desk, rules: RunRules, manner: Manner, act: Callable[[Rig], Awaitable[T]]
) -> T:
    """Do the same with notices from the platform, unless the run does not wait for any."""
    if not manner.wait:
        return await in_rig(desk, rules, act)

    async def hear(rig: Rig) -> T:
        async with hearing(
            desk.settings,
            rig.link.credentials,
            listen=manner.listen,
            on_result=rig.watch.observer.pushed,
        ) as ears:
            if ears.problem:
                desk.say(f"warning: the run goes on without notices: {ears.problem}")
            if manner.listen is not None and ears.receiver is not None:
                say_where(desk, manner.listen, ears.receiver)
            result = [await act(replace(rig, feed=ears.feed))]
        return result[0]

    return await in_rig(desk, rules, hear)


async def planned_wish(rig: Rig, wish: Wish, foresee: Foresee = as_seen) -> Planned:
    """Look at every app and predict, unless a signal comes. Reads only."""
    desk, at_once = rig.desk, wish.limits.in_flight
    act = partial(make_plan, wish, rig.link, desk.state_dir, desk.settings, at_once, foresee)
    return await interruptible(rig, act)


async def run_planned(rig: Rig, planned: Planned, manner: Manner) -> Ending:
    """Create the run, work on it, and tell how it ended."""
    for error in planned.before.unreadable:
        what = words(error.message)
        rig.desk.say(f"warning: an earlier run cannot be read and stays as it is: {what}")
    for note in planned.plan.notes:
        rig.desk.say(f"note: {note_words(note)}")
    async with take_new(rig.desk.state_dir, planned) as seat:
        rig.desk.say(f"run {seat.plan.run_id}: {len(seat.plan.apps)} apps")
        _say_hours(rig.desk, seat.plan)
        manner = rig.left(manner)
        surroundings = Surroundings(rig.link, rig.desk.settings, rig.watch, rig.desk.say, rig.feed)
        state = await work(seat, surroundings, manner, planned.looks)
    return _ending(rig, seat, state)


async def go_on(rig: Rig, recorded: Recorded, manner: Manner) -> Ending:
    desk = rig.desk
    async with take_up(desk.state_dir, recorded, manner) as seat:
        if seat.torn_bytes:
            desk.say(torn_words(seat.run, seat.torn_bytes))
        _say_hours(desk, seat.plan)
        surroundings = Surroundings(rig.link, desk.settings, rig.watch, desk.say, rig.feed)
        state = await work(seat, surroundings, manner)
    return _ending(rig, seat, state)


def _say_hours(desk: Desk, plan: Plan) -> None:
    """Say what may happen only at times, so that nobody wonders why a run seems to stand still."""
    for label, fact in hours_facts(plan, desk.style, SystemClock().now()):
        desk.say(f"{label}: {safe(fact)}")


def _ending(rig: Rig, seat: Seat, state: RunState) -> Ending:
    """Tell how the run stands, and choose the exit code."""
    status = summarise(seat.plan, state, alive=False, now=SystemClock().now())
    text = render_status(status, rig.desk.output, rig.desk.style)
    signalled = rig.watch.interrupts.exit_code
    code = exit_code_of(state)
    if signalled is not None and not state.finished and state.halted is None:
        code = signalled
    return Ending(text, code, seat.run.run_id, interrupted=signalled is not None)


def told(desk: Desk, ending: Ending) -> ExitCode:
    """Print the last words, once nothing draws on the terminal any more."""
    desk.print(ending.text)
    return ending.code
