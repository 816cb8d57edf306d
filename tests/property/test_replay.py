"""Laws of replay, over random legal histories."""

from copy import deepcopy

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from fleetdeploy.core.lifecycle import SENT, TRANSITIONS, Event, kinds_of
from fleetdeploy.core.records import (
    AnyAppRecord,
    Asked,
    Entry,
    HaltCause,
    OutageBegan,
    OutageEnded,
    PauseLifted,
    RunFinished,
    RunHalted,
    RunPaused,
    RunRecord,
    RunResumed,
    RunStopped,
    StopReason,
    WaveApproved,
    WaveOpened,
    WaveSettled,
)
from fleetdeploy.core.replay import RunState, replay
from fleetdeploy.errors import IllegalTransition
from fleetdeploy.model import Phase, RunKind, Service, Until
from tests.unit.core_builders import NOTE, START, WRITER, entries_of, header, record_of

pytestmark = pytest.mark.slow

law = settings(deadline=None, max_examples=100)

APPS = ("1", "2", "3")
ASKED = Asked(order="o", at=START, who="ops", host="here")

ABOUT_THE_RUN: st.SearchStrategy[RunRecord] = st.one_of(
    st.builds(
        RunResumed,
        until=st.sampled_from(Until),
        writer=st.just(WRITER),
        override_reason=st.none() | st.just("known"),
    ),
    st.builds(WaveOpened, wave=st.just("w"), ahead=st.booleans()),
    st.just(WaveSettled(wave="w")),
    st.just(WaveApproved(wave="w", asked=ASKED)),
    st.just(RunPaused(asked=ASKED)),
    st.just(PauseLifted(asked=ASKED)),
    st.builds(RunStopped, reason=st.sampled_from(StopReason), calls=st.just({"packages": 1})),
    st.builds(RunHalted, cause=st.sampled_from(HaltCause), error=st.just(NOTE)),
    st.builds(WaveOpened, wave=st.just("all")),
)


def turn_of(service: Service, out: set[Service]) -> RunRecord:
    """End the outage of a service, or let one begin where there is none."""
    out.symmetric_difference_update({service})
    return (
        OutageBegan(service=service, error=NOTE) if service in out else OutageEnded(service=service)
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Entry]:
    """Walk three apps through the table, with records about the run in between."""
    phases = dict.fromkeys(APPS, Phase.QUEUED)
    out: set[Service] = set()
    kind = draw(st.sampled_from(RunKind))
    records: list[RunRecord | AnyAppRecord] = [header(draw(st.sampled_from(Until)), kind)]
    for _ in range(draw(st.integers(0, 40))):
        moving = sorted(app for app, phase in phases.items() if TRANSITIONS[phase])
        if not moving or draw(st.integers(0, 5)) == 0:
            records.append(draw(ABOUT_THE_RUN))
            continue
        if draw(st.integers(0, 5)) == 0:
            records.append(turn_of(draw(st.sampled_from(Service)), out))
            continue
        app_id = draw(st.sampled_from(moving))
        legal = [e for e in TRANSITIONS[phases[app_id]] if kind in kinds_of(e)]
        event = draw(st.sampled_from(sorted(legal)))
        phases[app_id] = TRANSITIONS[phases[app_id]][event]
        records.append(record_of(event, app_id, attempt=draw(st.integers(1, 6))))
    if draw(st.booleans()):
        records.append(RunFinished())
    return entries_of(records)


def folded(entries: list[Entry]) -> RunState:
    return replay(RunState.new(APPS), entries)


@law
@given(histories())
def test_j4_every_prefix_of_a_valid_journal_replays(history: list[Entry]) -> None:
    live = RunState.new(APPS)
    for length, entry in enumerate(history, start=1):
        live.apply(entry)
        assert folded(history[:length]) == live


@law
@given(histories(), st.data())
def test_j4_replay_in_one_go_equals_replay_in_two(
    history: list[Entry], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(history)))
    assert replay(folded(history[:cut]), history[cut:]) == folded(history)


@law
@given(histories(), st.sampled_from(Event), st.sampled_from((*APPS, "not in the plan")))
def test_j4_what_the_table_forbids_is_refused_and_changes_nothing(
    history: list[Entry], event: Event, app_id: str
) -> None:
    state = folded(history)
    legal = (
        app_id in state.apps
        and event in TRANSITIONS[state.apps[app_id].phase]
        and state.kind in kinds_of(event)
    )
    before = deepcopy(state)
    entry = Entry(len(history), START, record_of(event, app_id))
    if legal and not state.finished:
        state.check(entry.record)
        state.apply(entry)
        assert state.apps[app_id].phase is TRANSITIONS[before.apps[app_id].phase][event]
    elif not legal:
        with pytest.raises(IllegalTransition):
            state.apply(entry)
        assert state == before


@law
@given(histories())
def test_ends_are_final(history: list[Entry]) -> None:
    ended: dict[str, object] = {}
    state = RunState.new(APPS)
    for entry in history:
        state.apply(entry)
        for app_id, was in ended.items():
            assert state.apps[app_id] == was
        ended |= {app.app_id: app for app in state.apps.values() if app.terminal}


@law
@given(histories())
def test_what_counts_are_the_apps_that_ended_badly_less_those_forgiven(
    history: list[Entry],
) -> None:
    state = folded(history)
    bad = {Phase.FAILED, Phase.REJECTED, Phase.CANCELLED}
    ended_badly = {app.app_id for app in state.apps.values() if app.phase in bad}
    assert state.failing <= ended_badly
    assert state.failing == ended_badly or any(
        isinstance(entry.record, RunResumed) and entry.record.override_reason for entry in history
    )


@law
@given(histories())
def test_doubt_lasts_exactly_while_a_result_is_missing(history: list[Entry]) -> None:
    for app in folded(history).apps.values():
        assert app.in_doubt == (app.phase in SENT)
        assert not app.in_doubt or app.step is not None
