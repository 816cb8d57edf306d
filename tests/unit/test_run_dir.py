"""The state directory: runs that are created whole, found again, and kept apart."""

import os
import random
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from fleetdeploy.errors import (
    ExitCode,
    RunLocked,
    RunNotFound,
    SettingsInvalid,
    StateUnusable,
    UsageInvalid,
)
from fleetdeploy.storage.atomic import LEFTOVER_AGE_S, write_atomic
from fleetdeploy.storage.locks import Holder
from fleetdeploy.storage.run_dir import RUN_ID, RunDir, StateDir, new_run_id, trouble_with
from tests.unit.journal_samples import SetClock, sample_lines

NOW = datetime(2026, 11, 24, 3, 7, 59, tzinfo=UTC)
HOLDER = Holder(host="night-1", pid=4711, who="ops", since=NOW)


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir(tmp_path / "state")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def no_sleep(_seconds: float) -> None:
    """Try again at once."""


def test_a_run_is_created_with_its_plan_for_this_user_only(state: StateDir) -> None:
    run = state.create_run("r1", b'{"apps":[]}')
    assert run.plan_bytes() == b'{"apps":[]}'
    assert [mode_of(path) for path in (state.path, run.path.parent, run.path)] == [0o700] * 3
    assert mode_of(run.plan_path) == 0o600
    assert sorted(run.path.iterdir()) == [run.number_path, run.plan_path]


def test_what_is_created_is_private_whatever_the_umask(state: StateDir) -> None:
    before = os.umask(0)
    try:
        run = state.create_run("r1", b"{}")
        run.open_journal(SetClock())[0].close()
        with state.exclusive(HOLDER), run.lock(HOLDER):
            modes = {path: mode_of(path) for path in state.path.rglob("*")}
    finally:
        os.umask(before)
    files = {path.name for path in modes if path.is_file()}
    assert files == {"lock", "number", "plan.json", "journal.jsonl"}
    assert modes == {path: 0o700 if path.is_dir() else 0o600 for path in modes}


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o1777, 0o702])
@pytest.mark.parametrize("inner", ["", "runs"])
def test_a_state_directory_that_others_can_change_is_refused(
    state: StateDir, mode: int, inner: str
) -> None:
    """They could put a plan of their own in the place of ours, and it would be carried out."""
    state.ensure()
    (state.path / inner).chmod(mode)
    for attempt in (state.ensure, lambda: state.create_run("r1", b"{}")):
        with pytest.raises(SettingsInvalid, match=f"mode {mode:04o}") as caught:
            attempt()
        assert "chmod go-w" in caught.value.hint
    assert state.runs() == []


def test_a_state_directory_that_others_can_look_into_is_no_trouble(state: StateDir) -> None:
    state.ensure()
    state.path.chmod(0o755)
    assert state.create_run("r1", b"{}").exists()


def test_a_state_directory_belongs_to_its_user_or_to_root() -> None:
    ours, root, another = 1000, 0, 1001
    assert trouble_with(0o700, ours, ours) == ""
    assert trouble_with(0o755, root, ours) == ""
    assert trouble_with(0o755, another, root) == ""
    assert trouble_with(0o755, another, ours) == "belongs to another user (uid 1001)"


def test_a_run_without_a_journal_never_started(state: StateDir) -> None:
    assert not state.create_run("r1", b"{}").read().started


def test_a_journal_is_opened_or_created_and_read_without_a_lock(state: StateDir) -> None:
    run = state.create_run("r1", b"{}")
    journal, contents = run.open_journal(SetClock())
    with closing(journal):
        assert not contents.started
        run.journal_path.write_bytes(b"".join(sample_lines())[:-1])
        assert run.read().torn_bytes == len(sample_lines()[-1]) - 1
    again, contents = state.run("r1").open_journal(SetClock())
    with closing(again):
        assert len(contents.entries) == len(sample_lines()) - 1
        assert run.read().torn_bytes == 0


def test_a_run_id_is_used_once(state: StateDir) -> None:
    state.create_run("r1", b"first")
    with pytest.raises(UsageInvalid, match="there is a run r1 already") as caught:
        state.create_run("r1", b"second")
    assert "resume r1" in caught.value.hint
    assert state.run("r1").plan_bytes() == b"first"


