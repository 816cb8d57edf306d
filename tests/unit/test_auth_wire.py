"""The requests of the auth calls, and replies that nobody documents."""

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetdeploy.baidu import auth_wire
from fleetdeploy.baidu.auth_wire import AuthEndpoint, AuthOperation, consent_link
from fleetdeploy.errors import (
    AnswerLost,
    ClientMustAct,
    FleetRefused,
    NotSent,
    PlatformError,
    RateLimited,
    RequestRefused,
    TokenRefused,
)
from fleetdeploy.model import AuthorizationCode, Grant, PreAuthCode, Template
from fleetdeploy.ports import PushPage, PushWindow, TemplatePage
from fleetdeploy.transport import Reply
from tests.unit.test_wire_replies import HOSTILE

TP_TOKEN = "42.aaaabbbbccccddddeeeeffff00001111.2592000.1580400000.tp"
TOKEN = "45.aaaabbbbccccddddeeeeffff00001111.3600.1577811600.new"
REFRESH = "46.aaaabbbbccccddddeeeeffff00001111.315360000.1893171600.old"
NEW_REFRESH = "46.aaaabbbbccccddddeeeeffff00001111.315360000.1893171600.new"
CODE = "c0dec0dec0dec0dec0dec0dec0dec0de"
TICKET = "322af740926edaa3c6d2c6a5069694d4"
CLIENT_ID = "kLmNoPqRsTuVwXyZ0123456789abcdef"
WINDOW = PushWindow(1577800000, 1577886400, offset=100)

OPERATIONS: Mapping[str, AuthOperation[object]] = {
    "tp_token": auth_wire.tp_token(CLIENT_ID, TICKET),
    "pre_auth_code": auth_wire.pre_auth_code(TP_TOKEN),
    "exchange_code": auth_wire.exchange_code(TP_TOKEN, CODE),
    "refresh_token": auth_wire.refresh_token(TP_TOKEN, REFRESH),
    "retrieve_code": auth_wire.retrieve_code(TP_TOKEN, "17328232"),
    "templates": auth_wire.templates(TP_TOKEN, 1),
    "pushes": auth_wire.pushes(TP_TOKEN, WINDOW),
}
SPENDING = ("exchange_code", "refresh_token")
REPEATABLE = tuple(name for name in OPERATIONS if name not in SPENDING)
SECRETS = (TP_TOKEN, REFRESH, CODE, TICKET, CLIENT_ID)

ROOT = "/rest/2.0/smartapp"
TP = {"access_token": TP_TOKEN}
REQUESTS: Mapping[str, tuple[str, str, Mapping[str, str], Mapping[str, str] | None]] = {
    # platform-api.md 3, steps 2, 3, 5, 6 and 7; 2.1; 2.2
    "tp_token": (
        "GET",
        "/public/2.0/smartapp/auth/tp/token",
        {"client_id": CLIENT_ID, "ticket": TICKET},
        None,
    ),
    "pre_auth_code": ("GET", f"{ROOT}/tp/createpreauthcode", TP, None),
    "exchange_code": (
        "GET",
        "/rest/2.0/oauth/token",
        {**TP, "code": CODE, "grant_type": "app_to_tp_authorization_code"},
        None,
    ),
    "refresh_token": (
        "GET",
        "/rest/2.0/oauth/token",
        {**TP, "refresh_token": REFRESH, "grant_type": "app_to_tp_refresh_token"},
        None,
    ),
    "retrieve_code": (
        "POST",
        f"{ROOT}/auth/retrieve/authorizationcode",
        TP,
        {"app_id": "17328232"},
    ),
    "templates": (
        "GET",
        f"{ROOT}/template/gettemplatelist",
        {**TP, "page": "1", "page_size": "200"},
        None,
    ),
    "pushes": (
        "GET",
        f"{ROOT}/pushmsg/getmsg",
        {
            **TP,
            "start": "1577800000",
            "end": "1577886400",
            "push_type": "1",
            "offset": "100",
            "count": "100",
        },
        None,
    ),
}

every_call = pytest.mark.parametrize("call", OPERATIONS)
spending_call = pytest.mark.parametrize("call", SPENDING)
repeatable_call = pytest.mark.parametrize("call", REPEATABLE)


def said(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(document).encode(), headers or {})


def agreed(data: object) -> Reply:
    return said({"errno": 0, "msg": "success", "data": data})


