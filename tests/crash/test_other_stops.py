"""Stops that are no kills: a wrong clock, a file system that takes nothing, two at once, copies."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crash.mortal import CLOCK_AHEAD_S
from tests.crash.ordeal import MORTAL
from tests.e2e.stage import TIME_SCALE, Result, Stage, assert_calm, open_stage
from tests.e2e.test_disk import tiny_file_system
from tests.e2e.test_kills import check_all_released, killed_after

pytestmark = pytest.mark.slow

HOUR_S = 3600
LOCKED = 11


@pytest.mark.parametrize("ahead_s", [(0, -HOUR_S), (HOUR_S, 0), (-HOUR_S, 24 * HOUR_S)])
def test_a_clock_that_was_set_between_two_processes_does_no_harm(
    tmp_path: Path, ahead_s: tuple[int, int]
) -> None:
    """Whatever is waited for is waited for by a clock that nobody sets."""
    before_s, after_s = ahead_s
    with open_stage(tmp_path, apps=6) as stage:
        stage.nursery = MORTAL
        stage.besides = {CLOCK_AHEAD_S: str(before_s)}
        killed_after(stage, 20, "run", stage.manifest())
        stage.besides = {CLOCK_AHEAD_S: str(after_s)}
        check_all_released(stage, stage.run("resume"))
        times = [str(record["at"]) for record in stage.records()]
        told = stage.run("status", "-o", "json")
    assert times == sorted(times)
    assert told.document()["counts"] == {"released": 6}


@contextmanager
def taking_nothing(where: Path) -> Iterator[None]:
    """Let a mounted file system be read-only while the block runs."""
    mount = shutil.which("mount")
    assert mount is not None
    for option in ("ro", "rw"):
        command = [mount, "-o", f"remount,{option}", str(where)]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603
        if option == "ro":
            yield


def test_a_file_system_that_became_read_only_is_told_and_a_run_goes_on_later(
    tmp_path: Path,
) -> None:
    """As the system does with one on which it found damage; it can still be read."""
    state = tmp_path / "state"
    with tiny_file_system(state), open_stage(tmp_path, apps=4) as stage:
        killed_after(stage, 15, "run", stage.manifest())
        with taking_nothing(state):
            calls = stage.platform.calls()
            refused = [stage.run("resume"), stage.run("run", stage.manifest())]
            told = stage.run("status", "-o", "json")
            effects = stage.platform.total()
            assert stage.run("explain", stage.run_id(), stage.app_ids[0]).code == 0
        assert stage.platform.total() == effects
        check_all_released(stage, stage.run("resume"))
    for result in refused:
        assert result.code == 1, result.err
        assert_calm(result)
        assert "[state.unusable]" in result.err
        assert "Read-only file system" in result.err
        assert "FLEETDEPLOY_STATE_DIR" in result.err
    assert told.document()["state"] == "interrupted"
    assert calls > 0


def both(stage: Stage, *words: str) -> list[Result]:
    """Start the same command twice at once."""
    started = [stage.start(*words), stage.start(*words)]
    return [command.end() for command in started]


Begin = Callable[[Stage], tuple[str, ...]]


def anew(stage: Stage) -> tuple[str, ...]:
    return ("run", stage.manifest())


def again(stage: Stage) -> tuple[str, ...]:
    killed_after(stage, 12, "run", stage.manifest())
    return ("resume",)


@pytest.mark.parametrize("begin", [anew, again])
def test_of_two_that_start_at_the_same_time_one_works_and_the_other_leaves(
    tmp_path: Path, begin: Begin
) -> None:
    with open_stage(tmp_path, apps=6) as stage:
        results = both(stage, *begin(stage))
        worked, refused = sorted(results, key=lambda result: result.code)
        check_all_released(stage, worked)
        assert len(stage.run_ids()) == 1
    assert refused.code == LOCKED
    assert "run.locked" in refused.err
    assert_calm(refused)


def test_a_copy_made_while_a_run_was_alive_goes_on_once_the_run_is_dead(tmp_path: Path) -> None:
    """What was sent after the copy was made shows on the platform; the copy adopts it."""
    with open_stage(tmp_path, apps=8) as stage:
        command = stage.start("run", stage.manifest())
        command.until(lambda: stage.lines() >= 16)
        copied = tmp_path / "copy"
        shutil.copytree(stage.state, copied)
        behind = stage.lines()
        command.until(lambda: stage.lines() >= behind + 12)
        command.kill()
        check_all_released(stage, stage.run("resume", STATE_DIR=str(copied)))


def test_a_copy_that_goes_on_at_once_waits_for_what_its_journal_may_lack(tmp_path: Path) -> None:
    """It is from before the uploads, which were taken and do not show yet when it is resumed."""
    slow = {"behaviour": {"effect_delay_s": 1.0 * TIME_SCALE, "audit_s": [1.0, 1.0]}}
    with open_stage(tmp_path, slow, apps=8) as stage:
        command = stage.start("run", stage.manifest())
        command.until(lambda: stage.lines() >= 2 + 2 * 8)
        command.kill()
        copied = tmp_path / "copy"
        shutil.copytree(stage.state, copied)
        (journal,) = copied.glob("runs/*/journal.jsonl")
        header, opened, *_ = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(header + opened)
        check_all_released(stage, stage.run("resume", STATE_DIR=str(copied), SETTLE="1.5"))
