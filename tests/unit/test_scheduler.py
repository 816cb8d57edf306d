"""Who gets a turn when, on virtual time."""

from collections.abc import Callable
from random import Random

import anyio
import pytest

from fleetdeploy.engine.scheduler import PARKED, Next, Scheduler

pytestmark = pytest.mark.anyio


class Turns:
    """Gives each item the turns that are written down for it, and keeps who had one when.

    A turn takes `takes_s`; after it the item wants what its script says, at last nothing.
    """

    def __init__(self, takes_s: float = 0.0, **scripts: list[Next]) -> None:
        self.takes_s = takes_s
        self.scripts = scripts
        self.log: list[tuple[str, float]] = []
        self.begun = anyio.current_time()
        self.out = 0
        self.most_out = 0
        self.cancelled: list[str] = []

    async def __call__(self, item: str) -> Next | None:
        self.log.append((item, anyio.current_time() - self.begun))
        self.out += 1
        self.most_out = max(self.most_out, self.out)
        try:
            await anyio.sleep(self.takes_s)
        except anyio.get_cancelled_exc_class():
            self.cancelled.append(item)
            raise
        finally:
            self.out -= 1
        script = self.scripts.get(item, [])
        return script.pop(0) if script else None

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.log]


def scheduler_of(
    *items: str,
    at_once: int = 1,
    wait: bool = True,
    grace_s: float = 5.0,
    rank: Callable[[str], int] = lambda _: 0,
) -> Scheduler[str]:
    scheduler: Scheduler[str] = Scheduler(at_once=at_once, wait=wait, grace_s=grace_s, rank=rank)
    for item in items:
        scheduler.add(item, Next(0.0))
    return scheduler


async def test_nothing_to_do_ends_at_once() -> None:
    turns = Turns()
    await scheduler_of().run(turns)
    assert turns.log == []


async def test_items_have_their_turns_in_the_order_they_came() -> None:
    turns = Turns(takes_s=1.0)
    await scheduler_of("a", "b", "c").run(turns)
    assert turns.log == [("a", 0.0), ("b", 1.0), ("c", 2.0)]


async def test_an_item_comes_again_when_it_wanted_to() -> None:
    turns = Turns(a=[Next(10.0), Next(0.5)])
    await scheduler_of("a").run(turns)
    assert turns.log == [("a", 0.0), ("a", 10.0), ("a", 10.5)]


async def test_what_is_urgent_goes_before_what_is_not() -> None:
    scheduler = scheduler_of("a", "b")
    scheduler.add("urgent", Next(0.0, urgent=True))
    turns = Turns(takes_s=1.0)
    await scheduler.run(turns)
    assert turns.names == ["urgent", "a", "b"]


async def test_what_becomes_urgent_overtakes_those_who_wait_for_room() -> None:
    turns = Turns(takes_s=1.0, a=[Next(0.0, urgent=True)])
    await scheduler_of("a", "b", "c").run(turns)
    assert turns.names == ["a", "a", "b", "c"]


async def test_of_the_ready_the_lower_rank_goes_first_and_equals_as_they_came() -> None:
    ranks = {"c": -5, "d": -5, "e": 1}
    turns = Turns(takes_s=1.0)
    scheduler = scheduler_of("a", "b", "e", "c", "d", rank=lambda item: ranks.get(item, 0))
    await scheduler.run(turns)
    assert turns.names == ["c", "d", "a", "b", "e"]


async def test_what_is_urgent_goes_before_any_rank() -> None:
    scheduler = scheduler_of("a", "first", rank=lambda item: -9 * (item == "first"))
    scheduler.add("urgent", Next(0.0, urgent=True))
    turns = Turns(takes_s=1.0)
    await scheduler.run(turns)
    assert turns.names == ["urgent", "first", "a"]


async def test_a_rank_brings_nobody_forward_who_is_not_due() -> None:
    turns = Turns(takes_s=1.0, first=[Next(5.0)])
    await scheduler_of("a", "first", rank=lambda item: -9 * (item == "first")).run(turns)
    assert turns.log == [("first", 0.0), ("a", 1.0), ("first", 6.0)]


async def test_who_falls_due_at_the_same_moment_goes_by_rank() -> None:
    turns = Turns(takes_s=1.0)
    scheduler: Scheduler[str] = Scheduler(at_once=1, rank=int)
    for item in ("3", "1", "2"):
        scheduler.add(item, Next(60.0, patient=True))
    await scheduler.run(turns)
    assert turns.log == [("1", 60.0), ("2", 61.0), ("3", 62.0)]


async def test_what_is_due_later_waits_even_if_urgent() -> None:
    scheduler = scheduler_of("a")
    scheduler.add("urgent", Next(5.0, urgent=True))
    turns = Turns()
    await scheduler.run(turns)
    assert turns.log == [("a", 0.0), ("urgent", 5.0)]


async def test_only_so_many_turns_are_under_way_at_once() -> None:
    turns = Turns(takes_s=1.0)
    await scheduler_of(*map(str, range(25)), at_once=4).run(turns)
    assert (turns.most_out, len(turns.log)) == (4, 25)
    assert turns.log[-1][1] == 6.0


