"""Seals what the platform pushes (platform-api.md 4.1); opens nothing."""

import hashlib
import json
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK: Final = 32
"""Padding fills blocks of 32 bytes, twice the cipher's own."""
_IV_BYTES: Final = 16
RANDOM_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Seal:
    """What the two sides share, and whom the platform writes to."""

    token: str = field(repr=False)
    aes_key: str = field(repr=False)
    trailing_id: str

    @property
    def key(self) -> bytes:
        # The last of the 43 characters carries two bits too many, which this decoder ignores.
        return b64decode(self.aes_key + "=")


def encrypt(message: str, seal: Seal, random: bytes) -> str:
    """Return the text of `Encrypt`; `random` are the 16 bytes in front."""
    assert len(random) == RANDOM_BYTES, "the message begins with 16 random bytes"
    text = message.encode("utf-8", "replace")
    plain = random + len(text).to_bytes(4, "big") + text + seal.trailing_id.encode()
    short = _BLOCK - len(plain) % _BLOCK
    key = seal.key
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:_IV_BYTES])).encryptor()
    sealed = encryptor.update(plain + bytes([short]) * short) + encryptor.finalize()
    return b64encode(sealed).decode()


def signature(token: str, timestamp: str, nonce: str, encrypted: str) -> str:
    parts = sorted(part.encode() for part in (token, timestamp, nonce, encrypted))
    return hashlib.sha1(b"".join(parts)).hexdigest()  # noqa: S324 - the platform's choice


def envelope(encrypted: str, token: str, timestamp: str, nonce: str) -> bytes:
    """Return the body of a push."""
    body = {
        "Nonce": nonce,
        "TimeStamp": timestamp,
        "Encrypt": encrypted,
        "MsgSignature": signature(token, timestamp, nonce, encrypted),
    }
    return json.dumps(body, separators=(",", ":")).encode()
