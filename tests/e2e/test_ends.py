"""How a run ends before everything is released, with which exit code, and how it goes on."""

import socket
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals

import pytest

from tests.e2e.stage import (
    QUICK,
    SLOW_AUDITS,
    Command,
    Result,
    Stage,
    assert_calm,
    kinds,
    open_stage,
)

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD = "200000001", "200000002", "200000003"


def all_in_audit(stage: Stage) -> bool:
    return stage.platform.effects().get("submit_audit", 0) == len(stage.app_ids)


def steps_done(stage: Stage, run_id: str) -> list[object]:
    return [one["step"] for one in stage.records(run_id) if one["kind"] == "step_succeeded"]


def check_released(stage: Stage, result: Result, apps: int) -> None:
    """Check that a run got everything through, and nothing twice."""
    assert result.code == 0, result.err
    effects = stage.platform.effects()
    assert effects == {"upload": apps, "submit_audit": apps, "release": apps}
    stage.platform.check_lawful()


def test_a_rejected_client_makes_3_and_the_others_are_released(tmp_path: Path) -> None:
    behaviour = {"reject_chance": 1, "reject_reasons": ["页面内容为空"]}
    with open_stage(tmp_path, {"apps": {FIRST: behaviour}}) as stage:
        result = stage.run("run", stage.manifest(), "-o", "json")
        explained = stage.run("explain", stage.run_id(), FIRST)
    assert result.code == 3
    document = result.document()
    assert document["counts"] == {"released": 2, "rejected": 1}
    assert isinstance(document["causes"], list)
    (cause,) = document["causes"]
    assert (cause["code"], cause["app_ids"]) == ("audit.rejected", [FIRST])
    assert "页面内容为空" in cause["message"]
    assert "页面内容为空" in explained.out


def test_the_budget_halts_with_4_and_a_reason_lets_the_run_go_on(tmp_path: Path) -> None:
    quick_no = {**QUICK, "audit_s": 1, "reject_chance": 1}
    # The others are still in audit at the halt, however slow this machine is.
    scenario = {"behaviour": SLOW_AUDITS, "apps": {FIRST: quick_no, SECOND: quick_no}}
    with open_stage(tmp_path, scenario, apps=4) as stage:
        manifest = stage.manifest(rollout={"max_failures": 1})
        halted = stage.run("run", manifest)
        calls = stage.platform.calls()
        refused = stage.run("resume")
        silent = stage.platform.calls() - calls
        overridden = stage.run("resume", "--override-halt", "seen by ops", "--no-wait")
        records = stage.records()
        stage.platform.check_lawful()
    assert halted.code == 4
    assert "max_failures allows 1" in halted.out
    assert "--override-halt" in halted.out
    assert (refused.code, silent) == (4, 0)
    assert "run.halted" in refused.err
    assert "--override-halt" in refused.err
    assert overridden.code == 5
    resumed = [record for record in records if record["kind"] == "run_resumed"]
    assert [record["override_reason"] for record in resumed] == ["seen by ops"]


def test_what_every_reviewer_rejects_halts_at_the_third_app_and_says_why(tmp_path: Path) -> None:
    words = "页面内容为空, 第 3 页"
    quick_no = {**QUICK, "audit_s": 1, "reject_chance": 1, "reject_reasons": [words]}
    ids = [str(int(FIRST) + place) for place in range(6)]
    scenario = {"behaviour": SLOW_AUDITS, "apps": dict.fromkeys(ids[:3], quick_no)}
    with open_stage(tmp_path, scenario, apps=6) as stage:
        halted = stage.run("run", stage.manifest(), "-o", "json")
        told = stage.run("status")
        refused = stage.run("resume", "--no-wait")
        # Tonight they are rejected again, and that is no news.
        newer = stage.start(
            "run", stage.manifest(version="1.2.7"), "--run-id", "newer", "-o", "json"
        )
        newer.until(lambda: kinds(stage.records("newer")).count("app_finished") == 3)
        newer.signal(SIGTERM)
        again = newer.end()
        stage.platform.check_lawful()
    assert halted.code == 4
    document = halted.document()
    assert document["halted"]["code"] == "run.cause_shared"  # type: ignore[index]
    assert document["counts"] == {"rejected": 3, "auditing": 3}
    assert f"3 apps share one cause: the reviewer rejected the package ({words})" in told.out
    assert "--override-halt REASON" in told.out
    assert told.out.endswith("/fleet.yaml\n")
    assert (refused.code, '--override-halt "REASON"' in refused.err) == (4, True)
    assert (again.code, again.document()["counts"]) == (143, document["counts"])


def test_a_broken_template_halts_with_4_and_no_other_app_is_tried_for_long(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"broken_templates": ["754"]}) as stage:
        result = stage.run("run", stage.manifest(), "-o", "json")
        effects = stage.platform.effects()
    assert result.code == 4
    halted = result.document()["halted"]
    assert isinstance(halted, dict)
    assert (halted["cause"], halted["code"]) == ("platform", "upload.template_broken")
    assert effects == {"upload": 3}


