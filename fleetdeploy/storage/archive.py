"""Runs as they were left on disk: a plan and a journal folded into a state.

It writes nothing, except for `supersede`, which closes what a newer run has taken over.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from pydantic import ValidationError

from fleetdeploy.core.causes import Cause, KnownCauses, cause_of
from fleetdeploy.core.comparison import History, Past
from fleetdeploy.core.endings import SUPERSEDED
from fleetdeploy.core.findings import harmless, path_text
from fleetdeploy.core.foreign import LeftOnline
from fleetdeploy.core.journal_line import JournalContents
from fleetdeploy.core.left_online import Trail, followed
from fleetdeploy.core.plan import Plan, check_digest
from fleetdeploy.core.quarantine import Rows
from fleetdeploy.core.records import AppFinished, Entry, RunFinished
from fleetdeploy.core.replay import RunState, replay
from fleetdeploy.core.set_aside import is_set_aside
from fleetdeploy.core.so_far import PastRun, SoFar, so_far
from fleetdeploy.core.soaking import Soaking
from fleetdeploy.core.way_back import Soaks
from fleetdeploy.errors import (
    FleetError,
    IllegalTransition,
    JournalDamaged,
    PlanMismatch,
    RunNotFound,
)
from fleetdeploy.model import Outcome, Phase
from fleetdeploy.ports import Journal, WallClock
from fleetdeploy.storage.locks import Holder
from fleetdeploy.storage.run_dir import RunDir, StateDir

HISTORY_RUNS = 10
"""How many runs are read at least: plans are large files, and nights are many. More are read only
until every app was found in one, and no row of bad ends may be longer than it is so far."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run as its files tell it. `alive`: a process works on it right now."""

    run: RunDir
    plan: Plan
    state: RunState
    contents: JournalContents
    alive: bool

    @property
    def unfinished(self) -> bool:
        return not self.state.finished


def read_plan(data: bytes, where: str) -> Plan:
    """Read a saved plan; raises `PlanMismatch` if it is none, or was changed."""
    try:
        plan = Plan.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = path_text(first["loc"])
        raise PlanMismatch(
            f"{where}: not a plan of this version of fleetdeploy ({place}: {first['msg']})",
            hint="make a new one with `fleetdeploy plan MANIFEST --out FILE`",
        ) from None
    check_digest(plan, where)
    return plan


def read_run(run: RunDir) -> Recorded:
    """Read a run without locking it.

    Raises `JournalDamaged`, `PlanMismatch` or `StateUnusable`.
    """
    alive = run.is_alive()
    contents = run.read()
    plan = read_plan(run.plan_bytes(), str(run.plan_path))
    return Recorded(run, plan, fold(plan, contents.entries, str(run.journal_path)), contents, alive)


def fold(plan: Plan, entries: Iterable[Entry], where: str) -> RunState:
    """Replay a journal against the plan it belongs to.

    Raises `JournalDamaged` with the line that does not fit, `PlanMismatch` for another plan.
    """
    state = plan.fresh_state()
    for entry in entries:
        try:
            replay(state, [entry])
        except IllegalTransition as error:
            line = entry.seq + 1
            what = harmless(error.message)
            raise JournalDamaged(f"{where}: line {line}: {what}", line=line) from None
    if state.header is not None and state.header.plan_digest != plan.digest:
        raise PlanMismatch(
            f"{where}: the run was started with another plan than the one beside it",
            hint="restore plan.json from a backup, or start a new run: it adopts what is there",
        )
    return state


def every_run(state_dir: StateDir) -> Iterator[tuple[str, Recorded | FleetError]]:
    """Yield all runs with their ids, newest first; for one that cannot be read, why."""
    for run_id in state_dir.runs():
        try:
            yield run_id, read_run(state_dir.run(run_id))
        except FleetError as error:
            yield run_id, error


def latest_unfinished(state_dir: StateDir) -> Recorded:
    """Return the newest run that is not finished; raises `RunNotFound` if there is none.

    A damaged newest run is raised, not skipped: it may be the very one that was meant. A run that
    was killed before its first record sent nothing and is not meant by anybody.
    """
    for _, recorded in every_run(state_dir):
        if isinstance(recorded, FleetError):
            raise recorded
        if recorded.unfinished and recorded.contents.started:
            return recorded
    raise RunNotFound(
        f"no unfinished run in {state_dir.path}", hint="start one: fleetdeploy run MANIFEST"
    )


