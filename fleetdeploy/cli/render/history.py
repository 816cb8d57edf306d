"""All runs of a state directory, the newest first."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import Field

from fleetdeploy.cli.render.layout import (
    columns,
    count_of,
    document,
    markdown_table,
    name_of,
    next_line,
    next_markdown,
    paragraphs,
    words,
)
from fleetdeploy.cli.render.safe import code, safe, safe_markdown
from fleetdeploy.cli.render.style import Output, Style, Tone
from fleetdeploy.cli.render.times import between, moment, span
from fleetdeploy.core.summary import SCHEMA_VERSION, Document, Status
from fleetdeploy.model import Phase, RunKind

_HEAD: Final = ("run", "kind", "manifest", "state", "started", "took", "apps")
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class HistoryRow(Document):
    """One run. `next` is the command to type for it, empty where nothing is left to do.

    A run that cannot be read is told all the same: its `state` says what is wrong.
    """

    run_id: str
    kind: RunKind = RunKind.ROLLOUT
    manifest: str = ""
    state: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    counts: dict[Phase, int] = Field(default_factory=dict)
    next: str = ""


class History(Document):
    """What `history -o json` prints."""

    schema_version: Literal[1] = SCHEMA_VERSION
    runs: tuple[HistoryRow, ...]


def history_row(status: Status) -> HistoryRow:
    return HistoryRow(
        run_id=status.run_id,
        kind=status.kind,
        manifest=status.manifest.name,
        state=status.state,
        started_at=status.started_at,
        finished_at=status.finished_at,
        counts=status.counts,
        next=status.next,
    )


def render_history(rows: Sequence[HistoryRow], output: Output, style: Style) -> str:
    """List runs, the newest first; the last line is what to type about the newest."""
    runs = sorted(rows, key=lambda r: (r.started_at or _LONG_AGO, r.run_id), reverse=True)
    match output:
        case Output.JSON:
            return document(History(runs=tuple(runs)))
        case Output.MARKDOWN:
            return _markdown(runs, style)
        case Output.TEXT:
            return _text(runs, style)


def _text(runs: Sequence[HistoryRow], style: Style) -> str:
    if not runs:
        return "no runs yet"
    head, *lines = columns([_HEAD, *(_cells(run, style) for run in runs)]).splitlines()
    return paragraphs("\n".join([style.paint(head, Tone.BOLD), *lines]), _next_line(runs[0], style))


def _next_line(run: HistoryRow, style: Style) -> str:
    return next_line(run.next, style) if run.next else ""


def _cells(run: HistoryRow, style: Style) -> list[str]:
    took_s = between(run.started_at, run.finished_at)
    return [
        safe(run.run_id),
        run.kind,
        name_of(run.manifest),
        words(run.state),
        moment(run.started_at, style),
        span(took_s) if took_s is not None else "-",
        _counts(run),
    ]


def _counts(run: HistoryRow) -> str:
    each = ", ".join(f"{count} {phase}" for phase, count in run.counts.items())
    return f"{count_of(sum(run.counts.values()), 'app')}: {each}" if each else "-"


def _markdown(runs: Sequence[HistoryRow], style: Style) -> str:
    if not runs:
        return "No runs yet."
    rows = ([code(run.run_id), *map(safe_markdown, _cells(run, style)[1:])] for run in runs)
    last = next_markdown(runs[0].next) if runs[0].next else ""
    return paragraphs("# Runs", markdown_table(_HEAD, rows), last)
