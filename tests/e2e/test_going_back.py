"""What a run did is taken back by another: the command lines, their yes, and their exit codes."""

import os
import pty
from collections.abc import Mapping
from pathlib import Path
from select import select

import pytest

from tests.e2e.stage import (
    SLOW_AUDITS,
    TICK_S,
    Command,
    Result,
    Stage,
    assert_calm,
    kinds,
    open_stage,
)
from tests.e2e.test_kills import FIFTH, killed_after

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD = "200000001", "200000002", "200000003"
OLDER: Mapping[str, object] = {"foreign": [{"status": 1, "version": "0.9"}]}
EVERYBODY: Mapping[str, object] = {FIRST: OLDER, SECOND: OLDER, THIRD: OLDER}


def rolled_out(stage: Stage) -> str:
    """Roll out to everybody; return the manifest."""
    manifest = stage.manifest()
    result = stage.run("run", manifest, "--run-id", "out")
    assert result.code == 0, result.err
    return manifest


def effects_since(stage: Stage, before: Mapping[str, int]) -> dict[str, int]:
    after = stage.platform.effects()
    return {kind: n - before.get(kind, 0) for kind, n in after.items() if n != before.get(kind, 0)}


def test_a_run_is_rolled_back_told_and_can_be_rolled_out_again(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"apps": EVERYBODY}) as stage:
        manifest = rolled_out(stage)
        before = stage.platform.effects()
        result = stage.run("rollback", "out", "--yes", "--run-id", "back", "-o", "json")
        sent = effects_since(stage, before)
        again = stage.run("rollback", "out", "--yes")
        told = stage.several(
            ("explain", "back", FIRST),
            ("report", "back"),
            ("history",),
            ("status", "out", "-o", "json"),
            ("rollback", "back", "--yes"),
        )
        anew = stage.run("run", manifest, "--run-id", "anew", "-o", "json")
        stage.platform.check_lawful()
    assert result.code == 0, result.err
    document = result.document()
    assert (document["kind"], document["of_run"]) == ("rollback", "out")
    assert document["counts"] == {"rolled_back": 3}
    assert sent == {"rollback": 3}
    assert again.code == 0
    assert "nothing to do" in again.out
    assert "version 0.9 is online instead" in again.out
    explained, reported, history, first, refused = told
    assert "asks for the version before, 0.9" in explained.out
    assert "the version before is online" in explained.out
    assert "rolled_back" in reported.out
    assert "rollback" in history.out
    assert first.document()["counts"] == {"released": 3}
    assert refused.code == 2
    assert "is itself a rollback" in refused.err
    assert anew.code == 0, anew.err
    assert anew.document()["counts"] == {"released": 3}


def test_without_a_terminal_a_yes_is_needed_and_nothing_is_sent(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"apps": EVERYBODY}) as stage:
        rolled_out(stage)
        before, calls = stage.platform.effects(), stage.platform.calls()
        refused = stage.run("rollback", "out")
        silent = stage.platform.calls() - calls
        dry = stage.run("rollback", "out", "--dry-run", "--only", FIRST, "-o", "json")
        unknown = stage.run("withdraw", "nobody", "--yes")
        (tmp_path / "back.json").write_text(dry.out, "utf-8")
        saved = stage.run("run", "--plan", str(tmp_path / "back.json"))
        assert stage.run_ids() == ["out"]
        assert effects_since(stage, before) == {}
    assert (refused.code, silent) == (2, 0)
    assert "--yes" in refused.err
    assert_calm(refused)
    apps = dry.document()["apps"]
    assert isinstance(apps, list)
    assert [(app["app_id"], app["action"]) for app in apps] == [(FIRST, "rollback")]
    assert unknown.code == 10
    assert saved.code == 2
    assert "fleetdeploy rollback out" in saved.err


def test_who_has_no_way_back_is_named_and_makes_3(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"apps": {FIRST: OLDER, SECOND: OLDER}}) as stage:
        rolled_out(stage)
        result = stage.run("rollback", "out", "--yes", "-o", "json")
    assert result.code == 3
    document = result.document()
    assert document["counts"] == {"rolled_back": 2, "blocked": 1}
    assert isinstance(document["causes"], list)
    (cause,) = document["causes"]
    assert (cause["code"], cause["app_ids"]) == ("rollback.no_way_back", [THIRD])


def typed(stage: Stage, answer: str, *words: str) -> Result:
    """Give a command a terminal to ask at, and type an answer once it has asked."""
    ours, theirs = pty.openpty()
    seen = b""
    try:
        command: Command = stage.start(*words, terminal=theirs, keyboard=theirs)
        while b"type the number" not in seen:
            seen += os.read(ours, 65536)
        os.write(ours, answer.encode() + b"\n")
        while not command.ended():
            # Nobody else reads what is drawn; a full terminal would hold the command up.
            if select([ours], [], [], TICK_S)[0]:
                seen += os.read(ours, 65536)
        return Result(command.end().code, command.out(), seen.decode("utf-8", "replace"))
    finally:
        os.close(ours)
        os.close(theirs)


