"""Parts that a night is put together from: who watches, what fails around the platform."""

from copy import deepcopy
from dataclasses import dataclass, field, fields

import anyio
from trio._core import _run as trio_run

from fleetdeploy.core.orders import Order
from fleetdeploy.core.records import Entry
from fleetdeploy.core.replay import RunState
from fleetdeploy.errors import AnswerLost, IllegalTransition, NotSent, TokenRefused
from fleetdeploy.ports import Call
from fleetdeploy.simulator.api import Delivery
from fleetdeploy.simulator.faults import Faults
from fleetdeploy.simulator.inproc import InprocTransport
from fleetdeploy.simulator.ledger import Effect, Violation
from fleetdeploy.simulator.world import World
from fleetdeploy.transport import Reply, Request, Transport


def order_tasks_by(seed: str) -> None:
    """Let a seed decide which of several ready tasks trio runs first; it has no public way."""
    vars(trio_run)["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    trio_run._r.seed(seed)


class Watcher:
    """Notes what the engine and the client report."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.calls: list[Call] = []

    def recorded(self, entry: Entry) -> None:
        self.entries.append(entry)

    def called(self, call: Call) -> None:
        self.calls.append(call)


class Shadow:
    """An observer that replays each record beside the live state, and notes where they differ.

    Records that became durable together reach the live state in any order, so it compares when
    there is no gap. Apps are compared as they are touched.
    """

    def __init__(self, watcher: Watcher, live: RunState, first: int) -> None:
        self._watcher = watcher
        self._live = live
        self._replayed = deepcopy(live)
        self._next = first
        self._early: dict[int, Entry] = {}
        self._touched: set[str] = set()
        self.differs_at: list[int] = []

    def called(self, call: Call) -> None:
        self._watcher.called(call)

    def recorded(self, entry: Entry) -> None:
        self._watcher.recorded(entry)
        self._early[entry.seq] = entry
        same = True
        while (next_one := self._early.pop(self._next, None)) is not None:
            same = self._take(next_one) and same
            self._next += 1
        if not self._early and not (self._same() and same):
            self.differs_at.append(entry.seq)

    def _take(self, entry: Entry) -> bool:
        """Replay a record; False if it is refused."""
        self._touched.add(getattr(entry.record, "app_id", ""))
        try:
            self._replayed.apply(entry)
        except IllegalTransition:
            return False
        return True

    def _same(self) -> bool:
        live, replayed, touched = self._live, self._replayed, self._touched
        self._touched = set()
        alike = all(live.apps.get(one) == replayed.apps.get(one) for one in touched)
        others = (field.name for field in fields(RunState) if field.name != "apps")
        return alike and all(getattr(live, name) == getattr(replayed, name) for name in others)


class NotedTransport(InprocTransport):
    """Keeps what requests of its own brought about: they may arrive while another run is on."""

    def __init__(self, world: World, faults: Faults) -> None:
        super().__init__(world, faults)
        self.world = world
        self.effects: list[Effect] = []
        self.violations: list[Violation] = []

    def deliver(self, request: Request, now: float) -> Delivery:
        books = self.world.ledger
        effects, violations = len(books.effects), books.violation_count
        delivery = super().deliver(request, now)
        self.effects += books.effects[effects:]
        if books.violation_count > violations:
            self.violations.append(books.violations[-1])
        return delivery


@dataclass
class Outages:
    """A transport that does not get through between some times; nothing arrives then."""

    inner: Transport
    spans: tuple[tuple[float, float], ...]
    sent: int = 0

    async def send(self, request: Request) -> Reply:
        now = anyio.current_time()
        if not any(start <= now < end for start, end in self.spans):
            return await self.inner.send(request)
        self.sent += 1
        await anyio.sleep(0.1)
        if self.sent % 2:
            raise NotSent("transport.not_connected", "the platform is out")
        raise AnswerLost("transport.cut_off", "the platform is out")


@dataclass
class RenewedTokens:
    """Tokens that somebody else renews: a refused one has a successor by then."""

    world: World

    async def prepare(self, app_id: str) -> None:
        assert app_id in self.world.tokens

    def token(self, app_id: str) -> str | None:
        return self.world.tokens[app_id]

    def refused(self, app_id: str, error: TokenRefused, token: str) -> None:
        if error.errno not in (110, 111):
            return
        if self.world.tokens[app_id] == token:
            self.world.issue_token(app_id, anyio.current_time())


@dataclass
class GivenOrders:
    """One process's view of the orders of a run, each given at a time; as `ports.OrderFeed`."""

    orders: tuple[tuple[float, Order], ...]
    seen: int = field(default=0, init=False)

    async def next(self) -> tuple[Order, ...]:
        if self.seen == len(self.orders):
            await anyio.sleep_forever()
        await anyio.sleep_until(self.orders[self.seen][0])
        now = anyio.current_time()
        due = [order for at_s, order in self.orders if at_s <= now]
        new = tuple(due[self.seen :])
        self.seen = len(due)
        return new
