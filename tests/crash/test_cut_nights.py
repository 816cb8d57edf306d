"""The journal of a night cut at every byte that a crash may leave, and gone on from (promise 4).

How it works: a cut is lawful only in the world of its moment, at or after what was durable when
something was sent. So the night is run up to the writing of each record and stopped there; every
byte between what was durable then and the record's end is a cut that the disk may have kept. What
lies before a newline decides: each byte is checked to open as the whole lines before it, and each
of those journals is gone on from, at once and later, in a copy of the world of that moment.
"""

import functools

import anyio
import pytest

from fleetdeploy.model import Phase
from fleetdeploy.simulator.behaviour import Behaviour
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.storage.memory_journal import MemoryJournal, Moment
from tests.simulator.checkers import check, complaints, effects_of
from tests.simulator.harness import FIFTH, Night, VirtualWall, in_virtual_time, make_night

DELAYS_S = (0.0, 5.0)
"""When the next process begins: at once, and while the last call takes effect."""


def night_of(seed: int) -> Night:
    scenario = Scenario(
        seed=seed,
        behaviour=Behaviour(effect_delay_s=8.0, build_s=(0.5, 3.0), audit_s=(1.0, 10.0)),
        faults=FIFTH,
    )
    return make_night(3, scenario=scenario, seed=seed, journal_latency_s=0.03)


def stopped_at(seed: int, seq: int) -> Night:
    """Return the night as it was when record `seq` had just been written."""
    night = night_of(seed)
    in_virtual_time(lambda: night.crash_at(seq, Moment.WRITTEN))
    assert complaints(night) == []
    return night


def opened(data: bytes) -> bytes:
    return MemoryJournal(VirtualWall(), data=data).data


@functools.cache
def records_of(seed: int) -> int:
    night = night_of(seed)
    in_virtual_time(night.live)
    check(night)
    return len(night.entries())


def go_on(night: Night, data: bytes, delay_s: float) -> None:
    """Go on from a cut in a copy of the night, and come to its end."""
    copy = night.copy()
    copy.data = data

    async def resume() -> None:
        await anyio.sleep(delay_s)
        await copy.live()

    in_virtual_time(resume, start_s=night.now)
    check(copy)
    assert copy.phases() == {Phase.RELEASED: 3}
    assert len(effects_of(copy)) == 9


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_j5_every_byte_that_a_crash_may_leave_opens_as_the_whole_lines_before_it(seed: int) -> None:
    covered = set()
    for seq in range(records_of(seed)):
        night = stopped_at(seed, seq)
        for cut in range(night.durable_bytes, len(night.data) + 1):
            covered.add(cut)
            whole = night.data[: night.data.rfind(b"\n", 0, cut) + 1]
            assert opened(night.data[:cut]) == whole
    assert covered == set(range(max(covered) + 1))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_every_cut_that_a_crash_may_leave_is_gone_on_from_and_nothing_is_done_twice(
    seed: int,
) -> None:
    for seq in range(records_of(seed)):
        night = stopped_at(seed, seq)
        cuts = range(night.durable_bytes, len(night.data) + 1)
        for whole in sorted({opened(night.data[:cut]) for cut in (cuts[0], *_newlines(night))}):
            for delay_s in DELAYS_S:
                go_on(night, whole, delay_s)


def _newlines(night: Night) -> list[int]:
    """The ends of the lines that were not durable yet."""
    data, start = night.data, night.durable_bytes
    return [cut for cut in range(start + 1, len(data) + 1) if data[cut - 1 : cut] == b"\n"]


@pytest.mark.slow
def test_a_torn_tail_is_cut_off_and_gone_on_from() -> None:
    """Some bytes of each record, from its first to its last but one."""
    for seq in range(1, records_of(1), 4):
        night = stopped_at(1, seq)
        start = night.data.rfind(b"\n", 0, -1) + 1
        if start < night.durable_bytes:
            continue
        for cut in (start + 1, (start + len(night.data)) // 2, len(night.data) - 1):
            go_on(night, night.data[:cut], 0.0)
