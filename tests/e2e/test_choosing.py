"""Which apps a run is for, how far it brings them, and what it is called."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.e2e.stage import SLOW_AUDITS, Result, open_stage

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD = "200000001", "200000002", "200000003"


def planned(result: Result) -> list[str]:
    apps = result.document()["apps"]
    assert isinstance(apps, list)
    return [app["app_id"] for app in apps]


CHOICES: list[tuple[Iterable[str], list[str]]] = [
    (("--only", SECOND), [SECOND]),
    (("--exclude", "place=other"), [FIRST]),
    (("--only", "place=other", "--exclude", SECOND), [THIRD]),
    (("--only", "@night.txt"), [FIRST, THIRD]),
]


def test_apps_are_chosen_by_id_label_and_file(tmp_path: Path) -> None:
    with open_stage(tmp_path) as stage:
        (tmp_path / "night.txt").write_text(f"# tonight\n{FIRST}\n\n{THIRD}\n")
        manifest = stage.manifest()
        commands = [("plan", manifest, "-o", "json", *words) for words, _ in CHOICES]
        chosen = [planned(result) for result in stage.several(*commands)]
    assert chosen == [expected for _, expected in CHOICES]


def test_what_is_to_be_typed_next_is_about_the_apps_that_were_chosen(tmp_path: Path) -> None:
    scenario = {"behaviour": SLOW_AUDITS, "apps": {SECOND: {"name_approved": False}}}
    with open_stage(tmp_path, scenario) as stage:
        manifest = stage.manifest()
        where = ("--until", "approved", "--only", SECOND, "--only", "place=other")
        plan = stage.run("plan", manifest, *where)
        ran = stage.run("run", manifest, "--no-wait", "--only", "phase=queued", "--only", SECOND)
        told = stage.several(
            ("report", "--only", SECOND), ("report", "--exclude", SECOND, "-o", "json")
        )
        back = stage.run("withdraw", stage.run_id(), "--dry-run", "--only", SECOND)
    command = f"next: fleetdeploy run {tmp_path / manifest} "
    assert plan.out.splitlines()[-1] == command + " ".join(where)
    assert ran.out.splitlines()[-1] == f"{command}--only {SECOND}"
    assert [result.code for result in told] == [0, 2]
    assert back.code == 0, back.err


def test_what_failed_is_run_again_by_its_phase(tmp_path: Path) -> None:
    with open_stage(tmp_path, {"apps": {SECOND: {"name_approved": False}}}) as stage:
        manifest = stage.manifest()
        first = stage.run("run", manifest, "--until", "approved", "--run-id", "first")
        stage.platform.change(SECOND, name_approved=True)
        second = stage.run(
            "run", manifest, "--only", "phase=blocked", "--run-id", "second", "-o", "json"
        )
        status = stage.run("status", "first", "-o", "json").document()
        stage.platform.check_lawful()
        effects = stage.platform.effects()
    assert (first.code, second.code) == (3, 0)
    assert second.document()["counts"] == {"released": 1}
    assert effects == {"upload": 3, "submit_audit": 3, "release": 1}
    assert status["counts"] == {"approved": 2, "blocked": 1}


def test_a_run_goes_as_far_as_it_is_told_and_a_resume_goes_on(tmp_path: Path) -> None:
    with open_stage(tmp_path) as stage:
        manifest = stage.manifest()
        results = [stage.run("run", manifest, "--until", "uploaded", "--run-id", "nightly")]
        far = [stage.platform.effects()]
        results.append(stage.run("resume", "--until", "released", "-o", "json"))
        far.append(stage.platform.effects())
        taken = stage.run("run", manifest, "--run-id", "nightly")
        stage.platform.check_lawful()
    assert [result.code for result in results] == [0, 0]
    assert far == [
        {"upload": 3},
        {"upload": 3, "submit_audit": 3, "release": 3},
    ]
    assert "fleetdeploy resume nightly --until released" in results[0].out
    assert results[1].document()["counts"] == {"released": 3}
    assert taken.code == 2
    assert "there is a run nightly already" in taken.err


def test_tonights_run_goes_on_where_last_nights_rests(tmp_path: Path) -> None:
    """Without a resume, and with other apps left to the older run."""
    with open_stage(tmp_path, {"behaviour": SLOW_AUDITS}) as stage:
        manifest = stage.manifest()
        stage.run("run", manifest, "--until", "uploaded", "--run-id", "last")
        stage.run("run", manifest, "--no-wait", "--only", FIRST, "--run-id", "tonight")
        rest = stage.run("resume", "last", "--until", "released", "--no-wait", "-o", "json")
        effects = stage.platform.effects()
        stage.platform.check_lawful()
    assert rest.code == 5
    assert rest.document()["counts"] == {"auditing": 2, "cancelled": 1}
    assert effects == {"upload": 3, "submit_audit": 3}