async def test_who_waits_takes_no_room() -> None:
    turns = Turns(takes_s=1.0, a=[Next(100.0)])
    await scheduler_of("a", "b").run(turns)
    assert turns.log == [("a", 0.0), ("b", 1.0), ("a", 101.0)]


async def test_a_turn_that_falls_due_does_not_wait_for_another_to_end() -> None:
    turns = Turns(takes_s=50.0)
    scheduler = scheduler_of("long", at_once=2)
    scheduler.add("short", Next(3.0))
    await scheduler.run(turns)
    assert turns.log == [("long", 0.0), ("short", 3.0)]


async def test_a_run_that_does_not_wait_lets_the_patient_go() -> None:
    turns = Turns(a=[Next(1.0), Next(3600.0, patient=True)], b=[Next(2.0)])
    scheduler = scheduler_of("a", "b", wait=False)
    scheduler.add("never", Next(0.0, patient=True))
    await scheduler.run(turns)
    assert sorted(turns.log) == [("a", 0.0), ("a", 1.0), ("b", 0.0), ("b", 2.0)]


async def test_a_run_that_waits_keeps_the_patient() -> None:
    turns = Turns(a=[Next(3600.0, patient=True)])
    await scheduler_of("a").run(turns)
    assert turns.log == [("a", 0.0), ("a", 3600.0)]


async def test_what_is_added_meanwhile_has_its_turn_when_due() -> None:
    turns = Turns(a=[Next(100.0)])
    scheduler = scheduler_of("a")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.run, turns)
        await anyio.sleep(10.0)
        scheduler.add("guest", Next(5.0))
    assert turns.log == [("a", 0.0), ("guest", 15.0), ("a", 100.0)]


async def test_draining_starts_nothing_more_and_lets_what_is_under_way_end() -> None:
    turns = Turns(takes_s=2.0, a=[Next(0.0)])
    scheduler = scheduler_of("a", "b", "c", at_once=2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.run, turns)
        await anyio.sleep(1.0)
        scheduler.drain()
    assert sorted(turns.log) == [("a", 0.0), ("b", 0.0)]
    assert turns.cancelled == []
    assert anyio.current_time() - turns.begun == 2.0


async def test_draining_cancels_what_does_not_end_within_its_grace() -> None:
    turns = Turns(takes_s=100.0)
    scheduler = scheduler_of("a", "b", at_once=2, grace_s=5.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.run, turns)
        await anyio.sleep(1.0)
        scheduler.drain()
    assert sorted(turns.cancelled) == ["a", "b"]
    assert anyio.current_time() - turns.begun == 6.0


async def test_draining_ends_the_wait_for_what_is_due_later() -> None:
    turns = Turns(a=[Next(1e6)])
    scheduler = scheduler_of("a")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.run, turns)
        await anyio.sleep(1.0)
        scheduler.drain()
    assert anyio.current_time() - turns.begun == 1.0


async def test_draining_before_the_start_starts_nothing() -> None:
    turns = Turns()
    scheduler = scheduler_of("a")
    scheduler.drain()
    await scheduler.run(turns)
    assert turns.log == []


async def test_a_turn_may_drain_the_scheduler_that_gives_it() -> None:
    scheduler = scheduler_of("a", "b", at_once=1)

    async def turn(item: str) -> None:
        turned.append(item)
        scheduler.drain()

    turned: list[str] = []
    await scheduler.run(turn)
    assert turned == ["a"]


async def test_draining_twice_is_draining_once() -> None:
    turns = Turns(takes_s=100.0)
    scheduler = scheduler_of("a", grace_s=5.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.run, turns)
        for _ in range(3):
            await anyio.sleep(1.0)
            scheduler.drain()
    assert anyio.current_time() - turns.begun == 6.0


async def test_a_bug_in_a_turn_comes_out_and_cancels_the_others() -> None:
    others = Turns(takes_s=100.0)

    async def turn(item: str) -> Next | None:
        if item == "bad":
            await anyio.sleep(1.0)
            raise ZeroDivisionError
        return await others(item)

    with pytest.raises(ExceptionGroup) as caught:
        await scheduler_of("bad", "good", at_once=2).run(turn)
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
    assert others.cancelled == ["good"]


async def test_a_bug_comes_out_while_draining_too() -> None:
    async def turn(_: str) -> Next | None:
        scheduler.drain()
        await anyio.sleep(1.0)
        raise ZeroDivisionError

    scheduler = scheduler_of("bad")
    with pytest.raises(ExceptionGroup):
        await scheduler.run(turn)


async def test_a_cancelled_scheduler_cancels_its_turns() -> None:
    turns = Turns(takes_s=100.0)
    with anyio.move_on_after(1.0):
        await scheduler_of("a", "b", at_once=2).run(turns)
    assert sorted(turns.cancelled) == ["a", "b"]


