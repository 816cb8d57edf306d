"""How a text is to look: decided by the caller once, passed to every renderer."""

import os
import sys
from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum
from typing import Final


class Output(StrEnum):
    """The forms that data can take on stdout."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


class Tone(StrEnum):
    """What a piece of text says by its colour; the values are ANSI codes."""

    GOOD = "32"
    BAD = "31"
    CARE = "33"
    NOTE = "36"
    DIM = "2"
    BOLD = "1"


@dataclass(frozen=True, slots=True)
class Style:
    """`colour` allows ANSI codes; `bars` is for people at a terminal.

    `zone` is the time zone of all times shown, None for the machine's own.
    """

    colour: bool = False
    bars: bool = False
    zone: tzinfo | None = None

    @classmethod
    def for_stdout(cls, *, no_color: bool) -> "Style":
        """Choose by what stdout is, and by what nobody wants to see."""
        terminal = sys.stdout.isatty()
        return cls(colour=terminal and not (no_color or colours_refused()), bars=terminal)

    def paint(self, text: str, tone: Tone) -> str:
        """Colour a text that is already safe and padded."""
        return f"\x1b[{tone.value}m{text}\x1b[0m" if self.colour and text else text


def colours_refused() -> bool:
    """Whether the environment wants no colours; `NO_COLOR` counts if it holds anything.

    That is how no-color.org has it. A dumb terminal would show the codes as they are.
    """
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


PLAIN: Final = Style()
ANSI: Final = Style(colour=True, bars=True)
