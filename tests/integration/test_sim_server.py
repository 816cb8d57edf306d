"""The simulated platform over real HTTP on loopback."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from urllib.parse import urlsplit

import aiohttp
import pytest

from fleetdeploy.errors import SettingsInvalid
from fleetdeploy.simulator.behaviour import RateAnswer, RateLimit
from fleetdeploy.simulator.faults import FaultKind, Faults, FaultScript
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.server import MAX_BODY_BYTES, REPORT_PATH, serve
from fleetdeploy.simulator.world import World
from fleetdeploy.transport import Request
from tests.unit.sim_builders import APP, CALM, get, make_world, upload

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Real sockets need real time."""
    return "asyncio"


@asynccontextmanager
async def client(
    world: World, kind: FaultKind | None = None, *, time_scale: float = 1.0
) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    rates = {kind: 1.0} if kind else {}
    faults = Faults(FaultScript.model_validate({"rates": rates, "slow_s": 0.001}))
    async with (
        serve(world, faults, time_scale=time_scale) as url,
        aiohttp.ClientSession() as session,
    ):
        yield session, url


async def send(session: aiohttp.ClientSession, url: str, request: Request) -> tuple[int, bytes]:
    async with session.request(
        request.method, url + request.path, params=request.query, data=request.form
    ) as reply:
        return reply.status, await reply.read()


async def test_an_upload_and_a_list_over_http() -> None:
    world = make_world()
    async with client(world, time_scale=1e6) as (session, url):
        assert await send(session, url, upload(world)) == (200, b'{"errno":0,"msg":"success"}')
        status, body = await send(session, url, get(world, "package/get"))
    assert status == 200
    assert json.loads(body)["errno"] == 0
    assert [(effect.app_id, effect.version) for effect in world.effects] == [(APP, "1.0")]


async def test_chinese_text_survives_the_way_through_a_form() -> None:
    world = make_world()
    async with client(world) as (session, url):
        await send(session, url, upload(world, user_desc="秋季&+=% [fd:0123456789]"))
    assert world.effects[0].version_desc == "秋季&+=% [fd:0123456789]"


@pytest.mark.parametrize(
    ("kind", "effects"),
    [
        (FaultKind.NOT_CONNECTED, 0),
        (FaultKind.REQUEST_LOST, 0),
        (FaultKind.ANSWER_LOST, 1),
        (FaultKind.CUT_BODY, 1),
    ],
)
async def test_a_cut_connection_looks_like_one(kind: FaultKind, effects: int) -> None:
    world = make_world()
    async with client(world, kind) as (session, url):
        with pytest.raises((aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)):
            await send(session, url, upload(world))
    assert len(world.effects) == effects


@pytest.mark.parametrize(
    ("kind", "status", "effects"),
    [
        (FaultKind.ERROR_PAGE_UNDONE, 502, 0),
        (FaultKind.ERROR_PAGE_DONE, 502, 1),
        (FaultKind.SLOW, 200, 1),
    ],
)
async def test_a_fault_that_answers_answers(kind: FaultKind, status: int, effects: int) -> None:
    world = make_world()
    async with client(world, kind) as (session, url):
        assert (await send(session, url, upload(world)))[0] == status
    assert len(world.effects) == effects


async def test_a_429_carries_the_header_that_says_when() -> None:
    limit = RateLimit(per_second=1, answer=RateAnswer.HTTP_429, retry_after_s=3)
    world = World.from_scenario(Scenario(behaviour=CALM, rate_limit=limit), [APP])
    async with client(world, time_scale=1e6) as (session, url):
        await send(session, url, get(world, "package/get"))
        request = get(world, "package/get")
        async with session.get(url + request.path, params=request.query) as reply:
            assert (reply.status, reply.headers["Retry-After"]) == (429, "3")


async def test_a_body_that_is_no_form_counts_as_none() -> None:
    world = make_world()
    request = upload(world)
    async with (
        client(world) as (session, url),
        session.post(
            url + request.path, params=request.query, json=dict(request.form or {})
        ) as reply,
    ):
        assert (await reply.json())["errno"] == 40001
    assert world.effects == []


async def test_a_body_beyond_all_measure_is_refused() -> None:
    world = make_world()
    request = upload(world)
    endless = BytesIO(b"user_desc=" + b"x" * MAX_BODY_BYTES)
    async with (
        client(world) as (session, url),
        session.post(url + request.path, params=request.query, data=endless) as reply,
    ):
        assert reply.status == 413
    assert world.effects == []


async def test_a_form_that_is_not_utf8_or_endless_counts_as_none() -> None:
    world = make_world()
    request = upload(world)
    headers = {"content-type": "application/x-www-form-urlencoded"}
    async with client(world) as (session, url):
        for raw in (b"\xff\xfe", b"a=1&" * 500):
            async with session.post(
                url + request.path, params=request.query, data=raw, headers=headers
            ) as reply:
                assert (await reply.json())["errno"] == 40001


async def test_the_report_is_there_for_people_and_holds_no_token() -> None:
    world = make_world()
    async with client(world) as (session, url):
        await send(session, url, upload(world))
        async with session.get(url + REPORT_PATH) as reply:
            text = await reply.text()
    assert json.loads(text)["effects"]["upload"] == 1
    assert world.tokens[APP] not in text


async def test_it_listens_on_loopback_at_a_free_port_and_stops_with_the_block() -> None:
    async with client(make_world()) as (_, url):
        place = urlsplit(url)
        assert place.hostname == "127.0.0.1"
        assert place.port
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(url)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org"])  # noqa: S104  the refusal is what is tested
async def test_other_machines_are_let_in_only_explicitly(host: str) -> None:
    with pytest.raises(SettingsInvalid, match="reachable from other machines"):
        async with serve(make_world(), host=host):
            pass


@pytest.mark.parametrize("time_scale", [0.0, -1.0, float("nan"), float("inf")])
async def test_time_must_pass(time_scale: float) -> None:
    with pytest.raises(SettingsInvalid, match="time scale"):
        async with serve(make_world(), time_scale=time_scale):
            pass


async def test_a_port_that_is_taken_is_told() -> None:
    async with client(make_world()) as (_, url):
        with pytest.raises(SettingsInvalid, match="cannot listen"):
            async with serve(make_world(), port=urlsplit(url).port or 0):
                pass
