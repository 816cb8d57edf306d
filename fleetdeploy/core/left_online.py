"""What earlier runs left online of an app, folded from their plans and states.

Reads no files: `storage/archive.py` hands in one run after the other, the newest first. What is
made of it is said in `foreign.py`.

How it works: a plan keeps what was known when it was made, so the newest run that knows an app
mostly says it all. Older ones are asked only where a plan comes from before there was this.
"""

from dataclasses import dataclass, field

from fleetdeploy.core.app_state import AppState
from fleetdeploy.core.foreign import LeftOnline
from fleetdeploy.core.plan import PlannedApp
from fleetdeploy.model import Phase, RunKind, Step


@dataclass(frozen=True, slots=True)
class Trail:
    """What the runs so far say of one app; `ends` where an older one has nothing to add."""

    left: LeftOnline = field(default_factory=LeftOnline)
    ends: bool = False

    @property
    def known(self) -> LeftOnline | None:
        """What is known, None if no run ever brought anything online."""
        return None if self.left == LeftOnline() else self.left


def followed(trail: Trail, kind: RunKind, planned: PlannedApp, app: AppState) -> Trail:
    """Return the trail with the next older run on it."""
    if trail.ends:
        return trail
    if kind is RunKind.ROLLOUT and app.phase in _ONLINE:
        return _ends(trail, LeftOnline(ours=_version_online(planned, app)))
    left = trail.left
    if kind is RunKind.ROLLOUT and app.may_be_released:
        left = _joined(left, LeftOnline(maybe=(app.version or planned.version,)))
    if kind is RunKind.ROLLBACK and _may_be_back(app):
        left = _joined(left, LeftOnline(back_to=_named(planned, app)))
    return _before(Trail(left), planned)


def _before(trail: Trail, planned: PlannedApp) -> Trail:
    """Follow it to what was known when the plan of the run was made."""
    if planned.left_online is not None:
        return _ends(trail, planned.left_online)
    if planned.online is not None and planned.online.fingerprint is not None:
        return _ends(trail, LeftOnline(ours=planned.online.version))
    return trail


def _ends(trail: Trail, older: LeftOnline) -> Trail:
    return Trail(_joined(trail.left, older), ends=True)


def _joined(newer: LeftOnline, older: LeftOnline) -> LeftOnline:
    return LeftOnline(
        ours=older.ours,
        maybe=tuple(dict.fromkeys((*newer.maybe, *older.maybe))),
        back_to=tuple(dict.fromkeys((*newer.back_to, *older.back_to))),
    )


_ONLINE = frozenset({Phase.RELEASED, Phase.UNCHANGED})
"""Where a rollout saw a package of ours online."""


def _version_online(planned: PlannedApp, app: AppState) -> str:
    """Return the version that a rollout saw online: content that was there keeps its own."""
    online = planned.online
    if app.phase is Phase.UNCHANGED and online and online.fingerprint == planned.fingerprint:
        return online.version
    return app.version or planned.version


def _may_be_back(app: AppState) -> bool:
    return app.phase in _AT_ROLLBACK or app.step is Step.ROLLBACK


_AT_ROLLBACK = frozenset({Phase.REVERTING, Phase.ROLLED_BACK})
"""Where a run may be that found its rollback begun by somebody else."""


def _named(planned: PlannedApp, app: AppState) -> tuple[str, ...]:
    """Return the version that a rollback was to bring back, as far as the platform named it."""
    version = app.back_to or (planned.undo and planned.undo.back_to)
    return (version,) if version else ()
