"""The commands about credentials: `fleetdeploy auth`."""

from typing import Final

from fleetdeploy.cli.lazy import LazyGroup

COMMANDS: Final = {
    "import": "fleetdeploy.cli.auth_keeping:import_command",
    "list": "fleetdeploy.cli.auth_keeping:list_command",
    "authorize": "fleetdeploy.cli.auth_authorizing:authorize_command",
    "refresh": "fleetdeploy.cli.auth_rotating:refresh_command",
    "recover": "fleetdeploy.cli.auth_rotating:recover_command",
    "remove": "fleetdeploy.cli.auth_keeping:remove_command",
    "key": "fleetdeploy.cli.auth_keys:key_command",
    "reseal": "fleetdeploy.cli.auth_keys:reseal_command",
    "unseal": "fleetdeploy.cli.auth_keys:unseal_command",
}

auth_command = LazyGroup(
    "auth",
    places=COMMANDS,
    help="Keep the credentials of apps: bring, look, renew, forget.",
)