def read(call: str, reply: Reply) -> object:
    return OPERATIONS[call].read(reply)


def raised(call: str, reply: Reply) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        read(call, reply)
    return caught.value


PAIR: dict[str, object] = {
    "access_token": TOKEN,
    "refresh_token": NEW_REFRESH,
    "expires_in": 3600,
}
GRANT = Grant(TOKEN, 3600.0, NEW_REFRESH)


# Requests.


@every_call
def test_a_call_asks_what_the_notes_say(call: str) -> None:
    request = OPERATIONS[call].request
    assert (request.method, request.path, request.query, request.form) == REQUESTS[call]


def test_every_endpoint_has_a_call() -> None:
    assert {operation.endpoint for operation in OPERATIONS.values()} == set(AuthEndpoint)
    assert [name for name, operation in OPERATIONS.items() if name != operation.endpoint] == []


def test_only_what_is_spent_counts_as_a_change() -> None:
    assert tuple(name for name, o in OPERATIONS.items() if o.changes) == SPENDING


def test_only_the_call_for_a_code_knows_its_app() -> None:
    known = {name: o.app_id for name, o in OPERATIONS.items() if o.app_id}
    assert known == {"retrieve_code": "17328232"}


@every_call
def test_nothing_secret_is_in_sight(call: str) -> None:
    operation = OPERATIONS[call]
    shown = f"{operation!r} {operation.request!r} {operation.request.path}"
    assert [secret for secret in SECRETS if secret in shown] == []


def test_a_text_that_utf_8_cannot_carry_is_refused_before_it_is_sent() -> None:
    for build in (
        lambda: auth_wire.tp_token("half \ud800", TICKET),
        lambda: auth_wire.retrieve_code(TP_TOKEN, "half \ud800"),
    ):
        with pytest.raises(RequestRefused) as caught:
            build()
        assert caught.value.code == "request.unencodable"


def test_a_consent_link_says_the_same_after_a_browser_has_read_it() -> None:
    back = "https://agency.example/back?tenant=a b&c=1#x"
    link = urlsplit(consent_link("key/+&=", back, "pre%code"))
    assert f"{link.scheme}://{link.netloc}{link.path}" == auth_wire.CONSENT_PAGE
    assert parse_qs(link.query) == {
        "client_id": ["key/+&="],
        "redirect_uri": [back],
        "pre_auth_code": ["pre%code"],
    }
    assert "+" not in link.query
    assert link.fragment == ""


# Answers.


def test_a_tp_token_is_read() -> None:
    answer = {"access_token": TP_TOKEN, "expires_in": 2592000, "scope": "public"}
    assert read("tp_token", agreed(answer)) == Grant(TP_TOKEN, 2592000.0)
    assert read("tp_token", said(answer)) == Grant(TP_TOKEN, 2592000.0)


@spending_call
@pytest.mark.parametrize(
    "document",
    [
        PAIR,
        {**PAIR, "expires_in": "3600"},
        {**PAIR, "errno": 0, "msg": "success"},
        {**PAIR, "errno": "0", "error_code": 0, "error": ""},
        {"errno": 0, "msg": "success", "data": PAIR},
        {"data": {**PAIR, "expires_in": " 3600 "}},
        {**PAIR, "data": {"scope": "x"}},
    ],
)
def test_a_pair_is_read_flat_and_nested(call: str, document: object) -> None:
    assert read(call, said(document)) == GRANT


@spending_call
def test_a_refresh_token_that_comes_back_unchanged_is_still_one(call: str) -> None:
    """Secrets are blotted out of words, not out of answers."""
    document = {**PAIR, "refresh_token": REFRESH, "access_token": TP_TOKEN}
    assert read(call, said(document)) == Grant(TP_TOKEN, 3600.0, REFRESH)


BAD_TOKENS: tuple[object, ...] = (
    *(None, "", 7, True, [], {}, "two words", "tab\t", "line\n", "\N{SNOWMAN}", "x" * 4097),
)
BAD_LIFETIMES: tuple[object, ...] = (*(None, "", 0, -1, "0", "soon", 1.5, True, [], {}, 10**18),)
HALVES: list[dict[str, object]] = [
    *({**PAIR, "access_token": bad} for bad in BAD_TOKENS),
    *({**PAIR, "refresh_token": bad} for bad in BAD_TOKENS),
    *({**PAIR, "expires_in": bad} for bad in BAD_LIFETIMES),
    {"access_token": TOKEN, "data": {"access_token": TOKEN, "expires_in": 3600}},
]


