"""Replies that nobody documents: every one ends in an answer or in a `PlatformError`."""

import json
from collections.abc import Callable
from dataclasses import asdict, is_dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetdeploy.baidu import replies
from fleetdeploy.errors import (
    AnswerLost,
    NotSent,
    PlatformError,
    RateLimited,
    RequestRefused,
)
from fleetdeploy.model import AppInfo, AuditQuota, Package
from fleetdeploy.transport import Reply

READERS: tuple[Callable[[Reply], object], ...] = (
    replies.read_done,
    replies.read_packages,
    replies.read_package,
    replies.read_quota,
    replies.read_app_info,
)
DEEP = 100_000
HOSTILE = {
    "deep nesting": b'{"errno":0,"data":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep objects": b'{"a":' * DEEP,
    "a huge integer": b'{"errno":' + b"9" * 100_000 + b"}",
    "a huge errno as text": b'{"errno":"' + b"9" * 100_000 + b'"}',
    "another charset": '{"errno":0,"msg":"成功"}'.encode("gbk"),
    "utf-16": '{"errno":0}'.encode("utf-16"),
    "a key twice": b'{"errno":0,"errno":69001}',
    "not a number": b'{"errno":NaN}',
    "a float": b'{"errno":0.0}',
    "a boolean": b'{"errno":false}',
    "null": b'{"errno":null}',
    "an array": b'[{"errno":0}]',
    "a text": b'"errno"',
    "nothing": b"",
    "blank": b" \r\n",
    "two documents": b'{"errno":0}{"errno":0}',
    "a yes that is contradicted": b'{"errno":0,"error_code":110,"error_msg":"x"}',
    "a yes that is contradicted in words": b'{"errno":0,"error":"invalid_grant"}',
    "no decision": b'{"msg":"success","data":[]}',
    "gateway zero": b'{"error_code":0}',
}


def said(errno: object, status: int = 200, **more: object) -> Reply:
    return Reply(status, json.dumps({"errno": errno, **more}).encode())


def listed(*rows: object) -> Reply:
    return said(0, data=list(rows))


def raised(read: Callable[[Reply], object], reply: Reply) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        read(reply)
    return caught.value


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_after_a_change_an_undocumented_reply_leaves_it_open(body: bytes) -> None:
    error = raised(replies.read_done, Reply(200, body))
    assert type(error) is AnswerLost
    assert error.code == "platform.reply_malformed"


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("read", READERS[1:])
def test_to_a_read_an_undocumented_reply_is_one_to_ask_for_again(
    read: Callable[[Reply], object], body: bytes
) -> None:
    error = raised(read, Reply(200, body))
    assert type(error) is NotSent
    assert error.code == "platform.reply_malformed"


@pytest.mark.parametrize(
    "row",
    [
        7,
        None,
        {},
        {"list": [{"version": "1", "package_id": 58210, "status": 3}]},
        {"version": None, "status": 3},
        {"version": ["1"]},
        {"version": 1.1},
        {"version": "1", "package_id": 58210.0},
        {"version": "1", "package_id": True},
        {"version": "1", "package_id": "58210x"},
        {"version": "1", "package_id": -58210},
        {"version": "1", "package_id": 10**18},
        {"version": "1", "status": "online"},
        {"version": "1", "upload_status": {}},
        {"version": "1", "version_desc": {"text": "[fd:0123456789]"}},
    ],
)
def test_a_row_that_could_be_misread_is_not_read(row: object) -> None:
    assert raised(replies.read_packages, listed(row)).code == "platform.reply_malformed"


@pytest.mark.parametrize("package_id", [None, "", 0, "0"])
def test_an_empty_id_is_no_id(package_id: object) -> None:
    (package,) = replies.read_packages(listed({"version": "1", "package_id": package_id}))
    assert package == Package(version="1")


def test_an_id_is_the_same_as_a_number_and_as_text() -> None:
    rows = [{"version": "1", "package_id": spelt} for spelt in (58210, "58210", " 058210 ")]
    assert {p.package_id for p in replies.read_packages(listed(*rows))} == {"58210"}


def test_what_only_informs_is_left_out_if_it_makes_no_sense() -> None:
    row = {"version": "1", "remark": {}, "msg": 1.5, "committer": [], "upload_err_code": "x"}
    assert replies.read_packages(listed(row)) == (Package(version="1"),)


@pytest.mark.parametrize("data", [None, {}, []])
def test_a_detail_without_data_is_a_package_that_is_not_there(data: object) -> None:
    error = raised(replies.read_package, said(0, data=data))
    assert type(error) is RequestRefused
    assert error.code == "platform.package_not_found"


def test_app_info_says_none_where_the_platform_says_nothing() -> None:
    info = replies.read_app_info(said(0, data={"app_name": "x", "qualification": "?"}))
    assert info == AppInfo("", "x", None, None, None, None)


@pytest.mark.parametrize("data", [None, [], {"quota_type": 2}, {"remain_times": -2}])
def test_half_a_quota_is_none(data: object) -> None:
    assert raised(replies.read_quota, said(0, data=data)).code == "platform.reply_malformed"


@pytest.mark.parametrize("status", [199, 301, 307, 400, 404, 429, 500, 503])
def test_a_yes_beside_a_failed_status_leaves_a_change_open(status: int) -> None:
    assert type(raised(replies.read_done, said(0, status))) is AnswerLost


def test_a_redirect_is_an_error_and_named_as_one() -> None:
    reply = Reply(302, b"", {"location": "https://elsewhere.example/?access_token=45.secret"})
    for read in READERS:
        error = raised(read, reply)
        assert error.code == "platform.redirected"
        assert "secret" not in f"{error} {error.hint}"


@pytest.mark.parametrize("body", [b"", b"slow down", b'{"errno":12345,"msg":"m"}'])
def test_429_is_a_refusal_for_the_rate(body: bytes) -> None:
    for read in READERS:
        error = raised(read, Reply(429, body, {"retry-after": "7"}))
        assert type(error) is RateLimited
        assert error.retry_after_s == 7.0


def test_a_reason_that_is_known_says_more_than_429() -> None:
    assert raised(replies.read_done, said(69001, 429)).code == "platform.name_not_approved"


NOW = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 5 "}, 5.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "9" * 1000}, 3600.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:29:30 GMT", "date": NOW}, 90.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:29:30 -0000", "date": NOW}, 90.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:00:00 GMT", "date": NOW}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT", "date": NOW}, 3600.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:29:30 GMT"}, None),
        ({"retry-after": "Wed, 99 Oct 2015 07:29:30 GMT", "date": NOW}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(
    headers: dict[str, str], expected: float | None
) -> None:
    assert raised(replies.read_packages, Reply(429, b"", headers)).retry_after_s == expected


def test_what_the_platform_says_is_kept_verbatim_and_bounded() -> None:
    assert raised(replies.read_done, said(50038, msg="请先完成高级认证")).msg == "请先完成高级认证"
    assert raised(replies.read_done, said(50038, msg="长" * 10_000)).msg == "长" * 500


@pytest.mark.parametrize(
    ("msg", "kept"), [(None, None), (7, "7"), ({"zh": "x"}, None), (["x"], None), (True, None)]
)
def test_words_that_are_no_text_do_no_harm(msg: object, kept: str | None) -> None:
    assert raised(replies.read_done, said(50038, msg=msg)).msg == kept


def test_half_a_surrogate_pair_can_be_written_afterwards() -> None:
    body = b'{"errno":50038,"msg":"a\\ud800b"}'
    assert raised(replies.read_done, Reply(200, body)).msg == "a?b"


@pytest.mark.parametrize("name", ["45.secret token", "x" * 100, "ünknown"])
def test_an_oauth_error_that_is_no_name_does_not_reach_the_message(name: str) -> None:
    body = json.dumps({"error": name, "error_description": "d"}).encode()
    error = raised(replies.read_done, Reply(400, body))
    assert error.code == "platform.unknown_error"
    assert name not in f"{error} {error.hint}"


def test_a_token_in_the_platforms_words_is_blotted_out() -> None:
    token = "45.aaaabbbbccccddddeeeeffff00001111.3600.1577808000.x"
    reply = said(110, msg=f"token {token} is bad")
    error = raised(replies.read_done, replies.without_secret(reply, token))
    assert error.msg == "token [token] is bad"


def test_a_placeholder_in_place_of_a_token_does_not_change_the_reply() -> None:
    assert replies.without_secret(said(0), "0") == said(0)


@pytest.mark.parametrize(
    ("header", "expected"),
    [("463ac35c9f6413ad", "463ac35c9f6413ad"), ("", ""), ("a\nb\x1b[31m\udc80", "ab31m")],
)
def test_the_trace_id_is_safe_to_log(header: str, expected: str) -> None:
    assert replies.trace_id(Reply(200, b"", {"x-b3-traceid": header})) == expected
    assert replies.trace_id(Reply(200, b"")) == ""


ANSWERS = (type(None), tuple, Package, AuditQuota, AppInfo)
statuses = st.sampled_from([100, 200, 204, 302, 400, 401, 429, 500, 503, 599])
header_texts = st.text(max_size=40)
headers_of_replies = st.fixed_dictionaries(
    {}, optional={"retry-after": header_texts, "date": header_texts, "x-b3-traceid": header_texts}
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["0", "1", "-1", "58210", 0, 1, 3, 4, 110, 69001])
)
NAMES = """
errno msg data error_code error_msg error error_description
package_id status version version_desc upload_status upload_err_code
app_id qualification satus category auth_info audit_info
quota_type quota_times remain_times anything
"""
names = st.sampled_from(NAMES.split())
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=6),
    max_leaves=12,
)
documents = st.fixed_dictionaries(
    {"errno": st.just(0) | scalars, "data": values},
    optional={"error_code": scalars, "error": scalars, "msg": values},
)


