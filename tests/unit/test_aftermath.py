"""What a halt asks to be rolled back, what newer runs have made of it, and what to type next."""

from dataclasses import replace

import pytest

from fleetdeploy.core.aftermath import (
    NOTHING,
    Aftermath,
    Later,
    aftermath_of,
    asks_for_more,
    next_after,
    once_withdrawn,
    rolled_back_by_halt,
    worse,
)
from fleetdeploy.core.endings import NOT_ONLINE, SUPERSEDED
from fleetdeploy.core.lifecycle import Event
from fleetdeploy.core.plan import ManifestRef, Plan, PlannedApp, PlanNote, seal
from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    HaltCause,
    RunFinished,
    RunHalted,
    RunRecord,
    RunResumed,
    WaveOpened,
)
from fleetdeploy.core.replay import RunState, replay
from fleetdeploy.core.rules import WaveRule
from fleetdeploy.core.summary import summarise
from fleetdeploy.errors import ExitCode
from fleetdeploy.model import Outcome, PackageStatus, RunKind, Until
from tests.builders import make_plan, make_planned, make_rules
from tests.unit.core_builders import NOTE, WRITER, entries_of, header, make_row, record_of
from tests.unit.test_plan_back import TO_APPROVED, TO_RELEASED

ONE, TWO, THREE = "1", "2", "3"
BACK_WAVE = WaveRule(name="first", auto_rollback=True)
OPENED = WaveOpened(wave="first")


def app(app_id: str, wave: str = "first") -> PlannedApp:
    return make_planned(app_id, wave=wave)


def plan_of(*waves: WaveRule, **fields: object) -> Plan:
    apps = (app(ONE), app(TWO), app(THREE, "rest"))
    rules = make_rules(waves=waves or (BACK_WAVE, WaveRule(name="rest")))
    return make_plan(apps, rules=rules, **fields)


def told(plan: Plan, *records: RunRecord | AnyAppRecord) -> RunState:
    state = RunState.new(one.app_id for one in plan.apps)
    return replay(state, entries_of((header(kind=plan.run_kind), *records)))


def through(app_id: str, events: tuple[Event, ...] = TO_RELEASED) -> list[AnyAppRecord]:
    return [record_of(event, app_id) for event in events]


def halt(cause: HaltCause = HaltCause.BUDGET) -> RunHalted:
    return RunHalted(cause=cause, error=NOTE)


def halted(*records: RunRecord | AnyAppRecord, cause: HaltCause = HaltCause.BUDGET) -> RunState:
    """Return a run of which one app is out and another was rejected, when it halted."""
    rejected = (*TO_APPROVED[:-1], Event.ENDED_REJECTED)
    return told(plan_of(), OPENED, *through(ONE), *through(TWO, rejected), *records, halt(cause))


# --- whom it concerns ---


@pytest.mark.parametrize("cause", [HaltCause.BUDGET, HaltCause.CAUSE, HaltCause.GATE])
def test_what_the_wave_released_goes_back_when_the_run_halts_in_it(cause: HaltCause) -> None:
    assert rolled_back_by_halt(plan_of(), halted(cause=cause)) == (ONE,)


@pytest.mark.parametrize("cause", [HaltCause.OPERATOR, HaltCause.PLATFORM, HaltCause.CREDENTIALS])
def test_people_the_platform_and_credentials_roll_nothing_back(cause: HaltCause) -> None:
    state = halted(cause=cause)
    assert rolled_back_by_halt(plan_of(), state) == ()
    assert not asks_for_more(plan_of(), state)


def test_only_a_wave_that_says_so_goes_back() -> None:
    assert rolled_back_by_halt(plan_of(WaveRule(name="first")), halted()) == ()


def test_a_run_that_did_not_halt_keeps_what_it_released() -> None:
    assert rolled_back_by_halt(plan_of(), told(plan_of(), OPENED, *through(ONE))) == ()


