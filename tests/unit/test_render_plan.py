"""The plan as people read it."""

import re
from datetime import timedelta, timezone

import pytest

from fleetdeploy.cli.render.plan import halt_facts, render_plan
from fleetdeploy.cli.render.style import PLAIN, Output, Style
from fleetdeploy.cli.render.validated import Validated, render_validated
from fleetdeploy.core.plan import Action, Plan, check_digest
from fleetdeploy.model import Step
from tests.builders import NOTE, make_plan, make_planned, make_rules

STYLE = Style(zone=timezone(timedelta(hours=8), "CST"))


def mixed_plan() -> Plan:
    return make_plan(
        [
            make_planned("100000282", name="火锅店"),
            make_planned(
                "100000283",
                direct_commit=True,
                changed=("ext.theme", "window"),
                unknown=("which keys differ",),
                in_doubt_before=True,
            ),
            make_planned("7", action=Action.BLOCKED, start=None, reason="no category", error=NOTE),
            make_planned(
                "8",
                action=Action.ADOPT,
                start=Step.AWAIT_AUDIT,
                reason="ours is there already (in audit)",
                template_id="755",
            ),
        ]
    )


def test_a_small_plan_has_a_line_for_each_app_and_ends_in_the_next_command() -> None:
    assert render_plan(mixed_plan(), Output.TEXT, STYLE, saved="my plan.json") == (
        "plan      20261124-0307-k3f9\n"
        "manifest  storefront (shop.yaml)\n"
        "template  754 (3 apps), 755 (1 app)\n"
        "version   10.30.0.3\n"
        "until     released\n"
        "budget    5% of 4 is 1: halts on the 2nd failure\n"
        "pace      10 calls per second, 32 at once\n"
        "made      2026-11-24 11:07:00 CST\n"
        "\n"
        "4 apps: + 2 upload, > 1 adopt, ! 1 blocked\n"
        "\n"
        "+ 100000282  火锅店         upload       nothing is online yet\n"
        "+ 100000283  Hot Pot House  upload       nothing is online yet; changes ext.theme, "
        "window; an earlier run was at work on it: looks first; "
        "submits at upload: no submit_audit step\n"
        "! 7          Hot Pot House  -            no category; "
        "wait for the review of the category\n"
        "> 8          Hot Pot House  await_audit  ours is there already (in audit)\n"
        "\n"
        "not known:\n"
        "  which keys differ (1 app: 100000283)\n"
        "\n"
        "next: fleetdeploy run --plan 'my plan.json'"
    )


def large_plan() -> Plan:
    uploads = [make_planned(str(100 + number)) for number in range(60)]
    others = [
        make_planned("7", action=Action.BLOCKED, start=None, reason="no category", error=NOTE),
        *(
            make_planned(str(900 + n), action=Action.UNCHANGED, start=None, reason="is online")
            for n in range(2)
        ),
    ]
    return make_plan([*uploads, *others])


def test_a_large_fleet_is_grouped_by_reason_after_what_is_not_routine() -> None:
    text = render_plan(large_plan(), Output.TEXT, STYLE)
    assert text.split("\n\n")[1:] == [
        "63 apps: + 60 upload, = 2 unchanged, ! 1 blocked",
        (
            "! 7        Hot Pot House  -       no category; wait for the review of the category\n"
            "+ 60 apps                 upload  nothing is online yet: "
            "100, 101, 102, 103, 104, 105, 106, 107, 108, 109 and 50 more\n"
            "= 2 apps                  -       is online: 900, 901"
        ),
        "next: fleetdeploy run shop.yaml",
    ]


def test_priorities_are_shown_where_something_is_to_be_done() -> None:
    apps = [
        make_planned("1", priority=10),
        make_planned("2"),
        make_planned("3", priority=10, action=Action.UNCHANGED, start=None, reason="is online"),
    ]
    text = render_plan(make_plan(apps), Output.TEXT, STYLE)
    shown = [line.split("  ")[-1].strip() for line in text.splitlines() if line[:2] in ("+ ", "= ")]
    assert shown == ["nothing is online yet; priority 10", "nothing is online yet", "is online"]


def test_verbose_lists_every_app_of_a_large_fleet() -> None:
    text = render_plan(large_plan(), Output.TEXT, STYLE, verbose=True)
    assert sum(line.startswith(("+ ", "! ", "= ")) for line in text.splitlines()) == 63


