"""The pieces that all renderers share: tables, lists of ids, JSON documents, the last line."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import BaseModel

from fleetdeploy.cli.render.safe import code, display_width, fit, pad, safe, safe_markdown
from fleetdeploy.cli.render.style import Style, Tone

IDS_SHOWN: Final = 10
NAME_WIDTH: Final = 28
WORDS_WIDTH: Final = 400
"""The platform's own words are told whole, unless they are a page."""

_UNSAFE_IN_JSON = re.compile(
    "[\x7f-\x9f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)
"""What `safe` escapes, less the controls that JSON escapes by itself."""


def columns(rows: Sequence[Sequence[str]], *, numbers: Iterable[int] = (), gap: str = "  ") -> str:
    """Align safe texts in columns; `numbers` are the columns that stand right."""
    right = frozenset(numbers)
    widths = [max(map(display_width, cells)) for cells in zip(*rows, strict=True)]
    return "\n".join(
        gap.join(
            pad(cell, width, right=place in right)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def indented(text: str, by: str = "  ") -> str:
    return "\n".join(f"{by}{line}" if line else line for line in text.splitlines())


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def some(ids: Sequence[str], shown: int = IDS_SHOWN) -> str:
    """Name the first few ids and count the rest."""
    named = ", ".join(safe(app_id) for app_id in ids[:shown])
    rest = len(ids) - shown
    return f"{named} and {rest} more" if rest > 0 else named


def code_ids(ids: Sequence[str], shown: int = IDS_SHOWN) -> str:
    """Name the first few ids in Markdown and count the rest."""
    rest = len(ids) - shown
    named = ", ".join(code(app_id) for app_id in ids[:shown])
    return f"{named} and {rest} more" if rest > 0 else named


def count_of(number: int, noun: str, plural: str = "") -> str:
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def words(text: str) -> str:
    """Return a sentence from outside, on one line and bounded."""
    return fit(safe(text), WORDS_WIDTH)


def name_of(text: str) -> str:
    return fit(safe(text), NAME_WIDTH)


def next_line(command: str, style: Style) -> str:
    """Return the last line of a text: what to type now."""
    return f"next: {style.paint(safe(command), Tone.BOLD)}"


def next_markdown(command: str) -> str:
    return f"Next: {safe_markdown(command) if '`' in command else f'`{safe(command)}`'}"


def document(model: BaseModel) -> str:
    """Return a model as one JSON document, indented, that does no harm on a terminal either."""
    return harmless_json(model.model_dump(mode="json"), indent=2)


def harmless_json(value: object, indent: int | None = None) -> str:
    """Return JSON that people can read, with an escape for all that a terminal would obey."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _UNSAFE_IN_JSON.sub(_json_escape, text)


def _json_escape(found: re.Match[str]) -> str:
    # Beyond 16 bits JSON writes two escapes, and its own writer knows how.
    return json.dumps(found[0])[1:-1]


def paragraphs(*parts: str) -> str:
    """Join the parts that say something with an empty line between them."""
    return "\n\n".join(part for part in parts if part)
