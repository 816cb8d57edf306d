"""Status, report and history as people and scripts read them."""

import json
from datetime import timedelta, timezone

import pytest

from fleetdeploy.cli.render.history import HistoryRow, history_row, render_history
from fleetdeploy.cli.render.report import Report, first_steps, render_report
from fleetdeploy.cli.render.status import render_status
from fleetdeploy.cli.render.style import ANSI, PLAIN, Output, Style
from fleetdeploy.core.plan import Plan
from fleetdeploy.core.records import (
    AnyAppRecord,
    Asked,
    HaltCause,
    OutageBegan,
    OutageEnded,
    RunFinished,
    RunHalted,
    RunPaused,
    RunRecord,
    RunStopped,
    StopReason,
)
from fleetdeploy.core.summary import SoakNote, Status, summarise
from fleetdeploy.model import Phase, Service
from tests.builders import (
    NOTE,
    START,
    blocked,
    make_entries,
    make_plan,
    make_planned,
    make_rules,
    make_state,
    released,
)

STYLE = Style(zone=timezone(timedelta(hours=8), "CST"))
RECORDS: list[RunRecord | AnyAppRecord] = [
    *released("1"),
    *blocked("2"),
    *blocked("33"),
    RunFinished(calls={"upload": 3, "packages": 14}),
]


def small_plan() -> Plan:
    return make_plan([make_planned("1", name="火锅店"), make_planned("2"), make_planned("33")])


def finished() -> Status:
    plan = small_plan()
    return summarise(plan, make_state(plan, RECORDS), alive=False)


STATUS_TEXT = """\
rollout 20261124-0307-k3f9 of storefront: finished
started 2026-11-24 11:07:00 CST, took 16m 00s

  released  1
  blocked   2
  total     3

2 apps: no service category of the app is approved yet \
(服务类目审核通过后，可以提交小程序代码包审核) [platform.category_not_approved]
  2, 33
  hint: wait for the review of the category

17 calls to the platform, 5.7 per app
"""


def test_status_groups_failures_by_cause_and_ends_in_the_next_command() -> None:
    expected = f"{STATUS_TEXT}\nnext: fleetdeploy run shop.yaml"
    assert render_status(finished(), Output.TEXT, STYLE) == expected


def some_of_them() -> Status:
    """Return what `--only 33` leaves of it."""
    whole = finished()
    apps = tuple(app for app in whole.apps if app.app_id == "33")
    return whole.model_copy(update={"apps": apps, "counts": {Phase.BLOCKED: 1}})


CALLS_OF_ALL = "17 calls to the platform for all 3 apps of the run, 5.7 per app"


@pytest.mark.parametrize("output", [Output.TEXT, Output.MARKDOWN])
def test_calls_are_those_of_the_whole_run_also_where_some_apps_are_told(output: Output) -> None:
    told = render_status(some_of_them(), output, STYLE, apps_of_run=3)
    assert CALLS_OF_ALL in told.splitlines()


@pytest.mark.parametrize("output", [Output.TEXT, Output.MARKDOWN])
def test_a_report_may_be_of_some_apps(output: Output) -> None:
    told = render_report(some_of_them(), small_plan(), output, STYLE)
    assert CALLS_OF_ALL in told.splitlines()
    assert "火锅店" not in told


def test_a_report_of_some_apps_is_a_document_like_any() -> None:
    told = render_report(some_of_them(), small_plan(), Output.JSON, STYLE)
    report = Report.model_validate_json(told)
    assert [row.app_id for row in report.apps] == ["33"]
    assert (report.totals.apps, report.totals.calls) == (1, 17)
    assert report.totals.calls_per_app == 5.667


def test_status_of_a_halted_run_says_why_and_what_to_do() -> None:
    plan = small_plan()
    halt = RunHalted(cause=HaltCause.BUDGET, error=NOTE.model_copy(update={"msg": None}))
    state = make_state(plan, [*blocked("2"), halt])
    text = render_status(summarise(plan, state, alive=False), Output.TEXT, STYLE)
    assert text.startswith(
        "rollout 20261124-0307-k3f9 of storefront: halted\n"
        "started 2026-11-24 11:07:00 CST, last change 2026-11-24 11:10:00 CST\n"
        "halted: no service category of the app is approved yet [platform.category_not_approved]\n"
        "  hint: wait for the review of the category\n"
    )
    assert text.splitlines()[-1].startswith("next: fleetdeploy resume 20261124-0307-k3f9")


OUT: list[RunRecord | AnyAppRecord] = [
    OutageBegan(service=Service.BUILD, error=NOTE),
    OutageEnded(service=Service.BUILD),
    OutageBegan(service=Service.BUILD, error=NOTE),
    OutageEnded(service=Service.BUILD),
    OutageBegan(service=Service.PLATFORM, error=NOTE),
]


