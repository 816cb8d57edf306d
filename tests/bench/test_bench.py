"""The benchmarks run, and their table is whole. What they measure is for people to judge."""

import math
import re
from pathlib import Path

import pytest

from tests.bench.__main__ import main
from tests.bench.table import Figure, render

FIGURES = (
    "CPU per app",
    "CPU per call",
    "calls per app",
    "makespan",
    "memory per waiting app",
    "replay of 2,000 records: time",
    "replay of 2,000 records: rate",
    "durable appends, 1 at once",
    "durable appends, 32 at once",
    "as YAML",
    "as CSV",
    "credential changes, 1 at once",
    "credential changes, 300 at once",
    "sealed credential changes, 1 at once",
    "sealed credential changes, 300 at once",
    "pushes kept, 100 at once",
    "a second: rate",
    "a second: 99th percentile",
    "a second: CPU per push",
    "32 at once: rate",
)


@pytest.mark.slow
def test_the_command_measures_every_figure_and_prints_the_table_and_nothing_else(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    main(["--quick", "--dir", str(tmp_path)])
    out, err = capsys.readouterr()
    assert err == ""
    header, rule, *lines = out.splitlines()
    assert header.split() == ["what", "measured", "floor", "ratio", "the", "floor", "is"]
    assert set(rule) == {"-", " "}
    assert len(lines) == len(FIGURES)
    starts = [match.start() for match in re.finditer("-+", rule)]
    for line, name in zip(lines, FIGURES, strict=True):
        what, measured, floor, ratio, _ = (line[start:].strip() for start in starts)
        assert name in what
        for cell in (measured, floor, ratio):
            number = float(cell.split()[0].replace(",", ""))
            assert math.isfinite(number)
            assert number > 0
    assert list(tmp_path.iterdir()) == []


def test_the_table_is_aligned_and_shows_the_ratio() -> None:
    figures = [
        Figure("short", 3.0, "s", 2.0, "half of it"),
        Figure("a longer name", 12345.6, "/s", 24691.2, "twice"),
    ]
    assert render(figures) == (
        "what            measured      floor  ratio  the floor is\n"
        "-------------  ---------  ---------  -----  ------------\n"
        "short            3.000 s    2.000 s   1.50  half of it\n"
        "a longer name  12,346 /s  24,691 /s   0.50  twice\n"
    )
