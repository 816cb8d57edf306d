"""Whole runs in virtual time: the real engine, codec, guards and journal lines, no sockets."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import anyio

from fleetdeploy.baidu.client import BaiduPlatform
from fleetdeploy.baidu.tokens import StaticTokens
from fleetdeploy.core.bundle import canonical_json, describe, fingerprint_of
from fleetdeploy.core.decide import Policy
from fleetdeploy.core.pace import Pace
from fleetdeploy.core.polling import PollSchedule
from fleetdeploy.core.records import Entry, RunResumed, RunStarted, Writer
from fleetdeploy.core.replay import RunState, replay
from fleetdeploy.core.targets import Target
from fleetdeploy.engine.ledger import Ledger
from fleetdeploy.engine.run import Rollout, RunOptions
from fleetdeploy.engine.steering import Steering
from fleetdeploy.guards.guarded import GuardedPlatform
from fleetdeploy.guards.pacer import Pacer
from fleetdeploy.model import AuditNote, Bundle, Phase, Until
from fleetdeploy.ports import Call
from fleetdeploy.simulator.faults import FaultRates, Faults, FaultScript
from fleetdeploy.simulator.inproc import InprocTransport
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.world import World
from fleetdeploy.storage.memory_journal import Hook, MemoryJournal

EPOCH = datetime(2026, 11, 24, tzinfo=UTC)
WRITER = Writer(host="here", pid=1, who="tester", tool_version="0")

FIFTH = FaultScript(
    rates=FaultRates(
        not_connected=0.03,
        request_lost=0.04,
        answer_lost=0.04,
        error_page_undone=0.03,
        error_page_done=0.03,
        cut_body=0.03,
    )
)
"""About 20 % of all calls go wrong in some way."""


class VirtualWall:
    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=anyio.current_time())


class Watcher:
    """Notes what happens; `sent_at` are the times at which requests left."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.calls: list[Call] = []

    def recorded(self, entry: Entry) -> None:
        self.entries.append(entry)

    def called(self, call: Call) -> None:
        self.calls.append(call)


def make_target(app_id: str, *, template_id: str = "754", theme: str = "autumn") -> Target:
    ext = canonical_json({"extAppid": app_id, "extEnable": True, "ext": {"theme": theme}})
    fingerprint = fingerprint_of(template_id, ext)
    bundle = Bundle(
        template_id=template_id,
        ext_json=ext,
        version="10.30.0.3",
        description=describe("autumn storefront", fingerprint),
        fingerprint=fingerprint,
        audit=AuditNote("routine template update", "submitted by the agency"),
    )
    return Target(app_id, f"client {app_id}", {}, "all", bundle)


def app_ids(count: int) -> list[str]:
    return [str(100_000_001 + number) for number in range(count)]


@dataclass
class Night:
    """One world and what is wanted of it; each `live` is one process's life on the same journal."""

    scenario: Scenario
    targets: tuple[Target, ...]
    rate: float = 50.0
    in_flight: int = 32
    failures_allowed: int = 10**9
    policy: Policy = field(default_factory=Policy)
    polls: PollSchedule = field(default_factory=PollSchedule)
    seed: int = 0
    until: Until = Until.RELEASED
    wait: bool = True
    deadline_s: float | None = None
    data: bytes = b""
    watcher: Watcher = field(default_factory=Watcher)
    calls: Counter[str] = field(default_factory=Counter)
    lives: int = 0

    def __post_init__(self) -> None:
        ids = [target.app_id for target in self.targets]
        self.world = World.from_scenario(self.scenario, ids)
        self.faults = Faults(self.scenario.faults, seed=self.scenario.seed)
        self.transport = InprocTransport(self.world, self.faults)

    async def live(
        self, *, hook: Hook | None = None, killed: Callable[[], bool] = lambda: False
    ) -> RunState:
        """Work on the run in one process's life; `self.data` is the journal it leaves."""
        journal = (
            MemoryJournal(VirtualWall(), data=self.data, hook=hook)
            if hook
            else MemoryJournal(VirtualWall(), data=self.data)
        )
        try:
            return await self._work(journal)
        finally:
            self.data = journal.durable if killed() else journal.data
            self.lives += 1

    async def live_until(self, kill_at_s: float) -> RunState | None:
        """Live, but be killed after so many seconds; None if it came to that."""
        state: RunState | None = None
        with anyio.move_on_after(kill_at_s):
            state = await self.live()
        return state

    async def _work(self, journal: MemoryJournal) -> RunState:
        state = self.replayed(journal.contents.entries)
        first = RunResumed(until=self.until, writer=WRITER) if state.header else _header(self.until)
        state.apply(await journal.append(first))
        rng = Random(f"{self.seed}/{self.lives}")
        pacer = Pacer(Pace(self.rate), in_flight=self.in_flight)
        baidu = BaiduPlatform(
            self.transport, StaticTokens(self.world.tokens), on_call=self._called
        )
        rollout = Rollout(
            self.targets,
            GuardedPlatform(baidu, pacer, rng=rng),
            Ledger(journal, state, self.watcher),
            Steering(failures_allowed=self.failures_allowed),
            options=RunOptions(
                policy=self.policy,
                polls=self.polls,
                in_flight=self.in_flight,
                wait=self.wait,
                deadline_s=self.deadline_s,
            ),
            rng=rng,
            calls=lambda: self.calls,
            per_second=lambda: pacer.pace.rate,
        )
        return await rollout.work()

    def replayed(self, entries: Iterable[Entry] | None = None) -> RunState:
        state = RunState.new(target.app_id for target in self.targets)
        if entries is None:
            entries = MemoryJournal(VirtualWall(), data=self.data).contents.entries
        return replay(state, list(entries))

    def phases(self) -> Counter[Phase]:
        return Counter(app.phase for app in self.replayed().apps.values())

    def _called(self, call: Call) -> None:
        self.calls[call.endpoint] += 1
        self.watcher.called(call)


def _header(until: Until) -> RunStarted:
    return RunStarted(
        run_id="night",
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
