"""Texts that say nothing to whoever reads them, and by which the platform knows whose they are.

How it works: the number of the app and of its text are folded into the text under a mask that is
drawn from the rest of it. So no text has to be remembered to be known again, however many there
were, and none can be guessed.
"""

from dataclasses import dataclass
from typing import Final

from fleetdeploy.simulator.chance import Chance

DIGITS: Final = 32
PLACE: Final = 12
"""Hex digits at the end: 24 bits for the app and 24 for the text."""
_HALF: Final = 24


@dataclass(frozen=True, slots=True)
class Numbered:
    """The `nth` text of its kind of the app at `index`."""

    index: int
    nth: int


def write(chance: Chance, kind: str, numbered: Numbered) -> str:
    """Write a text of 44 hex digits."""
    digits = chance.hexadecimal(kind, numbered.index, numbered.nth)
    place = (numbered.index << _HALF | numbered.nth) ^ _mask(chance, digits)
    return f"{digits}{place:0{PLACE}x}"


def read(chance: Chance, kind: str, text: str) -> Numbered | None:
    """Know a text again; None for one that was never written."""
    digits, place = text[:DIGITS], text[DIGITS:]
    if len(place) != PLACE or not all(char in "0123456789abcdef" for char in place):
        return None
    number = int(place, 16) ^ _mask(chance, digits)
    found = Numbered(number >> _HALF, number & ((1 << _HALF) - 1))
    return found if digits == chance.hexadecimal(kind, found.index, found.nth) else None


def _mask(chance: Chance, digits: str) -> int:
    return int(chance.hexadecimal("place", digits)[:PLACE], 16)
