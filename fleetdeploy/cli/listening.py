"""The command that receives the platform's pushes for all runs of a state directory: `listen`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import Random

import anyio
import click

from fleetdeploy.auth.keeper import Credentials
from fleetdeploy.baidu.http import HttpTransport
from fleetdeploy.cli.connect import ONE_OFF, authority_on
from fleetdeploy.cli.hearing import (
    LOOPBACK,
    Ears,
    hearing,
    keep_tp_token,
    push_reader,
    say_where,
)
from fleetdeploy.cli.options import Desk, common
from fleetdeploy.cli.process import Interrupts
from fleetdeploy.cli.render.pushes import render_pushes
from fleetdeploy.cli.vault import keep_credentials
from fleetdeploy.cli.watching import Watcher, open_watcher
from fleetdeploy.core.pace import Pace
from fleetdeploy.errors import ExitCode
from fleetdeploy.guards.paced import Paced
from fleetdeploy.guards.pacer import Pacer
from fleetdeploy.receiver.limits import Address

PORT = 8088


@click.command("listen")
@click.option("--host", default=LOOPBACK, show_default=True, help="Where to listen.")
@click.option(
    "--port", default=PORT, show_default=True, type=click.IntRange(0, 65_535), help="0: any free."
)
@common()
def listen_command(desk: Desk, *, host: str, port: int) -> ExitCode:
    """Receive the platform's pushes until a signal: tickets, consents, verdicts."""
    push_reader(desk.settings)
    # No host, from a variable that is not set say, would mean every address of this machine.
    return anyio.run(_listen, desk, Address(host or LOOPBACK, port))


async def _listen(desk: Desk, address: Address) -> ExitCode:
    async with (
        open_watcher(desk, live=False) as watcher,
        _credentials(desk, watcher) as credentials,
    ):
        async with hearing(
            desk.settings, credentials, listen=address, on_result=watcher.pushed
        ) as ears:
            assert ears.receiver is not None
            say_where(desk, address, ears.receiver)
            if credentials is None:
                desk.say(
                    "FLEETDEPLOY_TP_CLIENT_ID is not set: tickets and codes are kept, and nobody "
                    "exchanges them here"
                )
            await _until_signal(desk, credentials)
        # Only now it is known what became of the pushes that were under way.
        _tell(desk, ears)
    return ExitCode.OK


@asynccontextmanager
async def _credentials(desk: Desk, watcher: Watcher) -> AsyncGenerator[Credentials | None]:
    """Keep credentials where there is a key to do it with, at the pace of one-off commands."""
    settings, rng = desk.settings, Random()  # noqa: S311 - jitter, not a secret
    if settings.tp_client_id is None:
        yield None
        return
    paced = Paced(Pacer(Pace(ONE_OFF.requests_per_second), in_flight=ONE_OFF.in_flight), rng=rng)
    async with HttpTransport(settings.api_base, capacity=ONE_OFF.in_flight) as transport:
        authority = authority_on(settings, transport, paced, watcher.called)
        async with keep_credentials(settings, authority, rng) as credentials:
            yield credentials


async def _until_signal(desk: Desk, credentials: Credentials | None) -> None:
    interrupts = Interrupts(lambda _: desk.say("finishing what is under way"))
    async with anyio.create_task_group() as tasks:
        if credentials is not None:
            tasks.start_soon(keep_tp_token, credentials)
        interrupts.ask_with(tasks.cancel_scope.cancel)
        await interrupts.watch()


def _tell(desk: Desk, ears: Ears) -> None:
    assert ears.receiver is not None
    desk.print(render_pushes(ears.receiver.statistics(), desk.output))
