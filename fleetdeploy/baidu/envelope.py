"""Opens what the platform pushes (platform-api.md 4.1): checks the signature, decrypts, unpads.

Knows nothing of what a message says (`events.py`), remembers none, and seals none. Every way in
which an envelope can be wrong is a `PushRefused` with one of four words:

- `malformed`: it is no envelope, or too large;
- `signature`: whoever sent it does not know our token;
- `stale`: too old, or from the future;
- `undecryptable`: sealed with another key, or damaged. One word, because telling the ways apart
  would help whoever guesses at ciphertexts.

They are found in this order. So nothing is decrypted that is not signed.
"""

import binascii
import hashlib
import hmac
import re
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

from fleetdeploy.baidu.documents import parse_object
from fleetdeploy.errors import PushRefused, SettingsInvalid

BODY_MAX: Final = 64 * 1024
"""Bytes of an envelope; a real one has a few hundred."""
AHEAD_MAX_S: Final = 300.0
"""How far the platform's clock may be ahead of ours."""

_KEY: Final = re.compile(r"[A-Za-z0-9+/]{43}=?")
_STAMP: Final = re.compile(r"[1-9](?:[0-9]{9}|[0-9]{12})")
"""Seconds or milliseconds, and nothing between. The signature joins its parts without a mark, so
that digits can be moved between time and nonce: the fewer times that makes, the better."""
_MILLISECONDS_FROM: Final = 10**11
"""As seconds this is the year 5138; as milliseconds it was 1973."""
_NONCE_MAX: Final = 128
_ID_MAX: Final = 128
_CIPHER_BLOCK: Final = 16
_PADDING_MAX: Final = 32
"""Padding fills blocks of 32 bytes, not those of the cipher."""
_HEAD: Final = 20
"""16 random bytes and the length of the message."""


@dataclass(frozen=True, slots=True)
class PushKeys:
    """The token and the AES key of the console's push settings; raises `SettingsInvalid`."""

    token: str = field(repr=False)
    aes_key: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.token or not self.token.isascii():
            raise SettingsInvalid(
                "the push token is empty or not plain ASCII",
                hint="set `FLEETDEPLOY_PUSH_TOKEN` to the token of the console's push settings",
            )
        if not _KEY.fullmatch(self.aes_key):
            raise SettingsInvalid(
                "the push AES key is not one: it has 43 letters and digits",
                hint="set `FLEETDEPLOY_PUSH_AES_KEY` to the key of the console's push settings",
            )

    @property
    def key(self) -> bytes:
        """The 32 bytes of the key.

        43 characters carry two bits more than 32 bytes. Hand-picked keys set them, the platform's
        own sample among them, and a strict decoder would refuse those.
        """
        return b64decode(f"{self.aes_key[:43]}=")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A message without its padding. `trailing_id` names whom it is for, by an id of theirs."""

    message: bytes = field(repr=False)
    trailing_id: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """A message whose signature and age are right; `timestamp` is unix seconds, the platform's."""

    message: bytes = field(repr=False)
    trailing_id: str
    timestamp: float
    nonce: str


@dataclass(frozen=True, slots=True)
class _Envelope:
    stamp: str
    nonce: str
    encrypt: str = field(repr=False)
    signature: str = field(repr=False)


def sign(token: str, timestamp: str, nonce: str, encrypt: str) -> str:
    """Return the signature of an envelope: SHA-1, in hex, of its parts sorted as bytes."""
    parts = [text.encode("utf-8", "surrogatepass") for text in (token, timestamp, nonce, encrypt)]
    # The platform's choice; what keeps forgers out is the token among the parts.
    return hashlib.sha1(b"".join(sorted(parts)), usedforsecurity=False).hexdigest()


def open_envelope(body: bytes, keys: PushKeys, *, now: float, max_age_s: float) -> Opened:
    """Open the body of a push that is no older than `max_age_s`; raises only `PushRefused`."""
    envelope = _envelope(body)
    expected = sign(keys.token, envelope.stamp, envelope.nonce, envelope.encrypt)
    given = envelope.signature.encode("utf-8", "surrogatepass")
    if not hmac.compare_digest(expected.encode("ascii"), given):
        raise PushRefused("signature")
    timestamp = unix_seconds(int(envelope.stamp))
    if not -AHEAD_MAX_S <= now - timestamp <= max_age_s:
        raise PushRefused("stale")
    sealed = decrypt(envelope.encrypt, keys)
    return Opened(sealed.message, sealed.trailing_id, timestamp, envelope.nonce)


def decrypt(encrypt: str, keys: PushKeys) -> Sealed:
    """Open a sealed text that carries no signature, a row of the list of pushes, say.

    For what comes from the platform itself: nothing here proves who sealed it.
    """
    ciphertext = _decoded(encrypt)
    key = keys.key
    decryptor = Cipher(AES256(key), CBC(key[:_CIPHER_BLOCK])).decryptor()
    padded = decryptor.update(ciphertext) + decryptor.finalize()
    plain = _unpadded(padded)
    if plain is None or len(plain) < _HEAD:
        raise PushRefused("undecryptable")
    end = _HEAD + int.from_bytes(plain[16:_HEAD], "big")
    if not end <= len(plain) <= end + _ID_MAX:
        raise PushRefused("undecryptable")
    return Sealed(plain[_HEAD:end], plain[end:].decode("ascii", "replace"))


def unix_seconds(stamp: int) -> float:
    """Read a time that is given in seconds or, with 13 digits, in milliseconds."""
    return stamp / 1000 if stamp >= _MILLISECONDS_FROM else float(stamp)


def _envelope(body: bytes) -> _Envelope:
    document = parse_object(body) if len(body) <= BODY_MAX else None
    if document is None:
        raise PushRefused("malformed")
    envelope = _Envelope(
        stamp=_text(document, "TimeStamp"),
        nonce=_text(document, "Nonce"),
        encrypt=_text(document, "Encrypt", numeric=False),
        signature=_text(document, "MsgSignature", numeric=False),
    )
    if not _STAMP.fullmatch(envelope.stamp) or len(envelope.nonce) > _NONCE_MAX:
        raise PushRefused("malformed")
    return envelope


def _text(document: dict[str, object], name: str, *, numeric: bool = True) -> str:
    """Read a text that is signed as it stands; a number is signed as it is written."""
    value = document.get(name)
    if numeric and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        raise PushRefused("malformed")
    return value


def _decoded(encrypt: str) -> bytes:
    """Decode Base64, strictly, into whole blocks of the cipher."""
    try:
        if len(encrypt) <= BODY_MAX:
            ciphertext = b64decode(encrypt, validate=True)
            if ciphertext and len(ciphertext) % _CIPHER_BLOCK == 0:
                return ciphertext
    # A text that is not ASCII is a plain ValueError.
    except (binascii.Error, ValueError):
        pass
    raise PushRefused("undecryptable")


def _unpadded(padded: bytes) -> bytes | None:
    """Take the padding off, which repeats its own length; None if it does not."""
    length = padded[-1]
    if not 1 <= length <= _PADDING_MAX:
        return padded
    if padded[-length:] != bytes([length]) * length:
        return None
    return padded[:-length]
