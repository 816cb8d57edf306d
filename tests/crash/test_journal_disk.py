"""A disk that fails at any write or sync: what was acknowledged stays, and nothing else counts."""

import errno
import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleetdeploy.errors import JournalWriteFailed
from fleetdeploy.storage.journal_file import Disk, JournalFile
from tests.unit.journal_samples import RECORDS_OF_A_RUN, SetClock, sample_lines

LINES = sample_lines()


@pytest.fixture
def anyio_backend() -> str:
    """Real files and threads need the real loop."""
    return "asyncio"


@dataclass
class FullDisk:
    """A disk with room for so many bytes more."""

    room: int

    def write(self, fd: int, data: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = os.write(fd, data[: self.room])
        self.room -= written
        return written


@dataclass
class DyingDisk:
    """A disk that works for so many syncs more."""

    syncs_left: int

    def sync(self, fd: int) -> None:
        if not self.syncs_left:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.syncs_left -= 1
        os.fdatasync(fd)


async def append_until_failure(path: Path, disk: Disk) -> int:
    """Append a whole run; return how many records were acknowledged."""
    acknowledged = 0
    with closing(JournalFile.create(path, SetClock(), disk=disk)) as journal:
        try:
            for record in RECORDS_OF_A_RUN:
                await journal.append(record)
                acknowledged += 1
        except JournalWriteFailed:
            with pytest.raises(JournalWriteFailed):
                await journal.append(RECORDS_OF_A_RUN[acknowledged])
    return acknowledged


@pytest.mark.anyio
@pytest.mark.slow
async def test_j2_a_disk_that_fills_up_at_any_byte_keeps_what_was_acknowledged(
    tmp_path: Path,
) -> None:
    for room in range(0, sum(map(len, LINES)), 23):
        path = tmp_path / f"{room}.jsonl"
        acknowledged = await append_until_failure(path, Disk(write=FullDisk(room).write))
        assert acknowledged < len(LINES)
        assert path.read_bytes() == b"".join(LINES[:acknowledged])
        journal, contents = JournalFile.open(path, SetClock())
        with closing(journal):
            assert len(contents.entries) == acknowledged
            await journal.append(RECORDS_OF_A_RUN[acknowledged])


@pytest.mark.anyio
async def test_j2_a_disk_that_fails_at_any_sync_keeps_what_was_acknowledged(
    tmp_path: Path,
) -> None:
    for syncs in range(len(LINES)):
        path = tmp_path / f"{syncs}.jsonl"
        acknowledged = await append_until_failure(path, Disk(sync=DyingDisk(syncs).sync))
        assert acknowledged == syncs
        assert path.read_bytes() == b"".join(LINES[:syncs])
