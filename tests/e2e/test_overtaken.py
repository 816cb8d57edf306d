"""A run that came and went between a plan and its start: what it sent is not sent again."""

from pathlib import Path

import pytest

from tests.e2e.stage import QUICK, SLOW_AUDITS, kinds, open_stage

pytestmark = pytest.mark.slow


def test_a_run_that_is_over_before_another_has_planned_is_not_done_again(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}, apps=12) as stage:
        limits = {"requests_per_second": 2, "in_flight": 1}
        slow = stage.start("run", stage.manifest(name="slow.yaml", limits=limits), "--no-wait")
        slow.until(lambda: stage.platform.calls() >= 3)
        first, second = stage.app_ids[:2]
        quick = stage.run("run", stage.manifest(), "--only", first, "--only", second, "--no-wait")
        result = slow.end()
        effects = stage.platform.effects()
    assert quick.code == 5, quick.err
    assert effects == {"upload": 2, "submit_audit": 2}
    assert result.code == 13, result.err
    assert "has been at work on some of these apps since the plan was begun" in result.err


def test_a_saved_plan_does_not_send_what_a_killed_run_has_just_sent(tmp_path: Path) -> None:
    behaviour = {**QUICK, "effect_delay_s": 80, "audit_s": 36_000}
    with open_stage(tmp_path, {"behaviour": behaviour}, apps=3) as stage:
        manifest = stage.manifest()
        assert stage.run("plan", manifest, "--out", "tonight.json").code == 0
        command = stage.start("run", manifest)
        command.until(lambda: kinds(stage.records()).count("step_succeeded") >= 3)
        command.kill()
        result = stage.run("run", "--plan", "tonight.json", "--no-wait", SETTLE="6")
        effects = stage.platform.effects()
    assert effects == {"upload": 3}
    assert result.code == 13, result.err
    assert "a run was at work on it since" in result.err
