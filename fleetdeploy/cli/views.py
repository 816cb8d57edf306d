"""The commands that tell what happened: `status`, `history`, `explain`, `report`; disk only."""

from collections.abc import Iterable

import click

from fleetdeploy.cli.afterwards import status_of
from fleetdeploy.cli.options import Desk, common, selecting, selection
from fleetdeploy.cli.render.explain import render_explain
from fleetdeploy.cli.render.history import HistoryRow, history_row, render_history
from fleetdeploy.cli.render.report import first_steps, render_report
from fleetdeploy.cli.render.status import render_status
from fleetdeploy.core.plan import Plan
from fleetdeploy.core.selection import Selectable, Selection
from fleetdeploy.core.summary import Status, group_causes, group_waits
from fleetdeploy.errors import ExitCode, FleetError, UsageInvalid
from fleetdeploy.storage.archive import Recorded, every_run, latest, read_run


@click.command("status")
@click.argument("run", required=False)
@selecting
@common(markdown=True)
def status_command(
    desk: Desk, *, run: str | None, only: tuple[str, ...], exclude: tuple[str, ...]
) -> ExitCode:
    """Tell how a run stands: the latest one if none is named."""
    recorded = _recorded(desk, run)
    whole = status_of(desk.state_dir, recorded)
    status = _chosen(whole, recorded.plan, selection(only, exclude))
    apps_of_run = len(recorded.plan.apps)
    desk.print(render_status(status, desk.output, desk.style, apps_of_run=apps_of_run))
    return ExitCode.OK


@click.command("report")
@click.argument("run", required=False)
@selecting
@common(markdown=True)
def report_command(
    desk: Desk, *, run: str | None, only: tuple[str, ...], exclude: tuple[str, ...]
) -> ExitCode:
    """Tell the whole of a run, app by app: the latest one if none is named."""
    recorded = _recorded(desk, run)
    whole = status_of(desk.state_dir, recorded)
    status = _chosen(whole, recorded.plan, selection(only, exclude))
    started = first_steps(recorded.contents.entries)
    desk.print(render_report(status, recorded.plan, desk.output, desk.style, started=started))
    return ExitCode.OK


@click.command("history")
@common(markdown=True)
def history_command(desk: Desk) -> ExitCode:
    """List all runs, the newest first."""
    rows = [_row(desk, run_id, recorded) for run_id, recorded in every_run(desk.state_dir)]
    desk.print(render_history(rows, desk.output, desk.style))
    return ExitCode.OK


@click.command("explain")
@click.argument("run")
@click.argument("app")
@common(markdown=True)
def explain_command(desk: Desk, *, run: str, app: str) -> ExitCode:
    """Tell the story of one app in a run: what was done, when, and why it ended so."""
    recorded = _recorded(desk, run)
    planned = next((planned for planned in recorded.plan.apps if planned.app_id == app), None)
    if planned is None:
        raise UsageInvalid(
            f"app {app} is not in run {run}", hint=f"see fleetdeploy report {run} for its apps"
        )
    text = render_explain(
        planned,
        recorded.state.apps[app],
        recorded.contents.entries,
        desk.output,
        desk.style,
        next_command=status_of(desk.state_dir, recorded).next,
    )
    desk.print(text)
    return ExitCode.OK


def _recorded(desk: Desk, run_id: str | None) -> Recorded:
    return read_run(desk.state_dir.run(run_id)) if run_id else latest(desk.state_dir)


def _row(desk: Desk, run_id: str, recorded: Recorded | FleetError) -> HistoryRow:
    if isinstance(recorded, FleetError):
        return HistoryRow(run_id=run_id, state=f"unreadable: {recorded.message}")
    return history_row(status_of(desk.state_dir, recorded))


def _chosen(status: Status, plan: Plan, chosen: Selection) -> Status:
    """Narrow a status to the selected apps; counts and causes are of these."""
    if chosen.everything:
        return status
    labels = {planned.app_id: planned.labels for planned in plan.apps}
    ids = chosen.apply(
        [Selectable(app.app_id, labels[app.app_id], app.phase) for app in status.apps]
    )
    apps = tuple(app for app in status.apps if app.app_id in ids)
    counts = {phase: _count(phase, (app.phase for app in apps)) for phase in status.counts}
    return status.model_copy(
        update={
            "apps": apps,
            "counts": {phase: count for phase, count in counts.items() if count},
            "causes": group_causes(apps),
            "waits": group_waits(apps),
        }
    )


def _count(wanted: object, found: Iterable[object]) -> int:
    return sum(one == wanted for one in found)
