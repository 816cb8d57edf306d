"""The pushes of the golden vectors, opened: the platform's own sample, and one made by hand."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pytest

from fleetdeploy.baidu.envelope import PushKeys, decrypt, open_envelope, sign
from fleetdeploy.baidu.events import PushReader, push_from

Vector = Mapping[str, Any]
VECTORS: Final[list[Vector]] = json.loads(
    (Path(__file__).parent / "vectors" / "pushes.json").read_text("utf-8")
)
SIGNED = [vector for vector in VECTORS if vector["token"] is not None]
SENT_AT: Final = 1535551395.0

every_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"][:2])
signed_vector = pytest.mark.parametrize("vector", SIGNED, ids=lambda vector: vector["name"][:2])


def keys_of(vector: Vector) -> PushKeys:
    return PushKeys(vector["token"] or "not published", vector["aes_key"])


def body_of(vector: Vector) -> bytes:
    return json.dumps(vector["envelope"]).encode()


@every_vector
def test_the_key_is_the_vectors(vector: Vector) -> None:
    assert keys_of(vector).key.hex() == vector["key_hex"]


@every_vector
def test_a_vector_decrypts_to_its_message(vector: Vector) -> None:
    sealed = decrypt(vector["envelope"]["Encrypt"], keys_of(vector))
    assert sealed.message.decode() == vector["message"]
    assert sealed.trailing_id == vector["trailing_id"]


@every_vector
def test_a_vector_is_read_as_it_means(vector: Vector) -> None:
    push = PushReader(keys_of(vector), 60.0).open_row(vector["envelope"]["Encrypt"])
    assert push == push_from(vector["message"].encode())
    assert (push.ticket and asdict(push.ticket)) == vector["ticket"]
    assert (push.notice and asdict(push.notice)) == vector["notice"]


@signed_vector
def test_a_signed_vector_opens(vector: Vector) -> None:
    opened = open_envelope(body_of(vector), keys_of(vector), now=SENT_AT, max_age_s=60.0)
    assert opened.message.decode() == vector["message"]
    assert (opened.timestamp, opened.nonce) == (SENT_AT, vector["envelope"]["Nonce"])


@signed_vector
def test_the_signature_is_the_vectors(vector: Vector) -> None:
    envelope = vector["envelope"]
    signature = sign(vector["token"], envelope["TimeStamp"], envelope["Nonce"], envelope["Encrypt"])
    assert signature == envelope["MsgSignature"]
