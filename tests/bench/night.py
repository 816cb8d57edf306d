"""A whole night in virtual time: what the engine costs on top of the calls that it makes."""

import gc
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Final, NoReturn

import anyio
from trio.testing import MockClock

from fleetdeploy.baidu.client import BaiduPlatform
from fleetdeploy.baidu.tokens import StaticTokens
from fleetdeploy.core.journal_line import Chain
from fleetdeploy.core.records import AnyAppRecord, Entry, RunRecord
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.targets import Target
from fleetdeploy.engine.ledger import Ledger
from fleetdeploy.engine.run import Rollout, RunOptions
from fleetdeploy.engine.steering import Steering
from fleetdeploy.model import AuditNote, Bundle, Package, PackageStatus, Phase
from fleetdeploy.ports import Call
from fleetdeploy.simulator.behaviour import Behaviour
from fleetdeploy.simulator.scenario import Scenario
from tests.bench.table import Figure
from tests.simulator.harness import Night, _header, app_ids, make_night, make_target

AUDIT_S: Final = 1800.0
BUILD_S: Final = 3.0
CERTAIN: Final = Behaviour(build_s=(BUILD_S, BUILD_S), audit_s=(AUDIT_S, AUDIT_S))
"""Every wait is certain, so that a lower bound of the makespan can be named."""
FEWEST_CALLS: Final = 7
"""Look, upload, look, submit, look, release, look."""
CALLS_BEFORE_WAITING: Final = 2
"""The last app to upload has behind it a look and an upload of every app."""
UNAVOIDABLE_S: Final = 3 * CERTAIN.effect_delay_s + BUILD_S + AUDIT_S
POLL_S: Final = 0.5


def night_figures(apps: int) -> Iterator[Figure]:
    """Yield what a night of so many apps took, against the same calls without an engine."""
    night = make_night(apps, scenario=Scenario(seed=1, behaviour=CERTAIN))
    cpu_s, makespan_s = _in_virtual_time(night.live)
    assert night.phases() == {Phase.RELEASED: apps}, night.phases()
    straight_s, _ = _in_virtual_time(lambda: _straight(night))
    name = f"night of {apps:,} apps:"
    yield Figure(
        f"{name} CPU per app",
        cpu_s * 1000 / apps,
        "ms",
        straight_s * 1000 / apps,
        "as many calls straight to the client: no engine, guards, journal",
    )
    calls = sum(night.calls.values()) / apps
    yield Figure(
        f"{name} CPU per call",
        cpu_s * 1000 / apps / calls,
        "ms",
        straight_s * 1000 / apps / calls,
        "the same",
    )
    yield Figure(
        f"{name} calls per app", calls, "calls", FEWEST_CALLS, "the fewest that do the job"
    )
    yield Figure(
        f"{name} makespan",
        makespan_s,
        "s",
        CALLS_BEFORE_WAITING * apps / night.rate + UNAVOIDABLE_S,
        "a look and an upload each at the pace, then the waits of the last app",
    )


