"""What the disk can do to a run: no room, no directory, damage, and files that were changed."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile, which
from typing import Final

import pytest

from fleetdeploy.cli.process import SystemClock
from fleetdeploy.simulator.behaviour import ForeignPackage
from fleetdeploy.storage.notice_log import SqliteNoticeLog
from tests.e2e.stage import (
    SLOW_AUDITS,
    Result,
    Stage,
    assert_calm,
    open_stage,
)

pytestmark = pytest.mark.slow

APPS: Final = 16
ROOM: Final = 28 * 1024
"""Bytes that hold the number and the plan of a run, and the beginning of its journal."""
SENT: Final = {"upload", "submit_audit", "release"}


@contextmanager
def tiny_file_system(where: Path) -> Iterator[None]:
    """Mount a file system of a few pages; skip where this user may not mount."""
    where.mkdir()
    mount, umount = which("mount"), which("umount")
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("needs the privilege to mount a file system")
    options = ["-t", "tmpfs", "-o", "size=512k,mode=0700", "tmpfs", str(where)]
    done = subprocess.run([mount, *options], check=False, capture_output=True)  # noqa: S603
    if done.returncode != 0:
        pytest.skip(f"may not mount a file system here: {done.stderr.decode()}")
    try:
        yield
    finally:
        subprocess.run([umount, str(where)], check=True)  # noqa: S603


def check_written_before_sent(stage: Stage) -> None:
    """Check that whatever the platform accepted was announced in the journal (J1)."""
    announced = {
        (record["app_id"], record["step"])
        for record in stage.records()
        if record["kind"] == "step_started"
    }
    accepted = {(effect.app_id, str(effect.kind)) for effect in stage.platform.world.effects}
    assert accepted <= announced
    assert len(accepted) > 0


def check_told(result: Result, stage: Stage, reason: str) -> None:
    """Check that a run that could not write any more says so and ends with 1."""
    assert result.code == 1, result.err
    assert_calm(result)
    assert "[journal.write_failed]" in result.err
    assert f"{stage.journal()}: {reason}" in result.err
    assert "hint:" in result.err
    assert "fleetdeploy resume" in result.err


def check_resumes(stage: Stage) -> None:
    result = stage.run("resume")
    assert result.code == 0, result.err
    effects = stage.platform.effects()
    assert effects == dict.fromkeys(SENT, APPS)
    stage.platform.check_lawful()


def test_j1_a_full_disk_stops_a_run_that_goes_on_when_there_is_room(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with tiny_file_system(state), open_stage(tmp_path, apps=APPS) as stage:
        filler = state / "filler"
        # What the log of notices takes is taken before, so that the room left is the journal's.
        with SqliteNoticeLog.open(state, SystemClock()):
            free = os.statvfs(state)
            filler.write_bytes(bytes(free.f_bavail * free.f_frsize - ROOM))
            result = stage.run("run", stage.manifest(), "-q")
        check_told(result, stage, "No space left on device")
        check_written_before_sent(stage)
        filler.unlink()
        check_resumes(stage)


def test_a_full_disk_takes_the_notices_from_a_run_and_nothing_else(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with open_stage(tmp_path, apps=APPS) as stage:
        state.mkdir(0o700)
        # Nothing can be written where this is to be, as on a disk without room for it.
        (state / "notices.db").mkdir()
        result = stage.run("run", stage.manifest())
        assert result.code == 2, result.err
        (state / "notices.db").rmdir()
        assert stage.run("run", stage.manifest(), "-q").code == 0


def test_j1_a_limit_on_the_size_of_files_is_like_a_full_disk(tmp_path: Path) -> None:
    with open_stage(tmp_path, apps=APPS) as stage:
        stage.fresh = True
        command = stage.start("run", stage.manifest(), "-q")
        resource.prlimit(command.pid, resource.RLIMIT_FSIZE, (ROOM // 2, ROOM // 2))
        result = command.end()
        check_told(result, stage, "File too large")
        check_written_before_sent(stage)
        check_resumes(stage)


def test_a_disk_without_room_for_the_plan_sends_nothing(tmp_path: Path) -> None:
    with open_stage(tmp_path, apps=APPS) as stage:
        stage.fresh = True
        command = stage.start("run", stage.manifest(), "-q")
        resource.prlimit(command.pid, resource.RLIMIT_FSIZE, (4096, 4096))
        result = command.end()
        assert stage.run_ids() == []
        assert stage.platform.total() == 0
        again = stage.run("run", stage.manifest())
    assert result.code == 1
    assert_calm(result)
    assert "[state.unusable]" in result.err
    assert again.code == 0


def test_a_state_directory_that_is_a_file_is_refused_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    with open_stage(tmp_path, apps=1) as stage:
        stage.state.write_text("not a directory")
        results = [stage.start(*words) for words in (["run", stage.manifest()], ["status"])]
        ran, looked = (command.end() for command in results)
        assert stage.platform.total() == 0
    for result in (ran, looked):
        assert_calm(result)
        assert str(stage.state) in result.err
        assert "hint:" in result.err
    assert ran.code == 1


def flip_a_byte(path: Path, line: int) -> None:
    """Change one bit in the middle of a line."""
    lines = path.read_bytes().splitlines(keepends=True)
    middle = bytearray(lines[line - 1])
    middle[len(middle) // 2] ^= 1
    lines[line - 1] = bytes(middle)
    path.write_bytes(b"".join(lines))


def test_j5_damage_in_the_middle_is_refused_with_its_line(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}) as stage:
        manifest = stage.manifest()
        stage.run("run", manifest, "--no-wait", "--run-id", "first")
        journal = stage.journal()
        line = journal.read_bytes().count(b"\n") // 2
        flip_a_byte(journal, line)
        damaged = journal.read_bytes()
        calls = stage.platform.calls()
        looks = (["status"], ["explain", "first", "200000001"], ["report", "-o", "json"])
        refused = [*stage.several(*looks), stage.run("resume"), stage.run("resume", "first")]
        assert stage.platform.calls() == calls
        assert journal.read_bytes() == damaged
        history = stage.run("history")
        adopted = stage.run("run", manifest, "--no-wait", "-o", "json", "--run-id", "second")
        stage.platform.check_lawful()
    for result in refused:
        assert result.code == 12
        assert_calm(result)
        assert f"{journal}: line {line}:" in result.err
    assert refused[2].document()["code"] == "journal.damaged"
    assert "unreadable" in history.out
    assert adopted.document()["counts"] == {"auditing": 3}


def test_a_plan_beside_the_journal_that_was_changed_is_refused(tmp_path: Path) -> None:
    """Edited, and a whole one that is not this run's."""
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}, apps=1) as stage:
        manifest = stage.manifest()
        stage.run("run", manifest, "--no-wait")
        stage.run("plan", manifest, "--out", "other.json")
        plan = stage.journal().with_name("plan.json")
        calls, lines = stage.platform.calls(), stage.lines()
        plan.write_text(plan.read_text().replace('"1.2.6"', '"1.2.7"'))
        edited = stage.run("resume")
        copyfile(tmp_path / "other.json", plan)
        other = stage.run("resume", "-o", "json")
        assert (stage.platform.calls(), stage.lines()) == (calls, lines)
    check_mismatch(edited, f"{plan}: the plan was changed")
    check_mismatch(other, "started with another plan")
    assert other.document()["code"] == "plan.mismatch"


