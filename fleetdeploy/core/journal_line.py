"""The lines of a journal: a record to bytes and back, each line chained to the one before.

This module opens no file and decides nothing about durability; see `storage/journal_file.py`.

How it works: a line is one compact JSON object in UTF-8, `seq`, `at` and `kind` first, `prev` last,
ended by a newline. `prev` is the digest of the whole line before, so a line that was changed,
removed or moved shows at the next one. Fields that hold their default are left out, except in the
header, which is written whole. Every default that is left out is an empty value (null, false, no
items): absent means empty, in this version and in all later ones of the same format.

What follows the last newline is a torn write: its record was never reported as durable, so it is
cut off. A line that does end in a newline and fails its checks is damage, wherever it stands.
"""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO, Final, Self, get_args

from pydantic import ValidationError
from pydantic_core import from_json

from fleetdeploy.core.findings import path_text
from fleetdeploy.core.records import (
    FORMAT,
    RECORDS,
    AnyAppRecord,
    Entry,
    RunRecord,
    RunStarted,
)
from fleetdeploy.errors import JournalDamaged

NO_PREV: Final = "0" * 16
"""The `prev` of the first record."""

MAX_LINE_BYTES: Final = 8 * 1024 * 1024
"""A reader holds whole lines in memory. A record takes a few hundred bytes; a kept `msg`, more."""

KINDS: Final = frozenset(
    record.model_fields["kind"].default for record in get_args(RunRecord | AnyAppRecord)
)
_HEADER: Final = RunStarted.model_fields["kind"].default
_NEWER: Final = "if a newer fleetdeploy wrote this journal, use that version"
_DAMAGED: Final = "keep a copy of the file; a new run takes on what this one left unfinished"
_QUOTE_CHARS: Final = 40
_REASON_CHARS: Final = 200
_TIME_CHARS: Final = len("2026-11-24T03:07:00.123Z")


def digest_of(line: bytes) -> str:
    """Return what the next line says of this one: 16 hex digits over all its bytes, newline too."""
    return hashlib.sha256(line).hexdigest()[:16]


def encode_line(entry: Entry, prev: str) -> bytes:
    """Write an entry as one line, newline included; `prev` is the digest of the line before."""
    record = entry.record
    assert (entry.seq == 0) == isinstance(record, RunStarted), "the header comes first, and once"
    assert entry.at == to_millisecond(entry.at), "times are kept in whole milliseconds, UTC"
    body = record.model_dump_json(exclude={"kind"}, exclude_defaults=record.kind != _HEADER)
    at = entry.at.isoformat(timespec="milliseconds").removesuffix("+00:00")
    fields = f",{body[1:-1]}" if len(body) > len("{}") else ""
    text = f'{{"seq":{entry.seq},"at":"{at}Z","kind":"{record.kind}"{fields},"prev":"{prev}"}}\n'
    line = text.encode()
    assert len(line) <= MAX_LINE_BYTES, "a record must be readable again"
    return line


def decode_line(line: bytes, *, seq: int, prev: str) -> Entry:
    """Read one whole line that must be record `seq` and follow the line whose digest is `prev`.

    Raises `JournalDamaged` with the line's number, which is `seq` + 1.
    """
    number = seq + 1
    value = _parse(line, number)
    _check_header(value, number)
    # Compared as written: to Python, true and 1.0 are 1 too.
    if repr(value.get("seq")) != str(seq):
        raise _damaged(number, f"expected record {seq}, found {_quote(value.get('seq'))}")
    if value.get("prev") != prev:
        raise _damaged(number, "it does not follow from the line before")
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        what = f"line {number}: unknown kind {_quote(kind)}"
        raise JournalDamaged(what, line=number, hint=_NEWER)
    return Entry(seq, _decode_time(value.get("at"), number), _decode_record(line, number))


def _parse(line: bytes, number: int) -> dict[str, object]:
    value = _peek(line)
    if not value:
        raise _damaged(number, "not a JSON object")
    return value


def _check_header(value: dict[str, object], number: int) -> None:
    """Check that the header is the first record and no other, and that its format is ours."""
    is_header = value.get("kind") == _HEADER
    if number == 1 and not is_header:
        raise _damaged(number, f"expected the header {_HEADER}, found {_quote(value.get('kind'))}")
    if number > 1 and is_header:
        raise _damaged(number, "a second header")
    if is_header and value.get("format") != FORMAT:
        found = _quote(value.get("format"))
        raise JournalDamaged(
            f"line {number}: format {found}; this version reads format {FORMAT}",
            line=number,
            hint=_NEWER,
        )


def _decode_time(text: object, number: int) -> datetime:
    try:
        if isinstance(text, str) and len(text) == _TIME_CHARS and text.endswith("Z"):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise _damaged(number, f"at: not a time in UTC with milliseconds: {_quote(text)}")


