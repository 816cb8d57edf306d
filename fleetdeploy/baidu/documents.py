"""Reads JSON of the platform: a whole document, and the fields of an object; decides nothing.

Numbers are read whether they come as numbers or as numeric text, because the sources disagree
(platform-api.md 1). Every error is a `ValueError` that names the field and never its content.
"""

import json
import re
from typing import Final, NoReturn

INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
LIMIT: Final = 10**18
"""Ids and codes are 64-bit integers at most; beyond lies only garbage."""
SECRET_MAX: Final = 4096
"""Characters of a token or code: it rides in a URL, which servers bound at 8 KB."""


def parse_object(body: bytes) -> dict[str, object] | None:
    """Parse a JSON object in UTF-8; None for anything else, a key that occurs twice included.

    Strict about the encoding: a description with replaced characters would not be recognised as
    ours, and a package that goes unseen could be uploaded twice.
    """
    try:
        document: object = json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
        )
    # Deep nesting is a RecursionError; all else that can be wrong, huge numbers too, a ValueError.
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key occurs twice")
    return document


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("not a number of JSON")


def number_or_none(value: object) -> int | None:
    """Return an integer given as a number or as numeric text; a float or a boolean is neither."""
    if isinstance(value, str) and INTEGER.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -LIMIT < value < LIMIT:
        return value
    return None


def text_of(value: object) -> str | None:
    """Return a text that can be written anywhere as UTF-8, or None for what is not a text."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    number = number_or_none(value)
    return None if number is None else str(number)


def told(row: dict[str, object], name: str) -> str:
    """Read a text that only informs."""
    return text_of(row.get(name)) or ""


def said(row: dict[str, object], name: str) -> str:
    """Read a text that decides; missing and null are empty."""
    value = row.get(name)
    text = "" if value is None else text_of(value)
    if text is None:
        raise ValueError(f"`{name}` is not a text")
    return text


def code_in(row: dict[str, object], name: str) -> int | None:
    """Read a code that decides; unknown ones are kept, missing, null and empty are None."""
    value = row.get(name)
    if value is None or value == "":
        return None
    number = number_or_none(value)
    if number is None:
        raise ValueError(f"`{name}` is neither a number nor numeric text")
    return number


def id_in(row: dict[str, object], name: str) -> str | None:
    """Read an id as decimal digits; missing, null, empty and 0 are no id."""
    number = code_in(row, name)
    if number is not None and number < 0:
        raise ValueError(f"`{name}` is negative")
    return str(number) if number else None


def required(row: dict[str, object], name: str) -> int:
    number = code_in(row, name)
    if number is None:
        raise ValueError(f"`{name}` is missing")
    return number


def secret_in(row: dict[str, object], name: str) -> str:
    """Read a token, ticket or code, which has to be one that can be sent back as it is."""
    value = row.get(name)
    if not isinstance(value, str) or not is_sendable(value):
        raise ValueError(f"`{name}` is missing or cannot be sent")
    return value


def is_sendable(secret: str) -> bool:
    return 0 < len(secret) <= SECRET_MAX and all("!" <= c <= "~" for c in secret)


def object_of(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not an object")  # noqa: TRY004  # garbage, not a bug
    return value


def part(row: dict[str, object], name: str) -> dict[str, object]:
    """Read an object that only informs; anything else is an empty one."""
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def parts(row: dict[str, object], name: str) -> list[dict[str, object]]:
    value = row.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