def test_a_plan_without_changes_names_no_command() -> None:
    plan = make_plan([make_planned("1", action=Action.UNCHANGED, start=None)])
    last = render_plan(plan, Output.TEXT, STYLE).splitlines()[-1]
    assert last == "nothing to do: every app has its content online"


def test_waves_are_shown_where_there_are_several() -> None:
    plan = make_plan(
        [make_planned("1", wave="canary"), make_planned("2", wave="rest")],
        waves=("canary", "rest"),
    )
    text = render_plan(plan, Output.TEXT, STYLE)
    assert "wave 1    canary: 1 app\nwave 2    rest: 1 app\n" in text
    assert "+ 2  Hot Pot House  rest    upload  nothing is online yet" in text


def test_a_plan_goes_wave_by_wave_after_what_is_not_routine() -> None:
    apps = [make_planned(str(100 + n), wave=("rest", "canary")[n % 2]) for n in range(60)]
    apps += [make_planned("7", wave="rest", action=Action.BLOCKED, start=None, error=NOTE)]
    rules = make_rules(waves=[{"name": "canary"}, {"name": "rest"}])
    some, all_of_them = (
        make_plan(chosen, waves=("canary", "rest"), rules=rules) for chosen in (apps[:4], apps)
    )
    small = render_plan(some, Output.TEXT, STYLE)
    large = render_plan(all_of_them, Output.TEXT, STYLE)
    rows = [line.split()[:3] for line in large.splitlines() if line[:2] in ("+ ", "! ")]
    assert re.findall(r"^\+ (\d+)", small, re.MULTILINE) == ["101", "103", "100", "102"]
    assert [(row[0], row[1]) for row in rows] == [("!", "7"), ("+", "30"), ("+", "30")]
    assert large.index(" canary  upload ") < large.index(" rest    upload ")


def test_what_is_adopted_by_a_large_fleet_is_grouped_too() -> None:
    adopted = make_planned("1", action=Action.ADOPT, start=Step.RELEASE, reason="ours is there")
    apps = [adopted.model_copy(update={"app_id": str(100 + number)}) for number in range(60)]
    text = render_plan(make_plan(apps), Output.TEXT, STYLE)
    assert "> 60 apps    release  ours is there: 100, 101, " in text


def test_markdown_is_a_document_for_a_review() -> None:
    text = render_plan(mixed_plan(), Output.MARKDOWN, STYLE)
    assert text.startswith("# Plan `20261124-0307-k3f9`\n\n|  |  |\n| --- | --- |\n")
    assert "| blocked | `7` | Hot Pot House | all | - | no category; " in text
    assert "submits at upload: no submit\\_audit step |" in text
    assert text.endswith("\n\nNext: `fleetdeploy run shop.yaml`")


def test_the_json_is_the_plan_itself() -> None:
    plan = mixed_plan()
    text = render_plan(plan, Output.JSON, STYLE)
    assert Plan.model_validate_json(text) == plan
    assert '"schema_version": 1' in text
    assert "火锅店" in text
    check_digest(Plan.model_validate_json(text), "stdout")


@pytest.mark.parametrize(
    ("allowed", "ordinal"),
    [
        (0, "1st"),
        (1, "2nd"),
        (2, "3rd"),
        (3, "4th"),
        (10, "11th"),
        (11, "12th"),
        (12, "13th"),
        (20, "21st"),
        (111, "112th"),
    ],
)
def test_the_budget_says_which_failure_halts(allowed: int, ordinal: str) -> None:
    expected = f"5% of 214 is {allowed}: halts on the {ordinal} failure"
    assert halt_facts(make_rules(failures_allowed=allowed), 214) == [("budget", expected)]


def test_what_else_halts_is_told_where_it_is_set() -> None:
    rules = make_rules(max_blocked="10%", blocked_allowed=21, halt_on_cause=3)
    assert halt_facts(rules, 214)[1:] == [
        ("blocked", "10% of 214 is 21: halts on the 22nd blocked app"),
        ("cause", "halts on the 3rd app that fails for the same new reason"),
    ]


def test_a_budget_that_is_a_number_is_not_told_twice() -> None:
    rules = make_rules(max_failures="3", failures_allowed=3)
    text = render_plan(make_plan(1, rules=rules), Output.TEXT, PLAIN)
    assert "budget    3: halts on the 4th failure\n" in text


