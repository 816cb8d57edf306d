"""Apps that are set aside: how they get there, what is done for them, and how they come back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.stage import Document, Result, Stage, assert_calm, assert_plain, open_stage

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD = "200000001", "200000002", "200000003"
UNPAID: Final = {"apps": {FIRST: {"authenticity_passed": False}}}
REJECTED: Final = {"apps": {FIRST: {"reject_chance": 1, "reject_reasons": ["页面内容为空"]}}}
USUAL: Final = {"max_failures": "100%"}
AT_ONCE: Final = {**USUAL, "quarantine_after": 1}
"""One bad end is enough: what it takes is for the first test and those of the core."""


def manifest_of(
    stage: Stage, rollout: Mapping[str, object], theme: str, version: str = "1.2.6"
) -> str:
    """Write a manifest; another theme is other content."""
    ext_json = {"ext": {"theme": theme}}
    return stage.manifest(rollout=rollout, ext_json=ext_json, version=version)


def night(stage: Stage, rollout: Mapping[str, object] = USUAL, *, theme: str = "summer") -> Result:
    """Roll out once more, each time under another version."""
    manifest = manifest_of(stage, rollout, theme, version=f"1.3.{len(stage.run_ids())}")
    return stage.run("run", manifest, "-o", "json")


def planned(
    stage: Stage, rollout: Mapping[str, object] = USUAL, *, theme: str = "summer"
) -> dict[str, str]:
    """Return what a run would do to each app."""
    plan = stage.run("plan", manifest_of(stage, rollout, theme), "-o", "json")
    apps = plan.document()["apps"]
    assert isinstance(apps, list)
    return {app["app_id"]: app["action"] for app in apps}


def inside(stage: Stage) -> dict[str, Document]:
    """Ask who is in quarantine."""
    apps = stage.run("quarantine", "list", "-o", "json").document()["apps"]
    assert isinstance(apps, list)
    return {app["app_id"]: app for app in apps}


def causes(result: Result) -> list[tuple[str, list[str]]]:
    found = result.document()["causes"]
    assert isinstance(found, list)
    return [(cause["code"], cause["app_ids"]) for cause in found]


def set_one_aside(stage: Stage) -> None:
    """Let a night end badly for somebody, and let the next one draw the conclusion."""
    assert [night(stage, AT_ONCE).code for _ in "12"] == [3, 3]


def test_the_fourth_night_sets_a_blocked_client_aside_and_clearing_brings_it_back(
    tmp_path: Path,
) -> None:
    with open_stage(tmp_path, UNPAID) as stage:
        for _ in range(3):
            assert causes(night(stage)) == [("platform.authenticity_missing", [FIRST])]
        looks = stage.platform.looks()[FIRST]
        foreseen = planned(stage)
        nobody = inside(stage)
        # One more blocked app would halt it.
        fourth = night(stage, {"max_blocked": 0})
        told = stage.run("status")
        explained = stage.run("explain", str(fourth.document()["run_id"]), FIRST)
        aside = inside(stage)
        asked = stage.run("plan", stage.manifest(), "--only", FIRST)
        assert stage.platform.looks()[FIRST] == looks
        listed, markdown, stranger = stage.several(
            ["quarantine", "list"],
            ["quarantine", "list", "-o", "markdown"],
            ["quarantine", "clear", FIRST, SECOND],
        )
        cleared = stage.run("quarantine", "clear", FIRST, "-o", "json")
        fifth = night(stage)
        assert stage.platform.looks()[FIRST] > looks
        again = inside(stage)
        stage.platform.check_lawful()
    assert (foreseen[FIRST], nobody) == ("set_aside", {})
    assert fourth.code == 3
    assert fourth.document()["counts"] == {"unchanged": 2, "blocked": 1}
    assert causes(fourth) == [("app.quarantined", [FIRST])]
    assert fourth.document()["next"] == "fleetdeploy quarantine list"
    assert "set aside after 3 bad ends in a row" in told.out
    assert "platform.authenticity_missing" in told.out
    assert "fleetdeploy quarantine clear APP" in explained.out
    (entry,) = aside.values()
    assert (entry["app_id"], entry["comes_back"], entry["by"]) == (FIRST, "doctor", None)
    assert len(entry["runs"]) == 3  # type: ignore[arg-type]
    assert asked.code == 0
    assert f"fleetdeploy quarantine clear {FIRST}" in asked.out
    for result in (listed, markdown):
        assert_plain(result)
        assert "when doctor finds it mended" in result.out
        assert "fleetdeploy doctor MANIFEST" in result.out
    assert (stranger.code, f"not in quarantine: {SECOND}" in stranger.err) == (2, True)
    assert cleared.document()["cleared"] == [FIRST]
    # The row of before is forgotten: it is tried, and blocked by what it was blocked by before.
    assert causes(fifth) == [("platform.authenticity_missing", [FIRST])]
    assert again == {}


def test_doctor_lets_out_whom_it_finds_mended_and_nobody_else(tmp_path: Path) -> None:
    unpaid = {"authenticity_passed": False}
    with open_stage(tmp_path, {"apps": {FIRST: unpaid, SECOND: unpaid}}, apps=4) as stage:
        set_one_aside(stage)
        stage.run("quarantine", "add", THIRD, "--reason", "moves to another agency")
        unmended = stage.run("doctor", stage.manifest(), "-o", "json")
        stage.platform.change(FIRST, authenticity_passed=True)
        mended = stage.run("doctor", stage.manifest())
        left = inside(stage)
        last = night(stage, AT_ONCE)
        stage.platform.check_lawful()
    assert unmended.document()["quarantine"] == {"back": [], "kept": [FIRST, SECOND, THIRD]}
    assert f"out of quarantine: 1 app ({FIRST})" in mended.out
    assert f"still in quarantine: 2 apps ({SECOND}, {THIRD})" in mended.out
    assert {app_id: entry["comes_back"] for app_id, entry in left.items()} == {
        SECOND: "doctor",
        THIRD: "clear",
    }
    assert last.document()["counts"] == {"released": 1, "unchanged": 1, "blocked": 2}


def test_a_rejected_client_comes_back_with_other_content(tmp_path: Path) -> None:
    with open_stage(tmp_path, REJECTED) as stage:
        set_one_aside(stage)
        same = planned(stage)
        checked = stage.run("doctor", stage.manifest(), "-o", "json")
        stage.platform.change(FIRST, reject_chance=0)
        foreseen, kept = planned(stage, AT_ONCE, theme="autumn"), inside(stage)
        last = night(stage, AT_ONCE, theme="autumn")
        stage.platform.check_lawful()
    assert same[FIRST] == "set_aside"
    # A reviewer's no does not show in a check-up.
    assert checked.document()["quarantine"] == {"back": [], "kept": [FIRST]}
    assert foreseen[FIRST] == "upload"
    assert kept[FIRST]["comes_back"] == "content"
    assert last.code == 0
    assert last.document()["counts"] == {"released": 3}
    assert "back from quarantine" in last.err


def test_whom_a_person_sets_aside_stays_so_until_a_person_says_so(tmp_path: Path) -> None:
    with open_stage(tmp_path) as stage:
        unknown = stage.run("quarantine", "add", FIRST)
        assert not stage.state.exists()
        assert night(stage).code == 0
        twice = [stage.run("quarantine", "add", FIRST, "--reason", "a quarrel") for _ in "12"]
        refused = stage.run("quarantine", "add", FIRST, "--reason", "two\nlines")
        aside = night(stage, AT_ONCE, theme="autumn")
        everybody, nobody = stage.several(
            ["quarantine", "clear", "--all"], ["quarantine", "clear", "--all"]
        )
        neither, both = stage.several(
            ["quarantine", "clear"], ["quarantine", "clear", FIRST, "--all"]
        )
        back = night(stage, AT_ONCE, theme="autumn")
    assert (unknown.code, "no run here knows app" in unknown.err) == (2, True)
    assert [result.code for result in twice] == [0, 0]
    assert (refused.code, "--reason cannot be kept" in refused.err) == (2, True)
    assert_calm(refused)
    assert aside.document()["counts"] == {"released": 2, "blocked": 1}
    assert everybody.out == f"back: {FIRST}\n"
    assert nobody.out == "nobody is in quarantine\n"
    assert (neither.code, both.code) == (2, 2)
    assert back.document()["counts"] == {"released": 1, "unchanged": 2}


def test_a_saved_plan_is_stale_once_somebody_is_let_back(tmp_path: Path) -> None:
    saved = str(tmp_path / "plan.json")
    with open_stage(tmp_path, UNPAID) as stage:
        assert night(stage, AT_ONCE).code == 3
        stage.run("plan", manifest_of(stage, AT_ONCE, "summer"), "--out", saved)
        reviewed = stage.run("run", "--plan", saved, "-o", "json")
        aside = inside(stage)
        stage.run("plan", manifest_of(stage, AT_ONCE, "summer"), "--out", saved)
        stage.run("quarantine", "clear", FIRST)
        stale = stage.run("run", "--plan", saved)
    assert causes(reviewed) == [("app.quarantined", [FIRST])]
    assert set(aside) == {FIRST}
    assert (stale.code, f"{FIRST}: planned set_aside" in stale.err) == (13, True)


def test_a_rollback_takes_back_from_those_in_quarantine_too(tmp_path: Path) -> None:
    with open_stage(tmp_path) as stage:
        assert night(stage).code == 0
        assert night(stage, theme="autumn").code == 0
        rollout = max(stage.run_ids(), key=lambda run: stage.journal(run).stat().st_mtime)
        stage.run("quarantine", "add", FIRST)
        back = stage.run("rollback", rollout, "--yes", "-o", "json")
    assert (back.code, back.document()["counts"]) == (0, {"rolled_back": 3})


def test_what_several_processes_do_at_once_is_all_kept(tmp_path: Path) -> None:
    unpaid = {"authenticity_passed": False}
    with open_stage(tmp_path, {"apps": {FIRST: unpaid, SECOND: unpaid}}, apps=4) as stage:
        assert night(stage, AT_ONCE).code == 3
        manifest, fourth = manifest_of(stage, AT_ONCE, "summer"), stage.app_ids[3]
        at_once = [
            stage.start("run", manifest, "--only", FIRST),
            stage.start("run", manifest, "--only", SECOND),
            stage.start("quarantine", "add", THIRD),
            stage.start("quarantine", "add", fourth),
        ]
        assert [command.end().code for command in at_once] == [3, 3, 0, 0]
        everybody = set(inside(stage))
        at_once = [stage.start("quarantine", "clear", app_id) for app_id in (FIRST, THIRD)]
        assert [command.end().code for command in at_once] == [0, 0]
        left = set(inside(stage))
        mode = (stage.state / "quarantine.json").stat().st_mode & 0o777
    assert everybody == set(stage.app_ids)
    assert left == {SECOND, fourth}
    assert mode == 0o600


def test_a_damaged_file_stops_a_plan_and_a_run_before_a_call(tmp_path: Path) -> None:
    with open_stage(tmp_path) as stage:
        assert night(stage).code == 0
        calls = stage.platform.calls()
        (stage.state / "quarantine.json").write_bytes(b'{"format": 1, "entries": [{"app')
        results = stage.several(
            ["plan", stage.manifest()],
            ["run", stage.manifest()],
            ["quarantine", "list"],
            ["quarantine", "clear", "--all"],
            ["doctor", stage.manifest()],
        )
        assert stage.platform.calls() == calls
    for result in results:
        assert_calm(result)
        assert result.code == 1
        assert "quarantine.json is damaged" in result.out + result.err
