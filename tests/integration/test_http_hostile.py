"""A server that means harm, over real HTTP: each call ends in time, in an answer or in our errors.

What a connection can do to an answer is in `test_http_transport.py`; here it is what the server
says. Real sockets and real time, and no wait beyond the small bounds here.
"""

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from itertools import repeat

import anyio.lowlevel
import pytest

from fleetdeploy.baidu.client import BaiduPlatform
from fleetdeploy.baidu.http import CHUNK
from fleetdeploy.baidu.tokens import StaticTokens
from fleetdeploy.errors import AnswerLost, PlatformError
from fleetdeploy.model import AuditNote, Bundle
from tests.fuzz.answers import READERS
from tests.fuzz.words import check_error
from tests.integration.test_http_transport import (
    BODY_MAX,
    CHANGE,
    READ,
    SHORT_S,
    TOKEN,
    YES,
    Behaviour,
    answering,
    send_to,
    serving,
    shown,
    then_closing,
    transport_to,
    whole,
)

BUNDLE = Bundle("754", "{}", "1.0", "d [fd:0123456789]", "0123456789", AuditNote("c", "r"))
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CALLS: Sequence[tuple[str, Callable[[BaiduPlatform], Awaitable[object]]]] = (
    ("packages", lambda p: p.packages("100")),
    ("detail", lambda p: p.package_detail("100", "5")),
    ("quota", lambda p: p.audit_quota("100")),
    ("info", lambda p: p.app_info("100")),
    ("upload", lambda p: p.upload("100", BUNDLE)),
    ("release", lambda p: p.release("100", "5")),
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def endlessly(head: bytes, piece: bytes) -> Behaviour:
    """Answer with a head, and then with the same piece for as long as anybody listens."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for each in repeat(piece):
            writer.write(each)
            await writer.drain()
            await anyio.lowlevel.checkpoint()

    return behave


def said(**fields: object) -> bytes:
    return json.dumps(fields).encode()


DATA: Sequence[object] = (
    None,
    True,
    7,
    "text",
    [],
    {},
    [None, 7, "text", [], {}],
    [[[[]]]],
    {"list": 7, "count": {}},
    [{"version": {}, "package_id": []}],
    [{"version": "1", "package_id": True, "status": 1.5}],
    [{"version": ["\x1b[2J"], "version_desc": TOKEN}],
    {"version": "1", "package_id": 10**30},
    {"quota_type": None, "quota_times": "many", "remain_times": -7},
    {"app_id": [], "qualification": 7, "category": {}, "auth_info": [7]},
    {"package_id": "\ud800", "version": "\ud800"},
)


@pytest.mark.anyio
@pytest.mark.parametrize("call", [call for _, call in CALLS], ids=[name for name, _ in CALLS])
async def test_wrong_types_are_an_answer_or_an_error_of_the_platform(
    call: Callable[[BaiduPlatform], Awaitable[object]],
) -> None:
    answers = [whole(said(errno=0, data=data)) for data in DATA]
    answers += [whole(said(errno=value, msg=value, data=value)) for value in DATA]
    turns = iter(answers)

    async def behave(writer: asyncio.StreamWriter) -> None:
        await answering(next(turns))(writer)

    async with serving(behave) as server, transport_to(server.url) as transport:
        platform = BaiduPlatform(transport, StaticTokens({"100": TOKEN}))
        for _ in answers:
            try:
                answer = await call(platform)
            except PlatformError as error:
                check_error(error)
                told = shown(error)
            else:
                told = repr(answer)
            assert TOKEN not in told
    assert len(server.heads) == len(answers)


BODIES: Sequence[tuple[str, bytes]] = (
    ("lists in lists", b'{"errno":0,"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ("objects in objects", b'{"a":' * 15_000 + b"0" + b"}" * 15_000),
    ("lists without an end", b"[" * BODY_MAX),
    ("a huge number", b'{"errno":' + b"9" * 90_000 + b"}"),
    ("a huge exponent", b'{"errno":0e' + b"9" * 90_000 + b"}"),
    ("not a number", b'{"errno":NaN}'),
    ("a key twice", b'{"errno":0,"errno":1}'),
    ("GBK", '{"errno":1,"msg":"参数错误"}'.encode("gbk")),
    ("UTF-16", '{"errno":0}'.encode("utf-16")),
    ("UTF-32", '{"errno":0}'.encode("utf-32")),
    ("half a character", b'{"errno":0,"msg":"\xed\xa0\x80"}'),
    ("HTML", b"<html><script>alert(1)</script></html>"),
    ("JSON after something", b")]}'\n" + YES),
    ("JSON and something", YES + b"\x00"),
    ("a callback", b'callback({"errno":0})'),
    ("nothing", b""),
)


@pytest.mark.anyio
@pytest.mark.parametrize("body", [body for _, body in BODIES], ids=[name for name, _ in BODIES])
@pytest.mark.parametrize("typed", ["application/json; charset=gbk", "text/html", ""])
async def test_a_body_that_is_no_document_is_malformed_whatever_it_is_called(
    typed: str, body: bytes
) -> None:
    """Lists in lists of a hundred thousand levels are larger than a reply here may be."""
    headers = [f"Content-Type: {typed}"] if typed else []
    async with serving(answering(whole(body, *headers))) as server:
        if len(body) > BODY_MAX:
            with pytest.raises(AnswerLost):
                await send_to(server.url, READ)
            return
        reply = await send_to(server.url, READ)
    for read in READERS.values():
        with pytest.raises(PlatformError) as caught:
            read(reply)
        assert caught.value.code == "platform.reply_malformed"


HEADS: Sequence[tuple[str, Behaviour, str]] = (
    ("an endless body", endlessly(HEAD + b"\r\n", b"x" * CHUNK), "transport.reply_too_large"),
    (
        "endless chunks",
        endlessly(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"
        ),
        "transport.reply_too_large",
    ),
    (
        "a chunk of any size",
        then_closing(HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx"),
        "transport.cut_off",
    ),
    (
        "a chunk of no size",
        then_closing(HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n"),
        "transport.cut_off",
    ),
    (
        "two lengths",
        then_closing(HEAD + b"Content-Length: 11\r\nContent-Length: 5\r\n\r\n" + YES),
        "transport.cut_off",
    ),
    (
        "a length below nothing",
        then_closing(HEAD + b"Content-Length: -5\r\n\r\n" + YES),
        "transport.cut_off",
    ),
    (
        "a length beyond any",
        then_closing(HEAD + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n" + YES),
        "transport.cut_off",
    ),
    (
        "headers without an end",
        endlessly(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"x" * 4000 + b"\r\n"),
        "transport.cut_off",
    ),
    (
        "a header without a name",
        then_closing(HEAD + b": x\r\nContent-Length: 11\r\n\r\n" + YES),
        "transport.cut_off",
    ),
    ("a status of letters", then_closing(b"HTTP/1.1 YES OK\r\n\r\n"), "transport.cut_off"),
)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("behaviour", "code"), [case[1:] for case in HEADS], ids=[case[0] for case in HEADS]
)
async def test_an_answer_beyond_its_bounds_is_lost(behaviour: Behaviour, code: str) -> None:
    async with serving(behaviour) as server:
        with pytest.raises(AnswerLost) as caught:
            await send_to(server.url, CHANGE)
    assert caught.value.code == code
    assert len(server.heads) == 1
    assert TOKEN not in shown(caught.value)


@pytest.mark.anyio
async def test_what_is_packed_twice_stays_packed() -> None:
    bomb = gzip.compress(gzip.compress(b"x" * 50_000_000))
    async with serving(answering(whole(bomb, "Content-Encoding: gzip, gzip"))) as server:
        reply = await send_to(server.url, READ)
    assert len(reply.body) < 1_000
    with pytest.raises(PlatformError):
        READERS["read_done"](reply)


DRIPS: Sequence[tuple[str, Behaviour]] = (
    ("a body, byte by byte", endlessly(HEAD + b"Content-Length: 99000\r\n\r\n", b"x")),
    ("not yet, not yet", endlessly(b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
)


@pytest.mark.anyio
@pytest.mark.parametrize("behaviour", [it for _, it in DRIPS], ids=[name for name, _ in DRIPS])
async def test_an_answer_that_drips_ends_with_the_time(behaviour: Behaviour) -> None:
    async with serving(behaviour) as server:
        with pytest.raises(AnswerLost) as caught:
            await send_to(server.url, CHANGE, total_timeout_s=SHORT_S)
    assert caught.value.code == "transport.timeout"


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_hundred_megabytes_are_neither_held_nor_waited_for() -> None:
    sent = 0

    async def behave(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD + b"Content-Length: 100000000\r\n\r\n")
        while sent < 100_000_000:
            writer.write(b"x" * CHUNK)
            sent += CHUNK
            await writer.drain()

    tracemalloc.start()
    try:
        async with serving(behave) as server:
            with pytest.raises(AnswerLost):
                await send_to(server.url, READ)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent < 50_000_000
    assert peak < 10_000_000


SPOKEN: Sequence[tuple[str, bytes]] = (
    ("HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\n" + YES),
    ("no reason", b"HTTP/1.1 200\r\nContent-Length: 11\r\n\r\n" + YES),
    ("a header twice", whole(YES, "Retry-After: 5", "Retry-After: 99999999", "X-A: 1", "X-A: 2")),
    ("a header that acts", whole(YES, "X-B3-TraceId: \x1b[2J7", "Server: \x9b31m")),
    ("a cookie", whole(YES, f"Set-Cookie: token={TOKEN}; Domain=.com")),
)


@pytest.mark.anyio
@pytest.mark.parametrize("answer", [it for _, it in SPOKEN], ids=[name for name, _ in SPOKEN])
async def test_odd_forms_of_a_yes_are_a_yes_or_an_answer_lost(answer: bytes) -> None:
    async with serving(then_closing(answer)) as server, transport_to(server.url) as transport:
        platform = BaiduPlatform(transport, StaticTokens({"100": TOKEN}))
        for _ in range(2):
            try:
                await platform.release("100", "5")
            except AnswerLost as error:
                check_error(error)
    assert [head for head in server.heads if "cookie" in head.lower()] == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    "place", ["//evil.example/", "https://evil.example/", "\\\\evil.example", ""]
)
async def test_a_redirect_is_told_without_its_place(place: str) -> None:
    answer = whole(b"", f"Location: {place}", status="302 Found")
    async with serving(answering(answer)) as server, transport_to(server.url) as transport:
        platform = BaiduPlatform(transport, StaticTokens({"100": TOKEN}))
        with pytest.raises(PlatformError) as caught:
            await platform.release("100", "5")
    assert caught.value.code == "platform.redirected"
    assert "evil" not in shown(caught.value)
    assert len(server.heads) == 1
