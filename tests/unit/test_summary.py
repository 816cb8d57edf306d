"""A run told: counts, causes, exit code and the command to type next."""

import json
import shlex
from datetime import timedelta

import pytest

from fleetdeploy.core.lifecycle import Event
from fleetdeploy.core.next_steps import exit_code_of, next_command
from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    Asked,
    ErrorNote,
    HaltCause,
    PauseLifted,
    RunFinished,
    RunHalted,
    RunPaused,
    RunRecord,
    RunResumed,
    RunStopped,
    StopReason,
    WaveOpened,
    WaveSettled,
)
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.rules import WaveRule
from fleetdeploy.core.summary import PauseNote, Status, describe_state, summarise
from fleetdeploy.errors import ExitCode
from fleetdeploy.model import Outcome, Phase, Until
from tests.unit.core_builders import (
    NOTE,
    START,
    WRITER,
    make_plan,
    make_planned,
    record_of,
    state_of,
)

HOUR = timedelta(hours=1)
PLAN = make_plan(*(make_planned(str(number)) for number in range(1, 5)))

UPLOADED = (Event.UPLOAD_STARTED, Event.UPLOAD_SUCCEEDED, Event.AWAIT_UPLOAD_SUCCEEDED)


def told(*records: RunRecord | AnyAppRecord, alive: bool = False) -> Status:
    return summarise(PLAN, run(*records), alive=alive)


def run(*records: RunRecord | AnyAppRecord) -> RunState:
    return state_of(*records, apps=[app.app_id for app in PLAN.apps])


def ended(app_id: str, outcome: Outcome, error: ErrorNote | None = NOTE) -> AppFinished:
    return AppFinished(app_id=app_id, outcome=outcome, error=error)


def halted(cause: HaltCause = HaltCause.BUDGET) -> RunHalted:
    return RunHalted(cause=cause, error=ErrorNote(code="run.budget", message="m", hint="h"))


def stopped(reason: StopReason) -> RunStopped:
    return RunStopped(reason=reason)


ALL_UNCHANGED = tuple(ended(str(number), Outcome.UNCHANGED, None) for number in range(1, 5))
ONE_FAILED = (*ALL_UNCHANGED[:3], ended("4", Outcome.FAILED))
SUPERSEDED = RunFinished(superseded_by="r2")


def test_apps_are_told_in_the_plans_order_with_what_is_known() -> None:
    status = told(record_of(Event.FOUND_AUDITING, "2", version="9.9"), ended("3", Outcome.BLOCKED))
    assert [app.app_id for app in status.apps] == ["1", "2", "3", "4"]
    second, third = status.apps[1:3]
    assert (second.phase, second.version, second.package_id, second.outcome) == (
        Phase.AUDITING,
        "9.9",
        "58210",
        None,
    )
    assert (third.outcome, third.step, third.attempts) == (Outcome.BLOCKED, None, 0)
    assert third.error is not None
    assert third.error.msg == NOTE.msg


def test_counts_hold_only_phases_that_occur_in_the_order_of_a_life() -> None:
    status = told(ended("3", Outcome.BLOCKED), record_of(Event.UPLOAD_STARTED, "2"))
    assert list(status.counts.items()) == [
        (Phase.QUEUED, 2),
        (Phase.UPLOADING, 1),
        (Phase.BLOCKED, 1),
    ]


def test_causes_are_grouped_by_code_and_words_and_the_commonest_comes_first() -> None:
    other = NOTE.model_copy(update={"msg": "other words"})
    status = told(
        ended("1", Outcome.FAILED, other),
        ended("2", Outcome.FAILED),
        ended("3", Outcome.BLOCKED),
        ended("4", Outcome.UNCHANGED, None),
    )
    assert [(c.code, c.count, c.app_ids) for c in status.causes] == [
        (NOTE.code, 2, ("2", "3")),
        (NOTE.code, 1, ("1",)),
    ]
    assert status.causes[0].message == "busy (网络繁忙，请稍后重试)"


def test_what_went_well_has_no_cause() -> None:
    assert told(ended("1", Outcome.UNCHANGED)).causes == ()


