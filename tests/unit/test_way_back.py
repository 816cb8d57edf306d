"""What a release would lose of the way back: who is concerned, until when, and what is said."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from fleetdeploy.core.lifecycle import Event
from fleetdeploy.core.plan import Action, Plan, check_digest, seal
from fleetdeploy.core.records import AnyAppRecord, AppFinished, RunRecord, WaveOpened, WaveSettled
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.rules import WaveRule
from fleetdeploy.core.soaking import Soaking, lost_by_release
from fleetdeploy.core.way_back import Soaks, protected_end, way_back_notes
from fleetdeploy.model import Outcome, RunKind
from tests.unit.core_builders import (
    APP,
    OTHERS,
    OURS,
    START,
    make_plan,
    make_planned,
    make_row,
    make_target,
    record_of,
    state_of,
)
from tests.unit.test_plan_back import TO_APPROVED, TO_RELEASED

HOUR = timedelta(hours=1)
SOAKS = Soaking(run_id="r0", version="9.9", fingerprint=OTHERS, until=START + HOUR)
LIVE = replace(make_row(1, "100", fingerprint=OTHERS, version="9.9"), rollback_version="9.8")
TARGET = replace(make_target(), soaking=(SOAKS,))


def past(soak_s: float = 3600.0, **fields: object) -> Plan:
    rules = make_plan().rules.model_copy(
        update={"waves": (WaveRule(name="all", soak_s=soak_s), WaveRule(name="rest"))}
    )
    return seal(make_plan().model_copy(update={"rules": rules, **fields}))


def found(*runs: tuple[Plan, RunState], wanted: Iterable[str] = (APP,)) -> tuple[Soaking, ...]:
    soaks = Soaks(wanted)
    for plan, state in runs:
        soaks.take(plan, state)
    return soaks.found().get(APP, ())


def released(*more: RunRecord | AnyAppRecord) -> RunState:
    return state_of(*map(record_of, TO_RELEASED), *more)


# --- what history says ---


def test_a_release_soaks_from_when_its_wave_settled() -> None:
    state = released(WaveOpened(wave="all"), WaveSettled(wave="all"))
    (soaking,) = found((past(), state))
    assert soaking.until == state.waves_settled["all"] + HOUR
    assert (soaking.run_id, soaking.fingerprint) == ("r1", OURS)


def test_where_the_wave_never_settled_it_soaks_from_the_release() -> None:
    state = released()
    (soaking,) = found((past(), state))
    assert soaking.until == state.apps[APP].updated_at + HOUR  # type: ignore[operator]


@pytest.mark.parametrize("steps", [7, 8])
def test_a_release_in_doubt_counts(steps: int) -> None:
    assert found((past(), state_of(*map(record_of, TO_RELEASED[:steps]))))


@pytest.mark.parametrize("events", [TO_APPROVED, (*TO_APPROVED[:-1], Event.ENDED_REJECTED)])
def test_who_was_never_released_does_not_soak(events: tuple[Event, ...]) -> None:
    assert found((past(), state_of(*map(record_of, events)))) == ()


def test_a_wave_without_a_soak_another_app_and_a_rollback_say_nothing() -> None:
    assert found((past(0.0), released())) == ()
    assert found((past(), released()), wanted=("7",)) == ()
    assert found((past(run_kind=RunKind.ROLLBACK), released())) == ()


def test_of_the_same_content_the_newest_run_decides() -> None:
    assert found((past(0.0), released()), (past(), released())) == ()
    (soaking,) = found((past(60.0, run_id="r2"), released()), (past(), released()))
    assert soaking.run_id == "r2"


# --- who is concerned ---


def test_a_release_over_what_soaks_would_lose_the_way_back_until_the_soak_is_over() -> None:
    assert lost_by_release((SOAKS,), OURS, LIVE, START) == SOAKS
    assert lost_by_release((SOAKS,), OURS, LIVE, SOAKS.until - timedelta(seconds=1)) == SOAKS
    assert lost_by_release((SOAKS,), OURS, LIVE, SOAKS.until) is None


def test_the_same_content_again_is_no_loss() -> None:
    assert lost_by_release((SOAKS,), OTHERS, LIVE, START) is None


def test_where_something_else_is_online_or_nothing_came_before_there_is_nothing_to_lose() -> None:
    rolled_back = replace(LIVE, description="by hand", version="9.8")
    for live in (None, rolled_back, replace(LIVE, rollback_version="")):
        assert lost_by_release((SOAKS,), OURS, live, START) is None


def test_an_app_ends_blocked_with_the_time_and_both_versions() -> None:
    note = protected_end(TARGET, (make_row(6), LIVE), START)
    assert note is not None
    end = note.record
    assert isinstance(end, AppFinished)
    assert end.outcome is Outcome.BLOCKED
    assert end.error is not None
    assert end.error.code == "release.would_lose_way_back"
    assert end.error.message == (
        "version 9.9 of run r0 soaks until 2026-11-24 02:00 UTC: "
        "a release would lose the way back to version 9.8"
    )
    assert protected_end(TARGET, (make_row(6), LIVE), SOAKS.until) is None


# --- what the plan says ---


def test_the_plan_warns_of_those_whose_release_would_lose_it() -> None:
    app = make_planned().model_copy(update={"soaking": (SOAKS,)})
    blocked = app.model_copy(update={"app_id": "1", "action": Action.BLOCKED})
    rows = {APP: (LIVE,), "1": (LIVE,)}
    (note,) = way_back_notes((app, blocked), rows, START, protect=True)
    assert note.app_ids == (APP,)
    assert "soaks until 2026-11-24 02:00 UTC" in note.message
    assert "ends blocked" in note.hint
    (open_note,) = way_back_notes((app,), rows, START, protect=False)
    assert "protect_rollback: true" in open_note.hint
    assert way_back_notes((app,), rows, SOAKS.until, protect=True) == ()
    assert way_back_notes((app,), {}, START, protect=True) == ()


def test_a_plan_keeps_what_soaks_and_older_plans_keep_their_digest() -> None:
    app = make_planned().model_copy(update={"soaking": (SOAKS,)})
    plan = make_plan(app)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    assert plan.apps[0].target().soaking == (SOAKS,)
    assert plan.digest != make_plan().digest
    older = make_plan().model_dump(exclude={"apps": {"__all__": {"soaking"}}})
    check_digest(Plan.model_validate(older), "an older file")
