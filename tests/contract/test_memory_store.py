"""The stores in memory: the contract, and crashes at every moment of a change."""

from itertools import count

import anyio
import pytest

from fleetdeploy.core.credentials import AppCredential, TpCredential
from fleetdeploy.errors import StateUnusable
from fleetdeploy.storage.memory_journal import Moment
from fleetdeploy.storage.memory_store import AnyCredential, MemoryDisk, MemoryNoticeLog, MemoryStore
from tests.contract.store_contract import (
    APP,
    FULL,
    OTHER,
    HandClock,
    NoticeLogContract,
    OpenLog,
    OpenStore,
    StoreContract,
    count_up,
    numbered,
    set_app,
)


@pytest.mark.parametrize("latency_s", [0, 0.01])
class TestMemoryStore(StoreContract):
    @pytest.fixture
    def open_store(self, latency_s: float) -> OpenStore:
        disk, names = MemoryDisk(), count()
        return lambda: MemoryStore(disk, f"process-{next(names)}", latency_s=latency_s)


class TestMemoryNoticeLog(NoticeLogContract):
    @pytest.fixture
    def clock(self) -> HandClock:
        return HandClock()

    @pytest.fixture
    def open_log(self, clock: HandClock) -> OpenLog:
        log = MemoryNoticeLog(clock, keep_s=1000)
        return lambda: log


class Crash(BaseException):
    """The end of a process; no code of ours may catch it."""


class Hook:
    def __init__(self, at: Moment) -> None:
        self.at = at
        self.told: list[tuple[Moment, AnyCredential, AnyCredential]] = []

    def __call__(self, moment: Moment, before: AnyCredential, after: AnyCredential) -> None:
        self.told.append((moment, before, after))
        if moment is self.at:
            raise Crash


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("moment", "kept"), [(Moment.WRITTEN, FULL), (Moment.DURABLE, numbered(APP, 1790000001))]
)
async def test_a_crash_leaves_the_old_or_the_new(moment: Moment, kept: AppCredential) -> None:
    disk = MemoryDisk()
    await set_app(MemoryStore(disk, "before"), FULL)
    store = MemoryStore(disk, "crashing", hook=Hook(moment))
    with pytest.raises(Crash):
        await store.change_app(APP, count_up)
    assert await MemoryStore(disk, "after").apps() == (kept,)


@pytest.mark.anyio
async def test_after_a_crash_every_call_fails_and_the_name_is_dead() -> None:
    disk = MemoryDisk()
    store, other = MemoryStore(disk, "crashing", hook=Hook(Moment.WRITTEN)), MemoryStore(disk, "b")
    with pytest.raises(Crash):
        await store.change_tp(lambda _: TpCredential("ticket"))
    assert not other.is_alive("crashing")
    for call in (store.apps, store.tp, lambda: store.remove_app(APP)):
        with pytest.raises(StateUnusable):
            await call()
    assert await other.tp() == TpCredential()
    await other.change_app(APP, count_up)


@pytest.mark.anyio
async def test_a_crash_takes_the_changes_under_way_with_it() -> None:
    disk = MemoryDisk()
    hook = Hook(Moment.DURABLE)
    store = MemoryStore(disk, "crashing", latency_s=1, hook=hook)

    async def first() -> None:
        with pytest.raises(Crash):
            await store.change_app(APP, count_up)

    async def second() -> None:
        await anyio.sleep(0.5)
        with pytest.raises(StateUnusable):
            await store.change_app(OTHER, count_up)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        tasks.start_soon(second)
    assert await MemoryStore(disk, "after").apps() == (numbered(APP, 1),)


@pytest.mark.anyio
async def test_a_buried_store_fails_also_in_a_change_under_way() -> None:
    disk = MemoryDisk()
    store = MemoryStore(disk, "buried", latency_s=1)

    async def change() -> None:
        with pytest.raises(StateUnusable):
            await store.change_app(APP, count_up)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(change)
        await anyio.sleep(0.5)
        disk.bury("buried")
    assert await MemoryStore(disk, "after").apps() == ()


@pytest.mark.anyio
async def test_changes_of_different_apps_wait_for_the_disk_together() -> None:
    store = MemoryStore(MemoryDisk(), "one", latency_s=1)
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for nth in range(100):
            tasks.start_soon(store.change_app, str(nth), count_up)
    assert anyio.current_time() - began == pytest.approx(1)
