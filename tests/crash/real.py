"""Kills by the hundred: `python -m tests.crash.real --kills 500 [--seed S] [--json FILE]`.

Fleets on simulated platforms are rolled out by the real command line, whose processes are killed at
every named point and at any moment until there were so many kills. Each fleet has a seed of its
own; `--only` lives through one again. The exit code is 1 if anything was found.
"""

import argparse
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from tests.crash.mortal import POINTS
from tests.crash.ordeal import MOMENT, ONLY_NEW, Tally, drawn, ordeal
from tests.figures import keep
from tests.lanes import dealt

APPS: Final = 30
STUCK_AFTER_S: Final = 600
"""Of real time; a fleet takes about ten seconds."""
ANEW: Final = 0.15
"""How often somebody begins another run after a kill, instead of going on with the one there is."""


def live(seed: int, tell: Callable[[Tally], None]) -> None:
    """Roll out one fleet through a round of deaths."""
    rng = Random(seed)
    with (
        TemporaryDirectory(prefix="fleetdeploy-crash-") as directory,
        ordeal(Path(directory), rng, apps=APPS, faults=bool(seed % 2)) as suffering,
    ):
        for death in drawn(rng):
            suffering.suffer(death, anew=death.point in ONLY_NEW or rng.random() < ANEW)
    suffering.tally.wrong = [f"seed {seed}: {words}" for words in suffering.tally.wrong]
    tell(suffering.tally)


def campaign(first: int, kills: int, lanes: int) -> Tally:
    """Live through seeds from `first` on, so many at once, until there were so many kills."""
    tally = Tally()
    lived = dealt(
        live,
        count(first),
        lanes=lanes,
        limit_s=STUCK_AFTER_S,
        more=lambda: tally.kills.total() < kills,
    )
    for ended in lived:
        if ended.result is None:
            how = "died" if ended.in_time else f"was not at its end after {STUCK_AFTER_S} s"
            tally.wrong.append(f"seed {ended.seed} {how}")
        else:
            tally.add(ended.result)
        sys.stderr.write(f"{tally.kills.total()} kills\n")
    return tally


def is_clean(tally: Tally) -> bool:
    return not (tally.twice or tally.unlawful or tally.unannounced or tally.lost or tally.wrong)


def table(tally: Tally, spent_s: float) -> str:
    rows: list[tuple[str, object]] = [
        ("kills", f"{tally.kills.total()} in {spent_s:.0f} s"),
        *((f"  {point}", tally.kills[point]) for point in (*POINTS, MOMENT)),
        ("lives that ended before their death came", tally.missed.total()),
        ("rollouts brought to their end", tally.rollouts),
        ("runs begun", tally.runs),
        ("resumes", tally.resumes),
        ("effects", tally.effects),
        ("effects done twice", tally.twice),
        ("unlawful requests", tally.unlawful),
        ("effects that no journal announced", tally.unannounced),
        ("apps told as online and never released", tally.lost),
        ("anything else that is wrong", len(tally.wrong)),
    ]
    return "\n".join([f"{name:42}{value}" for name, value in rows] + tally.wrong)


def main() -> int:
    parser = argparse.ArgumentParser(description="Kills of the real command line by the hundred.")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--only", type=int, help="live through this one seed")
    parser.add_argument("--lanes", type=int, default=2, help="fleets at once")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    asked = parser.parse_args()
    began = time.monotonic()
    only: int | None = asked.only
    if only is None:
        tally = campaign(asked.seed, asked.kills, asked.lanes)
    else:
        told: list[Tally] = []
        live(only, told.append)
        (tally,) = told
    spent_s = time.monotonic() - began
    if asked.json is not None:
        figures = {**vars(tally), "seconds": round(spent_s, 1), "first_seed": asked.seed}
        keep(asked.json, figures)
    sys.stdout.write(table(tally, spent_s) + "\n")
    return 0 if is_clean(tally) else 1


if __name__ == "__main__":
    sys.exit(main())
