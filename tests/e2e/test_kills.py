"""Runs that were killed go on, here or elsewhere; `tests/crash` kills them at every point."""

import shutil
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.stage import SLOW_AUDITS, Result, Stage, assert_calm, open_stage

pytestmark = pytest.mark.slow

FIFTH: Final = {
    "rates": {
        "not_connected": 0.03,
        "request_lost": 0.04,
        "answer_lost": 0.04,
        "error_page_undone": 0.03,
        "error_page_done": 0.03,
        "cut_body": 0.03,
        "slow": 0.02,
    },
    "slow_s": [0.05, 0.3],
}
"""About a fifth of all calls goes wrong in some way."""


def killed_after(stage: Stage, lines: int, *words: str) -> Result:
    """Start a command and kill it when the journals have grown by so many lines."""
    goal = stage.lines() + lines
    command = stage.start(*words)
    command.until(lambda: stage.lines() >= goal)
    return command.kill()


def check_all_released(stage: Stage, result: Result) -> None:
    assert result.code == 0, result.err
    apps = len(stage.app_ids)
    effects = stage.platform.effects()
    assert effects == {"upload": apps, "submit_audit": apps, "release": apps}
    stage.platform.check_lawful()


def uploads_seen(stage: Stage) -> int:
    steps = [record.get("step") for record in stage.records() if record["kind"] == "step_succeeded"]
    return steps.count("await_upload")


def test_a_run_takes_over_from_one_that_was_killed(tmp_path: Path) -> None:
    with open_stage(tmp_path, apps=8) as stage:
        manifest = stage.manifest()
        killed_after(stage, 30, "run", manifest, "--run-id", "killed")
        result = stage.run("run", manifest, "--run-id", "fresh")
        check_all_released(stage, result)
        calls = stage.platform.calls()
        history = stage.run("history", "-o", "json").document()["runs"]
        resumed = stage.run("resume", "killed")
        assert stage.platform.calls() == calls
    assert isinstance(history, list)
    assert [(row["run_id"], row["state"]) for row in history] == [
        ("fresh", "finished"),
        ("killed", "superseded"),
    ]
    assert "fresh" in resumed.out
    assert_calm(resumed)


def test_without_its_state_a_run_adopts_what_is_on_the_platform(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}, apps=6) as stage:
        manifest = stage.manifest()
        command = stage.start("run", manifest)
        # Once a package has its id on our side, reads show it: nothing is under way unseen.
        command.until(lambda: uploads_seen(stage) == 6)
        command.kill()
        shutil.rmtree(stage.state)
        plan = stage.run("plan", manifest, "-o", "json").document()["apps"]
        result = stage.run("run", manifest, "--no-wait", "-o", "json")
        effects = stage.platform.effects()
        stage.platform.check_lawful()
    assert isinstance(plan, list)
    assert {app["action"] for app in plan} == {"adopt"}
    assert result.code == 5
    assert result.document()["counts"] == {"auditing": 6}
    assert effects == {"upload": 6, "submit_audit": 6}


def test_the_state_directory_may_move_in_the_middle_of_a_run(tmp_path: Path) -> None:
    with open_stage(tmp_path, apps=8) as stage:
        killed_after(stage, 25, "run", stage.manifest())
        elsewhere = tmp_path / "other machine"
        shutil.copytree(stage.state, elsewhere)
        shutil.rmtree(stage.state)
        # The manifest is not needed for that: the plan lies beside the journal.
        (tmp_path / "fleet.yaml").unlink()
        result = stage.run("resume", STATE_DIR=str(elsewhere))
        check_all_released(stage, result)
        assert not stage.state.exists()


def test_j5_a_torn_tail_is_said_aloud_and_cut_off(tmp_path: Path) -> None:
    with open_stage(tmp_path, apps=3) as stage:
        killed_after(stage, 12, "run", stage.manifest())
        journal = stage.journal()
        whole = journal.read_bytes().rpartition(b"\n")[0] + b"\n"
        last = whole.splitlines()[-1]
        tail = last[: len(last) // 2]
        journal.write_bytes(whole + tail)
        looked = stage.run("status", "-o", "json")
        result = stage.run("resume")
        check_all_released(stage, result)
        assert journal.read_bytes().startswith(whole)
    assert looked.code == 0, looked.err
    assert "torn write" in result.err
    assert f"{len(tail)} bytes were cut off" in result.err
    assert str(journal) in result.err
