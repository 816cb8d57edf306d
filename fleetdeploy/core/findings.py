"""What is wrong with a manifest, by its path in the structure; files and lines come later.

The words for what pydantic finds are ours, so that they say what to write instead.
"""

import difflib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

At = tuple[str | int, ...]
"""A path in the structure, like `("apps", 3, "ext_json")`; empty for the whole."""

MAX_FINDINGS: Final = 5_000
"""Of one kind: more come from one slip that repeats itself, and guessing at a name takes time."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}", re.ASCII)
_SHOWN = 60
_SHOWN_PATH = 200
"""Longer keys, values and paths are cut: the line and column are what counts."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; `also` is the other place where two places clash."""

    at: At
    message: str
    also: At | None = None


def path_text(at: At) -> str:
    """Write a path as people do: `apps[3].ext_json.extAppid`."""
    text = "".join(_piece(part) for part in at).removeprefix(".")
    return text if len(text) <= _SHOWN_PATH else f"{text[:_SHOWN_PATH]}..."


def _piece(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if _PLAIN_KEY.fullmatch(part) else f"[{quoted(part)}]"


def quoted(text: str) -> str:
    """Quote a text from outside for a message: cut to a bound, nothing unprintable left in it."""
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return json.dumps(shown, ensure_ascii=not shown.isprintable())


def harmless(text: str) -> str:
    """Return a text from outside for a message: cut to a bound, what is unprintable escaped."""
    shown = text if len(text) <= _SHOWN_PATH else f"{text[:_SHOWN_PATH]}..."
    return shown if shown.isprintable() else json.dumps(shown)[1:-1]


Known = Mapping[At, Collection[str]]
"""Which keys a mapping may have, by its path without list indexes: to guess what was meant."""


def findings_of(error: ValidationError, at: At, known: Known) -> list[Finding]:
    """Turn pydantic's errors, the first `MAX_FINDINGS` of them, into findings below `at`."""
    errors = error.errors(include_url=False)
    # Pydantic leaves bad entries out of its count: a list of one bad entry is not empty to us.
    inner = {details["loc"][:-1] for details in errors}
    inner |= {details["loc"][:-2] for details in errors}
    told = [d for d in errors if d["type"] != "too_short" or d["loc"] not in inner]
    return [Finding(at + _loc(details), _worded(details, known)) for details in told[:MAX_FINDINGS]]


def _loc(details: ErrorDetails) -> At:
    # Pydantic marks an error in a mapping's key with a part of its own.
    return tuple(part for part in details["loc"] if part != "[key]")


_WORDS = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_unicode": "holds half of a character (a lone surrogate)",
}
_BOUNDS = {
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "string_too_short": "must not be empty",
    "string_too_long": "is longer than {max_length} characters",
    "too_short": "must not be empty",
    "too_long": "has more than {max_length} entries",
    "literal_error": "must be {expected}",
}


def _worded(details: ErrorDetails, known: Known) -> str:
    kind = details["type"]
    context = details.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(details["loc"], known)
    if kind == "string_type":
        return _not_text(details["input"])
    if kind == "value_error":
        return str(context["error"])
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**context)
    return _WORDS.get(kind, details["msg"])


def _unknown_key(loc: At, known: Known) -> str:
    *within, key = loc
    keys = known.get(tuple(part for part in within if isinstance(part, str)), ())
    near = difflib.get_close_matches(str(key)[:_SHOWN], keys, n=1)
    return f"unknown key; did you mean {near[0]}?" if near else "unknown key"


def _not_text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f'must be text: put the number in quotes, "{value}"'
    # A float no longer knows how it was written: 10.30 has become 10.3.
    return "must be text: put it in quotes" if isinstance(value, bool | float) else "must be text"
