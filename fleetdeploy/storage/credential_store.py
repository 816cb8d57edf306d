"""Credentials on disk: `<state dir>/credentials.db`, for all processes of a state directory.

It renews nothing and sends nothing. What a row holds is in `storage/credential_rows.py`, how many
changes share a commit in `storage/group_commit.py`.
"""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self, TypeVar, cast

from fleetdeploy.core.credentials import AppCredential, TpCredential
from fleetdeploy.errors import SettingsInvalid
from fleetdeploy.storage.credential_rows import TABLES, Rows, Vault, get_mark, set_mark
from fleetdeploy.storage.database import ClosedOnExit, Database, Schema
from fleetdeploy.storage.group_commit import GroupCommit, GroupStatistics, Refused
from fleetdeploy.storage.holders import Holders, Names, new_name
from fleetdeploy.storage.sealing import Sealer

FILE_NAME: Final = "credentials.db"

_SCHEMA: Final = Schema(
    version=1,
    create=TABLES,
    loss="The tokens of authorized apps come back from the platform by themselves, "
    "once there is a ticket.",
)

Result = TypeVar("Result")
Work = Callable[[Rows], Result]


class SqliteStore(ClosedOnExit):
    """Implements `ports.CredentialStore`. Make it with `open`; close it, or use it in a `with`."""

    def __init__(self, database: Database, vault: Vault, holders: Holders) -> None:
        self.path = database.path
        self._database = database
        self._vault = vault
        self._holders = holders
        self._group: GroupCommit[Work[object], object] = GroupCommit(self._carry_out)

    @classmethod
    def open(
        cls,
        state_dir: Path,
        sealer: Sealer | None,
        *,
        plain: bool = False,
        names: Names = new_name,
    ) -> Self:
        """Open the store, new and empty if there is none; blocks, for some seconds at most.

        With a sealer, what lies open is sealed, and gone from the disk in the clear on return.
        With `plain` it is the other way round: the sealer opens everything, for good.
        Raises `SettingsInvalid` for a key that is missing, needless or wrong and for a file that
        is open to others, `StateUnusable`.
        """
        path = state_dir / FILE_NAME
        database = Database.open(path, _SCHEMA)
        try:
            vault = _settled(database, sealer, plain=plain)
            return cls(database, vault, Holders.open(state_dir, names))
        except BaseException:
            database.close()
            raise

    @staticmethod
    def is_there(state_dir: Path) -> bool:
        """Say whether anybody ever opened a store here; for those who only read."""
        return (state_dir / FILE_NAME).exists()

    def close(self) -> None:
        """Close the file and give up the name; every later call fails."""
        self._database.close()
        self._holders.close()

    @property
    def holder(self) -> str:
        return self._holders.name

    def is_alive(self, holder: str) -> bool:
        return self._holders.is_alive(holder)

    async def app(self, app_id: str) -> AppCredential:
        return await self._read(lambda rows: rows.app(app_id))

    async def apps(self) -> tuple[AppCredential, ...]:
        return await self._read(Rows.apps)

    async def tp(self) -> TpCredential:
        return await self._read(Rows.tp)

    async def change_app(
        self, app_id: str, change: Callable[[AppCredential], AppCredential]
    ) -> AppCredential:
        """Change an app; see `ports.CredentialStore`. If cancelled: it is changed all the same."""
        return await self._change(lambda rows: rows.change_app(app_id, change))

    async def remove_app(self, app_id: str) -> bool:
        return await self._change(lambda rows: rows.remove_app(app_id))

    async def change_tp(self, change: Callable[[TpCredential], TpCredential]) -> TpCredential:
        return await self._change(lambda rows: rows.change_tp(change))

    async def reseal(self) -> int:
        """Seal every row again, with the first key; return how many there were.

        After it the other keys are not needed. Raises `StateUnusable`.
        """

        def anew(connection: sqlite3.Connection) -> int:
            set_mark(connection, "scrub", b"due")
            return self._rows(connection).seal_anew(self._vault)

        rows = await self._database.change(anew)
        await self._database.in_thread(lambda: _scrub(self._database))
        return rows

    def statistics(self) -> GroupStatistics:
        return self._group.statistics()

    async def _read(self, work: Work[Result]) -> Result:
        return await self._database.read(lambda connection: work(self._rows(connection)))

    async def _change(self, work: Work[Result]) -> Result:
        return cast("Result", await self._group.submit(work))

    async def _carry_out(self, works: Sequence[Work[object]]) -> list[object | Refused]:
        def all_of_them(connection: sqlite3.Connection) -> list[object | Refused]:
            rows = self._rows(connection)
            outcomes = [_outcome(work, rows) for work in works]
            rows.write_back()
            return outcomes

        return await self._database.change(all_of_them)

    def _rows(self, connection: sqlite3.Connection) -> Rows:
        self._vault.check(connection)
        return Rows(connection, self.path, self._vault)


def _outcome(work: Work[object], rows: Rows) -> object | Refused:
    """Let one of many fail alone: it has only computed, and nothing is written yet."""
    try:
        return work(rows)
    except sqlite3.Error:
        raise
    except Exception as error:  # noqa: BLE001 - its own caller gets it
        return Refused(error)


def _settled(database: Database, sealer: Sealer | None, *, plain: bool) -> Vault:
    """Bring the store to be sealed, or open, as it was asked for."""
    if plain and sealer is None:
        raise SettingsInvalid(
            f"the credentials in {database.path} cannot be unsealed without a key",
            hint="give the key they were sealed with",
        )
    wanted = Vault(database.path, None if plain else sealer)

    def settle(connection: sqlite3.Connection) -> None:
        sealed = get_mark(connection, "sealed") is not None
        if sealed == wanted.seals or sealer is None:
            wanted.check(connection)
            return
        before = Vault(database.path, sealer if sealed else None)
        before.check(connection)
        Rows(connection, database.path, before).seal_anew(wanted)
        if wanted.seals:
            set_mark(connection, "scrub", b"due")

    database.change_now(settle)
    _scrub(database)
    return wanted


def _scrub(database: Database) -> None:
    """Remove from the disk what was sealed since; go on where a killed process left off."""
    if database.read_now(lambda connection: get_mark(connection, "scrub")) is not None:
        database.scrub_now()
        database.change_now(lambda connection: set_mark(connection, "scrub", None))
