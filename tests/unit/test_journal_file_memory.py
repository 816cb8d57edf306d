"""The journal in memory: the same bytes, in virtual time, with crashes where a test wants one."""

import anyio
import pytest

from fleetdeploy.core.journal_line import read_journal
from fleetdeploy.core.records import Entry, WaveOpened
from fleetdeploy.errors import JournalDamaged, JournalWriteFailed
from fleetdeploy.storage.memory_journal import MemoryJournal, Moment
from tests.unit.journal_samples import HEADER, RECORDS_OF_A_RUN, SetClock, sample_lines


class Crash(Exception):
    """The process died here."""


@pytest.mark.anyio
async def test_it_holds_the_bytes_that_a_file_would_hold() -> None:
    journal = MemoryJournal(SetClock())
    entries = [await journal.append(record) for record in RECORDS_OF_A_RUN]
    assert journal.data == journal.durable == b"".join(sample_lines())
    assert read_journal(journal.data).entries == tuple(entries)


@pytest.mark.anyio
async def test_latency_passes_on_the_loop_s_clock_and_is_shared() -> None:
    journal = MemoryJournal(SetClock(), latency_s=2)
    await journal.append(HEADER)
    started = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(journal.append, WaveOpened(wave=str(number)))
    assert anyio.current_time() - started == 2
    assert len(read_journal(journal.durable).entries) == 51


@pytest.mark.anyio
@pytest.mark.parametrize(("moment", "kept"), [(Moment.WRITTEN, 1), (Moment.DURABLE, 2)])
async def test_a_crash_ends_the_journal_where_it_struck(moment: Moment, kept: int) -> None:
    def hook(now: Moment, entry: Entry) -> None:
        if (now, entry.seq) == (moment, 1):
            raise Crash

    journal = MemoryJournal(SetClock(), hook=hook)
    await journal.append(HEADER)
    with pytest.raises(Crash):
        await journal.append(WaveOpened(wave="all"))
    with pytest.raises(JournalWriteFailed):
        await journal.append(WaveOpened(wave="late"))
    assert journal.data == b"".join(sample_lines()[:2])
    assert journal.durable == b"".join(sample_lines()[:kept])


@pytest.mark.anyio
async def test_nothing_becomes_durable_after_a_crash() -> None:
    """A record was on its way when another task's record crashed the process."""
    failed: list[str] = []

    def hook(now: Moment, entry: Entry) -> None:
        if (now, entry.seq) == (Moment.WRITTEN, 2):
            raise Crash

    journal = MemoryJournal(SetClock(), latency_s=1, hook=hook)
    await journal.append(HEADER)

    async def first() -> None:
        with pytest.raises(JournalWriteFailed):
            await journal.append(WaveOpened(wave="all"))
        failed.append("first")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await anyio.sleep(0.5)
        with pytest.raises(Crash):
            await journal.append(RECORDS_OF_A_RUN[2])
    assert failed == ["first"]
    assert journal.durable == sample_lines()[0]


@pytest.mark.anyio
async def test_a_cancelled_record_stays_and_becomes_durable_with_the_next() -> None:
    journal = MemoryJournal(SetClock(), latency_s=1)
    await journal.append(HEADER)
    with anyio.move_on_after(0.5):
        await journal.append(WaveOpened(wave="all"))
    assert journal.durable == sample_lines()[0]
    await journal.append(RECORDS_OF_A_RUN[2])
    assert journal.durable == b"".join(sample_lines()[:3])


@pytest.mark.anyio
async def test_it_goes_on_where_a_crash_cut_it() -> None:
    journal = MemoryJournal(SetClock(), data=b"".join(sample_lines())[:-1])
    assert len(journal.contents.entries) == len(RECORDS_OF_A_RUN) - 1
    assert journal.contents.torn_bytes == len(sample_lines()[-1]) - 1
    await journal.append(RECORDS_OF_A_RUN[-1])
    assert journal.durable == b"".join(sample_lines())


def test_it_refuses_damage() -> None:
    with pytest.raises(JournalDamaged):
        MemoryJournal(SetClock(), data=b"hello\n")
