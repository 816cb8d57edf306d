"""From messages of the platform to pushes: tickets, notices, codes, and what is refused."""

import json
from dataclasses import replace

import pytest

from fleetdeploy.baidu.envelope import PushKeys
from fleetdeploy.baidu.events import PushReader, push_from
from fleetdeploy.errors import PushRefused
from fleetdeploy.model import AuthorizationCode, Notice, Push, Ticket
from tests.unit.test_envelope import AES_KEY, NOW, envelope, sealed

READER = PushReader(PushKeys("test_token", AES_KEY), 600.0)
TICKET: dict[str, object] = {
    "Ticket": "322af740926edaa3c6d2c6a5069694d4",
    "FromUserName": "SmartAPP",
    "CreateTime": 1535551395,
    "MsgType": "ticket",
    "Event": "push",
}
CODE = "a1b2c3d4e5f60718293a4b5c6d7e8f90"


def pushed(**fields: object) -> Push:
    return push_from(json.dumps(fields).encode())


def event(name: str = "PACKAGE_AUDIT_PASS", **fields: object) -> Push:
    return pushed(**{"appId": 1452365, "eventTime": "2019-01-14 12:45:10", "event": name, **fields})


def noticed(push: Push) -> Notice:
    assert push.notice is not None
    return push.notice


def refusal(message: bytes) -> str:
    with pytest.raises(PushRefused) as caught:
        push_from(message)
    return caught.value.reason


def test_a_ticket_is_read() -> None:
    push = pushed(**TICKET)
    assert push.ticket == Ticket("322af740926edaa3c6d2c6a5069694d4", 1535551395.0)
    assert (push.notice, push.code) == (None, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"CreateTime": "1535551395"},
        {"CreateTime": 1535551395000},
        {"MsgType": " TICKET "},
        {"MsgType": None},
        {"event": "PACKAGE_AUDIT_PASS"},
    ],
)
def test_a_ticket_is_one_however_it_is_spelt(fields: dict[str, object]) -> None:
    assert pushed(**{**TICKET, **fields}).ticket == pushed(**TICKET).ticket


@pytest.mark.parametrize(
    "fields",
    [
        {"Ticket": None},
        {"Ticket": ""},
        {"Ticket": 7},
        {"Ticket": "two words"},
        {"Ticket": "x" * 5000},
        {"Ticket": "\N{SNOWMAN}"},
        {"CreateTime": None},
        {"CreateTime": "now"},
        {"CreateTime": -1},
        {"CreateTime": 1.5},
        {"CreateTime": 10**18},
    ],
)
def test_a_ticket_that_cannot_be_used_is_malformed(fields: dict[str, object]) -> None:
    assert refusal(json.dumps({**TICKET, **fields}).encode()) == "malformed"


def test_a_ticket_is_no_newer_than_its_envelope() -> None:
    """Else a single one from the future would shut out all that follow."""
    message = json.dumps({**TICKET, "CreateTime": 99_999_999_999}).encode()
    push = READER.open(envelope(sealed(message)), NOW)
    assert push.ticket == Ticket("322af740926edaa3c6d2c6a5069694d4", NOW)
    older = json.dumps({**TICKET, "CreateTime": 1_535_551_000}).encode()
    ticket = READER.open(envelope(sealed(older)), NOW).ticket
    assert ticket is not None
    assert ticket.created_at == 1_535_551_000.0


def test_an_event_is_read_with_and_without_a_package() -> None:
    bare = noticed(event())
    assert bare == Notice("1452365", "PACKAGE_AUDIT_PASS", "2019-01-14 12:45:10")
    full = noticed(event(packageId=529394, packageVersion="0.2.2"))
    assert full == replace(bare, package_id="529394", package_version="0.2.2")


@pytest.mark.parametrize("app_id", [1452365, "1452365", " 1452365 ", "01452365"])
def test_an_app_id_is_the_same_as_a_number_and_as_text(app_id: object) -> None:
    assert noticed(event(appId=app_id)).app_id == "1452365"


@pytest.mark.parametrize("app_id", [None, "", 0])
def test_an_event_of_no_app_is_kept(app_id: object) -> None:
    assert noticed(event(appId=app_id)).app_id == ""


@pytest.mark.parametrize("app_id", [[], {}, True, 1.5, "abc", -5, 10**18, "9" * 30])
def test_an_app_id_that_could_be_misread_is_malformed(app_id: object) -> None:
    assert refusal(json.dumps({"event": "UNAUTHORIZED", "appId": app_id}).encode()) == "malformed"


def test_an_event_is_trimmed() -> None:
    assert noticed(event(" PACKAGE_AUDIT_FAIL\n")).event == "PACKAGE_AUDIT_FAIL"


