import hashlib

import pytest
from pydantic import JsonValue

from fleetdeploy.core.bundle import canonical_json, describe, fingerprint_of, marker_of
from fleetdeploy.model import Package


def test_canonical_json_sorts_keys_leaves_no_spaces_and_escapes_no_letters() -> None:
    value: JsonValue = {"b": [1, 2.5, None, True], "a": {"名": "火锅", "é": "\n"}}
    assert canonical_json(value) == '{"a":{"é":"\\n","名":"火锅"},"b":[1,2.5,null,true]}'


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), [float("-inf")], "\ud800", {"\udfff": 1}]
)
def test_what_json_in_utf_8_cannot_carry_is_refused(value: JsonValue) -> None:
    with pytest.raises(ValueError, match=r"JSON|surrogate"):
        canonical_json(value)


def test_endless_nesting_is_refused() -> None:
    loop: list[JsonValue] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="Circular"):
        canonical_json(loop)
    deep: JsonValue = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="too deeply"):
        canonical_json(deep)


def test_the_fingerprint_is_the_documented_formula() -> None:
    digest = hashlib.sha256(b'754\n{"ext":{}}').hexdigest()
    assert fingerprint_of("754", '{"ext":{}}') == digest[:10]


def test_template_and_content_cannot_be_mistaken_for_each_other() -> None:
    assert fingerprint_of("1", "23") != fingerprint_of("12", "3")


@pytest.mark.parametrize("description", ["autumn", "autumn \n", ""])
def test_a_described_package_is_recognised_by_its_marker(description: str) -> None:
    text = describe(description, "0123456789")
    assert Package(version="1", description=text).fingerprint == "0123456789"
    assert text == f"{description.strip()} {marker_of('0123456789')}".strip()
