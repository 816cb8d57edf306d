"""The client over scripted replies: which call it makes, with which token, and what it reports."""

import json
from collections.abc import Awaitable, Callable, Sequence

import anyio
import pytest

from fleetdeploy.baidu.client import BaiduPlatform
from fleetdeploy.baidu.errno import own_error
from fleetdeploy.baidu.tokens import StaticTokens
from fleetdeploy.errors import (
    AnswerLost,
    ClientMustAct,
    NotSent,
    PlatformError,
    RateLimited,
    TokenRefused,
)
from fleetdeploy.model import AppInfo, AuditNote, AuditQuota, Bundle, Package
from fleetdeploy.ports import Call, CallResult, Inspector, Platform
from fleetdeploy.transport import Reply, Request

TOKEN = "45.aaaabbbbccccddddeeeeffff00001111.3600.1577808000.old"
OTHER = "45.aaaabbbbccccddddeeeeffff00001111.3600.1577811600.new"
BUNDLE = Bundle("754", "{}", "1.0", "d [fd:0123456789]", "0123456789", AuditNote("c", "r"))
NOTE = AuditNote("c", "r")

REFUSED = Reply(401, b'{"error_code":110,"error_msg":"Access token invalid"}')
YES = Reply(200, b'{"errno":0,"data":null}')


class Script:
    """A transport that plays its turns in order, each after one second."""

    def __init__(self, *turns: Reply | PlatformError) -> None:
        self.turns = list(turns)
        self.requests: list[Request] = []

    async def send(self, request: Request) -> Reply:
        self.requests.append(request)
        await anyio.sleep(1)
        turn = self.turns.pop(0)
        if isinstance(turn, PlatformError):
            raise turn
        return turn

    @property
    def tokens(self) -> list[str]:
        return [request.query["access_token"] for request in self.requests]


class Renewed:
    """A token source that has another token for a refused one."""

    def __init__(self, *others: str) -> None:
        self.current = TOKEN
        self.others = list(others)
        self.told: list[str] = []

    async def prepare(self, app_id: str) -> None:
        assert app_id == "100"

    def token(self, app_id: str) -> str | None:
        assert app_id == "100"
        return self.current

    def refused(self, app_id: str, error: TokenRefused, token: str) -> None:
        assert (app_id, token, error.errno) == ("100", self.current, 110)
        self.told.append(token)
        self.current = self.others.pop(0) if self.others else self.current


def reply(data: object) -> Reply:
    return Reply(200, json.dumps({"errno": 0, "data": data}).encode())


@pytest.mark.anyio
@pytest.mark.parametrize("char", [".", "a", "0"])
async def test_a_token_that_the_platform_repeats_in_escapes_is_blotted_out_too(char: str) -> None:
    spelt = TOKEN.replace(char, f"\\u{ord(char):04x}").encode()
    refusal = Reply(200, b'{"errno":69005,"msg":"no package for %b"}' % spelt)
    rows = Reply(200, b'{"errno":0,"data":[{"version":"1","remark":"by %b"}]}' % spelt)
    client = BaiduPlatform(Script(refusal, rows), StaticTokens({"100": TOKEN}))
    with pytest.raises(PlatformError) as caught:
        await client.release("100", "5")
    assert caught.value.msg == "no package for [token]"
    [package] = await client.packages("100")
    assert package.remark == "by [token]"


@pytest.mark.anyio
async def test_escapes_in_a_reply_without_the_token_stay_as_they_are() -> None:
    rows = Reply(200, b'{"errno":0,"data":[{"version":"\\u0031","remark":"a \\"b\\" \\u706b"}]}')
    [package] = await BaiduPlatform(Script(rows), StaticTokens({"100": TOKEN})).packages("100")
    assert (package.version, package.remark) == ("1", 'a "b" 火')


def test_the_client_fills_both_ports() -> None:
    client = BaiduPlatform(Script(), StaticTokens({}))
    platform: Platform = client
    inspector: Inspector = client
    assert {id(platform), id(inspector)} == {id(client)}


CHANGES: Sequence[tuple[str, Callable[[BaiduPlatform], Awaitable[None]]]] = (
    ("upload", lambda p: p.upload("100", BUNDLE)),
    ("submitaudit", lambda p: p.submit_audit("100", "5", NOTE)),
    ("release", lambda p: p.release("100", "5")),
    ("rollback", lambda p: p.rollback("100", "5")),
    ("withdraw", lambda p: p.withdraw("100", "5")),
)
READS: Sequence[tuple[str, Callable[[BaiduPlatform], Awaitable[object]], object, object]] = (
    ("get", lambda p: p.packages("100"), [{"version": "1"}], (Package("1"),)),
    ("getdetail", lambda p: p.package_detail("100", "5"), {"version": "1"}, Package("1")),
    (
        "auditquota",
        lambda p: p.audit_quota("100"),
        {"quota_type": 2, "quota_times": 3, "remain_times": 0},
        AuditQuota(2, 3, 0),
    ),
    (
        "info",
        lambda p: p.app_info("100"),
        {"app_id": 100},
        AppInfo("100", "", None, None, None, None),
    ),
)


