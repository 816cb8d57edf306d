"""Locks between processes: one holder, who says who it is, and nothing stale."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleetdeploy.errors import ExitCode, RunLocked, StateUnusable
from fleetdeploy.storage.locks import PAUSE_S, Holder, Unnamed, hold, holder_of

SINCE = datetime(2026, 11, 24, 3, 7, tzinfo=UTC)
OURS = Holder(host="day-2", pid=12, who="me", since=SINCE)
THEIRS = Holder(host="night-1", pid=4711, who="ops", since=SINCE)

HOLDING = """
import sys, time
from datetime import datetime, UTC
from pathlib import Path
from fleetdeploy.storage.locks import Holder, hold
holder = Holder("night-1", 4711, "ops", datetime(2026, 11, 24, 3, 7, tzinfo=UTC))
with hold(Path(sys.argv[1]), holder, what="run r1", wait_s=0):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold the lock in another process while inside."""
    command = [sys.executable, "-c", HOLDING, str(path)]
    process = subprocess.Popen(  # noqa: S603  # our own interpreter and script
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def no_sleep(seconds: float) -> None:
    assert seconds == PAUSE_S


@pytest.mark.slow
def test_j6_a_lock_held_by_another_process_is_refused_and_says_by_whom(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held_elsewhere(path):
        assert holder_of(path) == THEIRS
        with (
            pytest.raises(RunLocked) as caught,
            hold(path, OURS, what="run r1", wait_s=0.2, sleep=no_sleep),
        ):
            pass
        assert holder_of(path) == THEIRS
    assert caught.value.message == (
        "run r1 is locked by process 4711 of ops on night-1, since 2026-11-24 03:07:00+00:00"
    )
    assert caught.value.exit_code == ExitCode.LOCKED
    assert holder_of(path) is None


@pytest.mark.slow
def test_j6_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    """What a killed process wrote into the file stays, and stands in nobody's way."""
    path = tmp_path / "lock"
    with held_elsewhere(path) as process:
        process.kill()
        process.wait()
        assert b"night-1" in path.read_bytes()
        assert holder_of(path) is None
        with hold(path, OURS, what="run r1", wait_s=0):
            assert holder_of(path) == OURS


def test_a_child_that_outlives_the_lock_does_not_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with hold(path, OURS, what="run r1", wait_s=0):
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)  # noqa: S607  # any cat
    with child:
        with hold(path, THEIRS, what="run r1", wait_s=0):
            assert holder_of(path) == THEIRS
        assert child.poll() is None


def test_j6_two_holders_in_one_process_are_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with hold(path, OURS, what="run r1", wait_s=0), pytest.raises(RunLocked):
        hold(path, THEIRS, what="run r1", wait_s=0).__enter__()


def test_a_lock_that_is_let_go_in_time_is_waited_for(tmp_path: Path) -> None:
    """A look at a lock takes it for an instant; a start that meets it tries again."""
    path = tmp_path / "lock"
    first = hold(path, THEIRS, what="run r1", wait_s=0)
    first.__enter__()
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            first.__exit__(None, None, None)

    with hold(path, OURS, what="run r1", wait_s=1, sleep=nap):
        assert holder_of(path) == OURS
    assert naps == [PAUSE_S] * 3


def test_the_wait_for_a_lock_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    naps: list[float] = []
    with hold(path, THEIRS, what="run r1", wait_s=0), pytest.raises(RunLocked):
        hold(path, OURS, what="run r1", wait_s=1, sleep=naps.append).__enter__()
    assert sum(naps) == pytest.approx(1)


@pytest.mark.parametrize("content", [b"", b"hello", b'{"host":1}', b"\0" * 9000])
def test_a_holder_that_left_no_name_still_holds(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lock"
    with hold(path, THEIRS, what="run r1", wait_s=0):
        path.write_bytes(content)
        assert holder_of(path) == Unnamed()
        with pytest.raises(RunLocked, match="locked by another process"):
            hold(path, OURS, what="run r1", wait_s=0).__enter__()


def test_a_shorter_name_leaves_nothing_of_the_longer_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    long = Holder(host="h" * 200, pid=1, who="w", since=SINCE)
    for holder in (long, OURS):
        with hold(path, holder, what="run r1", wait_s=0):
            assert holder_of(path) == holder


def test_a_hostile_name_cannot_steer_the_terminal() -> None:
    holder = Holder(host="\x1b[2Jnight\n", pid=1, who="o\u202eps", since=SINCE)
    assert str(holder).isprintable()


def test_a_file_without_a_holder_and_no_file_mean_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder_of(path) is None
    path.write_bytes(b"left here")
    assert holder_of(path) is None


def test_a_lock_that_cannot_be_opened_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StateUnusable, match="Is a directory"):
        hold(tmp_path, OURS, what="run r1", wait_s=0).__enter__()
    (tmp_path / "file").touch()
    with pytest.raises(StateUnusable, match="Not a directory"):
        holder_of(tmp_path / "file" / "lock")


def test_a_link_in_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    """The holder's name is written over whatever is there."""
    precious, path = tmp_path / "precious", tmp_path / "lock"
    precious.write_text("a month's journal")
    path.symlink_to(precious)
    with (
        pytest.raises(StateUnusable, match="symbolic link"),
        hold(path, OURS, what="run r1", wait_s=0),
    ):
        pass
    with pytest.raises(StateUnusable):
        holder_of(path)
    assert precious.read_text() == "a month's journal"


def test_a_pipe_in_place_of_a_lock_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lock")
    assert holder_of(tmp_path / "lock") is None
