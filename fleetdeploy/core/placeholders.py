"""The placeholders of a version text: `{date}` and `{run_id}`; a literal brace is doubled."""

import re
from collections.abc import Mapping

PLACEHOLDERS = ("date", "run_id")

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with each `{name}` replaced by its value, `{{` by `{` and `}}` by `}`.

    Raises `ValueError` for an unknown name and for a brace that stands alone.
    """

    def filled(piece: re.Match[str]) -> str:
        name = piece[1]
        if name is not None:
            if name not in values:
                known = " and ".join(f"{{{known}}}" for known in values)
                raise ValueError(f"has an unknown placeholder {{{name[:40]}}}; known are {known}")
            return values[name]
        if len(piece[0]) == 1:
            raise ValueError(f"has a single {piece[0]}: write {piece[0] * 2} for a literal brace")
        return piece[0][0]

    return _PIECE.sub(filled, text)


def check_placeholders(text: str) -> str:
    """Return `text` as it is if it can be filled; raises `ValueError` like `fill`."""
    fill(text, dict.fromkeys(PLACEHOLDERS, ""))
    return text
