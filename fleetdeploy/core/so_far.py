"""What earlier runs of the same rollout leave to a new one: who still counts, what waves did.

A rollout is what a manifest's name, template and version say, the version as it is written, so that
nights whose versions hold `{date}` belong together. Its budgets do not begin anew with each run;
with another template or version they do. Pure: the runs come in as they were read.
"""

import hashlib
import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic import Field

from fleetdeploy.core.gates import WavePast
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.rules import Value
from fleetdeploy.model import Phase


class PastWave(Value):
    """A wave as earlier runs left it. `passed`: its gate let the next one open."""

    name: str
    settled_at: datetime | None = None
    passed: bool = False


class SoFar(Value):
    """A rollout as its earlier runs left it.

    `apps` is how many the largest of its runs had; `failing` and `blocking` are the ids of those
    that count against the budgets until they succeed.
    """

    rollout: str
    apps: int = 0
    failing: tuple[str, ...] = ()
    blocking: tuple[str, ...] = ()
    waves: tuple[PastWave, ...] = Field(default=())

    def without(self, app_ids: Container[str]) -> "SoFar":
        """Return it without what counts of these apps: they are not tried."""
        failing = tuple(app_id for app_id in self.failing if app_id not in app_ids)
        blocking = tuple(app_id for app_id in self.blocking if app_id not in app_ids)
        return self.model_copy(update={"failing": failing, "blocking": blocking})

    def past(self) -> dict[str, WavePast]:
        return {wave.name: WavePast(wave.settled_at, wave.passed) for wave in self.waves}


def rollout_id(name: str, template_id: str, version: str) -> str:
    """Return what tells one rollout from another; `version` as it is written."""
    text = json.dumps([name, template_id, version], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class PastApp(Protocol):
    @property
    def app_id(self) -> str: ...
    @property
    def wave(self) -> str: ...


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run of a rollout: what it was given of earlier ones, its apps, and how it was left."""

    given: SoFar
    apps: tuple[PastApp, ...]
    state: RunState


def so_far(rollout: str, runs: Iterable[PastRun]) -> SoFar:
    """Put together what the runs of a rollout left, given the oldest first.

    Each run was given what counted before it, so the first one read stands for all before.
    """
    apps = 0
    failing: set[str] = set()
    blocking: set[str] = set()
    waves: dict[str, PastWave] = {}
    for number, run in enumerate(runs):
        if number == 0:
            failing, blocking = set(run.given.failing), set(run.given.blocking)
            waves = {wave.name: wave for wave in run.given.waves}
        apps = max(apps, len(run.apps), run.given.apps)
        failing = _moved(failing, run.given.failing, run.state.failing, run.state)
        blocking = _moved(blocking, run.given.blocking, run.state.blocking, run.state)
        waves |= _waves_after(run, waves)
    return SoFar(
        rollout=rollout,
        apps=apps,
        failing=tuple(sorted(failing)),
        blocking=tuple(sorted(blocking)),
        waves=tuple(waves.values()),
    )


def _moved(counting: set[str], given: Iterable[str], left: set[str], state: RunState) -> set[str]:
    """Apply what one run changed, also beside others that went on at the same time.

    What it was given and does not count any more has succeeded or was forgiven.
    """
    ended = {app.app_id for app in state.apps.values() if app.terminal}
    return (counting - ((set(given) | ended) - left)) | left


def _waves_after(run: PastRun, before: Mapping[str, PastWave]) -> dict[str, PastWave]:
    """Return the waves that a run has moved. A soak counts from the run that changed something."""
    state = run.state
    changed = {app.wave for app in run.apps if state.apps[app.app_id].phase not in _NOTHING_DONE}
    moved = {}
    for name in state.waves_opened:
        was = before.get(name, PastWave(name=name))
        settled_at = state.waves_settled.get(name) if name in changed else was.settled_at
        passed = name != state.waves_opened[-1] or (was.passed and name not in changed)
        moved[name] = PastWave(name=name, settled_at=settled_at, passed=passed)
    return moved


_NOTHING_DONE = frozenset({Phase.UNCHANGED, Phase.CANCELLED, Phase.QUEUED})
