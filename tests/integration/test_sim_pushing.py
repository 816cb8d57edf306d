"""The simulated platform's pushes over real HTTP, and the command that starts it all."""

import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

import aiohttp
import anyio
import pytest
from aiohttp import web

from fleetdeploy.errors import SettingsInvalid
from fleetdeploy.simulator.pusher_http import pushing
from fleetdeploy.simulator.server import REPORT_PATH, serve
from fleetdeploy.simulator.world import World
from tests.unit.sim_builders import (
    APP,
    exchange,
    is_signed,
    make_world,
    opened,
    read_push,
    refresh,
    retrieve,
    tp_get,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Real sockets need real time."""
    return "asyncio"


class Receiver:
    def __init__(self, answer: web.Response | None = None) -> None:
        self.status, self.text = (answer.status, answer.text) if answer else (200, "success")
        self.bodies: list[bytes] = []
        self.came = anyio.Event()

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self.came.set()
        self.came = anyio.Event()
        return web.Response(status=self.status, text=self.text)

    async def wait_for(self, event: str) -> dict[str, object]:
        with anyio.fail_after(10):
            while True:
                for message in map(read_push, self.bodies):
                    if message.get("event", "ticket") == event:
                        return message
                await self.came.wait()


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/push", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/push"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def pushed(world: World, receiver: Receiver, scale: float = 1.0) -> AsyncIterator[str]:
    async with (
        listening(receiver) as url,
        serve(world, time_scale=scale) as base,
        pushing(world, url),
    ):
        yield base


async def get(url: str, **params: str) -> dict[str, object]:
    async with aiohttp.ClientSession() as session, session.get(url, params=params) as reply:
        body = await reply.json()
    assert isinstance(body, dict)
    return body


async def until_failed(world: World, base: str) -> None:
    """Ask for the report, which takes its time, until a push was given up."""
    with anyio.fail_after(10):
        while not world.pushes.failed:
            await get(base + REPORT_PATH)


async def test_a_pushed_ticket_makes_a_token_and_a_pushed_code_a_pair() -> None:
    world, receiver = make_world(), Receiver()
    async with pushed(world, receiver) as base:
        ticket = await receiver.wait_for("ticket")
        path = "/public/2.0/smartapp/auth/tp/token"
        ids = {"client_id": world.desk.client_id, "ticket": str(ticket["Ticket"])}
        data = (await get(base + path, **ids))["data"]
        assert isinstance(data, dict)
        token = str(data["access_token"])
        world.change(APP, authorization="withdrawn")
        world.change(APP, authorization="granted")
        message = await receiver.wait_for("AUTHORIZED")
        asked = exchange(token, str(message["authorizationCode"]))
        pair = await get(base + asked.path, **asked.query)
        assert pair["refresh_token"] == world.desk.refresh_token(APP)
        asked = refresh(token, str(pair["refresh_token"]))
        assert "access_token" in await get(base + asked.path, **asked.query)
        report = await get(base + REPORT_PATH)
    assert all(map(is_signed, receiver.bodies))
    assert report["credentials"] == {
        "tp_tokens": 1,
        "refreshed": 1,
        "exchanged": 1,
        "retrieved": 0,
        "reused": 0,
    }


async def test_a_verdict_is_pushed_when_the_fast_world_comes_to_it() -> None:
    world, receiver = make_world(foreign=[{"status": 4}]), Receiver()
    async with pushed(world, receiver, scale=1000.0) as base:
        message = await receiver.wait_for("PACKAGE_AUDIT_PASS")
        assert message["packageId"] == 1_000_000
        token = world.desk.tp_token(world.desk.client_id, world.desk.ticket(0.0), 0.0)
        asked = tp_get(str(token), "pushmsg/getmsg")
        data = (await get(base + asked.path, **asked.query))["data"]
        assert isinstance(data, dict)
        events = [opened(row["content"])["event"] for row in data["list"]]
    assert events == ["PACKAGE_AUDIT_PASS"]


@pytest.mark.parametrize(
    ("status", "text"), [(200, "Success"), (200, "success\n"), (500, "success"), (200, "x" * 9999)]
)
async def test_only_success_counts(status: int, text: str) -> None:
    world = make_world(platform={"pushes": {"retries": 1, "retry_s": 0.01}})
    receiver = Receiver(web.Response(status=status, text=text))
    async with pushed(world, receiver) as base:
        await until_failed(world, base)
    assert (len(receiver.bodies), world.pushes.delivered) == (2, 0)


async def test_a_receiver_that_is_not_there_does_no_harm() -> None:
    world = make_world(platform={"pushes": {"retries": 0}})
    async with listening(Receiver()) as url:
        pass
    async with serve(world) as base, pushing(world, url):
        await until_failed(world, base)
    assert (world.pushes.delivered, world.pushes.failed) == (0, 1)
    assert world.pushes.on_news is None


async def test_an_error_of_the_block_comes_out_as_it_is() -> None:
    world, receiver = make_world(), Receiver()
    with pytest.raises(LookupError):
        async with pushed(world, receiver):
            raise LookupError


@pytest.mark.parametrize("url", ["http://192.0.2.1/", "ftp://localhost/", "nonsense", "http://[x"])
async def test_pushes_go_to_this_machine_only(url: str) -> None:
    async with serve(make_world()):
        with pytest.raises(SettingsInvalid):
            async with pushing(make_world(), url):
                pass


async def test_a_recovery_over_http_takes_the_form_of_the_official_sdks() -> None:
    world = make_world()
    token = world.desk.tp_token(world.desk.client_id, world.desk.ticket(0.0), 0.0)
    asked = retrieve(str(token))
    async with (
        serve(world) as base,
        aiohttp.ClientSession() as session,
        session.post(base + asked.path, params=asked.query, data=asked.form) as reply,
    ):
        body = await reply.json()
    assert (body["errno"], body["data"]["expires_in"]) == (0, 18000)


@pytest.mark.slow
def test_the_command_writes_what_a_client_needs_and_says_no_secret(tmp_path: Path) -> None:
    pairs, env = tmp_path / "pairs.json", tmp_path / "sim.env"
    words = ["simulate", "--apps", "2", "--tokens-out", str(tmp_path / "tokens.json")]
    words += ["--credentials-out", str(pairs), "--env-out", str(env)]
    words += ["--push-to", "http://127.0.0.1:9/push"]
    process = Popen(  # noqa: S603 - our own interpreter and our own words
        [sys.executable, "-m", "fleetdeploy", *words],
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        cwd=tmp_path,
    )
    try:
        assert process.stderr is not None
        heard = ""
        while "auth import" not in heard:
            line = process.stderr.readline()
            assert line, heard
            heard += line
        process.send_signal(signal.SIGTERM)
        out, more = process.communicate(timeout=30)
    finally:
        process.kill()
    said = out + heard + more
    settings = dict(line.split("=", 1) for line in env.read_text("utf-8").splitlines())
    told = json.loads(pairs.read_text("utf-8"))
    assert [stat.S_IMODE(path.stat().st_mode) for path in (pairs, env)] == [0o600, 0o600]
    assert list(told) == ["100000001", "100000002"]
    assert set(told["100000001"]) == {"refresh_token", "access_token"}
    secrets = [value for pair in told.values() for value in pair.values()]
    for name in ("TP_CLIENT_ID", "TP_TICKET", "PUSH_TOKEN", "PUSH_AES_KEY"):
        assert f"FLEETDEPLOY_{name}" in heard
        secrets.append(settings[f"FLEETDEPLOY_{name}"])
    assert settings["FLEETDEPLOY_API_BASE"] in heard
    assert not any(secret in said for secret in secrets)
    assert json.loads(out)["credentials"]["refreshed"] == 0
    assert len(secrets) == 8
