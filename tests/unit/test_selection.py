"""Which apps `--only` and `--exclude` mean, and what is refused instead of shrinking a fleet."""

from pathlib import Path

import pytest

from fleetdeploy.cli.options import selection
from fleetdeploy.core.selection import Selectable, Selection
from fleetdeploy.errors import UsageInvalid
from fleetdeploy.model import Phase

APPS = [
    Selectable("1", {"tier": "gold", "region": "north"}, Phase.FAILED),
    Selectable("2", {"tier": "gold", "region": "south"}, Phase.RELEASED),
    Selectable("3", {"tier": "plain", "note": "a=b"}),
]


@pytest.mark.parametrize(
    ("only", "exclude", "chosen"),
    [
        ([], [], {"1", "2", "3"}),
        (["1"], [], {"1"}),
        (["tier=gold"], [], {"1", "2"}),
        (["tier=gold"], ["region=south"], {"1"}),
        (["1", "tier=plain"], [], {"1", "3"}),
        ([], ["tier=gold"], {"3"}),
        (["phase=failed"], [], {"1"}),
        ([], ["phase=released"], {"1", "3"}),
        (["note=a=b"], [], {"3"}),
        (["3"], ["phase=blocked"], {"3"}),
    ],
)
def test_any_of_only_and_none_of_exclude(
    only: list[str], exclude: list[str], chosen: set[str]
) -> None:
    assert Selection.parse(only, exclude).apply(APPS) == chosen


@pytest.mark.parametrize("text", ["", "=gold", "tier=", " "])
def test_what_selects_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageInvalid):
        Selection.parse([text], [])


def test_an_unknown_phase_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageInvalid) as caught:
        Selection.parse(["phase=done"], [])
    assert "released" in caught.value.hint


@pytest.mark.parametrize("flags", [(["tier=silver"], []), ([], ["9"])])
def test_a_selector_that_fits_no_app_is_a_typo(flags: tuple[list[str], list[str]]) -> None:
    with pytest.raises(UsageInvalid, match="no app fits"):
        Selection.parse(*flags).apply(APPS)


def test_an_empty_selection_is_refused() -> None:
    with pytest.raises(UsageInvalid, match="empty"):
        Selection.parse(["tier=gold"], ["1", "2"]).apply(APPS)


def test_phases_are_asked_for_only_where_they_are_named() -> None:
    assert Selection.parse(["phase=failed"], []).needs_phase()
    assert not Selection.parse(["1"], ["tier=gold"]).needs_phase()
    assert Selection.parse([], []).everything


def test_apps_that_are_asked_for_by_id_are_told_from_those_that_only_fit() -> None:
    assert Selection.parse(["1", "tier=gold", "phase=failed"], ["2"]).named == {"1"}


@pytest.mark.parametrize(
    ("only", "chosen", "flags"),
    [
        ([], ["1", "2"], ()),
        (["2", "1"], ["1", "2"], ("--only", "1", "--only", "2")),
        (["phase=failed"], ["1"], ("--only", "1")),
        ([str(n) for n in range(30)], [str(n) for n in range(30)], ()),
    ],
)
def test_the_same_apps_can_be_chosen_again(
    only: list[str], chosen: list[str], flags: tuple[str, ...]
) -> None:
    """Also where their phase has changed meanwhile; thirty ids are nothing to type."""
    assert Selection.parse(only, []).flags(chosen) == flags


def test_flags_are_given_again_as_they_were_typed_where_they_still_mean_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ids").write_text("1\n2\n")
    typed = ("--only", f"@{tmp_path}/ids", "--exclude", "tier=gold")
    assert selection(["@ids"], ["tier=gold"]).flags(["1"]) == typed
    assert selection(["phase=failed"], []).flags(["1"]) == ("--only", "1")
    many = [str(number) for number in range(30)]
    assert selection(["phase=failed"], []).flags(many) == ("--only", "phase=failed")
