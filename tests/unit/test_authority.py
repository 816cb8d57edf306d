"""The authority over scripted replies: one request a method, reported, and nothing secret in it."""

import json
from collections.abc import Awaitable, Callable, Mapping

import anyio
import pytest

from fleetdeploy.baidu.authority import BaiduAuthority
from fleetdeploy.baidu.errno import own_error
from fleetdeploy.errors import AnswerLost, FleetRefused, NotSent, PlatformError, TokenRefused
from fleetdeploy.model import AuthorizationCode, Grant, PreAuthCode, Template
from fleetdeploy.ports import Authority, Call, CallResult, PushPage, TemplatePage
from fleetdeploy.transport import Reply, Request
from tests.unit.test_auth_wire import (
    CLIENT_ID,
    CODE,
    GRANT,
    PAIR,
    REFRESH,
    TICKET,
    TP_TOKEN,
    WINDOW,
    agreed,
    said,
)

SECRETS = (CLIENT_ID, CODE, REFRESH, TICKET, TP_TOKEN)


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


METHODS: Mapping[str, Callable[[BaiduAuthority], Awaitable[object]]] = {
    "tp_token": lambda a: a.tp_token(TICKET),
    "pre_auth_code": lambda a: a.pre_auth_code(TP_TOKEN),
    "exchange_code": lambda a: a.exchange(TP_TOKEN, CODE),
    "refresh_token": lambda a: a.refresh(TP_TOKEN, REFRESH),
    "retrieve_code": lambda a: a.retrieve_code(TP_TOKEN, "100"),
    "templates": lambda a: a.templates(TP_TOKEN, 1),
    "pushes": lambda a: a.pushes(TP_TOKEN, WINDOW),
}
ANSWERS: Mapping[str, tuple[Reply, object]] = {
    "tp_token": (
        agreed({"access_token": TP_TOKEN, "expires_in": 2592000}),
        Grant(TP_TOKEN, 2592000.0),
    ),
    "pre_auth_code": (
        agreed({"pre_auth_code": CODE, "expires_in": 1200}),
        PreAuthCode(CODE, 1200.0),
    ),
    "exchange_code": (said(PAIR), GRANT),
    "refresh_token": (said(PAIR), GRANT),
    "retrieve_code": (
        agreed({"authorization_code": CODE, "expires_in": 18000}),
        AuthorizationCode("100", CODE, 18000.0),
    ),
    "templates": (
        agreed({"count": 1, "list": [{"template_id": 754}]}),
        TemplatePage((Template("754"),), 1),
    ),
    "pushes": (agreed({"count": 1, "list": [{"content": "x"}]}), PushPage(("x",), 1)),
}
SPENDING = ("exchange_code", "refresh_token")
every_method = pytest.mark.parametrize("method", METHODS)


def app_of(method: str) -> str:
    return "100" if method == "retrieve_code" else ""


async def raised(method: str, turn: Reply | PlatformError) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        await METHODS[method](BaiduAuthority(Script(turn), CLIENT_ID))
    return caught.value


def test_it_fills_the_port() -> None:
    authority: Authority = BaiduAuthority(Script(), CLIENT_ID)
    assert CLIENT_ID not in repr(authority)


@pytest.mark.anyio
@every_method
async def test_a_method_makes_one_request_and_reports_it(method: str) -> None:
    reply, expected = ANSWERS[method]
    script, calls = Script(reply), list[Call]()
    answer = await METHODS[method](BaiduAuthority(script, CLIENT_ID, on_call=calls.append))
    assert answer == expected
    assert len(script.requests) == 1
    assert calls == [Call(method, app_of(method), CallResult.OK, 1.0)]


@pytest.mark.anyio
@every_method
@pytest.mark.parametrize(
    ("turn", "result", "code"),
    [
        (said({"errno": 50032}), CallResult.REFUSED, "platform.authorization_missing"),
        (Reply(429, b""), CallResult.THROTTLED, "platform.rate_limited"),
        (own_error("transport.not_connected"), CallResult.NOT_SENT, "transport.not_connected"),
        (own_error("transport.timeout"), CallResult.LOST, "transport.timeout"),
    ],
)
async def test_a_failure_is_reported_as_it_ended(
    method: str, turn: Reply | PlatformError, result: CallResult, code: str
) -> None:
    calls: list[Call] = []
    with pytest.raises(PlatformError):
        await METHODS[method](BaiduAuthority(Script(turn), CLIENT_ID, on_call=calls.append))
    assert calls == [Call(method, app_of(method), result, 1.0, code)]


@pytest.mark.anyio
@every_method
async def test_a_lost_answer_counts_as_spent_only_where_something_is(method: str) -> None:
    expected = AnswerLost if method in SPENDING else NotSent
    for turn in (own_error("transport.cut_off"), Reply(502, b"<html>"), Reply(200, b"")):
        assert type(await raised(method, turn)) is expected


@pytest.mark.anyio
@every_method
async def test_a_cancelled_call_may_have_left_and_is_reported_as_lost(method: str) -> None:
    calls: list[Call] = []
    reply, _ = ANSWERS[method]
    authority = BaiduAuthority(Script(reply), CLIENT_ID, on_call=calls.append)
    with anyio.move_on_after(0.5):
        await METHODS[method](authority)
    assert calls == [Call(method, app_of(method), CallResult.LOST, 0.5, "call.cancelled")]


@pytest.mark.anyio
@pytest.mark.parametrize("method", [name for name in METHODS if name != "tp_token"])
@pytest.mark.parametrize("refused", [{"error_code": 110}, {"error_code": 111}, {"errno": 44003}])
async def test_a_refused_tp_token_is_one(method: str, refused: object) -> None:
    assert type(await raised(method, said(refused, 401))) is TokenRefused


@pytest.mark.anyio
@pytest.mark.parametrize("refused", [{"error_code": 110}, {"errno": 44001, "msg": "原话"}])
async def test_where_no_token_was_sent_the_ticket_is_refused(refused: dict[str, object]) -> None:
    """Or whoever renews the TP token would be told to renew it first."""
    error = await raised("tp_token", said(refused))
    assert isinstance(error, FleetRefused)
    assert (error.code, error.credentials) == ("platform.ticket_refused", True)
    assert error.msg == refused.get("msg")
    assert error.errno in {110, 44001}


@pytest.mark.anyio
@every_method
async def test_what_was_sent_does_not_come_back_in_an_error(method: str) -> None:
    words = json.dumps(list(SECRETS))
    for document in (
        {"errno": 44001, "msg": words},
        {"error_code": 110, "error_msg": words},
        {"error": "invalid_grant", "error_description": words},
    ):
        script = Script(said(document, 400))
        with pytest.raises(PlatformError) as caught:
            await METHODS[method](BaiduAuthority(script, CLIENT_ID))
        (request,) = script.requests
        kept = f"{caught.value!r} {caught.value.hint} {caught.value.msg}"
        sent = [value for value in request.query.values() if value in SECRETS]
        assert sent
        assert [secret for secret in sent if secret in kept] == []
        chained = (caught.value.__cause__, caught.value.__context__)
        assert [secret for secret in sent if secret in repr(chained)] == []


@pytest.mark.anyio
async def test_a_page_of_the_library_is_one_request() -> None:
    rows = agreed({"count": 3, "list": [{"template_id": 1}, {"template_id": 2}]})
    script = Script(rows)
    page = await BaiduAuthority(script, CLIENT_ID).templates(TP_TOKEN, 2)
    assert [template.template_id for template in page.templates] == ["1", "2"]
    assert page.total == 3
    assert [request.query["page"] for request in script.requests] == ["2"]