def _decode_record(line: bytes, number: int) -> RunRecord | AnyAppRecord:
    try:
        return RECORDS.validate_json(line, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = path_text(first["loc"][1:])
        raise _damaged(number, f"{path}: {first['msg']}"[:_REASON_CHARS]) from None


def _damaged(number: int, reason: str) -> JournalDamaged:
    return JournalDamaged(f"line {number}: {reason}", line=number, hint=_DAMAGED)


def _quote(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _QUOTE_CHARS else text[:_QUOTE_CHARS] + "..."


def to_millisecond(at: datetime) -> datetime:
    """Return the time as a journal keeps it: in UTC, cut to whole milliseconds."""
    utc = at.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


class Chain:
    """Where the next record goes. Stamps records in the order of the calls."""

    def __init__(self, *, seq: int = 0, prev: str = NO_PREV, at: datetime | None = None) -> None:
        self.seq = seq
        self.prev = prev
        self.at = at

    @classmethod
    def after(cls, contents: "JournalContents") -> Self:
        """Go on where a journal ends."""
        last = contents.entries[-1].at if contents.entries else None
        return cls(seq=len(contents.entries), prev=contents.last_digest, at=last)

    def stamp(self, record: RunRecord | AnyAppRecord, now: datetime) -> tuple[Entry, bytes]:
        """Give the record its place; return it with its line.

        Times never go backwards in a journal: a clock that was set back, or another machine's,
        repeats the time of the record before until it has caught up.
        """
        at = to_millisecond(now)
        if self.at is not None:
            at = max(at, self.at)
        entry = Entry(self.seq, at, record)
        line = encode_line(entry, self.prev)
        self.seq, self.prev, self.at = self.seq + 1, digest_of(line), at
        return entry, line


@dataclass(frozen=True, slots=True)
class JournalContents:
    """What a journal says. `torn_bytes` follow the last whole line, which ends at `end_offset`."""

    entries: tuple[Entry, ...] = ()
    torn_bytes: int = 0
    end_offset: int = 0
    last_digest: str = NO_PREV

    @property
    def started(self) -> bool:
        """Say whether there is a header; without one the run never started and sent nothing."""
        return bool(self.entries)


class JournalReader:
    """Reads a journal line by line; holds two lines in memory, whatever the size of the file.

    `torn_bytes`, `end_offset` and `last_digest` are final when the iteration has ended.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.torn_bytes = 0
        self.end_offset = 0
        self.last_digest = NO_PREV

    def __iter__(self) -> Iterator[Entry]:
        seq = 0
        while line := self._source.readline(MAX_LINE_BYTES):
            if not line.endswith(b"\n"):
                self._measure_tail(line, seq + 1)
                return
            yield self._decode(line, seq)
            self.end_offset += len(line)
            self.last_digest = digest_of(line)
            seq += 1

    def _decode(self, line: bytes, seq: int) -> Entry:
        try:
            return decode_line(line, seq=seq, prev=self.last_digest)
        except JournalDamaged:
            self._blame_line_before(line, seq)
            raise

    def _blame_line_before(self, line: bytes, seq: int) -> None:
        """Raise for line `seq` where it is the one that was changed, not the one after it.

        A broken link shows at its later end. If the line there is itself vouched for by the next
        one, it is sound; at the end of the file, the earlier and longer of the two is named.
        """
        value = _peek(line)
        if seq == 0 or value.get("seq") != seq or value.get("prev") == self.last_digest:
            return
        following = self._source.readline(MAX_LINE_BYTES)
        if not following.endswith(b"\n") or _peek(following).get("prev") == digest_of(line):
            raise _damaged(
                seq, f"changed after it was written: line {seq + 1} does not follow from it"
            )

    def _measure_tail(self, head: bytes, number: int) -> None:
        """Count what follows the last newline; a newline beyond the bound is no torn write."""
        self.torn_bytes = len(head)
        while more := self._source.readline(MAX_LINE_BYTES):
            if more.endswith(b"\n"):
                raise _damaged(number, f"longer than {MAX_LINE_BYTES} bytes")
            self.torn_bytes += len(more)


def _peek(line: bytes) -> dict[str, object]:
    """Return what a line that may be damaged says; nothing if it cannot be read."""
    try:
        value: object = from_json(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def read_journal(source: bytes | BinaryIO) -> JournalContents:
    """Read a whole journal, from its first byte.

    Raises `JournalDamaged` with the number of the line; a torn tail is no damage.
    """
    reader = JournalReader(io.BytesIO(source) if isinstance(source, bytes) else source)
    entries = tuple(reader)
    return JournalContents(entries, reader.torn_bytes, reader.end_offset, reader.last_digest)
