"""The credentials and notices of a state directory, opened as the settings say."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import Random

from fleetdeploy.auth.keeper import Credentials
from fleetdeploy.cli.process import SystemClock
from fleetdeploy.cli.settings import Settings
from fleetdeploy.errors import SettingsInvalid
from fleetdeploy.ports import Authority
from fleetdeploy.storage.credential_store import SqliteStore
from fleetdeploy.storage.notice_log import SqliteNoticeLog
from fleetdeploy.storage.run_dir import StateDir
from fleetdeploy.storage.sealing import Sealer, key_from_keyring, read_key_file


def sealer_of(settings: Settings) -> Sealer | None:
    """Return what seals credentials on disk, None where they lie open to this user."""
    if settings.store_key is not None:
        return Sealer.from_text(settings.store_key.get_secret_value())
    if settings.store_key_file is not None:
        return Sealer.from_text(read_key_file(settings.store_key_file))
    if settings.store_keyring is not None:
        service, _, user = settings.store_keyring.partition("/")
        return Sealer.from_text(key_from_keyring(service, user))
    return None


def open_store(settings: Settings, *, plain: bool = False) -> SqliteStore:
    """Open the store of credentials, new if there is none; `plain` opens it up for good.

    Raises `SettingsInvalid` and `StateUnusable`.
    """
    StateDir(settings.state_dir).ensure()
    return SqliteStore.open(settings.state_dir, sealer_of(settings), plain=plain)


def open_log(settings: Settings) -> SqliteNoticeLog:
    """Open the log of notices, new if there is none."""
    StateDir(settings.state_dir).ensure()
    return SqliteNoticeLog.open(settings.state_dir, SystemClock())


@asynccontextmanager
async def keep_credentials(
    settings: Settings, authority: Authority, rng: Random
) -> AsyncGenerator[Credentials]:
    """Keep the credentials of the state directory while the block runs."""
    ticket = settings.tp_ticket.get_secret_value() if settings.tp_ticket else ""
    with open_store(settings) as store:
        async with Credentials.keeping(
            store, authority, SystemClock(), rng, ticket=ticket
        ) as credentials:
            yield credentials


def client_id_of(settings: Settings) -> str:
    """Return the third-party platform's key; raises `SettingsInvalid` without one."""
    if settings.tp_client_id is None:
        raise SettingsInvalid(
            "the third-party platform's key is not set: FLEETDEPLOY_TP_CLIENT_ID",
            hint="it stands in the platform's console; docs/credentials.md tells the rest",
        )
    return settings.tp_client_id.get_secret_value()