def latest(state_dir: StateDir) -> Recorded:
    """Return the newest run; raises `RunNotFound` if there is none."""
    for _, recorded in every_run(state_dir):
        if isinstance(recorded, FleetError):
            raise recorded
        return recorded
    raise RunNotFound(f"no runs in {state_dir.path}", hint="start one: fleetdeploy run MANIFEST")


@dataclass(frozen=True, slots=True)
class Before:
    """What earlier runs leave to a new one.

    `doubted`: apps whose last step may still take effect. `unfinished`: dead runs that the new
    one will close. `unreadable`: why some could not be asked. `causes`: what apps failed with when
    a run last brought them to an end, where others may share it. `so_far`: what the runs of the
    same rollout left. `left_online`: what they brought online, of those apps of which they ever
    brought anything. `soaking`: what of it is or was watched, the newest release first. `sizes`:
    how far each journal went when the reading began, to tell later who was at work since.
    """

    doubted: frozenset[str]
    unfinished: tuple[Recorded, ...]
    history: History
    unreadable: tuple[FleetError, ...]
    causes: KnownCauses
    so_far: SoFar
    left_online: Mapping[str, LeftOnline]
    soaking: Mapping[str, tuple[Soaking, ...]]
    sizes: Mapping[str, int]


def at_work_since(
    state_dir: StateDir, sizes: Mapping[str, int], app_ids: Iterable[str]
) -> Mapping[str, set[str]]:
    """Return of which of these apps runs have written anything since, by run id."""
    wanted = frozenset(app_ids)
    grown = {
        # A torn end may have been cut off meanwhile.
        run_id: state_dir.run(run_id).apps_since(min(size, sizes.get(run_id, 0))) & wanted
        for run_id, size in state_dir.journal_sizes().items()
        if size != sizes.get(run_id, 0)
    }
    return {run_id: apps for run_id, apps in grown.items() if apps}


def look_back(
    state_dir: StateDir, app_ids: Iterable[str], rollout: str = "", rows: Rows | None = None
) -> Before:
    """Read what earlier runs say about these apps; damaged runs are left out and named.

    `rollout` is the id of the one that is to be continued, empty for none. `rows` take in every
    run that is read, as many as they need.
    """
    rows = rows or Rows((), None)
    sizes = state_dir.journal_sizes()
    wanted = frozenset(app_ids)
    unseen = set(wanted)
    doubted: set[str] = set()
    open_runs: list[Recorded] = []
    unreadable: list[FleetError] = []
    history: dict[tuple[str, str], Past] = {}
    causes: dict[str, Cause | None] = {}
    of_rollout: list[PastRun] = []
    trails: dict[str, Trail] = {}
    soaks = Soaks(wanted)
    seen = 0
    for _, recorded in every_run(state_dir):
        if isinstance(recorded, FleetError):
            unreadable.append(recorded)
            doubted |= unseen  # whatever it did a moment ago, it cannot say
            continue
        if not recorded.contents.started:
            # It sent nothing, and knows nothing of what an older run that went on sent since.
            continue
        if is_left_open(recorded, wanted):
            open_runs.append(recorded)
        # Only the newest run that knows an app can have left it in doubt: it settled the others.
        doubted |= unseen & _doubted(recorded)
        unseen -= recorded.state.apps.keys()
        _remember(history, recorded.plan, wanted)
        causes = _causes(recorded.state) | causes
        given = recorded.plan.so_far
        if given is not None and given.rollout == rollout:
            of_rollout.append(PastRun(given, recorded.plan.apps, recorded.state))
        rows.take(recorded.plan, recorded.state)
        soaks.take(recorded.plan, recorded.state)
        _follow(trails, recorded, wanted)
        seen += 1
        if seen >= HISTORY_RUNS and not unseen and not rows.undecided:
            break
    return Before(
        frozenset(doubted),
        tuple(run for run in open_runs if not run.alive),
        history,
        tuple(unreadable),
        {app_id: cause for app_id, cause in causes.items() if cause is not None},
        so_far(rollout, reversed(of_rollout)),
        {app_id: trail.known for app_id, trail in trails.items() if trail.known is not None},
        soaks.found(),
        sizes,
    )


def open_apps(state: RunState) -> set[str]:
    """Return the apps that a run has not brought to their end."""
    return {app.app_id for app in state.apps.values() if not app.terminal}


