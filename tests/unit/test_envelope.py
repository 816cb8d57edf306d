"""Envelopes of pushes: the platform's open, and every other is refused in one of four words."""

import json
from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

from fleetdeploy.baidu.envelope import (
    BODY_MAX,
    Opened,
    PushKeys,
    decrypt,
    open_envelope,
    sign,
    unix_seconds,
)
from fleetdeploy.errors import PushRefused, SettingsInvalid

AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
KEYS = PushKeys("test_token", AES_KEY)
OTHER_KEYS = PushKeys("test_token", AES_KEY[::-1])
NOW = 1_535_551_395.0
MESSAGE = b'{"event":"UNAUTHORIZED","appId":100}'


def encrypted(plain: bytes, aes_key: str = AES_KEY) -> str:
    """Encrypt what is padded already, by the notes and without a word of the code under test."""
    key = b64decode(aes_key + "=")
    encryptor = Cipher(AES256(key), CBC(key[:16])).encryptor()
    return b64encode(encryptor.update(plain) + encryptor.finalize()).decode()


def framed(message: bytes, trailing_id: bytes = b"12123", length: int | None = None) -> bytes:
    said = len(message) if length is None else length
    return b"0123456789abcdef" + said.to_bytes(4, "big") + message + trailing_id


def padded(plain: bytes) -> bytes:
    length = 32 - len(plain) % 32
    return plain + bytes([length]) * length


def sealed(message: bytes, trailing_id: bytes = b"12123") -> str:
    return encrypted(padded(framed(message, trailing_id)))


def envelope(encrypt: str, stamp: object = "1535551395", nonce: object = "4464221") -> bytes:
    """Put a sealed text into an envelope with the right signature."""
    document = {
        "Nonce": nonce,
        "TimeStamp": stamp,
        "Encrypt": encrypt,
        "MsgSignature": sign("test_token", str(stamp), str(nonce), encrypt),
    }
    return json.dumps(document).encode()


def opened(body: bytes, now: float = NOW, max_age_s: float = 600.0) -> Opened:
    return open_envelope(body, KEYS, now=now, max_age_s=max_age_s)


def refusal(body: bytes, now: float = NOW, keys: PushKeys = KEYS) -> str:
    with pytest.raises(PushRefused) as caught:
        open_envelope(body, keys, now=now, max_age_s=600.0)
    return caught.value.reason


def changed(body: bytes, **fields: object) -> bytes:
    """Change fields of an envelope, or take them out where they are None."""
    document = {**json.loads(body), **fields}
    return json.dumps({k: v for k, v in document.items() if v is not None}).encode()


GOOD = envelope(sealed(MESSAGE))


def test_an_envelope_opens() -> None:
    assert opened(GOOD) == Opened(MESSAGE, "12123", NOW, "4464221")


@pytest.mark.parametrize("padding", range(1, 33))
def test_every_length_of_padding_opens(padding: int) -> None:
    message = b"x" * ((32 - 25 - padding) % 32)
    plain = padded(framed(message))
    assert plain[-1] == padding
    found = opened(envelope(encrypted(plain)))
    assert (found.message, found.trailing_id) == (message, "12123")


def test_a_message_without_padding_opens() -> None:
    plain = framed(b"x" * 7)
    assert len(plain) % 16 == 0
    assert opened(envelope(encrypted(plain))).message == b"x" * 7


def test_an_empty_message_and_no_trailing_id_are_let_through() -> None:
    sealed_text = sealed(b"", b"")
    assert (decrypt(sealed_text, KEYS).message, decrypt(sealed_text, KEYS).trailing_id) == (b"", "")


def test_a_trailing_id_that_is_no_text_does_no_harm() -> None:
    assert opened(envelope(sealed(MESSAGE, b"1\xff2"))).trailing_id == "1\N{REPLACEMENT CHARACTER}2"


def test_numbers_are_signed_as_they_are_written() -> None:
    body = envelope(sealed(MESSAGE), stamp=1535551395, nonce=4464221)
    assert opened(body).nonce == "4464221"


