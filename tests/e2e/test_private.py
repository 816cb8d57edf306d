"""What a command leaves to others: files that they cannot open, and no memory on the disk."""

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.stage import SLOW_AUDITS, open_stage
from tests.e2e.test_auth import export

pytestmark = pytest.mark.slow


@contextmanager
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def modes_under(path: Path) -> dict[str, int]:
    return {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.rglob("*")}


def test_every_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    """Also those that SQLite makes beside its own, while a run is at work."""
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}) as stage, no_umask():
        manifest, pairs = stage.manifest(), export(stage)
        desk = stage.platform.world.desk
        stage.settings |= {"TP_CLIENT_ID": desk.client_id, "TP_TICKET": desk.ticket_text(0)}
        assert stage.run("auth", "import", pairs).code == 0
        assert stage.run("plan", manifest, "--out", "plan.json").code == 0
        run = stage.start("run", manifest)
        run.until(lambda: stage.lines() > 12)
        modes = modes_under(stage.state)
        run.kill()
        saved = stat.S_IMODE((tmp_path / "plan.json").stat().st_mode)
    assert {"credentials.db-wal", "credentials.db-shm", "notices.db-wal"} <= modes.keys()
    assert {"plan.json", "journal.jsonl", "lock", "holders"} <= modes.keys()
    assert set(modes.values()) == {0o600, 0o700}
    assert saved == 0o600


def test_a_state_directory_that_others_can_change_is_refused_and_nothing_is_sent(
    tmp_path: Path,
) -> None:
    with open_stage(tmp_path) as stage:
        stage.state.mkdir()
        stage.state.chmod(0o777)
        refused = stage.run("run", stage.manifest())
        assert stage.platform.effects() == {}
        assert list(stage.state.iterdir()) == []
    assert refused.code == 2
    assert "can be changed by others (mode 0777)" in refused.err


@contextmanager
def cores_allowed() -> Iterator[None]:
    """Let what is started here leave cores; skip where nobody may."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    if before[1] == 0:
        pytest.skip("no process may leave a core here")
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


def test_a_command_that_crashes_leaves_no_memory_behind(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}) as stage, cores_allowed():
        run = stage.start("run", stage.manifest())
        run.until(lambda: stage.lines() > 1)
        soft, _ = resource.prlimit(run.pid, resource.RLIMIT_CORE)
        run.kill()
    assert soft == 0
