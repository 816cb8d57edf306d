"""What the platform says of an app's packages: its own numbers, with our English word for each."""

from collections.abc import Sequence
from typing import Final, Literal

from fleetdeploy.cli.render.layout import (
    columns,
    document,
    indented,
    markdown_table,
    name_of,
    paragraphs,
    words,
)
from fleetdeploy.cli.render.safe import code, safe, safe_markdown
from fleetdeploy.cli.render.style import Output, Style, Tone
from fleetdeploy.core.summary import SCHEMA_VERSION, Document
from fleetdeploy.model import Package, PackageStatus, UploadStatus

_HEAD: Final = ("package", "version", "status", "ours", "committed", "by", "message")


class PackageRow(Document):
    """One package: the platform's fields, and what we make of them.

    `state` is our English word for the platform's numbers; `fingerprint` is None for a package
    that is not ours. `commit_time` is the platform's text, without a zone.
    """

    package_id: str | None
    version: str
    status: int | None
    upload_status: int | None
    state: str
    fingerprint: str | None
    description: str
    committer: str
    commit_time: str
    remark: str
    audit_message: str
    upload_status_text: str
    upload_error_code: int | None
    upload_error_message: str
    rollback_version: str


class Packages(Document):
    """What `packages APP -o json` prints, with one row where one package was asked for."""

    schema_version: Literal[1] = SCHEMA_VERSION
    app_id: str
    packages: tuple[PackageRow, ...]


def package_row(package: Package) -> PackageRow:
    return PackageRow(
        package_id=package.package_id,
        version=package.version,
        status=package.status,
        upload_status=package.upload_status,
        state=state_of(package),
        fingerprint=package.fingerprint,
        description=package.description,
        committer=package.committer,
        commit_time=package.commit_time,
        remark=package.remark,
        audit_message=package.audit_message,
        upload_status_text=package.upload_status_text,
        upload_error_code=package.upload_error_code,
        upload_error_message=package.upload_error_message,
        rollback_version=package.rollback_version,
    )


def state_of(package: Package) -> str:
    """Name a package's state in English; a number that we do not know stays a number."""
    if package.status is not None:
        return _word(PackageStatus, package.status)
    if package.upload_status is None:
        return "no status yet"
    word = _word(UploadStatus, package.upload_status)
    return "upload failed" if package.upload_status == UploadStatus.FAILED else word


def _word(kind: type[PackageStatus | UploadStatus], number: int) -> str:
    try:
        return kind(number).name.lower().replace("_", " ")
    except ValueError:
        return "unknown"


def render_packages(app_id: str, packages: Sequence[Package], output: Output, style: Style) -> str:
    """List an app's packages in the platform's own order, which means nothing."""
    rows = tuple(map(package_row, packages))
    match output:
        case Output.JSON:
            return document(Packages(app_id=app_id, packages=rows))
        case Output.MARKDOWN:
            cells = ([code(c[0]), *map(safe_markdown, c[1:])] for c in map(_cells, rows))
            table = markdown_table(_HEAD, cells) if rows else "None."
            return paragraphs(f"# Packages of {code(app_id)}", table)
        case Output.TEXT:
            return _text(app_id, rows, style)


def _text(app_id: str, rows: Sequence[PackageRow], style: Style) -> str:
    if not rows:
        return f"app {safe(app_id)} has no packages"
    head, *lines = columns([_HEAD, *map(_cells, rows)]).splitlines()
    painted = (
        style.paint(line, Tone.NOTE) if row.fingerprint else line
        for line, row in zip(lines, rows, strict=True)
    )
    return "\n".join([style.paint(head, Tone.BOLD), *painted])


def _cells(row: PackageRow) -> tuple[str, ...]:
    return (
        safe(row.package_id or "-"),
        name_of(row.version),
        _status(row),
        safe(row.fingerprint or "no"),
        safe(row.commit_time or "-"),
        name_of(row.committer or "-"),
        words(row.audit_message or row.upload_error_message or row.remark),
    )


def _status(row: PackageRow) -> str:
    """Return the platform's number with our word: `4 in audit`, `upload 3 upload failed`."""
    if row.status is not None:
        return f"{row.status} {row.state}"
    return row.state if row.upload_status is None else f"upload {row.upload_status}: {row.state}"


def render_package(app_id: str, package: Package, output: Output, style: Style) -> str:
    """Show everything that the platform says of one package."""
    row = package_row(package)
    if output is Output.JSON:
        return document(Packages(app_id=app_id, packages=(row,)))
    facts = _facts(row)
    if output is Output.MARKDOWN:
        cells = [(label, safe_markdown(fact)) for label, fact in facts]
        return paragraphs(f"# A package of {code(app_id)}", markdown_table(("", ""), cells))
    title = style.paint(f"app {safe(app_id)}, package {safe(row.package_id or '-')}", Tone.BOLD)
    return f"{title}\n{indented(columns(facts))}"


def _facts(row: PackageRow) -> list[tuple[str, str]]:
    """Return what is known, leaving out what the platform left empty."""
    error = "" if row.upload_error_code is None else f"{row.upload_error_code} "
    facts = [
        ("version", row.version),
        ("status", _status(row)),
        ("ours", f"yes, fingerprint {row.fingerprint}" if row.fingerprint else "no"),
        ("description", row.description),
        ("committed", row.commit_time),
        ("by", row.committer),
        ("remark", row.remark),
        ("reviewer", row.audit_message),
        ("upload", row.upload_status_text),
        ("upload error", f"{error}{row.upload_error_message}".strip()),
        ("rolls back to", row.rollback_version),
    ]
    return [(label, words(fact)) for label, fact in facts if fact]