def test_a_time_in_milliseconds_is_read() -> None:
    assert opened(envelope(sealed(MESSAGE), stamp="1535551395446")).timestamp == NOW + 0.446
    assert unix_seconds(1_535_551_395_446) == NOW + 0.446


def test_fields_that_nobody_knows_do_not_matter() -> None:
    assert opened(changed(GOOD, Version="2")).message == MESSAGE


FIELDS = ("Nonce", "TimeStamp", "Encrypt", "MsgSignature")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [None, "", [], {}, True, 1.5, [["x"]]])
def test_a_field_that_is_missing_or_of_another_kind_is_malformed(field: str, value: object) -> None:
    assert refusal(changed(GOOD, **{field: value})) == "malformed"


@pytest.mark.parametrize("field", FIELDS)
def test_one_character_changed_in_any_field_is_a_wrong_signature(field: str) -> None:
    text = json.loads(GOOD)[field]
    for place in range(0, len(text), 7):
        other = "2" if text[place] != "2" else "3"
        body = changed(GOOD, **{field: text[:place] + other + text[place + 1 :]})
        assert refusal(body) == "signature"


@pytest.mark.parametrize(
    "signature",
    ["0" * 40, "0", "x" * 1000, "\N{SNOWMAN}" * 40, "\ud800", sign("other", "1", "2", "3")],
)
def test_a_wrong_signature_is_refused_whatever_it_looks_like(signature: str) -> None:
    assert refusal(changed(GOOD, MsgSignature=signature)) == "signature"


def test_a_signature_in_capitals_is_a_wrong_one() -> None:
    signature = json.loads(GOOD)["MsgSignature"].upper()
    assert refusal(changed(GOOD, MsgSignature=signature)) == "signature"


def test_what_is_not_signed_is_not_decrypted() -> None:
    """A broken text says the same as a whole one, as long as the signature is wrong."""
    for encrypt in ("!", "AAAA", "\N{SNOWMAN}", "x" * 1000):
        assert refusal(changed(GOOD, Encrypt=encrypt)) == "signature"


def test_another_token_and_another_key_are_told_apart() -> None:
    assert refusal(GOOD, keys=PushKeys("other_token", AES_KEY)) == "signature"
    assert refusal(GOOD, keys=OTHER_KEYS) == "undecryptable"


BROKEN = {
    "the padding does not repeat itself": encrypted(framed(b"x" * 7)[:-2] + b"\x01\x02"),
    "the padding is longer than it can be": encrypted(b"\x20" * 16),
    "the length is too large": encrypted(padded(framed(MESSAGE, length=2**32 - 1))),
    "the length is one too large": encrypted(padded(framed(MESSAGE, b"", length=37))),
    "the length leaves a long id": encrypted(padded(framed(b"x" * 500, length=0))),
    "too short for a head": encrypted(b"x" * 16),
    "nothing but padding": encrypted(b"\x20" * 32),
    "no whole block": b64encode(b"x" * 17).decode(),
    "no Base64": "!" * 44,
    "Base64 with a line end": sealed(MESSAGE)[:40] + "\n" + sealed(MESSAGE)[40:],
    "Base64 cut off": sealed(MESSAGE)[:-1],
    "an empty ciphertext": "====",
    "no ASCII": "\N{SNOWMAN}" * 44,
    "half a surrogate pair": "\ud800" * 44,
    "noise": b64encode(bytes(range(256))).decode(),
}


@pytest.mark.parametrize("encrypt", BROKEN.values(), ids=BROKEN)
def test_every_way_to_be_undecryptable_has_the_same_word(encrypt: str) -> None:
    assert refusal(envelope(encrypt)) == "undecryptable"
    with pytest.raises(PushRefused) as caught:
        decrypt(encrypt, KEYS)
    assert caught.value.reason == "undecryptable"


def test_every_last_byte_gives_one_word_or_a_message() -> None:
    """No padding oracle: of 256 last bytes, none is told from another."""
    words = set()
    for last in range(256):
        words.add(refusal(envelope(encrypted(b"\xff" * 47 + bytes([last])))))
    assert words == {"undecryptable"}


