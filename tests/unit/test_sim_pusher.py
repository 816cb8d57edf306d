"""The courier, on the virtual clock: when it comes, what it does again, and what it leaves."""

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from fleetdeploy.simulator.happenings import PushStatus
from fleetdeploy.simulator.inproc import InprocTransport
from fleetdeploy.simulator.pusher import deliver
from fleetdeploy.simulator.rows import UploadWish
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.world import World
from tests.unit.sim_builders import APP, CALM, is_signed, make_world, read_push, refresh, tp_token

pytestmark = pytest.mark.anyio


class Receiver:
    """Takes pushes while it is up; keeps when each came and what it said."""

    def __init__(self, *, answers_s: float = 0.0) -> None:
        self.up = True
        self.answers_s = answers_s
        self.came: list[tuple[float, str]] = []
        self.at_once = self.most_at_once = 0

    async def post(self, body: bytes) -> bool:
        said = read_push(body)
        self.came.append((anyio.current_time(), str(said.get("event", "ticket"))))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await anyio.sleep(self.answers_s)
        finally:
            self.at_once -= 1
        return self.up and is_signed(body)

    def events(self) -> list[str]:
        return [event for _, event in self.came if event != "ticket"]


@asynccontextmanager
async def courier(
    world: World,
    post: Callable[[bytes], Awaitable[bool]],
    **more: Any,  # noqa: ANN401 - passed on
) -> Any:  # noqa: ANN401 - nothing
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await deliver(world, post, **more)

        tasks.start_soon(run)
        yield
        tasks.cancel_scope.cancel()


async def test_tickets_come_every_ten_minutes_and_a_verdict_when_it_falls() -> None:
    world, receiver = make_world(), Receiver()
    began = anyio.current_time()
    async with courier(world, receiver.post):
        world.upload(APP, UploadWish("754", "1.0", "autumn"), began)
        await anyio.sleep(10)
        world.submit_audit(APP, 1_000_000, "", began + 10)
        await anyio.sleep(1500)
    came = [(round(at - began, 3), event) for at, event in receiver.came]
    assert came == [
        (0.0, "ticket"),
        (113.0, "PACKAGE_AUDIT_PASS"),
        (600.0, "ticket"),
        (1200.0, "ticket"),
    ]
    assert {push.status for push in world.pushes.kept} == {PushStatus.DELIVERED}


async def test_a_change_wakes_the_courier_at_once() -> None:
    world, receiver = make_world(), Receiver()
    async with courier(world, receiver.post):
        await anyio.sleep(100)
        changed = anyio.current_time()
        world.change(APP, authorization="withdrawn")
        await anyio.sleep(100)
    assert receiver.came[1:] == [(changed, "UNAUTHORIZED")]


async def test_a_receiver_that_is_down_gets_it_later() -> None:
    world, receiver = make_world(platform={"pushes": {"retries": 3, "retry_s": 30}}), Receiver()
    receiver.up = False
    async with courier(world, receiver.post):
        world.change(APP, authorization="withdrawn")
        await anyio.sleep(50)
        receiver.up = True
        await anyio.sleep(100)
    assert receiver.events() == ["UNAUTHORIZED"] * 3
    assert (world.pushes.delivered, world.pushes.failed) == (2, 0)


async def test_a_receiver_that_stays_down_is_given_up() -> None:
    world, receiver = make_world(platform={"pushes": {"retries": 2, "retry_s": 30}}), Receiver()
    receiver.up = False
    async with courier(world, receiver.post):
        await anyio.sleep(599)
    assert len(receiver.came) == 3
    assert (world.pushes.delivered, world.pushes.failed) == (0, 1)


async def test_no_more_posts_at_once_than_there_are_hands() -> None:
    apps = [str(200_000_001 + number) for number in range(100)]
    world = World.from_scenario(Scenario(behaviour=CALM), apps)
    receiver = Receiver(answers_s=1.0)
    async with courier(world, receiver.post, in_flight=8):
        for app_id in apps:
            world.change(app_id, authorization="withdrawn")
        await anyio.sleep(60)
    assert receiver.most_at_once == 8
    assert len(receiver.events()) == 100
    assert world.pushes.delivered == 101


async def test_what_a_cancelled_courier_had_under_way_is_tried_again() -> None:
    world, receiver = make_world(), Receiver(answers_s=10.0)
    async with courier(world, receiver.post):
        await anyio.sleep(5)
    assert world.pushes.delivered == 0
    assert world.pushes.on_news is None
    receiver.answers_s = 0.0
    async with courier(world, receiver.post):
        await anyio.sleep(60)
    assert len(receiver.came) == 2
    assert world.pushes.delivered == 1


async def test_a_silent_night_costs_next_to_nothing() -> None:
    """No busy waiting: the courier looks at the clock only when something may be due."""
    world, receiver, looks = make_world(), Receiver(), [0]

    def clock() -> float:
        looks[0] += 1
        return anyio.current_time()

    async with courier(world, receiver.post, clock=clock):
        await anyio.sleep(8 * 3600 + 1)
    assert len(receiver.came) == 49
    assert looks[0] < 8 * len(receiver.came)


@pytest.mark.parametrize("scale", [0.3, 3.0, 7.0, 1e6])
async def test_it_never_spins_over_a_rounding_error(scale: float) -> None:
    """A moment of the world that the clock of the wire cannot show exactly comes all the same."""
    world, receiver, looks = make_world(audit_s=(100.1, 100.1)), Receiver(), [0]
    world.time_scale = scale
    began = anyio.current_time()

    def clock() -> float:
        looks[0] += 1
        assert looks[0] < 1000
        return anyio.current_time() - began

    async with courier(world, receiver.post, clock=clock):
        world.upload(APP, UploadWish("754", "1.0", "autumn", direct_commit=True), 0.1)
        await anyio.sleep(110 / scale + 0.01)
    assert "PACKAGE_AUDIT_PASS" in receiver.events()


async def test_accidents_lose_nothing_but_what_is_lost() -> None:
    script = {"lost": 0.2, "late": 0.3, "twice": 0.3, "forged": 0.3}
    apps = [str(200_000_001 + number) for number in range(200)]
    scenario = Scenario.model_validate({"seed": 5, "behaviour": CALM, "pushes": script})
    world, receiver = World.from_scenario(scenario, apps), Receiver()
    async with courier(world, receiver.post):
        for app_id in apps:
            world.change(app_id, authorization="no_scope")
        await anyio.sleep(590)
    kept = [push for push in world.pushes.kept if push.app_id]
    statuses = [push.status for push in kept]
    assert len(kept) == 200
    assert set(statuses) == {PushStatus.DELIVERED, PushStatus.FAILED}
    assert 20 < statuses.count(PushStatus.FAILED) < 60
    assert receiver.events().count("UPDATE_AUTHORIZED") > statuses.count(PushStatus.DELIVERED)
    assert receiver.events().count("UNAUTHORIZED") > 30
    assert world.pushes.forged_taken == 0


async def test_two_couriers_at_once_are_a_mistake() -> None:
    world, receiver = make_world(), Receiver()
    async with courier(world, receiver.post):
        await anyio.sleep(1)
        with pytest.raises(AssertionError, match="one courier"):
            await deliver(world, receiver.post)


async def test_tokens_and_pushes_share_the_transports_clock() -> None:
    world = make_world(platform={"token_lifetime_s": 60})
    transport = InprocTransport(world)
    reply = await transport.send(refresh(tp_token(world, anyio.current_time()), "x"))
    assert reply.status == 400
    (push,) = [posting.push for posting in world.pushes_due(anyio.current_time())]
    assert push.event == "ticket"
