"""Seeded fates until a time is up: `python -m tests.soak --minutes 10 [--seed S] [--json FILE]`.

Each seed draws a rollout and all that befalls it (`tests/simulator/fate.py`); the real engine,
codec, guards and journal lines live through it in virtual time, and the checkers look after each
life. A seed that finds something is made as small as it goes and printed with the command that
repeats it, and the exit code is 1. `--only` lives through one seed again, `--without` leaves some
of its draws out, and `--apps` all apps but the first few.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from fleetdeploy.core.lifecycle import TERMINAL
from fleetdeploy.model import Phase
from fleetdeploy.simulator.faults import FaultKind
from tests.figures import keep
from tests.lanes import dealt
from tests.simulator.checkers import done_twice
from tests.simulator.fate import Draw, Fate, shrink
from tests.simulator.lives import KILL, OUTAGE, Met, Story, live_through

LANES: Final = 2
"""As many as there are cores on the machines that this is run on."""
STUCK_AFTER_S: Final = 180
"""Of real time, making it smaller included; the longest fates take some seconds."""
SHRINK_S: Final = 60
"""So long is tried to make a fate smaller that found something."""
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
    strays: int = 0
    deeds: Counter[str] = field(default_factory=Counter)
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
        twice=len([*done_twice(story.night)]),
        rotations=desk.refreshed + desk.exchanged,
        strays=story.strays,
        deeds=Counter(str(deed.kind) for deed in story.night.deeds.done),
        orders=Counter(record.kind for record in records if record.kind in steered),
        outcomes=Counter(str(phase) for night in nights for phase in night.phase_of().values()),
        met=story.met,
    )


def live(seed: int, tell_of: Callable[[Tally], None]) -> None:
    """Live through the fate of a seed; if it finds something, tell of ever smaller ones that do."""
    _live(Fate(seed), tell_of)


def _live(fate: Fate, tell_of: Callable[[Tally], None]) -> None:
    story = live_through(fate)
    tell_of(_told(story, fate, story.found))
    if not story.found:
        return
    until = time.monotonic() + SHRINK_S
    small = shrink(fate, lambda less: time.monotonic() < until and bool(live_through(less).found))
    tell_of(_told(story, small, live_through(small).found))


def _told(story: Story, fate: Fate, found: list[str]) -> Tally:
    tally = tally_of(story)
    if found:
        lines = [f"seed {fate.seed}:", *found[:5], f"repeat it: {fate.command}"]
        tally.findings.append("\n  ".join(lines))
    return tally


def soak(first: int, minutes: float) -> Tally:
    """Live through seeds from `first` on, each in a process of its own, until the time is up."""
    tally, until = Tally(), time.monotonic() + minutes * 60
    lived = dealt(
        live,
        count(first),
        lanes=LANES,
        limit_s=STUCK_AFTER_S,
        more=lambda: time.monotonic() < until,
    )
    for ended in lived:
        told = ended.result or Tally(seeds=1)
        if not told.findings and (ended.result is None or not ended.in_time):
            how = "died" if ended.in_time else f"was not at its end after {STUCK_AFTER_S} s"
            told.findings.append(
                f"seed {ended.seed} {how}\n  repeat it: {Fate(ended.seed).command}"
            )
        tally.add(told)
        tell(told.findings)
    return tally


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
        ("requests that outlived their process", tally.strays),
        ("trouble met", _counts(tally.faults())),
        ("people in the console", _counts(tally.deeds)),
        ("operators", _counts(tally.orders)),
        ("apps by outcome", _counts(tally.outcomes)),
        ("seeds that found something", len(tally.findings)),
    ]
    lines = [f"{name:38}{value}" for name, value in rows]
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
    """Return the numbers as plain values; `met` by phase, then by trouble."""
    known = {name: value for name, value in vars(tally).items() if name != "met"}
    met = {
        str(phase): {trouble: tally.met[phase, trouble] for trouble in TROUBLES} for phase in PHASES
    }
    return {"minutes": minutes, **known, "faults": tally.faults(), "met": met}


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
        told: list[Tally] = []
        _live(Fate(asked.only, without, asked.apps), told.append)
        tell(told[-1].findings or [f"seed {asked.only}: nothing wrong"])
        return 1 if told[-1].findings else 0
    tally = soak(asked.seed, asked.minutes)
    sys.stdout.write(table(tally, asked.minutes) + "\n")
    if asked.json:
        keep(asked.json, figures(tally, asked.minutes))
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
