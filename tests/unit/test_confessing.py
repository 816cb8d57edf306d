"""What is told of a bug: where it is, and nothing of what went through our hands."""

import pytest

from fleetdeploy.cli.main import _end_with
from fleetdeploy.errors import ExitCode

SECRET = "45.secret-that-must-not-be-seen"


def broken(token: str) -> None:
    raise ValueError(f"no such token: {token}") from KeyError(token)


@pytest.mark.parametrize("words", [["run"], ["run", "-vv"]])
def test_a_bug_is_told_by_its_place_and_never_by_its_words(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with pytest.raises(ValueError, match="no such token") as caught:
        broken(SECRET)
    assert _end_with(caught.value, words) == ExitCode.UNEXPECTED
    told = capsys.readouterr()
    assert "unexpected error: ValueError" in told.err
    assert ("in broken" in told.err) == ("-vv" in words)
    assert SECRET not in told.out + told.err
