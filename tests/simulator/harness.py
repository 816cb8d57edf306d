"""Whole runs in virtual time: the real engine, codec, guards and journal lines, no sockets."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TypeVar

import anyio
from pydantic import JsonValue
from trio.testing import MockClock

from fleetdeploy.baidu.client import BaiduPlatform
from fleetdeploy.baidu.tokens import StaticTokens
from fleetdeploy.core.bundle import canonical_json, describe, fingerprint_of
from fleetdeploy.core.causes import KnownCauses
from fleetdeploy.core.decisions import Policy
from fleetdeploy.core.gates import Course, in_order
from fleetdeploy.core.journal_line import Chain, read_journal
from fleetdeploy.core.orders import Order
from fleetdeploy.core.pace import Pace
from fleetdeploy.core.polling import PollSchedule
from fleetdeploy.core.records import Entry, RunRecord, RunResumed, RunStarted, Writer
from fleetdeploy.core.replay import RunState, replay
from fleetdeploy.core.rules import WaveRule
from fleetdeploy.core.targets import Target, Undo
from fleetdeploy.core.windows import Calendar
from fleetdeploy.engine.ledger import Ledger
from fleetdeploy.engine.opening import Opening
from fleetdeploy.engine.run import Gauges, Rollout, RunOptions
from fleetdeploy.engine.steering import Steering
from fleetdeploy.guards.guarded import GuardedPlatform
from fleetdeploy.guards.paced import Paced
from fleetdeploy.guards.pacer import Pacer
from fleetdeploy.guards.punctual import PunctualPlatform
from fleetdeploy.model import AuditNote, Bundle, Phase, RunKind, Until
from fleetdeploy.ports import Call, Journal, NoticeFeed, Platform, TokenSource
from fleetdeploy.simulator.faults import FaultRates, Faults, FaultScript
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.world import World
from fleetdeploy.storage.memory_journal import Hook, MemoryJournal, Moment
from tests.simulator.parts import (
    GivenOrders,
    NotedTransport,
    Outages,
    Shadow,
    Watcher,
    order_tasks_by,
)
from tests.simulator.people import Deeds
from tests.simulator.witness import Witness

T = TypeVar("T")

EPOCH = datetime(2026, 11, 24, tzinfo=UTC)
WRITER = Writer(host="here", pid=1, who="tester", tool_version="0")

_FIFTH = FaultRates(
    not_connected=0.03,
    request_lost=0.04,
    answer_lost=0.04,
    error_page_undone=0.03,
    error_page_done=0.03,
    cut_body=0.03,
)
FIFTH = FaultScript(rates=_FIFTH)
"""About 20 % of all calls go wrong in some way."""


class Crash(Exception):
    """The process died here."""


class VirtualWall:
    """The time of day, which goes with the virtual clock; `moves` set it forward or back."""

    def __init__(self, moves: Mapping[float, float] | None = None) -> None:
        self._moves = moves or {}

    def now(self) -> datetime:
        return self.at(anyio.current_time())

    def at(self, seconds: float) -> datetime:
        """Return what it shows at a time of the virtual clock."""
        moved_s = sum(by_s for from_s, by_s in self._moves.items() if from_s <= seconds)
        return EPOCH + timedelta(seconds=seconds + moved_s)


def make_target(
    app_id: str,
    *,
    template_id: str = "754",
    theme: str = "autumn",
    version: str = "10.30.0.3",
    direct_commit: bool = False,
) -> Target:
    wish: dict[str, JsonValue] = {"extAppid": app_id, "extEnable": True, "ext": {"theme": theme}}
    if direct_commit:
        wish["directCommit"] = True
    ext = canonical_json(wish)
    fingerprint = fingerprint_of(template_id, ext)
    bundle = Bundle(
        template_id=template_id,
        ext_json=ext,
        version=version,
        description=describe("autumn storefront", fingerprint),
        fingerprint=fingerprint,
        audit=AuditNote("routine template update", "submitted by the agency"),
        direct_commit=direct_commit,
    )
    return Target(app_id, f"client {app_id}", {}, "all", bundle)


def app_ids(count: int) -> list[str]:
    return [str(100_000_001 + number) for number in range(count)]


@dataclass
class Night:
    """One world and what is wanted of it; each `live` is one process's life on the same journal.

    `doubted` are the apps that an earlier run left in doubt. `around_platform` and `around_journal`
    put a wrapper around a part, for tests that break it. `orders` are given at these times, and
    `deeds` is what people did meanwhile. `state` is how the last life left the live state,
    `at_work` what a life has in hands, `data` the journal. The same seed and the same times give
    the same night.
    """

    scenario: Scenario
    targets: tuple[Target, ...]
    rate: float = 50.0
    in_flight: int = 32
    failures_allowed: int = 10**9
    blocked_allowed: int | None = None
    halt_on_cause: int | None = None
    known_causes: KnownCauses = field(default_factory=dict)
    strict: bool = True
    course: Course | None = None
    policy: Policy = field(default_factory=Policy)
    polls: PollSchedule = field(default_factory=PollSchedule)
    seed: int = 0
    until: Until = Until.RELEASED
    kind: RunKind = RunKind.ROLLOUT
    wait: bool = True
    deadline_s: float | None = None
    grace_s: float = 5.0
    override_reason: str | None = None
    journal_latency_s: float = 0.0
    outages: tuple[tuple[float, float], ...] = ()
    doubted: frozenset[str] = frozenset()
    tokens: TokenSource | None = None
    feed: NoticeFeed | None = None
    orders: tuple[tuple[float, Order], ...] = ()
    calendar: Calendar = field(default_factory=Calendar)
    wall: VirtualWall = field(default_factory=VirtualWall)
    around_platform: Callable[[Platform], Platform] = lambda platform: platform
    around_journal: Callable[[Journal], Journal] = lambda journal: journal
    platform: World | None = None
    faults: Faults | None = None
    data: bytes = b""
    deeds: Deeds = field(default_factory=Deeds)
    watcher: Watcher = field(default_factory=Watcher)
    calls: Counter[str] = field(default_factory=Counter)
    lives: int = 0
    steering: Steering = field(default_factory=lambda: Steering(failures_allowed=0))
    state: RunState | None = None
    at_work: RunState | None = None
    shadow: Shadow | None = None
    now: float = 0.0

    def __post_init__(self) -> None:
        ids = [target.app_id for target in self.targets]
        self.world = self.platform or World.from_scenario(self.scenario, ids)
        self.faults = self.faults or Faults(self.scenario.faults, seed=self.scenario.seed)
        self.noted = NotedTransport(self.world, self.faults)
        self.witness = Witness(Outages(self.noted, self.outages), self.world.owner)

    def tomorrow(self, **changes: object) -> "Night":
        """Return another run on the same world: fresh journal, fresh books."""
        fresh: dict[str, object] = {
            "platform": self.world,
            "faults": self.faults,
            "data": b"",
            "watcher": Watcher(),
            "calls": Counter(),
            "lives": 0,
            **dict.fromkeys(("state", "at_work", "shadow")),
            **changes,
        }
        return replace(self, **fresh)  # type: ignore[arg-type]  # any field by name

    def taken_back(self, kind: RunKind, **changes: object) -> "Night":
        """Return a run on the same world that takes back what this one did."""
        targets, doubted, apps = [], set(), self.replayed().apps
        for target in self.targets:
            app = apps[target.app_id]
            doubted |= {target.app_id} if app.unsettled else set()
            if app.package_id is not None:
                targets.append(replace(target, undo=Undo(app.package_id)))
        return self.tomorrow(
            kind=kind, targets=tuple(targets), doubted=frozenset(doubted), **changes
        )

    def waved(self, *waves: WaveRule, sizes: Sequence[int], ahead: bool = False) -> "Night":
        """Return the same night with its apps dealt out to waves; the last takes the rest."""
        names = [wave.name for wave, size in zip(waves, sizes, strict=False) for _ in range(size)]
        names += [waves[-1].name] * len(self.targets)
        targets = tuple(
            replace(target, wave=name) for target, name in zip(self.targets, names, strict=False)
        )
        plain = in_order((target.app_id, target.wave) for target in targets)
        filled = tuple(wave for wave in waves if wave.name in plain.members)
        return self.tomorrow(targets=targets, course=Course(filled, plain.members, ahead=ahead))

    def say(self, *records: RunRecord) -> None:
        """Write records as a command would that finds no process at work on the run."""
        chain = Chain.after(read_journal(self.data))
        lines = [chain.stamp(record, VirtualWall().at(self.now))[1] for record in records]
        self.data += b"".join(lines)

    def copy(self) -> "Night":
        """Return the same night in a world of its own."""
        return deepcopy(self, {id(self.scenario): self.scenario, id(self.targets): self.targets})

    async def live(
        self, *, hook: Hook | None = None, killed: Callable[[], bool] = lambda: False
    ) -> RunState:
        """Work on the run in one process's life; `self.data` is the journal it leaves.

        If it was killed that is what was durable, else all that was written.
        """
        journal = MemoryJournal(
            VirtualWall(),
            latency_s=self.journal_latency_s,
            data=self.data,
            hook=self._hook(hook),
        )
        order_tasks_by(f"{self.seed}/{self.lives}")
        self.witness.begin(self.lives, journal.contents.entries)
        self.state = None
        try:
            self.state = await self._work(journal)
            return self.state
        finally:
            self.data = journal.durable if killed() else journal.data
            self.durable_bytes = len(journal.durable)
            self.lives += 1
            self.now = anyio.current_time()

    async def live_until(self, kill_at_s: float, *, keep: float = 1.0) -> RunState | None:
        """Live, but be killed after so many seconds; None if it came to that.

        Of what was written and not yet durable, the disk keeps the share `keep`.
        """
        state: RunState | None = None
        with anyio.move_on_after(kill_at_s):
            state = await self.live()
        if state is None:
            loose = len(self.data) - self.durable_bytes
            self.data = self.data[: self.durable_bytes + round(loose * keep)]
        return state

    async def crash_at(self, seq: int, moment: Moment, *, keep: bool = True) -> RunState | None:
        """Live, but die as record `seq` is written or has become durable; None if it came to that.

        `keep` says whether the disk kept what was written and not yet durable.
        """
        crashed = False

        def hook(now: Moment, entry: Entry) -> None:
            nonlocal crashed
            if (now, entry.seq) == (moment, seq):
                crashed = True
                raise Crash

        try:
            return await self.live(hook=hook, killed=lambda: crashed and not keep)
        except Exception:
            if not crashed:
                raise
        return None

    async def _work(self, journal: MemoryJournal) -> RunState:
        state = self.at_work = self.replayed(journal.contents.entries)
        if state.finished:
            return state
        first = (
            RunResumed(until=self.until, writer=WRITER, override_reason=self.override_reason)
            if state.header
            else _header(self.until, self.kind)
        )
        state.apply(await journal.append(first))
        self.rng = Random(f"{self.seed}/{self.lives}")
        self.pacer = Pacer(Pace(self.rate), in_flight=self.in_flight)
        self.paced = Paced(self.pacer, rng=self.rng)
        self.made: Counter[str] = Counter()
        return await self._go(journal, state)

    async def _go(self, journal: MemoryJournal, state: RunState) -> RunState:
        """Work on the run with what this process has: here tokens that somebody else keeps."""
        tokens = self.tokens or StaticTokens(self.world.tokens)
        return await self._rollout(journal, state, tokens, self.feed).work()

    def _called(self, call: Call) -> None:
        self.made[call.endpoint] += 1
        self.calls[call.endpoint] += 1
        self.watcher.called(call)

    def _rollout(
        self, journal: MemoryJournal, state: RunState, tokens: TokenSource, feed: NoticeFeed | None
    ) -> Rollout:
        baidu = self.around_platform(BaiduPlatform(self.witness, tokens, on_call=self._called))
        self.steering = Steering(
            failures_allowed=self.failures_allowed,
            blocked_allowed=self.blocked_allowed,
            halt_on_cause=self.halt_on_cause,
            known_causes=self.known_causes,
            strict=self.strict,
        )
        self.shadow = Shadow(self.watcher, state, len(journal.contents.entries) + 1)
        rollout = Rollout(
            self.targets,
            GuardedPlatform(PunctualPlatform(baidu, self.calendar, self.wall), self.paced, tokens),
            Ledger(self.around_journal(journal), state, self.shadow),
            self.steering,
            options=RunOptions(
                policy=self.policy,
                polls=self.polls,
                in_flight=self.in_flight,
                wait=self.wait,
                deadline_s=self.deadline_s,
                grace_s=self.grace_s,
            ),
            rng=self.rng,
            gauges=Gauges(
                self.wall,
                lambda: self.pacer.pace.rate,
                lambda: self.made,
                feed,
                Opening(self.calendar, self.wall),
                orders=GivenOrders(self.orders),
            ),
            course=self.course,
        )
        self.paced.in_vain = lambda: rollout.outages.platform_is_out
        return rollout

    def _hook(self, hook: Hook | None) -> Hook:
        """Let the witness see each record, before the hook of the test may crash."""

        def both(moment: Moment, entry: Entry) -> None:
            self.witness.saw(moment, entry)
            if hook is not None:
                hook(moment, entry)

        return both

    def entries(self) -> tuple[Entry, ...]:
        """Return what the journal says."""
        return MemoryJournal(VirtualWall(), data=self.data).contents.entries

    def replayed(self, entries: Iterable[Entry] | None = None) -> RunState:
        state = RunState.new((target.app_id for target in self.targets), self.doubted)
        return replay(state, list(self.entries() if entries is None else entries))

    def phases(self) -> Counter[Phase]:
        return Counter(app.phase for app in self.replayed().apps.values())

    def phase_of(self) -> Mapping[str, Phase]:
        return {app.app_id: app.phase for app in self.replayed().apps.values()}


def _header(until: Until, kind: RunKind) -> RunStarted:
    return RunStarted(
        run_id="night",
        run_kind=kind,
        plan_digest="0" * 64,
        manifest_name="night",
        manifest_digest="0" * 64,
        until=until,
        writer=WRITER,
    )


def make_night(apps: int, **changes: object) -> Night:
    """Return a night with so many ordinary apps; `changes` override any field."""
    scenario = changes.pop("scenario", Scenario(seed=1))
    assert isinstance(scenario, Scenario)
    targets = tuple(make_target(app_id) for app_id in app_ids(apps))
    return Night(scenario, targets, **changes)  # type: ignore[arg-type]  # any field by name


def in_virtual_time(main: Callable[[], Awaitable[T]], *, start_s: float = 0.0) -> T:
    """Run `main` on a virtual clock of its own, for tests of many short nights."""
    clock = MockClock(autojump_threshold=0)
    clock.jump(start_s)
    return anyio.run(main, backend="trio", backend_options={"clock": clock})
