"""Whether everything is in place, for people and scripts: what all apps share, then the apps."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fleetdeploy.cli.render.layout import (
    bullets,
    code_ids,
    columns,
    count_of,
    document,
    indented,
    markdown_table,
    next_line,
    next_markdown,
    paragraphs,
    some,
    words,
)
from fleetdeploy.cli.render.safe import code, safe, safe_markdown
from fleetdeploy.cli.render.style import Output, Style, Tone
from fleetdeploy.core.diagnosis import WORST_FIRST, Check, CheckCause, Diagnosis, State

TONES: Final[Mapping[State, Tone]] = MappingProxyType(
    {
        State.OK: Tone.GOOD,
        State.UNKNOWN: Tone.NOTE,
        State.WARNING: Tone.CARE,
        State.PROBLEM: Tone.BAD,
    }
)
_PLURALS: Final = MappingProxyType(
    {State.PROBLEM: "problems", State.WARNING: "warnings", State.UNKNOWN: "unknown"}
)


def render_doctor(diagnosis: Diagnosis, output: Output, style: Style) -> str:
    """Tell what was found, what is wrong grouped by cause, and what to type next."""
    match output:
        case Output.JSON:
            return document(diagnosis)
        case Output.MARKDOWN:
            return _markdown(diagnosis)
        case Output.TEXT:
            return _text(diagnosis, style)


def _text(diagnosis: Diagnosis, style: Style) -> str:
    return paragraphs(
        _headline(diagnosis, style),
        _fleet(diagnosis, style),
        _counts(diagnosis, style),
        "\n\n".join(_cause(cause, style) for cause in diagnosis.causes),
        "\n".join(_quarantine(diagnosis)),
        _calls(diagnosis),
        next_line(diagnosis.next, style),
    )


def _headline(diagnosis: Diagnosis, style: Style) -> str:
    about = f" of {safe(diagnosis.manifest.name)}" if diagnosis.manifest else ""
    return f"check-up{about}: {style.paint(_verdict(diagnosis), TONES[diagnosis.state])}"


def _verdict(diagnosis: Diagnosis) -> str:
    """Count what is not ok: each check of the fleet once, of the apps each cause once."""
    found = [check.state for check in diagnosis.fleet]
    found += [cause.state for cause in diagnosis.causes]
    counts = [
        count_of(found.count(state), state, _PLURALS[state])
        for state in WORST_FIRST
        if state is not State.OK and state in found
    ]
    return ", ".join(counts) or "all is in place"


def _fleet(diagnosis: Diagnosis, style: Style) -> str:
    rows = [[check.state, safe(check.name), _found(check)] for check in diagnosis.fleet]
    lines = []
    for line, check in zip(columns(rows).splitlines(), diagnosis.fleet, strict=True):
        lines.append(style.paint(f"  {line}", TONES[check.state]))
        if check.msg:
            lines.append(f"           the platform says: {words(check.msg)}")
        if check.hint and check.state is not State.OK:
            lines.append(f"           hint: {words(check.hint)}")
    return "\n".join(lines)


def _found(check: Check) -> str:
    code = f" [{safe(check.code)}]" if check.code and check.state is not State.OK else ""
    return f"{words(check.found)}{code}"


def _counts(diagnosis: Diagnosis, style: Style) -> str:
    if not diagnosis.counts:
        return ""
    rows = [[state, str(count)] for state, count in diagnosis.counts.items()]
    *lines, last = columns([*rows, ["apps", str(len(diagnosis.apps))]], numbers=[1]).splitlines()
    tones = [TONES[state] for state in diagnosis.counts]
    painted = [style.paint(line, tone) for line, tone in zip(lines, tones, strict=True)]
    return indented("\n".join([*painted, last]))


def _cause(cause: CheckCause, style: Style) -> str:
    """Tell one cause: how many apps, what was found, which they are, what to do."""
    label = "" if cause.state is State.PROBLEM else f"{cause.state}: "
    head = f"{count_of(cause.count, 'app')}: {label}{words(cause.message)} [{safe(cause.code)}]"
    lines = [style.paint(head, TONES[cause.state]), f"  {some(cause.app_ids)}"]
    if cause.hint:
        lines.append(f"  hint: {words(cause.hint)}")
    return "\n".join(lines)


def _quarantine(diagnosis: Diagnosis) -> list[str]:
    """Tell who was let out of quarantine, and who is still in: a line each."""
    seen = diagnosis.quarantine
    told = [("out of quarantine", seen.back), ("still in quarantine", seen.kept)] if seen else []
    return [f"{what}: {count_of(len(ids), 'app')} ({some(ids)})" for what, ids in told if ids]


def _calls(diagnosis: Diagnosis) -> str:
    return f"{count_of(sum(diagnosis.calls.values()), 'call')} to the platform"


def _markdown(diagnosis: Diagnosis) -> str:
    about = f" of {safe_markdown(diagnosis.manifest.name)}" if diagnosis.manifest else ""
    counts = ((state, str(count)) for state, count in diagnosis.counts.items())
    return paragraphs(
        f"# Check-up{about}: {_verdict(diagnosis)}",
        markdown_table(
            ("state", "check", "code", "found", "what to do"), map(_fleet_cells, diagnosis.fleet)
        ),
        markdown_table(("state", "apps"), counts) if diagnosis.counts else "",
        _markdown_causes(diagnosis),
        bullets(map(safe_markdown, _quarantine(diagnosis))),
        f"{_calls(diagnosis)}.",
        next_markdown(diagnosis.next),
    )


def _fleet_cells(check: Check) -> tuple[str, ...]:
    found = f"{check.found} ({check.msg})" if check.msg else check.found
    hint = "" if check.state is State.OK else check.hint
    return (
        check.state,
        code(check.name),
        code(check.code) if check.code else "",
        safe_markdown(words(found)),
        safe_markdown(words(hint)),
    )


def _markdown_causes(diagnosis: Diagnosis) -> str:
    rows = [
        (
            str(cause.count),
            cause.state,
            code(cause.code),
            safe_markdown(words(cause.message)),
            safe_markdown(words(cause.hint)),
            code_ids(cause.app_ids),
        )
        for cause in diagnosis.causes
    ]
    table = markdown_table(("count", "state", "code", "cause", "what to do", "apps"), rows)
    return f"## Causes\n\n{table}" if rows else ""