@pytest.mark.anyio
@pytest.mark.parametrize(("path", "perform"), CHANGES)
async def test_a_change_is_sent_once_with_the_apps_token(
    path: str, perform: Callable[[BaiduPlatform], Awaitable[None]]
) -> None:
    script = Script(YES)
    await perform(BaiduPlatform(script, StaticTokens({"100": TOKEN})))
    assert [r.path.rpartition("/")[2] for r in script.requests] == [path]
    assert script.tokens == [TOKEN]


@pytest.mark.anyio
@pytest.mark.parametrize(("path", "perform", "data", "expected"), READS)
async def test_a_read_returns_the_typed_answer(
    path: str,
    perform: Callable[[BaiduPlatform], Awaitable[object]],
    data: object,
    expected: object,
) -> None:
    script = Script(reply(data))
    assert await perform(BaiduPlatform(script, StaticTokens({"100": TOKEN}))) == expected
    assert [r.path.rpartition("/")[2] for r in script.requests] == [path]


@pytest.mark.anyio
async def test_after_a_refused_token_the_same_call_goes_with_another() -> None:
    script = Script(REFUSED, YES)
    client = BaiduPlatform(script, Renewed(OTHER))
    with pytest.raises(TokenRefused):
        await client.release("100", "5")
    await client.release("100", "5")
    assert script.tokens == [TOKEN, OTHER]


@pytest.mark.anyio
async def test_each_refusal_is_told_to_the_source_with_the_token_it_was_of() -> None:
    script, tokens = Script(REFUSED, REFUSED), Renewed(OTHER)
    client = BaiduPlatform(script, tokens)
    for _ in range(2):
        with pytest.raises(TokenRefused) as caught:
            await client.release("100", "5")
        assert caught.value.msg == "Access token invalid"
    assert script.tokens == tokens.told == [TOKEN, OTHER]


@pytest.mark.anyio
async def test_an_app_without_a_token_is_not_called() -> None:
    script, calls = Script(), list[Call]()
    with pytest.raises(ClientMustAct):
        await BaiduPlatform(script, StaticTokens({}), on_call=calls.append).packages("100")
    assert script.requests == []
    assert calls == []


@pytest.mark.anyio
async def test_a_lost_answer_is_in_doubt_after_a_change_and_nothing_to_a_read() -> None:
    lost = own_error("transport.cut_off", "ServerDisconnectedError")
    client = BaiduPlatform(Script(lost, lost), StaticTokens({"100": TOKEN}))
    with pytest.raises(AnswerLost):
        await client.release("100", "5")
    with pytest.raises(NotSent) as caught:
        await client.packages("100")
    assert caught.value.code == "transport.cut_off"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("turn", "result", "code"),
    [
        (YES, CallResult.OK, ""),
        (Reply(200, b'{"errno":69001}'), CallResult.REFUSED, "platform.name_not_approved"),
        (Reply(200, b'{"errno":69012}'), CallResult.REFUSED, "platform.service_unavailable"),
        (Reply(429, b""), CallResult.THROTTLED, "platform.rate_limited"),
        (Reply(502, b""), CallResult.LOST, "platform.http_status"),
        (own_error("transport.timeout"), CallResult.LOST, "transport.timeout"),
        (own_error("transport.not_connected"), CallResult.NOT_SENT, "transport.not_connected"),
    ],
)
async def test_each_call_is_reported_as_it_ended(
    turn: Reply | PlatformError, result: CallResult, code: str
) -> None:
    calls: list[Call] = []
    client = BaiduPlatform(Script(turn), StaticTokens({"100": TOKEN}), on_call=calls.append)
    if result is CallResult.OK:
        await client.release("100", "5")
    else:
        with pytest.raises(PlatformError):
            await client.release("100", "5")
    assert calls == [Call("release", "100", result, 1.0, code)]


@pytest.mark.anyio
async def test_a_call_whose_token_was_refused_is_reported() -> None:
    calls: list[Call] = []
    client = BaiduPlatform(Script(REFUSED), Renewed(OTHER), on_call=calls.append)
    with pytest.raises(TokenRefused):
        await client.release("100", "5")
    assert [call.result for call in calls] == [CallResult.REFUSED]


@pytest.mark.anyio
async def test_a_cancelled_call_may_have_left_and_is_reported_as_lost() -> None:
    calls: list[Call] = []
    client = BaiduPlatform(Script(YES), StaticTokens({"100": TOKEN}), on_call=calls.append)
    with anyio.move_on_after(0.5):
        await client.release("100", "5")
    assert calls == [Call("release", "100", CallResult.LOST, 0.5, "call.cancelled")]


@pytest.mark.anyio
async def test_a_throttled_call_keeps_what_the_platform_asked_for() -> None:
    script = Script(Reply(429, b"", {"retry-after": "9"}))
    with pytest.raises(RateLimited) as caught:
        await BaiduPlatform(script, StaticTokens({"100": TOKEN})).packages("100")
    assert caught.value.retry_after_s == 9.0


@pytest.mark.anyio
async def test_a_token_that_the_platform_repeats_does_not_come_through() -> None:
    body = json.dumps({"errno": 69001, "msg": f"bad {TOKEN}"}).encode()
    client = BaiduPlatform(Script(Reply(200, body)), StaticTokens({"100": TOKEN}))
    with pytest.raises(ClientMustAct) as caught:
        await client.release("100", "5")
    assert caught.value.msg == "bad [token]"
