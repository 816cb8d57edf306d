"""The commands behind `fleetdeploy quarantine`: `list`, `add`, `clear`; disk only.

What they change holds for runs that are planned from then on; one that is planned goes on as it is.
"""

import click
from pydantic import TypeAdapter, ValidationError

from fleetdeploy.cli.options import Desk, common
from fleetdeploy.cli.process import SystemClock, this_holder, this_writer
from fleetdeploy.cli.render.quarantine import (
    QuarantineChange,
    quarantine_list,
    render_change,
    render_quarantine,
)
from fleetdeploy.core.fields import Line
from fleetdeploy.core.quarantine import Quarantine
from fleetdeploy.core.set_aside import SetAside
from fleetdeploy.errors import ExitCode, FleetError, UsageInvalid
from fleetdeploy.storage.archive import every_run
from fleetdeploy.storage.quarantine_file import Change, change_quarantine, read_quarantine
from fleetdeploy.storage.run_dir import StateDir

_LINE: TypeAdapter[str] = TypeAdapter(Line)


@click.command("list")
@common(markdown=True)
def list_command(desk: Desk) -> ExitCode:
    """List the apps that are set aside: since when, why, and what brings each back."""
    quarantine = read_quarantine(desk.state_dir.path)
    listed = quarantine_list(quarantine.entries, SystemClock().now())
    desk.print(render_quarantine(listed, desk.output, desk.style))
    return ExitCode.OK


@click.command("add")
@click.argument("app")
@click.option("--reason", metavar="TEXT", help="Why, for whoever finds it set aside.")
@common()
def add_command(desk: Desk, *, app: str, reason: str | None) -> ExitCode:
    """Set an app aside, until somebody clears it.

    The next run leaves it alone; a run that has begun does not.
    """
    entry = SetAside(
        app_id=app,
        name=_name_in_runs(desk.state_dir, app),
        since=SystemClock().now(),
        by=_person(),
        note=_checked(reason) if reason is not None else "",
    )
    _change(desk, lambda quarantine: quarantine.put([entry]))
    desk.print(render_change(QuarantineChange(set_aside=(app,)), desk.output))
    return ExitCode.OK


@click.command("clear")
@click.argument("apps", nargs=-1, metavar="[APP...]")
@click.option("--all", "everything", is_flag=True, help="All that are set aside.")
@common()
def clear_command(desk: Desk, *, apps: tuple[str, ...], everything: bool) -> ExitCode:
    """Let apps back: the next run tries them again.

    Earlier bad ends no longer count.
    """
    if everything == bool(apps):
        raise UsageInvalid("nobody is named, or all and some", hint="name apps, or give --all")
    inside = read_quarantine(desk.state_dir.path).by_id()
    strangers = [app for app in apps if app not in inside]
    if strangers:
        raise UsageInvalid(
            f"not in quarantine: {', '.join(strangers)}; nobody was let back",
            hint="see who is: fleetdeploy quarantine list",
        )
    chosen = tuple(inside) if everything else tuple(dict.fromkeys(apps))
    if chosen:
        _change(desk, lambda quarantine: quarantine.let_out(chosen, SystemClock().now()))
    desk.print(render_change(QuarantineChange(cleared=chosen), desk.output))
    return ExitCode.OK


def _change(desk: Desk, change: Change) -> Quarantine:
    with desk.state_dir.exclusive(this_holder()):
        return change_quarantine(desk.state_dir.path, change)


def _person() -> str:
    writer = this_writer()
    return f"{writer.who} on {writer.host}"


def _name_in_runs(state_dir: StateDir, app_id: str) -> str:
    """Return what the newest run that knows the app calls it; a typo would set nobody aside."""
    for _, recorded in every_run(state_dir):
        if isinstance(recorded, FleetError):
            continue
        for planned in recorded.plan.apps:
            if planned.app_id == app_id:
                return planned.name
    raise UsageInvalid(
        f"no run here knows app {app_id}",
        hint="check the id; what no run has tried yet is left out with --exclude",
    )


def _checked(reason: str) -> str:
    try:
        return _LINE.validate_python(reason)
    except ValidationError as error:
        raise UsageInvalid(
            f"--reason cannot be kept: {error.errors()[0]['msg'].removeprefix('Value error, ')}",
            hint="give one line of up to 200 characters",
        ) from None
