"""A run is steered by commands in other processes, while it is alive and when it is not."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from fleetdeploy.core.orders import Order, OrderKind
from fleetdeploy.model import PackageStatus
from fleetdeploy.storage.orders_file import OrdersFile
from tests.e2e.stage import (
    QUICK,
    SLOW_AUDITS,
    Command,
    Document,
    Stage,
    assert_calm,
    kinds,
    open_stage,
)

pytestmark = pytest.mark.slow

OCCUPIED: Final = {"behaviour": {**SLOW_AUDITS, "foreign": [{}]}}
"""Somebody else has a package of every app in audit: a run that waits for that does nothing."""
WAITS: Final[Mapping[str, object]] = {"max_failures": "100%", "foreign_package": "wait"}


def started(stage: Stage) -> Command:
    """Start a run that looks and waits, with everything still to do."""
    command = stage.start("run", stage.manifest(rollout=WAITS), "--run-id", "night")
    command.until(lambda: "wave_opened" in kinds(stage.records()))
    return command


def set_free(stage: Stage) -> None:
    """Let nothing be in the way any more, and audits be quick."""
    platform = stage.platform
    for app_id in stage.app_ids:
        platform.change(app_id, audit_s=QUICK["audit_s"])
        for row in platform.portal.call(platform.world.packages, app_id, 0.0):
            if row.status == PackageStatus.IN_AUDIT and row.package_id is not None:
                platform.portal.call(platform.world.remove, app_id, row.package_id, 0.0)


def steps_in_pauses(stage: Stage) -> list[Document]:
    paused, steps = False, []
    for record in stage.records():
        paused = record["kind"] == "run_paused" or (paused and record["kind"] != "pause_lifted")
        if paused and record["kind"] == "step_started":
            steps.append(record)
    return steps


def check_released(stage: Stage) -> None:
    apps = len(stage.app_ids)
    assert stage.platform.effects() == {"upload": apps, "submit_audit": apps, "release": apps}
    stage.platform.check_lawful()


def test_a_live_run_is_paused_told_and_gone_on_with_from_other_processes(tmp_path: Path) -> None:
    with open_stage(tmp_path, OCCUPIED) as stage:
        command = started(stage)
        paused = stage.run("pause", "night", "--reason", "the reviewers eat", "-o", "json")
        set_free(stage)
        again, status, told, unnamed = stage.several(
            ("pause", "night"),
            ("status", "night"),
            ("status", "night", "-o", "json"),
            ("resume", "-q"),
        )
        assert stage.platform.effects() == {}
        lifted = stage.run("resume", "night", "-o", "json")
        result = command.end()
        check_released(stage)
        assert steps_in_pauses(stage) == []
        found = kinds(stage.records())
    assert paused.code == 0, paused.err
    document = paused.document()
    assert (document["result"], document["state"]) == ("taken", "paused")
    assert document["next"] == "fleetdeploy resume night"
    assert again.code == 0
    assert "paused already, by" in again.out
    assert "(the reviewers eat)" in status.out
    assert "next: fleetdeploy resume night" in status.out
    note = told.document()["paused"]
    assert isinstance(note, dict)
    assert note["reason"] == "the reviewers eat"
    assert unnamed.code == 11
    assert lifted.code == 0, lifted.err
    assert (lifted.document()["state"], lifted.document()["paused"]) == ("running", None)
    assert result.code == 0, result.err
    assert (found.count("run_paused"), found.count("pause_lifted")) == (1, 1)


def test_a_live_run_is_halted_and_goes_on_only_with_a_reason(tmp_path: Path) -> None:
    with open_stage(tmp_path, OCCUPIED) as stage:
        command = started(stage)
        halted = stage.run("halt", "night", "--reason", "wrong template")
        result = command.end()
        status, again, refused = stage.several(
            ("status", "-o", "json"), ("halt", "night"), ("resume", "night")
        )
        set_free(stage)
        resumed = stage.run("resume", "--override-halt", "it is the right one")
        check_released(stage)
    assert halted.code == 0, halted.err
    assert "run night: halted" in halted.out
    assert result.code == 4
    halt = status.document()["halted"]
    assert isinstance(halt, dict)
    assert (halt["cause"], halt["code"]) == ("operator", "run.halted_by_operator")
    assert str(halt["message"]).endswith("halted the run: wrong template")
    assert again.code == 0
    assert "halted already" in again.out
    assert refused.code == 4
    assert "--override-halt" in refused.err
    assert resumed.code == 0, resumed.err


def waiting(stage: Stage) -> None:
    """Leave a run whose audits are out."""
    result = stage.run("run", stage.manifest(), "--run-id", "night", "--no-wait")
    assert result.code == 5, result.err


LATIN_1: Final = os.fsdecode(b"caf\xe9")
"""As a terminal that does not speak UTF-8 sends it."""


def test_a_run_that_no_process_works_on_is_steered_in_its_journal(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}) as stage:
        waiting(stage)
        calls = stage.platform.calls()
        paused, unnamed, as_json, approved, again, unknown, nobody, nowhere = stage.several(
            ("pause", "night"),
            ("resume", "--no-wait"),
            ("resume", "--no-wait", "-o", "json"),
            ("approve", "night", "all", "--reason", "looked at"),
            ("approve", "night", "all"),
            ("approve", "night", "al"),
            ("approve", "night"),
            ("halt", "nowhere"),
        )
        assert stage.platform.calls() == calls
        found = kinds(stage.records())
        resumed = stage.run("resume", "night", "--no-wait")
        lifted = kinds(stage.records())
        halted, refused, history = stage.several(
            ("halt", "night", "--reason", LATIN_1), ("resume", "night"), ("history",)
        )
        forced = stage.run("resume", "night", "--override-halt", LATIN_1, "--no-wait")
    assert paused.code == 0, paused.err
    assert "next: fleetdeploy resume night" in paused.out
    assert unnamed.code == 5
    assert "was paused by" in unnamed.err
    assert "fleetdeploy resume night" in unnamed.err
    assert as_json.document()["code"] == "run.paused"
    assert approved.code == again.code == 0
    assert "approved already" in again.out
    assert unknown.code == nobody.code == 2
    assert "its waves are all" in unknown.err
    assert "name it: all" in nobody.err
    assert nowhere.code == 10
    assert found[-2:] == ["run_paused", "wave_approved"]
    assert resumed.code == 5, resumed.err
    assert lifted[len(found) : len(found) + 2] == ["pause_lifted", "run_resumed"]
    assert halted.code == 0, halted.err
    assert refused.code == 4
    assert "caf?" in refused.err
    assert forced.code == 5, forced.err
    assert "halted" in history.out
    assert_calm(paused)


def test_an_order_given_between_two_processes_is_not_lost(tmp_path: Path) -> None:
    pause = Order(
        id="1" * 32, kind=OrderKind.PAUSE, at=datetime.now(UTC), who="ops", host="desk", reason="x"
    )
    with open_stage(tmp_path, OCCUPIED) as stage:
        started(stage).kill()
        OrdersFile(stage.journal("night").with_name("orders.jsonl")).append(pause)
        unnamed = stage.run("resume")
        found = kinds(stage.records())
        set_free(stage)
        resumed = stage.run("resume", "night")
        check_released(stage)
        finished = stage.run("pause", "night")
    assert unnamed.code == 5
    assert "was paused by ops on desk" in unnamed.err
    assert found[-1] == "run_paused"
    assert resumed.code == 0, resumed.err
    assert finished.code == 2
    assert "the run is finished" in finished.err


GATED: Final[Mapping[str, object]] = {
    "max_failures": "100%",
    "waves": [{"name": "first", "match": {"place": "first"}, "gate": "approval"}, {"name": "rest"}],
}


def test_a_wave_is_approved_from_another_process(tmp_path: Path) -> None:
    with open_stage(tmp_path) as stage:
        command = stage.start("run", stage.manifest(rollout=GATED), "--run-id", "night")
        command.until(lambda: "wave_settled" in kinds(stage.records()))
        status, approved = stage.several(("status", "-o", "json"), ("approve", "night"))
        result = command.end()
        check_released(stage)
    told = status.document()
    assert (told["approval"], told["next"]) == ("first", "fleetdeploy approve night first")
    assert approved.code == 0, approved.err
    assert "wave first of run night: approved" in approved.out
    assert result.code == 0, result.err


def test_a_reason_in_another_encoding_does_not_keep_a_halt_back(tmp_path: Path) -> None:
    gbk = os.fsdecode("模板错了".encode("gbk"))
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}, apps=1) as stage:
        waiting(stage)
        stage.fresh = True
        halted = stage.run("halt", "night", "--reason", gbk)
        overridden = stage.run("resume", "night", "--no-wait", "--override-halt", gbk)
        unknown = stage.run("approve", "night", "w" * 300)
    assert halted.code == 0, halted.err
    assert overridden.code == 5, overridden.err
    assert unknown.code == 2, unknown.err
    assert_calm(unknown)


def test_a_resume_that_cannot_begin_leaves_the_run_paused(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}, apps=1) as stage:
        waiting(stage)
        stage.run("pause", "night")
        refused = stage.run("resume", "night", "--no-wait", TOKENS_FILE=str(tmp_path / "none"))
        unnamed = stage.run("resume", "--no-wait")
        named = stage.run("resume", "night", "--no-wait")
    assert refused.code == 2, refused.err
    assert "was paused by" in unnamed.err
    assert named.code == 5, named.err
    assert "was paused by" not in named.err
