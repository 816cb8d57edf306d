"""The transport over real sockets on the loopback: what arrives, what breaks, what is never shown.

On asyncio and in real time: aiohttp needs both. No test waits longer than the tiny time-outs here.
"""

import asyncio
import gzip
import json
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from fleetdeploy.baidu.http import HttpTransport
from fleetdeploy.errors import AnswerLost, NotSent, PlatformError, SettingsInvalid
from fleetdeploy.transport import Reply, Request

TOKEN = "45.secret-that-must-not-be-seen.3600.1577808000.x"
CHANGE = Request("POST", "/change", {"access_token": TOKEN}, {"package_id": "58210"})
READ = Request("GET", "/read", {"access_token": TOKEN})
YES = b'{"errno":0}'
SHORT_S = 0.05
BODY_MAX = 100_000

VECTORS = Path(__file__).parents[1] / "contract" / "vectors"
REQUESTS = json.loads((VECTORS / "requests.json").read_text("utf-8"))

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Server:
    """A server that keeps every request as it came, and answers as it is told."""

    behaviour: Behaviour
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._take(reader):
                await self.behaviour(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _take(self, reader: asyncio.StreamReader) -> bool:
        """Read one request; False if the client has gone."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = [h for h in head.lower().splitlines() if h.startswith("content-length:")]
        self.heads.append(head)
        self.bodies.append(await reader.readexactly(int(length[0].split(":")[1]) if length else 0))
        return not reader.at_eof()

    @property
    def targets(self) -> list[str]:
        return [head.split(" ")[1] for head in self.heads]


@asynccontextmanager
async def serving(behaviour: Behaviour) -> AsyncIterator[Server]:
    server = Server(behaviour)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()


def transport_to(url: str, *, total_timeout_s: float = 5.0) -> HttpTransport:
    return HttpTransport(
        url, connect_timeout_s=5.0, total_timeout_s=total_timeout_s, body_max=BODY_MAX
    )


def whole(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def answering(*pieces: bytes) -> Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return behave


def then_closing(*pieces: bytes) -> Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        await answering(*pieces)(writer)
        writer.close()

    return behave


def resetting() -> Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    return behave


async def send_to(url: str, request: Request, *, total_timeout_s: float = 5.0) -> Reply:
    async with transport_to(url, total_timeout_s=total_timeout_s) as transport:
        return await transport.send(request)


def shown(error: BaseException) -> str:
    """Write all that a traceback could show, chained errors and what they hold included."""
    texts = ["".join(traceback.format_exception(error))]
    links: list[BaseException | None] = [error]
    while links:
        link = links.pop()
        if link is not None:
            texts.append(f"{link!r} {link} {vars(link)!r}")
            links += [link.__cause__, link.__context__]
    return "\n".join(texts)


@pytest.mark.anyio
@pytest.mark.parametrize("vector", REQUESTS, ids=lambda vector: vector["call"])
async def test_a_request_leaves_as_its_golden_vector_says(vector: dict[str, object]) -> None:
    query, form = vector["query"], vector["form"]
    assert isinstance(query, dict)
    assert form is None or isinstance(form, dict)
    request = Request(str(vector["method"]), str(vector["path"]), query, form)
    async with serving(answering(whole(YES))) as server:
        await send_to(server.url, request)
    assert server.targets == [vector["target"]]
    assert server.bodies == [str(vector["body"]).encode()]
    typed = "content-type: application/x-www-form-urlencoded" in server.heads[0].lower()
    assert typed is (form is not None)


@pytest.mark.anyio
async def test_a_reply_comes_whole_with_its_status_and_lower_case_headers() -> None:
    answer = whole(YES, "X-B3-TraceId: 463ac35c9f6413ad", status="400 Bad Request")
    async with serving(answering(answer)) as server:
        reply = await send_to(server.url, CHANGE)
    assert (reply.status, reply.body) == (400, YES)
    assert reply.headers["x-b3-traceid"] == "463ac35c9f6413ad"


@pytest.mark.anyio
async def test_a_prefix_of_the_base_url_is_kept() -> None:
    async with serving(answering(whole(YES))) as server:
        await send_to(f"{server.url}/stand-in/", READ)
    assert server.targets == [f"/stand-in/read?access_token={TOKEN}"]


@pytest.mark.anyio
async def test_odd_characters_of_a_query_are_escaped() -> None:
    async with serving(answering(whole(YES))) as server:
        await send_to(server.url, Request("GET", "/read", {"access_token": "a b&c=d#%2F\r\n"}))
    assert server.targets == ["/read?access_token=a+b%26c%3Dd%23%252F%0D%0A"]


@pytest.mark.anyio
async def test_the_tool_says_who_it_is() -> None:
    async with serving(answering(whole(YES))) as server:
        await send_to(server.url, READ)
    assert "user-agent: fleetdeploy" in server.heads[0].lower()


@pytest.mark.anyio
async def test_a_refused_connection_is_not_sent() -> None:
    async with serving(answering()) as server:
        url = server.url
    with pytest.raises(NotSent) as caught:
        await send_to(url, CHANGE)
    assert caught.value.code == "transport.not_connected"
    assert TOKEN not in shown(caught.value)


@pytest.mark.anyio
async def test_a_failed_tls_handshake_is_not_sent() -> None:
    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"this is not TLS\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener:
        with pytest.raises(NotSent) as caught:
            await send_to(f"https://127.0.0.1:{port}", CHANGE)
    assert caught.value.code == "transport.not_connected"
    assert TOKEN not in shown(caught.value)


BROKEN: Sequence[tuple[str, Behaviour, str]] = (
    ("closed before the answer", then_closing(), "transport.cut_off"),
    ("reset before the answer", resetting(), "transport.cut_off"),
    ("cut in the head", then_closing(b"HTTP/1.1 200 OK\r\nContent-"), "transport.cut_off"),
    ("cut in the body", then_closing(whole(YES)[:-3]), "transport.cut_off"),
    (
        "cut in a chunk",
        then_closing(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
        "transport.cut_off",
    ),
    ("no HTTP", then_closing(b"220 ready\r\n\r\n"), "transport.cut_off"),
    ("an endless header", then_closing(whole(YES, "X: " + "x" * 20_000)), "transport.cut_off"),
    (
        "broken packing",
        answering(whole(b"not packed at all", "Content-Encoding: gzip")),
        "transport.cut_off",
    ),
    ("a huge body", answering(whole(b"x" * (BODY_MAX + 1))), "transport.reply_too_large"),
    (
        "a body without end",
        answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x" * (BODY_MAX * 2)),
        "transport.reply_too_large",
    ),
    (
        "a small body that unpacks to a huge one",
        answering(whole(gzip.compress(b"x" * 50_000_000), "Content-Encoding: gzip")),
        "transport.reply_too_large",
    ),
)


@pytest.mark.anyio
@pytest.mark.parametrize("request_", [CHANGE, READ], ids=["change", "read"])
@pytest.mark.parametrize(
    ("behaviour", "code"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
async def test_an_answer_that_breaks_is_lost_and_nothing_is_sent_twice(
    request_: Request, behaviour: Behaviour, code: str
) -> None:
    async with serving(behaviour) as server:
        with pytest.raises(AnswerLost) as caught:
            await send_to(server.url, request_)
    assert caught.value.code == code
    assert len(server.heads) == 1
    assert TOKEN not in shown(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("pieces", [(), (whole(YES)[:-3],)], ids=["silence", "silence in the body"])
async def test_silence_is_an_answer_lost(pieces: tuple[bytes, ...]) -> None:
    async with serving(answering(*pieces)) as server:
        with pytest.raises(AnswerLost) as caught:
            await send_to(server.url, CHANGE, total_timeout_s=SHORT_S)
    assert caught.value.code == "transport.timeout"
    assert len(server.heads) == 1
    assert TOKEN not in shown(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("request_", [CHANGE, READ], ids=["change", "read"])
async def test_a_kept_connection_that_the_server_closes_is_not_retried(request_: Request) -> None:
    """The second request meets a connection that ends without a word."""
    answers = iter([answering(whole(YES)), then_closing(), answering(whole(YES))])

    async def behave(writer: asyncio.StreamWriter) -> None:
        await next(answers)(writer)

    async with serving(behave) as server, transport_to(server.url) as transport:
        await transport.send(request_)
        with pytest.raises(AnswerLost) as caught:
            await transport.send(request_)
        assert (await transport.send(request_)).body == YES
    assert caught.value.code == "transport.cut_off"
    assert (len(server.heads), server.connections) == (3, 2)


@pytest.mark.anyio
async def test_connections_are_kept() -> None:
    async with serving(answering(whole(YES))) as server, transport_to(server.url) as transport:
        for _ in range(3):
            await transport.send(CHANGE)
    assert server.connections == 1


@pytest.mark.anyio
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 T", "308 P"])
async def test_a_redirect_is_returned_and_not_followed(status: str) -> None:
    async with serving(answering(whole(YES))) as elsewhere:
        answer = whole(b"", f"Location: {elsewhere.url}/", status=status)
        async with serving(answering(answer)) as server:
            reply = await send_to(server.url, CHANGE)
    assert reply.status == int(status[:3])
    assert elsewhere.heads == []


@pytest.mark.anyio
async def test_cookies_are_not_kept() -> None:
    answer = whole(YES, "Set-Cookie: BAIDUID=1; Path=/")
    async with serving(answering(answer)) as server, transport_to(server.url) as transport:
        await transport.send(READ)
        await transport.send(READ)
    assert [head for head in server.heads if "cookie" in head.lower()] == []


@pytest.mark.anyio
async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        serving(answering(whole(YES))) as proxy,
        serving(answering(whole(YES))) as server,
    ):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        await send_to(server.url, READ)
    assert (len(proxy.heads), len(server.heads)) == (0, 1)


@pytest.mark.anyio
async def test_a_packed_answer_is_unpacked() -> None:
    answer = whole(gzip.compress(YES), "Content-Encoding: gzip")
    async with serving(answering(answer)) as server:
        assert (await send_to(server.url, READ)).body == YES


@pytest.mark.anyio
async def test_cancelling_goes_through() -> None:
    async with serving(answering()) as server, transport_to(server.url) as transport:
        with anyio.move_on_after(SHORT_S) as scope:
            await transport.send(CHANGE)
        assert scope.cancelled_caught
        server.behaviour = answering(whole(YES))
        assert (await transport.send(CHANGE)).body == YES
    assert len(server.heads) == 2


@pytest.mark.anyio
async def test_capacity_bounds_the_connections() -> None:
    async with (
        serving(answering(whole(YES))) as server,
        HttpTransport(server.url, capacity=2) as transport,
        anyio.create_task_group() as group,
    ):
        for _ in range(8):
            group.start_soon(transport.send, READ)
    assert len(server.heads) == 8
    assert server.connections <= 2


@pytest.mark.parametrize(
    "url",
    [
        "https://openapi.baidu.com",
        "https://openapi.baidu.com/",
        "http://127.0.0.1:8080",
        "http://127.9.9.9",
        "http://localhost:1",
        "http://[::1]:8080/stand-in",
    ],
)
def test_a_usable_address_is_taken(url: str) -> None:
    assert repr(HttpTransport(url)) == f"HttpTransport({url.rstrip('/')!r})"


@pytest.mark.parametrize(
    "url",
    [
        "http://openapi.baidu.com",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "ftp://openapi.baidu.com",
        "openapi.baidu.com",
        "https://",
        "",
        "https://user:hush@openapi.baidu.com",
        "http://127.0.0.1@example.com",
        "https://openapi.baidu.com?access_token=hush",
        "https://openapi.baidu.com/?",
        "https://openapi.baidu.com#hush",
        "https://openapi.baidu.com:99999",
        "https://openapi baidu.com",
        "https://[::1",
        "https://openapi.baidu.com\n",
    ],
)
def test_an_address_that_would_betray_tokens_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        HttpTransport(url)
    assert "FLEETDEPLOY_API_BASE" in caught.value.hint
    assert "hush" not in shown(caught.value)


@pytest.mark.anyio
async def test_every_error_of_the_transport_is_one_of_two() -> None:
    """A sweep over every byte at which an answer can end."""
    answer = whole(YES, "Content-Type: application/json")
    cut = iter(range(len(answer)))

    async def behave(writer: asyncio.StreamWriter) -> None:
        await then_closing(answer[: next(cut)])(writer)

    async with serving(behave) as server, transport_to(server.url) as transport:
        for _ in range(len(answer)):
            with pytest.raises(PlatformError) as caught:
                await transport.send(CHANGE)
            assert type(caught.value) is AnswerLost
    assert len(server.heads) == len(answer)
