"""How far each wave of a run has come, for people and scripts; decides nothing."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from fleetdeploy.core.plan import Plan
from fleetdeploy.core.replay import SUCCESSES, RunState


class WaveState(StrEnum):
    WAITING = "waiting"
    """Nothing of it is sent yet."""
    AHEAD = "ahead"
    """It goes as far as approval, ahead of its gate."""
    OPEN = "open"
    DONE = "done"
    """Every app of it is at its end."""


class WaveNote(BaseModel):
    """One wave: how many apps it has, how many are at their end, and how many of these well."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: WaveState
    apps: int
    ended: int
    good: int


def wave_notes(plan: Plan, state: RunState) -> tuple[WaveNote, ...]:
    """Tell the waves of a run in their order; nothing where there is one alone."""
    course = plan.course()
    if len(course.waves) <= 1:
        return ()
    return tuple(_note(wave.name, course.members[wave.name], state) for wave in course.waves)


def _note(name: str, app_ids: tuple[str, ...], state: RunState) -> WaveNote:
    ended = [state.apps[app_id] for app_id in app_ids if state.apps[app_id].terminal]
    return WaveNote(
        name=name,
        state=_state(name, state, done=len(ended) == len(app_ids)),
        apps=len(app_ids),
        ended=len(ended),
        good=sum(app.outcome in SUCCESSES for app in ended),
    )


def _state(name: str, state: RunState, *, done: bool) -> WaveState:
    if done:
        return WaveState.DONE
    if name in state.waves_opened:
        return WaveState.OPEN
    return WaveState.AHEAD if name in state.waves_ahead else WaveState.WAITING
