"""What `validate` says of a manifest in which nothing is wrong."""

import shlex
from typing import Literal

from fleetdeploy.cli.render.layout import (
    columns,
    count_of,
    document,
    markdown_table,
    next_line,
    next_markdown,
    paragraphs,
    words,
)
from fleetdeploy.cli.render.plan import halt_facts
from fleetdeploy.cli.render.safe import safe, safe_markdown
from fleetdeploy.cli.render.style import Output, Style, Tone
from fleetdeploy.core.summary import SCHEMA_VERSION, Document


class Validated(Document):
    """What `validate -o json` prints. `templates` and `versions` count the apps of each."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str
    path: str
    digest: str
    apps: int
    waves: tuple[str, ...]
    templates: dict[str, int]
    versions: dict[str, int]
    direct_commit: int
    max_failures: str
    failures_allowed: int
    max_blocked: str | None
    blocked_allowed: int | None
    halt_on_cause: int | None


def render_validated(validated: Validated, output: Output, style: Style) -> str:
    """Say that a manifest can be used, and what it comes to."""
    command = f"fleetdeploy plan {shlex.quote(safe(validated.path))}"
    facts = _facts(validated)
    match output:
        case Output.JSON:
            return document(validated)
        case Output.MARKDOWN:
            cells = [(label, safe_markdown(fact)) for label, fact in facts]
            title = f"# {safe_markdown(validated.name)} is valid"
            return paragraphs(title, markdown_table(("", ""), cells), next_markdown(command))
        case Output.TEXT:
            title = f"{words(validated.path)}: {style.paint('valid', Tone.GOOD)}"
            return paragraphs(title, columns(facts), next_line(command, style))


def _facts(validated: Validated) -> list[tuple[str, str]]:
    facts = [
        ("manifest", words(validated.name)),
        ("apps", str(validated.apps)),
        ("template", _counted(validated.templates)),
        ("version", _counted(validated.versions)),
        ("waves", words(", ".join(validated.waves))),
        *halt_facts(validated, validated.apps),
    ]
    if validated.direct_commit:
        note = "submit at upload (directCommit): no submit_audit step"
        facts.append(("note", f"{count_of(validated.direct_commit, 'app')} {note}"))
    return facts


def _counted(counts: dict[str, int]) -> str:
    if len(counts) == 1:
        return words(next(iter(counts)))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return words(", ".join(f"{value} ({count_of(n, 'app')})" for value, n in ranked))
