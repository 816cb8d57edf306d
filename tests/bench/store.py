"""The credentials and the notices: how fast they become durable, alone and in a crowd."""

import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import anyio

from fleetdeploy.core.credentials import AppCredential
from fleetdeploy.model import Notice, Push
from fleetdeploy.storage.credential_store import SqliteStore
from fleetdeploy.storage.notice_log import SqliteNoticeLog
from fleetdeploy.storage.sealing import Sealer, new_key
from tests.bench.parts import seconds
from tests.bench.table import Figure

AT: Final = datetime(2026, 11, 24, tzinfo=UTC)
ALONE: Final = 1
CROWD: Final = 300
PUSHES: Final = 100
BLOCK: Final = 5
"""What one of a crowd does in a row."""

Step = Callable[[int, int], Awaitable[object]]


class FixedClock:
    def now(self) -> datetime:
        return AT


def store_figures(folder: Path, changes: int) -> Iterator[Figure]:
    """Yield rates of durable changes; of those alone there are `changes`, a crowd makes more."""
    floor = changes / seconds(lambda: _bare_commits(folder / "bare.db", changes))
    floor_is = "a bare SQLite commit of one row, one by one"
    rates = anyio.run(_rates, folder, changes, backend="asyncio")
    for what, rate in rates.items():
        yield Figure(what, rate, "/s", floor, floor_is)


def _bare_commits(path: Path, commits: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE rows (key INTEGER PRIMARY KEY, value BLOB)")
        for nth in range(commits):
            connection.execute("INSERT INTO rows VALUES (?, ?)", (nth, b"x" * 200))


async def _rates(folder: Path, changes: int) -> dict[str, float]:
    rates: dict[str, float] = {}
    for how, sealer in (("", None), ("sealed ", Sealer.from_text(new_key()))):
        with SqliteStore.open(folder / f"{how}store", sealer) as store:
            step = _rotation(store)
            for tasks, each in ((ALONE, changes), (CROWD, BLOCK)):
                rates[f"{how}credential changes, {tasks} at once"] = await _rate(step, tasks, each)
    with SqliteNoticeLog.open(folder / "notices", FixedClock()) as log:
        name = f"pushes kept, {PUSHES} at once"
        rates[name] = await _rate(_arrival(log), PUSHES, max(BLOCK, changes // 10))
    return rates


async def _rate(step: Step, tasks: int, each: int) -> float:
    """Let so many tasks do so many steps each; return how many were done in a second."""

    async def work(task: int) -> None:
        for nth in range(each):
            await step(task, nth)

    began = time.perf_counter()
    async with anyio.create_task_group() as group:
        for task in range(tasks):
            group.start_soon(work, task)
    return tasks * each / (time.perf_counter() - began)


def _rotation(store: SqliteStore) -> Step:
    def rotated(credential: AppCredential, nth: int) -> AppCredential:
        access, refresh = f"45.{'a' * 60}.{nth}", f"46.{'b' * 60}.{nth}"
        return replace(credential, access_token=access, refresh_token=refresh, renewed_at=nth)

    async def step(task: int, nth: int) -> object:
        return await store.change_app(str(task), lambda credential: rotated(credential, nth))

    return step


def _arrival(log: SqliteNoticeLog) -> Step:
    async def step(task: int, nth: int) -> object:
        notice = Notice(str(task), "PACKAGE_AUDIT_PASS", "2026-11-24 12:45:10", "529394", "0.2.2")
        return await log.append([Push(f"{task}-{nth}", notice=notice)])

    return step
