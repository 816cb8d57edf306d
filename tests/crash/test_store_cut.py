"""A store that was cut or killed anywhere holds the old state or the new one, never neither."""

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetdeploy.core.credentials import AppCredential
from fleetdeploy.storage.credential_store import FILE_NAME, SqliteStore
from fleetdeploy.storage.notice_log import FILE_NAME as NOTICES_NAME
from fleetdeploy.storage.notice_log import SqliteNoticeLog
from fleetdeploy.storage.sealing import Sealer, new_key
from tests.contract.store_contract import APP, OTHER, HandClock, count_up, numbered

ROOT = Path(__file__).resolve().parents[2]
COMMITS = 4
KEY = new_key()
FRAME = 4096 + 24
"""A page of the log with its header; the log itself has a header of 32 bytes."""

DYING = f"""
import os, sys
from pathlib import Path
import anyio
from fleetdeploy.storage.credential_store import SqliteStore
from fleetdeploy.storage.notice_log import SqliteNoticeLog
from fleetdeploy.storage.sealing import Sealer, new_key
from tests.contract.store_contract import APP, HandClock, count_up, push

async def main():
    sealer = Sealer.from_text(sys.argv[2]) if sys.argv[2:] else None
    store = SqliteStore.open(Path(sys.argv[1]), sealer)
    log = SqliteNoticeLog.open(Path(sys.argv[1]), HandClock())
    for nth in range({COMMITS}):
        await store.change_app(APP, count_up)
        await log.append([push(f"{{nth}}"), push(f"{{nth}}-twin")])
    os._exit(9)  # As a kill: nothing is closed, and the log stays.

anyio.run(main)
"""

ROTATING = """
import sys
from pathlib import Path
import anyio
from fleetdeploy.storage.credential_store import SqliteStore
from tests.contract.store_contract import APP, OTHER, count_up

async def main():
    store = SqliteStore.open(Path(sys.argv[1]), None)
    while True:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.change_app, OTHER, count_up)
            credential = await store.change_app(APP, count_up)
        print(credential.access_token, flush=True)

anyio.run(main)
"""


@pytest.fixture
def anyio_backend() -> str:
    """Real files and threads need the real loop."""
    return "asyncio"


def left_by_a_death(state_dir: Path, *arguments: str) -> None:
    command = [sys.executable, "-c", DYING, str(state_dir), *arguments]
    assert subprocess.run(command, cwd=ROOT, timeout=60, check=False).returncode == 9  # noqa: S603 - our own code


def cut_copies(source: Path, target: Path, name: str, cuts: Iterator[int]) -> Iterator[int]:
    """Give the file with its log cut off, one cut after the other; yield where."""
    data, log = (source / name).read_bytes(), (source / f"{name}-wal").read_bytes()
    for cut in cuts:
        if cut > len(log):
            return
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for path, contents in ((name, data), (f"{name}-wal", log[:cut])):
            (target / path).write_bytes(contents)
            (target / path).chmod(0o600)
        yield cut


def every_edge() -> Iterator[int]:
    """Cut within the header, at the edges of each frame, and here and there inside."""
    yield from range(0, 34, 3)
    for start in range(32, 10_000_000, FRAME):
        yield from (start + offset for offset in (0, 1, 23, 24, 25, 2000, FRAME - 1))


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.parametrize("key", [(), (KEY,)], ids=["plain", "sealed"])
async def test_credentials_cut_anywhere_hold_a_prefix_of_the_commits(
    tmp_path: Path, key: tuple[str, ...]
) -> None:
    left_by_a_death(tmp_path / "left", *key)
    sealer = Sealer.from_text(*key) if key else None
    counts: list[int] = []
    for _ in cut_copies(tmp_path / "left", tmp_path / "cut", FILE_NAME, every_edge()):
        with SqliteStore.open(tmp_path / "cut", sealer) as store:
            credential = await store.app(APP)
            count = int(credential.renewed_at or 0)
            assert credential == (numbered(APP, count) if count else AppCredential(APP))
            assert await store.change_app(APP, count_up) == numbered(APP, count + 1)
        counts.append(count)
    assert counts == sorted(counts)
    assert set(counts) == set(range(COMMITS + 1))


@pytest.mark.anyio
@pytest.mark.slow
async def test_notices_cut_anywhere_hold_a_prefix_of_the_commits(tmp_path: Path) -> None:
    left_by_a_death(tmp_path / "left")
    counts: list[int] = []
    for _ in cut_copies(tmp_path / "left", tmp_path / "cut", NOTICES_NAME, every_edge()):
        with SqliteNoticeLog.open(tmp_path / "cut", HandClock()) as log:
            count = len(await log.since(0))
            assert count % 2 == 0
            known = [await log.knows(f"{nth}-twin") for nth in range(COMMITS)]
            assert known == [True] * (count // 2) + [False] * (COMMITS - count // 2)
        counts.append(count // 2)
    assert counts == sorted(counts)
    assert set(counts) == set(range(COMMITS + 1))


@pytest.mark.anyio
@pytest.mark.slow
async def test_credentials_whose_log_is_damaged_anywhere_hold_a_prefix(tmp_path: Path) -> None:
    """What follows the damage is lost with it; nothing in between and nothing mixed."""
    left_by_a_death(tmp_path / "left")
    log = (tmp_path / "left" / f"{FILE_NAME}-wal").read_bytes()
    chance = random.Random(7)
    for _ in range(100):
        place = chance.randrange(len(log))
        damaged = log[:place] + bytes([log[place] ^ 1 << chance.randrange(8)]) + log[place + 1 :]
        (cut,) = cut_copies(tmp_path / "left", tmp_path / "cut", FILE_NAME, iter([0]))
        assert cut == 0
        (tmp_path / "cut" / f"{FILE_NAME}-wal").write_bytes(damaged)
        with SqliteStore.open(tmp_path / "cut", None) as store:
            credential = await store.app(APP)
        count = int(credential.renewed_at or 0)
        assert credential == (numbered(APP, count) if count else AppCredential(APP))


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_writer_killed_at_any_moment_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    chance = random.Random(11)
    for _ in range(8):
        told = killed_after(tmp_path, chance)
        with SqliteStore.open(tmp_path, None) as store:
            credential, other = await store.apps()
        count = int(credential.renewed_at or 0)
        assert credential == numbered(APP, count)
        assert count in (told, told + 1)
        assert other == numbered(OTHER, int(other.renewed_at or 0))
        assert int(other.renewed_at or 0) in (told, told + 1)


def killed_after(state_dir: Path, chance: random.Random) -> int:
    """Let a process rotate and kill it; return the last rotation that it told of."""
    command = [sys.executable, "-c", ROTATING, str(state_dir)]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own code
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(chance.randrange(1, 12))]
        for _ in range(chance.randrange(20_000)):
            pass  # Into the middle of a commit, which takes about this long.
        process.kill()
        # What it told before the kill and nobody has read yet.
        lines += process.stdout.readlines()
    whole = [line for line in lines if line.endswith("\n")]
    return int(whole[-1].removeprefix("access-"))
