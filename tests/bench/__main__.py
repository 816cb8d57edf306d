"""The benchmarks: `python -m tests.bench` measures and prints one table.

Every figure stands beside a floor measured in the same run on the same machine, so that the ratios
can be compared between machines and the seconds need not be. Nothing here passes or fails.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.journal import append_figures, replay_figures
from tests.bench.manifest import manifest_figures
from tests.bench.memory import memory_figure
from tests.bench.night import night_figures
from tests.bench.receiver import receiver_figures
from tests.bench.store import store_figures
from tests.bench.table import Figure, render


@dataclass(frozen=True, slots=True)
class Sizes:
    night_apps: int
    records: int
    appends: int
    manifest_apps: int
    waiting_apps: int
    changes: int
    pushes: int


FULL: Final = Sizes(
    night_apps=1000,
    records=100_000,
    appends=1000,
    manifest_apps=10_000,
    waiting_apps=10_000,
    changes=1000,
    pushes=5000,
)
QUICK: Final = Sizes(
    night_apps=20,
    records=2000,
    appends=20,
    manifest_apps=200,
    waiting_apps=200,
    changes=20,
    pushes=50,
)


def measure(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """Yield the figures as they are measured; `folder` is on the disk to measure, and empty."""
    yield from night_figures(sizes.night_apps)
    yield memory_figure(sizes.waiting_apps)
    yield from replay_figures(sizes.records)
    yield from append_figures(folder, sizes.appends)
    yield from manifest_figures(folder, sizes.manifest_apps)
    yield from store_figures(folder, sizes.changes)
    yield from receiver_figures(folder, sizes.pushes)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: does it still run?")
    parser.add_argument(
        "--dir", type=Path, help="a directory on the disk to measure (default: the temporary one)"
    )
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=asked.dir) as folder:
        figures = list(measure(QUICK if asked.quick else FULL, Path(folder)))
    sys.stdout.write(render(figures))


if __name__ == "__main__":
    main()
