"""Takes in what operators ask of a run: judged in `core/orders.py`, recorded, then done.

It does not know where orders come from, and whether a process works on the run: whoever holds the
run's journal takes them in by the same function.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence

from fleetdeploy.core.orders import Moot, Order, judge, pending
from fleetdeploy.core.records import RunHalted, RunRecord
from fleetdeploy.core.replay import RunState
from fleetdeploy.engine.ledger import Ledger
from fleetdeploy.engine.steering import Steering
from fleetdeploy.ports import OrderFeed


async def take_in(
    orders: Sequence[Order],
    state: RunState,
    waves: Collection[str],
    *,
    record: Callable[[RunRecord], Awaitable[object]],
    halt: Callable[[RunHalted], Awaitable[object]],
) -> str | None:
    """Take in what is new of these orders, one after the other; return the last one's id.

    `record` makes a record durable and part of `state`; so does `halt` with a halt, now or later.
    What comes after a halt is left to whoever goes on with the run: in the journal it would vouch
    for a halt that is not there yet.
    """
    last = None
    for order in pending(orders, state):
        last = order.id
        verdict = judge(order, state, waves)
        if isinstance(verdict, RunHalted):
            await halt(verdict)
            break
        if not isinstance(verdict, Moot):
            await record(verdict)
    return last


async def follow_orders(
    feed: OrderFeed,
    ledger: Ledger,
    steering: Steering,
    waves: Collection[str],
    on_change: Callable[[], Awaitable[None]],
) -> None:
    """Take in orders as they come, until the run stops; `on_change` is awaited after each batch.

    Once the run stops, what comes is left to its next process. Raises `JournalWriteFailed`.
    """

    async def halt(halted: RunHalted) -> None:
        """Stop; the record is written at the end, when what is under way has landed."""
        steering.stop_for(halted.cause, halted.error, asked=halted.asked)

    while True:
        orders = await feed.next()
        if steering.stopping:
            return
        await take_in(orders, ledger.state, waves, record=ledger.append, halt=halt)
        await on_change()
