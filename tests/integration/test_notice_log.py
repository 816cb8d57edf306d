"""The notices on a real disk: the contract, shared commits, and several processes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest

from fleetdeploy.errors import SettingsInvalid, StateUnusable
from fleetdeploy.storage.notice_log import FILE_NAME, SqliteNoticeLog
from tests.contract.store_contract import (
    PLANTED,
    START,
    HandClock,
    NoticeLogContract,
    OpenLog,
    push,
    ticket,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def anyio_backend() -> str:
    """Real files and threads need the real loop."""
    return "asyncio"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


class TestSqliteNoticeLog(NoticeLogContract):
    @pytest.fixture
    def open_log(self, tmp_path: Path, clock: HandClock) -> Iterator[OpenLog]:
        with ExitStack() as stack:
            yield lambda: stack.enter_context(
                SqliteNoticeLog.open(tmp_path / "state", clock, keep_s=1000)
            )


@pytest.mark.anyio
async def test_many_appends_at_once_share_a_few_commits(tmp_path: Path, clock: HandClock) -> None:
    with SqliteNoticeLog.open(tmp_path, clock) as log:
        async with anyio.create_task_group() as tasks:
            for nth in range(500):
                tasks.start_soon(log.append, [push(f"{nth}")])
        assert log.statistics().changes == 500
        assert log.statistics().commits <= 5
        assert len(await log.since(0)) == 500


@pytest.mark.anyio
async def test_what_was_kept_outlives_the_process(tmp_path: Path, clock: HandClock) -> None:
    with SqliteNoticeLog.open(tmp_path, clock) as log:
        await log.append([push("a"), ticket("t")])
        await log.set_cursor("list", START)
        kept = await log.since(0)
    with SqliteNoticeLog.open(tmp_path, clock) as log:
        assert await log.since(0) == kept
        assert await log.end() == 2
        assert await log.append([push("a"), ticket("t")]) == 0
        assert await log.cursor("list") == START


@pytest.mark.anyio
async def test_no_secret_of_a_push_is_on_the_disk(tmp_path: Path, clock: HandClock) -> None:
    with SqliteNoticeLog.open(tmp_path, clock) as log:
        await log.append([push("a"), ticket("t")])
    data = (tmp_path / FILE_NAME).read_bytes()
    assert [secret for secret in PLANTED if secret.encode() in data] == []


@pytest.mark.anyio
@pytest.mark.slow
async def test_dropping_is_bounded_and_catches_up(tmp_path: Path, clock: HandClock) -> None:
    with SqliteNoticeLog.open(tmp_path, clock, keep_s=1000) as log:
        await log.append([push(f"old-{nth}") for nth in range(3000)])
        clock.at += 1001
        for nth in range(6):
            await log.append([push(f"new-{nth}-{row}") for row in range(250)])
            assert len(await log.since(0)) == 3000 - 250 * (nth + 1)
        await log.append([push(f"last-{row}") for row in range(250)])
        assert len(await log.since(0)) == 1750


@pytest.mark.anyio
async def test_what_came_while_the_clock_was_wrong_does_not_stay_for_ever(
    tmp_path: Path, clock: HandClock
) -> None:
    with SqliteNoticeLog.open(tmp_path, clock, keep_s=1000) as log:
        clock.at = START + 1_000_000
        await log.append([push("future")])
        clock.at = START
        await log.append([push(f"{nth}") for nth in range(250)])
        assert not await log.knows("future")


@pytest.mark.anyio
async def test_a_closed_log_fails(tmp_path: Path, clock: HandClock) -> None:
    log = SqliteNoticeLog.open(tmp_path, clock)
    log.close()
    with pytest.raises(StateUnusable):
        await log.append([push("a")])
    with pytest.raises(StateUnusable):
        await log.since(0)


@pytest.mark.anyio
@pytest.mark.parametrize("damaged", ["'{'", "7", "x'ff'", "'{\"app_id\":7}'", "'[]'", "'null'"])
async def test_a_damaged_notice_is_one_hint_less(
    tmp_path: Path, clock: HandClock, damaged: str
) -> None:
    with SqliteNoticeLog.open(tmp_path, clock) as log:
        await log.append([push("a")])
        statement = f"UPDATE notices SET notice = {damaged}"  # noqa: S608 - ours
        log._database.change_now(lambda connection: connection.execute(statement).close())
        assert await log.append([push("b")]) == 1
        assert [logged.position for logged in await log.since(0)] == [2]
        assert await log.knows("a")


def test_a_log_that_is_open_to_others_is_refused(tmp_path: Path, clock: HandClock) -> None:
    SqliteNoticeLog.open(tmp_path, clock).close()
    (tmp_path / FILE_NAME).chmod(0o644)
    with pytest.raises(SettingsInvalid, match="open to others"):
        SqliteNoticeLog.open(tmp_path, clock)


APPENDING = """
import sys
from pathlib import Path
import anyio
from fleetdeploy.storage.notice_log import SqliteNoticeLog
from tests.contract.store_contract import HandClock, push

async def main():
    new = 0
    with SqliteNoticeLog.open(Path(sys.argv[1]), HandClock()) as log:
        for nth in range(200):
            new += await log.append([push(f"shared-{nth}"), push(f"{sys.argv[2]}-{nth}")])
            new += 1000 * await log.take_turn("list", 1e9 + nth, 10.0)
    print(new)

anyio.run(main)
"""


@pytest.mark.anyio
@pytest.mark.slow
async def test_processes_that_append_at_once_keep_each_push_once(
    tmp_path: Path, clock: HandClock
) -> None:
    processes = [
        subprocess.Popen(  # noqa: ASYNC220, S603 - our own code
            [sys.executable, "-c", APPENDING, str(tmp_path), name],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
        )
        for name in ("a", "b")
    ]
    outputs = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(outputs) % 1000 == 600
    with SqliteNoticeLog.open(tmp_path, clock) as log:
        logged = await log.since(0)
        assert len(logged) == 600
        assert [row.position for row in logged] == sorted({row.position for row in logged})
