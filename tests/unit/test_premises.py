"""What is seen of a state directory from outside, and that nothing is left there."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleetdeploy.cli import premises
from fleetdeploy.cli.premises import look_at_state
from fleetdeploy.errors import StateUnusable
from fleetdeploy.storage.locks import Holder
from fleetdeploy.storage.run_dir import StateDir

HOLDER = Holder("night", 7, "ops", datetime(2026, 11, 24, tzinfo=UTC))


def test_a_directory_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state"
    seen = look_at_state(StateDir(path))
    assert (seen.there, seen.error, seen.live) == (False, None, ())
    assert seen.free is not None
    assert seen.free > 0
    assert list(tmp_path.iterdir()) == []


def test_a_private_directory_is_fine_and_stays_as_it_is(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "state")
    state.ensure()
    (tmp_path / "state" / "credentials.db").touch(0o600)
    before = sorted(tmp_path.rglob("*"))
    seen = look_at_state(state)
    assert (seen.there, seen.error, seen.open_files) == (True, None, ())
    assert sorted(tmp_path.rglob("*")) == before


def test_what_others_can_get_at_is_named_with_its_mode(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "state")
    state.ensure()
    database = tmp_path / "state" / "credentials.db"
    database.touch(0o600)
    database.chmod(0o640)
    (tmp_path / "state").chmod(0o777)
    assert look_at_state(state).open_files == (
        f"{tmp_path}/state (mode 0777)",
        "credentials.db (mode 0640)",
    )


def test_a_file_in_place_of_the_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no directory")
    error = look_at_state(StateDir(tmp_path / "state")).error
    assert isinstance(error, StateUnusable)
    assert "Not a directory" in error.message


def test_a_disk_that_cannot_be_written_is_told_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(directory: Path) -> None:
        raise OSError(30, "Read-only file system", str(directory))

    monkeypatch.setattr(premises, "_try_out", refuse)
    error = look_at_state(StateDir(tmp_path)).error
    assert error is not None
    assert error.message == f"cannot write in {tmp_path}: Read-only file system"
    assert error.hint


def test_runs_at_work_are_named_with_their_process(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "state")
    run = state.create_run("20261124-0307-k3f9", b"{}")
    assert look_at_state(state).live == ()
    with run.lock(HOLDER):
        (live,) = look_at_state(state).live
    assert live.startswith("run 20261124-0307-k3f9: process 7 of ops on night")


def test_a_quarantine_that_cannot_be_read_is_told_as_a_run_would_tell_it(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "state")
    state.ensure()
    (tmp_path / "state" / "quarantine.json").write_text("{")
    error = look_at_state(state).error
    assert isinstance(error, StateUnusable)
    assert "is damaged" in error.message