def test_a_status_is_one_json_document_with_its_version() -> None:
    document = json.loads(told(*ONE_FAILED).model_dump_json())
    assert document["schema_version"] == 1
    assert {"run_id", "kind", "manifest", "alive", "counts", "apps", "causes", "next"} <= set(
        document
    )
    assert set(document["apps"][0]) == {
        "app_id", "name", "wave", "phase", "outcome", "template_id", "version", "fingerprint",
        "package_id", "step", "attempts", "error", "hint", "updated_at", "opens_at",
    }  # fmt: skip


def test_calls_are_told_by_endpoint() -> None:
    status = told(RunStopped(reason=StopReason.NO_WAIT, calls={"upload": 2, "packages": 4}))
    assert list(status.calls.items()) == [("packages", 4), ("upload", 2)]


RESUMED = RunResumed(until=Until.RELEASED, writer=WRITER)

STATES: list[tuple[tuple[RunRecord | AnyAppRecord, ...], str, ExitCode, str]] = [
    ((), "interrupted", ExitCode.UNFINISHED, "fleetdeploy resume r1"),
    ((stopped(StopReason.SIGNAL),), "stopped", ExitCode.UNFINISHED, "fleetdeploy resume r1"),
    (
        (stopped(StopReason.DEADLINE),),
        "stopped at its deadline",
        ExitCode.UNFINISHED,
        "fleetdeploy resume r1",
    ),
    ((stopped(StopReason.NO_WAIT),), "waiting", ExitCode.UNFINISHED, "fleetdeploy resume r1"),
    (
        (stopped(StopReason.RESTING),),
        "at rest",
        ExitCode.OK,
        "fleetdeploy resume r1 --until released",
    ),
    (
        (ended("1", Outcome.BLOCKED), stopped(StopReason.RESTING)),
        "at rest",
        ExitCode.INCOMPLETE,
        "fleetdeploy resume r1 --until released",
    ),
    (
        (halted(),),
        "halted",
        ExitCode.HALTED,
        'fleetdeploy resume r1 --override-halt "REASON"',
    ),
    ((halted(HaltCause.PLATFORM),), "halted", ExitCode.HALTED, "fleetdeploy resume r1"),
    ((halted(HaltCause.CREDENTIALS),), "halted", ExitCode.CREDENTIALS, "fleetdeploy resume r1"),
    ((halted(), RESUMED), "interrupted", ExitCode.UNFINISHED, "fleetdeploy resume r1"),
    ((*ALL_UNCHANGED, RunFinished()), "finished", ExitCode.OK, "fleetdeploy report r1"),
    (
        (*ONE_FAILED, RunFinished()),
        "finished",
        ExitCode.INCOMPLETE,
        "fleetdeploy run manifest.yaml",
    ),
]


@pytest.mark.parametrize(("records", "word", "code", "command"), STATES)
def test_where_a_run_stands_is_a_word_a_code_and_a_command(
    records: tuple[RunRecord | AnyAppRecord, ...], word: str, code: ExitCode, command: str
) -> None:
    state = run(*records)
    assert describe_state(state, alive=False) == word
    assert exit_code_of(state) is code
    assert next_command(PLAN, state, alive=False) == command


def test_a_run_that_is_alive_is_running_and_can_be_watched() -> None:
    status = told(record_of(Event.UPLOAD_STARTED, "1"), alive=True)
    assert (status.state, status.next) == ("running", "fleetdeploy status r1")


def test_a_superseded_run_points_to_the_newer_one() -> None:
    status = told(record_of(Event.UPLOAD_STARTED, "1"), SUPERSEDED)
    assert (status.state, status.next) == ("superseded", "fleetdeploy status r2")


def test_a_superseded_run_whose_apps_did_not_end_is_not_where_it_should_be() -> None:
    assert exit_code_of(run(SUPERSEDED)) is not ExitCode.OK


@pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.BLOCKED, Outcome.CANCELLED])
def test_any_end_that_is_no_success_makes_a_run_incomplete(outcome: Outcome) -> None:
    before = (record_of(Event.FOUND_AUDITING, "4"),)
    state = run(*ALL_UNCHANGED[:3], *before, ended("4", outcome), RunFinished())
    assert exit_code_of(state) is ExitCode.INCOMPLETE


def test_the_halt_is_told_with_its_cause_and_hint() -> None:
    halt = told(halted()).halted
    assert halt is not None
    assert (halt.cause, halt.code, halt.hint) == (HaltCause.BUDGET, "run.budget", "h")