@pytest.mark.slow
@given(body=st.binary(max_size=200), status=statuses, headers=headers_of_replies)
@settings(max_examples=200, deadline=None)
def test_any_bytes_end_in_an_answer_or_a_platform_error(
    body: bytes, status: int, headers: dict[str, str]
) -> None:
    _read_with_all(Reply(status, body, headers))


@pytest.mark.slow
@given(document=documents | values, status=statuses, headers=headers_of_replies)
@settings(max_examples=200, deadline=None)
def test_any_json_ends_in_an_answer_or_a_platform_error(
    document: object, status: int, headers: dict[str, str]
) -> None:
    _read_with_all(Reply(status, json.dumps(document).encode(), headers))


def _read_with_all(reply: Reply) -> None:
    """Read the reply as every kind of answer; whatever is kept can be written to a journal."""
    for read in READERS:
        try:
            answer = read(reply)
        except PlatformError as error:
            kept: object = [error.code, error.message, error.hint, error.msg, error.errno]
        else:
            assert isinstance(answer, ANSWERS)
            assert 200 <= reply.status < 300
            kept = answer if isinstance(answer, tuple) else [answer]
        assert json.dumps(kept, default=_plain, ensure_ascii=False).encode()


def _plain(value: object) -> object:
    assert is_dataclass(value)
    assert not isinstance(value, type)
    return asdict(value)
