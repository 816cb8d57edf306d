"""Texts from outside, made harmless before they are shown.

App names, the platform's words and file names may hold anything: codes that move the cursor,
marks that turn the reading direction, line ends that fake a line of our own.
"""

import re
import unicodedata
from typing import Final

_SPACES = re.compile(r"[\t\n\x0b\x0c\r\x85\u2028\u2029]+")
_ESCAPED: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories that show nothing of their own: control, format (all bidi marks), surrogates."""
_ZERO_WIDTH: Final = frozenset({"Mn", "Me", "Cf"})
_WIDE: Final = "WF"
_MARKDOWN = re.compile(r"([\\`*_\[\]|#~!$])")
_BLOCK_START = re.compile(r"^([-+=](?=[-+=\s]|$)|\d+(?=[.)](?:\s|$)))")
_ELLIPSIS: Final = "..."
"""Three ASCII dots: the one-character ellipsis is two columns wide on many Chinese terminals."""
_CHARS_PER_COLUMN: Final = 4
"""Marks that take no column still take room; more than these on a letter is no language."""


def safe(text: str) -> str:
    """Return the text on one line: line ends become spaces, what is invisible an escape."""
    if text.isascii() and text.isprintable():
        return text
    spaced = _SPACES.sub(" ", text)
    if spaced.isprintable():
        return spaced
    return "".join(map(_visible, spaced))


def safe_lines(text: str) -> str:
    """Return a text of our own, in which there may be words from outside, line by line."""
    return "\n".join(map(safe, text.split("\n")))


def _visible(char: str) -> str:
    return escape(char) if unicodedata.category(char) in _ESCAPED else char


def escape(char: str) -> str:
    """Write a character the way Python and JSON readers know it."""
    code = ord(char)
    if code <= 0xFF:  # noqa: PLR2004 - the largest that \\x can say
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - as above


def safe_markdown(text: str) -> str:
    """Return the text as Markdown that shows it as it is, also inside a table's cell."""
    plain = safe(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = _MARKDOWN.sub(r"\\\1", plain)
    return _BLOCK_START.sub(_blunt, escaped)


def _blunt(found: re.Match[str]) -> str:
    """Keep a list or a heading from starting; a digit cannot be escaped, but its form can."""
    start = found[1]
    return f"&#{ord(start[0])};{start[1:]}" if start[0].isdigit() else f"\\{start}"


def code(text: str) -> str:
    """Return an identifier as a Markdown code span, where its characters allow one."""
    plain = safe(text)
    return f"`{plain}`" if re.fullmatch(r"[\w.:/\[\]{}() -]+", plain) else safe_markdown(plain)


def display_width(text: str) -> int:
    """Return how many columns a terminal gives the text; Chinese characters take two."""
    if text.isascii():
        return len(text)
    return sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if unicodedata.category(char) in _ZERO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(char) in _WIDE else 1


def fit(text: str, width: int) -> str:
    """Cut a safe text to `width` columns; three dots show that something is missing."""
    if display_width(text) <= width and len(text) <= width * _CHARS_PER_COLUMN:
        return text
    room = max(0, width - len(_ELLIPSIS))
    taken, kept = 0, []
    for char in text[: room * _CHARS_PER_COLUMN]:
        taken += _char_width(char)
        if taken > room:
            break
        kept.append(char)
    return "".join(kept) + _ELLIPSIS[:width]


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Fill a safe text with spaces to `width` columns, on the left if it is to stand right."""
    space = " " * max(0, width - display_width(text))
    return space + text if right else text + space