def test_what_a_crash_left_of_a_creation_is_no_run_and_no_obstacle(state: StateDir) -> None:
    state.ensure()
    (state.path / "runs" / "r1").mkdir()
    assert state.runs() == []
    with pytest.raises(RunNotFound):
        state.run("r1")
    assert state.create_run("r1", b"{}").exists()


BAD_IDS = ["", ".", "..", "../r1", "a/b", "/etc", ".hidden", "-f", "a\nb", "a\0b", "ü", "x" * 65]


@pytest.mark.parametrize("run_id", BAD_IDS)
def test_an_id_that_could_lead_elsewhere_is_no_run(state: StateDir, run_id: str) -> None:
    state.create_run("r1", b"{}")
    with pytest.raises(RunNotFound) as caught:
        state.run(run_id)
    assert caught.value.message.isprintable()
    with pytest.raises(UsageInvalid, match="cannot be a run id"):
        state.create_run(run_id, b"{}")
    assert state.runs() == ["r1"]


def test_a_run_that_is_not_there_is_answered_with_the_latest_ones(state: StateDir) -> None:
    for minute in range(5):
        state.create_run(f"20261124-030{minute}-aaaa", b"{}")
    with pytest.raises(RunNotFound, match="there is no run 'r9'") as caught:
        state.run("r9")
    assert caught.value.exit_code == ExitCode.NO_SUCH_RUN
    assert caught.value.hint == (
        "the latest are 20261124-0304-aaaa, 20261124-0303-aaaa, 20261124-0302-aaaa"
    )


def test_looking_for_runs_creates_nothing(state: StateDir) -> None:
    assert (state.runs(), state.live_runs()) == ([], [])
    with pytest.raises(RunNotFound) as caught:
        state.run("r1")
    assert caught.value.hint == "there are no runs yet"
    assert not state.path.exists()


def test_runs_are_listed_newest_first_whatever_their_names_and_the_clock_say(
    state: StateDir,
) -> None:
    """The clock was a day ahead in the first night; the second is the newer one all the same."""
    for run_id, day in (("20261125-2200-aaaa", 25), ("20261124-2200-bbbb", 24)):
        run = state.create_run(run_id, b"{}")
        at = datetime(2026, 11, day, 22, tzinfo=UTC).timestamp()
        os.utime(run.plan_path, (at, at))
    assert state.runs() == ["20261124-2200-bbbb", "20261125-2200-aaaa"]
    assert [state.run(one).number_path.read_text() for one in state.runs()] == ["2\n", "1\n"]


def test_a_run_that_was_made_before_there_were_numbers_is_older(state: StateDir) -> None:
    state.create_run("20301231-0000-aaaa", b"{}").number_path.unlink()
    state.create_run("20261124-2200-bbbb", b"{}")
    assert state.runs() == ["20261124-2200-bbbb", "20301231-0000-aaaa"]


@pytest.mark.parametrize("text", [b"", b"0\n", b"-1\n", b"2", b"two\n", b"9" * 40 + b"\n"])
def test_a_number_that_is_none_is_told_with_its_file(state: StateDir, text: bytes) -> None:
    run = state.create_run("r1", b"{}")
    run.number_path.write_bytes(text)
    with pytest.raises(StateUnusable, match="holds no number") as caught:
        state.runs()
    assert str(run.number_path) in caught.value.message


def test_runs_without_numbers_are_listed_by_their_time(state: StateDir) -> None:
    """None has started: by the minute in the id, by the plan's time where it has none."""
    made = {
        "20261124-0307-zzzz": NOW,
        "20261124-0307-aaaa": NOW + timedelta(seconds=5),
        "named-by-hand": NOW - timedelta(hours=1),
        "20261125-0307-bbbb": NOW - timedelta(days=300),
    }
    for run_id, at in made.items():
        run = state.create_run(run_id, b"{}")
        run.number_path.unlink()
        os.utime(run.plan_path, (at.timestamp(), at.timestamp()))
    (state.path / "runs" / "notes.txt").touch()
    assert state.runs() == [
        "20261125-0307-bbbb",
        "20261124-0307-aaaa",
        "20261124-0307-zzzz",
        "named-by-hand",
    ]


