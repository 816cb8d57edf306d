"""A withdrawal with the rollout that is to follow it: two runs, one yes, also through kills."""

from pathlib import Path
from typing import Final

import pytest

from tests.e2e.stage import QUICK, SLOW_AUDITS, Stage, kinds, open_stage
from tests.e2e.test_going_back import typed

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD = "200000001", "200000002", "200000003"
SCENARIO: Final = {"behaviour": SLOW_AUDITS}


def in_audit(stage: Stage, **changes: object) -> str:
    """Submit everybody; return a manifest of other content, whose audits will be quick."""
    result = stage.run("run", stage.manifest(), "--run-id", "out", "--no-wait")
    assert result.code == 5, result.err
    for app_id in stage.app_ids:
        stage.platform.change(app_id, audit_s=QUICK["audit_s"])
    ext = {"ext": {"theme": "winter"}}
    return stage.manifest(name="mended.yaml", version="1.3", ext_json=ext, **changes)


def test_what_was_withdrawn_is_rolled_out_anew_by_a_run_of_its_own(tmp_path: Path) -> None:
    with open_stage(tmp_path, SCENARIO) as stage:
        mended = in_audit(stage)
        words = ("withdraw", "out", "--and-resubmit", mended, "--exclude", THIRD)
        dry, as_json, unasked = stage.several(
            (*words, "--dry-run"), (*words, "--dry-run", "-o", "json"), words
        )
        assert stage.platform.effects() == {"upload": 3, "submit_audit": 3}
        result = stage.run(*words, "--yes", "--run-id", "away", "-o", "json")
        effects = stage.platform.effects()
        status = stage.run("status", "away", "-o", "json").document()
        stage.platform.check_lawful()
    assert dry.code == 0, dry.err
    assert f"rolls out {mended}" in dry.out
    assert "then, for those that were withdrawn, as far as it can be known now:" in dry.out
    assert "+ 2 upload" in dry.out
    both = as_json.document()
    assert isinstance(both["withdrawal"], dict)
    assert isinstance(both["rollout"], dict)
    assert [app["action"] for app in both["withdrawal"]["apps"]] == ["withdraw"] * 2
    assert [app["action"] for app in both["rollout"]["apps"]] == ["upload"] * 2
    assert (unasked.code, "--yes" in unasked.err) == (2, True)
    assert result.code == 0, result.err
    document = result.document()
    assert (document["kind"], document["counts"]) == ("rollout", {"released": 2})
    assert "withdraw away: finished; 2 withdrawn" in result.err
    assert effects == {"upload": 5, "submit_audit": 5, "withdraw": 2, "release": 2}
    assert status["to_resubmit"] == []


def test_who_was_not_withdrawn_is_left_out_of_the_rollout_and_named(tmp_path: Path) -> None:
    with open_stage(tmp_path, {**SCENARIO, "apps": {THIRD: QUICK}}) as stage:
        mended = in_audit(stage)
        for row in stage.platform.portal.call(stage.platform.world.packages, THIRD, 0.0):
            assert row.package_id is not None
            stage.platform.portal.call(stage.platform.world.remove, THIRD, row.package_id, 0.0)
        result = stage.run("withdraw", "out", "--and-resubmit", mended, "--yes", "-o", "json")
        effects = stage.platform.effects()
        stage.platform.check_lawful()
    assert result.code == 0, result.err
    assert f"left out of the rollout, as not withdrawn: 1 app ({THIRD})" in result.err
    apps = result.document()["apps"]
    assert isinstance(apps, list)
    assert [app["app_id"] for app in apps] == [FIRST, SECOND]
    assert effects["withdraw"] == 2


def test_what_does_not_fit_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with open_stage(tmp_path, SCENARIO) as stage:
        in_audit(stage)
        few = stage.manifest(name="few.yaml", apps=[{"app_id": FIRST}])
        before = stage.platform.effects()
        missing, broken = stage.several(
            ("withdraw", "out", "--and-resubmit", few, "--yes"),
            ("withdraw", "out", "--and-resubmit", "nowhere.yaml", "--yes"),
        )
        assert stage.run_ids() == ["out"]
        assert stage.platform.effects() == before
    assert missing.code == 2
    assert f"{SECOND}, {THIRD}" in missing.err
    assert broken.code == 2


def test_one_number_says_yes_to_both(tmp_path: Path) -> None:
    with open_stage(tmp_path, SCENARIO) as stage:
        mended = in_audit(stage)
        result = typed(stage, "3", "withdraw", "out", "--and-resubmit", mended, "-o", "json")
        stage.platform.check_lawful()
    assert "to withdraw them, and roll out to them anew" in result.err
    assert result.code == 0, result.err
    assert result.document()["counts"] == {"released": 3}


def test_a_kill_between_the_two_is_told_by_status_and_gone_on_from(tmp_path: Path) -> None:
    with open_stage(tmp_path, SCENARIO) as stage:
        # At this pace the looks before the second run take a while.
        mended = in_audit(stage, limits={"requests_per_second": 8})
        words = ("withdraw", "out", "--and-resubmit", mended, "--yes", "--run-id", "away")
        command = stage.start(*words)
        command.until(lambda: stage.platform.effects().get("withdraw", 0) > 0)
        command.kill()
        # The rest of the withdrawal, up to its end and no further.
        going = stage.start("resume", "away")
        going.until(lambda: "run_finished" in kinds(stage.records("away")))
        going.kill()
        status, as_json = stage.several(("status", "away"), ("status", "away", "-o", "json"))
        begun = set(stage.run_ids()) - {"out", "away"}
        resumed = stage.run("resume", "away", "-o", "json")
        effects = stage.platform.effects()
        over = stage.run("resume", "away")
        stage.platform.check_lawful()
    assert begun == set()
    assert "still to be rolled out anew: 3 apps" in status.out
    assert as_json.document()["next"] == "fleetdeploy resume away"
    assert resumed.code == 0, resumed.err
    assert resumed.document()["counts"] == {"released": 3}
    assert effects == {"upload": 6, "submit_audit": 6, "withdraw": 3, "release": 3}
    assert "there is nothing to resume" in over.err


def test_a_manifest_that_was_changed_since_the_yes_is_not_rolled_out(tmp_path: Path) -> None:
    with open_stage(tmp_path, SCENARIO) as stage:
        mended = in_audit(stage)
        words = ("withdraw", "out", "--and-resubmit", mended, "--yes", "--run-id", "away")
        command = stage.start(*words)
        command.until(lambda: stage.platform.effects().get("withdraw", 0) > 0)
        command.kill()
        stage.manifest(name="mended.yaml", version="1.4")
        result = stage.run("resume", "away")
        effects = stage.platform.effects()
    assert result.code == 13, result.err
    assert "was changed after it was confirmed" in result.err
    assert (effects["withdraw"], effects["upload"]) == (3, 3)
