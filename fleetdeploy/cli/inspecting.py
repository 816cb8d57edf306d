"""The command that asks the platform about one app: `packages`."""

from functools import partial
from random import Random

import anyio
import click

from fleetdeploy.cli.connect import ONE_OFF, Link, connect
from fleetdeploy.cli.options import Desk, common
from fleetdeploy.cli.render.packages import render_package, render_packages
from fleetdeploy.cli.watching import open_watcher
from fleetdeploy.errors import ExitCode


@click.command("packages")
@click.argument("app")
@click.argument("package", required=False)
@common(markdown=True)
def packages_command(desk: Desk, *, app: str, package: str | None) -> ExitCode:
    """Show what the platform says about an app's packages, or about one of them."""
    desk.print(anyio.run(_ask, desk, app, package))
    return ExitCode.OK


async def _ask(desk: Desk, app_id: str, package_id: str | None) -> str:
    rng = Random()  # noqa: S311 - jitter, not a secret
    async with (
        open_watcher(desk, live=False) as observer,
        connect(desk.settings, ONE_OFF, observer, rng) as link,
    ):
        text = [await _answer(desk, link, app_id, package_id)]
    return text[0]


async def _answer(desk: Desk, link: Link, app_id: str, package_id: str | None) -> str:
    if package_id is None:
        rows = await link.platform.packages(app_id)
        return render_packages(app_id, rows, desk.output, desk.style)
    detail = partial(link.inspector.package_detail, app_id, package_id)
    row = await link.platform.read("package_detail", app_id, detail)
    return render_package(app_id, row, desk.output, desk.style)
