"""What a command does when nobody reads what it says any more, or its parent is gone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGTERM

import pytest

from tests.e2e.stage import SLOW_AUDITS, Command, Stage, kinds, open_stage

pytestmark = pytest.mark.slow


@contextmanager
def unread() -> Iterator[int]:
    """Yield a pipe whose reader has gone, as with `| head`."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)


def test_a_view_that_nobody_reads_is_no_error(tmp_path: Path) -> None:
    with open_stage(tmp_path, apps=1) as stage, unread() as pipe:
        result = stage.start("history", stdout=pipe).end()
    assert (result.code, result.err) == (0, "")


def test_a_run_whose_summary_nobody_reads_has_its_own_exit_code(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}, apps=1) as stage:
        with unread() as pipe:
            result = stage.start("run", stage.manifest(), "--no-wait", stdout=pipe).end()
        assert kinds(stage.records())[-1] == "run_stopped"
    assert result.code == 5


def test_a_run_whose_log_nobody_reads_goes_on(tmp_path: Path) -> None:
    """As where `fleetdeploy run ... 2>&1 | tee night.log` loses its `tee`."""
    with open_stage(tmp_path, apps=2) as stage:
        with unread() as pipe:
            result = stage.start("run", stage.manifest(), terminal=pipe).end()
        assert kinds(stage.records())[-1] == "run_finished"
        assert stage.platform.effects() == {"upload": 2, "submit_audit": 2, "release": 2}
    assert result.code == 0


def test_a_terminal_that_is_closed_ends_a_run_in_good_order(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}, apps=1) as stage:
        ours, theirs = os.openpty()
        try:
            command = stage.start("run", stage.manifest(), terminal=theirs, stdout=theirs)
        finally:
            os.close(theirs)
        command.until(lambda: stage.platform.effects().get("submit_audit") == 1)
        os.close(ours)
        command.signal(SIGHUP)
        result = command.end()
        assert kinds(stage.records())[-1] == "run_stopped"
    assert result.code == 143


@contextmanager
def demonstrated(stage: Stage, where: Path) -> Iterator[tuple[Command, int]]:
    """Start the demo, and yield it with the pid of the run that it has started."""
    demo = stage.start("demo", cwd=where)
    children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children")
    run = int(demo.until(lambda: children.read_text().split())[0])
    command_line = Path(f"/proc/{run}/cmdline")
    try:
        demo.until(lambda: b"\0run\0" in command_line.read_bytes())
        yield demo, run
    finally:
        if is_alive(run):
            os.kill(run, SIGKILL)


def is_alive(pid: int) -> bool:
    """Whether a process is there that still does something."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_the_demo_ends_what_it_has_started(tmp_path: Path) -> None:
    """In an empty directory: what it needs is in the package."""
    empty = tmp_path / "empty"
    empty.mkdir()
    with open_stage(tmp_path, apps=1) as stage, demonstrated(stage, empty) as (demo, run):
        assert "300 clients" in demo.err()
        demo.until(lambda: list(stage.directory.glob("fleetdeploy-demo-*/state/runs/*/plan.json")))
        demo.signal(SIGTERM)
        result = demo.end()
        assert result.code == 143
        assert not is_alive(run)