def test_j6_a_run_has_one_writer(state: StateDir) -> None:
    run = state.create_run("r1", b"{}")
    state.create_run("r2", b"{}")
    assert not run.is_alive()
    with run.lock(HOLDER):
        assert run.is_alive()
        assert run.holder() == HOLDER
        assert [live.run_id for live in state.live_runs()] == ["r1"]
        with pytest.raises(RunLocked, match=r"run r1 is locked by process 4711 of ops on night-1"):
            RunDir(run.path).lock(HOLDER, sleep=no_sleep).__enter__()
    assert state.live_runs() == []


def test_j6_one_process_at_a_time_creates_a_run(state: StateDir) -> None:
    with state.exclusive(HOLDER), pytest.raises(RunLocked, match="the state directory"):
        StateDir(state.path).exclusive(HOLDER, sleep=no_sleep).__enter__()
    with state.exclusive(HOLDER):
        assert state.create_run("r1", b"{}").exists()


def test_a_state_directory_that_is_a_file_is_explained(tmp_path: Path) -> None:
    """Root may do anything but use a file as a directory."""
    (tmp_path / "file").touch()
    state = StateDir(tmp_path / "file")
    for attempt in (state.ensure, state.runs, state.live_runs):
        with pytest.raises(StateUnusable) as caught:
            attempt()
        assert "FLEETDEPLOY_STATE_DIR" in caught.value.hint
        assert str(state.path) in caught.value.message
    with pytest.raises(StateUnusable):
        state.run("r1")
    with pytest.raises(StateUnusable, match="cannot create"):
        StateDir(tmp_path / "file" / "below").create_run("r1", b"{}")


def test_a_file_in_place_of_a_run_is_no_run(state: StateDir) -> None:
    state.ensure()
    (state.path / "runs" / "r1").touch()
    assert state.runs() == []
    with pytest.raises(StateUnusable, match="cannot create"):
        state.create_run("r1", b"{}")


def test_a_directory_where_nothing_can_be_created_is_explained() -> None:
    with pytest.raises(StateUnusable, match="cannot create /proc/fleetdeploy"):
        StateDir(Path("/proc/fleetdeploy")).ensure()


def test_a_plan_that_vanished_is_explained(state: StateDir) -> None:
    run = state.create_run("r1", b"{}")
    run.plan_path.unlink()
    with pytest.raises(StateUnusable, match="cannot read"):
        run.plan_bytes()


def test_a_generated_id_sorts_by_time_and_is_a_run_id() -> None:
    east = timezone(timedelta(hours=8))
    first = new_run_id(NOW.astimezone(east), random.Random(1))
    assert first.startswith("20261124-0307-")
    assert RUN_ID.fullmatch(first)
    assert len(first) == 18
    assert first == new_run_id(NOW, random.Random(1))
    assert first != new_run_id(NOW, random.Random(2))


def test_an_atomic_write_replaces_the_whole_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_atomic(path, b"a long first version")
    write_atomic(path, b"short", mode=0o644)
    assert path.read_bytes() == b"short"
    assert mode_of(path) == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_an_atomic_write_that_fails_keeps_the_old_and_leaves_nothing_beside(tmp_path: Path) -> None:
    """The target is a directory, so the last step, the rename, is refused."""
    path = tmp_path / "plan.json"
    (path / "old").mkdir(parents=True)
    with pytest.raises(StateUnusable, match="cannot write"):
        write_atomic(path, b"new")
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(StateUnusable, match="No such file"):
        write_atomic(tmp_path / "none" / "plan.json", b"new")


def test_what_crashed_writers_left_is_removed_and_a_live_one_s_file_is_not(tmp_path: Path) -> None:
    path, old, fresh = (tmp_path / name for name in ("p", ".p.dead.tmp", ".p.live.tmp"))
    old.touch()
    fresh.touch()
    long_ago = fresh.stat().st_mtime - LEFTOVER_AGE_S - 60
    os.utime(old, (long_ago, long_ago))
    write_atomic(path, b"new")
    assert sorted(tmp_path.iterdir()) == [fresh, path]
