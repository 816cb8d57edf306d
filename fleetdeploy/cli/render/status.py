"""Where a run stands: the page that a person reads in the morning."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from fleetdeploy.cli.render.hours import waits_told
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
from fleetdeploy.cli.render.outages import outages_told
from fleetdeploy.cli.render.safe import code, safe, safe_markdown
from fleetdeploy.cli.render.style import Output, Style, Tone
from fleetdeploy.cli.render.times import between, moment, span
from fleetdeploy.cli.render.waves import waves_told
from fleetdeploy.core.summary import Cause, HaltNote, Status
from fleetdeploy.model import Phase, RunKind

BAR: Final = 30
"""Columns of the longest bar."""

TONES: Final[Mapping[Phase, Tone]] = MappingProxyType(
    {
        Phase.RELEASED: Tone.GOOD,
        Phase.ROLLED_BACK: Tone.GOOD,
        Phase.WITHDRAWN: Tone.GOOD,
        Phase.UNCHANGED: Tone.GOOD,
        Phase.REJECTED: Tone.BAD,
        Phase.BLOCKED: Tone.CARE,
        Phase.FAILED: Tone.BAD,
        Phase.CANCELLED: Tone.CARE,
    }
)


def render_status(
    status: Status, output: Output, style: Style, *, apps_of_run: int | None = None
) -> str:
    """Tell where a run stands, what went wrong and what to type next.

    `apps_of_run` is how many apps the run has, where the status is of some of them only.
    """
    match output:
        case Output.JSON:
            return document(status)
        case Output.MARKDOWN:
            parts = markdown_parts(status, style, apps_of_run)
            return paragraphs(*parts, next_markdown(status.next))
        case Output.TEXT:
            parts = text_parts(status, style, apps_of_run)
            return paragraphs(*parts, next_line(status.next, style))


def text_parts(status: Status, style: Style, apps_of_run: int | None = None) -> list[str]:
    """Return the paragraphs of the text, all but the last line."""
    return [
        _headline(status, style),
        _counts(status, style),
        words(waves_told(status.waves)),
        "\n".join(waits_told(status.waits, style)),
        "\n".join(_outages(status, style)),
        "\n\n".join(_cause(cause, style) for cause in status.causes),
        _calls(status, apps_of_run),
    ]


def _headline(status: Status, style: Style) -> str:
    title = f"{status.kind} {safe(status.run_id)} of {safe(_subject(status))}: "
    lines = [title + style.paint(safe(status.state), state_tone(status)), when(status, style)]
    if status.halted is not None:
        lines.append(f"halted: {words(status.halted.message)} [{safe(status.halted.code)}]")
        lines += [f"  hint: {words(status.halted.hint)}"] if status.halted.hint else []
    lines += [words(stop) for stop in _stops(status, style)]
    lines += [words(after) for after in _aftermath(status)]
    if status.superseded_by is not None:
        lines.append(f"its apps were taken over by run {safe(status.superseded_by)}")
    return "\n".join(lines)


def _stops(status: Status, style: Style) -> list[str]:
    """Say what holds the whole run: who paused it, a soak, and who is to approve a wave."""
    lines = []
    if status.paused is not None:
        paused = status.paused
        said = f" ({paused.reason})" if paused.reason else ""
        lines.append(
            f"paused by {paused.who} on {paused.host} since {moment(paused.at, style)}{said}"
        )
    if status.soaking is not None:
        until = moment(status.soaking.until, style)
        lines.append(f"wave {status.soaking.wave} soaks until {until}; then the next one may open")
    if status.approval is not None:
        lines.append(f"waits for somebody to approve wave {status.approval}")
    return lines


def _aftermath(status: Status) -> list[str]:
    """Say what other runs have made of the run, and what it still asks for."""
    lines = [
        f"{_TAKES[back.kind]} by run {back.run_id}: {back.state}" for back in status.taken_back
    ]
    if status.to_roll_back:
        apps = count_of(len(status.to_roll_back), "app")
        lines.append(f"still to be rolled back: {apps} ({some(status.to_roll_back)})")
    if status.to_resubmit:
        apps = count_of(len(status.to_resubmit), "app")
        lines.append(f"still to be rolled out anew: {apps} ({some(status.to_resubmit)})")
    return lines


_TAKES: Final = {RunKind.ROLLBACK: "rolled back", RunKind.WITHDRAW: "withdrawn"}


def _subject(status: Status) -> str:
    """Name what the run works on: a manifest, or an earlier run of one."""
    name = status.manifest.name
    return name if status.of_run is None else f"run {status.of_run} of {name}"


def state_tone(status: Status) -> Tone:
    if status.halted is not None:
        return Tone.BAD
    return Tone.CARE if status.causes or not status.finished_at else Tone.GOOD


def when(status: Status, style: Style) -> str:
    """Say when the run started and how long it took, or when it was last heard of."""
    if status.started_at is None:
        return "not started"
    started = f"started {moment(status.started_at, style)}"
    took_s = between(status.started_at, status.finished_at)
    if took_s is not None:
        return f"{started}, took {span(took_s)}"
    heard = max((app.updated_at for app in status.apps if app.updated_at), default=None)
    return f"{started}, last change {moment(heard, style)}" if heard else started


def _counts(status: Status, style: Style) -> str:
    if not status.counts:
        return "no apps"
    largest = max(status.counts.values())
    rows = [
        [phase, str(count), "#" * max(1, round(BAR * count / largest)) if style.bars else ""]
        for phase, count in status.counts.items()
    ]
    lines = columns([*rows, ["total", str(len(status.apps)), ""]], numbers=[1]).splitlines()
    tones = [TONES.get(phase, Tone.NOTE) for phase in status.counts]
    painted = [style.paint(line, tone) for line, tone in zip(lines[:-1], tones, strict=True)]
    return indented("\n".join([*painted, lines[-1]]))


def _cause(cause: Cause, style: Style) -> str:
    """Tell one cause: how many, what the platform said, what to do, whom it hit."""
    head = f"{count_of(cause.count, 'app')}: {words(cause.message)} [{safe(cause.code)}]"
    lines = [style.paint(head, Tone.BAD), f"  {some(cause.app_ids)}"]
    if cause.hint:
        lines.append(f"  hint: {words(cause.hint)}")
    return "\n".join(lines)


def _outages(status: Status, style: Style) -> list[str]:
    return outages_told(status.outages, style, alive=status.alive)


def _calls(status: Status, apps_of_run: int | None) -> str:
    """Count the calls; they are the whole run's, whichever apps are told."""
    if not status.calls:
        return ""
    calls, apps = sum(status.calls.values()), apps_of_run or len(status.apps)
    whole = "" if apps == len(status.apps) else f" for all {apps} apps of the run"
    return f"{count_of(calls, 'call')} to the platform{whole}, {per_app(calls, apps):.1f} per app"


