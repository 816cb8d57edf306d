"""Packages of somebody else's, from the command line: what the manifest says is done, and told."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fleetdeploy.simulator.behaviour import ForeignPackage
from tests.e2e.stage import Result, Stage, open_stage

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD = "200000001", "200000002", "200000003"
IN_AUDIT: Mapping[str, object] = {"foreign": [{"version": "0.8", "status": 4}]}
OLDER: Mapping[str, object] = {"foreign": [{"version": "0.9", "status": 1}]}
BY_HAND = ForeignPackage(version="8", status=1)


def rolled_out(stage: Stage, run_id: str, template: str, **rollout: object) -> Result:
    """Roll out content of this template to everybody."""
    manifest = stage.manifest(template_id=template, rollout={"max_failures": "100%", **rollout})
    return stage.run("run", manifest, "--run-id", run_id, "-o", "json")


def test_what_is_in_audit_is_withdrawn_where_that_is_said_and_the_plan_tells(
    tmp_path: Path,
) -> None:
    kept = {**IN_AUDIT, "audit_s": [3e5, 4e5]}
    with open_stage(tmp_path, {"apps": {FIRST: kept, SECOND: kept}}) as stage:
        apps = [
            {"app_id": FIRST},
            {"app_id": SECOND, "foreign_package": "block"},
            {"app_id": THIRD},
        ]
        manifest = stage.manifest(apps=apps, rollout={"foreign_package": "withdraw"})
        plan = stage.run("plan", manifest)
        result = stage.run("run", manifest, "--run-id", "out", "-o", "json", "--no-wait")
        (explained,) = stage.several(("explain", "out", FIRST))
        effects = stage.platform.effects()
        stage.platform.check_lawful()
    assert "withdraws somebody else's package" in plan.out
    told = result.document()["apps"]
    assert isinstance(told, list)
    phases = {app["app_id"]: app["phase"] for app in told}
    assert (phases[FIRST], phases[SECOND]) == ("auditing", "blocked")
    assert effects["withdraw"] == 1
    assert "which is in the way, from audit (try 1)" in explained.out
    assert "which was in the way, is out of audit" in explained.out


def test_a_release_made_by_hand_is_left_alone_night_after_night_until_that_is_said(
    tmp_path: Path,
) -> None:
    with open_stage(tmp_path, {"apps": {FIRST: OLDER}}) as stage:
        first = rolled_out(stage, "one", "754")
        stage.platform.add_foreign(FIRST, BY_HAND)
        second = rolled_out(stage, "two", "755")
        third = rolled_out(stage, "three", "756")
        told = stage.several(("plan", stage.manifest(), "-o", "json"))
        fourth = rolled_out(stage, "four", "757", overwrite_foreign=True)
        stage.platform.check_lawful()
    assert first.document()["counts"] == {"released": 3}
    for result in (second, third):
        assert result.code == 3
        document = result.document()
        assert document["counts"] == {"released": 2, "blocked": 1}
        assert isinstance(document["causes"], list)
        (cause,) = document["causes"]
        assert (cause["code"], cause["app_ids"]) == ("package.foreign_online", [FIRST])
        assert "overwrite_foreign: true" in cause["hint"]
    planned = told[0].document()["apps"]
    assert isinstance(planned, list)
    assert planned[0]["action"] == "blocked"
    assert fourth.document()["counts"] == {"released": 3}


def test_what_our_own_rollback_brought_back_is_replaced_and_what_came_then_is_not(
    tmp_path: Path,
) -> None:
    with open_stage(tmp_path, {"apps": dict.fromkeys((FIRST, SECOND, THIRD), OLDER)}) as stage:
        rolled_out(stage, "one", "754")
        back = stage.run("rollback", "one", "--yes")
        stage.platform.add_foreign(SECOND, BY_HAND)
        result = rolled_out(stage, "two", "755")
        stage.platform.check_lawful()
    assert back.code == 0, back.err
    assert result.document()["counts"] == {"released": 2, "blocked": 1}
