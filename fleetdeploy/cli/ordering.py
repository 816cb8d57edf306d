"""Orders from this terminal: made, written down, and taken in where no process does it."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Final

import anyio

from fleetdeploy.cli.process import SystemClock, this_holder, this_writer
from fleetdeploy.core.orders import NAME_CHARS, REASON_CHARS, WAVE_CHARS, Order, OrderKind
from fleetdeploy.core.plan import Plan
from fleetdeploy.core.records import AnyAppRecord, RunRecord
from fleetdeploy.core.replay import RunState
from fleetdeploy.engine.orders import take_in
from fleetdeploy.errors import RunLocked, UsageInvalid
from fleetdeploy.ports import Journal
from fleetdeploy.storage.archive import Recorded, fold
from fleetdeploy.storage.run_dir import RunDir, StateDir

WAIT_S: Final = 10.0
"""A process looks for orders every second, and has what is under way land before it halts."""
LOOK_S: Final = 0.2
"""Between two looks at the journal, of which only what is new is read."""


def as_text(typed: str) -> str:
    """Return what was typed as text that can be written down.

    A terminal in another encoding sends bytes that are no UTF-8. An order that is given in haste
    is not refused for them: each becomes a question mark.
    """
    return typed.encode("utf-8", "replace").decode("utf-8")


def make_order(kind: OrderKind, reason: str, wave: str | None = None) -> Order:
    """Return an order from whoever sits here; raises `UsageInvalid` for what is endless."""
    if len(reason) > REASON_CHARS:
        raise UsageInvalid(f"a reason has {REASON_CHARS} characters at most")
    if wave is not None and len(wave) > WAVE_CHARS:
        raise UsageInvalid(f"the name of a wave has {WAVE_CHARS} characters at most")
    writer = this_writer()
    return Order(
        id=secrets.token_hex(16),
        kind=kind,
        wave=None if wave is None else as_text(wave),
        at=SystemClock().now(),
        who=writer.who[:NAME_CHARS],
        host=writer.host[:NAME_CHARS],
        reason=as_text(reason),
    )


async def take_orders(run: RunDir, plan: Plan, state: RunState, journal: Journal) -> str | None:
    """Take in what was ordered while no process looked; return the id of the last order judged.

    Hold the run's lock. Raises `JournalWriteFailed` and `StateUnusable`.
    """
    record = partial(_record, state, journal)
    given = run.orders.read()
    return await take_in(given.orders, state, plan.waves, record=record, halt=record)


async def _record(state: RunState, journal: Journal, record: RunRecord | AnyAppRecord) -> None:
    state.check(record)
    state.apply(await journal.append(record))


def torn_words(run: RunDir, torn_bytes: int) -> str:
    return (
        f"warning: {run.journal_path} ended in a torn write; "
        f"{torn_bytes} bytes were cut off, nothing that was reported is lost"
    )


class Fate(Enum):
    """What became of an order that was written down."""

    TAKEN = auto()
    """It is in the journal."""
    JUDGED = auto()
    """We judged it ourselves, and it may have changed nothing."""
    LEFT = auto()
    """Whoever works on the run now, or next, will take it in."""


@dataclass(frozen=True, slots=True)
class Post:
    """Where an order goes: a run as it stood a moment ago, and who hears of trouble."""

    state_dir: StateDir
    recorded: Recorded
    say: Callable[[str], None]

    async def give(self, order: Order, wait_s: float = WAIT_S) -> Fate:
        """Write an order down and see to it that it is taken in; it is durable from here on.

        By the process that works on the run, for which this waits a while; or, where there is
        none, right here. Raises `StateUnusable`, `JournalDamaged` and `JournalWriteFailed`.
        """
        run = self.recorded.run
        run.orders.append(order)
        deadline = anyio.current_time() + wait_s
        while True:
            if not run.is_alive() and await self._take_ourselves():
                return Fate.JUDGED
            if run.journal_says(order.id, self.recorded.contents.end_offset):
                return Fate.TAKEN
            if anyio.current_time() >= deadline:
                return Fate.LEFT
            await anyio.sleep(LOOK_S)

    async def _take_ourselves(self) -> bool:
        """Take all orders in; False if somebody else has come to work on the run."""
        run, plan, holder = self.recorded.run, self.recorded.plan, this_holder()
        try:
            # As for a resume: so nobody takes us, for an instant, for a process that works on it.
            with self.state_dir.exclusive(holder), run.lock(holder):
                journal, contents = run.open_journal(SystemClock())
                try:
                    state = fold(plan, contents.entries, str(run.journal_path))
                    await take_orders(run, plan, state, journal)
                finally:
                    journal.close()
        except RunLocked:
            return False
        if contents.torn_bytes:
            self.say(torn_words(run, contents.torn_bytes))
        for warning in run.orders.read().warnings(run.orders.path):
            self.say(warning)
        return True
