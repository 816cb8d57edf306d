"""What the `auth` commands say that change something: what became of each app, links, keys."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field

from fleetdeploy.cli.render.credentials import TpRow, relative, tp_line
from fleetdeploy.cli.render.layout import count_of, document, next_line, paragraphs, some, words
from fleetdeploy.cli.render.safe import safe
from fleetdeploy.cli.render.style import Output, Style, Tone
from fleetdeploy.core.summary import SCHEMA_VERSION, AppError, Document
from fleetdeploy.errors import FleetError, PlatformError


class RotationRow(Document):
    """What became of one app; with an `error` it may be renewed all the same."""

    app_id: str
    renewed: bool
    expires_at: datetime | None = None
    error: AppError | None = None
    hint: str = ""


class Rotations(Document):
    """What `auth refresh`, `auth recover` and `auth authorize` with a code print as JSON."""

    schema_version: Literal[1] = SCHEMA_VERSION
    at: datetime
    tp: TpRow | None = None
    apps: tuple[RotationRow, ...] = ()
    renewed: int
    failed: int


class ConsentLink(Document):
    """What `auth authorize --redirect-uri -o json` prints; the link is for the client alone."""

    schema_version: Literal[1] = SCHEMA_VERSION
    app_id: str | None
    link: str = Field(repr=False)
    expires_at: datetime | None
    next: str


class Imported(Document):
    """What `auth import -o json` prints: how many apps came, and what was there before."""

    schema_version: Literal[1] = SCHEMA_VERSION
    apps: int
    new: int
    replaced: int
    unchanged: int


class Removed(Document):
    """What `auth remove -o json` prints."""

    schema_version: Literal[1] = SCHEMA_VERSION
    removed: tuple[str, ...]
    unknown: tuple[str, ...]


class StoreKey(Document):
    """What `auth key -o json` prints."""

    schema_version: Literal[1] = SCHEMA_VERSION
    key: str = Field(repr=False)


class Sealing(Document):
    """What `auth reseal` and `auth unseal` print as JSON. `credentials` counts them."""

    schema_version: Literal[1] = SCHEMA_VERSION
    sealed: bool
    credentials: int


def failed_row(app_id: str, error: FleetError, *, renewed: bool = False) -> RotationRow:
    """Tell why an app has no new pair, or what is wrong although it has one."""
    errno, msg = (error.errno, error.msg) if isinstance(error, PlatformError) else (None, None)
    told = AppError(code=error.code, message=error.message, errno=errno, msg=msg)
    return RotationRow(app_id=app_id, renewed=renewed, error=told, hint=error.hint)


def rotations(at: datetime, rows: Iterable[RotationRow], tp: TpRow | None = None) -> Rotations:
    """Put rows together, the failed ones first."""
    apps = sorted(rows, key=lambda row: (row.error is None, row.app_id))
    failed = sum(1 for row in apps if row.error is not None)
    renewed = sum(1 for row in apps if row.renewed)
    return Rotations(at=at, tp=tp, apps=tuple(apps), renewed=renewed, failed=failed)


def render_rotations(rotated: Rotations, output: Output, style: Style) -> str:
    if output is Output.JSON:
        return document(rotated)
    if not rotated.apps and rotated.tp is None:
        return "no apps"
    return paragraphs(
        "\n".join(_failure(row, style) for row in rotated.apps if row.error),
        _hints(rotated.apps),
        _renewed([row for row in rotated.apps if row.renewed], rotated.at),
        tp_line(rotated.tp, rotated.at) if rotated.tp else "",
    )


def _failure(row: RotationRow, style: Style) -> str:
    assert row.error is not None
    number = "" if row.error.errno is None else f" {row.error.errno}"
    said = f'\n  the platform:{number} "{words(row.error.msg)}"' if row.error.msg else ""
    head = style.paint(f"app {safe(row.app_id)} failed:", Tone.BAD)
    return f"{head} {words(row.error.message)} [{safe(row.error.code)}]{said}"


def _hints(rows: Sequence[RotationRow]) -> str:
    """Return each hint once, in the order of the failures."""
    return "\n".join(f"hint: {words(hint)}" for hint in dict.fromkeys(r.hint for r in rows) if hint)


def _renewed(rows: Sequence[RotationRow], at: datetime) -> str:
    if not rows:
        return ""
    ends = [row.expires_at for row in rows if row.expires_at]
    until = f"; the first token ends {relative(min(ends), at)}" if ends else ""
    return f"{count_of(len(rows), 'app')} renewed: {some([r.app_id for r in rows])}{until}"


def render_link(link: ConsentLink, output: Output) -> str:
    """Return the bare link as text, for a mail or a browser."""
    return document(link) if output is Output.JSON else safe(link.link)


def render_imported(imported: Imported, output: Output, style: Style) -> str:
    if output is Output.JSON:
        return document(imported)
    parts = [f"{imported.new} new", f"{imported.replaced} replaced"]
    parts += [f"{imported.unchanged} there already"] if imported.unchanged else []
    head = f"credentials of {count_of(imported.apps, 'app')}: {', '.join(parts)}"
    return paragraphs(head, next_line("fleetdeploy auth list", style))


def render_removed(removed: Removed, output: Output) -> str:
    if output is Output.JSON:
        return document(removed)
    lines = [f"removed: {some(removed.removed)}"] if removed.removed else []
    lines += [f"nothing was kept of: {some(removed.unknown)}"] if removed.unknown else []
    return "\n".join(lines)


def render_key(key: StoreKey, output: Output) -> str:
    return document(key) if output is Output.JSON else key.key


def render_sealing(sealing: Sealing, output: Output) -> str:
    if output is Output.JSON:
        return document(sealing)
    count = count_of(sealing.credentials, "credential")
    return f"{count} sealed with the first key" if sealing.sealed else f"{count} open, not sealed"