def test_an_empty_plan_is_still_a_plan() -> None:
    text = render_plan(make_plan(0), Output.TEXT, STYLE)
    assert "0 apps: nothing to do" in text


def validated() -> Validated:
    return Validated(
        name="storefront",
        path="my shop.yaml",
        digest="52b1c0ff",
        apps=214,
        waves=("canary", "rest"),
        templates={"755": 1, "754": 213},
        versions={"10.30.0.3": 214},
        direct_commit=2,
        max_failures="5%",
        failures_allowed=10,
        max_blocked=None,
        blocked_allowed=None,
        halt_on_cause=3,
    )


def test_a_valid_manifest_is_told_what_it_comes_to() -> None:
    assert render_validated(validated(), Output.TEXT, PLAIN) == (
        "my shop.yaml: valid\n"
        "\n"
        "manifest  storefront\n"
        "apps      214\n"
        "template  754 (213 apps), 755 (1 app)\n"
        "version   10.30.0.3\n"
        "waves     canary, rest\n"
        "budget    5% of 214 is 10: halts on the 11th failure\n"
        "cause     halts on the 3rd app that fails for the same new reason\n"
        "note      2 apps submit at upload (directCommit): no submit_audit step\n"
        "\n"
        "next: fleetdeploy plan 'my shop.yaml'"
    )
    assert (
        Validated.model_validate_json(render_validated(validated(), Output.JSON, PLAIN))
        == validated()
    )
    markdown = render_validated(validated(), Output.MARKDOWN, PLAIN)
    assert markdown.startswith("# storefront is valid\n\n|  |  |\n")


# Windows and freezes. The plan is made on a Tuesday at 11:07 in Shanghai.


def facts_of(**rules: object) -> list[str]:
    text = render_plan(make_plan(1, rules=make_rules(**rules)), Output.TEXT, STYLE)
    return [line for line in text.splitlines() if line.startswith(("submits", "releas", "frozen"))]


def test_a_plan_says_when_its_window_opens_and_for_how_long_one_is_open() -> None:
    assert facts_of() == []
    assert facts_of(
        submit_windows=("Mon-Fri 09:00-18:00 Asia/Shanghai",),
        release_windows=("Mon-Fri 14:07-06:00 Asia/Shanghai", "Sun 12:00-14:00 UTC"),
    ) == [
        (
            "submits   only Mon-Fri 09:00-18:00 Asia/Shanghai; "
            "open, closes in 6h 53m (2026-11-24 18:00:00 CST)"
        ),
        (
            "releases  only Mon-Fri 14:07-06:00 Asia/Shanghai, Sun 12:00-14:00 UTC; "
            "opens in 3h 00m (2026-11-24 14:07:00 CST)"
        ),
    ]
    assert facts_of(release_windows=("Mon-Sun 00:00-24:00 UTC",)) == [
        "releases  only Mon-Sun 00:00-24:00 UTC; open"
    ]


def test_a_plan_says_which_days_are_frozen_until_they_are_over() -> None:
    over = {"first": "2026-11-01", "last": "2026-11-23", "zone": "Asia/Shanghai"}
    day = {"first": "2026-11-27", "last": "2026-11-27", "zone": "UTC", "reason": "Black Friday"}
    feast = {"first": "2027-02-05", "last": "2027-02-12", "zone": "Asia/Shanghai"}
    assert facts_of(freezes=(over, day, feast)) == [
        "frozen    2026-11-27 UTC (Black Friday), 2027-02-05 to 2027-02-12 Asia/Shanghai"
    ]
    now = {"first": "2026-11-24", "last": "2026-11-25", "zone": "Asia/Shanghai"}
    assert facts_of(release_windows=("Mon-Sun 08:00-20:00 Asia/Shanghai",), freezes=(now,)) == [
        "submits   at any time but when frozen; frozen, opens in 1d 12h (2026-11-26 00:00:00 CST)",
        (
            "releases  only Mon-Sun 08:00-20:00 Asia/Shanghai; "
            "frozen, opens in 1d 20h (2026-11-26 08:00:00 CST)"
        ),
        "frozen    2026-11-24 to 2026-11-25 Asia/Shanghai",
    ]


def test_a_plan_from_a_machine_that_knows_more_zones_can_be_read() -> None:
    rules = make_rules(release_windows=("Mon 08:00-20:00 Mars/Base",))
    for output in Output:
        assert "Mars/Base" in render_plan(make_plan(1, rules=rules), output, STYLE)
