"""What speaks for and against a service, and which tries an outage excuses."""

from datetime import timedelta

import pytest

from fleetdeploy.baidu.errno import CAUSES
from fleetdeploy.core.decisions import Do, Note, Policy, Sight
from fleetdeploy.core.endings import ENDINGS
from fleetdeploy.core.outages import (
    TROUBLE,
    out_now,
    service_of_success,
    service_of_trouble,
)
from fleetdeploy.core.records import (
    AnyAppRecord,
    ErrorNote,
    OutageBegan,
    OutageEnded,
    RunRecord,
    StepDoubted,
    StepFailed,
    StepStarted,
    StepSucceeded,
)
from fleetdeploy.core.replay import RunState, replay
from fleetdeploy.core.settling import Circumstances, attempt
from fleetdeploy.errors import IllegalTransition
from fleetdeploy.model import Service, Step
from tests.builders import make_entries, make_entry

APP = "100000282"
DOWN = ErrorNote(code="platform.service_unavailable", message="down", errno=69009)
NOT_BUILT = ErrorNote(code="upload.unavailable", message="cannot be built", errno=69009)
CUT_OFF = ErrorNote(code="transport.cut_off", message="cut off")
BEGAN = OutageBegan(service=Service.UPLOAD, error=DOWN)
ENDED = OutageEnded(service=Service.UPLOAD)


def started(number: int, step: Step = Step.UPLOAD) -> StepStarted:
    return StepStarted(app_id=APP, step=step, attempt=number, package_id="7")


def failed(
    number: int, error: ErrorNote = DOWN, *, step: Step = Step.UPLOAD, **fields: bool
) -> StepFailed:
    return StepFailed(app_id=APP, step=step, attempt=number, error=error, **fields)


def doubted(number: int, error: ErrorNote = CUT_OFF, **fields: bool) -> StepDoubted:
    return StepDoubted(app_id=APP, step=Step.UPLOAD, attempt=number, error=error, **fields)


def succeeded(step: Step, *, settled: bool = False) -> StepSucceeded:
    return StepSucceeded(app_id=APP, step=step, attempt=1, settled=settled, package_id="7")


def state_of(*records: RunRecord | AnyAppRecord) -> RunState:
    return replay(RunState.new([APP]), make_entries(records))


def tries(numbers: range, *, excused: bool = False) -> list[AnyAppRecord]:
    return [
        record
        for number in numbers
        for record in (started(number), failed(number, excused=excused))
    ]


def test_every_code_of_trouble_is_one_that_can_come() -> None:
    assert {cause.code for cause in CAUSES} | {ending.code for ending in ENDINGS} >= TROUBLE


@pytest.mark.parametrize(
    ("record", "service"),
    [
        (failed(1), Service.UPLOAD),
        (doubted(1), Service.UPLOAD),
        (failed(1, NOT_BUILT, step=Step.AWAIT_UPLOAD), Service.BUILD),
        (failed(1, step=Step.SUBMIT_AUDIT), Service.AUDIT),
        (failed(1, step=Step.WITHDRAW), Service.AUDIT),
        (failed(1, step=Step.RELEASE), Service.RELEASE),
        (failed(1, step=Step.ROLLBACK), Service.RELEASE),
    ],
)
def test_trouble_speaks_against_the_service_of_its_step(
    record: AnyAppRecord, service: Service
) -> None:
    assert service_of_trouble(record) is service


@pytest.mark.parametrize(
    "record",
    [
        failed(1, ErrorNote(code="platform.rate_limited", message="too fast", errno=18)),
        failed(1, ErrorNote(code="window.closed", message="closed")),
        doubted(1, ErrorNote(code="platform.unknown_error", message="?", errno=-7)),
        failed(1, CUT_OFF, settled=True),
        started(1),
    ],
    ids=["rate", "window", "vague", "settled", "started"],
)
def test_a_refusal_or_what_was_told_before_speaks_against_none(record: AnyAppRecord) -> None:
    assert service_of_trouble(record) is None


def test_a_yes_speaks_for_the_service_and_a_build_for_the_packaging() -> None:
    assert service_of_success(succeeded(Step.UPLOAD)) is Service.UPLOAD
    assert service_of_success(succeeded(Step.AWAIT_UPLOAD)) is Service.BUILD
    assert service_of_success(succeeded(Step.UPLOAD, settled=True)) is None
    assert service_of_success(succeeded(Step.AWAIT_AUDIT)) is None


def test_the_state_keeps_what_is_out_and_for_how_long_it_was() -> None:
    state = state_of(BEGAN)
    assert out_now(state.outages).keys() == {Service.UPLOAD}
    state = state_of(BEGAN, ENDED, BEGAN, OutageBegan(service=Service.BUILD, error=NOT_BUILT))
    first = state.outages[0]
    assert first.until is not None
    assert first.until - first.since == timedelta(minutes=1)
    assert out_now(state.outages).keys() == {Service.UPLOAD, Service.BUILD}


@pytest.mark.parametrize("records", [(ENDED,), (BEGAN, BEGAN), (BEGAN, ENDED, ENDED)])
def test_an_outage_begins_and_ends_in_turn(records: tuple[RunRecord, ...]) -> None:
    state = state_of(*records[:-1])
    before = list(state.outages)
    with pytest.raises(IllegalTransition):
        state.check(records[-1])
    with pytest.raises(IllegalTransition):
        state.apply(make_entry(records[-1], 9))
    assert state.outages == before


def test_excused_tries_do_not_count_and_those_before_and_after_do() -> None:
    app = state_of(
        *tries(range(1, 3)), *tries(range(3, 33), excused=True), *tries(range(33, 35))
    ).apps[APP]
    assert app.attempt == 34
    assert app.counted == 4


def test_a_lost_answer_is_excused_once() -> None:
    state = state_of(started(1), doubted(1, excused=True), failed(1, CUT_OFF, settled=True))
    assert state.apps[APP].counted == 0


def test_the_next_step_counts_from_nought() -> None:
    state = state_of(
        *tries(range(1, 6), excused=True),
        started(6),
        succeeded(Step.UPLOAD),
        succeeded(Step.AWAIT_UPLOAD),
        started(1, Step.SUBMIT_AUDIT),
    )
    assert state.apps[APP].counted == 1


def test_only_counted_tries_bring_an_app_to_its_end() -> None:
    policy = Policy(attempts=3)

    def next_try(*records: RunRecord | AnyAppRecord) -> object:
        app = state_of(*records).apps[APP]
        return attempt(Circumstances(app, Sight(()), policy), started(1), "it is to go")

    excused = next_try(*tries(range(1, 9), excused=True), *tries(range(9, 11)))
    assert isinstance(excused, Do)
    assert excused.record.attempt == 11
    assert isinstance(next_try(*tries(range(1, 4))), Note)
