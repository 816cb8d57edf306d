import pytest

from fleetdeploy.core.labels import matches

LABELS = {"tier": "gold", "region": "north"}


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({}, True),
        ({"tier": "gold"}, True),
        ({"tier": "gold", "region": "north"}, True),
        ({"tier": "gold", "region": "south"}, False),
        ({"tier": ["silver", "gold"]}, True),
        ({"tier": ("silver", "basic")}, False),
        ({"tier": []}, False),
        ({"tier": "golden"}, False),
        ({"tier": "g"}, False),
        ({"ring": "canary"}, False),
    ],
)
def test_every_label_must_match_and_a_list_means_any_of(
    match: dict[str, str | list[str]], expected: bool
) -> None:
    assert matches(LABELS, match) is expected
