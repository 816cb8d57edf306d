"""What a run did, app by app, with its cost: for the file, the client or the auditor."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal

from fleetdeploy.cli.render.layout import (
    columns,
    document,
    indented,
    markdown_table,
    name_of,
    next_line,
    next_markdown,
    paragraphs,
    words,
)
from fleetdeploy.cli.render.safe import code, safe, safe_markdown
from fleetdeploy.cli.render.status import TONES, markdown_parts, per_app, text_parts
from fleetdeploy.cli.render.style import Output, Style, Tone
from fleetdeploy.cli.render.times import between, moment, span
from fleetdeploy.core.plan import Action, Plan, PlannedApp
from fleetdeploy.core.records import Entry, StepStarted
from fleetdeploy.core.summary import SCHEMA_VERSION, AppError, AppStatus, Document, Status
from fleetdeploy.model import Outcome, Phase

NOBODY: Final[Mapping[str, datetime]] = MappingProxyType({})
_HEAD: Final = ("app", "name", "outcome", "version", "package", "started", "last change", "why")


class ReportRow(Document):
    """One app: what was planned, and what came of it. Times are None where nothing was done."""

    app_id: str
    name: str
    wave: str
    action: Action
    reason: str
    phase: Phase
    outcome: Outcome | None
    template_id: str
    version: str
    fingerprint: str
    package_id: str | None
    started_at: datetime | None
    updated_at: datetime | None
    error: AppError | None
    hint: str


class Totals(Document):
    """What the run cost; `duration_s` is None while it is not finished.

    `apps` are those that are told; the calls, also per app, are the whole run's.
    """

    apps: int
    duration_s: float | None
    calls: int
    calls_by_endpoint: dict[str, int]
    calls_per_app: float


class Report(Document):
    """What `report -o json` prints."""

    schema_version: Literal[1] = SCHEMA_VERSION
    status: Status
    apps: tuple[ReportRow, ...]
    totals: Totals


def first_steps(entries: Iterable[Entry]) -> dict[str, datetime]:
    """Return when each app's first step was started."""
    started: dict[str, datetime] = {}
    for entry in entries:
        if isinstance(entry.record, StepStarted):
            started.setdefault(entry.record.app_id, entry.at)
    return started


def make_report(status: Status, plan: Plan, started: Mapping[str, datetime] = NOBODY) -> Report:
    """Put status and plan of one run together; the status may be of some of its apps only."""
    planned = {app.app_id: app for app in plan.apps}
    rows = (_row(planned[app.app_id], app, started.get(app.app_id)) for app in status.apps)
    return Report(status=status, apps=tuple(rows), totals=_totals(status, len(plan.apps)))


def _row(planned: PlannedApp, app: AppStatus, started_at: datetime | None) -> ReportRow:
    return ReportRow(
        app_id=app.app_id,
        name=app.name,
        wave=app.wave,
        action=planned.action,
        reason=planned.reason,
        phase=app.phase,
        outcome=app.outcome,
        template_id=app.template_id,
        version=app.version,
        fingerprint=app.fingerprint,
        package_id=app.package_id,
        started_at=started_at,
        updated_at=app.updated_at,
        error=app.error,
        hint=app.hint,
    )


def _totals(status: Status, apps_of_run: int) -> Totals:
    calls = sum(status.calls.values())
    return Totals(
        apps=len(status.apps),
        duration_s=between(status.started_at, status.finished_at),
        calls=calls,
        calls_by_endpoint=status.calls,
        calls_per_app=round(per_app(calls, apps_of_run), 3),
    )


def render_report(
    status: Status,
    plan: Plan,
    output: Output,
    style: Style,
    *,
    started: Mapping[str, datetime] = NOBODY,
) -> str:
    """Tell the whole run; `started` is when each app's first step began (`first_steps`)."""
    report = make_report(status, plan, started)
    match output:
        case Output.JSON:
            return document(report)
        case Output.MARKDOWN:
            return _markdown(report, style, len(plan.apps))
        case Output.TEXT:
            return _text(report, style, len(plan.apps))


def _text(report: Report, style: Style, apps_of_run: int) -> str:
    status = report.status
    return paragraphs(
        *text_parts(status, style, apps_of_run),
        _table(report, style),
        _totals_text(report.totals),
        next_line(status.next, style),
    )


def _table(report: Report, style: Style) -> str:
    if not report.apps:
        return ""
    head, *lines = columns([_HEAD, *(_cells(row, style) for row in report.apps)]).splitlines()
    tones = [TONES.get(row.phase, Tone.NOTE) for row in report.apps]
    painted = (style.paint(line, tone) for line, tone in zip(lines, tones, strict=True))
    return "\n".join([style.paint(head, Tone.BOLD), *painted])


def _cells(row: ReportRow, style: Style) -> list[str]:
    return [
        safe(row.app_id),
        name_of(row.name),
        row.phase,
        safe(row.version),
        safe(row.package_id or "-"),
        moment(row.started_at, style),
        moment(row.updated_at, style),
        _why(row),
    ]


def _why(row: ReportRow) -> str:
    if row.error is None:
        # It was true when the plan was made; beside "released" it would read like news.
        return f"planned: {words(row.reason)}"
    said = f" ({words(row.error.msg)})" if row.error.msg else ""
    return f"{words(row.error.message)}{said} [{safe(row.error.code)}]"


def _totals_text(totals: Totals) -> str:
    facts = [["apps", str(totals.apps)]]
    if totals.duration_s is not None:
        facts.append(["duration", span(totals.duration_s)])
    facts += [["calls", str(totals.calls)], ["calls per app", f"{totals.calls_per_app:.1f}"]]
    facts += [[f"calls to {safe(e)}", str(n)] for e, n in totals.calls_by_endpoint.items()]
    return "totals\n" + indented(columns(facts, numbers=[1]))


def _markdown(report: Report, style: Style, apps_of_run: int) -> str:
    rows = ([code(row.app_id), *map(safe_markdown, _cells(row, style)[1:])] for row in report.apps)
    totals = report.totals
    costs = [("calls", str(totals.calls)), ("calls per app", f"{totals.calls_per_app:.1f}")]
    costs += [(f"calls to {safe_markdown(e)}", str(n)) for e, n in totals.calls_by_endpoint.items()]
    if totals.duration_s is not None:
        costs.insert(0, ("duration", span(totals.duration_s)))
    return paragraphs(
        *markdown_parts(report.status, style, apps_of_run),
        f"## Apps\n\n{markdown_table(_HEAD, rows)}",
        f"## Totals\n\n{markdown_table(('', ''), costs)}",
        next_markdown(report.status.next),
    )