def test_an_event_that_nobody_knows_is_kept() -> None:
    assert noticed(event("SOMETHING_NEW")).event == "SOMETHING_NEW"
    assert noticed(pushed(MsgType="text", Event="click")).event == "click"


@pytest.mark.parametrize("name", ["reason", "reson"])
def test_a_reason_is_read_in_both_spellings(name: str) -> None:
    assert noticed(event("PACKAGE_AUDIT_FAIL", **{name: "页面空白"})).reason == "页面空白"


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("长" * 10_000, "长" * 500), ("a\ud800b", "a?b"), (7, "7"), ([], ""), (None, "")],
)
def test_a_reason_can_be_written_afterwards_and_is_bounded(reason: object, kept: str) -> None:
    assert noticed(event(reason=reason)).reason == kept
    assert noticed(event(reason=reason)).reason.encode() == kept.encode()


@pytest.mark.parametrize("package_id", [None, "", 0, -1, [], {}, 1.5, "x", 10**18])
def test_a_package_id_that_makes_no_sense_is_left_out(package_id: object) -> None:
    assert noticed(event(packageId=package_id)).package_id is None


def test_all_texts_are_bounded() -> None:
    notice = noticed(event(eventTime="1" * 1000, packageVersion="2" * 1000))
    assert (len(notice.event_time), len(notice.package_version or "")) == (100, 100)


@pytest.mark.parametrize("name", ["AUTHORIZED", "UPDATE_AUTHORIZED", " AUTHORIZED"])
@pytest.mark.parametrize(
    ("lifetime", "expected_s"),
    [
        (60, 60.0),
        ("3600", 3600.0),
        (None, 60.0),
        ("", 60.0),
        (0, 60.0),
        (-5, 60.0),
        ("soon", 60.0),
        (1.5, 60.0),
        (10**17, 316_224_000.0),
    ],
)
def test_a_consent_brings_a_code(name: str, lifetime: object, expected_s: float) -> None:
    push = event(name, authorizationCode=CODE, authorizationCodeExpiresIn=lifetime)
    assert push.code == AuthorizationCode("1452365", CODE, expected_s)
    assert noticed(push).event == name.strip()


@pytest.mark.parametrize("code", [None, "", [], "two words", "\ud800", "x" * 5000])
def test_a_consent_without_a_code_is_still_a_notice(code: object) -> None:
    push = event("AUTHORIZED", authorizationCode=code)
    assert push.code is None
    assert noticed(push).event == "AUTHORIZED"


def test_only_a_consent_of_an_app_brings_a_code() -> None:
    assert event("UNAUTHORIZED", authorizationCode=CODE).code is None
    assert event("AUTHORIZED", appId=None, authorizationCode=CODE).code is None


HOSTILE = {
    "nothing": b"",
    "no JSON": b"<xml/>",
    "an array": b"[]",
    "a key twice": b'{"event":"AUTHORIZED","event":"UNAUTHORIZED"}',
    "no event": b'{"appId":1}',
    "an empty event": b'{"event":" "}',
    "an event of another kind": b'{"event":["AUTHORIZED"]}',
    "a long event": json.dumps({"event": "A" * 101}).encode(),
    "deep nesting": b'{"event":' + b"[" * 60_000,
    "another charset": '{"event":"授权"}'.encode("gbk"),
}


@pytest.mark.parametrize("message", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_message_is_malformed(message: bytes) -> None:
    assert refusal(message) == "malformed"
    with pytest.raises(PushRefused):
        READER.open_row(sealed(message))


def test_the_same_message_has_the_same_key_however_it_came() -> None:
    message = json.dumps({"event": "UNAUTHORIZED", "appId": 100}).encode()
    first = READER.open(envelope(sealed(message, b"1")), NOW)
    again = READER.open(envelope(sealed(message, b"2"), nonce="77"), NOW + 5)
    assert {first.key, again.key, READER.open_row(sealed(message)).key} == {first.key}
    assert len(first.key) == 32
    assert push_from(message + b" ").key != first.key


def test_the_reader_refuses_what_the_envelope_refuses() -> None:
    body = envelope(sealed(json.dumps(TICKET).encode()))
    for now, reason in ((NOW + 601, "stale"), (NOW - 301, "stale")):
        with pytest.raises(PushRefused) as caught:
            READER.open(body, now)
        assert caught.value.reason == reason


def test_no_repr_shows_a_ticket_a_code_or_a_key() -> None:
    shown = f"{pushed(**TICKET)!r} {event('AUTHORIZED', authorizationCode=CODE)!r} {READER!r}"
    assert "322af740" not in shown
    assert CODE not in shown
    assert AES_KEY not in shown
    assert "test_token" not in shown
