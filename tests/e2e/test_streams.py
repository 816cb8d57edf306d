"""What a command does when nobody reads what it says any more, or its parent is gone."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGTERM
from subprocess import DEVNULL, CompletedProcess, Popen, TimeoutExpired, run

import pytest

from tests.e2e.stage import LIMIT_S, QUICK, SLOW_AUDITS, TICK_S, Command, Stage, kinds, open_stage

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


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_reason_to_fail(tmp_path: Path, closed: str) -> None:
    """As some who start services leave them."""
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}, apps=1) as stage:
        words = f"{shlex.quote(sys.executable)} -m fleetdeploy run {stage.manifest()} --no-wait"
        ended = bash(stage, f"{words} {closed}")
        assert kinds(stage.records())[-1] == "run_stopped"
    assert ended.returncode == 5, ended.stderr
    assert b"Traceback" not in ended.stderr


def test_what_the_terminal_cannot_show_is_escaped_and_keeps_the_exit_code(tmp_path: Path) -> None:
    scenario = {"behaviour": {**QUICK, "reject_chance": 1.0}}
    with open_stage(tmp_path, scenario, apps=1) as stage:
        stage.besides = {"PYTHONIOENCODING": "latin-1"}
        stage.fresh = True
        result = stage.run("run", stage.manifest(), "-o", "json")
    assert result.code == 3, result.err
    assert result.out.isascii()
    causes = result.document()["causes"]
    assert isinstance(causes, list)
    assert not causes[0]["message"].isascii()


def test_an_error_that_cannot_be_written_to_stdout_keeps_its_exit_code(tmp_path: Path) -> None:
    with open_stage(tmp_path, apps=1) as stage:
        ended = [
            bash(stage, f"{shlex.quote(sys.executable)} -m fleetdeploy {words} > /dev/full")
            for words in ("status nope -o json", "status --nope -o json", "schema plan")
        ]
        refused = stage.run("status", "--nope", "-o", "json")
    assert [one.returncode for one in ended] == [10, 2, 1]
    assert not any(b"Traceback" in one.stderr or b"unexpected" in one.stderr for one in ended)
    assert refused.document()["code"] == "usage.invalid"


def test_under_nohup_a_closed_terminal_ends_nothing(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}, apps=1) as stage:
        environment = stage.environment({})
        words = [sys.executable, "-m", "fleetdeploy", "run", stage.manifest()]
        with (
            (tmp_path / "nohup.err").open("wb") as err,
            Popen(  # noqa: S603 - our own words
                ["/usr/bin/env", "nohup", *words],
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=err,
                env=environment,
                cwd=tmp_path,
            ) as process,
        ):
            while stage.platform.effects().get("submit_audit") != 1:
                with pytest.raises(TimeoutExpired):
                    process.wait(TICK_S)
            process.send_signal(SIGHUP)
            with pytest.raises(TimeoutExpired):
                process.wait(1.0)
            process.send_signal(SIGTERM)
            assert process.wait(LIMIT_S) == 143
        assert kinds(stage.records())[-1] == "run_stopped"


def bash(stage: Stage, words: str) -> CompletedProcess[bytes]:
    return run(  # noqa: S603 - our own words
        ["/usr/bin/env", "bash", "-c", words],
        env=stage.environment({}),
        cwd=stage.directory,
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
