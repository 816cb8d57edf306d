"""What comes between a plan and its run: other runs, which may have died in the middle."""

from pathlib import Path

import pytest

from tests.e2e.stage import SLOW_AUDITS, Stage, open_stage

pytestmark = pytest.mark.slow

FIRST, SECOND = "200000001", "200000002"
LATE = {**SLOW_AUDITS, "effect_delay_s": 40}
"""An upload shows after two seconds, which the settle time of these tests covers."""
SETTLE = "5"


def killed_in_its_upload(stage: Stage, *words: str) -> None:
    """Leave an upload that has been sent and does not show yet."""
    command = stage.start("run", *words, SETTLE=SETTLE)
    command.until(lambda: stage.platform.effects().get("upload") == 1)
    command.kill()


def test_a_saved_plan_that_was_killed_leaves_its_doubt_to_the_next_run(tmp_path: Path) -> None:
    """Between its making and its run another one has come, and has ended without a call."""
    with open_stage(tmp_path, {"behaviour": LATE}, apps=1) as stage:
        manifest = stage.manifest()
        stage.run("plan", manifest, "--run-id", "20200101-0000-aaaa", "--out", "tonight.json")
        stage.write_tokens({FIRST: "45.unknown.3600.1.x"})
        between = stage.run("run", manifest)
        stage.write_tokens()
        killed_in_its_upload(stage, "--plan", "tonight.json")
        latest = stage.run("status", "-o", "json").document()
        result = stage.run("run", manifest, "--no-wait", SETTLE=SETTLE)
        assert stage.platform.effects()["upload"] == 1
        stage.platform.check_lawful()
    assert between.code == 3, between.err
    assert latest["run_id"] == "20200101-0000-aaaa"
    assert result.code == 5, result.err


def test_a_run_that_came_and_died_while_a_plan_was_made_refuses_it(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"behaviour": LATE}, apps=8) as stage:
        manifest = stage.manifest()
        slow = {"requests_per_second": 2, "in_flight": 1}
        night = stage.manifest(name="night.yaml", limits=slow)
        command = stage.start("run", night, "--run-id", "night", SETTLE=SETTLE)
        command.until(lambda: stage.platform.looks()[FIRST] == 1)
        killed_in_its_upload(stage, manifest, "--only", FIRST, "--run-id", "hand")
        assert "night" not in stage.run_ids()
        refused = command.end()
        again = stage.run("run", manifest, "--no-wait", SETTLE=SETTLE)
        assert stage.platform.effects()["upload"] == 8
        stage.platform.check_lawful()
    assert refused.code == 13, refused.err
    assert "run hand has been at work on some of these apps" in refused.err
    assert FIRST in refused.err
    assert again.code == 5, again.err