@spending_call
@pytest.mark.parametrize("half", HALVES)
def test_half_a_pair_is_an_answer_lost(call: str, half: dict[str, object]) -> None:
    for document in (half, {"errno": 0, "data": half}):
        error = raised(call, said(document))
        assert type(error) is AnswerLost
        assert error.code == "platform.reply_malformed"
        assert TOKEN not in f"{error} {error.hint} {error.msg}"


@spending_call
@pytest.mark.parametrize(
    "more",
    [
        {"error": "invalid_grant", "error_description": "x"},
        {"error_code": 110, "error_msg": "x"},
        {"error_code": 18, "error_msg": "x"},
        {"errno": 50029, "msg": "x"},
        {"errno": 69012, "msg": "x"},
        {"errno": "?"},
        {"error": ["x"]},
    ],
)
def test_tokens_beside_an_error_prove_nothing(call: str, more: dict[str, object]) -> None:
    """Or else a token that was spent after all would be sent again."""
    for document in ({**PAIR, **more}, {"data": PAIR, **more}):
        error = raised(call, said(document))
        assert (type(error), error.code) == (AnswerLost, "platform.reply_malformed")


@spending_call
@pytest.mark.parametrize("status", [199, 301, 400, 401, 429, 500, 503])
def test_a_pair_beside_a_failed_status_is_an_answer_lost(call: str, status: int) -> None:
    assert type(raised(call, said(PAIR, status))) is AnswerLost


def test_a_lifetime_beyond_reason_is_cut() -> None:
    grant = read("refresh_token", said({**PAIR, "expires_in": 10**17}))
    assert grant == Grant(TOKEN, 316_224_000.0, NEW_REFRESH)


def test_codes_are_read() -> None:
    pre = {"pre_auth_code": CODE, "expires_in": "1200"}
    assert read("pre_auth_code", agreed(pre)) == PreAuthCode(CODE, 1200.0)
    code = {"authorization_code": CODE, "expires_in": 18000}
    expected = AuthorizationCode("17328232", CODE, 18000.0)
    assert read("retrieve_code", agreed(code)) == expected


@pytest.mark.parametrize("lifetime", [None, "", 0, -1, "soon", 1.5, [], True])
def test_a_code_without_a_lifetime_lives_as_short_as_any(lifetime: object) -> None:
    answer = agreed({"authorization_code": CODE, "expires_in": lifetime})
    assert read("retrieve_code", answer) == AuthorizationCode("17328232", CODE, 60.0)


@pytest.mark.parametrize("code", BAD_TOKENS)
def test_a_code_that_cannot_be_sent_is_asked_for_again(code: object) -> None:
    for call, name in (("retrieve_code", "authorization_code"), ("pre_auth_code", "pre_auth_code")):
        error = raised(call, agreed({name: code, "expires_in": 60}))
        assert (type(error), error.code) == (NotSent, "platform.reply_malformed")


@pytest.mark.parametrize("template_id", [754, "754", " 754 "])
def test_templates_are_read(template_id: object) -> None:
    row = {"template_id": template_id, "user_version": 1, "user_desc": "d", "web_status": 0}
    expected = TemplatePage((Template("754", "1", "d"),), 1)
    assert read("templates", agreed({"count": "1", "list": [row]})) == expected
    assert read("templates", agreed([row])) == TemplatePage(expected.templates, None)


@pytest.mark.parametrize("data", [None, {}, [], {"count": 0, "list": []}, {"list": None}])
def test_an_empty_library_and_an_empty_page_of_pushes(data: object) -> None:
    page = read("templates", agreed(data))
    assert isinstance(page, TemplatePage)
    assert (page.templates, page.total or 0) == ((), 0)
    pushes = read("pushes", agreed(data))
    assert isinstance(pushes, PushPage)
    assert pushes == PushPage((), 0)


@pytest.mark.parametrize(
    "data",
    [
        "x",
        7,
        {"list": {}},
        {"list": "x"},
        [7],
        {"list": [None]},
        {"list": [{}]},
        {"list": [{"template_id": []}]},
        {"list": [{"template_id": "754x"}]},
        {"list": [{"template_id": -1}]},
    ],
)
def test_a_template_that_could_be_misread_is_not_read(data: object) -> None:
    assert raised("templates", agreed(data)).code == "platform.reply_malformed"


