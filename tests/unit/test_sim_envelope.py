"""How the simulator seals: held against the platform's own sample, and one made by hand."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from fleetdeploy.simulator.envelope import Seal, encrypt, envelope, signature

V1_ENCRYPT: Final = (
    "/X6AhuNc6ObfSXaA0/DI2SH4m4NAhaaLrYDxyeARIXnGkVYwjhSz/cK8ZLvPcbsHi6d8spK+brQwHw5+t55o4NuZj09x"
    "1TT2G6hkCQwU/R9ejDIv9yFI292XwkTMVkQ6dnZIwpvRbPmsV2EX6cagRl3C5KVlFme+6b4SS3aDat7dmpNyxjb6MdYC"
    "dZnzp4CmgbramsS0BtA/tnNgqKZ1VA=="
)
V2_ENCRYPT: Final = (
    "Q3stYC6hdFzMh9T8HCvyDJc4YG6J6rtKKawt9gWFlzV4r3EB9jso6i1k39AYq8X8xgvadAA/1Lbo0p+XoxhR5kJNQY1t"
    "BvhBZaCycDI1a9LsifZTtcx6XG5cqp8KiztmCkJBLtvYiCKPIN4+9rD+fkebHyMiOBqnKcvWxcB5S+6Qr9PGWHoDH748"
    "0JX/bsFCNqi1xjP2VNDFfx7Y4TtG8h8BV00B1HiAqIUsyjutXBdfFn7gXl787En/fmfAqNTB"
)
V2_SIGNATURE: Final = "434471cab90009f53ec23896a3652f061ee77aad"
V1: Final = Seal("", "ql1234fnhsjndyskemdlsowerfvmjhxswedfrtgbqwe", "11724904")
V2: Final = Seal("test_token", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "12123")
VECTORS: Final[list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[1] / "contract" / "vectors" / "pushes.json").read_text("utf-8")
)


def test_the_platforms_own_sample_is_sealed_to_the_last_character() -> None:
    message = (
        '{"Ticket":"322af740926edaa3c6d2c6a5069694d4","FromUserName":"SmartAPP",'
        '"CreateTime":1535551395,"MsgType":"ticket","Event":"push"}'
    )
    assert V1.key.hex() == "aa5d76df87e786c8e7772b247a6765b28c1eadfbe68e1c6cc1e75faed81bab07"
    assert encrypt(message, V1, b"90ZOT8pPHCaQNVm9") == V1_ENCRYPT


def test_a_padding_of_more_than_a_block_of_the_cipher() -> None:
    message = (
        '{"appId":1452365,"tpAppId":17328232,"eventTime":"2019-01-14 12:45:10",'
        '"event":"PACKAGE_AUDIT_PASS","packageId":529394,"packageVersion":"0.2.2"}'
    )
    assert encrypt(message, V2, b"0123456789abcdef") == V2_ENCRYPT


def test_the_signature_sorts_its_parts() -> None:
    assert signature("test_token", "1535551395", "4464221", V2_ENCRYPT) == V2_SIGNATURE


def test_the_body_has_the_four_documented_keys() -> None:
    body = envelope(V2_ENCRYPT, "test_token", "1535551395", "4464221")
    assert json.loads(body) == {
        "Nonce": "4464221",
        "TimeStamp": "1535551395",
        "Encrypt": V2_ENCRYPT,
        "MsgSignature": V2_SIGNATURE,
    }


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"][:2])
def test_what_the_shared_vectors_say_is_what_is_sealed(vector: dict[str, Any]) -> None:
    assert vector["envelope"]["Encrypt"] in {V1_ENCRYPT, V2_ENCRYPT}
    assert "simulated" not in repr(Seal("simulated", "simulated", "1"))
