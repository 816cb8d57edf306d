"""Seeded fates until a time is up: `python -m tests.soak --minutes 10 [--seed S] [--json FILE]`.

Each seed draws a rollout and all that befalls it (`tests/simulator/fate.py`); the real engine,
codec, guards and journal lines live through it in virtual time, and the checkers look after each
life. A seed that finds something is made as small as it goes and printed with the command that
repeats it, and the exit code is 1. `--only` lives through one seed again, `--without` leaves some
of its draws out, and `--apps` all apps but the first few.
"""

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from fleetdeploy.core.lifecycle import TERMINAL
from fleetdeploy.model import Phase
from fleetdeploy.simulator.faults import FaultKind
from tests.figures import keep
from tests.simulator.fate import Draw, Fate, shrink
from tests.simulator.lives import KILL, OUTAGE, Met, Story, live_through

LANES: Final = 2
"""As many as there are cores on the machines that this is run on."""
STUCK_AFTER_S: Final = 30
"""Of real time; the longest fates take some seconds."""
TROUBLES: Final = (*map(str, FaultKind), OUTAGE, KILL)
PHASES: Final = tuple(phase for phase in Phase if phase not in TERMINAL)


@dataclass
class Tally:
    """What the fates so far add up to."""

    seeds: int = 0
    runs: int = 0
    lives: int = 0
    crashes: int = 0
    calls: int = 0
    records: int = 0
    effects: int = 0
    twice: int = 0
    rotations: int = 0
    orders: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    met: Met = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        for name in vars(other):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def faults(self) -> Counter[str]:
        kinds: Counter[str] = Counter()
        for (_, trouble), times in self.met.items():
            kinds[trouble] += times
        return kinds

    def never_met(self) -> list[tuple[str, str]]:
        return [
            (str(phase), trouble)
            for phase in PHASES
            for trouble in TROUBLES
            if not self.met[phase, trouble]
        ]


def tally_of(story: Story) -> Tally:
    nights, desk = story.nights, story.night.world.desk
    records = [entry.record for night in nights for entry in night.entries()]
    steered = ("run_paused", "pause_lifted", "wave_approved", "run_halted")
    return Tally(
        seeds=1,
        runs=len(nights),
        lives=sum(night.lives for night in nights),
        crashes=story.deaths,
        calls=sum(night.calls.total() for night in nights),
        records=len(records),
        effects=len(story.night.world.effects),
        twice=len(story.night.world.duplicates()),
        rotations=desk.refreshed + desk.exchanged,
        orders=Counter(record.kind for record in records if record.kind in steered),
        outcomes=Counter(str(phase) for night in nights for phase in night.phase_of().values()),
        met=story.met,
    )


def live(fate: Fate) -> Tally:
    """Live through one fate; if it finds something, tell of the smallest that does."""
    story = lived(fate)
    tally = tally_of(story)
    if story.found:
        small = shrink(fate, lambda less: bool(lived(less).found))
        found = lived(small).found
        lines = [f"seed {fate.seed}:", *found[:5], f"repeat it: {small.command}"]
        tally.findings.append("\n  ".join(lines))
    return tally


def lived(fate: Fate) -> Story:
    """Live through a fate; one that loops without end on the virtual clock fails, and is told."""

    def stuck(_number: int, _frame: object) -> None:
        raise TimeoutError(f"not at its end after {STUCK_AFTER_S} real seconds")

    signal.signal(signal.SIGALRM, stuck)
    # Again each second: an exception that falls into a destructor is swallowed.
    signal.setitimer(signal.ITIMER_REAL, STUCK_AFTER_S, 1.0)
    try:
        return live_through(fate)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def soak(first: int, minutes: float) -> Tally:
    """Live through seeds from `first` on, in as many processes as there are lanes."""
    tally, until, seeds = Tally(), time.monotonic() + minutes * 60, count(first)
    with ProcessPoolExecutor(LANES, mp_context=get_context("spawn")) as pool:
        # One more than there are lanes, so that none waits for the next.
        under_way = {pool.submit(live, Fate(next(seeds))) for _ in range(LANES + 1)}
        while under_way:
            for ended in _some_of(under_way):
                told = ended.result()
                tally.add(told)
                tell(told.findings)
                if time.monotonic() < until:
                    under_way.add(pool.submit(live, Fate(next(seeds))))
    return tally


def _some_of(under_way: set[Future[Tally]]) -> Iterator[Future[Tally]]:
    done, _ = wait(under_way, return_when=FIRST_COMPLETED)
    for future in done:
        under_way.remove(future)
        yield future


def tell(findings: list[str]) -> None:
    for finding in findings:
        sys.stdout.write(finding + "\n")
        sys.stdout.flush()


def table(tally: Tally, minutes: float) -> str:
    rows = [
        ("seeds", f"{tally.seeds} ({tally.seeds / minutes:.0f} a minute)"),
        ("runs", tally.runs),
        ("lives", tally.lives),
        ("crashes", tally.crashes),
        ("calls", tally.calls),
        ("records", tally.records),
        ("effects", tally.effects),
        ("effects done twice", tally.twice),
        ("rotations of tokens", tally.rotations),
        ("trouble met", _counts(tally.faults())),
        ("operators", _counts(tally.orders)),
        ("apps by outcome", _counts(tally.outcomes)),
        ("seeds that found something", len(tally.findings)),
    ]
    lines = [f"{name:28}{value}" for name, value in rows]
    return "\n".join([*lines, "", *_coverage(tally)])


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.most_common())


def _coverage(tally: Tally) -> Iterator[str]:
    """Tell how often an app in each phase met each trouble."""
    yield "".join([f"{'phase':16}", *(f"{trouble:>19}" for trouble in TROUBLES)])
    for phase in PHASES:
        met = "".join(f"{tally.met[phase, trouble]:19}" for trouble in TROUBLES)
        yield f"{phase!s:16}{met}"
    never = ", ".join(f"{phase} and {trouble}" for phase, trouble in tally.never_met())
    yield f"never met: {never or 'nothing'}"


def figures(tally: Tally, minutes: float) -> dict[str, object]:
    """Return the numbers under names that people read."""
    known = {name: value for name, value in vars(tally).items() if name != "met"}
    return {
        "minutes": minutes,
        **known,
        "pairs_of_phase_and_trouble_met": len(tally.met),
        "pairs_never_met": tally.never_met(),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Seeded fates until a time is up.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1000, help="the first seed")
    parser.add_argument("--only", type=int, help="live through this one seed")
    parser.add_argument("--without", default="", help=f"of {', '.join(Draw)}, with commas")
    parser.add_argument("--apps", type=int, help="at most so many apps, with --only")
    parser.add_argument("--json", type=Path, help="where to write the numbers too")
    return parser.parse_args()


def main() -> int:
    asked = _arguments()
    if asked.only is not None:
        without = frozenset(Draw(name) for name in asked.without.split(",") if name)
        fate = Fate(asked.only, without, asked.apps)
        tally = live(fate)
        tell(tally.findings or [f"seed {asked.only}: nothing wrong"])
        return 1 if tally.findings else 0
    tally = soak(asked.seed, asked.minutes)
    sys.stdout.write(table(tally, asked.minutes) + "\n")
    if asked.json:
        keep(asked.json, figures(tally, asked.minutes))
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
