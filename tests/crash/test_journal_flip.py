"""A journal that was changed at any byte before its tail is refused, and the line is named (J5)."""

import pytest

from fleetdeploy.core.journal_line import read_journal
from fleetdeploy.errors import JournalDamaged
from tests.unit.journal_samples import sample_lines

LINES = sample_lines()
DATA = b"".join(LINES)
FLIPS = (0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF)
"""Each bit, and all at once."""


def flipped(offset: int, flip: int) -> bytes:
    damaged = bytearray(DATA)
    damaged[offset] ^= flip
    return bytes(damaged)


def refused_line(data: bytes) -> int:
    with pytest.raises(JournalDamaged) as caught:
        read_journal(data)
    assert caught.value.message.startswith(f"line {caught.value.line}: ")
    return caught.value.line


@pytest.mark.parametrize("flip", FLIPS)
def test_j5_every_changed_byte_before_the_last_line_is_refused_by_line(flip: int) -> None:
    last_line = len(DATA) - len(LINES[-1])
    for offset in range(last_line):
        number = DATA[:offset].count(b"\n") + 1
        assert refused_line(flipped(offset, flip)) == number, f"byte {offset}"


@pytest.mark.parametrize("flip", FLIPS)
def test_j5_a_changed_link_in_the_last_line_names_it_or_the_one_before(flip: int) -> None:
    """The last two lines disagree and nobody can tell which is right; the message names both."""
    link = len(DATA) - len('0123456789abcdef"}\n')
    for offset in range(link, link + 16):
        with pytest.raises(JournalDamaged) as caught:
            read_journal(flipped(offset, flip))
        if b"\n" not in flipped(offset, flip)[link:-1]:
            assert caught.value.line in {len(LINES) - 1, len(LINES)}


def test_j5_a_changed_last_line_is_refused_or_says_something_valid() -> None:
    """The limit of the chain: nobody vouches for the last line yet."""
    for offset in range(len(DATA) - len(LINES[-1]), len(DATA) - 1):
        try:
            contents = read_journal(flipped(offset, 0x01))
        except JournalDamaged as error:
            assert error.line in {len(LINES) - 1, len(LINES)}  # noqa: PT017  # both ways are right
        else:
            assert contents.entries[:-1] == read_journal(DATA).entries[:-1]
            assert contents.torn_bytes == 0


def test_j5_every_line_that_is_lost_or_doubled_is_refused_there() -> None:
    for number in range(1, len(LINES)):
        assert refused_line(b"".join(LINES[: number - 1] + LINES[number:])) == number
        doubled = [*LINES[:number], LINES[number - 1], *LINES[number:]]
        assert refused_line(b"".join(doubled)) == number + 1
