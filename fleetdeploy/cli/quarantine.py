"""The commands about apps that are set aside: `fleetdeploy quarantine`."""

from typing import Final

from fleetdeploy.cli.lazy import LazyGroup

COMMANDS: Final = {
    "list": "fleetdeploy.cli.quarantining:list_command",
    "add": "fleetdeploy.cli.quarantining:add_command",
    "clear": "fleetdeploy.cli.quarantining:clear_command",
}

quarantine_command = LazyGroup(
    "quarantine",
    places=COMMANDS,
    help="Apps that rollouts leave alone for the time being: look, set aside, let back.",
)
