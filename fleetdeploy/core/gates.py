"""When the next wave may open: the rule between two waves, judged on this run's evidence alone.

Pure: the time comes in, and it opens nothing itself. What is on the platform is not asked: only
what this run did to the apps of a wave, with its own packages and versions, speaks for or against
the next one.

How it works: waves open in the order of the plan. `next_move` looks at the last one that is open
and says what comes next: wait for its apps, note that it has settled, soak, wait for a person,
halt, or open the next. Ahead of that, waves may open as far as approval: with `audit_ahead` once
the first wave has its first approval, and in a run that releases nothing one after the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fleetdeploy.core.app_state import AppState, is_resting
from fleetdeploy.core.endings import NOT_APPROVED, SUPERSEDED, WAVE_IN_VAIN
from fleetdeploy.core.records import ErrorNote
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.rules import RunRules, WaveRule
from fleetdeploy.core.set_aside import is_set_aside
from fleetdeploy.model import Phase, RunKind, Until


@dataclass(frozen=True, slots=True)
class WavePast:
    """What an earlier run of the same rollout says of a wave that this run finds unchanged.

    `passed`: its gate let the next wave open.
    """

    settled_at: datetime | None = None
    passed: bool = False


@dataclass(frozen=True, slots=True)
class Course:
    """The waves that have apps in a run, in order, each with its apps' ids."""

    waves: tuple[WaveRule, ...]
    members: Mapping[str, tuple[str, ...]]
    ahead: bool = False
    past: Mapping[str, WavePast] = field(default_factory=dict)


def course_of(
    rules: RunRules,
    waves_of: Iterable[tuple[str, str]],
    past: Mapping[str, WavePast] | None = None,
) -> Course:
    """Return the course of a run from what its rules say and its apps, each id with its wave.

    Waves that the rules do not speak of come last, in the order of the apps.
    """
    plain = in_order(waves_of)
    ruled = tuple(rule for rule in rules.waves if rule.name in plain.members)
    named = {rule.name for rule in ruled}
    rest = tuple(wave for wave in plain.waves if wave.name not in named)
    ahead = rules.order == "audit_ahead"
    return Course((*ruled, *rest), plain.members, ahead=ahead, past=past or {})


def in_order(waves_of: Iterable[tuple[str, str]]) -> Course:
    """Return a course of waves that follow each other by themselves, in the order of the apps."""
    members: dict[str, list[str]] = {}
    for app_id, wave in waves_of:
        members.setdefault(wave, []).append(app_id)
    waves = tuple(WaveRule(name=name) for name in members)
    return Course(waves, {name: tuple(ids) for name, ids in members.items()})


@dataclass(frozen=True, slots=True)
class Open:
    """`ahead`: as far as approval."""

    wave: str
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Settle:
    """Note that every app of the wave has come to its end."""

    wave: str


@dataclass(frozen=True, slots=True)
class Working:
    """Apps of the wave are under way."""

    wave: str


@dataclass(frozen=True, slots=True)
class Soak:
    wave: str
    until: datetime


@dataclass(frozen=True, slots=True)
class AwaitApproval:
    """`until`: when the run halts if nobody has approved; None for never."""

    wave: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class HaltAt:
    wave: str
    error: ErrorNote


@dataclass(frozen=True, slots=True)
class AllOpen:
    """No wave is left to open."""


Move = Open | Settle | Working | Soak | AwaitApproval | HaltAt | AllOpen


def next_move(course: Course, state: RunState, now: datetime) -> Move:
    """Say what the course of the waves asks for next."""
    names = [wave.name for wave in course.waves]
    opened = [name for name in names if name in state.waves_opened]
    if len(opened) == len(names):
        return AllOpen()
    if not opened:
        return Open(names[0])
    ready = [name for name in names if name in opened or name in state.waves_ahead]
    if course.ahead and len(ready) < len(names) and _approved_one(course, state):
        return Open(names[len(ready)], ahead=True)
    if state.until is not Until.RELEASED:
        return _as_far_as_approval(course, state, names, ready)
    return _between(course, state, now, len(opened) - 1)


def _approved_one(course: Course, state: RunState) -> bool:
    return any(app.phase in _APPROVED for app in _apps(course, state, course.waves[0].name))


_APPROVED = frozenset({Phase.APPROVED, Phase.RELEASING, Phase.PUBLISHING, Phase.RELEASED})


