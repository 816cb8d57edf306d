"""Parts that a night is put together from: who watches, what fails around the platform."""

from dataclasses import dataclass, field

import anyio
from trio._core import _run as trio_run

from fleetdeploy.core.orders import Order
from fleetdeploy.core.records import Entry
from fleetdeploy.errors import AnswerLost, NotSent, TokenRefused
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
