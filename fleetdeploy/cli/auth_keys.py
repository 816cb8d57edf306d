"""The `auth` commands about the key of the store: `key`, `reseal`, `unseal`."""

import anyio
import click

from fleetdeploy.cli.auth_asking import confirm
from fleetdeploy.cli.options import Desk, common
from fleetdeploy.cli.render.auth_results import Sealing, StoreKey, render_key, render_sealing
from fleetdeploy.cli.settings import KEY_SOURCES, Settings
from fleetdeploy.cli.settings_sources import PREFIX
from fleetdeploy.cli.vault import open_store
from fleetdeploy.core.credentials import TpCredential
from fleetdeploy.errors import ExitCode, UsageInvalid
from fleetdeploy.storage.credential_store import SqliteStore
from fleetdeploy.storage.sealing import new_key

_HOW = f"""\
keep it where only this user can read it, and a copy where the state directory is not; then set one:
  {PREFIX}STORE_KEY_FILE   a file (mode 0600) that holds it
  {PREFIX}STORE_KEYRING    SERVICE/USER of an entry of the system's keyring
  {PREFIX}STORE_KEY        the key itself
the next command that opens the store seals it; to change keys put the new one first, keep the old
one behind it, and type: fleetdeploy auth reseal"""


@click.command("key")
@common()
def key_command(desk: Desk) -> ExitCode:
    """Print a fresh key to seal the store with; changes nothing."""
    desk.print(render_key(StoreKey(key=new_key()), desk.output))
    desk.say(_HOW)
    return ExitCode.OK


@click.command("reseal")
@common()
def reseal_command(desk: Desk) -> ExitCode:
    """Seal everything anew with the first key.

    The other keys are not needed afterwards.
    """
    _check(desk.settings, "to seal with")
    sealing = Sealing(sealed=True, credentials=anyio.run(_reseal, desk.settings))
    desk.print(render_sealing(sealing, desk.output))
    return ExitCode.OK


@click.command("unseal")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common()
def unseal_command(desk: Desk, *, yes: bool) -> ExitCode:
    """Take the seal off the store for good."""
    _check(desk.settings, "that it was sealed with")
    confirm("Whoever reads the disk can then use every token.", "unseal", yes=yes)
    sealing = Sealing(sealed=False, credentials=anyio.run(_unseal, desk.settings))
    desk.print(render_sealing(sealing, desk.output))
    desk.say("take the key out of the settings now: the next command would seal the store again")
    return ExitCode.OK


def _check(settings: Settings, what_for: str) -> None:
    if not SqliteStore.is_there(settings.state_dir):
        raise UsageInvalid(
            f"there is no store in {settings.state_dir}", hint="a new one is sealed by itself"
        )
    if all(getattr(settings, name) is None for name in KEY_SOURCES):
        names = ", ".join(f"{PREFIX}{name.upper()}" for name in KEY_SOURCES)
        raise UsageInvalid(f"there is no key {what_for}", hint=f"set one of {names}")


async def _reseal(settings: Settings) -> int:
    with open_store(settings) as store:
        return await store.reseal()


async def _unseal(settings: Settings) -> int:
    with open_store(settings, plain=True) as store:
        return len(await store.apps()) + (await store.tp() != TpCredential())
