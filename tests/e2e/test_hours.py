"""Windows and freezes at the command line: what waits, how it is told, and the exit code."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.stage import open_stage

pytestmark = pytest.mark.slow

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def closed_for_days() -> str:
    """Return a window that opens in three days, wherever in today's night the test runs."""
    then = datetime.now(UTC) + timedelta(days=3)
    return f"{DAYS[then.weekday()]} 10:00-12:00 UTC"


def frozen_now() -> dict[str, str]:
    today = datetime.now(UTC).date()
    days = {"from": f"{today - timedelta(days=1)}", "to": f"{today + timedelta(days=1)}"}
    return {**days, "zone": "UTC", "reason": "stock-taking"}


def test_a_run_outside_its_window_leaves_what_is_approved_for_later(tmp_path: Path) -> None:
    with open_stage(tmp_path) as stage:
        window = closed_for_days()
        manifest = stage.manifest(windows={"release": [window]})
        plan = stage.run("plan", manifest)
        first = stage.run("run", manifest, "--until", "approved", "--run-id", "nightly")
        # The run keeps the windows that it was started with.
        stage.manifest()
        later = stage.run("resume", "--until", "released", "--no-wait", "-o", "json")
        told = stage.several(("status",), ("report",), ("report", "-o", "json"))
        effects = stage.platform.effects()
    assert (plan.code, first.code, later.code) == (0, 0, 5)
    assert f"releases  only {window}; opens in 2d " in plan.out or "opens in 3d " in plan.out
    status = later.document()
    assert status["counts"] == {"approved": 3}
    assert [wait["count"] for wait in status["waits"]] == [3]  # type: ignore[attr-defined]
    assert effects == {"upload": 3, "submit_audit": 3}
    assert f"releases: only {window}; opens in " in later.err
    for result in told[:2]:
        assert "3 apps wait for the window of release: opens " in result.out
        assert result.out.rstrip().endswith("fleetdeploy resume nightly")


def test_nothing_is_submitted_while_frozen_though_it_is_uploaded(tmp_path: Path) -> None:
    with open_stage(tmp_path) as stage:
        manifest = stage.manifest(freezes=[frozen_now()])
        result = stage.run("run", manifest, "--no-wait", "-o", "json")
        plan = stage.run("plan", manifest)
        effects = stage.platform.effects()
    assert result.code == 5
    assert result.document()["counts"] == {"uploaded": 3}
    assert effects == {"upload": 3}
    assert "UTC (stock-taking)" in plan.out


def test_a_run_that_waits_for_its_window_ends_at_its_deadline(tmp_path: Path) -> None:
    with open_stage(tmp_path) as stage:
        manifest = stage.manifest(windows={"submit": [closed_for_days()]})
        result = stage.run("run", manifest, "--deadline", "3s", "-o", "json")
        effects = stage.platform.effects()
    assert result.code == 5
    assert result.document()["state"] == "stopped at its deadline"
    assert effects == {"upload": 3}
