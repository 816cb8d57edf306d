"""The transport within one process, on the virtual clock."""

import anyio
import pytest

from fleetdeploy.errors import AnswerLost, NotSent
from fleetdeploy.simulator.faults import FaultKind, FaultRates, Faults, FaultScript
from fleetdeploy.simulator.inproc import InprocTransport
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.world import World
from tests.unit.sim_builders import APP, CALM, get, make_world, upload

pytestmark = pytest.mark.anyio


def always(kind: FaultKind, **more: object) -> Faults:
    return Faults(FaultScript.model_validate({"rates": {kind: 1.0}, **more}))


async def test_an_answer_takes_its_latency_and_no_more() -> None:
    world = make_world()
    started = anyio.current_time()
    reply = await InprocTransport(world).send(get(world, "package/get"))
    assert reply.status == 200
    assert 0.05 <= anyio.current_time() - started <= 0.2


async def test_a_read_right_after_an_upload_shows_nothing_yet() -> None:
    world = make_world()
    transport = InprocTransport(world)
    await transport.send(upload(world))
    before = await transport.send(get(world, "package/get"))
    await anyio.sleep(5)
    after = await transport.send(get(world, "package/get"))
    assert before.body == b'{"errno":0,"msg":"success","data":[]}'
    assert b'"package_id":1000000' in after.body


@pytest.mark.parametrize(
    ("kind", "effects"),
    [(FaultKind.REQUEST_LOST, 0), (FaultKind.ANSWER_LOST, 1), (FaultKind.CUT_BODY, 1)],
)
async def test_a_cut_connection_leaves_the_client_in_doubt(kind: FaultKind, effects: int) -> None:
    world = make_world()
    with pytest.raises(AnswerLost) as caught:
        await InprocTransport(world, always(kind)).send(upload(world))
    assert len(world.effects) == effects
    assert world.tokens[APP] not in str(caught.value)


async def test_a_refused_connection_is_certain_not_to_have_arrived() -> None:
    world = make_world()
    with pytest.raises(NotSent):
        await InprocTransport(world, always(FaultKind.NOT_CONNECTED)).send(upload(world))
    assert world.effects == []


async def test_an_error_page_is_a_reply() -> None:
    world = make_world()
    reply = await InprocTransport(world, always(FaultKind.ERROR_PAGE_DONE)).send(upload(world))
    assert (reply.status, len(world.effects)) == (502, 1)
    assert reply.body.startswith(b"<html>")


async def test_an_answer_slower_than_the_patience_is_lost_when_that_ends() -> None:
    world = make_world()
    transport = InprocTransport(world, always(FaultKind.SLOW, slow_s=100), timeout_s=30)
    started = anyio.current_time()
    with pytest.raises(AnswerLost):
        await transport.send(upload(world))
    assert anyio.current_time() - started == pytest.approx(30)
    assert len(world.effects) == 1


async def test_requests_in_flight_are_counted_also_if_cancelled() -> None:
    world = make_world()
    transport = InprocTransport(world)
    with anyio.move_on_after(0.03):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(transport.send, get(world, "package/get"))
    assert (world.traffic.in_flight, world.traffic.most_in_flight) == (0, 5)


async def test_requests_arrive_spaced_as_they_were_sent() -> None:
    world = World.from_scenario(Scenario(behaviour=CALM, latency_s=(0.1, 5)), [APP])
    transport = InprocTransport(world)
    async with anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(transport.send, get(world, "package/get"))
            await anyio.sleep(0.1)
    assert world.traffic.max_per_second() == 10


async def test_bad_luck_is_bounded_for_a_patient_client() -> None:
    world = make_world()
    rates = FaultRates(answer_lost=0.5, request_lost=0.5)
    transport = InprocTransport(world, Faults(FaultScript(rates=rates, max_consecutive=4)))
    for _ in range(4):
        with pytest.raises(AnswerLost):
            await transport.send(get(world, "package/get"))
    assert (await transport.send(get(world, "package/get"))).status == 200
