"""Deliberate bugs, to prove that the checkers see them: `python -m tests.simulator.mutants`.

Each mutant breaks one rule of the engine while it is in force: a part is wrapped where the harness
lets one be put in, or a function is replaced for the time of a `with` block. The seeds that it is
shown are those of the control, which finds nothing without it.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, Final

from fleetdeploy.baidu.client import BaiduPlatform
from fleetdeploy.core import decide, gates, settling, sightings
from fleetdeploy.core.case import Case
from fleetdeploy.core.decisions import Decision
from fleetdeploy.core.pace import Meter, Pace
from fleetdeploy.core.records import Entry, RunResumed, StepStarted, StepSucceeded, WaveOpened
from fleetdeploy.core.replay import RunState
from fleetdeploy.engine import gatekeeper
from fleetdeploy.engine.clearance import Budget
from fleetdeploy.engine.opening import Opening
from fleetdeploy.engine.steering import Steering
from fleetdeploy.errors import PlatformError, Remedy
from fleetdeploy.guards.punctual import PunctualPlatform
from fleetdeploy.model import PackageStatus, Phase
from fleetdeploy.storage.memory_journal import MemoryJournal, Moment
from tests.figures import keep
from tests.simulator.fate import Fate
from tests.simulator.lives import live_through
from tests.simulator.made_nights import (
    alike_in_every_wave,
    failing_in_every_wave,
    killed_before_it_shows,
)

Broken = Callable[[], AbstractContextManager[None]]


def _fated(seed: int) -> Sequence[str]:
    return live_through(Fate(seed)).found


@dataclass(frozen=True)
class Mutant:
    """One bug; it must be found `within` so many seeds of what it `lives`.

    None of the seeds before `first` finds it: who is in a hurry begins there.
    """

    name: str
    bug: str
    broken: Broken
    within: int
    first: int = 0
    lives: Callable[[int], Sequence[str]] = _fated


@contextmanager
def replaced(owner: Any, name: str, value: object) -> Iterator[None]:  # noqa: ANN401 - a module or a class
    """Replace an attribute, or an item of a table, while the block runs."""
    table = owner if isinstance(owner, dict) else None
    before = table[name] if table is not None else vars(owner)[name]
    put = table.__setitem__ if table is not None else lambda key, new: setattr(owner, key, new)
    put(name, value)
    try:
        yield
    finally:
        put(name, before)


@contextmanager
def together(*bugs: AbstractContextManager[None]) -> Iterator[None]:
    with ExitStack() as stack:
        for bug in bugs:
            stack.enter_context(bug)
        yield


# The journal.


def _written(journal: MemoryJournal, record: Any) -> Entry:  # noqa: ANN401 - any record
    """Write a record and wait for nothing."""
    entry, line = journal._chain.stamp(record, journal._clock.now())
    journal._data += line
    journal._tell(Moment.WRITTEN, entry)
    return entry


def unsafe_append(*kinds: type) -> AbstractContextManager[None]:
    """Do not wait until records of these kinds are durable."""
    safe = MemoryJournal.append

    async def append(journal: MemoryJournal, record: Any) -> Entry:  # noqa: ANN401 - any record
        return (
            _written(journal, record) if isinstance(record, kinds) else await safe(journal, record)
        )

    return replaced(MemoryJournal, "append", append)


def no_intents() -> AbstractContextManager[None]:
    safe = MemoryJournal.append

    async def append(journal: MemoryJournal, record: Any) -> Entry:  # noqa: ANN401 - any record
        if isinstance(record, StepStarted):
            return Entry(seq=0, at=journal._clock.now(), record=record)
        return await safe(journal, record)

    return replaced(MemoryJournal, "append", append)


# What a resume makes of the run.


def on_resume(change: Callable[[RunState, RunResumed], None]) -> AbstractContextManager[None]:
    sound = RunState._resume

    def resume(state: RunState, record: RunResumed) -> None:
        sound(state, record)
        change(state, record)

    return replaced(RunState, "_resume", resume)


def lose_pause(state: RunState, _: RunResumed) -> None:
    state.paused = None


def lose_approvals(state: RunState, _: RunResumed) -> None:
    state.waves_approved.clear()


def forgive(state: RunState, _: RunResumed) -> None:
    state.failing.clear()


def forget_sent(state: RunState, _: RunResumed) -> None:
    """Take what was announced and not answered for never sent."""
    before = {
        Phase.UPLOADING: Phase.QUEUED,
        Phase.SUBMITTING: Phase.UPLOADED,
        Phase.RELEASING: Phase.APPROVED,
    }
    for app in list(state.apps.values()):
        if app.phase in before:
            state.apps[app.app_id] = replace(app, phase=before[app.phase])


def budget_by_wave() -> AbstractContextManager[None]:
    """Begin to count anew with each wave."""
    sound = RunState._apply_course

    def apply(state: RunState, record: Any, at: Any) -> None:  # noqa: ANN401 - any record
        sound(state, record, at)
        if isinstance(record, WaveOpened):
            state.failing.clear()

    return replaced(RunState, "_apply_course", apply)


# Decisions.


def resend_lost() -> AbstractContextManager[None]:
    perform = BaiduPlatform._perform

    async def twice(platform: BaiduPlatform, *args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - as it came
        try:
            return await perform(platform, *args, **kwargs)
        except PlatformError as error:
            if error.remedy is not Remedy.RECONCILE:
                raise
        return await perform(platform, *args, **kwargs)

    return replaced(BaiduPlatform, "_perform", twice)


def any_of_them(ours: Callable[[Any], bool]) -> AbstractContextManager[None]:
    """Adopt the furthest of all packages that pass for ours."""

    def furthest(rows: Any, _: object) -> object:  # noqa: ANN401 - packages
        for status in sightings._FURTHEST_FIRST:
            for row in rows:
                if row.status == status and row.package_id and ours(row):
                    return row
        return None

    sound = sightings.is_bundle
    return together(
        replaced(sightings, "furthest_of_ours", furthest),
        replaced(sightings, "is_bundle", lambda r, b, v: sound(r, b, v) or r.version == v),
    )


def silence_proves() -> AbstractContextManager[None]:
    return replaced(settling, "silent_for", lambda now, *_: now.sight.absent_s is not None)


def rejected_passes() -> AbstractContextManager[None]:
    def passing(sound: Callable[[Case], Decision]) -> Callable[[Case], Decision]:
        def judged(case: Case) -> Decision:
            rows = tuple(
                replace(row, status=PackageStatus.AUDIT_PASSED)
                if row.status == PackageStatus.AUDIT_FAILED
                else row
                for row in case.sight.rows
            )
            return sound(replace(case, sight=replace(case.sight, rows=rows)))

        return judged

    return together(
        replaced(decide._BY_PHASE, Phase.AUDITING, passing(decide._auditing)),
        replaced(decide._BY_PHASE, Phase.APPROVED, passing(decide._approved)),
    )


# Waves and budgets.


def all_waves_at_once() -> AbstractContextManager[None]:
    sound = gates.next_move

    def move(course: gates.Course, state: RunState, now: Any) -> gates.Move:  # noqa: ANN401 - a time
        for wave in course.waves:
            if wave.name not in state.waves_opened:
                return gates.Open(wave.name)
        return sound(course, state, now)

    return replaced(gatekeeper, "next_move", move)


def held_back(change: Callable[[Any, RunState], Any]) -> AbstractContextManager[None]:
    """Change the rule of a wave before it is judged whether it holds back the next."""
    sound = gates._held_back

    def judged(rule: Any, state: RunState, settled_at: Any, now: Any) -> object:  # noqa: ANN401 - as it came
        return sound(change(rule, state), state, settled_at, now)

    return replaced(gates, "_held_back", judged)


def no_soak_after_resume(rule: Any, state: RunState) -> Any:  # noqa: ANN401 - a wave's rule
    return rule.model_copy(update={"soak_s": 0.0}) if state.resumes else rule


def any_approval(rule: Any, state: RunState) -> Any:  # noqa: ANN401 - a wave's rule
    return rule.model_copy(update={"gate": None}) if state.waves_approved else rule


# The door.


def doors_open() -> AbstractContextManager[None]:
    return together(
        replaced(PunctualPlatform, "_check", lambda *_, **__: None),
        replaced(Opening, "wait_s", lambda *_: 0.0),
    )


def no_pace() -> AbstractContextManager[None]:
    return together(
        replaced(Pace, "ready_at", lambda _: -inf), replaced(Meter, "take", lambda *_: None)
    )


MUTANTS: Final = (
    Mutant("no_intent", "a step's intent is not recorded", no_intents, 1),
    Mutant(
        "loose_intent", "sends before its intent is durable", lambda: unsafe_append(StepStarted), 1
    ),
    Mutant(
        "loose_result",
        "goes on before a result is durable",
        lambda: unsafe_append(StepSucceeded),
        5,
    ),
    Mutant("resend", "sends again when an answer was lost", resend_lost, 5),
    Mutant("any_package", "takes any package for ours", lambda: any_of_them(lambda _: True), 10),
    Mutant(
        "older_approval",
        "releases what an older rollout got approved",
        lambda: any_of_them(lambda row: row.fingerprint is not None),
        10,
    ),
    Mutant("silence", "takes silence for a proof at once", silence_proves, 10),
    Mutant("rejected", "takes a no of the reviewer for a yes", rejected_passes, 10),
    Mutant(
        "own_doubt",
        "does not wait for what an earlier run sent",
        lambda: replaced(settling, "earlier_step", lambda *_: None),
        20,
    ),
    Mutant(
        "withdraws",
        "withdraws a package of others unasked",
        lambda: replaced(Case, "foreign_package", property(lambda _: "withdraw")),
        10,
    ),
    Mutant(
        "no_places",
        "a strict budget limits nothing under way",
        lambda: replaced(Budget, "take", lambda *_: True),
        10,
    ),
    Mutant("waves_at_once", "opens the next wave at once", all_waves_at_once, 5),
    Mutant(
        "soak_forgotten", "a resume forgets the soak", lambda: held_back(no_soak_after_resume), 40
    ),
    Mutant(
        "any_approval", "takes the approval of another wave", lambda: held_back(any_approval), 60
    ),
    Mutant("approval_lost", "a resume forgets approvals", lambda: on_resume(lose_approvals), 40),
    Mutant("pause_lost", "a resume forgets the pause", lambda: on_resume(lose_pause), 10),
    Mutant(
        "forgives", "a plain resume forgives failures", lambda: on_resume(forgive), 100, first=80
    ),
    Mutant("doors_open", "heeds no window", doors_open, 10),
    Mutant(
        "forgets_sent",
        "skips the look after a crash and sends again",
        lambda: on_resume(forget_sent),
        5,
        lives=killed_before_it_shows,
    ),
    Mutant(
        "budget_by_wave",
        "counts the budget anew with each wave",
        budget_by_wave,
        5,
        lives=failing_in_every_wave,
    ),
    Mutant(
        "no_breaker",
        "halts for no cause that apps share",
        lambda: replaced(Steering, "_count_causes", lambda *_: None),
        5,
        lives=alike_in_every_wave,
    ),
    Mutant("no_pace", "calls as fast as it can", no_pace, 10),
)


def caught(mutant: Mutant, *, first: int = 0) -> tuple[int, str] | None:
    """Show seeds to a mutant, from `first` on; return how many it took, and what was found."""
    for seed in range(first, mutant.within):
        with mutant.broken():
            found = mutant.lives(seed)
        if found:
            return seed + 1, found[0]
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description="After how many seeds each mutant is caught.")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    asked = parser.parse_args()
    missed, figures = 0, []
    for mutant in MUTANTS:
        began = time.monotonic()
        found = caught(mutant)
        missed += found is None
        seeds, line = found or (mutant.within, "NOT FOUND")
        took_s = time.monotonic() - began
        row = f"{mutant.name:16}{mutant.bug:46}{seeds:3} of {mutant.within:3}{took_s:6.1f} s"
        sys.stdout.write(f"{row}  {line[:80]}\n")
        caught_by = line.partition(":")[0]
        figures.append(
            {
                "mutant": mutant.bug,
                "caught after (seeds)": seeds if found else "NOT CAUGHT",
                "must be within": mutant.within,
                "by the complaint": caught_by,
            }
        )
    if asked.json is not None:
        keep(asked.json, figures)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
