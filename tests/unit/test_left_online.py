"""What earlier runs say about what is online, each by its plan and how it left the app."""

from dataclasses import dataclass

import pytest

from fleetdeploy.core.app_state import AppState
from fleetdeploy.core.foreign import LeftOnline
from fleetdeploy.core.left_online import Trail, followed
from fleetdeploy.core.plan import OnlineNote, PlannedApp
from fleetdeploy.core.targets import Undo
from fleetdeploy.model import Phase, RunKind, Step
from tests.builders import make_planned

ID = "100000282"


@dataclass(frozen=True)
class Run:
    """One earlier run, as far as it matters here."""

    kind: RunKind
    planned: PlannedApp
    app: AppState


def rollout(phase: Phase, step: Step | None = None, *, by: str = "1", **planned: object) -> Run:
    app = AppState(ID, phase=phase, step=step)
    return Run(RunKind.ROLLOUT, make_planned(ID, version=by, **planned), app)


def rollback(
    phase: Phase, *, to: str | None, step: Step | None = Step.ROLLBACK, undo: str | None = None
) -> Run:
    planned = make_planned(ID, undo=Undo("58210", undo))
    return Run(RunKind.ROLLBACK, planned, AppState(ID, phase=phase, step=step, back_to=to))


def left(*newest_first: Run) -> LeftOnline | None:
    trail = Trail()
    for run in newest_first:
        trail = followed(trail, run.kind, run.planned, run.app)
    return trail.known


RELEASED = rollout(Phase.RELEASED)


def test_without_a_release_nothing_is_known() -> None:
    assert left() is None
    assert left(rollout(Phase.REJECTED), rollout(Phase.BLOCKED), rollout(Phase.QUEUED)) is None


def test_the_newest_release_is_what_we_left() -> None:
    assert left(RELEASED) == LeftOnline(ours="1")
    assert left(rollout(Phase.FAILED, Step.UPLOAD), rollout(Phase.RELEASED, by="2"), RELEASED) == (
        LeftOnline(ours="2")
    )


def test_content_that_was_found_online_keeps_its_version() -> None:
    online = OnlineNote(version="0.5", fingerprint="0123456789")
    assert left(rollout(Phase.UNCHANGED, online=online)) == LeftOnline(ours="0.5")
    assert left(rollout(Phase.UNCHANGED)) == LeftOnline(ours="1")
    before = OnlineNote(version="0.4")
    assert left(rollout(Phase.UNCHANGED, online=before)) == LeftOnline(ours="1")


def test_an_adopted_package_counts_by_its_own_version() -> None:
    run = rollout(Phase.RELEASED)
    adopted = Run(run.kind, run.planned, AppState(ID, phase=Phase.RELEASED, version="0.7"))
    assert left(adopted) == LeftOnline(ours="0.7")


@pytest.mark.parametrize(
    "run",
    [
        rollout(Phase.RELEASING, Step.RELEASE, by="2"),
        rollout(Phase.PUBLISHING, Step.RELEASE, by="2"),
        rollout(Phase.CANCELLED, Step.RELEASE, by="2"),
    ],
    ids=["in doubt", "not seen online", "given up"],
)
def test_a_release_that_nobody_saw_online_may_be(run: Run) -> None:
    assert left(run) == LeftOnline(maybe=("2",))
    assert left(run, RELEASED) == LeftOnline(ours="1", maybe=("2",))


@pytest.mark.parametrize(
    "run",
    [
        rollback(Phase.ROLLED_BACK, to="0.9"),
        rollback(Phase.ROLLING_BACK, to="0.9"),
        rollback(Phase.FAILED, to="0.9"),
        rollback(Phase.ROLLED_BACK, to=None, step=None, undo="0.9"),
    ],
    ids=["seen", "in doubt", "given up", "begun by somebody"],
)
def test_what_a_rollback_of_ours_brought_back_or_may_have_is_remembered(run: Run) -> None:
    assert left(run, RELEASED) == LeftOnline(ours="1", back_to=("0.9",))
    assert left(rollout(Phase.RELEASED, by="3"), run, RELEASED) == LeftOnline(ours="3")


def test_a_rollback_that_sent_nothing_brought_nothing_back() -> None:
    never = rollback(Phase.BLOCKED, to=None, step=None, undo="0.9")
    assert left(never, RELEASED) == LeftOnline(ours="1")


def test_what_a_plan_knew_needs_no_older_run() -> None:
    """However many nights a release made by hand is left alone, it is not forgotten."""
    knew = LeftOnline(ours="1", maybe=("2",), back_to=("0.9",))
    blocked = rollout(Phase.BLOCKED, left_online=knew)
    assert left(blocked) == left(blocked, rollout(Phase.RELEASED, by="0.1")) == knew
    again = rollout(Phase.CANCELLED, Step.RELEASE, by="3", left_online=knew)
    assert left(again) == LeftOnline(ours="1", maybe=("3", "2"), back_to=("0.9",))


def test_a_plan_from_before_there_was_this_says_what_it_saw_online() -> None:
    ours = OnlineNote(version="0.5", fingerprint="abcdefabcd")
    theirs = OnlineNote(version="0.6")
    assert left(rollout(Phase.REJECTED, online=ours)) == LeftOnline(ours="0.5")
    assert left(rollout(Phase.REJECTED, online=theirs)) is None
    assert left(rollout(Phase.REJECTED, online=theirs), RELEASED) == LeftOnline(ours="1")
