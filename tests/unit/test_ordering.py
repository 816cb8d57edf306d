"""An order is written down first, and taken in by whoever holds the run: a process, or we."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from fleetdeploy.cli.ordering import Fate, Post, make_order
from fleetdeploy.cli.process import SystemClock, this_holder
from fleetdeploy.core.orders import REASON_CHARS, WAVE_CHARS, Order, OrderKind
from fleetdeploy.core.records import RunRecord, RunStarted
from fleetdeploy.errors import UsageInvalid
from fleetdeploy.storage.archive import Recorded, read_run
from fleetdeploy.storage.run_dir import StateDir
from tests.unit.core_builders import header, make_plan

PLAN = make_plan()


@pytest.fixture
def state_dir(tmp_path: Path) -> StateDir:
    return StateDir(tmp_path / "state")


async def left(state_dir: StateDir, *records: RunRecord) -> Recorded:
    """Return a run that some process left with these records."""
    run = state_dir.create_run(PLAN.run_id, PLAN.model_dump_json().encode())
    journal, _ = run.open_journal(SystemClock())
    with closing(journal):
        for record in records:
            await journal.append(record)
    return read_run(run)


def begun() -> RunStarted:
    return header().model_copy(update={"plan_digest": PLAN.digest})


def kinds(recorded: Recorded) -> list[str]:
    return [entry.record.kind for entry in read_run(recorded.run).contents.entries]


@pytest.mark.anyio
async def test_where_no_process_works_the_order_is_recorded_at_once(state_dir: StateDir) -> None:
    recorded = await left(state_dir, begun())
    order = make_order(OrderKind.PAUSE, "lunch")
    assert await Post(state_dir, recorded, lambda _: None).give(order) is Fate.JUDGED
    assert kinds(recorded) == ["run_started", "run_paused"]
    assert not recorded.run.is_alive()


@pytest.mark.anyio
async def test_what_waits_in_the_file_is_taken_in_first_and_damage_is_said(
    state_dir: StateDir,
) -> None:
    recorded = await left(state_dir, begun())
    recorded.run.orders.append(make_order(OrderKind.PAUSE, "lunch"))
    with recorded.run.orders.path.open("ab") as file:
        file.write(b"no order\n")
    with recorded.run.journal_path.open("ab") as file:
        file.write(b'{"seq":1')
    said: list[str] = []
    await Post(state_dir, recorded, said.append).give(make_order(OrderKind.LIFT, ""))
    assert kinds(recorded) == ["run_started", "run_paused", "pause_lifted"]
    torn, damaged = said
    assert "8 bytes were cut off" in torn
    assert "orders.jsonl is damaged" in damaged


@pytest.mark.anyio
async def test_where_a_process_does_not_take_it_in_the_order_stays(state_dir: StateDir) -> None:
    recorded = await left(state_dir, begun())
    order = make_order(OrderKind.HALT, "")
    with recorded.run.lock(this_holder()):
        assert await Post(state_dir, recorded, lambda _: None).give(order, wait_s=0) is Fate.LEFT
    assert kinds(recorded) == ["run_started"]
    assert recorded.run.orders.read().orders == (order,)


@pytest.mark.anyio
async def test_a_process_that_takes_it_in_is_seen_by_its_journal(state_dir: StateDir) -> None:
    recorded = await left(state_dir, begun())
    order = make_order(OrderKind.PAUSE, "")
    with recorded.run.lock(this_holder()), recorded.run.journal_path.open("ab") as journal:
        journal.write(b'{"asked":{"order":"%s"' % order.id.encode())
        journal.flush()
        assert await Post(state_dir, recorded, lambda _: None).give(order) is Fate.TAKEN


@pytest.mark.anyio
async def test_a_run_without_a_first_record_takes_no_order(state_dir: StateDir) -> None:
    recorded = await left(state_dir)
    await Post(state_dir, recorded, lambda _: None).give(make_order(OrderKind.PAUSE, ""))
    assert kinds(recorded) == []


def test_a_reason_is_a_sentence() -> None:
    with pytest.raises(UsageInvalid, match="500"):
        make_order(OrderKind.HALT, "x" * (REASON_CHARS + 1))


def test_bytes_that_are_no_text_keep_no_order_back() -> None:
    """So they come from a terminal in another encoding."""
    order = make_order(OrderKind.HALT, os.fsdecode(b"caf\xe9"))
    assert order.reason == "caf?"
    assert Order.model_validate_json(order.model_dump_json()) == order
    assert make_order(OrderKind.APPROVE, "", os.fsdecode(b"\xff")).wave == "?"


def test_what_is_longer_than_any_wave_is_none() -> None:
    with pytest.raises(UsageInvalid, match="200"):
        make_order(OrderKind.APPROVE, "", "x" * (WAVE_CHARS + 1))
