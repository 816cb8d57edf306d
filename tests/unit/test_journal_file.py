"""The journal on disk: order, group commit, cancellation, failing disks. Threads, so asyncio."""

import asyncio
import errno
import os
import resource
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from anyio import wait_all_tasks_blocked

from fleetdeploy.core.journal_line import Chain, read_journal
from fleetdeploy.core.records import RunRecord, WaveOpened
from fleetdeploy.errors import JournalDamaged, JournalWriteFailed, StateUnusable
from fleetdeploy.storage.journal_file import (
    MAX_BATCH_BYTES,
    REAL_DISK,
    Disk,
    JournalFile,
    JournalStatistics,
    read_file,
)
from tests.unit.journal_samples import HEADER, RECORDS_OF_A_RUN, START, SetClock, sample_lines


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Real threads and real time, on the production loop and on the other one."""
    return str(request.param)


@dataclass
class SlowDisk:
    """A disk whose syncs wait for `gate`, are counted, and can be told to fail."""

    gate: threading.Event = field(default_factory=threading.Event)
    syncs: int = 0
    error: OSError | None = None

    def sync(self, fd: int) -> None:
        self.gate.wait(timeout=10)
        self.syncs += 1
        if self.error:
            raise self.error
        os.fdatasync(fd)

    @property
    def disk(self) -> Disk:
        return Disk(sync=self.sync)


def new_journal(tmp_path: Path, disk: Disk = REAL_DISK) -> JournalFile:
    return JournalFile.create(tmp_path / "journal.jsonl", SetClock(), disk=disk)


def waves_in(path: Path) -> list[str]:
    records = [entry.record for entry in read_file(path).entries]
    return [record.wave for record in records if isinstance(record, WaveOpened)]


@pytest.mark.anyio
async def test_what_was_appended_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with closing(new_journal(tmp_path)) as journal:
        entries = [await journal.append(record) for record in RECORDS_OF_A_RUN]
    assert path.read_bytes() == b"".join(sample_lines())
    assert read_file(path).entries == tuple(entries)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.anyio
async def test_j7_concurrent_appends_share_syncs(tmp_path: Path) -> None:
    """One sync for the record that came first, one for the 99 that came during it."""
    slow = SlowDisk()
    with closing(new_journal(tmp_path, slow.disk)) as journal:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.append, HEADER)
            await wait_all_tasks_blocked()
            for number in range(99):
                tasks.start_soon(journal.append, WaveOpened(wave=str(number)))
            await wait_all_tasks_blocked()
            slow.gate.set()
    size = (tmp_path / "journal.jsonl").stat().st_size
    assert journal.statistics() == JournalStatistics(records=100, batches=2, bytes=size)
    assert slow.syncs == 2


@pytest.mark.anyio
async def test_records_stand_in_the_order_of_the_calls(tmp_path: Path) -> None:
    called: list[str] = []
    journal = new_journal(tmp_path)

    async def open_wave(wave: str) -> None:
        called.append(wave)
        await journal.append(WaveOpened(wave=wave))

    with closing(journal):
        await journal.append(HEADER)
        for step in range(5):
            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(open_wave, f"{step}-{number}")
    assert waves_in(tmp_path / "journal.jsonl") == called


@pytest.mark.anyio
async def test_a_batch_is_bounded(tmp_path: Path) -> None:
    """Three records of 0.4 of the bound do not fit into one batch; the order still holds."""
    slow = SlowDisk()
    names = [letter * (MAX_BATCH_BYTES * 2 // 5) for letter in "abcdefg"]
    with closing(new_journal(tmp_path, slow.disk)) as journal:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.append, HEADER)
            await wait_all_tasks_blocked()
            async with anyio.create_task_group() as opening:
                for name in names:
                    opening.start_soon(journal.append, WaveOpened(wave=name))
                await wait_all_tasks_blocked()
                slow.gate.set()
    assert sorted(waves_in(tmp_path / "journal.jsonl")) == names
    assert slow.syncs == 5


@pytest.mark.anyio
async def test_a_cancelled_append_is_written_and_wakes_the_others(tmp_path: Path) -> None:
    """Both the task that writes a batch and one that joined it are cancelled meanwhile."""
    slow = SlowDisk()
    returned: list[str] = []
    scopes = [anyio.CancelScope() for _ in range(4)]
    journal = new_journal(tmp_path, slow.disk)

    async def open_wave(number: int) -> None:
        with scopes[number]:
            await journal.append(WaveOpened(wave=str(number)))
            returned.append("returned")
            await anyio.lowlevel.checkpoint()
            returned.append("went on")

    slow.gate.set()
    with closing(journal):
        await journal.append(HEADER)
        slow.gate.clear()
        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(open_wave, number)
            await wait_all_tasks_blocked()
            scopes[0].cancel()
            scopes[1].cancel()
            await wait_all_tasks_blocked()
            slow.gate.set()
    assert sorted(waves_in(tmp_path / "journal.jsonl")) == ["0", "1", "2", "3"]
    assert sorted(returned) == ["returned"] * 4 + ["went on"] * 2


@pytest.mark.anyio
async def test_a_failed_sync_fails_the_batch_and_everything_after_it(tmp_path: Path) -> None:
    """The disk is well again at once; the journal is not, since bytes may have been dropped."""
    slow = SlowDisk()
    failures: list[JournalWriteFailed] = []
    path = tmp_path / "journal.jsonl"
    journal = new_journal(tmp_path, slow.disk)

    async def open_wave(wave: str) -> None:
        with pytest.raises(JournalWriteFailed) as caught:
            await journal.append(WaveOpened(wave=wave))
        failures.append(caught.value)

    with closing(journal):
        slow.gate.set()
        await journal.append(HEADER)
        slow.gate.clear()
        slow.error = OSError(errno.EIO, os.strerror(errno.EIO))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(open_wave, "first")
            await wait_all_tasks_blocked()
            for wave in ("next", "same as next"):
                tasks.start_soon(open_wave, wave)
            await wait_all_tasks_blocked()
            slow.gate.set()
        slow.error = None
        await open_wave("late")
    assert [str(failure) for failure in failures] == [
        f"cannot write to {path}: Input/output error"
    ] * 4
    assert slow.syncs == 2
    assert path.read_bytes() == sample_lines()[0]


def half_then_full(fd: int, data: memoryview) -> int:
    """Take the first half of what comes, then be full."""
    half = len(data) // 2
    if half < 40:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return os.write(fd, data[:half])


@pytest.mark.anyio
async def test_a_disk_that_fills_up_in_a_batch_leaves_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with closing(new_journal(tmp_path)) as journal:
        await journal.append(HEADER)
    full, _ = JournalFile.open(path, SetClock(), disk=Disk(write=half_then_full))
    with closing(full), pytest.raises(JournalWriteFailed, match="No space left") as caught:
        await full.append(WaveOpened(wave="w" * 500))
    assert "free some space" in caught.value.hint
    assert str(path) in caught.value.message
    assert path.read_bytes() == sample_lines()[0]
    again, contents = JournalFile.open(path, SetClock())
    with closing(again):
        assert contents.torn_bytes == 0
        assert (await again.append(WaveOpened(wave="all"))).seq == 1


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.anyio
async def test_the_limit_of_a_real_file_breaks_the_journal_cleanly(tmp_path: Path) -> None:
    """The system takes a part of the line and refuses the rest; the part is cut off again."""
    path = tmp_path / "journal.jsonl"
    with closing(new_journal(tmp_path)) as journal:
        await journal.append(HEADER)
        limit = path.stat().st_size + 60
        with file_size_limit(limit), pytest.raises(JournalWriteFailed) as caught:
            await journal.append(WaveOpened(wave="all"))
    assert caught.value.message == f"cannot write to {path}: File too large"
    assert "ulimit" in caught.value.hint
    assert path.read_bytes() == sample_lines()[0]


@pytest.mark.anyio
async def test_a_file_that_can_be_neither_written_nor_cut_is_a_failed_write() -> None:
    path = Path("/dev/full")
    fd = os.open(path, os.O_RDWR)
    journal = JournalFile(path, fd, Chain(), SetClock(), REAL_DISK)
    with closing(journal), pytest.raises(JournalWriteFailed) as caught:
        await journal.append(HEADER)
    assert caught.value.message == "cannot write to /dev/full: No space left on device"


@pytest.mark.anyio
async def test_a_disk_that_takes_nothing_does_not_hang_the_run(tmp_path: Path) -> None:
    disk = Disk(write=lambda _fd, _data: 0)
    with closing(new_journal(tmp_path, disk)) as journal, pytest.raises(JournalWriteFailed):
        await journal.append(HEADER)


@pytest.mark.anyio
async def test_a_bug_in_the_writer_fails_all_later_appends(tmp_path: Path) -> None:
    """Nothing is written over what the bug may have left."""
    outcomes: list[type[BaseException]] = []

    def crash(_fd: int) -> None:
        raise ZeroDivisionError

    journal = new_journal(tmp_path, Disk(sync=crash))

    async def append(record: RunRecord) -> None:
        try:
            await journal.append(record)
        except (ZeroDivisionError, JournalWriteFailed) as error:
            outcomes.append(type(error))

    with closing(journal):
        await append(HEADER)
        await append(WaveOpened(wave="all"))
    assert outcomes == [ZeroDivisionError, JournalWriteFailed]


@pytest.mark.slow
def test_a_hard_interruption_wakes_the_others_and_breaks_the_journal(tmp_path: Path) -> None:
    """The loop itself cancels the task that writes, as it does when its own `run` is interrupted.

    The thread goes on; `close` waits for it, so it cannot write into a file opened later.
    """
    slow = SlowDisk()
    path = tmp_path / "journal.jsonl"

    async def main() -> list[type[BaseException]]:
        journal = new_journal(tmp_path, slow.disk)
        writing = asyncio.ensure_future(journal.append(HEADER))
        await wait_all_tasks_blocked()
        waiting = [
            asyncio.ensure_future(journal.append(WaveOpened(wave=wave))) for wave in ("a", "b")
        ]
        await wait_all_tasks_blocked()
        writing.cancel()
        await wait_all_tasks_blocked()
        slow.gate.set()
        results = await asyncio.gather(writing, *waiting, return_exceptions=True)
        journal.close()
        return [type(result) for result in results if isinstance(result, BaseException)]

    failures = asyncio.run(main())
    assert failures == [asyncio.CancelledError, JournalWriteFailed, JournalWriteFailed]
    assert path.read_bytes() == sample_lines()[0]


@pytest.mark.anyio
async def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    journal.close()
    journal.close()
    with pytest.raises(JournalWriteFailed, match="the journal is closed"):
        await journal.append(HEADER)


@pytest.mark.anyio
async def test_a_second_header_is_a_bug_and_leaves_the_journal_usable(tmp_path: Path) -> None:
    with closing(new_journal(tmp_path)) as journal:
        await journal.append(HEADER)
        with pytest.raises(AssertionError):
            await journal.append(HEADER)
        assert (await journal.append(WaveOpened(wave="all"))).seq == 1


@pytest.mark.anyio
async def test_an_opened_journal_goes_on_with_seq_chain_and_time(tmp_path: Path) -> None:
    """The clock of the second process is behind; times in the file do not go backwards."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(sample_lines()[:2]) + b'{"seq":2,"at')
    clock = SetClock()
    clock.advance(-60)
    journal, contents = JournalFile.open(path, clock)
    with closing(journal):
        entry = await journal.append(RECORDS_OF_A_RUN[2])
    assert (len(contents.entries), contents.torn_bytes) == (2, 12)
    assert (entry.seq, entry.at) == (2, START)
    assert path.read_bytes() == b"".join(sample_lines()[:3])


