"""Credentials as rows: what stands in which column, and what of it is sealed.

It opens no file and begins no transaction. A row has an owner, the facts that may lie open (times,
an intent, a consent) and the secrets: whatever a credential does not show in its `repr`.
"""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Final, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from fleetdeploy.core.credentials import AppCredential, TpCredential
from fleetdeploy.errors import SettingsInvalid, StateUnusable
from fleetdeploy.storage.database import scalar
from fleetdeploy.storage.sealing import Sealer

TABLES: Final = (
    "CREATE TABLE credentials (owner BLOB PRIMARY KEY, facts BLOB NOT NULL, secrets BLOB NOT NULL)",
    "CREATE TABLE marks (name TEXT PRIMARY KEY, value BLOB NOT NULL)",
)

_TP: Final = "tp"
_APP: Final = "app:"
_FIRST_APP, _AFTER_APPS = b"app:", b"app;"

_CHECK_OWNER: Final = "store"
_CHECK: Final = b"sealed"
"""What the mark `sealed` holds, sealed: it tells whether a key is right, even without a row."""

_KEY_LOST: Final = "if it is lost, move the file away: authorized apps get new tokens"

Credential = TypeVar("Credential", AppCredential, TpCredential)

_ADAPTERS: Final[dict[type, TypeAdapter[AppCredential] | TypeAdapter[TpCredential]]] = {
    AppCredential: TypeAdapter(AppCredential),
    TpCredential: TypeAdapter(TpCredential),
}
_SECRETS: Final = {
    kind: tuple(field.name for field in fields(kind) if not field.repr)
    for kind in (AppCredential, TpCredential)
}


class Vault:
    """Seals and opens the secrets of one store, or leaves them open where there is no key."""

    def __init__(self, path: Path, sealer: Sealer | None) -> None:
        self._path = path
        self._sealer = sealer
        self._checked: bytes | None = None

    @property
    def seals(self) -> bool:
        return self._sealer is not None

    def check(self, connection: sqlite3.Connection) -> None:
        """Raise `SettingsInvalid` unless the store is sealed with our key, or open and we too.

        To be asked in every transaction: another process may have sealed it anew.
        """
        mark = get_mark(connection, "sealed")
        if mark == self._checked and (mark is None) == (self._sealer is None):
            return
        if self._sealer is None:
            raise SettingsInvalid(
                f"the credentials in {self._path} are sealed, and there is no key",
                hint=f"give the key they were sealed with; {_KEY_LOST}",
            )
        if mark is None:
            raise SettingsInvalid(
                f"the credentials in {self._path} are not sealed any more",
                hint="another process unsealed them; start the command again",
            )
        if self._sealer.open(_CHECK_OWNER, mark) != _CHECK:
            raise SettingsInvalid(
                f"the key does not open the credentials in {self._path}",
                hint=f"give the key they were sealed with, or several keys; {_KEY_LOST}",
            )
        self._checked = mark

    def mark(self, connection: sqlite3.Connection) -> None:
        """Write down how the store is sealed from now on."""
        sealed = None if self._sealer is None else self._sealer.seal(_CHECK_OWNER, _CHECK)
        set_mark(connection, "sealed", sealed)

    def close(self, owner: str, secrets: bytes) -> bytes:
        return secrets if self._sealer is None else self._sealer.seal(owner, secrets)

    def open(self, owner: str, secrets: object) -> bytes:
        if isinstance(secrets, bytes):
            opened = secrets if self._sealer is None else self._sealer.open(owner, secrets)
            # Else what is sealed could be taken for the secret itself, and sealed once more.
            if opened is not None and opened.startswith(b"{"):
                return opened
        raise _unreadable(self._path, owner, "sealed with another key, or damaged")