def _as_far_as_approval(
    course: Course, state: RunState, names: Sequence[str], ready: Sequence[str]
) -> Move:
    """Open wave after wave for a run that releases nothing: there is nothing to watch or approve.

    Its gates wait for the resume that releases.
    """
    wave = ready[-1]
    apps = _apps(course, state, wave)
    if any(not (app.terminal or is_resting(app, state.until)) for app in apps):
        return Working(wave)
    if _in_vain(course, state, wave):
        return HaltAt(wave, WAVE_IN_VAIN.note(_vain_words(wave, apps)))
    return Open(names[len(ready)], ahead=True) if len(ready) < len(names) else Working(wave)


def _between(course: Course, state: RunState, now: datetime, index: int) -> Move:
    """Judge the last wave that is open, when the next one is still to come."""
    rule, following = course.waves[index], course.waves[index + 1].name
    apps = _apps(course, state, rule.name)
    if any(not app.terminal for app in apps):
        return Working(rule.name)
    settled_at = state.waves_settled.get(rule.name)
    if settled_at is None:
        return Settle(rule.name)
    past = course.past.get(rule.name, WavePast())
    if past.passed and not _moved(apps):
        return Open(following)
    if not _touched(apps):
        settled_at = past.settled_at or settled_at
    if _in_vain(course, state, rule.name):
        return HaltAt(rule.name, WAVE_IN_VAIN.note(_vain_words(rule.name, apps)))
    return _held_back(rule, state, settled_at, now) or Open(following)


def _held_back(rule: WaveRule, state: RunState, settled_at: datetime, now: datetime) -> Move | None:
    soaked_at = settled_at + timedelta(seconds=rule.soak_s)
    if now < soaked_at:
        return Soak(rule.name, soaked_at)
    said_yes = rule.name in state.waves_approved or rule.name in state.waves_accepted
    if rule.gate is None or said_yes:
        return None
    if rule.approve_within_s is None:
        return AwaitApproval(rule.name, None)
    until = soaked_at + timedelta(seconds=rule.approve_within_s)
    if now < until:
        return AwaitApproval(rule.name, until)
    return HaltAt(rule.name, NOT_APPROVED.note(f"nobody approved wave {rule.name} in time"))


def _in_vain(course: Course, state: RunState, wave: str) -> bool:
    """Whether a wave, all at its end or at rest, gives no reason to go on.

    Nothing of it succeeded, and something failed or no wave before it showed that it can succeed.
    A rollback or a withdrawal goes on: what one app cannot do is no reason to leave the others.
    """
    apps = _apps(course, state, wave)
    tried = _touched(apps)
    if state.kind is not RunKind.ROLLOUT or wave in state.waves_accepted:
        return False
    if not tried and not all(is_set_aside(app.error) for app in apps):
        return False
    if any(_succeeded(app, state) for app in tried):
        return False
    failed = any(app.phase is not Phase.BLOCKED for app in tried)
    return failed or not any(_succeeded(app, state) for app in state.apps.values())


def _succeeded(app: AppState, state: RunState) -> bool:
    return app.phase is Phase.RELEASED or is_resting(app, state.until)


def _moved(apps: Iterable[AppState]) -> list[AppState]:
    """Return the apps for which this run found out anything new: what is blocked says nothing."""
    return [app for app in _touched(apps) if app.phase is not Phase.BLOCKED]


def _touched(apps: Iterable[AppState]) -> list[AppState]:
    """Return the apps that this run had something to do for."""
    return [app for app in apps if app.phase is not Phase.UNCHANGED and not _left_alone(app)]


def _left_alone(app: AppState) -> bool:
    """Whether the app's end says nothing: another run has it, or it is in quarantine."""
    taken_over = app.error is not None and app.error.code == SUPERSEDED.code
    return taken_over or is_set_aside(app.error)


def _vain_words(wave: str, apps: Sequence[AppState]) -> str:
    """Tell how the wave ended, with the platform's words of what stopped most of its apps."""
    errors = [app.error for app in apps if app.error is not None]
    words = [f"{error.message} ({error.msg})" if error.msg else error.message for error in errors]
    most = max(words, key=words.count, default="no reason is known")
    return f"no app of wave {wave} was released: {most}"


def _apps(course: Course, state: RunState, wave: str) -> list[AppState]:
    return [state.apps[app_id] for app_id in course.members[wave]]
