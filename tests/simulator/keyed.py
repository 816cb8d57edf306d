"""Nights on which fleetdeploy keeps the tokens itself and hears from the platform.

A `KeyedNight` is a night whose processes share a disk with credentials and a log of notices. The
platform's courier outlives them: `world_going` runs it beside the lives of a night.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Final

import anyio

from fleetdeploy.auth.keeper import Credentials
from fleetdeploy.baidu.authority import BaiduAuthority
from fleetdeploy.baidu.envelope import PushKeys
from fleetdeploy.baidu.events import PushReader
from fleetdeploy.core.credentials import AppCredential, imported
from fleetdeploy.core.replay import RunState
from fleetdeploy.errors import PushRefused, StateUnusable
from fleetdeploy.guards.authority import GuardedAuthority
from fleetdeploy.notices.feed import LogFeed
from fleetdeploy.notices.inbox import Inbox
from fleetdeploy.notices.listing import ListReader
from fleetdeploy.simulator.desk import REFRESH
from fleetdeploy.simulator.endpoints import Endpoint
from fleetdeploy.simulator.pusher import deliver
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.storage.memory_journal import MemoryJournal, Moment
from fleetdeploy.storage.memory_store import (
    AnyCredential,
    MemoryDisk,
    MemoryNoticeLog,
    MemoryStore,
)
from fleetdeploy.storage.memory_store import Hook as StoreHook
from tests.simulator.checkers import complaints
from tests.simulator.drawing import Drawn, draw
from tests.simulator.harness import EPOCH, Night, VirtualWall, app_ids, make_target
from tests.simulator.witness import Witness

TAIL_S: Final = 30.0
"""Nobody else writes the log here, so that looking at it now and then is enough."""
TOKEN: Final = re.compile(rb"4[256]\.[0-9a-f]{32}\.")
"""What every token of the simulator begins with."""
TOKEN_CALLS: Final = frozenset(
    {Endpoint.TP_TOKEN, Endpoint.REFRESH_TOKEN, Endpoint.EXCHANGE_CODE, Endpoint.RETRIEVE_CODE}
)


@dataclass
class KeyedNight(Night):
    """`pushed` and `listed` say by which ways it hears; `store_hook` may let a process die.

    `unannounced` collects refresh tokens that left without an intent on disk.
    """

    pushed: bool = True
    listed: bool = True
    store_latency_s: float = 0.0
    store_hook: StoreHook = lambda _moment, _before, _after: None
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    unannounced: list[str] = field(default_factory=list)
    kept_tokens: dict[str, str] = field(default_factory=dict)
    log: MemoryNoticeLog | None = None
    receive: Callable[[bytes], Awaitable[bool]] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.log = self.log or MemoryNoticeLog(VirtualWall())
        self.witness = Witness(self.witness.inner, self._owner)
        self.witness.on_send = self._see

    def _owner(self, token: str) -> str:
        """Tell whose a token is, also one that another has made void meanwhile."""
        return self.world.owner(token) or self.kept_tokens.get(token, "")

    def _keep(self, moment: Moment, before: AnyCredential, after: AnyCredential) -> None:
        if isinstance(after, AppCredential) and after.access_token:
            self.kept_tokens[after.access_token] = after.app_id
        self.store_hook(moment, before, after)

    async def bring_pairs(self) -> None:
        """Import what every app has when the world begins."""
        now = VirtualWall().now().timestamp()
        for app_id, pair in self.world.pairs().items():
            self.disk.apps[app_id] = imported(
                AppCredential(app_id), pair.access_token, pair.refresh_token, now
            )
        await anyio.lowlevel.checkpoint()

    async def post(self, body: bytes) -> bool:
        """Bring a push to whichever process receives; false if none does, or it dies of it."""
        try:
            return self.receive is not None and await self.receive(body)
        except RuntimeError:
            return False

    async def _go(self, journal: MemoryJournal, state: RunState) -> RunState:
        name = f"life {len(self.disk.used)}"
        store = MemoryStore(self.disk, name, latency_s=self.store_latency_s, hook=self._keep)
        client_id = self.world.desk.client_id
        authority = BaiduAuthority(self.witness, client_id, on_call=self._called)
        ticket = self.world.desk.ticket(anyio.current_time())
        async with AsyncExitStack() as stack:
            stack.callback(self.disk.bury, name)
            credentials = await stack.enter_async_context(
                Credentials.keeping(
                    store,
                    GuardedAuthority(authority, self.paced),
                    VirtualWall(),
                    self.rng,
                    ticket=ticket,
                    landing_s=0.0,
                )
            )
            feed = await stack.enter_async_context(self._hearing(credentials, store))
            return await self._rollout(journal, state, credentials.keeper, feed).work()
        raise AssertionError("nothing above swallows an error")

    @asynccontextmanager
    async def _hearing(
        self, credentials: Credentials, store: MemoryStore
    ) -> AsyncIterator[LogFeed]:
        rules, wall = self.scenario.auth, VirtualWall()
        assert self.log is not None
        opener = PushReader(PushKeys(rules.push_token, rules.push_aes_key), 3600.0)
        feed = LogFeed(self.log, wall, await self.log.end(), tail_s=TAIL_S)
        inbox = Inbox(
            store, self.log, wall, on_code=credentials.keeper.exchange, on_notice=feed.nudge
        )
        reader = ListReader(
            credentials.pushes, opener.open_row, inbox.take, self.log, wall, feed.nudge
        )
        async with anyio.create_task_group() as tasks:
            if self.listed:
                tasks.start_soon(reader.run)
            if self.pushed:
                self.receive = _receiver(opener, inbox)
                await inbox.begin_listening()
            try:
                yield feed
            finally:
                self.receive = None
            tasks.cancel_scope.cancel()

    def _see(self, endpoint: str, params: Mapping[str, str]) -> None:
        """Look at the disk as a refresh token leaves."""
        if endpoint != Endpoint.REFRESH_TOKEN:
            return
        app_id = self.world.desk.owner_of(REFRESH, params["refresh_token"])
        kept = self.disk.apps.get(app_id)
        if kept is None or kept.intent is None:
            self.unannounced.append(app_id)


def _receiver(opener: PushReader, inbox: Inbox) -> Callable[[bytes], Awaitable[bool]]:
    async def receive(body: bytes) -> bool:
        try:
            push = opener.open(body, VirtualWall().now().timestamp())
            await inbox.take_pushed(push)
        except (PushRefused, StateUnusable):
            return False
        return True

    return receive


@asynccontextmanager
async def world_going(night: KeyedNight) -> AsyncIterator[None]:
    """Let the platform's courier go about while the block runs."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deliver, night.world, night.post)
        yield
        tasks.cancel_scope.cancel()