def test_only_the_last_wave_that_was_opened_goes_back() -> None:
    records = (OPENED, *through(ONE), WaveOpened(wave="rest"), *through(THREE), halt())
    assert rolled_back_by_halt(plan_of(), told(plan_of(), *records)) == ()
    both = plan_of(BACK_WAVE, WaveRule(name="rest", auto_rollback=True))
    assert rolled_back_by_halt(both, told(both, *records)) == (THREE,)


def test_a_wave_that_is_only_audited_ahead_is_not_the_one() -> None:
    ahead = WaveOpened(wave="rest", ahead=True)
    assert rolled_back_by_halt(plan_of(), halted(ahead, *through(THREE, TO_APPROVED))) == (ONE,)


@pytest.mark.parametrize(("steps", "expected"), [(6, ()), (7, (ONE,)), (8, (ONE,))])
def test_a_release_in_doubt_counts_and_an_approval_does_not(
    steps: int, expected: tuple[str, ...]
) -> None:
    state = told(plan_of(), OPENED, *through(ONE, TO_RELEASED[:steps]), halt())
    assert rolled_back_by_halt(plan_of(), state) == expected


def test_what_somebody_else_released_and_what_was_online_stay() -> None:
    by_hand = (*TO_APPROVED, Event.FOUND_RELEASED)
    records = (*through(ONE, by_hand), *through(TWO, (Event.ENDED_UNCHANGED,)))
    assert rolled_back_by_halt(plan_of(), told(plan_of(), OPENED, *records, halt())) == ()


def test_a_wave_with_which_somebody_went_on_is_not_rolled_back_by_a_later_halt() -> None:
    going_on = RunResumed(until=Until.RELEASED, writer=WRITER, override_reason="they are fine")
    plain = RunResumed(until=Until.RELEASED, writer=WRITER)
    begun = (OPENED, *through(ONE), halt())
    assert rolled_back_by_halt(plan_of(), told(plan_of(), *begun, plain, halt())) == (ONE,)
    assert rolled_back_by_halt(plan_of(), told(plan_of(), *begun, going_on, halt())) == ()


# --- what newer runs have made of it ---


def later(plan: Plan, *records: RunRecord | AnyAppRecord, alive: bool = False) -> Later:
    return Later(plan, told(plan, *records), "as told", alive)


def rollback(*app_ids: str, **fields: object) -> Plan:
    apps = tuple(app(app_id) for app_id in app_ids)
    plan = make_plan(apps, run_id="back", run_kind=RunKind.ROLLBACK, of_run=plan_of().run_id)
    return seal(plan.model_copy(update=fields))


def after(*newer: Later, state: RunState | None = None) -> Aftermath:
    return aftermath_of(plan_of(), state or halted(), newer)


def test_without_a_newer_run_it_is_all_still_to_be_done() -> None:
    found = after()
    assert (found.to_roll_back, found.open_rollback) == ((ONE,), None)
    assert next_after(plan_of(), found) == f"fleetdeploy resume {plan_of().run_id}"


def test_a_rollback_that_has_begun_is_gone_on_with() -> None:
    found = after(later(rollback(ONE)))
    assert found.to_roll_back == ()
    assert found.open_rollback is not None
    assert found.open_rollback.run_id == "back"
    assert next_after(plan_of(), found) == f"fleetdeploy resume {plan_of().run_id}"
    alive = after(later(rollback(ONE), alive=True))
    assert next_after(plan_of(), alive) == "fleetdeploy status back"


def test_after_a_finished_rollback_nothing_is_left_and_it_is_named() -> None:
    done = later(
        rollback(ONE),
        *through(
            ONE,
            (
                Event.ROLLBACK_STARTED,
                Event.ROLLBACK_SUCCEEDED,
                Event.AWAIT_ROLLBACK_SUCCEEDED,
            ),
        ),
        RunFinished(),
    )
    found = after(done)
    assert (found.to_roll_back, found.open_rollback) == ((), None)
    assert [(back.run_id, back.finished) for back in found.taken_back] == [("back", True)]
    assert next_after(plan_of(), found) is None


