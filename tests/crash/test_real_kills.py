"""Processes of the real command line, killed at every named point: nothing twice, nothing lost."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.crash.mortal import DIES_AT, POINTS
from tests.crash.ordeal import KILLED, MOMENT, MORTAL, ONLY_NEW, Death, Ordeal, Tally, ordeal
from tests.e2e.stage import open_stage
from tests.e2e.test_kills import killed_after

pytestmark = pytest.mark.slow

APPS = 12
TRIES = 4
"""A life may end before it comes to a point; the next rollout begins with everything to do."""


def die(suffering: Ordeal, death: Death) -> None:
    assert any(suffering.suffer(death, anew=death.point in ONLY_NEW) for _ in range(TRIES)), (
        f"{death} never came: {suffering.tally}"
    )


def check_survived(tally: Tally) -> None:
    assert tally.wrong == []
    assert (tally.twice, tally.unlawful, tally.unannounced, tally.lost) == (0, 0, 0, 0)


@pytest.mark.parametrize("faults", [False, True])
def test_a_fleet_survives_a_kill_at_every_point(tmp_path: Path, faults: bool) -> None:
    rng = Random(20261125)
    half = POINTS[faults::2]
    with ordeal(tmp_path, rng, apps=APPS, faults=faults) as suffering:
        for point in rng.sample(half, len(half)):
            die(suffering, Death(point, nth=rng.randint(1, 3) if "write" in point else 1))
        for moment_s in (0.1, 0.3, 0.6):
            suffering.suffer(Death(MOMENT, moment_s=moment_s))
    check_survived(suffering.tally)
    assert suffering.tally.kills - Counter([MOMENT] * 3) == Counter(half)


def test_a_run_killed_before_it_closed_what_it_took_over_does_so_when_it_goes_on(
    tmp_path: Path,
) -> None:
    with open_stage(tmp_path, apps=3) as stage:
        stage.nursery = MORTAL
        killed_after(stage, 12, "run", stage.manifest(), "--run-id", "older")
        # The first sync of a run is its header's.
        stage.besides = {DIES_AT: "after fdatasync:1"}
        assert stage.run("run", stage.manifest(), "--run-id", "newer").code == KILLED
        stage.besides = {}
        assert stage.run("resume").code == 0
        history = stage.run("history", "-o", "json").document()["runs"]
        stage.platform.check_lawful()
    assert isinstance(history, list)
    assert [(row["run_id"], row["state"]) for row in history] == [
        ("newer", "finished"),
        ("older", "superseded"),
    ]
