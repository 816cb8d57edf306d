"""The dry run for people, reviewers and scripts: what will be done to whom, and why."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from fleetdeploy.cli.render.hours import hours_facts
from fleetdeploy.cli.render.layout import (
    bullets,
    code_ids,
    columns,
    count_of,
    document,
    indented,
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
from fleetdeploy.cli.render.waves import wave_facts
from fleetdeploy.core.next_steps import start_command
from fleetdeploy.core.plan import Action, Plan, PlannedApp, PlanNote
from fleetdeploy.model import RunKind, Step

SMALL_FLEET: Final = 40
"""Up to so many apps each has its line: about what a screen holds."""
KEYS_SHOWN: Final = 5

SIGNS: Final[Mapping[Action, str]] = MappingProxyType(
    {
        Action.UPLOAD: "+",
        Action.ADOPT: ">",
        Action.ROLLBACK: "<",
        Action.WITHDRAW: "<",
        Action.UNCHANGED: "=",
        Action.BLOCKED: "!",
        Action.WAIT: "~",
        Action.SET_ASIDE: "-",
        Action.UNKNOWN: "?",
    }
)
_TONES: Final[Mapping[Action, Tone]] = MappingProxyType(
    {
        Action.UPLOAD: Tone.GOOD,
        Action.ADOPT: Tone.NOTE,
        Action.ROLLBACK: Tone.NOTE,
        Action.WITHDRAW: Tone.NOTE,
        Action.UNCHANGED: Tone.DIM,
        Action.BLOCKED: Tone.BAD,
        Action.WAIT: Tone.CARE,
        Action.SET_ASIDE: Tone.BAD,
        Action.UNKNOWN: Tone.CARE,
    }
)
_ROUTINE: Final = frozenset(
    {Action.UPLOAD, Action.ADOPT, Action.ROLLBACK, Action.WITHDRAW, Action.UNCHANGED}
)
"""In a large fleet, apps of these actions stand together by their reason."""


@dataclass(frozen=True, slots=True)
class _Row:
    """Apps that share one line: one app, or all that have the same to be said of them."""

    apps: tuple[PlannedApp, ...]
    why: str

    @property
    def action(self) -> Action:
        return self.apps[0].action

    @property
    def step(self) -> str:
        return self.apps[0].start or "-"

    @property
    def wave(self) -> str:
        return safe(self.apps[0].wave)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(app.app_id for app in self.apps)


def render_plan(
    plan: Plan,
    output: Output,
    style: Style,
    *,
    verbose: bool = False,
    saved: str = "",
    following: str | None = None,
) -> str:
    """Tell a plan; `saved` is the file that it was written to, if any.

    A large fleet is grouped by reason unless `verbose`. `following` is what to type instead of the
    plan's own command, and nothing where it is empty.
    """
    command = _command(plan, saved) if following is None else following
    match output:
        case Output.JSON:
            return document(plan)
        case Output.MARKDOWN:
            return _markdown(plan, _rows(plan, verbose=verbose), style, command)
        case Output.TEXT:
            return _text(plan, _rows(plan, verbose=verbose), style, command)


def _rows(plan: Plan, *, verbose: bool) -> list[_Row]:
    """Put together what is said in one breath; what is not routine has a line of its own.

    Rows come wave by wave, in a large fleet after what is not routine.
    """
    groups: dict[object, list[PlannedApp]] = {}
    grouped = len(plan.apps) > SMALL_FLEET and not verbose
    for app in plan.apps:
        alike = (app.action, app.start, app.wave, why(app))
        key = alike if grouped and app.action in _ROUTINE else app.app_id
        groups.setdefault(key, []).append(app)
    rows = [_Row(tuple(apps), why(apps[0])) for apps in groups.values()]
    turn = {wave.name: place for place, wave in enumerate(plan.course().waves)}
    return sorted(
        rows, key=lambda row: (grouped and row.action in _ROUTINE, turn[row.apps[0].wave])
    )


def why(app: PlannedApp) -> str:
    """Say why this is planned for the app, and what is special about it."""
    parts = [words(app.reason)]
    if app.changed:
        parts.append(f"changes {some(app.changed, KEYS_SHOWN)}")
    if app.priority and app.start is not None:
        parts.append(f"priority {app.priority}")
    if app.in_doubt_before:
        parts.append("an earlier run was at work on it: looks first")
    if app.direct_commit and app.start in (Step.UPLOAD, Step.AWAIT_UPLOAD):
        parts.append("submits at upload: no submit_audit step")
    if app.error is not None and app.error.hint:
        parts.append(words(app.error.hint))
    return "; ".join(parts)


def _text(plan: Plan, rows: Sequence[_Row], style: Style, command: str) -> str:
    facts = columns([[label, safe(fact)] for label, fact in _facts(plan, style)])
    return paragraphs(
        facts,
        _counts(plan),
        _lines(plan, rows, style),
        _unknowns(plan),
        _notes(plan, style),
        _next(plan, style, command),
    )


def _facts(plan: Plan, style: Style) -> list[tuple[str, str]]:
    facts = [
        ("plan", plan.run_id),
        ("manifest", f"{plan.manifest.name} ({plan.manifest.path})"),
        ("template", _spread(app.template_id for app in plan.apps)),
        ("version", _spread(app.version for app in plan.apps)),
        ("until", plan.until) if plan.of_run is None else (_BACK[plan.run_kind], plan.of_run),
        *halt_facts(plan.rules, max(len(plan.apps), plan.so_far.apps if plan.so_far else 0)),
        *_counted(plan),
        (
            "pace",
            f"{plan.rules.requests_per_second:g} calls per second, {plan.rules.in_flight} at once",
        ),
        *hours_facts(plan, style, plan.created_at),
        *([("then", f"rolls out {plan.resubmit.path}")] if plan.resubmit else []),
        ("made", moment(plan.created_at, style)),
    ]
    facts[5:5] = wave_facts(plan)
    return facts


def _counted(plan: Plan) -> list[tuple[str, str]]:
    """Say who counts against the budgets before the run begins."""
    if plan.so_far is None or not plan.so_far.failing:
        return []
    failing = plan.so_far.failing
    told = f"{count_of(len(failing), 'app')} of this rollout, until they succeed: {some(failing)}"
    return [("counts", told)]


_BACK: Final = {RunKind.ROLLBACK: "rolls back", RunKind.WITHDRAW: "withdraws"}


def _spread(values: Iterable[str]) -> str:
    """Name the one value that all share, or each with its count, the commonest first."""
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    if len(counts) <= 1:
        return next(iter(counts), "-")
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return some([f"{value} ({count_of(count, 'app')})" for value, count in ranked], KEYS_SHOWN)


class HaltRules(Protocol):
    """What halts a run, with budgets as they are written and as they come out."""

    @property
    def max_failures(self) -> str: ...
    @property
    def failures_allowed(self) -> int: ...
    @property
    def max_blocked(self) -> str | None: ...
    @property
    def blocked_allowed(self) -> int | None: ...
    @property
    def halt_on_cause(self) -> int | None: ...


def halt_facts(rules: HaltRules, apps: int) -> list[tuple[str, str]]:
    """Say what halts the run: `5% of 214 is 10: halts on the 11th failure`."""
    facts = [("budget", _budget(rules.max_failures, rules.failures_allowed, apps, "failure"))]
    if rules.max_blocked is not None and rules.blocked_allowed is not None:
        blocked = _budget(rules.max_blocked, rules.blocked_allowed, apps, "blocked app")
        facts.append(("blocked", blocked))
    if rules.halt_on_cause is not None:
        struck = _ordinal(rules.halt_on_cause)
        facts.append(("cause", f"halts on the {struck} app that fails for the same new reason"))
    return facts


def _budget(written: str, allowed: int, apps: int, what: str) -> str:
    whole = f"{written} of {apps} is {allowed}" if "%" in written else str(allowed)
    return f"{safe(whole)}: halts on the {_ordinal(allowed + 1)} {what}"


def _ordinal(number: int) -> str:
    teen = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _counts(plan: Plan) -> str:
    counts = plan.counts
    each = [f"{SIGNS[a]} {counts[a]} {a}" for a in Action if counts[a]]
    return f"{count_of(len(plan.apps), 'app')}: {', '.join(each) or 'nothing to do'}"


def _lines(plan: Plan, rows: Sequence[_Row], style: Style) -> str:
    if not rows:
        return ""
    waves = len(plan.waves) > 1
    cells = [
        [
            f"{SIGNS[row.action]} {_who(row)}",
            _name(row),
            *([row.wave] if waves else []),
            row.step,
            _why_of(row),
        ]
        for row in rows
    ]
    lines = columns(cells).splitlines()
    return "\n".join(
        style.paint(line, _TONES[row.action]) for line, row in zip(lines, rows, strict=True)
    )


def _who(row: _Row) -> str:
    return safe(row.ids[0]) if len(row.apps) == 1 else count_of(len(row.apps), "app")


def _name(row: _Row) -> str:
    return name_of(row.apps[0].name) if len(row.apps) == 1 else ""


def _why_of(row: _Row) -> str:
    return row.why if len(row.apps) == 1 else f"{row.why}: {some(row.ids)}"


def _unknown_of(plan: Plan) -> dict[str, list[str]]:
    """Group the apps by what could not be known about them."""
    unknown: dict[str, list[str]] = {}
    for app in plan.apps:
        for what in app.unknown:
            unknown.setdefault(what, []).append(app.app_id)
    return unknown


def _unknowns(plan: Plan) -> str:
    lines = [
        f"{words(what)} ({count_of(len(ids), 'app')}: {some(ids)})"
        for what, ids in _unknown_of(plan).items()
    ]
    return "not known:\n" + indented("\n".join(lines)) if lines else ""


def _notes(plan: Plan, style: Style) -> str:
    """Tell what should be known before the run; a line for each, its hint below."""
    lines = []
    for note in plan.notes:
        lines.append(style.paint(f"warning: {note_words(note)}", Tone.CARE))
        lines += [f"  hint: {words(note.hint)}"] if note.hint else []
    return "\n".join(lines)


def note_words(note: PlanNote) -> str:
    """Say a note in a line, with whom it is about."""
    apps = f" ({count_of(len(note.app_ids), 'app')}: {some(note.app_ids)})"
    return f"{words(note.message)}{apps if note.app_ids else ''}"


def _markdown_note(note: PlanNote) -> str:
    apps = f" ({count_of(len(note.app_ids), 'app')}: {code_ids(note.app_ids)})"
    told = f"{safe_markdown(words(note.message))}{apps if note.app_ids else ''}"
    return f"{told}. {safe_markdown(words(note.hint))}".rstrip()


def _command(plan: Plan, saved: str) -> str:
    if saved:
        return f"fleetdeploy run --plan {shlex.quote(safe(saved))}"
    return safe(start_command(plan))


_NOTHING_TO_DO: Final = {
    RunKind.ROLLOUT: "nothing to do: every app has its content online",
    RunKind.ROLLBACK: "nothing to do: none of it is online",
    RunKind.WITHDRAW: "nothing to do: none of it is in audit",
}


def _next(plan: Plan, style: Style, command: str) -> str:
    if not plan.has_changes:
        return _NOTHING_TO_DO[plan.run_kind]
    return next_line(command, style) if command else ""


def _markdown_next(plan: Plan, command: str) -> str:
    if not plan.has_changes:
        return "Nothing to do."
    return next_markdown(command) if command else ""


def _markdown(plan: Plan, rows: Sequence[_Row], style: Style, command: str) -> str:
    facts = [(label, safe_markdown(fact)) for label, fact in _facts(plan, style)]
    unknown = [
        f"{safe_markdown(what)} ({count_of(len(ids), 'app')}: {code_ids(ids)})"
        for what, ids in _unknown_of(plan).items()
    ]
    return paragraphs(
        f"# Plan {code(plan.run_id)}",
        markdown_table(("", ""), facts),
        f"**{safe_markdown(_counts(plan))}**",
        _markdown_rows(rows),
        "## Not known\n\n" + bullets(unknown) if unknown else "",
        "## Warnings\n\n" + bullets(map(_markdown_note, plan.notes)) if plan.notes else "",
        _markdown_next(plan, command),
    )


def _markdown_rows(rows: Sequence[_Row]) -> str:
    head = ("action", "apps", "name", "wave", "begins with", "why")
    cells = [
        (
            row.action,
            code_ids(row.ids),
            safe_markdown(_name(row)),
            safe_markdown(row.wave),
            row.step,
            safe_markdown(row.why),
        )
        for row in rows
    ]
    return markdown_table(head, cells) if cells else ""
