"""Carries requests to a simulated platform in the same process, in virtual time if need be.

Knows only anyio. The world's time is the clock's own unless another clock is passed in.
"""

from collections.abc import Callable
from typing import Final

import anyio

from fleetdeploy.errors import AnswerLost, NotSent
from fleetdeploy.simulator.api import Api, Delivery
from fleetdeploy.simulator.faults import FaultKind, Faults
from fleetdeploy.simulator.world import World
from fleetdeploy.transport import Reply, Request

DEFAULT_TIMEOUT_S: Final = 30.0
"""How long a client waits at most (platform-api.md 6 lists 3 to 30 seconds)."""

_CUT_OFF: Final = frozenset({FaultKind.REQUEST_LOST, FaultKind.ANSWER_LOST, FaultKind.CUT_BODY})


class InprocTransport:
    """A `Transport` straight into a world.

    A clock that several lives of a client share has to be passed in where each life has an event
    loop, and so a time, of its own: the world's time must not go back.
    """

    def __init__(
        self,
        world: World,
        faults: Faults | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._api = Api(world, faults)
        self._world = world
        self._timeout_s = timeout_s
        self._clock = clock

    async def send(self, request: Request) -> Reply:
        """Carry one request: out, into the world, and back, each taking its time.

        If cancelled: before the request arrived nothing happened; later it was carried out.
        """
        # The way out takes equally long for all, so that requests arrive spaced as they were sent.
        out_s = self._world.scenario.latency_s[0] / 2
        with self._world.traffic.flight():
            await anyio.sleep(out_s)
            now = self._clock()
            delivery = self.deliver(request, now)
            await self._travel_back(delivery, now, out_s)
        return _brought(delivery)

    def deliver(self, request: Request, now: float) -> Delivery:
        """Let the world answer a request that has arrived; whatever it changes is changed here."""
        return self._api.deliver(request, now)

    async def _travel_back(self, delivery: Delivery, now: float, out_s: float) -> None:
        names = ("latency_s", delivery.app_id, delivery.endpoint, now)
        whole_s = self._world.chance.within(self._world.scenario.latency_s, *names)
        extra_s = delivery.fault.delay_s if delivery.fault else 0.0
        back_s = whole_s - out_s + extra_s
        if out_s + back_s <= self._timeout_s:
            await anyio.sleep(back_s)
            return
        await anyio.sleep(max(0.0, self._timeout_s - out_s))
        raise AnswerLost("transport.timeout", f"no answer within {self._timeout_s:g} seconds")


def _brought(delivery: Delivery) -> Reply:
    """Return the reply, or raise what a transport raises for the fault on the way."""
    kind = delivery.fault and delivery.fault.kind
    if kind is FaultKind.NOT_CONNECTED:
        raise NotSent("transport.not_connected", "the connection was refused")
    if kind in _CUT_OFF:
        raise AnswerLost("transport.cut_off", "the connection was cut before the whole answer")
    assert delivery.reply is not None, "every other fault brings a reply"
    return delivery.reply
