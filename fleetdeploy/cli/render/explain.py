"""The story of one app in one run, told from its records."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, Literal, assert_never

from fleetdeploy.cli.render.layout import (
    bullets,
    columns,
    document,
    indented,
    next_line,
    next_markdown,
    paragraphs,
    words,
)
from fleetdeploy.cli.render.outages import SERVICES
from fleetdeploy.cli.render.plan import why
from fleetdeploy.cli.render.safe import code, safe, safe_markdown
from fleetdeploy.cli.render.style import Output, Style, Tone
from fleetdeploy.cli.render.times import day_of, time_of_day
from fleetdeploy.core.app_state import AppState
from fleetdeploy.core.plan import PlannedApp
from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    Asked,
    CourseRecord,
    Entry,
    ErrorNote,
    FoundStage,
    OutageBegan,
    OutageEnded,
    PackageFound,
    PauseLifted,
    RunFinished,
    RunHalted,
    RunPaused,
    RunRecord,
    RunResumed,
    RunStarted,
    RunStopped,
    StepDoubted,
    StepFailed,
    StepStarted,
    StepSucceeded,
    WaveApproved,
    WaveOpened,
    WaveSettled,
)
from fleetdeploy.core.summary import SCHEMA_VERSION, AppError, Document
from fleetdeploy.model import Outcome, Phase, RunKind, Step


class StoryLine(Document):
    """One thing that happened: to the app, or to the run with the app in it."""

    seq: int
    at: datetime
    kind: str
    what: str
    error: AppError | None = None


class Story(Document):
    """What `explain -o json` prints."""

    schema_version: Literal[1] = SCHEMA_VERSION
    run_id: str
    app_id: str
    name: str
    phase: Phase
    outcome: Outcome | None
    version: str
    package_id: str | None
    template_id: str
    fingerprint: str
    planned: str
    lines: tuple[StoryLine, ...]
    hint: str
    next: str


def make_story(
    planned: PlannedApp, app: AppState, entries: Iterable[Entry], next_command: str = ""
) -> Story:
    """Tell an app's part of a journal; without `next_command` its run's status comes next."""
    told = list(entries)
    header = next((e.record for e in told if isinstance(e.record, RunStarted)), None)
    run_id = header.run_id if header else ""
    return Story(
        run_id=run_id,
        app_id=planned.app_id,
        name=planned.name,
        phase=app.phase,
        outcome=app.outcome,
        version=app.version or planned.version,
        package_id=app.package_id,
        template_id=planned.template_id,
        fingerprint=planned.fingerprint,
        planned=f"{planned.action}: {why(planned)}",
        lines=tuple(_lines(planned.app_id, planned.wave, told)),
        hint=app.error.hint if app.error else "",
        next=next_command or f"fleetdeploy status {run_id}".rstrip(),
    )


def _lines(app_id: str, wave: str, entries: Iterable[Entry]) -> Iterable[StoryLine]:
    for entry in entries:
        record = entry.record
        if isinstance(record, AnyAppRecord):
            if record.app_id == app_id:
                yield _line(entry, _of_app(record), getattr(record, "error", None))
        elif not isinstance(record, _OF_WAVES) or (record.wave == wave and entry.seq > FIRST_WAVE):
            yield _line(entry, _of_run(record), getattr(record, "error", None))


FIRST_WAVE: Final = 1
"""The place of the record that opens the first wave, which says nothing that is not plain."""

_OF_WAVES = WaveOpened | WaveSettled | WaveApproved


def _line(entry: Entry, what: str, error: ErrorNote | None) -> StoryLine:
    told = error and AppError(
        code=error.code, message=error.message, errno=error.errno, msg=error.msg
    )
    return StoryLine(seq=entry.seq, at=entry.at, kind=entry.record.kind, what=what, error=told)


_DOING: Final = {
    Step.UPLOAD: "sends the package",
    Step.SUBMIT_AUDIT: "submits it for audit",
    Step.RELEASE: "releases it",
    Step.ROLLBACK: "asks for the version before",
    Step.WITHDRAW: "withdraws it from audit",
}
_DONE: Final = {
    Step.UPLOAD: "the upload is accepted",
    Step.AWAIT_UPLOAD: "the platform has built the package",
    Step.SUBMIT_AUDIT: "it is in audit",
    Step.AWAIT_AUDIT: "the reviewer said yes",
    Step.RELEASE: "the release is accepted",
    Step.AWAIT_RELEASE: "it is online",
    Step.ROLLBACK: "the rollback is accepted",
    Step.AWAIT_ROLLBACK: "the version before is online",
    Step.WITHDRAW: "the withdrawal is accepted",
    Step.AWAIT_WITHDRAW: "it is out of audit",
}
_FOUND: Final = {
    FoundStage.PROCESSING: "being built",
    FoundStage.UPLOADED: "built",
    FoundStage.AUDITING: "in audit",
    FoundStage.APPROVED: "approved",
    FoundStage.RELEASED: "online",
    FoundStage.ROLLING_BACK: "rolling back",
}
_ENDS: Final = {
    Outcome.RELEASED: "ends released",
    Outcome.ROLLED_BACK: "ends rolled back",
    Outcome.WITHDRAWN: "ends withdrawn",
    Outcome.UNCHANGED: "ends unchanged: its content is already online",
    Outcome.REJECTED: "ends rejected: the reviewer said no",
    Outcome.BLOCKED: "ends blocked: a person must act first",
    Outcome.FAILED: "ends failed",
    Outcome.CANCELLED: "ends cancelled",
}


def _of_app(record: AnyAppRecord) -> str:
    match record:
        case StepStarted() if record.obstacle:
            what = f"withdraws package {record.package_id}, which is in the way, from audit"
            return f"{what} (try {record.attempt})"
        case StepStarted():
            to = f", {record.back_to}" if record.back_to else ""
            return f"{_DOING.get(record.step, record.step)}{to} (try {record.attempt})"
        case StepSucceeded() if record.obstacle:
            return f"package {record.package_id}, which was in the way, is out of audit"
        case StepSucceeded():
            package = f", package {record.package_id}" if record.package_id else ""
            how = "; its answer was lost, the platform shows it" if record.settled else ""
            return f"{_DONE[record.step]}{package}{how}"
        case StepDoubted():
            return f"{record.step}: no certain answer; looks at the platform before anything else"
        case StepFailed():
            how = ": the platform shows no trace of it" if record.settled else ""
            counts = "; its service is out, so this try does not count" if record.excused else ""
            return f"{record.step} did not take effect{how}{counts}"
        case PackageFound():
            package = f"package {record.package_id}, " if record.package_id else ""
            where = _FOUND[record.stage]
            return f"finds our package ({package}version {record.version}) {where}, goes on with it"
        case AppFinished():
            # In a run that takes something back the error says why it was left alone.
            unsent = record.outcome is Outcome.UNCHANGED and record.error is not None
            return "ends unchanged: nothing is sent" if unsent else _ENDS[record.outcome]
        case _:
            assert_never(record)


def _of_run(record: RunRecord) -> str:
    match record:
        case RunStarted():
            if record.run_kind is not RunKind.ROLLOUT:
                return f"the {record.run_kind} starts on {record.writer.host}"
            return f"the run starts on {record.writer.host}, until {record.until}"
        case RunResumed():
            forced = f" ({record.override_reason})" if record.override_reason else ""
            return f"the run goes on in a new process on {record.writer.host}{forced}"
        case RunStopped():
            return f"the run stops ({record.reason.replace('_', ' ')})"
        case RunHalted():
            return f"the run halts ({record.cause})" + (_by(record.asked) if record.asked else "")
        case RunFinished():
            newer = record.superseded_by
            return f"run {newer} takes the rest over" if newer else "the run is finished"
        case OutageBegan():
            return f"{SERVICES[record.service]} is out: apps wait, and one at a time tries again"
        case OutageEnded():
            return f"{SERVICES[record.service]} is back"
        case _:
            return _of_course(record)


def _of_course(record: CourseRecord) -> str:
    match record:
        case WaveOpened():
            return f"wave {record.wave} opens" + (", as far as approval" if record.ahead else "")
        case WaveSettled():
            return f"every app of wave {record.wave} is at its end"
        case WaveApproved():
            return f"wave {record.wave} is approved{_by(record.asked)}"
        case RunPaused():
            return f"the run is paused{_by(record.asked)}"
        case PauseLifted():
            return f"the pause is lifted{_by(record.asked)}"
        case _:
            assert_never(record)


def _by(asked: Asked) -> str:
    return f" by {asked.who} on {asked.host}" + (f" ({asked.reason})" if asked.reason else "")


def render_explain(
    plan_app: PlannedApp,
    app_state: AppState,
    entries: Iterable[Entry],
    output: Output,
    style: Style,
    *,
    next_command: str = "",
) -> str:
    """Tell what happened to one app; `next_command` is what the run's status says to type."""
    story = make_story(plan_app, app_state, entries, next_command)
    match output:
        case Output.JSON:
            return document(story)
        case Output.MARKDOWN:
            return _markdown(story, style)
        case Output.TEXT:
            return _text(story, style)


