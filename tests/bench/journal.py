"""The journal: how fast it is read back, and how fast it becomes durable."""

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import anyio

from fleetdeploy.core.journal_line import NO_PREV, Chain, encode_line, read_journal
from fleetdeploy.core.records import (
    AnyAppRecord,
    Entry,
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
LONGEST_S: Final = 8.0
"""How long the measurement on a disk may take, however slow the disk."""
CROWD: Final = 32
BLOCK: Final = 10
STARTED: Final = StepStarted(app_id="100000282", step=Step.UPLOAD, attempt=1)
LINE: Final = encode_line(Entry(1, AT, STARTED), NO_PREV)

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
    rates = anyio.run(_append_rates, folder, appends, backend="asyncio")
    floor_is = "write and fdatasync of such lines, one by one"
    for tasks in (1, CROWD):
        yield Figure(f"durable appends, {tasks} at once", rates[tasks], "/s", rates[0], floor_is)


async def _append_rates(folder: Path, appends: int) -> dict[int, float]:
    """Return rates by the number of tasks, 0 standing for the bare file.

    They take turns in short blocks, because a disk has good and bad seconds, and others use it.
    """
    bare = os.open(folder / "bare", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
    journals = {
        tasks: JournalFile.create(folder / f"journal-{tasks}.jsonl", FixedClock())
        for tasks in (1, CROWD)
    }
    for journal in journals.values():
        await journal.append(HEADER)
    spent = dict.fromkeys((0, *journals), 0.0)
    blocks, began = 0, time.perf_counter()
    while blocks * BLOCK < appends and time.perf_counter() - began < LONGEST_S:
        spent[0] += seconds(lambda: _write_one_by_one(bare))
        for tasks, journal in journals.items():
            spent[tasks] += await _append_block(journal, tasks)
        blocks += 1
    os.close(bare)
    for journal in journals.values():
        journal.close()
    return {tasks: blocks * BLOCK * max(tasks, 1) / spent[tasks] for tasks in spent}


def _write_one_by_one(fd: int) -> None:
    for _ in range(BLOCK):
        os.write(fd, LINE)
        os.fdatasync(fd)


async def _append_block(journal: JournalFile, tasks: int) -> float:
    """Let so many tasks append a block each; return the seconds it took."""

    async def work() -> None:
        for _ in range(BLOCK):
            await journal.append(STARTED)

    began = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(tasks):
            group.start_soon(work)
    return time.perf_counter() - began
