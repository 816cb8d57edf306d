"""The story of one app, its packages, and what is wrong."""

import json
from datetime import timedelta, timezone

import pytest

from fleetdeploy.cli.render.explain import Story, render_explain
from fleetdeploy.cli.render.packages import Packages, render_package, render_packages
from fleetdeploy.cli.render.problems import error_document, render_error, render_problems
from fleetdeploy.cli.render.style import ANSI, PLAIN, Output, Style
from fleetdeploy.core.records import (
    AnyAppRecord,
    FoundStage,
    HaltCause,
    OutageBegan,
    OutageEnded,
    PackageFound,
    RunFinished,
    RunHalted,
    RunRecord,
    RunResumed,
    RunStopped,
    StepDoubted,
    StepStarted,
    StepSucceeded,
    StopReason,
    WaveOpened,
)
from fleetdeploy.errors import (
    ClientMustAct,
    FleetError,
    ManifestInvalid,
    Problem,
    RunNotFound,
    SettingsInvalid,
)
from fleetdeploy.model import Package, Service, Step, Until
from tests.builders import (
    NOTE,
    WRITER,
    blocked,
    make_entries,
    make_plan,
    make_planned,
    make_state,
    released,
)

STYLE = Style(zone=timezone(timedelta(hours=8), "CST"))
UPLOAD = Step.UPLOAD


def explained(
    records: list[RunRecord | AnyAppRecord], output: Output = Output.TEXT, **fields: object
) -> str:
    plan = make_plan([make_planned("1", **fields), make_planned("2")])
    state = make_state(plan, records)
    entries = make_entries(records)
    return render_explain(
        plan.apps[0], state.apps["1"], entries, output, STYLE, next_command="fleetdeploy run x"
    )


def test_the_story_of_a_blocked_app_tells_the_cause_once_in_the_platforms_words() -> None:
    assert explained([*blocked("1"), *released("2"), RunFinished()]) == (
        "app 1 Hot Pot House: blocked\n"
        "version 10.30.0.3, template 754, fingerprint 0123456789\n"
        "planned upload: nothing is online yet\n"
        "\n"
        "2026-11-24 (CST)\n"
        "  11:07:00  the run starts on night, until released\n"
        "  11:08:00  sends the package (try 1)\n"
        "  11:09:00  upload did not take effect\n"
        "              no service category of the app is approved yet "
        "[platform.category_not_approved]\n"
        '              the platform: 69002 "服务类目审核通过后，可以提交小程序代码包审核"\n'
        "  11:10:00  ends blocked: a person must act first\n"
        "  11:20:00  the run is finished\n"
        "\n"
        "hint: wait for the review of the category\n"
        "\n"
        "next: fleetdeploy run x"
    )


def test_the_story_of_a_released_app_names_its_package() -> None:
    text = explained(list(released("1")))
    assert text.startswith("app 1 Hot Pot House: released\nversion 10.30.0.3, package 58210, ")
    sentences = [line[12:] for line in text.splitlines() if line.startswith("  11:")]
    assert sentences == [
        "the run starts on night, until released",
        "sends the package (try 1)",
        "the upload is accepted",
        "the platform has built the package, package 58210",
        "submits it for audit (try 1)",
        "it is in audit",
        "the reviewer said yes",
        "releases it (try 1)",
        "the release is accepted",
        "it is online",
    ]


def test_what_was_in_the_way_is_told_by_its_own_id() -> None:
    withdraw, wait = Step.WITHDRAW, Step.AWAIT_WITHDRAW
    records: list[RunRecord | AnyAppRecord] = [
        StepStarted(app_id="1", step=withdraw, attempt=1, package_id="9", obstacle=True),
        StepSucceeded(app_id="1", step=withdraw, attempt=1),
        StepSucceeded(app_id="1", step=wait, attempt=1, package_id="9", obstacle=True),
    ]
    sentences = [line[12:] for line in explained(records).splitlines() if line.startswith("  11:")]
    assert sentences[1:] == [
        "withdraws package 9, which is in the way, from audit (try 1)",
        "the withdrawal is accepted",
        "package 9, which was in the way, is out of audit",
    ]