def _text(story: Story, style: Style) -> str:
    name = f" {words(story.name)}" if story.name else ""
    head = [
        style.paint(f"app {safe(story.app_id)}{name}: {story.phase}", Tone.BOLD),
        ", ".join(f"{label} {safe(value)}" for label, value in _what(story)),
        f"planned {words(story.planned)}",
    ]
    hint = f"hint: {words(story.hint)}" if story.hint else ""
    return paragraphs(
        "\n".join(head), _days(story.lines, style), hint, next_line(story.next, style)
    )


def _what(story: Story) -> list[tuple[str, str]]:
    """Say what the app is to get, each part with its label."""
    package = [("package", story.package_id)] if story.package_id else []
    return [
        ("version", story.version),
        *package,
        ("template", story.template_id),
        ("fingerprint", story.fingerprint),
    ]


def _by_day(lines: Iterable[StoryLine], style: Style) -> dict[str, list[StoryLine]]:
    days: dict[str, list[StoryLine]] = {}
    for line in _without_repeats(lines):
        days.setdefault(day_of(line.at, style), []).append(line)
    return days


def _without_repeats(lines: Iterable[StoryLine]) -> Iterable[StoryLine]:
    """Leave out an error that the line before has just told: an end repeats its step's error."""
    before: AppError | None = None
    for line in lines:
        yield line.model_copy(update={"error": None}) if line.error == before else line
        before = line.error


