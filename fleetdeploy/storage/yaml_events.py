"""YAML 1.2 (core schema) as events, parsed by libyaml where it is there.

What plain scalars mean is decided here and not by the library, which speaks YAML 1.1: only `true`,
`false`, `null` and numbers are anything but text. Two forms of integers that other tools write for
text, a leading zero and a plus sign, are refused, because reading them would lose that sign.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, NoReturn

import yaml

from fleetdeploy.core.findings import quoted
from fleetdeploy.errors import ManifestInvalid, Problem
from fleetdeploy.storage.numbers import integer, real
from fleetdeploy.storage.trees import Event, Kind

LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Only its parser is used; the one in pure Python does the same, about four times as slowly."""

_CONSTANTS: Mapping[str, object] = MappingProxyType(
    dict.fromkeys(("", "~", "null", "Null", "NULL"))
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
)
_READERS: tuple[tuple[re.Pattern[str], Callable[[str], object]], ...] = (
    (re.compile(r"-?(?:0|[1-9][0-9]*)"), integer),
    (re.compile(r"0o[0-7]+"), partial(integer, base=8)),
    (re.compile(r"0x[0-9a-fA-F]+"), partial(integer, base=16)),
    (re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"), real),
)
_SIGN_LOST = re.compile(r"[-+]?0[0-9]+|\+[0-9]+")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_NUMBER_START = frozenset("+-.0123456789")


def yaml_events(text: str, file: str) -> Iterator[Event]:
    """Yield the events of the one document in `text`, which must be free of control characters.

    Raises `ManifestInvalid` where the text is not YAML, holds no document or a second one.
    """
    documents = 0
    try:
        for event in yaml.parse(text, Loader=LOADER):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    _fail(file, "a second document begins here: one is allowed", _place(event))
            converted = _converted(event)
            if converted is not None:
                yield converted
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else None
        _fail(file, _explained(error, text), place)
    if not documents:
        _fail(file, "is empty")


def _converted(event: yaml.Event) -> Event | None:
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    kind = _KINDS.get(type(event))
    if kind is None:
        return None
    place = _place(event)
    if isinstance(event, yaml.AliasEvent):
        return Event(kind, *place, value=event.anchor)
    if isinstance(event, yaml.CollectionStartEvent):
        return Event(kind, *place, anchor=event.anchor, refusal=_tag_refusal(event.tag))
    return Event(kind, *place)


_KINDS: Mapping[type[yaml.Event], Kind] = MappingProxyType(
    {
        yaml.MappingStartEvent: Kind.MAPPING,
        yaml.SequenceStartEvent: Kind.LIST,
        yaml.MappingEndEvent: Kind.END,
        yaml.SequenceEndEvent: Kind.END,
        yaml.AliasEvent: Kind.ALIAS,
    }
)


def _scalar(event: yaml.ScalarEvent) -> Event:
    value: object = event.value
    refusal = _tag_refusal(event.tag)
    # `implicit` holds for plain scalars first: quoted ones are text whatever they look like.
    if event.implicit[0] and not refusal:
        try:
            value = plain_scalar(event.value)
        except ValueError as error:
            refusal = str(error)
    return Event(Kind.SCALAR, *_place(event), value, event.anchor, refusal)


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    assert mark is not None
    return mark.line + 1, mark.column + 1


def _tag_refusal(tag: str | None) -> str:
    if tag is None:
        return ""
    return f"the tag {quoted(tag.replace('tag:yaml.org,2002:', '!!'))} is not allowed"


def plain_scalar(text: str) -> object:
    """Return what an unquoted scalar means; raises `ValueError` for what must be quoted."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text == "<<":
        raise ValueError("merge keys (<<) are not YAML 1.2: use groups, or repeat the keys")
    return _number(text) if text[0] in _NUMBER_START else text


def _number(text: str) -> object:
    if _SIGN_LOST.fullmatch(text):
        raise ValueError("a number loses its leading zero or plus sign: put it in quotes")
    if _NOT_FINITE.fullmatch(text):
        raise ValueError("JSON has no infinity and no NaN: put it in quotes if it is text")
    for pattern, read in _READERS:
        if pattern.fullmatch(text):
            return read(text)
    return text


def _explained(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark
    if mark is not None and text[mark.index : mark.index + 1] == "\t":
        return "is not YAML: indent with spaces, not with a tab"
    context = f" {error.context}" if error.context else ""
    return f"is not YAML: {error.problem}{context}"


def _fail(file: str, message: str, place: tuple[int, int] | None = None) -> NoReturn:
    line, column = place or (None, None)
    raise ManifestInvalid([Problem(file, message, line, column)]) from None