def check_mismatch(result: Result, told: str) -> None:
    assert result.code == 13
    assert_calm(result)
    assert "[plan.mismatch]" in result.err
    assert told in result.err


def test_a_saved_plan_that_no_longer_holds_is_refused(tmp_path: Path) -> None:
    """Edited, cut off, from another manifest, or overtaken by what somebody did meanwhile."""
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}, apps=2) as stage:
        manifest = Path(stage.manifest())
        assert stage.run("plan", str(manifest), "--out", "tonight.json").code == 0
        whole = (tmp_path / "tonight.json").read_text()
        (tmp_path / "edited.json").write_text(whole.replace('"754"', '"755"'))
        (tmp_path / "cut.json").write_text(whole[: len(whole) // 2])
        edited = stage.run("run", "--plan", "edited.json")
        cut = stage.run("run", "--plan", "cut.json")
        stage.platform.add_foreign("200000001", ForeignPackage())
        moved = stage.run("run", "--plan", "tonight.json")
        manifest.write_text(manifest.read_text().replace("opening", "closing"))
        changed = stage.run("run", "--plan", "tonight.json")
        assert stage.run_ids() == []
        assert stage.platform.total() == 0
    check_mismatch(edited, "edited.json: the plan was changed")
    check_mismatch(cut, "cut.json: not a plan")
    check_mismatch(moved, "200000001: planned upload")
    check_mismatch(changed, "fleet.yaml was changed")
