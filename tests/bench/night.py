"""A whole night in virtual time: what the engine costs on top of the calls that it makes."""

import gc
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import anyio

from fleetdeploy.baidu.client import BaiduPlatform
from fleetdeploy.baidu.tokens import StaticTokens
from fleetdeploy.core.pace import Pace
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.targets import Target
from fleetdeploy.engine.ledger import Ledger
from fleetdeploy.engine.run import Gauges, Rollout, RunOptions
from fleetdeploy.engine.steering import Steering
from fleetdeploy.guards.guarded import GuardedPlatform
from fleetdeploy.guards.paced import Paced
from fleetdeploy.guards.pacer import Pacer
from fleetdeploy.model import Phase
from fleetdeploy.ports import Call
from fleetdeploy.simulator.behaviour import Behaviour
from fleetdeploy.simulator.inproc import InprocTransport
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.world import World, tokens_for
from fleetdeploy.storage.memory_journal import MemoryJournal
from tests.bench.parts import HEADER, Unheard
from tests.bench.table import Figure
from tests.simulator.harness import VirtualWall, app_ids, in_virtual_time, make_target

PER_SECOND: Final = 50.0
IN_FLIGHT: Final = 32
BUILD_S: Final = 3.0
AUDIT_S: Final = 1800.0
CERTAIN: Final = Behaviour(build_s=(BUILD_S, BUILD_S), audit_s=(AUDIT_S, AUDIT_S))
"""Every wait is certain, so that a lower bound of the makespan can be named."""
UNAVOIDABLE_S: Final = 3 * CERTAIN.effect_delay_s + BUILD_S + AUDIT_S
FEWEST_CALLS: Final = 7
"""Look, upload, look, submit, look, release, look."""
CALLS_FIRST: Final = 2
"""Whichever app uploads last, before that every app had a look and an upload."""


@dataclass(frozen=True)
class Told:
    """What a piece of work took: CPU and virtual time, and how many calls it made."""

    cpu_s: float
    virtual_s: float
    calls: int


def night_figures(apps: int) -> Iterator[Figure]:
    """Yield what a night of so many apps took, against the same calls without an engine."""
    targets = [make_target(app_id) for app_id in app_ids(apps)]
    night = _told(targets, _rollout)
    straight = _told(targets, lambda client, made, ts: _straight(client, made, ts, night.calls))
    assert straight.calls == night.calls
    name, floor_is = f"night of {apps:,} apps:", "as many calls straight to the client: no engine"
    yield Figure(
        f"{name} CPU per app",
        night.cpu_s * 1000 / apps,
        "ms",
        straight.cpu_s * 1000 / apps,
        f"{floor_is}, guards, journal",
    )
    yield Figure(
        f"{name} CPU per call",
        night.cpu_s * 1000 / night.calls,
        "ms",
        straight.cpu_s * 1000 / straight.calls,
        "the same",
    )
    yield Figure(
        f"{name} calls per app",
        night.calls / apps,
        "calls",
        FEWEST_CALLS,
        "the fewest that do the job",
    )
    yield Figure(
        f"{name} makespan",
        night.virtual_s,
        "s",
        CALLS_FIRST * apps / PER_SECOND + UNAVOIDABLE_S,
        "a look and an upload of every app at the pace, then the last one's waits",
    )


Work = Callable[[BaiduPlatform, list[Call], Sequence[Target]], Awaitable[None]]


def _told(targets: Sequence[Target], work: Work) -> Told:
    """Do the work on a fresh platform in virtual time, and tell what it took."""
    made: list[Call] = []

    async def timed() -> float:
        world = World.from_scenario(
            Scenario(seed=1, behaviour=CERTAIN), [target.app_id for target in targets]
        )
        tokens = StaticTokens(world.tokens)
        client = BaiduPlatform(InprocTransport(world), tokens, on_call=made.append)
        await work(client, made, targets)
        assert not world.duplicates()
        assert not world.violations
        return anyio.current_time()

    gc.collect()
    began = time.process_time()
    virtual_s = in_virtual_time(timed)
    return Told(time.process_time() - began, virtual_s, len(made))


async def _rollout(client: BaiduPlatform, _: list[Call], targets: Sequence[Target]) -> None:
    """Roll out with everything: engine, guards, and a journal whose lines are written."""
    ids = [target.app_id for target in targets]
    state = RunState.new(ids)
    ledger = Ledger(MemoryJournal(VirtualWall()), state, Unheard())
    await ledger.append(HEADER)
    rng, pacer = Random(0), Pacer(Pace(PER_SECOND), in_flight=IN_FLIGHT)
    await Rollout(
        targets,
        GuardedPlatform(client, Paced(pacer, rng=rng), StaticTokens(tokens_for(ids))),
        ledger,
        Steering(failures_allowed=len(targets)),
        options=RunOptions(in_flight=IN_FLIGHT),
        rng=rng,
        gauges=Gauges(VirtualWall(), lambda: pacer.pace.rate),
    ).work()
    assert {app.phase for app in state.apps.values()} == {Phase.RELEASED}


async def _straight(
    client: BaiduPlatform, made: list[Call], targets: Sequence[Target], calls: int
) -> None:
    """Bring all apps online with so many calls, of which all but three per app are looks."""
    ids: dict[str, str] = {}

    async def look(target: Target) -> None:
        for row in await client.packages(target.app_id):
            ids[target.app_id] = row.package_id or ""

    async def submit(target: Target) -> None:
        await client.submit_audit(target.app_id, ids[target.app_id], target.bundle.audit)

    await _each(targets, look)
    await _each(targets, lambda target: client.upload(target.app_id, target.bundle))
    await anyio.sleep(UNAVOIDABLE_S)
    await _each(targets, look)
    await _each(targets, submit)
    await anyio.sleep(UNAVOIDABLE_S)
    await _each(targets, lambda target: client.release(target.app_id, ids[target.app_id]))
    rest = calls - len(made)
    await _each((targets[nth % len(targets)] for nth in range(rest)), look)


async def _each(targets: Iterable[Target], call: Callable[[Target], Awaitable[None]]) -> None:
    left = iter(targets)

    async def work() -> None:
        for target in left:
            await call(target)

    async with anyio.create_task_group() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.start_soon(work)
