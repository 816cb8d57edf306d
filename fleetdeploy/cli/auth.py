"""The commands about credentials: `fleetdeploy auth`."""

import click

from fleetdeploy.cli.auth_authorizing import authorize_command
from fleetdeploy.cli.auth_keeping import import_command, list_command, remove_command
from fleetdeploy.cli.auth_keys import key_command, reseal_command, unseal_command
from fleetdeploy.cli.auth_rotating import recover_command, refresh_command


@click.group("auth")
def auth_command() -> None:
    """Keep the credentials of apps: bring, look, renew, forget."""


for command in (
    import_command,
    list_command,
    authorize_command,
    refresh_command,
    recover_command,
    remove_command,
    key_command,
    reseal_command,
    unseal_command,
):
    auth_command.add_command(command)