def test_at_a_terminal_the_number_of_apps_is_typed(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"apps": EVERYBODY}) as stage:
        rolled_out(stage)
        before = stage.platform.effects()
        wrong = typed(stage, "yes", "rollback", "out")
        assert stage.run_ids() == ["out"]
        assert effects_since(stage, before) == {}
        right = typed(stage, "3", "rollback", "out", "-o", "json")
        sent = effects_since(stage, before)
    assert wrong.code == 2
    assert "goes back to version 0.9" in wrong.err
    assert "3 was not typed: nothing was sent" in wrong.err
    assert right.code == 0
    assert right.document()["counts"] == {"rolled_back": 3}
    assert sent == {"rollback": 3}


def test_a_rollback_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    apps = {str(200_000_001 + place): OLDER for place in range(8)}
    with open_stage(tmp_path, {"apps": apps, "faults": FIFTH}, apps=8) as stage:
        rolled_out(stage)
        before = stage.platform.effects()
        killed = killed_after(stage, 10, "rollback", "out", "--yes", "--run-id", "back")
        for lines in (3, 5):
            killed_after(stage, lines, "resume", "back", "-q")
        result = stage.run("resume", "back", "-o", "json")
        sent = effects_since(stage, before)
        records = kinds(stage.records("back"))
        stage.platform.check_lawful()
    assert killed.code == -9
    assert result.code == 0, result.err
    assert result.document()["counts"] == {"rolled_back": 8}
    assert sent == {"rollback": 8}
    assert records.count("run_resumed") == 3


def test_a_live_rollout_refuses_a_withdrawal_and_a_dead_one_is_taken_over(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}) as stage:
        manifest = stage.manifest()
        alive = stage.start("run", manifest, "--run-id", "out")
        alive.until(lambda: stage.platform.effects().get("submit_audit") == 3)
        alive.until(lambda: kinds(stage.records("out")).count("step_succeeded") == 9)
        refused = stage.run("withdraw", "out", "--yes")
        alive.kill()
        part = stage.run("withdraw", "out", "--yes", "--exclude", FIRST, "-o", "json")
        left = stage.run("status", "out", "-o", "json").document()
        rest = stage.run("withdraw", "out", "--yes", "-o", "json")
        closed = stage.run("status", "out", "-o", "json").document()
        effects = stage.platform.effects()
        stage.platform.check_lawful()
    assert refused.code == 11
    assert "run.locked" in refused.err
    assert part.code == 0, part.err
    assert part.document()["counts"] == {"withdrawn": 2}
    assert left["counts"] == {"auditing": 1, "cancelled": 2}
    assert rest.document()["counts"] == {"withdrawn": 1}
    assert closed["state"] == "superseded"
    assert effects["withdraw"] == 3


def test_a_rollout_does_not_touch_what_is_going_back_right_now(tmp_path: Path) -> None:
    slow = {**OLDER, "rollback_s": 36_000}
    with open_stage(tmp_path, {"apps": {FIRST: slow, SECOND: slow, THIRD: slow}}) as stage:
        manifest = rolled_out(stage)
        back = stage.start("rollback", "out", "--yes", "--run-id", "back")
        back.until(lambda: stage.platform.effects().get("rollback") == 3)
        refused = stage.run("run", manifest)
        back.kill()
        dead = stage.run("run", manifest, "--no-wait", "-o", "json")
        status = stage.run("status", "back", "-o", "json").document()
        stage.platform.check_lawful()
    assert refused.code == 11
    assert dead.code == 5, dead.err
    assert dead.document()["counts"] == {"queued": 3}
    assert status["state"] == "superseded"


def test_what_is_rolled_back_as_a_whole_is_not_brought_to_the_others_by_cron(
    tmp_path: Path,
) -> None:
    """A canary soaks, somebody takes it back, and an hour later cron resumes as ever."""
    waves = [{"name": "canary", "apps": [FIRST], "soak": "24h"}, {"name": "rest"}]
    with open_stage(tmp_path, {"apps": EVERYBODY}) as stage:
        manifest = stage.manifest(rollout={"waves": waves})
        soaking = stage.start("run", manifest, "--run-id", "out")
        soaking.until(lambda: "wave_settled" in kinds(stage.records("out")))
        soaking.kill()
        some = stage.run("rollback", "out", "--dry-run", "--only", FIRST, "-o", "json")
        looked = stage.run("rollback", "out", "--dry-run")
        untouched = kinds(stage.records("out"))
        back = stage.run("rollback", "out", "--yes", "-o", "json")
        cron = stage.run("resume", "--no-wait")
        named = stage.run("resume", "out", "--no-wait")
        effects = stage.platform.effects()
        stage.platform.check_lawful()
    assert "run_halted" not in untouched
    assert "it is halted first" in looked.out
    (note,) = some.document()["notes"][:1]  # type: ignore[index]
    assert (note["code"], "goes on" in note["message"]) == ("run.goes_on", True)
    assert back.document()["counts"] == {"rolled_back": 1}
    assert (cron.code, named.code) == (4, 4)
    assert "a rollback of all of it was ordered" in named.err
    assert (effects["upload"], effects["release"], effects["rollback"]) == (1, 1, 1)
