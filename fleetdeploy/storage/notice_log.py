"""The notices of the last days on disk: `<state dir>/notices.db`, for all its processes.

It holds no secrets: of a push that brings a ticket or a code only the key is kept, and the notice.
Beside the notices lie a few facts that processes share: when a push or the platform's list last
spoke, how far the list was read, and whose turn it is to read it.

How it works: appends that come together share a commit, and each commit is a handful of statements
however many pushes it holds, because a thread has to wait for its turn at the interpreter after
each. A key is kept as its digest, so that a long one costs no more.
"""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final, Self

from pydantic import TypeAdapter, ValidationError

from fleetdeploy.model import Notice, Push
from fleetdeploy.ports import LoggedNotice, WallClock
from fleetdeploy.storage.database import ClosedOnExit, Database, Schema, scalar
from fleetdeploy.storage.group_commit import GroupCommit, GroupStatistics, Refused

FILE_NAME: Final = "notices.db"

KEEP_S: Final = 30 * 86400.0
"""The platform's list goes back a month (platform-api.md 6): what is on it is still known."""

ANSWER_MAX: Final = 10_000
"""Notices of one `since`: some megabytes."""

PRUNE_EVERY: Final = 250
PRUNE_MAX: Final = 500
"""So many rows are looked at whenever so many came: twice as many go as come, in a millisecond."""

ALIVE_STEP_S: Final = 1.0
"""How late `last_alive` may be: hundreds of pushes a second need not all write it down."""

_SCHEMA: Final = Schema(
    version=1,
    create=(
        """CREATE TABLE notices (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            key TEXT NOT NULL UNIQUE,
            received_at REAL NOT NULL,
            notice BLOB)""",
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value REAL NOT NULL)",
    ),
    loss="Nothing else is lost: notices are hints, and runs look for themselves.",
)

_NOTICE: Final = TypeAdapter(Notice)


