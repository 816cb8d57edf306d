"""The receiver of pushes over real sockets on the loopback, in front of a fake disk.

On asyncio and in real time: aiohttp needs both. No test waits longer than the tiny bounds here.
"""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import anyio
import pytest

from fleetdeploy.errors import PushRefused, SettingsInvalid, StateUnusable
from fleetdeploy.model import Push
from fleetdeploy.receiver.limits import DEFAULT_LIMITS, Address, ReceiverLimits
from fleetdeploy.receiver.results import Kind, Result
from fleetdeploy.receiver.server import Receiver, serve_receiver

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 25, 22, tzinfo=UTC)
SECRET = "marked-secret-of-a-push"
SHORT_S = 0.05
BODY_MAX = 64 * 1024
REASONS = ("signature", "stale", "padding", "json")
LOOPBACK = Address("127.0.0.1", 0)


@pytest.fixture
def anyio_backend() -> str:
    """Real sockets need real time."""
    return "asyncio"


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test sends, nothing is logged, not even for those who debug."""
    caplog.set_level(logging.DEBUG, logger="aiohttp")
    yield
    loud = [r for r in caplog.records if r.name != "asyncio" or r.levelno > logging.DEBUG]
    assert loud == []


class FixedClock:
    def now(self) -> datetime:
        return NOW


@dataclass
class Disk:
    """Keeps pushes by their key; slow while `gate` is shut, broken while `error` is set."""

    taken: list[str] = field(default_factory=list)
    begun: int = 0
    error: Exception | None = None
    gate: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def shut(self) -> None:
        self.gate = anyio.Event()

    async def take(self, push: Push) -> None:
        self.begun += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        if push.key not in self.taken:
            self.taken.append(push.key)


def open_push(body: bytes, now: float) -> Push:
    """Open a fake push: its key in clear, or what is wrong with it."""
    assert now == NOW.timestamp()
    word, _, rest = body.decode("utf-8", "replace").partition(":")
    if word == "refuse":
        raise PushRefused(rest)
    if word == "bug":
        raise ValueError(rest)
    if word != "key":
        raise PushRefused("malformed")
    return Push(rest)


def unheard(_: Result) -> None: ...


@dataclass
class Stage:
    disk: Disk
    receiver: Receiver
    results: list[Result]

    @property
    def kinds(self) -> list[Kind]:
        return [result.kind for result in self.results]

    @property
    def reasons(self) -> list[str]:
        return [result.reason for result in self.results]

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["Wire"]:
        place = urlsplit(self.receiver.url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        try:
            yield Wire(reader, writer)
        finally:
            writer.close()

    async def send(self, raw: bytes) -> "Reply":
        """Send bytes on a connection of their own, and read one answer."""
        async with self.connection() as wire:
            return await wire.ask(raw)

    async def push(self, body: bytes, path: str = "/push") -> "Reply":
        return await self.send(post(body, path))


@asynccontextmanager
async def stage(limits: ReceiverLimits = DEFAULT_LIMITS) -> AsyncIterator[Stage]:
    disk, results = Disk(), list[Result]()
    async with serve_receiver(
        open_push, disk.take, FixedClock(), LOOPBACK, results.append, limits
    ) as receiver:
        yield Stage(disk, receiver, results)


@dataclass(frozen=True)
class Reply:
    """An answer as it came, but for its date."""

    status: int
    head: str
    body: bytes

    @property
    def short(self) -> tuple[int, bytes]:
        return self.status, self.body


@dataclass
class Wire:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, raw: bytes) -> Reply:
        try:
            self.writer.write(raw)
            await self.writer.drain()
        except ConnectionError:
            pass  # it may hang up before it has heard all
        return await self.answer()

    async def answer(self) -> Reply:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.strip().splitlines()
        fields = dict(line.lower().split(": ", 1) for line in lines[1:])
        body = await self.reader.readexactly(int(fields.get("content-length", "0")))
        kept = [line for line in lines if not line.startswith("Date: ")]
        return Reply(int(lines[0].split(" ")[1]), "\n".join(kept), body)

    async def ended(self) -> bool:
        """Wait for the end of the connection."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True


def post(body: bytes, path: str = "/push", *headers: str) -> bytes:
    return request("POST", path, f"Content-Length: {len(body)}", *headers) + body


