"""Makes hostile inputs of sound ones: changes of bytes, of words, and of values in their JSON."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from tests.builders import HOSTILE

SIZE_MAX: Final = 64 * 1024
"""Bytes of one input. What grows beyond any bound has tests of its own, by its name."""
_REPEATS: Final = (1, 1, 2, 2, 10, 10, 100, 3000)
_JUNK: Final = (
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xc2\x9b31m",
    b"\xe2\x80\xae",
    b"\x1b[2J",
    b"\n",
    b"\r",
    b"\\",
    b'"',
    b"\\ud800",
    b"\\u0000",
    b"1e999",
    b"-0",
    b"9" * 30,
    b"9" * 5000,
    b"NaN",
    b"null",
    b"true",
    b"*a",
    b"&a ",
    b"!!str ",
    b"<<: ",
    b"? ",
    b"- ",
    b"[" * 300,
    b'{"a":' * 300,
)
_VALUES: Final[tuple[object, ...]] = (
    None,
    True,
    0,
    -1,
    1.0,
    1e300,
    2**31,
    2**53,
    10**18,
    10**30,
    "",
    " ",
    "0",
    "-1",
    "1535551395",
    HOSTILE,
    "\u200b\ufeff",
    "x" * 5000,
    [],
    {},
    [[]],
    {"a": {"a": {}}},
    {HOSTILE: HOSTILE},
)

Change = Callable[[bytes, Random, Sequence[bytes]], bytes]


def mutated(data: bytes, rng: Random, corpus: Sequence[bytes]) -> bytes:
    """Return the input with one to six changes; `corpus` is what it may be crossed with.

    Half of all inputs keep their form, where it is JSON: what is no JSON at all is soon refused.
    """
    changes = rng.choice(((_change_json,), _CHANGES))
    for _ in range(rng.randint(1, 6)):
        data = rng.choice(changes)(data, rng, corpus)[:SIZE_MAX]
    return data


def _flip(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    if not data:
        return b"?"
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]


def _insert(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    place = rng.randint(0, len(data))
    return data[:place] + rng.choice(_JUNK) + data[place:]


def _overwrite(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + rng.choice(_JUNK) + data[end:]


def _delete(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _repeat(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    start, end = _span(data, rng)
    return data[:end] + data[start:end] * rng.choice(_REPEATS) + data[end:]


def _cut(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    return data[: rng.randint(0, len(data))]


def _cross(data: bytes, rng: Random, corpus: Sequence[bytes]) -> bytes:
    """Put a piece of another input in the place of a piece of this one."""
    other = rng.choice(corpus)
    start, end = _span(data, rng)
    from_, to = _span(other, rng)
    return data[:start] + other[from_:to] + data[end:]


def _span(data: bytes, rng: Random) -> tuple[int, int]:
    start = rng.randint(0, len(data))
    return start, min(len(data), start + rng.choice((1, 4, 16, 64, 256)))


def _swap_lines(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    lines = data.split(b"\n")
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"\n".join(lines)


def _change_json(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    """Change one value in one line of JSON, so that the whole stays JSON."""
    lines = data.split(b"\n")
    found = [place for place, line in enumerate(lines) if line[:1] in (b"{", b"[")]
    if not found:
        return data
    place = rng.choice(found)
    try:
        value: object = json.loads(lines[place])
    except (ValueError, RecursionError):
        return data
    lines[place] = _written(_changed(value, rng), rng)
    return b"\n".join(lines)


def _written(value: object, rng: Random) -> bytes:
    """Write JSON, now and then with an escape for whatever can be escaped."""
    return json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def _changed(value: object, rng: Random) -> object:
    """Change a value, or one somewhere within it."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        return _changed_object(value, rng)
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        return [*value[:place], _changed(value[place], rng), *value[place + rng.randint(0, 1) :]]
    return rng.choice(_VALUES)


def _changed_object(value: dict[str, object], rng: Random) -> dict[str, object]:
    key = rng.choice(list(value))
    match rng.randrange(6):
        case 0:
            return {name: inner for name, inner in value.items() if name != key}
        case 1:
            return {**value, rng.choice([HOSTILE, "", f"{key}x", key.upper()]): value[key]}
        case 2:
            return {**value, key: value[rng.choice(list(value))]}
        case _:
            return {**value, key: _changed(value[key], rng)}


_CHANGES: Final[Sequence[Change]] = (
    _flip,
    _insert,
    _overwrite,
    _delete,
    _repeat,
    _cut,
    _cross,
    _swap_lines,
    _change_json,
)