def _days(lines: Sequence[StoryLine], style: Style) -> str:
    return "\n".join(
        f"{day}\n{indented(columns([row for line in some for row in _rows(line, style)]))}"
        for day, some in _by_day(lines, style).items()
    )


def _rows(line: StoryLine, style: Style) -> list[list[str]]:
    rows = [[time_of_day(line.at, style), words(line.what)]]
    return rows + [["", text] for text in _error_lines(line.error)]


def _error_lines(error: AppError | None) -> list[str]:
    """Return an error in two lines: ours, and the platform's own words."""
    if error is None:
        return []
    number = f"{error.errno} " if error.errno is not None else ""
    said = [f'  the platform: {number}"{words(error.msg)}"'] if error.msg else []
    return [f"  {words(error.message)} [{safe(error.code)}]", *said]


def _markdown(story: Story, style: Style) -> str:
    name = f" {safe_markdown(words(story.name))}" if story.name else ""
    days = [
        f"## {day}\n\n" + bullets(_markdown_line(line, style) for line in lines)
        for day, lines in _by_day(story.lines, style).items()
    ]
    return paragraphs(
        f"# App {code(story.app_id)}{name}: {story.phase}",
        ", ".join(f"{label} {code(value)}" for label, value in _what(story)),
        f"Planned {safe_markdown(words(story.planned))}",
        *days,
        f"**Hint:** {safe_markdown(words(story.hint))}" if story.hint else "",
        next_markdown(story.next),
    )


def _markdown_line(line: StoryLine, style: Style) -> str:
    errors = "; ".join(text.strip() for text in _error_lines(line.error))
    what = safe_markdown(words(line.what))
    told = f"{what}: {safe_markdown(errors)}" if errors else what
    return f"{time_of_day(line.at, style)} {told}"