def chunked(*chunks: bytes) -> bytes:
    """Write a chunked push, without the end if the last chunk is not empty."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return request("POST", "/push", "Transfer-Encoding: chunked") + framed


def request(method: str, path: str, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: receiver.example", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


async def until(stage: Stage, kind: Kind) -> None:
    """Wait until a result of this kind is there."""
    with anyio.fail_after(5):
        while kind not in stage.kinds:
            await anyio.lowlevel.checkpoint()


# What is taken


@pytest.mark.parametrize("path", ["/push", "/push/events", "/push/messages", "/push?a=b"])
async def test_a_push_is_answered_with_the_word_and_nothing_else(path: str) -> None:
    async with stage() as here:
        reply = await here.push(b"key:1", path)
    assert reply.short == (200, b"success")
    assert reply.head == (
        "HTTP/1.1 200 OK\nServer: receiver\nContent-Type: text/plain; charset=utf-8\n"
        "Content-Length: 7"
    )
    assert (here.disk.taken, here.results) == (["1"], [Result(Kind.TAKEN)])


async def test_success_comes_only_after_the_disk() -> None:
    async with stage() as here, here.connection() as wire, anyio.create_task_group() as group:
        here.disk.shut()
        replies: list[Reply] = []

        async def ask() -> None:
            replies.append(await wire.ask(post(b"key:1")))

        group.start_soon(ask)
        with anyio.fail_after(5):
            while not here.disk.begun:
                await anyio.lowlevel.checkpoint()
        assert (replies, here.disk.taken) == ([], [])
        here.disk.gate.set()
    assert [reply.short for reply in replies] == [(200, b"success")]


async def test_a_slow_disk_is_not_waited_for_and_not_interrupted() -> None:
    async with stage(replace(DEFAULT_LIMITS, answer_within_s=SHORT_S)) as here:
        here.disk.shut()
        assert (await here.push(b"key:1")).short == (503, b"not now\n")
        assert (here.kinds, here.disk.taken) == ([Kind.TOO_SLOW], [])
        assert here.receiver.statistics().under_way == 1
        here.disk.gate.set()
        await until(here, Kind.TAKEN)
        assert here.disk.taken == ["1"]
        assert (await here.push(b"key:1")).short == (200, b"success")
    assert here.disk.taken == ["1"]
    assert here.kinds == [Kind.TOO_SLOW, Kind.TAKEN, Kind.TAKEN]


async def test_a_client_that_goes_away_does_not_interrupt_the_disk() -> None:
    async with stage() as here:
        here.disk.shut()
        async with here.connection() as wire:
            wire.writer.write(post(b"key:1"))
            with anyio.fail_after(5):
                while not here.disk.begun:
                    await anyio.lowlevel.checkpoint()
        here.disk.gate.set()
        await until(here, Kind.TAKEN)
    assert here.disk.taken == ["1"]


async def test_a_broken_disk_is_not_success_and_shows_in_health_until_it_works() -> None:
    async with stage() as here:
        assert (await here.send(request("GET", "/health"))).status == 200
        here.disk.error = StateUnusable("the disk is full")
        assert (await here.push(b"key:1")).short == (503, b"not now\n")
        assert here.results == [Result(Kind.FAILED, "state.unusable", "the disk is full")]
        assert (await here.send(request("GET", "/health"))).status == 503
        here.disk.error = None
        assert (await here.push(b"key:1")).short == (200, b"success")
        assert (await here.send(request("GET", "/health"))).status == 200
    assert here.disk.taken == ["1"]


@pytest.mark.slow
async def test_two_hundred_pushes_at_once_are_all_taken() -> None:
    replies: list[Reply] = []
    async with stage() as here, anyio.create_task_group() as group:

        async def one(number: int) -> None:
            replies.append(await here.push(b"key:%d" % number))

        for number in range(200):
            group.start_soon(one, number)
    assert {reply.short for reply in replies} == {(200, b"success")}
    assert sorted(here.disk.taken, key=int) == [str(number) for number in range(200)]


async def test_many_pushes_share_one_connection_also_when_sent_ahead() -> None:
    async with stage() as here, here.connection() as wire:
        wire.writer.write(b"".join(post(b"key:%d" % number) for number in range(50)))
        replies = [await wire.answer() for _ in range(50)]
    assert {reply.short for reply in replies} == {(200, b"success")}
    assert here.disk.taken == [str(number) for number in range(50)]


async def test_a_body_in_chunks_is_a_body() -> None:
    async with stage() as here:
        reply = await here.send(chunked(b"ke", b"y:1", b""))
    assert (reply.short, here.disk.taken) == ((200, b"success"), ["1"])


async def test_a_sender_that_waits_to_be_asked_for_its_body_is_asked() -> None:
    """Common clients do so with bodies above 1 KB, and lose a second where nobody asks."""
    async with stage() as here, here.connection() as wire:
        head, body = post(b"key:1", "/push", "Expect: 100-continue").split(b"\r\n\r\n")
        wire.writer.write(head + b"\r\n\r\n")
        asked = await wire.reader.readuntil(b"\r\n\r\n")
        assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await wire.ask(body)).short == (200, b"success")


async def test_an_offer_of_another_protocol_is_not_taken_up() -> None:
    """Some clients offer HTTP/2 with every request that they make in clear."""
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAA")
    async with stage() as here, here.connection() as wire:
        assert (await wire.ask(post(b"key:1", "/push", *offer))).short == (200, b"success")
        assert (await wire.ask(post(b"key:2"))).short == (200, b"success")


async def test_a_body_of_the_greatest_size_is_taken() -> None:
    async with stage() as here:
        body = b"key:" + b"x" * (BODY_MAX - 4)
        assert (await here.push(body)).short == (200, b"success")


async def test_what_a_proxy_or_a_sender_says_of_itself_means_nothing() -> None:
    lies = ("X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: https", "Forwarded: for=127.0.0.1")
    async with stage() as here:
        plain = await here.push(b"refuse:signature")
        lying = await here.send(post(b"refuse:signature", "/push", *lies))
        elsewhere = await here.push(b"key:1", "http://elsewhere.example/push")
    assert lying == plain
    assert elsewhere.short == (200, b"success")


# What is refused


def cases_of_refusal() -> dict[str, bytes]:
    """Everything that can be wrong with a push, as it goes over the wire."""
    huge = b"key:" + b"x" * BODY_MAX
    return {
        **{reason: post(f"refuse:{reason}".encode()) for reason in REASONS},
        "malformed": post(b"{not json"),
        "no text": post(b"\xff\xfe\x00"),
        "empty": post(b""),
        "of no length": request("POST", "/push"),
        "packed": post(gzip.compress(b"key:1"), "/push", "Content-Encoding: gzip"),
        "too large": post(huge),
        "too large by its own word": request("POST", "/push", "Content-Length: 99999999999"),
        "too large in chunks": chunked(*[huge[:8192]] * 9),
        "one chunk too large": chunked(huge),
        "a chunk that promises all": request("POST", "/push", "Transfer-Encoding: chunked")
        + b"ffffffff\r\nxx",
        "longer than it says": post(b"refuse:signature") + b"garbage that is no request\r\n\r\n",
        "a broken chunk": request("POST", "/push", "Transfer-Encoding: chunked") + b"zz\r\nxx\r\n",
        "two lengths": request("POST", "/push", "Content-Length: 5", "Content-Length: 6")
        + b"key:12",
        "length and chunks": request(
            "POST", "/push", "Content-Length: 5", "Transfer-Encoding: chunked"
        )
        + b"5\r\nkey:1\r\n0\r\n\r\n",
        "a negative length": request("POST", "/push", "Content-Length: -1"),
    }


UNIFORM = (
    "\nServer: receiver\nContent-Type: text/plain; charset=utf-8\nConnection: close\n"
    "Content-Length: 8"
)


@pytest.mark.parametrize("raw", cases_of_refusal().values(), ids=cases_of_refusal().keys())
async def test_whatever_is_wrong_the_answer_is_the_same_byte_for_byte(raw: bytes) -> None:
    limits = replace(DEFAULT_LIMITS, body_within_s=SHORT_S)
    async with stage(limits) as here, here.connection() as wire:
        with anyio.fail_after(5):
            reply = await wire.ask(raw)
            assert await wire.ended()
    assert reply.short == (403, b"refused\n")
    # What is not even HTTP has no version to answer in.
    assert reply.head.replace("HTTP/1.0", "HTTP/1.1") == "HTTP/1.1 403 Forbidden" + UNIFORM
    assert set(here.kinds) == {Kind.REFUSED}
    assert here.disk.taken == []


async def test_a_refusal_is_told_by_its_reason_to_us_only() -> None:
    async with stage() as here:
        for reason in REASONS:
            await here.push(f"refuse:{reason}".encode())
        assert here.results == [Result(Kind.REFUSED, reason) for reason in REASONS]
        assert here.receiver.statistics().refusals == dict.fromkeys(REASONS, 1)


TOO_LARGE = [name for name in cases_of_refusal() if "too large" in name]


@pytest.mark.parametrize("name", TOO_LARGE)
async def test_what_is_too_large_is_refused_for_that_before_all_of_it_is_read(name: str) -> None:
    async with stage() as here:
        assert (await here.send(cases_of_refusal()[name])).status == 403
    assert here.results == [Result(Kind.REFUSED, "too_large")]


async def test_a_body_that_nobody_wants_is_not_read() -> None:
    async with stage() as here, here.connection() as wire:
        with anyio.fail_after(5):
            reply = await wire.ask(request("POST", "/", "Content-Length: 1000000"))
            assert await wire.ended()
    assert reply.status == 404
    assert "Connection: close" in reply.head


async def test_a_body_that_comes_drop_by_drop_is_cut_off() -> None:
    async with stage(replace(DEFAULT_LIMITS, body_within_s=SHORT_S)) as here:
        for start in (post(b"key:1")[:-1], chunked(b"key:")):
            async with here.connection() as wire:
                assert (await wire.ask(start)).short == (403, b"refused\n")
                assert await wire.ended()
    assert here.results == [Result(Kind.REFUSED, "too_slow")] * 2


@pytest.mark.parametrize("start", [b"", b"POST /push HTTP/1.1\r\nHos"], ids=["silence", "half"])
async def test_a_connection_that_never_asks_anything_is_cut_off(start: bytes) -> None:
    async with (
        stage(replace(DEFAULT_LIMITS, head_within_s=SHORT_S)) as here,
        here.connection() as wire,
    ):
        wire.writer.write(start)
        with anyio.fail_after(5):
            assert await wire.ended()
    assert here.results == []


async def test_a_kept_connection_may_rest_longer_than_a_head_may_take() -> None:
    async with (
        stage(replace(DEFAULT_LIMITS, head_within_s=SHORT_S)) as here,
        here.connection() as wire,
    ):
        assert (await wire.ask(post(b"key:1"))).status == 200
        with anyio.move_on_after(SHORT_S * 3) as rest:
            await wire.ended()
        assert rest.cancelled_caught
        assert (await wire.ask(post(b"key:2"))).status == 200
        wire.writer.write(b"POST")
        with anyio.fail_after(5):
            assert await wire.ended()


async def test_a_connection_that_rests_too_long_is_closed() -> None:
    async with (
        stage(replace(DEFAULT_LIMITS, idle_s=SHORT_S)) as here,
        here.connection() as wire,
    ):
        assert (await wire.ask(post(b"key:1"))).status == 200
        with anyio.fail_after(5):
            assert await wire.ended()


async def test_a_body_that_breaks_off_is_refused() -> None:
    async with stage() as here:
        async with here.connection() as wire:
            wire.writer.write(post(b"key:1")[:-1])
            wire.writer.write_eof()
            await wire.ended()
        await until(here, Kind.REFUSED)
        assert (await here.push(b"key:2")).status == 200
    assert here.disk.taken == ["2"]
    assert here.reasons == ["cut_off", ""]


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n\r\n\x00",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET\r\n\r\n",
        b"POST /push HTTP/9.9\r\n\r\n",
        b"POST /push\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST http://[::1/push HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST //[/push HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT a:b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /push HTTP/1.1\r\nHost: a\r\nHost: b\r\nno colon\r\n\r\n",
        request("POST", "/push", "X: " + "x" * 20_000),
        request("POST", "/push", *(f"X-{number}: x" for number in range(500))),
        request("POST", "/" + "x" * 20_000),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=range(13),
)
async def test_what_is_no_http_is_refused_and_harms_nobody(raw: bytes) -> None:
    async with stage() as here:
        async with here.connection() as wire:
            reply = await wire.ask(raw)
            assert reply.status in {403, 404}
            assert reply.body in {b"refused\n", b"not found\n"}
            assert "aiohttp" not in reply.head
        assert (await here.push(b"key:1")).status == 200
    assert here.disk.taken == ["1"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/push"),
        ("PUT", "/push"),
        ("DELETE", "/push/events"),
        ("POST", "/"),
        ("POST", "/push/"),
        ("POST", "/pushes"),
        ("POST", "/push/a/b"),
        ("POST", "/prefix/push"),
        ("POST", "/health"),
        ("GET", "/"),
        ("GET", "/health/"),
        ("GET", "/push/../health"),
        ("OPTIONS", "*"),
        ("TRACE", "/push"),
    ],
)
async def test_all_else_is_not_found_whatever_it_is(method: str, path: str) -> None:
    async with stage() as here, here.connection() as wire:
        reply = await wire.ask(request(method, path))
        assert reply.short == (404, b"not found\n")
        assert (await wire.ask(post(b"key:1"))).status == 200


async def test_a_bug_is_told_to_us_without_what_came_in_and_to_the_sender_not_at_all() -> None:
    async with stage() as here:
        opened = await here.push(f"bug:{SECRET}".encode())
        here.disk.error = RuntimeError(SECRET)
        taken = await here.push(b"key:1")
    assert (opened.short, taken.short) == ((500, b"error\n"), (503, b"not now\n"))
    assert here.kinds == [Kind.FAILED, Kind.FAILED]
    assert here.reasons == ["bug", "bug"]
    assert "ValueError at " in here.results[0].detail
    assert SECRET not in repr((here.results, opened, taken))


# What is too much


async def test_too_many_a_second_are_turned_away_before_they_are_opened() -> None:
    async with stage(replace(DEFAULT_LIMITS, per_second=0.001)) as here:
        assert (await here.push(b"key:1")).status == 200
        assert (await here.push(f"bug:{SECRET}".encode())).short == (429, b"too many\n")
        assert (await here.send(request("GET", "/health"))).status == 200
    assert here.results == [Result(Kind.TAKEN), Result(Kind.THROTTLED, "per_second")]


async def test_too_many_at_once_are_turned_away_also_while_only_the_disk_is_slow() -> None:
    limits = replace(DEFAULT_LIMITS, at_once=2, answer_within_s=SHORT_S)
    async with stage(limits) as here:
        here.disk.shut()
        replies = [await here.push(b"key:%d" % number) for number in range(3)]
        assert [reply.status for reply in replies] == [503, 503, 429]
        here.disk.gate.set()
        await until(here, Kind.TAKEN)
        assert (await here.push(b"key:2")).status == 200
    assert Result(Kind.THROTTLED, "at_once") in here.results


async def test_too_many_connections_are_hung_up_on() -> None:
    async with (
        stage(replace(DEFAULT_LIMITS, connections=1)) as here,
        here.connection() as first,
    ):
        assert (await first.ask(post(b"key:1"))).status == 200
        async with here.connection() as second:
            assert await second.ended()
        assert (await first.ask(post(b"key:2"))).status == 200
        assert here.results[1] == Result(Kind.THROTTLED, "connections")


@pytest.mark.slow
async def test_who_does_not_read_the_answers_is_hung_up_on() -> None:
    async def ask_on(wire: Wire) -> None:
        while True:
            wire.writer.write(request("GET", "/health") * 100)
            await wire.writer.drain()

    async with stage() as here, here.connection() as wire:
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        with anyio.fail_after(20), pytest.raises(ConnectionError):
            await ask_on(wire)


# Health, start and stop


async def test_health_tells_counts_and_no_content() -> None:
    async with stage() as here:
        fresh = await here.send(request("GET", "/health"))
        await here.push(b"key:" + SECRET.encode())
        await here.push(b"refuse:signature")
        reply = await here.send(request("GET", "/health"))
    assert json.loads(fresh.body)["last_taken_s"] is None
    assert "application/json" in reply.head
    told = json.loads(reply.body)
    assert told.pop("last_taken_s") >= 0
    assert told == {
        "ok": True,
        "taken": 1,
        "refused": 1,
        "throttled": 0,
        "failed": 0,
        "too_slow": 0,
        "under_way": 0,
    }
    assert SECRET not in reply.body.decode()


async def test_a_stop_lets_what_is_under_way_end() -> None:
    answers: list[Reply] = []
    async with anyio.create_task_group() as group, stage() as here:
        here.disk.shut()

        async def one(number: int) -> None:
            answers.append(await here.push(b"key:%d" % number))

        for number in range(3):
            group.start_soon(one, number)
        with anyio.fail_after(5):
            while here.disk.begun < 3:
                await anyio.lowlevel.checkpoint()
        asyncio.get_running_loop().call_later(SHORT_S, here.disk.gate.set)
    assert [answer.short for answer in answers] == [(200, b"success")] * 3
    assert sorted(here.disk.taken) == ["0", "1", "2"]


async def test_a_stop_waits_for_the_disk_also_when_nobody_waits_for_the_answer() -> None:
    async with stage(replace(DEFAULT_LIMITS, answer_within_s=SHORT_S)) as here:
        here.disk.shut()
        assert (await here.push(b"key:1")).status == 503
        asyncio.get_running_loop().call_later(SHORT_S, here.disk.gate.set)
    assert here.disk.taken == ["1"]


async def test_a_stop_ends_what_does_not_end_and_calls_nothing_success_that_was_not_stored() -> (
    None
):
    limits = replace(DEFAULT_LIMITS, stop_within_s=SHORT_S, answer_within_s=SHORT_S / 2)
    async with stage(limits) as here:
        here.disk.shut()
        reply = await here.push(b"key:1")
    assert reply.status == 503
    assert here.disk.taken == []


async def test_a_stop_is_not_held_up_by_half_a_body_or_a_resting_connection() -> None:
    async with AsyncExitStack() as wires:
        async with stage(replace(DEFAULT_LIMITS, stop_within_s=SHORT_S)) as here:
            resting = await wires.enter_async_context(here.connection())
            half = await wires.enter_async_context(here.connection())
            assert (await resting.ask(post(b"key:1"))).status == 200
            half.writer.write(post(b"key:2")[:-1])
            with anyio.fail_after(5):
                while here.receiver.statistics().under_way == 0:
                    await anyio.lowlevel.checkpoint()
            began = anyio.current_time()
        assert anyio.current_time() - began < DEFAULT_LIMITS.body_within_s
        assert await resting.ended()
        assert await half.ended()
    assert here.disk.taken == ["1"]


async def test_what_was_answered_with_success_was_stored_however_it_was_stopped() -> None:
    """Many clients push on and on; the receiver stops in the middle, its block cancelled."""
    said: list[str] = []

    async def push_on(here: Stage, client: int) -> None:
        try:
            async with here.connection() as wire:
                for number in range(10_000):
                    key = f"{client}-{number}"
                    if (await wire.ask(post(f"key:{key}".encode()))).status == 200:
                        said.append(key)
        except (OSError, asyncio.IncompleteReadError):
            pass

    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            async with stage() as here:
                for client in range(8):
                    group.start_soon(push_on, here, client)
                while len(said) < 50:
                    await anyio.lowlevel.checkpoint()
                scope.cancel()
                await anyio.lowlevel.checkpoint()
    assert len(said) >= 50
    assert set(said) <= set(here.disk.taken)
    with pytest.raises(ConnectionError):
        await here.push(b"key:late")


@pytest.mark.parametrize(
    ("host", "port"),
    [("192.0.2.1", 0), ("127.0.0.1", 70_000), ("no.such.host.invalid", 0), ("a" * 70 + ".b", 0)],
)
async def test_an_address_that_cannot_be_had_is_told(host: str, port: int) -> None:
    with pytest.raises(SettingsInvalid, match="cannot listen"):
        async with serve_receiver(
            open_push, Disk().take, FixedClock(), Address(host, port), unheard
        ):
            pass


async def test_a_port_that_is_taken_is_told() -> None:
    async with stage() as here:
        port = urlsplit(here.receiver.url).port or 0
        with pytest.raises(SettingsInvalid, match="cannot listen"):
            async with serve_receiver(
                open_push, Disk().take, FixedClock(), Address("127.0.0.1", port), unheard
            ):
                pass


async def test_errors_of_the_block_come_out_as_they_are() -> None:
    with pytest.raises(StateUnusable):
        async with stage():
            raise StateUnusable("elsewhere")