def test_pushes_are_read_and_rows_without_content_are_skipped() -> None:
    rows = [
        {"id": 1, "content": "first", "status": 2},
        {"id": 2},
        {"id": 3, "content": ""},
        {"id": 4, "content": 7},
        {"id": 5, "content": "x" * (64 * 1024 + 1)},
        "x",
        None,
        {"content": "last"},
    ]
    answer = agreed({"page": 1, "pageSize": 100, "count": "8", "list": rows})
    assert read("pushes", answer) == PushPage(("first", "last"), 8)


@pytest.mark.parametrize("total", [None, -1, "many", [], 1.5])
def test_a_total_that_is_none_is_not_known(total: object) -> None:
    assert read("templates", agreed({"count": total, "list": []})) == TemplatePage((), None)


# Replies that nobody documents.


@every_call
@pytest.mark.parametrize("body", [*HOSTILE.values(), b'{"errno":0,"data":"x"}'])
def test_an_undocumented_reply_counts_as_spent_or_is_asked_for_again(
    call: str, body: bytes
) -> None:
    error = raised(call, Reply(200, body))
    assert type(error) is (AnswerLost if call in SPENDING else NotSent)
    assert error.code == "platform.reply_malformed"


@spending_call
def test_a_bare_yes_brings_no_tokens(call: str) -> None:
    for document in ({"errno": 0}, {"errno": 0, "data": None}, {"errno": 0, "data": {}}):
        assert type(raised(call, said(document))) is AnswerLost


PAGE = b"<html><body>502 Bad Gateway</body></html>"


@every_call
@pytest.mark.parametrize("status", [200, 302, 403, 404, 500, 502])
def test_a_page_of_html_is_no_answer(call: str, status: int) -> None:
    expected = AnswerLost if call in SPENDING else NotSent
    error = raised(call, Reply(status, PAGE, {"location": f"https://x.example/?t={TP_TOKEN}"}))
    assert type(error) is expected
    assert TP_TOKEN not in f"{error} {error.hint}"


@every_call
@pytest.mark.parametrize("body", [b"", PAGE, b'{"message":"slow down"}', b'{"errno":12345}'])
def test_429_is_a_refusal_for_the_rate(call: str, body: bytes) -> None:
    error = raised(call, Reply(429, body, {"retry-after": "7"}))
    assert (type(error), error.retry_after_s) == (RateLimited, 7.0)


REFUSALS: list[tuple[dict[str, object], type[PlatformError], str]] = [
    ({"error": "invalid_grant"}, ClientMustAct, "platform.grant_refused"),
    ({"error": "expired_token"}, ClientMustAct, "platform.grant_refused"),
    ({"error": "invalid_request"}, RequestRefused, "platform.token_request_refused"),
    ({"error": "invalid_client"}, FleetRefused, "platform.client_id_unknown"),
    ({"error": "unauthorized_client"}, FleetRefused, "platform.client_id_unknown"),
    ({"error_code": 110}, TokenRefused, "platform.token_refused"),
    ({"error_code": 111}, TokenRefused, "platform.token_refused"),
    ({"error_code": 5}, FleetRefused, "platform.ip_not_whitelisted"),
    ({"errno": 44003}, TokenRefused, "platform.token_refused"),
    ({"errno": 45002}, ClientMustAct, "platform.authorization_missing"),
    ({"errno": 50032}, ClientMustAct, "platform.authorization_missing"),
    ({"errno": 50001}, FleetRefused, "platform.ticket_refused"),
    ({"errno": 50002}, FleetRefused, "platform.client_id_unknown"),
    ({"errno": 50003}, FleetRefused, "platform.ticket_refused"),
    ({"errno": 40008}, FleetRefused, "platform.ip_not_whitelisted"),
    ({"errno": 50029}, RateLimited, "platform.rate_limited"),
]


@every_call
@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize(("document", "kind", "code"), REFUSALS)
def test_a_refusal_says_who_must_act(
    call: str, status: int, document: object, kind: type[PlatformError], code: str
) -> None:
    error = raised(call, said(document, status))
    assert (type(error), error.code) == (kind, code)
    assert error.hint


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"errno": 50032}, "auth authorize APP"),
        ({"error": "invalid_grant"}, "auth recover APP"),
        ({"error": "invalid_request"}, "auth recover APP"),
        ({"error": "invalid_client"}, "doctor"),
        ({"errno": 50003}, "FLEETDEPLOY_TP_TICKET"),
        ({"error_code": 110}, "auth refresh APP"),
    ],
)
def test_a_hint_names_what_to_type(document: object, words: str) -> None:
    assert words in raised("refresh_token", said(document, 400)).hint