def keyed_scenario(**fields: object) -> Scenario:
    """Return a scenario whose platform lives by the same time of day as we do."""
    return Scenario.model_validate({"epoch_unix": int(EPOCH.timestamp()), **fields})


def make_keyed_night(apps: int, scenario: Scenario, **changes: object) -> KeyedNight:
    targets = tuple(make_target(app_id) for app_id in app_ids(apps))
    return KeyedNight(scenario, targets, **changes)  # type: ignore[arg-type]  # any field by name


def locked_out(night: KeyedNight) -> Iterator[str]:
    """Tell of every client that could get no token any more, by what is on the disk.

    An app whose rotation is in doubt is not: the next one recovers. One that may have withdrawn
    its consent is asked about before anything else.
    """
    for app_id, kept in night.disk.apps.items():
        works = night.world.desk.refresh_token(app_id)
        settled = kept.intent is None and kept.consent is None
        if settled and kept.refresh_token and kept.refresh_token != works:
            yield app_id


def credential_complaints(night: KeyedNight) -> list[str]:
    """Return all that must hold of credentials at any moment, also right after a kill."""
    return [
        *(f"sent twice: {reuse}" for reuse in night.world.desk.reused),
        *(f"not announced: {app_id}" for app_id in night.unannounced),
        *(f"locked out: {app_id}" for app_id in locked_out(night)),
        *(["a token is in the journal"] if TOKEN.search(night.data) else []),
        *([f"taken though forged: {n}"] if (n := night.world.pushes.forged_taken) else []),
    ]


def draw_keyed(seed: int, *, apps: tuple[int, int] = (3, 12)) -> Drawn:
    """Draw a night like `draw`, on which tokens rotate and pushes come as the seed says."""
    plain, rng = draw(seed, apps=apps), Random(f"keyed {seed}")
    before = plain.night
    unsettled = before.scenario.unsettled.changed(
        {
            "recovered_code_voids_pair": rng.random() < 0.3,
            "new_tp_token_voids_old": rng.random() < 0.3,
            "push_names_package": rng.random() < 0.5,
            "push_list": rng.random() < 0.8,
            "push_list_tickets": rng.random() < 0.5,
            "push_list_delay_s": rng.choice([0.0, 120.0]),
        }
    )
    scenario = before.scenario.changed(
        {
            "epoch_unix": int(EPOCH.timestamp()),
            "token_lifetime_s": rng.choice([40.0, 300.0, 3600.0]),
            "unsettled": unsettled.model_dump(),
            "auth": {"tp_token_lifetime_s": rng.choice([120.0, 86400.0])},
            "pushes": {
                name: rng.choice([0.0, 0.3]) for name in ("lost", "late", "twice", "forged")
            },
        }
    )
    night = KeyedNight(
        scenario,
        before.targets,
        policy=before.policy,
        in_flight=before.in_flight,
        journal_latency_s=before.journal_latency_s,
        seed=seed,
        pushed=rng.random() < 0.7,
        listed=rng.random() < 0.7,
        store_latency_s=rng.choice([0.0, 0.02]),
    )
    return Drawn(night, plain.kinds, plain.expected)


async def live_through_keyed(drawn: Drawn, moments_s: Sequence[float], rng: Random) -> None:
    """Live with a kill at each moment, and with the platform's courier all the time."""
    night = drawn.night
    assert isinstance(night, KeyedNight)
    if rng.random() < 0.7:
        await night.bring_pairs()
    async with world_going(night):
        for moment_s in moments_s:
            if await night.live_until(moment_s, keep=rng.choice([0.0, rng.random(), 1.0])):
                return
            assert [*complaints(night), *credential_complaints(night)] == []
            await anyio.sleep(rng.choice([0.0, 0.0, 1.0, 15.0]))
        await night.live()