def test_the_next_command_can_be_pasted_into_a_shell() -> None:
    plan = make_plan(make_planned("1"), path="my fleet/it's.yaml")
    state = state_of(ended("1", Outcome.FAILED), RunFinished(), apps=["1"])
    command = next_command(plan, state, alive=False)
    assert shlex.split(command) == ["fleetdeploy", "run", "my fleet/it's.yaml"]


def test_the_next_command_reaches_no_further_than_the_run_did() -> None:
    chosen = ("--only", "ring=first one", "--exclude", "7")
    plan = make_plan(make_planned("1"))
    some = plan.model_copy(update={"chosen": chosen, "until": Until.APPROVED})
    state = state_of(ended("1", Outcome.FAILED), RunFinished(), apps=["1"])
    assert next_command(some, state, alive=False) == (
        "fleetdeploy run manifest.yaml --until approved --only 'ring=first one' --exclude 7"
    )


def test_a_released_app_is_told_as_released() -> None:
    events = (
        *UPLOADED,
        Event.SUBMIT_AUDIT_STARTED,
        Event.SUBMIT_AUDIT_SUCCEEDED,
        Event.AWAIT_AUDIT_SUCCEEDED,
        Event.RELEASE_STARTED,
        Event.RELEASE_SUCCEEDED,
        Event.AWAIT_RELEASE_SUCCEEDED,
    )
    first = told(*(record_of(event, "1") for event in events)).apps[0]
    assert (first.phase, first.outcome, first.step, first.hint) == (
        Phase.RELEASED,
        Outcome.RELEASED,
        None,
        "",
    )


ASKED = Asked(order="1" * 32, at=START, who="ops", host="desk", reason="lunch")
PAUSED = RunPaused(asked=ASKED)


@pytest.mark.parametrize("alive", [True, False])
def test_a_paused_run_says_who_paused_it_and_how_to_go_on(*, alive: bool) -> None:
    status = told(PAUSED, RunStopped(reason=StopReason.NO_WAIT), alive=alive)
    assert status.state == "paused"
    assert status.paused == PauseNote(who="ops", host="desk", at=START, reason="lunch")
    assert status.next == "fleetdeploy resume r1"


def test_a_pause_that_is_lifted_or_over_with_the_run_is_not_told() -> None:
    assert told(PAUSED, PauseLifted(asked=ASKED), alive=True).paused is None
    assert told(PAUSED, RunFinished()).paused is None


def test_a_halt_is_told_before_a_pause() -> None:
    status = told(PAUSED, halted(HaltCause.OPERATOR))
    assert status.state == "halted"
    assert "--override-halt" in status.next


@pytest.mark.parametrize(
    ("wave", "words"), [("first shops", "'first shops'"), ("-first", "-- -first")]
)
@pytest.mark.parametrize("alive", [True, False])
def test_a_wave_that_waits_for_approval_is_told_with_what_to_type(
    wave: str, words: str, *, alive: bool
) -> None:
    waves = (WaveRule(name=wave, gate="approval"), WaveRule(name="rest"))
    plan = PLAN.model_copy(
        update={
            "waves": (wave, "rest"),
            "rules": PLAN.rules.model_copy(update={"waves": waves}),
        }
    )
    settled = (WaveOpened(wave=wave), WaveSettled(wave=wave))
    status = summarise(plan, run(*settled), alive=alive)
    assert status.approval == wave
    assert status.next == f"fleetdeploy approve r1 {words}"


def test_a_wave_that_soaks_is_told_with_the_time_at_which_it_has() -> None:
    waves = (WaveRule(name="first", soak_s=3600.0), WaveRule(name="rest"))
    apps = tuple(
        app.model_copy(update={"wave": "first" if app is PLAN.apps[0] else "rest"})
        for app in PLAN.apps
    )
    rules = PLAN.rules.model_copy(update={"waves": waves})
    plan = PLAN.model_copy(update={"rules": rules, "apps": apps})
    end = AppFinished(app_id=apps[0].app_id, outcome=Outcome.UNCHANGED)
    state = run(WaveOpened(wave="first"), end, WaveSettled(wave="first"))
    soaking = summarise(plan, state, alive=False, now=START).soaking
    assert soaking is not None
    assert (soaking.wave, soaking.until - state.waves_settled["first"]) == ("first", HOUR)
    later = summarise(plan, state, alive=False, now=START + 2 * HOUR)
    assert later.soaking is None