def test_doubt_halts_and_other_processes_are_part_of_the_story() -> None:
    records: list[RunRecord | AnyAppRecord] = [
        WaveOpened(wave="all"),
        StepStarted(app_id="1", step=UPLOAD, attempt=1),
        StepDoubted(app_id="1", step=UPLOAD, attempt=1, error=NOTE),
        RunStopped(reason=StopReason.NO_WAIT),
        RunResumed(until=Until.RELEASED, writer=WRITER, override_reason="mended"),
        StepSucceeded(app_id="1", step=UPLOAD, attempt=1, settled=True),
        RunHalted(cause=HaltCause.BUDGET, error=NOTE),
        RunFinished(superseded_by="r2"),
    ]
    text = explained(records)
    for sentence in (
        "upload: no certain answer; looks at the platform before anything else\n",
        "the run stops (no wait)\n",
        "the run goes on in a new process on night (mended)\n",
        "the upload is accepted; its answer was lost, the platform shows it\n",
        "the run halts (budget)\n",
        "run r2 takes the rest over\n",
    ):
        assert sentence in text
    assert "wave" not in text


def test_outages_are_part_of_every_app_s_story() -> None:
    text = explained(
        [
            OutageBegan(service=Service.BUILD, error=NOTE),
            OutageEnded(service=Service.BUILD),
            OutageBegan(service=Service.PLATFORM, error=NOTE),
        ]
    )
    for sentence in (
        "the packaging service is out: apps wait, and one at a time tries again\n",
        "the packaging service is back\n",
        "the platform is out: apps wait, and one at a time tries again\n",
    ):
        assert sentence in text


def test_an_adopted_package_is_told_with_where_it_was_found() -> None:
    found = PackageFound(app_id="1", stage=FoundStage.AUDITING, package_id="9", version="9.9")
    text = explained([found])
    assert "finds our package (package 9, version 9.9) in audit, goes on with it\n" in text
    assert "version 9.9, package 9," in text


def test_a_story_over_several_days_is_told_by_day() -> None:
    plan = make_plan([make_planned("1")])
    records: list[RunRecord | AnyAppRecord] = list(released("1"))
    entries = make_entries(records, every_s=40_000)
    state = make_state(plan, records)
    text = render_explain(plan.apps[0], state.apps["1"], entries, Output.TEXT, STYLE)
    assert [line for line in text.splitlines() if line.endswith("(CST)")] == [
        "2026-11-24 (CST)",
        "2026-11-25 (CST)",
        "2026-11-26 (CST)",
        "2026-11-27 (CST)",
        "2026-11-28 (CST)",
    ]
    assert text.endswith("next: fleetdeploy status 20261124-0307-k3f9")


def test_a_story_as_json_keeps_every_error() -> None:
    story = Story.model_validate_json(explained(list(blocked("1")), Output.JSON))
    assert story.schema_version == 1
    assert [line.kind for line in story.lines] == [
        "run_started",
        "step_started",
        "step_failed",
        "app_finished",
    ]
    assert [line.error.errno if line.error else None for line in story.lines] == [
        None,
        None,
        69002,
        69002,
    ]
    assert story.hint == NOTE.hint


def test_a_story_as_markdown_is_a_list() -> None:
    text = explained(list(blocked("1")), Output.MARKDOWN, name="A|B")
    assert text.startswith("# App `1` A\\|B: blocked\n")
    assert "- 11:08:00 sends the package (try 1)\n" in text
    assert "**Hint:** wait for the review of the category\n" in text


PACKAGES = (
    Package(version="10.30.0.3", description="x [fd:0123456789]", package_id="5", status=4),
    Package(version="火锅", package_id="6", status=7, committer="张三"),
    Package(version="3", upload_status=3, upload_error_code=69010, upload_error_message="模板"),
    Package(version="4", upload_status=1, commit_time="2026/11/24 11:07:00"),
    Package(version="5", upload_status=2),
    Package(version="6"),
)


