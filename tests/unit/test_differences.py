"""Which keys of two texts differ."""

import json

import pytest

from fleetdeploy.core.differences import changed_keys


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, ()),
        ({"a": 1}, {"a": 1}, ()),
        ({"a": 1}, {"a": 2}, ("a",)),
        ({"a": 1}, {}, ("a",)),
        ({}, {"b": None}, ("b",)),
        ({"ext": {"x": 1, "y": 2}}, {"ext": {"x": 1, "y": 3}}, ("ext.y",)),
        ({"ext": {"x": 1}}, {"ext": [1]}, ("ext",)),
        ({"z": 1, "a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, ("a.b.c", "z")),
        ({"l": [1, {"a": 1}]}, {"l": [1, {"a": 2}]}, ("l",)),
        ([], {}, ("(all of it)",)),
        (1, 1, ()),
    ],
)
def test_the_paths_that_differ_are_named_in_order(
    before: object, after: object, expected: tuple[str, ...]
) -> None:
    assert changed_keys(json.dumps(before), json.dumps(after)) == expected


@pytest.mark.parametrize(("before", "after"), [("1", "true"), ("0", "false"), ("[1]", "[true]")])
def test_a_number_is_no_boolean(before: str, after: str) -> None:
    assert changed_keys(f'{{"a":{before}}}', f'{{"a":{after}}}') == ("a",)


def test_only_so_many_are_named() -> None:
    after = json.dumps({f"k{n:03}": n for n in range(60)})
    paths = changed_keys("{}", after)
    assert (len(paths), paths[0], paths[-2:]) == (51, "k000", ("k049", "and 10 more"))
    assert changed_keys("{}", '{"a":1,"b":2}', most=2) == ("a", "b")
