"""Waiting for a turn, on virtual time."""

from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

import anyio
import pytest

from fleetdeploy.core.pace import Pace
from fleetdeploy.guards.pacer import Pacer

pytestmark = pytest.mark.anyio


class Log:
    """Makes calls through a pacer and keeps when each left, and how many were out at once."""

    def __init__(self, pacer: Pacer) -> None:
        self.pacer = pacer
        self.left: list[tuple[str, float]] = []
        self.out = 0
        self.most_out = 0

    async def call(
        self, name: str, *, takes_s: float = 0.0, urgent: bool = False, endpoint: str = "packages"
    ) -> None:
        async with self.pacer.turn(endpoint, urgent=urgent) as sent_at:
            assert sent_at == anyio.current_time()
            self.left.append((name, sent_at))
            self.out += 1
            self.most_out = max(self.most_out, self.out)
            try:
                await anyio.sleep(takes_s)
            finally:
                self.out -= 1

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.left]

    def times(self) -> list[float]:
        """Return the departures, in seconds since the first one."""
        return [time - self.left[0][1] for _, time in self.left]


def make_log(
    rate: float = 10.0, in_flight: int = 32, endpoints: dict[str, float] | None = None
) -> Log:
    return Log(Pacer(Pace(rate), in_flight=in_flight, endpoints=endpoints))


async def after(delay_s: float, call: Callable[[], Awaitable[None]]) -> None:
    await anyio.sleep(delay_s)
    await call()


async def test_calls_leave_at_the_pace() -> None:
    log = make_log(rate=10.0)
    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(log.call, str(number))
    assert log.times() == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


async def test_capacity_is_never_exceeded_and_is_used() -> None:
    log = make_log(rate=1000.0, in_flight=3)
    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(partial(log.call, str(number), takes_s=5.0))
    assert (log.most_out, len(log.left)) == (3, 50)


async def test_a_capacity_of_one_takes_turns_in_order() -> None:
    log = make_log(in_flight=1)
    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(after, number * 0.01, partial(log.call, str(number), takes_s=2.0))
    assert log.names == ["0", "1", "2", "3"]
    assert log.times() == pytest.approx([0.0, 2.0, 4.0, 6.0])


async def test_urgent_calls_go_first_and_others_in_order() -> None:
    log = make_log(rate=1.0)
    async with anyio.create_task_group() as tasks:
        for number, name in enumerate(["first", "look 1", "look 2", "change 1", "change 2"]):
            call = partial(log.call, name, urgent="change" in name)
            tasks.start_soon(after, 0.01 * number, call)
    assert log.names == ["first", "change 1", "change 2", "look 1", "look 2"]


async def test_an_urgent_call_also_goes_first_when_capacity_was_the_limit() -> None:
    log = make_log(rate=1000.0, in_flight=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(log.call, "first", takes_s=1.0))
        tasks.start_soon(after, 0.1, partial(log.call, "look"))
        tasks.start_soon(after, 0.2, partial(log.call, "change", urgent=True))
    assert log.names == ["first", "change", "look"]


async def test_an_endpoints_own_pace_does_not_hold_up_the_others() -> None:
    log = make_log(rate=10.0, endpoints={"submit_audit": 0.1})
    async with anyio.create_task_group() as tasks:
        for number in range(3):
            submit = partial(log.call, f"submit {number}", urgent=True, endpoint="submit_audit")
            tasks.start_soon(after, number * 0.001, submit)
        for number in range(3):
            look = partial(log.call, f"look {number}")
            tasks.start_soon(after, 0.01 + number * 0.001, look)
    assert log.names == ["submit 0", "look 0", "look 1", "look 2", "submit 1", "submit 2"]
    assert log.times() == pytest.approx([0.0, 0.1, 0.2, 0.3, 10.0, 20.0])


async def test_a_slow_endpoint_still_obeys_the_overall_pace() -> None:
    log = make_log(rate=1.0, endpoints={"submit_audit": 100.0})
    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(partial(log.call, str(number), endpoint="submit_audit"))
    assert log.times() == pytest.approx([0.0, 1.0, 2.0])


async def test_those_who_wait_feel_a_refusal_of_another() -> None:
    log = make_log(rate=10.0)
    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(log.call, str(number))
        await anyio.sleep(0.05)
        sent_at = log.left[0][1]
        log.pacer.pace.refused(sent_at=sent_at, now=anyio.current_time(), retry_after_s=30.0)
    assert log.times() == pytest.approx([0.0, 30.05, 30.25])


async def test_a_place_is_given_back_after_an_error() -> None:
    pacer = Pacer(Pace(10.0), in_flight=1)
    with pytest.raises(ValueError, match="oops"):
        async with pacer.turn("packages", urgent=False):
            raise ValueError("oops")
    with anyio.fail_after(1.0):
        async with pacer.turn("packages", urgent=False):
            pass


async def test_who_is_cancelled_while_waiting_is_not_counted() -> None:
    log = make_log(rate=1.0)
    await log.call("first")
    with anyio.move_on_after(0.5):
        await log.call("given up")
    await log.call("second")
    assert log.names == ["first", "second"]
    assert log.times() == pytest.approx([0.0, 1.0])


async def test_when_the_first_of_the_queue_gives_up_the_next_goes_on() -> None:
    log = make_log(rate=1000.0, in_flight=1)
    with anyio.fail_after(10.0):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(log.call, "first", takes_s=1.0))
            await anyio.sleep(0.1)
            with anyio.CancelScope() as scope:
                tasks.start_soon(_cancel_at, scope, 0.5)
                tasks.start_soon(after, 0.1, partial(log.call, "second"))
                await log.call("given up", urgent=True)
    assert log.names == ["first", "second"]


async def _cancel_at(scope: anyio.CancelScope, delay_s: float) -> None:
    await anyio.sleep(delay_s)
    scope.cancel()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
async def test_no_wake_up_is_lost_whoever_gives_up_and_whatever_is_refused(seed: int) -> None:
    """All calls that nobody cancels leave, within the pace and the capacity."""
    chance = Random(seed)
    in_flight = chance.choice([1, 2, 5])
    log = make_log(
        rate=chance.choice([1.0, 10.0, 100.0]),
        in_flight=in_flight,
        endpoints={"submit_audit": 0.5, "upload": 5.0},
    )
    done: list[int] = []
    patient: set[int] = set()

    async def one(number: int, patience_s: float | None) -> None:
        await anyio.sleep(chance.uniform(0, 20))
        with anyio.move_on_after(patience_s):
            await log.call(
                str(number),
                takes_s=chance.choice([0.0, 0.3, 3.0]),
                urgent=chance.random() < 0.3,
                endpoint=chance.choice(["packages", "upload", "submit_audit"]),
            )
            done.append(number)
        if chance.random() < 0.1:
            now = anyio.current_time()
            log.pacer.pace.refused(sent_at=now - 1, now=now, retry_after_s=chance.uniform(0, 5))

    with anyio.fail_after(3600):
        async with anyio.create_task_group() as tasks:
            for number in range(80):
                patience_s = None if chance.random() < 0.5 else chance.uniform(0, 30)
                if patience_s is None:
                    patient.add(number)
                tasks.start_soon(one, number, patience_s)
    assert patient <= set(done)
    assert log.most_out <= in_flight
