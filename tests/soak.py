"""Seeded nights until a time is up: `python -m tests.soak --minutes 10`.

`--seed 1000` says where to begin, `--only 1234` lives through one seed again.

Each seed draws a platform, clients, faults and kills; the real engine, codec, guards and journal
lines live through it in virtual time, and the checkers look at what became of it. A seed that finds
something is printed with the command that repeats it, and the exit code is 1.
"""

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from tests.crash.test_kill_nights import live_through_kills
from tests.simulator.checkers import complaints, ended, outcomes
from tests.simulator.drawing import Drawn, draw
from tests.simulator.harness import in_virtual_time
from tests.simulator.keyed import (
    KeyedNight,
    credential_complaints,
    draw_keyed,
    live_through_keyed,
)


@dataclass
class Tally:
    """What the nights so far add up to."""

    seeds: int = 0
    apps: int = 0
    lives: int = 0
    calls: int = 0
    effects: int = 0
    twice: int = 0
    records: int = 0
    rotations: int = 0
    reused: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    failing: list[int] = field(default_factory=list)

    def add(self, drawn: Drawn) -> None:
        night = drawn.night
        self.seeds += 1
        self.apps += len(night.targets)
        self.lives += night.lives
        self.calls += night.calls.total()
        self.effects += len(night.world.effects)
        self.twice += len(night.world.duplicates())
        self.records += len(night.watcher.entries)
        desk = night.world.desk
        self.rotations += desk.refreshed + desk.exchanged
        self.reused += desk.reused_count
        self.phases.update(str(phase) for phase in night.phase_of().values())


def live(seed: int) -> tuple[Drawn, list[str]]:
    """Live through one seed's night, kills included; return it with all that is wrong with it.

    On the nights of odd seeds fleetdeploy keeps the tokens and hears from the platform.
    """
    keyed, rng = bool(seed % 2), Random(seed)
    drawn = draw_keyed(seed) if keyed else draw(seed)
    spans = [rng.choice([1.0, 20.0, 60.0]) for _ in range(rng.randrange(8))]
    moments_s = [rng.uniform(0.0, span) for span in spans]
    try:
        if keyed:
            in_virtual_time(lambda: live_through_keyed(drawn, moments_s, rng))
        else:
            in_virtual_time(lambda: live_through_kills(drawn.night, moments_s, rng))
    except Exception as error:  # noqa: BLE001 - whatever it is, the seed must be told
        return drawn, [f"{type(error).__name__}: {error}"]
    night = drawn.night
    wrong = [*complaints(night), *ended(night), *outcomes(night, drawn.expected)]
    return drawn, wrong + (credential_complaints(night) if isinstance(night, KeyedNight) else [])


def soak(first: int, minutes: float) -> Tally:
    """Live through seeds from `first` on until the time is up."""
    tally, until = Tally(), time.monotonic() + minutes * 60
    for seed in range(first, first + 10_000_000):
        if time.monotonic() >= until:
            break
        drawn, wrong = live(seed)
        tally.add(drawn)
        if wrong:
            tally.failing.append(seed)
            tell(seed, wrong)
    return tally


def tell(seed: int, wrong: list[str]) -> None:
    sys.stdout.write(f"seed {seed}:\n  " + "\n  ".join(wrong[:10]) + "\n")
    sys.stdout.write(f"  repeat it: python -m tests.soak --only {seed}\n")


def table(tally: Tally, minutes: float) -> str:
    rows = [
        ("seeds", f"{tally.seeds} ({tally.seeds / minutes:.0f} a minute)"),
        ("apps", tally.apps),
        ("lives (kills and ends)", tally.lives),
        ("calls", tally.calls),
        ("records", tally.records),
        ("effects", tally.effects),
        ("effects done twice", tally.twice),
        ("rotations of tokens", tally.rotations),
        ("tokens and codes sent twice", tally.reused),
        ("apps by outcome", ", ".join(f"{n} {p}" for p, n in tally.phases.most_common())),
        ("seeds that found something", len(tally.failing)),
    ]
    return "\n".join(f"{name:28}{value}" for name, value in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description="Seeded nights until a time is up.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1000, help="the first seed")
    parser.add_argument("--only", type=int, help="live through this one seed")
    asked = parser.parse_args()
    if asked.only is not None:
        _, wrong = live(asked.only)
        tell(asked.only, wrong or ["nothing wrong"])
        return 1 if wrong else 0
    tally = soak(asked.seed, asked.minutes)
    sys.stdout.write(table(tally, asked.minutes) + "\n")
    return 1 if tally.failing else 0


if __name__ == "__main__":
    sys.exit(main())
