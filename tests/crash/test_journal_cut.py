"""A journal that was cut at any byte is a shorter journal, and goes on from there (J5)."""

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from fleetdeploy.core.journal_line import Chain, read_journal
from fleetdeploy.storage.journal_file import JournalFile, read_file
from tests.unit.journal_samples import RECORDS_OF_A_RUN, START, SetClock, sample_lines

LINES = sample_lines()
DATA = b"".join(LINES)
ENTRIES = read_journal(DATA).entries

APPENDING = """
import sys
from pathlib import Path
import anyio
from fleetdeploy.core.records import WaveOpened
from fleetdeploy.storage.journal_file import JournalFile
from tests.unit.journal_samples import HEADER, SetClock

async def main():
    journal = JournalFile.create(Path(sys.argv[1]), SetClock())
    await journal.append(HEADER)
    for _ in range(100_000):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(append, journal)

async def append(journal):
    entry = await journal.append(WaveOpened(wave="all"))
    print(entry.seq, flush=True)

anyio.run(main)
"""


@pytest.fixture
def anyio_backend() -> str:
    """Real files and threads need the real loop."""
    return "asyncio"


def test_j5_every_cut_leaves_the_whole_lines_before_it() -> None:
    for cut in range(len(DATA) + 1):
        contents = read_journal(DATA[:cut])
        whole = DATA[:cut].count(b"\n")
        assert contents.entries == ENTRIES[:whole]
        assert contents.end_offset == len(b"".join(LINES[:whole]))
        assert contents.end_offset + contents.torn_bytes == cut


def test_j5_every_cut_filled_with_zeros_leaves_the_same() -> None:
    for cut in range(len(DATA) + 1):
        torn = read_journal(DATA[:cut] + bytes(100))
        assert torn.entries == ENTRIES[: DATA[:cut].count(b"\n")]
        assert torn.end_offset + torn.torn_bytes == cut + 100


def test_every_cut_can_be_gone_on_from() -> None:
    """The chain after a cut gives the same lines as if nothing had happened."""
    for cut in range(0, len(DATA), 7):
        contents = read_journal(DATA[:cut])
        chain = Chain.after(contents)
        rest = [chain.stamp(record, START)[1] for record in RECORDS_OF_A_RUN[chain.seq :]]
        assert DATA[: contents.end_offset] + b"".join(rest) == DATA


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.parametrize("zeros", [0, 300])
async def test_j5_a_file_that_was_cut_is_cut_to_whole_lines_and_goes_on(
    tmp_path: Path, zeros: int
) -> None:
    path = tmp_path / "journal.jsonl"
    for cut in range(0, len(DATA), 31):
        path.write_bytes(DATA[:cut] + bytes(zeros))
        journal, contents = JournalFile.open(path, SetClock())
        with closing(journal):
            assert path.stat().st_size == contents.end_offset
            await journal.append(RECORDS_OF_A_RUN[len(contents.entries)])
        assert path.read_bytes() == b"".join(LINES[: len(contents.entries) + 1])


@pytest.mark.slow
def test_j1_what_a_killed_process_was_told_is_in_its_journal(tmp_path: Path) -> None:
    """SIGKILL in the middle of concurrent appends; each returned one can be read afterwards."""
    path = tmp_path / "journal.jsonl"
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", APPENDING, str(path)]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)  # noqa: S603  # our own interpreter and script
    with process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(40)]
        process.kill()
        told += [int(line) for line in process.stdout if line.endswith("\n")]
    contents = read_file(path)
    assert process.returncode == -signal.SIGKILL
    assert set(told) <= {entry.seq for entry in contents.entries}
