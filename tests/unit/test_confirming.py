"""A yes is the number of apps, typed by somebody who sits at a terminal."""

import io

import click
import pytest

from fleetdeploy.cli.confirming import ask_for_number, check_can_ask
from fleetdeploy.errors import UsageInvalid


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def ask(typed: str) -> list[str]:
    said: list[str] = []
    ask_for_number(12, "roll them back", stdin=io.StringIO(typed), say=said.append)
    return said


def test_the_number_of_apps_is_a_yes() -> None:
    assert ask(" 12 \n") == ["type the number of apps, 12, to roll them back:"]


@pytest.mark.parametrize("typed", ["\n", "yes\n", "y\n", "11\n", "012\n", "12.0\n"])
def test_anything_else_is_a_no(typed: str) -> None:
    with pytest.raises(UsageInvalid, match="12 was not typed: nothing was sent"):
        ask(typed)


def test_the_end_of_input_leaves() -> None:
    with pytest.raises(click.Abort):
        ask("")


def test_both_ends_have_to_be_a_terminal() -> None:
    check_can_ask("a rollback", stdin=Terminal(), stderr=Terminal())
    for stdin, stderr in ((Terminal(), io.StringIO()), (io.StringIO(), Terminal())):
        with pytest.raises(UsageInvalid) as caught:
            check_can_ask("a rollback", stdin=stdin, stderr=stderr)
        assert "--yes" in caught.value.hint