@pytest.mark.parametrize(("alive", "doing"), [(True, "probing"), (False, "a resume probes first")])
def test_status_says_what_is_out_and_what_was(*, alive: bool, doing: str) -> None:
    plan = small_plan()
    status = summarise(plan, make_state(plan, OUT), alive=alive)
    text = render_status(status, Output.TEXT, STYLE)
    assert (
        f"the platform is out since 2026-11-24 11:12:00 CST; {doing}: "
        "no service category of the app is approved yet [platform.category_not_approved]\n"
        "the packaging service was out for 2m 00s in 2 outages\n"
    ) in text
    markdown = render_status(status, Output.MARKDOWN, STYLE)
    assert "- the packaging service was out for 2m 00s in 2 outages\n" in markdown
    parsed = json.loads(render_status(status, Output.JSON, STYLE))["outages"]
    assert [(one["service"], one["until"] is None) for one in parsed] == [
        ("build", False),
        ("build", False),
        ("platform", True),
    ]


def test_status_of_a_superseded_run_names_the_newer_one() -> None:
    plan = small_plan()
    state = make_state(plan, [RunFinished(superseded_by="20261125-0307-m2p4")])
    text = render_status(summarise(plan, state, alive=False), Output.TEXT, STYLE)
    assert "its apps were taken over by run 20261125-0307-m2p4\n" in text


def test_status_of_a_run_without_records_is_told_too() -> None:
    plan = make_plan(0)
    status = summarise(plan, make_state(plan), alive=True).model_copy(update={"started_at": None})
    text = render_status(status, Output.TEXT, STYLE)
    assert text.startswith("rollout 20261124-0307-k3f9 of storefront: running\nnot started\n")
    assert "no apps" in text


def test_bars_and_colours_come_only_with_their_style() -> None:
    plain = render_status(finished(), Output.TEXT, PLAIN)
    painted = render_status(finished(), Output.TEXT, ANSI)
    assert "#" not in plain
    assert "\x1b" not in plain
    assert "  \x1b[33mblocked   2  ##############################\x1b[0m\n" in painted
    assert "  \x1b[32mreleased  1  ###############\x1b[0m\n" in painted


def test_status_as_json_is_the_status_model() -> None:
    text = render_status(finished(), Output.JSON, ANSI)
    assert Status.model_validate_json(text) == finished()
    assert json.loads(text)["schema_version"] == 1


def test_status_as_markdown_has_the_same_facts() -> None:
    text = render_status(finished(), Output.MARKDOWN, STYLE)
    assert text.startswith("# Run `20261124-0307-k3f9`: finished\n")
    assert "| blocked | 2 |" in text
    assert "| 2 | `platform.category_not_approved` |" in text
    assert text.endswith("Next: `fleetdeploy run shop.yaml`")


def test_report_adds_every_app_and_the_totals() -> None:
    started = first_steps(make_entries(RECORDS))
    text = render_report(finished(), small_plan(), Output.TEXT, STYLE, started=started)
    assert text.startswith(STATUS_TEXT)
    table, totals, last = text.removeprefix(STATUS_TEXT + "\n").split("\n\n")
    head, first, *_ = table.splitlines()
    assert head.split() == [
        "app", "name", "outcome", "version", "package", "started", "last", "change", "why",
    ]  # fmt: skip
    assert first == (
        "1    火锅店         released  10.30.0.3  58210    "
        "2026-11-24 11:08:00 CST  2026-11-24 11:16:00 CST  planned: nothing is online yet"
    )
    assert totals == (
        "totals\n"
        "  apps                     3\n"
        "  duration           16m 00s\n"
        "  calls                   17\n"
        "  calls per app          5.7\n"
        "  calls to packages       14\n"
        "  calls to upload          3"
    )
    assert last == "next: fleetdeploy run shop.yaml"


def test_report_as_json_has_a_row_for_each_app() -> None:
    started = first_steps(make_entries(RECORDS))
    text = render_report(finished(), small_plan(), Output.JSON, STYLE, started=started)
    report = Report.model_validate_json(text)
    assert report.schema_version == 1
    assert report.status == finished()
    assert [(row.app_id, row.outcome) for row in report.apps] == [
        ("1", "released"),
        ("2", "blocked"),
        ("33", "blocked"),
    ]
    assert report.apps[0].template_id == "754"
    assert report.apps[0].fingerprint == "0123456789"
    assert report.apps[0].started_at == START + timedelta(minutes=1)
    assert report.totals.calls_by_endpoint == {"packages": 14, "upload": 3}
    assert report.totals.duration_s == 960.0


def test_report_as_markdown_has_tables_of_apps_and_totals() -> None:
    text = render_report(finished(), small_plan(), Output.MARKDOWN, STYLE)
    assert "\n## Apps\n\n| app | name | outcome |" in text
    assert "| `1` | 火锅店 | released | 10.30.0.3 | 58210 |" in text
    assert "| calls to packages | 14 |" in text