async def test_statistics_count_who_waits_is_ready_and_flies() -> None:
    turns = Turns(takes_s=1.0, a=[Next(100.0)])
    scheduler = scheduler_of("a", "b", "c", at_once=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.run, turns)
        await anyio.sleep(1.5)
        said = scheduler.statistics()
        tasks.cancel_scope.cancel()
    assert (said.waiting, said.ready, said.flying, said.turns) == (1, 1, 1, 2)


@pytest.mark.slow
async def test_thousands_of_items_come_through() -> None:
    chance = Random(1)
    left = {str(number): chance.randrange(3) for number in range(2_000)}

    async def turn(item: str) -> Next | None:
        await anyio.sleep(0.01)
        left[item] -= 1
        again = Next(chance.uniform(0, 600), urgent=chance.random() < 0.5)
        return again if left[item] >= 0 else None

    scheduler = scheduler_of(*left, at_once=64)
    await scheduler.run(turn)
    assert set(left.values()) == {-1}
    said = scheduler.statistics()
    assert (said.waiting, said.ready, said.flying) == (0, 0, 0)


def patient(delay_s: float) -> Next:
    return Next(delay_s, patient=True)


async def test_one_who_waits_patiently_is_woken_before_its_time_and_only_once() -> None:
    turns = Turns(a=[patient(1000.0), Next(5.0)])
    scheduler = scheduler_of("a")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.run, turns)
        await anyio.sleep(10.0)
        scheduler.wake("a")
    assert turns.log == [("a", 0.0), ("a", 10.0), ("a", 15.0)]


async def test_one_who_has_reasons_for_its_time_is_not_woken() -> None:
    turns = Turns(a=[Next(100.0)])
    scheduler = scheduler_of("a")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.run, turns)
        await anyio.sleep(10.0)
        scheduler.wake("a")
        scheduler.wake("nobody")
    assert turns.log == [("a", 0.0), ("a", 100.0)]


async def test_one_who_is_flying_has_another_turn_if_it_then_would_wait() -> None:
    """The look under way may have been made just before what the notice tells of."""
    turns = Turns(takes_s=10.0, a=[patient(1000.0)], b=[Next(500.0)])
    scheduler = scheduler_of("a", "b", at_once=2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.run, turns)
        await anyio.sleep(5.0)
        scheduler.wake("a")
        scheduler.wake("b")
    assert sorted(turns.log[:2]) == [("a", 0.0), ("b", 0.0)]
    assert turns.log[2:] == [("a", 10.0), ("b", 510.0)]


async def test_those_who_wait_patiently_are_called_back_if_that_is_sooner() -> None:
    turns = Turns(a=[patient(1000.0)], b=[patient(20.0)], c=[Next(300.0)])
    scheduler = scheduler_of("a", "b", "c", at_once=3)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.run, turns)
        await anyio.sleep(10.0)
        scheduler.hasten(lambda: 50.0)
    assert turns.log[3:] == [("b", 20.0), ("a", 60.0), ("c", 300.0)]


async def test_waking_the_same_ones_over_and_over_keeps_no_more_than_a_few_entries() -> None:
    turns = Turns()
    scheduler: Scheduler[str] = Scheduler(at_once=1)
    for number in range(10):
        scheduler.add(str(number), patient(1000.0))
    for _ in range(1000):
        for number in range(10):
            scheduler.wake(str(number))
    assert scheduler.statistics().waiting == 10
    assert len(scheduler._later) < 100
    await scheduler.run(turns)
    assert sorted(turns.names) == [str(number) for number in range(10)]


async def test_who_is_parked_comes_when_woken_and_not_before() -> None:
    scheduler = scheduler_of()
    scheduler.add("parked", PARKED)
    scheduler.add("waker", Next(7.0))
    turns = Turns()

    async def turn(item: str) -> Next | None:
        if item == "waker":
            scheduler.wake("parked")
        return await turns(item)

    await scheduler.run(turn)
    assert turns.log == [("waker", 7.0), ("parked", 7.0)]


async def test_a_scheduler_that_waits_stays_for_who_is_parked() -> None:
    scheduler = scheduler_of()
    scheduler.add("parked", PARKED)
    with anyio.move_on_after(3600.0) as scope:
        await scheduler.run(Turns())
    assert scope.cancelled_caught
    assert scheduler.statistics().parked == 1


async def test_a_scheduler_that_does_not_wait_leaves_when_all_are_parked() -> None:
    scheduler = scheduler_of("a", wait=False)
    scheduler.add("parked", PARKED)
    turns = Turns(a=[Next(5.0), PARKED])
    await scheduler.run(turns)
    assert turns.log == [("a", 0.0), ("a", 5.0)]


async def test_a_flying_item_that_is_woken_and_then_parks_comes_again_at_once() -> None:
    scheduler = scheduler_of("a")
    turns = Turns(takes_s=1.0, a=[PARKED])

    async def turn(item: str) -> Next | None:
        if not turns.log:
            scheduler.wake(item)
        return await turns(item)

    await scheduler.run(turn)
    assert turns.log == [("a", 0.0), ("a", 1.0)]