# Words that repeat what was sent.


@every_call
@pytest.mark.parametrize(
    "fields",
    [("errno", "msg"), ("error_code", "error_msg"), ("error", "error_description")],
)
@pytest.mark.parametrize("around", ["bad: {}", "{}", "x" * 490 + " {}", '"{}"', "/p?a={}&b"])
def test_no_word_of_an_error_repeats_what_was_sent(
    call: str, fields: tuple[str, str], around: str
) -> None:
    request = OPERATIONS[call].request
    sent = [v for v in request.query.values() if v in SECRETS]
    assert sent
    words = " ".join(around.format(secret) for secret in sent)
    number: object = "invalid_grant" if fields[0] == "error" else 123456
    error = raised(call, said({fields[0]: number, fields[1]: words}, 400))
    kept = f"{error} {error.hint} {error.msg}"
    assert "[secret]" in (error.msg or "") or len(error.msg or "") == 500
    for secret in sent:
        assert secret not in kept
        assert secret[:10] not in kept


@every_call
def test_a_secret_in_another_spelling_is_blotted_out_too(call: str) -> None:
    """As an escape of JSON, and as the name of an OAuth error."""
    sent = [v for v in OPERATIONS[call].request.query.values() if v in SECRETS]
    escaped = "".join(f"\\u{ord(c):04x}" for c in sent[-1])
    body = f'{{"errno":123456,"msg":"{escaped}"}}'.encode()
    assert raised(call, Reply(200, body)).msg == "[secret]"
    named = raised(call, said({"error": sent[-1], "error_description": sent[-1]}, 400))
    assert sent[-1] not in f"{named} {named.msg}"


def test_a_secret_that_a_url_would_quote_is_blotted_out_in_both_spellings() -> None:
    operation = auth_wire.tp_token(CLIENT_ID, "tick/et+with=signs")
    words = "at ?ticket=tick%2Fet%2Bwith%3Dsigns and tick/et+with=signs"
    with pytest.raises(PlatformError) as caught:
        operation.read(said({"errno": 50003, "msg": words}))
    assert caught.value.msg == "at ?ticket=[secret] and [secret]"


# Anything at all.

ANSWERS = (Grant, PreAuthCode, AuthorizationCode, TemplatePage, PushPage)
statuses = st.sampled_from([100, 200, 204, 302, 400, 401, 429, 500, 599])
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["0", 0, 110, 50032, 3600, "3600", TOKEN, REFRESH, "invalid_grant"])
)
NAMES = """
errno msg data error_code error_msg error error_description
access_token refresh_token expires_in scope pre_auth_code authorization_code
count list template_id user_version user_desc id content status
"""
names = st.sampled_from(NAMES.split())
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=6),
    max_leaves=12,
)
documents = st.dictionaries(names, values, max_size=8)


@pytest.mark.slow
@given(body=st.binary(max_size=200), status=statuses)
@settings(max_examples=200, deadline=None)
def test_any_bytes_end_in_an_answer_or_a_platform_error(body: bytes, status: int) -> None:
    _read_with_all(Reply(status, body))


@pytest.mark.slow
@given(document=documents, status=statuses)
@settings(max_examples=200, deadline=None)
def test_any_json_ends_in_an_answer_or_a_platform_error(document: object, status: int) -> None:
    _read_with_all(said(document, status))


def _read_with_all(reply: Reply) -> None:
    """Read the reply as the answer to every call; whatever is kept can be written anywhere."""
    for call in OPERATIONS:
        try:
            answer = read(call, reply)
        except PlatformError as error:
            kept: object = [error.code, error.message, error.hint, error.msg, error.errno]
        else:
            assert isinstance(answer, ANSWERS)
            assert 200 <= reply.status < 300
            kept = answer
        assert json.dumps(kept, default=_plain, ensure_ascii=False).encode()


def _plain(value: object) -> object:
    assert is_dataclass(value)
    assert not isinstance(value, type)
    return asdict(value)
