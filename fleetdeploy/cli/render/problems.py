"""What is wrong, and what to do about it: manifests, and every other error."""

from typing import Literal

from fleetdeploy.cli.render.layout import bullets, count_of, document, paragraphs, words
from fleetdeploy.cli.render.safe import code, safe, safe_markdown
from fleetdeploy.cli.render.style import Output, Style, Tone
from fleetdeploy.core.summary import SCHEMA_VERSION, Document
from fleetdeploy.errors import FleetError, ManifestInvalid, PlatformError, Problem


class ProblemRow(Document):
    """One problem; `line` and `column` count from 1, None where the file as a whole is meant."""

    file: str
    line: int | None
    column: int | None
    path: str
    message: str


class Problems(Document):
    """What a command prints on stdout with `-o json` when the manifest cannot be used."""

    schema_version: Literal[1] = SCHEMA_VERSION
    code: str
    message: str
    problems: tuple[ProblemRow, ...]


class ErrorDocument(Document):
    """What a command prints on stdout with `-o json` for any other error."""

    schema_version: Literal[1] = SCHEMA_VERSION
    code: str
    message: str
    hint: str
    errno: int | None = None
    msg: str | None = None


def render_problems(error: ManifestInvalid, output: Output) -> str:
    """List every problem with its place, one a line, and count them."""
    match output:
        case Output.JSON:
            return document(_document(error))
        case Output.MARKDOWN:
            lines = (f"{code(_place(p))}: {safe_markdown(_what(p))}" for p in error.problems)
            return paragraphs(f"# {count_of(len(error.problems), 'problem')}", bullets(lines))
        case Output.TEXT:
            lines = (f"{_place(problem)}: {_what(problem)}" for problem in error.problems)
            return "\n".join([*lines, count_of(len(error.problems), "problem")])


def _document(error: ManifestInvalid) -> Problems:
    rows = (
        ProblemRow(file=p.file, line=p.line, column=p.column, path=p.path, message=p.message)
        for p in error.problems
    )
    return Problems(code=error.code, message=error.message, problems=tuple(rows))


def _place(problem: Problem) -> str:
    return ":".join(
        safe(str(part)) for part in (problem.file, problem.line, problem.column) if part is not None
    )


def _what(problem: Problem) -> str:
    message = words(problem.message)
    return f"{words(problem.path)}: {message}" if problem.path else message


def render_error(error: FleetError, style: Style) -> str:
    """Tell an error to a person: what, in whose words, what to do, and its code.

    A message of several lines keeps them; all but the first are set in, so that none can pass
    for a line of ours.
    """
    first, *others = map(safe, error.message.splitlines() or [""])
    lines = [f"{style.paint('error:', Tone.BAD)} {first} [{safe(error.code)}]"]
    lines += [f"  {line}" for line in others if line]
    if isinstance(error, PlatformError) and error.msg:
        number = "" if error.errno is None else f" {error.errno}"
        lines.append(f'  the platform:{number} "{words(error.msg)}"')
    if error.hint:
        lines.append(f"{style.paint('hint:', Tone.NOTE)} {safe(error.hint)}")
    return "\n".join(lines)


def error_document(error: FleetError) -> str:
    """Return an error as a JSON document, for commands that were asked for one."""
    if isinstance(error, ManifestInvalid):
        return document(_document(error))
    errno, msg = (error.errno, error.msg) if isinstance(error, PlatformError) else (None, None)
    return document(
        ErrorDocument(code=error.code, message=error.message, hint=error.hint, errno=errno, msg=msg)
    )