def test_audits_that_are_out_make_5_with_no_wait_and_at_the_deadline(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}) as stage:
        left = stage.run("run", stage.manifest(), "--no-wait", "-o", "json")
        in_time = stage.run("resume", "--deadline", "0.5s", "-o", "json")
        effects = stage.platform.effects()
    assert (left.code, in_time.code) == (5, 5)
    assert left.document()["counts"] == in_time.document()["counts"] == {"auditing": 3}
    assert in_time.document()["state"] == "stopped at its deadline"
    assert effects == {"upload": 3, "submit_audit": 3}


@pytest.mark.parametrize(("number", "code"), [(SIGINT, 130), (SIGTERM, 143)])
def test_a_signal_ends_a_run_in_good_order(tmp_path: Path, number: Signals, code: int) -> None:
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}) as stage:
        command = stage.start("run", stage.manifest())
        command.until(lambda: all_in_audit(stage))
        command.signal(number)
        result = command.end()
        records = stage.records()
    assert result.code == code
    assert_calm(result)
    assert number.name in result.err
    assert "fleetdeploy resume" in result.out
    assert (records[-1]["kind"], records[-1]["reason"]) == ("run_stopped", "signal")


def test_a_signal_while_the_plan_is_made_leaves_at_once_without_a_run(tmp_path: Path) -> None:
    faults = {"endpoints": {"packages": {"slow": 1}}, "slow_s": 30}
    with open_stage(tmp_path, {"faults": faults}) as stage:
        command = stage.start("run", stage.manifest())
        command.until(lambda: stage.platform.calls() > 0)
        command.signal(SIGINT)
        result = command.end(limit_s=20)
        assert stage.run_ids() == []
    assert result.code == 130
    assert_calm(result)


def test_a_second_signal_leaves_at_once_and_a_resume_finishes(tmp_path: Path) -> None:
    """The upload is answered only long after, so that the first signal has to wait for it."""
    faults = {"endpoints": {"upload": {"slow": 1}}, "slow_s": 30}
    with open_stage(tmp_path, {"faults": faults}, apps=2) as stage:
        command = stage.start("run", stage.manifest())
        command.until(lambda: stage.platform.effects().get("upload") == 2)
        command.signal(SIGINT)
        command.until(lambda: "once more leaves at once" in command.err())
        command.signal(SIGINT)
        result = command.end()
        assert kinds(stage.records())[-1] == "step_started"
        resumed = stage.run("resume")
        check_released(stage, resumed, 2)
    assert result.code == 130
    assert_calm(result)


def check_refused(result: Result, alive: Command) -> None:
    """Check that a message names who is in the way: host, process, and since when."""
    assert result.code == 11
    assert "run.locked" in result.err
    assert f"process {alive.pid} of" in result.err
    assert f"on {socket.gethostname()}, since 20" in result.err
    assert_calm(result)


def test_two_processes_never_work_on_the_same_run_or_app(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}) as stage:
        manifest = stage.manifest()
        alive = stage.start("run", manifest, "--run-id", "first")
        alive.until(lambda: all_in_audit(stage))
        others = [
            stage.start("resume", "first"),
            stage.start("run", manifest, "--only", FIRST),
        ]
        refused = [other.end() for other in others]
        status = stage.run("status", "-o", "json").document()
        assert not alive.ended()
        assert stage.run_ids() == ["first"]
        stage.platform.check_lawful()
    for result in refused:
        check_refused(result, alive)
    assert (status["alive"], status["state"]) == (True, "running")


def test_a_live_run_does_not_stand_in_the_way_of_other_apps(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"apps": {FIRST: {**SLOW_AUDITS}}}) as stage:
        manifest = stage.manifest()
        alive = stage.start("run", manifest, "--only", FIRST, "--run-id", "first")
        alive.until(lambda: stage.platform.effects().get("submit_audit") == 1)
        other = stage.run("run", manifest, "--exclude", FIRST, "--run-id", "second")
        assert not alive.ended()
    assert other.code == 0, other.err


def test_an_address_that_is_not_on_the_whitelist_makes_14(tmp_path: Path) -> None:
    """At the plan nothing has begun; in the middle of a run it can be resumed when mended."""
    with open_stage(tmp_path, {"ip_whitelisted": False}) as stage:
        manifest, world = stage.manifest(), stage.platform.world
        refused = stage.run("run", manifest)
        assert stage.run_ids() == []
        world.ip_whitelisted = True
        command = stage.start("run", manifest)
        command.until(lambda: stage.platform.effects().get("upload") == 3)
        world.ip_whitelisted = False
        halted = command.end()
        world.ip_whitelisted = True
        resumed = stage.run("resume")
        check_released(stage, resumed, 3)
    assert (refused.code, halted.code) == (14, 14)
    assert "whitelist" in refused.err
    assert "whitelist" in halted.out
    assert_calm(refused)
    assert_calm(halted)
