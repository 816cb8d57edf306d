"""What the command line says before it can be read as a whole."""

import pytest

from fleetdeploy.cli.options import wants_json


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("status -o json", True),
        ("status -ojson nope", True),
        ("status -qo json", True),
        ("status -vvojson", True),
        ("status --output json", True),
        ("status --output=json", True),
        ("status", False),
        ("status -o", False),
        ("status -o text", False),
        ("status -o json -o text", False),
        ("status -o text --output=json", True),
        ("explain -- -o json", False),
        ("plan --out json", False),
    ],
)
def test_json_is_asked_for_by_the_last_word_about_it(words: str, wanted: bool) -> None:
    assert wants_json(words.split()) is wanted


def test_a_reason_that_speaks_of_json_asks_for_nothing() -> None:
    assert not wants_json(["halt", "r1", "--reason", "somebody typed -o json"])