def test_a_journal_is_never_created_over_another(tmp_path: Path) -> None:
    new_journal(tmp_path).close()
    with pytest.raises(StateUnusable, match=r"cannot create .*: File exists"):
        new_journal(tmp_path)


def test_a_damaged_journal_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    damaged = b"".join(sample_lines()).replace(b"wave_opened", b"wave_opaned") + b'{"torn'
    path.write_bytes(damaged)
    with pytest.raises(JournalDamaged) as caught:
        JournalFile.open(path, SetClock())
    assert caught.value.message.startswith(f"{path}: line 2: ")
    assert caught.value.line == 2
    assert path.read_bytes() == damaged


def test_a_journal_that_is_a_directory_or_missing_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StateUnusable, match="Is a directory"):
        JournalFile.open(tmp_path, SetClock())
    with pytest.raises(StateUnusable, match="Is a directory"):
        read_file(tmp_path)
    with pytest.raises(StateUnusable, match="No such file"):
        read_file(tmp_path / "none")


def test_a_link_in_place_of_a_journal_is_not_followed(tmp_path: Path) -> None:
    """What looks like a torn tail is cut off, in whatever file it stands."""
    precious = tmp_path / "precious"
    precious.write_text("one line without an end")
    (tmp_path / "journal.jsonl").symlink_to(precious)
    with pytest.raises(StateUnusable, match="symbolic link"):
        JournalFile.open(tmp_path / "journal.jsonl", SetClock())
    with pytest.raises(StateUnusable):
        new_journal(tmp_path)
    assert precious.read_text() == "one line without an end"


def test_an_opened_file_is_not_inherited(tmp_path: Path) -> None:
    with closing(new_journal(tmp_path)) as journal:
        assert not os.get_inheritable(journal._fd)


def test_an_empty_journal_never_started(tmp_path: Path) -> None:
    new_journal(tmp_path).close()
    assert not read_journal((tmp_path / "journal.jsonl").read_bytes()).started