def test_report_of_an_unfinished_run_has_no_duration() -> None:
    plan = small_plan()
    status = summarise(plan, make_state(plan, released("1")), alive=True)
    text = render_report(status, plan, Output.TEXT, STYLE)
    assert "duration" not in text
    assert "  calls            0\n  calls per app  0.0\n" in text


def history() -> list[HistoryRow]:
    old = history_row(finished())
    new = HistoryRow(
        run_id="20261125-0307-m2p4",
        manifest="火锅",
        state="interrupted",
        started_at=START + timedelta(days=1),
        next="fleetdeploy resume 20261125-0307-m2p4",
    )
    broken = HistoryRow(run_id="20261123-0307-x1y2", state="its journal is damaged")
    return [broken, old, new]


def test_history_lists_the_newest_first_in_columns() -> None:
    assert render_history(history(), Output.TEXT, STYLE) == (
        "run                 kind     manifest    state                   "
        "started                  took     apps\n"
        "20261125-0307-m2p4  rollout  火锅        interrupted             "
        "2026-11-25 11:07:00 CST  -        -\n"
        "20261124-0307-k3f9  rollout  storefront  finished                "
        "2026-11-24 11:07:00 CST  16m 00s  3 apps: 1 released, 2 blocked\n"
        "20261123-0307-x1y2  rollout              its journal is damaged  "
        "-                        -        -\n"
        "\n"
        "next: fleetdeploy resume 20261125-0307-m2p4"
    )


def test_history_as_json_and_markdown() -> None:
    document = json.loads(render_history(history(), Output.JSON, STYLE))
    assert document["schema_version"] == 1
    assert [run["state"] for run in document["runs"]] == [
        "interrupted",
        "finished",
        "its journal is damaged",
    ]
    assert "| `20261124-0307-k3f9` |" in render_history(history(), Output.MARKDOWN, STYLE)


def test_an_empty_history_says_so() -> None:
    assert render_history([], Output.TEXT, STYLE) == "no runs yet"
    assert render_history([], Output.MARKDOWN, STYLE) == "No runs yet."
    assert json.loads(render_history([], Output.JSON, STYLE)) == {"schema_version": 1, "runs": []}


def waiting() -> Status:
    """Two apps are approved and one is released; the window opens in the evening."""
    rules = make_rules(release_windows=("Mon-Sun 22:00-06:00 Asia/Shanghai",))
    plan = make_plan([make_planned("1"), make_planned("2"), make_planned("33")], rules=rules)
    records = [*released("1")[:-3], *released("2")[:-3], *released("33")]
    stopped = RunStopped(reason=StopReason.NO_WAIT)
    return summarise(plan, make_state(plan, [*records, stopped]), alive=False, now=START)


def test_who_waits_for_a_window_is_told_and_when_it_opens() -> None:
    status = waiting()
    line = "2 apps wait for the window of release: opens 2026-11-24 22:00:00 CST"
    for text in (
        render_status(status, Output.TEXT, STYLE),
        render_status(status, Output.MARKDOWN, STYLE),
        render_report(status, small_plan(), Output.TEXT, STYLE),
    ):
        assert line in text
    document = json.loads(render_status(status, Output.JSON, STYLE))
    opens_at = "2026-11-24T14:00:00Z"
    assert document["waits"] == [
        {"step": "release", "count": 2, "app_ids": ["1", "2"], "opens_at": opens_at}
    ]
    assert [app["opens_at"] for app in document["apps"]] == [opens_at, opens_at, None]
    assert document["apps"][0]["hint"] == "release waits until 2026-11-24 14:00 UTC"
    assert status.causes == ()
    assert status.next == f"fleetdeploy resume {status.run_id}"


def test_who_is_waited_for_is_told_in_every_form() -> None:
    asked = Asked(order="1", at=START, who="ops\x1b[2J", host="desk", reason="a\nb")
    plan = small_plan()
    status = summarise(plan, make_state(plan, [RunPaused(asked=asked)]), alive=True)
    soaking = SoakNote(wave="early", until=START)
    status = status.model_copy(update={"approval": "canary", "soaking": soaking})
    text = render_status(status, Output.TEXT, STYLE)
    assert text.splitlines()[0].endswith("of storefront: paused")
    assert text.splitlines()[2:5] == [
        r"paused by ops\x1b[2J on desk since 2026-11-24 11:07:00 CST (a b)",
        "wave early soaks until 2026-11-24 11:07:00 CST; then the next one may open",
        "waits for somebody to approve wave canary",
    ]
    markdown = render_status(status, Output.MARKDOWN, STYLE)
    assert "\n- waits for somebody to approve wave canary\n" in markdown
    assert "since 2026-11-24 11:07:00 CST (a b)\n" in markdown