class Rows:
    """The credentials within one transaction: read when asked for, written back at its end."""

    def __init__(self, connection: sqlite3.Connection, path: Path, vault: Vault) -> None:
        self._connection = connection
        self._path = path
        self._vault = vault
        self._known: dict[str, AppCredential | TpCredential] = {}
        self._changed: dict[str, AppCredential | TpCredential] = {}

    def app(self, app_id: str) -> AppCredential:
        return self._get(_APP + app_id, AppCredential(app_id))

    def tp(self) -> TpCredential:
        return self._get(_TP, TpCredential())

    def apps(self) -> tuple[AppCredential, ...]:
        """Return all apps; of those that cannot be read it raises for the first."""
        query = "SELECT owner, facts, secrets FROM credentials WHERE owner > ? AND owner < ?"
        rows = self._connection.execute(f"{query} ORDER BY owner", (_FIRST_APP, _AFTER_APPS))
        return tuple(self._decode_app(*row) for row in rows)

    def change_app(
        self, app_id: str, change: Callable[[AppCredential], AppCredential]
    ) -> AppCredential:
        changed = change(self.app(app_id))
        assert changed.app_id == app_id
        return self._put(_APP + app_id, changed)

    def change_tp(self, change: Callable[[TpCredential], TpCredential]) -> TpCredential:
        return self._put(_TP, change(self.tp()))

    def remove_app(self, app_id: str) -> bool:
        """Forget an app, also one whose row cannot be read."""
        owner = _APP + app_id
        if owner in self._changed:
            there = self._changed[owner] != AppCredential(app_id)
        else:
            query = "SELECT 1 FROM credentials WHERE owner = ?"
            there = scalar(self._connection, query, _key(owner)) is not None
        self._known[owner] = self._changed[owner] = AppCredential(app_id)
        return there

    def write_back(self) -> None:
        """Write what was changed; what is empty by now is not kept."""
        for owner, credential in self._changed.items():
            if credential in (AppCredential(owner.removeprefix(_APP)), TpCredential()):
                self._connection.execute("DELETE FROM credentials WHERE owner = ?", (_key(owner),))
            else:
                self._write(owner, credential)

    def seal_anew(self, vault: Vault) -> int:
        """Write every row, and how the store is sealed, as another vault does it."""
        # Read at once, because the table changes under the reader.
        rows = self._connection.execute(_READ_ALL).fetchall()
        for key, facts, secrets in rows:
            owner = _name(key)
            closed = vault.close(owner, self._vault.open(owner, secrets))
            self._connection.execute(_WRITE, (key, facts, closed))
        vault.mark(self._connection)
        return len(rows)

    def _get(self, owner: str, empty: Credential) -> Credential:
        found = self._known.get(owner)
        if found is None:
            row = self._connection.execute(_READ, (_key(owner),)).fetchone()
            found = self._known[owner] = self._decode(owner, row, empty) if row else empty
        assert isinstance(found, type(empty))
        return found

    def _put(self, owner: str, credential: Credential) -> Credential:
        if credential != self._known[owner]:
            self._known[owner] = self._changed[owner] = credential
        return credential

    def _decode_app(self, owner: object, facts: object, secrets: object) -> AppCredential:
        name = _name(owner)
        return self._decode(name, (facts, secrets), AppCredential(name.removeprefix(_APP)))

    def _decode(self, owner: str, row: tuple[object, object], empty: Credential) -> Credential:
        facts, secrets = row
        decoded = _decoded(facts, self._vault.open(owner, secrets), empty)
        if decoded is None:
            raise _unreadable(self._path, owner, "damaged")
        return decoded

    def _write(self, owner: str, credential: AppCredential | TpCredential) -> None:
        kind = type(credential)
        adapter = cast("TypeAdapter[AppCredential | TpCredential]", _ADAPTERS[kind])
        values = adapter.dump_python(credential, mode="json", exclude_defaults=True)
        values.pop("app_id", None)
        secrets = {name: values.pop(name) for name in _SECRETS[kind] if name in values}
        closed = self._vault.close(owner, _json(secrets))
        self._connection.execute(_WRITE, (_key(owner), _json(values), closed))


_READ: Final = "SELECT facts, secrets FROM credentials WHERE owner = ?"
_READ_ALL: Final = "SELECT owner, facts, secrets FROM credentials"
_WRITE: Final = "INSERT OR REPLACE INTO credentials VALUES (?, ?, ?)"


def _decoded(facts: object, secrets: bytes, empty: Credential) -> Credential | None:
    """Return None for what no credential can be made of; the errors would quote it."""
    try:
        values = json.loads(cast("bytes", facts)) | json.loads(secrets)
        if "app_id" in values:
            return None
        if isinstance(empty, AppCredential):
            values["app_id"] = empty.app_id
        adapter = cast("TypeAdapter[Credential]", _ADAPTERS[type(empty)])
        return adapter.validate_python(values)
    except (ValueError, TypeError, RecursionError, ValidationError):
        return None


def _json(values: object) -> bytes:
    # Escaped to ASCII, so that any text comes back as it was, half surrogates included.
    return json.dumps(values, separators=(",", ":")).encode("ascii")


def _key(owner: str) -> bytes:
    return owner.encode("utf-8", "surrogatepass")


def _name(owner: object) -> str:
    """Return an owner's name; of a damaged one, what can be said of it."""
    try:
        return bytes.decode(owner, "utf-8", "surrogatepass")  # type: ignore[arg-type]
    except (TypeError, UnicodeDecodeError):
        return ascii(owner)


def get_mark(connection: sqlite3.Connection, name: str) -> bytes | None:
    """Return what is noted of the store as a whole."""
    value = scalar(connection, "SELECT value FROM marks WHERE name = ?", name)
    return value if isinstance(value, bytes) else None


def set_mark(connection: sqlite3.Connection, name: str, value: bytes | None) -> None:
    if value is None:
        connection.execute("DELETE FROM marks WHERE name = ?", (name,))
    else:
        connection.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (name, value))


def _unreadable(path: Path, owner: str, why: str) -> StateUnusable:
    app_id = owner.removeprefix(_APP)
    if owner == _TP:
        return StateUnusable(
            f"the credential of the third-party platform in {path} cannot be read: {why}",
            hint="give all keys, the newest first; or move the file away: a new one is made",
        )
    return StateUnusable(
        f"the credential of app {app_id} in {path} cannot be read: {why}",
        hint=f"give all keys, the newest first; or type: fleetdeploy auth remove {app_id}",
    )