def per_app(calls: int, apps: int) -> float:
    return calls / max(1, apps)


def markdown_parts(status: Status, style: Style, apps_of_run: int | None = None) -> list[str]:
    """Return the parts of the Markdown, all but the last line."""
    about = f"{status.kind} of {safe_markdown(_subject(status))}"
    return [
        f"# Run {code(status.run_id)}: {safe_markdown(status.state)}",
        f"{about}, {safe_markdown(when(status, style))}.",
        _markdown_halt(status.halted),
        bullets(safe_markdown(words(stop)) for stop in _stops(status, style)),
        bullets(safe_markdown(words(after)) for after in _aftermath(status)),
        f"Superseded by {code(status.superseded_by)}." if status.superseded_by else "",
        markdown_table(("phase", "apps"), ((p, str(n)) for p, n in status.counts.items())),
        safe_markdown(words(waves_told(status.waves))),
        bullets(map(safe_markdown, waits_told(status.waits, style))) if status.waits else "",
        bullets(map(safe_markdown, _outages(status, style))) if status.outages else "",
        _markdown_causes(status.causes),
        safe_markdown(_calls(status, apps_of_run)),
    ]


def _markdown_halt(halted: HaltNote | None) -> str:
    if halted is None:
        return ""
    message, hint = safe_markdown(words(halted.message)), safe_markdown(words(halted.hint))
    return f"**Halted:** {message} ({code(halted.code)}). {hint}".rstrip()


def _markdown_causes(causes: Iterable[Cause]) -> str:
    rows = [
        (
            str(cause.count),
            code(cause.code),
            safe_markdown(words(cause.message)),
            safe_markdown(words(cause.hint)),
            code_ids(cause.app_ids),
        )
        for cause in causes
    ]
    table = markdown_table(("count", "code", "cause", "what to do", "apps"), rows)
    return f"## Causes\n\n{table}" if rows else ""
