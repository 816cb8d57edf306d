"""How far each wave of a run has come."""

from fleetdeploy.cli.render.waves import waves_told
from fleetdeploy.core.lifecycle import Event
from fleetdeploy.core.records import AnyAppRecord, AppFinished, RunRecord, WaveOpened
from fleetdeploy.core.wave_notes import WaveNote, WaveState, wave_notes
from fleetdeploy.model import Outcome
from tests.unit.core_builders import NOTE, make_plan, make_planned, record_of, state_of

WAVES = {"1": "canary", "2": "canary", "3": "early", "4": "rest", "5": "rest"}
PLAN = make_plan(
    *(make_planned(one).model_copy(update={"wave": wave}) for one, wave in WAVES.items())
)


def notes(*records: RunRecord | AnyAppRecord) -> tuple[WaveNote, ...]:
    return wave_notes(PLAN, state_of(*records, apps=[*WAVES]))


def ended(app_id: str, outcome: Outcome) -> AppFinished:
    return AppFinished(app_id=app_id, outcome=outcome, error=NOTE)


def test_a_single_wave_is_not_told() -> None:
    alone = make_plan(make_planned("1"))
    assert wave_notes(alone, alone.fresh_state()) == ()
    assert waves_told(()) == ""


def test_each_wave_is_told_with_its_state_and_its_ends() -> None:
    told = notes(
        WaveOpened(wave="canary"),
        ended("1", Outcome.UNCHANGED),
        ended("2", Outcome.FAILED),
        WaveOpened(wave="early", ahead=True),
        record_of(Event.FOUND_APPROVED, "3"),
    )
    assert [(one.state, one.apps, one.ended, one.good) for one in told] == [
        (WaveState.DONE, 2, 2, 1),
        (WaveState.AHEAD, 1, 0, 0),
        (WaveState.WAITING, 2, 0, 0),
    ]
    assert waves_told(told) == (
        "waves: canary 2/2 (1 not well), early 0/1 ahead, rest waits (2 apps)"
    )


def test_an_open_wave_is_told_while_apps_of_it_are_under_way() -> None:
    told = notes(WaveOpened(wave="canary"), ended("1", Outcome.UNCHANGED))
    assert told[0].state is WaveState.OPEN
    assert waves_told(told).startswith("waves: canary 1/2, ")
