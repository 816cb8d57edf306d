"""A wave goes back by itself when its run halts in it, also where the process dies in between."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.stage import Stage, kinds, open_stage

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD, FOURTH = (str(200_000_001 + place) for place in range(4))
OLDER: Final[Mapping[str, object]] = {"foreign": [{"status": 1, "version": "0.9"}]}
LATER: Final[Mapping[str, object]] = {**OLDER, "audit_s": [40, 45], "reject_chance": 1.0}
"""Its verdict falls when the others are online, and is a no."""
SCENARIO: Final = {"apps": {FIRST: OLDER, SECOND: OLDER, THIRD: OLDER, FOURTH: LATER}}
GOES_BACK: Final[Mapping[str, object]] = {
    "max_failures": 0,
    "budget": "soft",
    "waves": [
        {"name": "first", "apps": [FIRST, SECOND, FOURTH], "auto_rollback": True},
        {"name": "rest"},
    ],
}
CLEAR: Final = "the rollback of 2 apps"


def halting(stage: Stage) -> str:
    """A pace at which looking before a rollback takes a while."""
    pace = {"requests_per_second": 12, "in_flight": 32}
    return stage.manifest(rollout=GOES_BACK, limits=pace)


def test_what_the_halted_wave_released_goes_back_in_the_same_process(tmp_path: Path) -> None:
    with open_stage(tmp_path, SCENARIO, apps=4) as stage:
        result = stage.run("run", halting(stage), "--run-id", "out", "-o", "json")
        effects = stage.platform.effects()
        (back,) = set(stage.run_ids()) - {"out"}
        text, again = stage.several(("status", "out"), ("resume", "out"))
        resumed = stage.run("resume", "out", "--override-halt", "they are fine", "-o", "json")
        after = stage.platform.effects()
        stage.platform.check_lawful()
    assert result.code == 4, result.err
    document = result.document()
    assert (document["state"], document["counts"]) == (
        "halted",
        {"queued": 1, "released": 2, "rejected": 1},
    )
    assert isinstance(document["taken_back"], list)
    (taken,) = document["taken_back"]
    assert (taken["run_id"], taken["kind"], taken["state"]) == (back, "rollback", "finished")
    assert document["next"] == 'fleetdeploy resume out --override-halt "REASON"'
    assert f"run out halted in wave first, which goes back by itself: {CLEAR}" in result.err
    assert f"rollback {back}: finished; 2 rolled_back" in result.err
    assert effects["rollback"] == 2
    assert f"rolled back by run {back}: finished" in text.out
    assert again.code == 4
    assert "--override-halt" in again.err
    assert resumed.code == 3, resumed.err
    assert after["rollback"] == 2


def test_a_halt_by_a_person_leaves_what_is_released(tmp_path: Path) -> None:
    slow = {**OLDER, "audit_s": 36_000}
    scenario = {"apps": {FIRST: OLDER, SECOND: OLDER, THIRD: OLDER, FOURTH: slow}}
    with open_stage(tmp_path, scenario, apps=4) as stage:
        command = stage.start("run", halting(stage), "--run-id", "out")
        command.until(lambda: kinds(stage.records()).count("step_succeeded") >= 14)
        stage.run("halt", "out")
        result = command.end()
        assert stage.run_ids() == ["out"]
        assert stage.platform.effects()["release"] == 2
    assert result.code == 4, result.err


def killed_halted(stage: Stage, *, records: int) -> None:
    """Kill the process when the halt is durable and the rollback's journal has so many records."""
    command = stage.start("run", halting(stage), "--run-id", "out")
    command.until(lambda: _rollback_says(stage) >= records and _halted(stage))
    command.kill()


def _halted(stage: Stage) -> bool:
    return "run_halted" in kinds(stage.records("out"))


def _rollback_says(stage: Stage) -> int:
    return len(stage.records()) - len(stage.records("out"))


@pytest.mark.parametrize("records", [0, 3])
def test_a_kill_after_the_halt_is_gone_on_from_by_a_resume(tmp_path: Path, records: int) -> None:
    with open_stage(tmp_path, SCENARIO, apps=4) as stage:
        killed_halted(stage, records=records)
        status = stage.run("status", "out", "-o", "json").document()
        listed = stage.run("history", "-o", "json").document()["runs"]
        steered = stage.run("halt", "out", "-o", "json").document()
        resumed = stage.run("resume", "out")
        settled = stage.run("status", "out", "-o", "json").document()
        effects = stage.platform.effects()
        rollbacks = set(stage.run_ids()) - {"out"}
        stage.platform.check_lawful()
    assert status["next"] == steered["next"] == "fleetdeploy resume out"
    assert isinstance(listed, list)
    assert listed[-1]["next"] == status["next"]
    assert resumed.code == 4, resumed.err
    assert "its automatic rollback was not finished" in resumed.err
    assert "--override-halt" in resumed.err
    assert effects["rollback"] == 2
    assert len(rollbacks) == 1
    assert settled["to_roll_back"] == []
    assert settled["next"] == 'fleetdeploy resume out --override-halt "REASON"'


def test_who_overrides_the_halt_decides_about_a_rollback_that_never_began(tmp_path: Path) -> None:
    with open_stage(tmp_path, SCENARIO, apps=4) as stage:
        killed_halted(stage, records=0)
        assert stage.run_ids() == ["out"]
        resumed = stage.run("resume", "out", "--override-halt", "it is a strict reviewer")
        stage.platform.check_lawful()
        effects = stage.platform.effects()
    assert resumed.code == 3, resumed.err
    assert "not begun, and left out" in resumed.err
    assert "rollback" not in effects
    assert effects["release"] == 3


def test_a_rollback_that_cannot_begin_leaves_the_exit_code_and_says_why(tmp_path: Path) -> None:
    with open_stage(tmp_path, SCENARIO, apps=4) as stage:
        command = stage.start("run", halting(stage), "--run-id", "out", "-o", "json", "--quiet")
        command.until(lambda: stage.journal("out").exists() and _halted(stage))
        stage.platform.void(stage.platform.world.tokens.values())
        result = command.end()
        stage.platform.issue_tokens()
        stage.write_tokens()
        resumed = stage.run("resume", "out")
        assert stage.platform.effects()["rollback"] == 2
        stage.platform.check_lawful()
    assert result.code == 4, result.err
    document = result.document()
    assert (document["state"], document["to_roll_back"]) == ("halted", [FIRST, SECOND])
    assert f"error: {CLEAR}: not one of 2 apps has a token that works" in result.err
    assert "To go on with it: fleetdeploy resume out" in result.err
    assert resumed.code == 4, resumed.err