def is_left_open(recorded: Recorded, app_ids: AbstractSet[str]) -> bool:
    """Whether a run is not finished that has some of these apps open, or none open at all.

    Of the latter only the last record is missing: whoever was to write it was killed before.
    """
    open_here = open_apps(recorded.state)
    return recorded.unfinished and not app_ids.isdisjoint(open_here or recorded.state.apps)


def _doubted(recorded: Recorded) -> set[str]:
    """Return the apps whose last step may not show yet, inherited doubt included.

    A copy of a run may lack whatever was sent last.
    """
    state = recorded.state
    if state.is_elsewhere(recorded.run.place()):
        return set(state.apps)
    return {app.app_id for app in state.apps.values() if app.unsettled}


def _causes(state: RunState) -> dict[str, Cause | None]:
    """Return what each app that came to an end of its own failed with, None for the others."""
    return {
        app.app_id: cause_of(app.error) if app.error else None
        for app in state.apps.values()
        if app.terminal and app.phase is not Phase.CANCELLED and not is_set_aside(app.error)
    }


def _remember(history: dict[tuple[str, str], Past], plan: Plan, wanted: frozenset[str]) -> None:
    for app in plan.apps:
        if app.app_id in wanted:
            past = Past(template_id=app.template_id, ext_json=app.ext_json)
            history.setdefault((app.app_id, app.fingerprint), past)


def _follow(trails: dict[str, Trail], recorded: Recorded, wanted: frozenset[str]) -> None:
    for planned in recorded.plan.apps:
        if planned.app_id in wanted:
            trail = trails.get(planned.app_id, Trail())
            app = recorded.state.apps[planned.app_id]
            trails[planned.app_id] = followed(trail, recorded.plan.run_kind, planned, app)


async def supersede(
    older: Recorded, by: str, app_ids: Iterable[str], clock: WallClock, holder: Holder
) -> None:
    """Close the apps of a run that is not alive which a newer run has taken over (J6).

    The run is finished with its last open app. Raises `RunLocked` if it came alive meanwhile.
    """
    with older.run.lock(holder):
        journal, contents = older.run.open_journal(clock)
        try:
            state = fold(older.plan, contents.entries, str(older.run.journal_path))
            if state.header is not None:
                await _close_apps(journal, state, by, frozenset(app_ids))
        finally:
            journal.close()


async def _close_apps(journal: Journal, state: RunState, by: str, taken: frozenset[str]) -> None:
    error = SUPERSEDED.note(f"run {by} has taken this app over")
    for app_id in sorted(open_apps(state) & taken):
        record = AppFinished(app_id=app_id, outcome=Outcome.CANCELLED, error=error)
        state.apply(await journal.append(record))
    if not open_apps(state) and not state.finished:
        codes = {app.error.code for app in state.apps.values() if app.error is not None}
        await journal.append(RunFinished(superseded_by=by if SUPERSEDED.code in codes else None))


def newer_runs(state_dir: StateDir, run_id: str) -> Iterator[Recorded]:
    """Yield the runs that have started since this one, the newest first.

    One that cannot be read is passed over: what it did is told by nobody.
    """
    for newer, recorded in every_run(state_dir):
        if newer == run_id:
            return
        if not isinstance(recorded, FleetError) and recorded.contents.started:
            yield recorded


def left_open_before(
    state_dir: StateDir, run_id: str, app_ids: Iterable[str]
) -> Iterator[Recorded]:
    """Yield the runs older than this one that are not alive and left open, see `is_left_open`.

    One that cannot be read is passed over: nobody can go on with it either.
    """
    wanted = frozenset(app_ids)
    ids = state_dir.runs()
    for older in ids[ids.index(run_id) + 1 :]:
        try:
            recorded = read_run(state_dir.run(older))
        except FleetError:
            continue
        if not recorded.alive and is_left_open(recorded, wanted):
            yield recorded


def newer_owners(state_dir: StateDir, recorded: Recorded) -> Mapping[str, set[str]]:
    """Return which newer runs plan apps that this run has not finished, by run id.

    Such apps belong to the newer run, whose process may have died before it could say so here.
    """
    left = open_apps(recorded.state)
    owners: dict[str, set[str]] = {}
    for run_id in state_dir.runs():
        if run_id == recorded.run.run_id:
            break
        newer = read_run(state_dir.run(run_id))
        taken = left & newer.state.apps.keys() if newer.state.header is not None else set()
        if taken:
            owners[run_id] = set(taken)
            left -= taken
    return owners
