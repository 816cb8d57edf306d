"""Tomorrow's rollout comes while last night's release still soaks: warned of, or held back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.stage import Stage, kinds, open_stage

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD = "200000001", "200000002", "200000003"
OLDER: Final[Mapping[str, object]] = {"foreign": [{"status": 1, "version": "0.9"}]}
SOAKS: Final[Mapping[str, object]] = {
    "max_failures": "100%",
    "waves": [
        {"name": "first", "match": {"place": "first"}, "soak": "1d"},
        {"name": "rest"},
    ],
}
CODE: Final = "release.would_lose_way_back"


def watched(stage: Stage) -> None:
    """Release the first wave, which soaks for a day; stop the run there."""
    command = stage.start("run", stage.manifest(rollout=SOAKS), "--run-id", "out")
    command.until(lambda: "wave_settled" in kinds(stage.records()))
    command.kill()


def winter(stage: Stage, *, protect: bool) -> str:
    """Write the manifest of other content for all."""
    rollout = {"max_failures": "100%", "protect_rollback": protect}
    ext = {"ext": {"theme": "winter"}}
    return stage.manifest(name="winter.yaml", version="1.3", ext_json=ext, rollout=rollout)


def test_who_soaks_is_not_released_over_also_after_a_kill(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"apps": {FIRST: OLDER}}) as stage:
        watched(stage)
        manifest = winter(stage, protect=True)
        plan = stage.run("plan", manifest)
        command = stage.start("run", manifest, "--run-id", "winter")
        command.until(lambda: "step_started" in kinds(stage.records("winter")))
        command.kill()
        result = stage.run("resume", "winter", "-o", "json")
        effects = stage.platform.effects()
        stage.platform.check_lawful()
    assert "warning: what is online soaks until" in plan.out
    assert f"(1 app: {FIRST})" in plan.out
    assert result.code == 3, result.err
    document = result.document()
    assert document["counts"] == {"released": 2, "blocked": 1}
    assert isinstance(document["causes"], list)
    (cause,) = document["causes"]
    assert (cause["code"], cause["app_ids"]) == (CODE, [FIRST])
    assert "the way back to version 0.9" in cause["message"]
    assert effects["release"] == 3


def test_without_protection_the_plan_warns_and_the_run_releases(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"apps": {FIRST: OLDER, SECOND: OLDER, THIRD: OLDER}}) as stage:
        watched(stage)
        same = stage.run("plan", stage.manifest(), "-o", "json").document()
        result = stage.run("run", winter(stage, protect=False), "-o", "json")
    assert same["notes"] == []
    assert result.code == 0, result.err
    assert "note: what is online soaks until" in result.err
    assert result.document()["counts"] == {"released": 3}
