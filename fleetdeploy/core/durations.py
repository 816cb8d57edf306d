"""Durations as people write them: a number of seconds, or `90s`, `30m`, `6h`, `2d`."""

import math
import re
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_WRITTEN = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)([smhd]?)", re.ASCII)
_MAX_S = 10 * 366 * 86_400
"""Ten years: longer than any run, and far from where floats of seconds lose milliseconds."""


def parse_duration(value: object) -> float:
    """Return the seconds that a number or a text like `90s`, `30m`, `6h`, `2d` stands for.

    Raises `ValueError` for anything else, negative and endless durations included.
    """
    seconds = _seconds(value)
    if seconds is None:
        raise ValueError("must be a number of seconds, or like 90s, 30m, 6h or 2d")
    if not 0 <= seconds <= _MAX_S:
        raise ValueError("must be from 0 seconds up to ten years")
    return seconds


def _seconds(value: object) -> float | None:
    if isinstance(value, str):
        found = _WRITTEN.fullmatch(value.strip())
        return float(Decimal(found[1]) * _UNITS[found[2]]) if found else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # An int too large for a float is too long a duration, not a crash.
    return math.inf if abs(value) > _MAX_S else float(value)


def format_duration(seconds: float) -> str:
    """Write seconds in the largest unit that holds them exactly: 1800 is `30m`, 90 is `90s`.

    What it writes for a duration of whole nanoseconds reads back as the same number.
    """
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:.0f}{unit}"
    text = format(Decimal(repr(float(seconds))), "f")
    return f"{text.removesuffix('.0')}s"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": _MAX_S},
                {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,9})?[smhd]?$"},
            ]
        }
    ),
]
"""Seconds, for models and settings; written as `parse_duration` reads it."""
