"""The journal: how fast it is read back, and how fast it becomes durable."""

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Final

import anyio

from fleetdeploy.core.journal_line import Chain, read_journal
from fleetdeploy.core.records import (
    AnyAppRecord,
    RunRecord,
    StepStarted,
    StepSucceeded,
    WaveOpened,
)
from fleetdeploy.core.replay import RunState, replay
from fleetdeploy.model import Step
from fleetdeploy.storage.journal_file import JournalFile
from tests.bench.parts import HEADER, seconds
from tests.bench.table import Figure
from tests.simulator.harness import app_ids

AT: Final = datetime(2026, 11, 24, tzinfo=UTC)
LONGEST_S: Final = 4.0
"""How long any one measurement on a disk may take, however slow the disk."""
CROWD: Final = 32
WARM_UP: Final = 50
"""Appends that are not timed: the first ones to a new file are slow on most file systems."""

_STEPS: Final = (
    (Step.UPLOAD, Step.AWAIT_UPLOAD),
    (Step.SUBMIT_AUDIT, Step.AWAIT_AUDIT),
    (Step.RELEASE, Step.AWAIT_RELEASE),
)
RECORDS_PER_APP: Final = 9


class FixedClock:
    def now(self) -> datetime:
        return AT


def records_of(apps: list[str]) -> Iterator[RunRecord | AnyAppRecord]:
    """Yield the records of a run in which everything goes well, the apps side by side."""
    yield HEADER
    yield WaveOpened(wave="all")
    for change, wait in _STEPS:
        yield from (StepStarted(app_id=app, step=change, attempt=1) for app in apps)
        yield from (StepSucceeded(app_id=app, step=change, attempt=1) for app in apps)
        yield from (
            StepSucceeded(app_id=app, step=wait, attempt=1, package_id=f"7{app}") for app in apps
        )


def replay_figures(records: int) -> Iterator[Figure]:
    """Yield how long it takes to read a journal of so many records and fold it into a state."""
    apps = app_ids(records // RECORDS_PER_APP + 1)
    stamps = Chain()
    lines = [stamps.stamp(record, AT)[1] for record in islice(records_of(apps), records)]
    assert len(lines) == records
    data = b"".join(lines)

    def read() -> None:
        state = replay(RunState.new(apps), read_journal(data).entries)
        assert state.header is not None

    floor_s = seconds(lambda: [json.loads(line) for line in lines])
    took_s = seconds(read)
    name = f"replay of {records:,} records:"
    floor_is = "json.loads of the same lines"
    yield Figure(f"{name} time", took_s, "s", floor_s, floor_is)
    yield Figure(f"{name} rate", records / took_s, "/s", records / floor_s, floor_is)


def append_figures(folder: Path, appends: int) -> Iterator[Figure]:
    """Yield how many records a second become durable on a real file, alone and in a crowd."""
    floor = _bare_rate(folder / "bare", appends)
    floor_is = "write and fdatasync of the same lines, one by one"
    for tasks in (1, CROWD):
        path = folder / f"journal-{tasks}.jsonl"
        rate = anyio.run(_append_rate, path, appends, tasks, backend="asyncio")
        yield Figure(f"durable appends, {tasks} at once", rate, "/s", floor, floor_is)


def _records(appends: int) -> Iterator[RunRecord | AnyAppRecord]:
    started = (StepStarted(app_id=app, step=Step.UPLOAD, attempt=1) for app in app_ids(appends))
    return chain([HEADER], started)


def _bare_rate(path: Path, appends: int) -> float:
    stamps = Chain()
    lines = [stamps.stamp(record, AT)[1] for record in _records(WARM_UP + appends)]
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _rate(_write_one_by_one(fd, lines[:WARM_UP]))
        return _rate(_write_one_by_one(fd, lines[WARM_UP:]))
    finally:
        os.close(fd)


def _write_one_by_one(fd: int, lines: list[bytes]) -> Iterator[None]:
    for line in lines:
        os.write(fd, line)
        os.fdatasync(fd)
        yield


def _rate(steps: Iterator[None]) -> float:
    """Return how many steps a second are taken, until there are no more or the time is up."""
    began, taken = time.perf_counter(), 0
    for _ in steps:
        taken += 1
        if time.perf_counter() - began > LONGEST_S:
            break
    return taken / (time.perf_counter() - began)


async def _append_rate(path: Path, appends: int, tasks: int) -> float:
    journal = JournalFile.create(path, FixedClock())
    left, done = _records(WARM_UP + appends * tasks), 0
    for record in islice(left, WARM_UP):
        await journal.append(record)
    began = time.perf_counter()

    async def work() -> None:
        nonlocal done
        for record in left:
            await journal.append(record)
            done += 1
            if time.perf_counter() - began > LONGEST_S:
                return

    async with anyio.create_task_group() as group:
        for _ in range(tasks):
            group.start_soon(work)
    took_s = time.perf_counter() - began
    journal.close()
    return done / took_s
