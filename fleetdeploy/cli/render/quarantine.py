"""Who is set aside, since when, why, and what brings each back: for people and scripts."""

from collections.abc import Iterable
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal

from fleetdeploy.cli.render.layout import (
    columns,
    count_of,
    document,
    markdown_table,
    name_of,
    next_line,
    next_markdown,
    paragraphs,
    some,
    words,
)
from fleetdeploy.cli.render.safe import code, safe, safe_markdown
from fleetdeploy.cli.render.style import Output, Style, Tone
from fleetdeploy.cli.render.times import moment
from fleetdeploy.core.quarantine import WayBack, way_back
from fleetdeploy.core.set_aside import SetAside
from fleetdeploy.core.summary import SCHEMA_VERSION, AppError, Document

_HEAD: Final = ("app", "name", "since", "comes back", "why")
_COMES_BACK: Final = MappingProxyType(
    {
        WayBack.DOCTOR: "when doctor finds it mended",
        WayBack.CONTENT: "with other content",
        WayBack.CLEAR: "when it is cleared",
    }
)


class QuarantineRow(Document):
    """One app. `by` is who set it aside by hand; else `runs` are those that ended it badly.

    The newest run comes first, and `error` is how it ended the app.
    """

    app_id: str
    name: str
    since: datetime
    runs: tuple[str, ...]
    error: AppError | None
    fingerprint: str | None
    by: str | None
    note: str
    comes_back: WayBack
    why: str


class QuarantineList(Document):
    """What `quarantine list -o json` prints: those set aside last come first."""

    schema_version: Literal[1] = SCHEMA_VERSION
    at: datetime
    apps: tuple[QuarantineRow, ...]
    next: str


class QuarantineChange(Document):
    """What `quarantine add -o json` and `quarantine clear -o json` print."""

    schema_version: Literal[1] = SCHEMA_VERSION
    set_aside: tuple[str, ...] = ()
    cleared: tuple[str, ...] = ()


def quarantine_list(entries: Iterable[SetAside], at: datetime) -> QuarantineList:
    ordered = sorted(entries, key=lambda entry: entry.app_id)
    rows = tuple(map(_row, sorted(ordered, key=lambda entry: entry.since, reverse=True)))
    return QuarantineList(at=at, apps=rows, next=_next(rows))


def _row(entry: SetAside) -> QuarantineRow:
    reason = entry.reason
    return QuarantineRow(
        app_id=entry.app_id,
        name=entry.name,
        since=entry.since,
        runs=entry.runs,
        error=AppError(code=reason.code, message=reason.message, errno=reason.errno, msg=reason.msg)
        if reason
        else None,
        fingerprint=entry.fingerprint,
        by=entry.by,
        note=entry.note,
        comes_back=way_back(entry),
        why=entry.why,
    )


def _next(rows: tuple[QuarantineRow, ...]) -> str:
    if any(row.comes_back is WayBack.DOCTOR for row in rows):
        return "fleetdeploy doctor MANIFEST"
    return f"fleetdeploy quarantine clear {rows[0].app_id}" if rows else ""


def render_quarantine(listed: QuarantineList, output: Output, style: Style) -> str:
    """List everybody, with what to type next."""
    match output:
        case Output.JSON:
            return document(listed)
        case Output.MARKDOWN:
            return _markdown(listed, style)
        case Output.TEXT:
            return _text(listed, style)


def _text(listed: QuarantineList, style: Style) -> str:
    if not listed.apps:
        return "nobody is in quarantine"
    head, *lines = columns([_HEAD, *(_cells(row, style) for row in listed.apps)]).splitlines()
    return paragraphs(
        "\n".join([style.paint(head, Tone.BOLD), *lines]),
        f"{count_of(len(listed.apps), 'app')} in quarantine",
        next_line(listed.next, style),
    )


def _markdown(listed: QuarantineList, style: Style) -> str:
    if not listed.apps:
        return "Nobody is in quarantine."
    rows = ([code(row.app_id), *map(safe_markdown, _cells(row, style)[1:])] for row in listed.apps)
    return paragraphs("# Quarantine", markdown_table(_HEAD, rows), next_markdown(listed.next))


def _cells(row: QuarantineRow, style: Style) -> list[str]:
    return [
        safe(row.app_id),
        name_of(row.name),
        moment(row.since, style),
        _COMES_BACK[row.comes_back],
        words(row.why),
    ]


def render_change(change: QuarantineChange, output: Output) -> str:
    """Say who was set aside or let back."""
    if output is Output.JSON:
        return document(change)
    if change.set_aside:
        return f"set aside: {some(change.set_aside)}"
    return f"back: {some(change.cleared)}" if change.cleared else "nobody is in quarantine"