def test_who_was_left_alone_by_a_rollback_is_not_tried_again() -> None:
    note = PlanNote(code=NOT_ONLINE.code, message="left alone", app_ids=(ONE,))
    assert after(later(rollback(TWO, notes=(note,)))).to_roll_back == ()


def test_who_belongs_to_a_newer_rollout_is_its_own() -> None:
    newer = later(make_plan((app(ONE),), run_id="tonight"))
    assert after(newer).to_roll_back == ()
    assert after(newer).taken_back == ()


def test_who_was_taken_over_by_a_run_that_cannot_be_read_is_left_to_it() -> None:
    publishing = through(ONE, TO_RELEASED[:8])
    taken = AppFinished(app_id=ONE, outcome=Outcome.CANCELLED, error=SUPERSEDED.note())
    state = told(plan_of(), OPENED, *publishing, halt(), taken)
    assert rolled_back_by_halt(plan_of(), state) == (ONE,)
    assert after(state=state).to_roll_back == ()


# --- a withdrawal that a rollout is to follow ---


def withdrawal(**fields: object) -> Plan:
    ref = ManifestRef(name="fixed", path="fixed.yaml", digest="d")
    return seal(rollback(ONE, TWO, run_kind=RunKind.WITHDRAW, resubmit=ref, **fields))


WITHDRAWN = (
    *through(
        ONE,
        (Event.WITHDRAW_STARTED, Event.WITHDRAW_SUCCEEDED, Event.AWAIT_WITHDRAW_SUCCEEDED),
    ),
    *through(TWO, (Event.ENDED_CANCELLED,)),
)


def test_who_was_withdrawn_is_to_be_rolled_out_anew_and_nobody_else() -> None:
    plan = withdrawal()
    state = told(plan, *WITHDRAWN, RunFinished())
    found = aftermath_of(plan, state, ())
    assert found.to_resubmit == (ONE,)
    assert summarise(plan, state, alive=False, aftermath=found).next == "fleetdeploy resume back"
    newer = later(make_plan((app(ONE),), run_id="tonight"))
    assert aftermath_of(plan, state, (newer,)) == replace(NOTHING)


def test_before_its_end_and_without_a_manifest_nothing_follows_a_withdrawal() -> None:
    assert not asks_for_more(withdrawal(), told(withdrawal(), *WITHDRAWN))
    plain = withdrawal().model_copy(update={"resubmit": None})
    assert not asks_for_more(plain, told(plain, *WITHDRAWN, RunFinished()))
    assert withdrawal().digest != seal(plain).digest


def test_the_forecast_takes_only_the_package_itself_out_of_audit() -> None:
    ours, other, online = make_row(4, "1"), make_row(4, "2"), make_row(1, "1")
    moved = once_withdrawn((ours, other, online), "1")
    assert [row.status for row in moved] == [
        PackageStatus.DEVELOPMENT,
        PackageStatus.IN_AUDIT,
        PackageStatus.ONLINE,
    ]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (ExitCode.OK, ExitCode.INCOMPLETE, ExitCode.INCOMPLETE),
        (ExitCode.UNFINISHED, ExitCode.INCOMPLETE, ExitCode.UNFINISHED),
        (ExitCode.HALTED, ExitCode.UNFINISHED, ExitCode.HALTED),
        (ExitCode.INCOMPLETE, ExitCode.INTERRUPTED, ExitCode.INTERRUPTED),
    ],
)
def test_of_two_runs_the_one_that_went_worse_gives_the_exit_code(
    one: ExitCode, other: ExitCode, expected: ExitCode
) -> None:
    """Which is not the larger number."""
    assert worse(one, other) is expected
    assert worse(other, one) is expected