def _in_virtual_time(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Run to the end; return the CPU time in seconds, and the virtual time."""

    async def timed() -> float:
        await work()
        return anyio.current_time()

    gc.collect()
    began = time.process_time()
    virtual_s = anyio.run(
        timed, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)}
    )
    return time.process_time() - began, virtual_s


async def _straight(like: Night) -> None:
    """Make as many calls of each kind as that night did, as fast as the capacity allows."""
    night = Night(like.scenario, like.targets)
    made: list[Call] = []
    tokens = StaticTokens(night.world.tokens)
    client = BaiduPlatform(night.transport, tokens, on_call=made.append)
    targets, at_once = night.targets, night.in_flight
    ids: dict[str, str] = {}

    async def look(target: Target) -> None:
        (row,) = await client.packages(target.app_id)
        assert row.package_id is not None
        ids[target.app_id] = row.package_id

    async def submit(target: Target) -> None:
        await client.submit_audit(target.app_id, ids[target.app_id], target.bundle.audit)

    await _each(targets, lambda t: client.upload(t.app_id, t.bundle), at_once)
    await anyio.sleep(UNAVOIDABLE_S)
    await _each(targets, look, at_once)
    await _each(targets, submit, at_once)
    await anyio.sleep(UNAVOIDABLE_S)
    await _each(targets, lambda t: client.release(t.app_id, ids[t.app_id]), at_once)
    rest = sum(like.calls.values()) - len(made)
    await _each((targets[nth % len(targets)] for nth in range(rest)), look, at_once)
    assert len(made) == sum(like.calls.values())


async def _each(
    targets: Iterable[Target], call: Callable[[Target], Awaitable[None]], at_once: int
) -> None:
    left = iter(targets)

    async def work() -> None:
        for target in left:
            await call(target)

    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(work)


def memory_figure(apps: int) -> Figure:
    """Return what the engine keeps per app while all of them wait for a reviewer."""
    targets = tuple(make_target(app_id) for app_id in app_ids(apps))
    tracemalloc.start()
    try:
        per_app = anyio.run(
            _waiting_bytes,
            targets,
            backend="trio",
            backend_options={"clock": MockClock(autojump_threshold=0)},
        )
        floor = _entry_bytes(targets)
    finally:
        tracemalloc.stop()
    return Figure(
        f"memory per waiting app, of {apps:,}",
        per_app / apps,
        "bytes",
        floor / apps,
        "an entry in a dict: a time, an order and a package id of its own",
    )


async def _waiting_bytes(targets: tuple[Target, ...]) -> int:
    """Bring all apps into audit, and weigh what holds them there."""
    before = _traced()
    state = RunState.new(target.app_id for target in targets)
    ledger = Ledger(Forgetful(), state, Unheard())
    await ledger.append(_header(state.until))
    rollout = Rollout(
        targets,
        AllInAudit(targets),
        ledger,
        Steering(failures_allowed=0),
        options=RunOptions(),
        rng=Random(0),
        per_second=lambda: 50.0,
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rollout.work)
        while not all(app.phase is Phase.AUDITING for app in state.apps.values()):
            await anyio.sleep(POLL_S)
        held = _traced() - before
        tasks.cancel_scope.cancel()
    return held


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _entry_bytes(targets: tuple[Target, ...]) -> int:
    before = _traced()
    entries = {
        target.app_id: (float(nth), nth, str(1_000_000_000 + nth))
        for nth, target in enumerate(targets)
    }
    held = _traced() - before
    assert len(entries) == len(targets)
    return held


class AllInAudit:
    """A `Platform` on which our package of every app is in audit; nothing may be changed."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self._bundles = {target.app_id: target.bundle for target in targets}

    async def packages(self, app_id: str) -> tuple[Package, ...]:
        await anyio.lowlevel.checkpoint()
        bundle = self._bundles[app_id]
        return (
            Package(
                version=bundle.version,
                description=f"{bundle.description}",
                package_id=str(int(app_id) + 1_000_000_000),
                status=PackageStatus.IN_AUDIT,
            ),
        )

    async def upload(self, app_id: str, bundle: Bundle) -> None:
        _forbidden(app_id, bundle)

    async def submit_audit(self, app_id: str, package_id: str, note: AuditNote) -> None:
        _forbidden(app_id, package_id, note)

    async def release(self, app_id: str, package_id: str) -> None:
        _forbidden(app_id, package_id)

    async def rollback(self, app_id: str, package_id: str) -> None:
        _forbidden(app_id, package_id)

    async def withdraw(self, app_id: str, package_id: str) -> None:
        _forbidden(app_id, package_id)


def _forbidden(*asked: object) -> NoReturn:
    raise AssertionError(f"nothing is to be changed: {asked}")


class Forgetful:
    """A `Journal` that makes every line and keeps none."""

    def __init__(self) -> None:
        self._chain = Chain()

    async def append(self, record: RunRecord | AnyAppRecord) -> Entry:
        await anyio.lowlevel.checkpoint()
        entry, _ = self._chain.stamp(record, datetime(2026, 11, 24, tzinfo=UTC))
        return entry


class Unheard:
    """An `Observer` that keeps nothing."""

    def recorded(self, entry: Entry) -> None: ...

    def called(self, call: Call) -> None: ...
