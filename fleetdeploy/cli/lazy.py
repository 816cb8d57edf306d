"""A group whose commands are imported when they are asked for.

Telling a status needs no HTTP, and a run needs no simulator: what is not imported costs no time.
"""

from collections.abc import Mapping
from importlib import import_module

import click


class LazyGroup(click.Group):
    """Knows its commands by name and place, `module:attribute`; the order is that of the names."""

    def __init__(
        self,
        name: str | None = None,
        *,
        places: Mapping[str, str],
        help: str,  # noqa: A002 - as click calls it
        context_settings: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(name, help=help, context_settings=dict(context_settings or {}))
        self._places = dict(places)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self._places, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self._places.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command
