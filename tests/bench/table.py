"""The table of the benchmarks: each figure beside the floor that was measured in the same run."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_HEAD: Final = ("what", "measured", "floor", "ratio", "the floor is")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number; `floor` is in the same unit, and `floor_is` says what it stands for."""

    what: str
    value: float
    unit: str
    floor: float
    floor_is: str

    @property
    def ratio(self) -> float:
        return self.value / self.floor

    @property
    def cells(self) -> tuple[str, ...]:
        return (
            self.what,
            f"{_number(self.value)} {self.unit}",
            f"{_number(self.floor)} {self.unit}",
            f"{self.ratio:.2f}",
            self.floor_is,
        )


def render(figures: Iterable[Figure]) -> str:
    """Write the table as plain text, numbers to the right."""
    rows = [_HEAD, *(figure.cells for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    rule = tuple("-" * width for width in widths)
    lines = [_line(row, widths) for row in (rows[0], rule, *rows[1:])]
    return "\n".join(lines) + "\n"


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    what, *numbers, words = row
    right = [text.rjust(width) for text, width in zip(numbers, widths[1:-1], strict=True)]
    return "  ".join([what.ljust(widths[0]), *right, words])


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"
