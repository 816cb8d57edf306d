"""A check-up as people and scripts read it."""

import json
from datetime import UTC, datetime

from fleetdeploy.cli.render.doctor import render_doctor
from fleetdeploy.cli.render.style import ANSI, PLAIN, Output
from fleetdeploy.core.diagnosis import (
    AppCheckup,
    Check,
    Diagnosis,
    QuarantineSeen,
    State,
    diagnose,
    fine,
    unknown,
    worst,
)
from fleetdeploy.core.summary import ManifestNote
from tests.builders import HOSTILE

CATEGORY = Check(
    name="category",
    state=State.PROBLEM,
    code="platform.category_not_approved",
    found="no service category is approved",
    hint="have the client mend it",
    msg="资质不全",
)
CLOCK = Check(
    name="clock",
    state=State.WARNING,
    code="doctor.clock_skew",
    found="this machine is 5 min ahead",
    hint="let the machine keep its time",
)
NOT_ASKED = unknown("token", "not asked: enough", code="doctor.not_asked", hint="raise it")


def app(app_id: str, *checks: Check) -> AppCheckup:
    return AppCheckup(app_id=app_id, name="", state=worst(checks), checks=checks)


def made(fleet: list[Check], apps: list[AppCheckup], *, named: str = "storefront") -> Diagnosis:
    return diagnose(
        fleet,
        apps,
        checked_at=datetime(2026, 11, 24, 3, 7, tzinfo=UTC),
        manifest=ManifestNote(name=named, digest="52b1c0ff") if apps else None,
        path="shop.yaml" if apps else "",
        calls={"app_info": 13, "audit_quota": 1},
    )


def mixed() -> Diagnosis:
    good = app("1", fine("token", "it works"))
    bad = [app(str(number), CATEGORY) for number in range(10, 22)]
    fleet = [fine("settings", "tokens from a file"), CLOCK, unknown("tp_token", "no key")]
    return made(fleet, [good, *bad, app("9", NOT_ASKED)])


TEXT = """\
check-up of storefront: 1 problem, 1 warning, 2 unknown

  ok       settings  tokens from a file
  warning  clock     this machine is 5 min ahead [doctor.clock_skew]
           hint: let the machine keep its time
  unknown  tp_token  no key

  ok        1
  unknown   1
  problem  12
  apps     14

12 apps: no service category is approved (资质不全) [platform.category_not_approved]
  10, 11, 12, 13, 14, 15, 16, 17, 18, 19 and 2 more
  hint: have the client mend it

1 app: unknown: not asked: enough [doctor.not_asked]
  9
  hint: raise it

14 calls to the platform

next: fleetdeploy doctor shop.yaml"""


def test_what_is_wrong_stands_together_by_cause_with_what_to_do() -> None:
    assert render_doctor(mixed(), Output.TEXT, PLAIN) == TEXT


def test_a_check_up_without_findings_says_so_and_names_the_plan() -> None:
    text = render_doctor(made([fine("settings", "fine")], [app("1")]), Output.TEXT, PLAIN)
    assert text.startswith("check-up of storefront: all is in place\n")
    assert text.endswith("next: fleetdeploy plan shop.yaml")


def test_a_check_up_without_a_manifest_tells_only_of_the_fleet() -> None:
    text = render_doctor(made([fine("settings", "fine")], []), Output.TEXT, PLAIN)
    assert text == (
        "check-up: all is in place\n\n  ok  settings  fine\n\n"
        "14 calls to the platform\n\nnext: fleetdeploy doctor MANIFEST"
    )


def test_colours_come_only_with_their_style() -> None:
    painted = render_doctor(mixed(), Output.TEXT, ANSI)
    assert (
        "\x1b[33m  warning  clock     this machine is 5 min ahead [doctor.clock_skew]\x1b[0m\n"
        in painted
    )
    assert "\x1b" not in render_doctor(mixed(), Output.TEXT, PLAIN)


def test_as_json_every_app_has_every_check() -> None:
    text = render_doctor(mixed(), Output.JSON, ANSI)
    assert Diagnosis.model_validate_json(text) == mixed()
    document = json.loads(text)
    assert document["schema_version"] == 1
    assert document["counts"] == {"ok": 1, "unknown": 1, "problem": 12}
    assert len(document["apps"]) == 14
    assert document["causes"][0]["app_ids"] == [str(number) for number in range(10, 22)]


def test_as_markdown_it_has_the_same_facts() -> None:
    text = render_doctor(mixed(), Output.MARKDOWN, PLAIN)
    assert text.startswith("# Check-up of storefront: 1 problem, 1 warning, 2 unknown\n")
    assert (
        "| warning | `clock` | `doctor.clock_skew` | this machine is 5 min ahead | let the machine"
        in text
    )
    assert "| problem | 12 |" in text
    assert "| 12 | problem | `platform.category_not_approved` |" in text
    assert text.endswith("Next: `fleetdeploy doctor shop.yaml`")


def test_hostile_words_do_no_harm() -> None:
    hostile = Check(
        name=HOSTILE,
        state=State.PROBLEM,
        code=HOSTILE,
        found=HOSTILE,
        hint=HOSTILE,
        msg=HOSTILE,
    )
    whole = made([hostile], [app(HOSTILE, hostile)], named=HOSTILE)
    for output in Output:
        text = render_doctor(whole, output, PLAIN)
        assert not set("\x1b\x07\x9b\x00\u202e\u2066\u2028\ud800") & set(text)
        text.encode()


def test_who_is_let_out_of_quarantine_and_who_stays_is_a_line_each() -> None:
    seen = QuarantineSeen(back=("1",), kept=("10", "11"))
    diagnosis = mixed().model_copy(update={"quarantine": seen})
    text = render_doctor(diagnosis, Output.TEXT, PLAIN)
    assert "\n\nout of quarantine: 1 app (1)\nstill in quarantine: 2 apps (10, 11)\n\n" in text
    page = render_doctor(diagnosis, Output.MARKDOWN, PLAIN)
    assert "- out of quarantine: 1 app (1)" in page
    assert "quarantine:" not in render_doctor(mixed(), Output.TEXT, PLAIN)
