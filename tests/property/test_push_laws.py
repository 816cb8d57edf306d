"""Pushes: what was sealed opens, and whatever else comes is refused and nothing worse."""

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from fleetdeploy.baidu.envelope import PushKeys, decrypt, open_envelope
from fleetdeploy.baidu.events import PushReader, push_from
from fleetdeploy.errors import PushRefused
from fleetdeploy.model import Push
from tests.unit.test_envelope import AES_KEY, NOW, encrypted, envelope, padded, sealed

pytestmark = pytest.mark.slow

law = settings(deadline=None, max_examples=300)

KEYS = PushKeys("test_token", AES_KEY)
READER = PushReader(KEYS, 600.0)
MESSAGE = json.dumps({"event": "AUTHORIZED", "appId": 1, "authorizationCode": "x" * 32}).encode()
GOOD = envelope(sealed(MESSAGE))

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
NAMES = """
Ticket CreateTime MsgType Event event appId eventTime reason reson
packageId packageVersion authorizationCode authorizationCodeExpiresIn
"""
messages = st.dictionaries(
    st.sampled_from(NAMES.split()),
    values | st.sampled_from(["ticket", "AUTHORIZED", "1", 1, 1535551395]),
)
envelopes = st.fixed_dictionaries(
    {},
    optional={
        name: values | st.sampled_from([1535551395, "1535551395", "4464221", sealed(MESSAGE)])
        for name in ("Nonce", "TimeStamp", "Encrypt", "MsgSignature")
    },
)


def opened_or_refused(body: bytes) -> Push | str:
    """Open a body; return the push, or the word for why not."""
    try:
        return READER.open(body, NOW)
    except PushRefused as refused:
        return refused.reason


def read_or_refused(message: dict[str, object]) -> Push | str:
    try:
        return push_from(json.dumps(message).encode())
    except PushRefused as refused:
        return refused.reason


@law
@given(st.binary(max_size=300), st.binary(max_size=10))
def test_what_was_sealed_opens_to_itself(message: bytes, trailing_id: bytes) -> None:
    opened = open_envelope(envelope(sealed(message, trailing_id)), KEYS, now=NOW, max_age_s=600.0)
    assert opened.message == message


@law
@given(st.binary(max_size=300))
def test_any_bytes_are_refused(body: bytes) -> None:
    assert opened_or_refused(body) == "malformed"


@law
@given(values | envelopes)
def test_any_json_is_refused(document: object) -> None:
    assert opened_or_refused(json.dumps(document).encode()) in {"malformed", "signature"}


@law
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_one_byte_changed_anywhere_is_refused_or_changes_nothing(place: int, by: int) -> None:
    body = bytearray(GOOD)
    body[place] ^= by
    found = opened_or_refused(bytes(body))
    # Blanks between the fields carry no meaning.
    assert found in {"malformed", "signature"} or found == READER.open(GOOD, NOW)


@law
@given(st.integers(0, len(GOOD) - 1))
def test_a_body_cut_short_is_refused(length: int) -> None:
    assert opened_or_refused(GOOD[:length]) == "malformed"


@law
@given(st.text(max_size=100))
def test_any_text_in_a_row_is_undecryptable(content: str) -> None:
    with pytest.raises(PushRefused) as caught:
        decrypt(content, KEYS)
    assert caught.value.reason == "undecryptable"


@law
@given(st.binary(min_size=1, max_size=64), st.booleans())
def test_any_plaintext_is_refused_or_no_message(plain: bytes, is_padded: bool) -> None:
    whole = padded(plain) if is_padded else plain + bytes(-len(plain) % 16)
    assert opened_or_refused(envelope(encrypted(whole))) in {"undecryptable", "malformed"}


@law
@given(messages)
def test_any_message_is_a_push_or_malformed(message: dict[str, object]) -> None:
    """And whatever is kept of it can be written as UTF-8."""
    push = read_or_refused(message)
    if isinstance(push, str):
        assert push == "malformed"
        return
    assert bool(push.ticket) != bool(push.notice)
    assert f"{push.ticket}{push.notice}{push.code}".encode()
    if push.notice:
        assert max(len(push.notice.reason), len(push.notice.event)) <= 500


@settings(deadline=None, max_examples=30)
@given(messages.map(lambda message: json.dumps(message).encode()))
def test_a_ciphertext_whose_head_is_passed_off_as_nonce_opens_to_nothing(message: bytes) -> None:
    """The signature joins its parts without a mark, so that it lets some of these pass."""
    document = json.loads(envelope(sealed(message)))
    for place in range(4, len(document["Encrypt"]), 4):
        head, rest = document["Encrypt"][:place], document["Encrypt"][place:]
        moved = {**document, "Nonce": document["Nonce"] + head, "Encrypt": rest}
        word = opened_or_refused(json.dumps(moved).encode())
        assert word in {"signature", "malformed", "undecryptable"}