@pytest.mark.parametrize(
    ("later_s", "reason"),
    [(601.0, "stale"), (10_000_000.0, "stale"), (-301.0, "stale"), (-1e9, "stale")],
)
def test_an_old_push_and_one_from_the_future_are_stale(later_s: float, reason: str) -> None:
    assert refusal(GOOD, now=NOW + later_s) == reason


@pytest.mark.parametrize("later_s", [600.0, 0.0, -300.0])
def test_clocks_may_differ_a_little(later_s: float) -> None:
    assert opened(GOOD, now=NOW + later_s).message == MESSAGE


def test_a_stale_push_with_a_wrong_signature_has_a_wrong_signature() -> None:
    assert refusal(changed(GOOD, TimeStamp="1000000000")) == "signature"


def test_digits_moved_between_time_and_nonce_make_no_other_day() -> None:
    """The signature joins both without a mark; what it lets pass is the same second."""
    digits = "1535551395" + "4464221"
    bodies = [
        changed(GOOD, TimeStamp=digits[:place], Nonce=digits[place:])
        for place in range(1, len(digits))
    ]
    times = {body: time_or_word(body) for body in bodies}
    assert set(times.values()) == {"malformed", NOW, NOW + 0.446}


def time_or_word(body: bytes) -> float | str:
    try:
        return opened(body).timestamp
    except PushRefused as refused:
        return refused.reason


@pytest.mark.parametrize(
    "stamp", ["0", "153555139", "15355513954", "01535551395", "-1535551395", "1535551395.0", "now"]
)
def test_a_time_that_is_none_is_malformed(stamp: str) -> None:
    assert refusal(envelope(sealed(MESSAGE), stamp=stamp)) == "malformed"


HOSTILE = {
    "nothing": b"",
    "blank": b" \r\n",
    "no JSON": b"<xml>",
    "an array": b"[" + GOOD + b"]",
    "a text": b'"Encrypt"',
    "two documents": GOOD + GOOD,
    "a key twice": GOOD[:-1] + b',"Nonce":"4464221"}',
    "another charset": GOOD.decode().encode("utf-16"),
    "no UTF-8": b'{"Nonce":"\xff"}',
    "deep nesting": b"[" * 60_000,
    "deep objects": b'{"a":' * 10_000,
    "a huge number": b'{"TimeStamp":' + b"9" * 60_000 + b"}",
    "not a number": b'{"TimeStamp":NaN}',
    "a long nonce": envelope(sealed(MESSAGE), nonce="4" * 129),
    "a body that is too large": GOOD[:-1] + b" " * BODY_MAX + b"}",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_envelope_is_malformed(body: bytes) -> None:
    assert refusal(body) == "malformed"


def test_a_row_that_is_too_long_is_not_even_decoded() -> None:
    with pytest.raises(PushRefused):
        decrypt("A" * (BODY_MAX + 4), KEYS)


@pytest.mark.parametrize(
    ("token", "aes_key"),
    [
        ("", AES_KEY),
        ("t\N{SNOWMAN}ken", AES_KEY),
        ("test_token", ""),
        ("test_token", AES_KEY[:-1]),
        ("test_token", AES_KEY + "x"),
        ("test_token", AES_KEY + "\n"),
        ("test_token", "-" + AES_KEY[1:]),
    ],
)
def test_keys_that_cannot_be_right_are_refused_without_being_quoted(
    token: str, aes_key: str
) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        PushKeys(token, aes_key)
    shown = f"{caught.value} {caught.value.hint}"
    assert not aes_key or aes_key not in shown
    assert "FLEETDEPLOY_PUSH_" in shown


def test_a_key_may_carry_its_last_sign() -> None:
    assert PushKeys("test_token", AES_KEY + "=").key == KEYS.key


def test_no_repr_and_no_refusal_shows_what_is_secret() -> None:
    secret = b'{"Ticket":"planted-ticket"}'
    good = opened(envelope(sealed(secret)))
    with pytest.raises(PushRefused) as caught:
        opened(changed(envelope(sealed(secret)), Nonce="1"))
    shown = f"{KEYS!r} {good!r} {decrypt(sealed(secret), KEYS)!r} {caught.value!r} {caught.value}"
    assert "planted" not in shown
    assert "test_token" not in shown
    assert AES_KEY not in shown
