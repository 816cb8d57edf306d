"""Many items to one commit, in order, and nobody left waiting."""

from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest

from fleetdeploy.errors import StateUnusable
from fleetdeploy.storage.group_commit import BATCH_MAX, GroupCommit, Refused


class Disk:
    """Carries out items in a second a batch; an error that is set is raised once."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.error: BaseException | None = None

    async def carry_out(self, items: Sequence[int]) -> list[int | Refused]:
        self.batches.append(list(items))
        await anyio.sleep(1)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return [Refused(ValueError(item)) if item < 0 else item * 2 for item in items]


@pytest.mark.anyio
async def test_newcomers_share_the_batch_after_the_one_under_way() -> None:
    disk, outcomes = Disk(), dict[int, int]()
    group = GroupCommit[int, int](disk.carry_out)

    async def submit(item: int) -> None:
        await anyio.sleep(0 if item == 0 else 0.5 + item / 100)
        outcomes[item] = await group.submit(item)

    async with anyio.create_task_group() as tasks:
        for item in range(5):
            tasks.start_soon(submit, item)
    assert disk.batches == [[0], [1, 2, 3, 4]]
    assert outcomes == {item: item * 2 for item in range(5)}
    assert group.statistics() == (5, 2)


@pytest.mark.anyio
async def test_a_batch_is_bounded() -> None:
    disk = Disk()
    group = GroupCommit[int, int](disk.carry_out)
    async with anyio.create_task_group() as tasks:
        for item in range(2 * BATCH_MAX + 1):
            tasks.start_soon(group.submit, item)
    sizes = [len(batch) for batch in disk.batches]
    assert sum(sizes) == 2 * BATCH_MAX + 1
    assert max(sizes) == BATCH_MAX


@pytest.mark.anyio
async def test_an_item_that_is_refused_fails_alone_and_is_not_counted() -> None:
    group = GroupCommit[int, int](Disk().carry_out)

    async def refused() -> None:
        with pytest.raises(ValueError, match="-1"):
            await group.submit(-1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(refused)
        tasks.start_soon(group.submit, 1)
        tasks.start_soon(refused)
    assert group.statistics().changes == 1


@pytest.mark.anyio
async def test_a_cancelled_item_is_carried_out_and_its_batch_with_it() -> None:
    disk, outcomes = Disk(), list[int]()
    group = GroupCommit[int, int](disk.carry_out)
    scope = anyio.CancelScope()

    async def cancelled() -> None:
        with scope:
            outcomes.append(await group.submit(1))
            await anyio.lowlevel.checkpoint()
            pytest.fail("the cancellation shows at the next checkpoint")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancelled)
        await anyio.sleep(0.5)
        tasks.start_soon(group.submit, 2)
        scope.cancel()
    assert outcomes == [2]
    assert disk.batches == [[1], [2]]


@pytest.mark.anyio
async def test_a_failure_reaches_everybody_in_the_batch_and_nobody_after() -> None:
    disk, hints = Disk(), list[str]()
    group = GroupCommit[int, int](disk.carry_out)

    async def fails() -> None:
        with pytest.raises(StateUnusable, match="the disk is full") as caught:
            await group.submit(1)
        hints.append(caught.value.hint)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(group.submit, 0)
        await anyio.sleep(0.5)
        for _ in range(3):
            tasks.start_soon(fails)
        await anyio.sleep(1)
        disk.error = StateUnusable("the disk is full", hint="free some space")
    assert hints == ["free some space"] * 3
    assert await group.submit(5) == 10
    assert group.statistics() == (2, 2)


@pytest.mark.anyio
async def test_a_bug_ends_the_one_who_leads_and_leaves_nobody_waiting() -> None:
    disk, ends = Disk(), list[str]()
    group = GroupCommit[int, int](disk.carry_out)

    async def ends_with(item: int) -> None:
        with pytest.raises((ZeroDivisionError, StateUnusable)) as caught:
            await group.submit(item)
        ends.append(type(caught.value).__name__)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(group.submit, 0)
        await anyio.sleep(0.5)
        for item in range(1, 4):
            tasks.start_soon(ends_with, item)
        await anyio.sleep(1)
        disk.error = ZeroDivisionError()
    assert sorted(ends) == ["StateUnusable", "StateUnusable", "ZeroDivisionError"]
    assert await group.submit(5) == 10