def test_packages_show_the_platforms_number_with_our_word_and_mark_ours() -> None:
    assert render_packages("1", PACKAGES, Output.TEXT, PLAIN) == (
        "package  version    status                   ours        committed            "
        "by    message\n"
        "5        10.30.0.3  4 in audit               0123456789  -                    -\n"
        "6        火锅       7 unknown                no          -                    张三\n"
        "-        3          upload 3: upload failed  no          -                    "
        "-     模板\n"
        "-        4          upload 1: uploading      no          2026/11/24 11:07:00  -\n"
        "-        5          upload 2: unknown        no          -                    -\n"
        "-        6          no status yet            no          -                    -"
    )
    painted = render_packages("1", PACKAGES, Output.TEXT, ANSI)
    assert "\x1b[36m5        10.30.0.3" in painted


def test_no_packages_is_an_answer_too() -> None:
    assert render_packages("1", (), Output.TEXT, PLAIN) == "app 1 has no packages"
    assert render_packages("1", (), Output.MARKDOWN, PLAIN) == "# Packages of `1`\n\nNone."


def test_packages_as_json_keep_numbers_that_we_do_not_know() -> None:
    found = Packages.model_validate_json(render_packages("1", PACKAGES, Output.JSON, PLAIN))
    assert found.schema_version == 1
    assert [(row.status, row.upload_status) for row in found.packages[:3]] == [
        (4, None),
        (7, None),
        (None, 3),
    ]
    assert found.packages[0].fingerprint == "0123456789"
    one = Packages.model_validate_json(render_package("1", PACKAGES[1], Output.JSON, PLAIN))
    assert one.packages == found.packages[1:2]


def test_one_package_is_shown_with_all_that_is_known() -> None:
    package = Package(
        version="3", package_id="5", status=5, audit_message="类目不符", rollback_version="2"
    )
    assert render_package("1", package, Output.TEXT, PLAIN) == (
        "app 1, package 5\n"
        "  version        3\n"
        "  status         5 audit failed\n"
        "  ours           no\n"
        "  reviewer       类目不符\n"
        "  rolls back to  2"
    )
    failed = render_package("1", PACKAGES[2], Output.MARKDOWN, PLAIN)
    assert "| upload error | 69010 模板 |" in failed


PROBLEMS = ManifestInvalid(
    [
        Problem("shop.yaml", "must be text", 3, 7, "apps[0].app_id"),
        Problem("clients.csv", "there is no such file"),
    ]
)


def test_problems_are_told_one_a_line_with_their_place() -> None:
    assert render_problems(PROBLEMS, Output.TEXT) == (
        "shop.yaml:3:7: apps[0].app_id: must be text\n"
        "clients.csv: there is no such file\n"
        "2 problems"
    )
    assert render_problems(PROBLEMS, Output.MARKDOWN) == (
        "# 2 problems\n\n"
        "- `shop.yaml:3:7`: apps\\[0\\].app\\_id: must be text\n"
        "- `clients.csv`: there is no such file"
    )
    document = json.loads(render_problems(PROBLEMS, Output.JSON))
    assert document["schema_version"] == 1
    assert document["code"] == "manifest.invalid"
    assert document["problems"][1] == {
        "file": "clients.csv",
        "line": None,
        "column": None,
        "path": "",
        "message": "there is no such file",
    }
    assert error_document(PROBLEMS) == render_problems(PROBLEMS, Output.JSON)


REFUSED = ClientMustAct(
    "platform.name_not_approved", "not approved", hint="wait", errno=69001, msg="小程序\n名称"
)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RunNotFound("no run x"), "error: no run x [run.not_found]"),
        (
            SettingsInvalid("2 problems\none\ntwo", hint="see docs"),
            "error: 2 problems [settings.invalid]\n  one\n  two\nhint: see docs",
        ),
        (
            REFUSED,
            (
                "error: not approved [platform.name_not_approved]\n"
                '  the platform: 69001 "小程序 名称"\n'
                "hint: wait"
            ),
        ),
        (FleetError(""), "error:  [unexpected]"),
    ],
)
def test_an_error_is_told_with_its_code_and_hint(error: FleetError, expected: str) -> None:
    assert render_error(error, PLAIN) == expected


def test_an_error_as_json_has_its_code_and_the_platforms_words() -> None:
    assert json.loads(error_document(REFUSED)) == {
        "schema_version": 1,
        "code": "platform.name_not_approved",
        "message": "not approved",
        "hint": "wait",
        "errno": 69001,
        "msg": "小程序\n名称",
    }
