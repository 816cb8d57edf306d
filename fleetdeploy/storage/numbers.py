"""Numbers as files write them: only those that every reader of JSON understands alike."""

import math
from typing import Final

MAX_INTEGER: Final = 2**53 - 1
"""The mini-program reads its configuration with JavaScript, which keeps no larger integer whole."""
_MAX_DIGITS: Final = 400
"""More than any finite double has before its point; longer texts are not even converted."""


def integer(text: str, base: int = 10) -> int:
    """Read an integer; raises `ValueError` if JSON's readers would not keep every digit."""
    if len(text) <= _MAX_DIGITS:
        value = int(text, base)
        if abs(value) <= MAX_INTEGER:
            return value
    raise ValueError("the number is too large to be kept exactly: put it in quotes")


def real(text: str) -> float:
    """Read a number with a fraction or an exponent; raises `ValueError` if it is not finite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("the number is too large for JSON")
    return value