class SqliteNoticeLog(ClosedOnExit):
    """Implements `ports.NoticeLog`. Make it with `open`; close it, or use it in a `with`."""

    def __init__(self, database: Database, clock: WallClock, keep_s: float) -> None:
        self.path = database.path
        self._database = database
        self._clock = clock
        self._keep_s = keep_s
        self._group: GroupCommit[Sequence[Push], int] = GroupCommit(self._carry_out)
        self._until_prune = 0
        self._noted: dict[str, float] = {}

    @classmethod
    def open(cls, state_dir: Path, clock: WallClock, *, keep_s: float = KEEP_S) -> Self:
        """Open the log, new and empty if there is none; blocks, for some seconds at most.

        Raises `SettingsInvalid` where others can read it, and `StateUnusable`.
        """
        return cls(Database.open(state_dir / FILE_NAME, _SCHEMA), clock, keep_s)

    def close(self) -> None:
        """Close the file; every later call fails."""
        self._database.close()

    async def append(self, pushes: Sequence[Push]) -> int:
        """Keep what is new; see `ports.NoticeLog`. If cancelled: all of it is kept."""
        return await self._group.submit(pushes) if pushes else 0

    async def knows(self, key: str) -> bool:
        query = "SELECT 1 FROM notices WHERE key = ?"
        return await self._database.read(lambda db: scalar(db, query, digest(key)) is not None)

    async def since(self, position: int) -> tuple[LoggedNotice, ...]:
        """Return the notices after a position, 10,000 at most: ask again after the last of them."""
        query = (
            "SELECT position, received_at, notice FROM notices WHERE position > ? "
            "AND notice IS NOT NULL ORDER BY position LIMIT ?"
        )
        rows = await self._database.read(
            lambda db: db.execute(query, (position, ANSWER_MAX)).fetchall()
        )
        # A row that is damaged is one hint less, and must not keep the others back.
        return tuple(logged for row in rows if (logged := _decoded(*row)) is not None)

    async def end(self) -> int:
        # Not the highest that is there: it stays the end when it is dropped.
        query = "SELECT seq FROM sqlite_sequence WHERE name = 'notices'"
        seq = await self._database.read(lambda db: scalar(db, query))
        return seq if isinstance(seq, int) else 0

    async def note_alive(self, kind: str, at: float) -> None:
        """Note that a source of notices spoke."""
        # The later write wins and not the later time: a clock that was wrong is forgotten.
        noted = self._noted.get(kind)
        if noted is None or abs(at - noted) >= ALIVE_STEP_S:
            self._noted[kind] = at
            await self._set_fact(f"alive:{kind}", at)

    async def last_alive(self, kind: str) -> float | None:
        """Return when a source last spoke to any process here; some 1 s late at most."""
        return await self._fact(f"alive:{kind}")

    async def take_turn(self, what: str, now: float, every_s: float) -> bool:
        """Say whether it is our turn to do something that one process does every so often.

        Of all processes that ask within `every_s` one is told so, and has the turn, whatever
        becomes of it. A turn far in the future was taken by a clock that was wrong; it is void.
        """
        name = f"turn:{what}"
        # Most are told so without a write.
        if is_taken(await self._fact(name), now, every_s):
            return False

        def take(connection: sqlite3.Connection) -> bool:
            if is_taken(_get_fact(connection, name), now, every_s):
                return False
            _put_fact(connection, name, now)
            return True

        return await self._database.change(take)

    async def cursor(self, name: str) -> float | None:
        """Return how far something was read, in the reader's own terms; None if never."""
        return await self._fact(f"cursor:{name}")

    async def set_cursor(self, name: str, value: float) -> None:
        await self._set_fact(f"cursor:{name}", value)

    def statistics(self) -> GroupStatistics:
        """Count appends and commits."""
        return self._group.statistics()

    async def _fact(self, name: str) -> float | None:
        return await self._database.read(lambda connection: _get_fact(connection, name))

    async def _set_fact(self, name: str, value: float) -> None:
        await self._database.change(lambda connection: _put_fact(connection, name, value))

    async def _carry_out(self, appends: Sequence[Sequence[Push]]) -> list[int | Refused]:
        now = self._clock.now().timestamp()
        return await self._database.change(lambda db: self._append_all(db, appends, now))

    def _append_all(
        self, connection: sqlite3.Connection, appends: Sequence[Sequence[Push]], now: float
    ) -> list[int | Refused]:
        keyed = [[(digest(push.key), push) for push in pushes] for pushes in appends]
        known = _known(connection, [key for pushes in keyed for key, _ in pushes])
        counts: list[int | Refused] = []
        rows: list[tuple[str, str | None]] = []
        for pushes in keyed:
            before = len(rows)
            for key, push in pushes:
                if key not in known:
                    known.add(key)
                    rows.append((key, _text(push.notice)))
            counts.append(len(rows) - before)
        if rows:
            connection.execute(_INSERT, (now, json.dumps(rows)))
            self._prune(connection, len(rows), now)
        return counts

    def _prune(self, connection: sqlite3.Connection, came: int, now: float) -> None:
        """Drop what is too old now and then: of the oldest rows, a bounded number."""
        self._until_prune -= came
        if self._until_prune <= 0:
            self._until_prune = PRUNE_EVERY
            # What is far in the future came while the clock was wrong.
            times = (now - self._keep_s, now + self._keep_s)
            connection.execute(_PRUNE, (max(PRUNE_MAX, 2 * came), *times))


_INSERT: Final = (
    "INSERT INTO notices (key, received_at, notice) "
    "SELECT json_extract(value, '$[0]'), ?1, json_extract(value, '$[1]') FROM json_each(?2)"
)
_PRUNE: Final = (
    "DELETE FROM notices WHERE position IN "
    "(SELECT position FROM notices ORDER BY position LIMIT ?) "
    "AND NOT received_at BETWEEN ? AND ?"
)


def digest(key: str) -> str:
    """Return what stands for a key in the log."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _known(connection: sqlite3.Connection, keys: list[str]) -> set[str]:
    query = (
        "SELECT json_group_array(key) FROM notices WHERE key IN (SELECT value FROM json_each(?))"
    )
    known = scalar(connection, query, json.dumps(keys))
    assert isinstance(known, bytes)
    return set(json.loads(known))


def _text(notice: Notice | None) -> str | None:
    # Escaped to ASCII twice over, so that SQLite meets no text that it could not keep.
    return None if notice is None else json.dumps(asdict(notice))


def _decoded(position: int, received_at: object, notice: object) -> LoggedNotice | None:
    if not isinstance(received_at, float) or not isinstance(notice, bytes):
        return None
    try:
        return LoggedNotice(position, received_at, _NOTICE.validate_python(json.loads(notice)))
    except (ValueError, RecursionError, ValidationError):
        return None


def _get_fact(connection: sqlite3.Connection, name: str) -> float | None:
    value = scalar(connection, "SELECT value FROM facts WHERE name = ?", name)
    return value if isinstance(value, float) else None


def _put_fact(connection: sqlite3.Connection, name: str, value: float) -> None:
    connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def is_taken(taken_at: float | None, now: float, every_s: float) -> bool:
    # Both ways, because whoever read the clock first need not be the first to ask.
    return taken_at is not None and abs(now - taken_at) < every_s
