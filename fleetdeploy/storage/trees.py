"""Plain values with their places, built from a stream of events; YAML and JSON both use it.

How it works: a parser yields events, and the builder keeps the open containers on a list of its
own, so that no depth of nesting reaches Python's stack. Values come out as dicts, lists and
scalars; beside them grows a tree of places of the same shape. An alias shares the value of its
anchor and is counted at its full size, so that a few lines cannot stand for a billion values, nor
a long text for gigabytes: whoever walks the result later walks at most `MAX_VALUES`, and writes at
most `MAX_ALIASED` characters more than the file has.

A problem that leaves the rest readable is noted and the reading goes on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple, NoReturn

from fleetdeploy.core.findings import At, path_text, quoted
from fleetdeploy.errors import ManifestInvalid, Problem

MAX_DEPTH: Final = 64
"""Far above any configuration, and far below what json and pydantic can recurse into."""
MAX_VALUES: Final = 1_000_000
"""A hundred values for each of ten thousand apps."""
MAX_ALIASED: Final = 16 * 1024 * 1024
"""Characters that aliases repeat; a layer of configuration for a thousand apps has a tenth."""
MAX_KEYS: Final = 10_000
"""Keys of one mapping: each may be a problem of its own, and those must fit into memory."""
MAX_PROBLEMS: Final = 1_000
"""Reading stops there: a file like that is of another kind, or broken as a whole."""


class Kind(Enum):
    MAPPING = auto()
    LIST = auto()
    END = auto()
    SCALAR = auto()
    ALIAS = auto()


class Event(NamedTuple):
    """One step of a parser; `line` and `column` count from 1.

    `value` is a scalar's value or an alias's name; `refusal` says why a node cannot be used.
    """

    kind: Kind
    line: int
    column: int
    value: object = None
    anchor: str | None = None
    refusal: str = ""


@dataclass(slots=True)
class Place:
    """Where a value is, and where the values within it are: for a mapping's value, its key."""

    line: int
    column: int | None = None
    within: dict[str, "Place"] | list["Place"] | None = None


def find(place: Place, at: At) -> Place:
    """Return the place at a path, or the nearest one around it."""
    for part in at:
        match place.within, part:
            case dict() as keys, str() if part in keys:
                place = keys[part]
            case list() as items, int() if part < len(items):
                place = items[part]
            case _:
                break
    return place


@dataclass(frozen=True, slots=True)
class Tree:
    """A file's value, as far as it could be read, with its places and its problems."""

    value: object
    place: Place
    problems: tuple[Problem, ...] = ()


class _Done(NamedTuple):
    """A finished value; `size`, `chars` and `height` count what aliases stand for in full."""

    value: object
    place: Place
    size: int = 1
    chars: int = 0
    height: int = 0
    refused: bool = False


@dataclass(slots=True)
class _Open:
    """A container whose end has not come; in a mapping, `key_place` is set between key and value.

    `key` is None then for a key that cannot be used: its value is read and dropped.
    """

    value: dict[str, object] | list[object]
    place: Place
    anchor: str | None
    refused: bool
    size: int = 1
    chars: int = 0
    height: int = 1
    key: str | None = None
    key_place: Place | None = None


def build(events: Iterable[Event], file: str) -> Tree:
    """Build the tree of one document; `file` is the file's name in problems."""
    builder = _Builder(file)
    try:
        for event in events:
            builder.take(event)
    except ManifestInvalid as error:
        # The reading cannot go on; what was found before still counts.
        builder.problems.extend(error.problems)
    return Tree(builder.root.value, builder.root.place, tuple(builder.problems))


class _Builder:
    def __init__(self, file: str) -> None:
        self.file = file
        self.root = _Done(None, Place(1, 1))
        self.problems: list[Problem] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, _Done | None] = {}
        self._count = 0
        self._aliased_chars = 0

    def take(self, event: Event) -> None:
        place = Place(event.line, event.column)
        if event.refusal:
            self._note(event.refusal, place)
        match event.kind:
            case Kind.MAPPING | Kind.LIST:
                self._begin(event, place)
            case Kind.END:
                self._end()
            case Kind.ALIAS:
                self._put(self._aliased(event, place))
            case Kind.SCALAR:
                self._scalar(event, place)

    def _scalar(self, event: Event, place: Place) -> None:
        self._add(1, place)
        chars = len(event.value) if isinstance(event.value, str) else 0
        done = _Done(event.value, place, chars=chars, refused=bool(event.refusal))
        if event.anchor is not None:
            self._anchors[event.anchor] = done
        self._put(done)

    def _begin(self, event: Event, place: Place) -> None:
        self._add(1, place)
        if len(self._open) >= MAX_DEPTH:
            self._fail(f"is nested more than {MAX_DEPTH} deep", place)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        mapping = event.kind is Kind.MAPPING
        place.within = {} if mapping else []
        value: dict[str, object] | list[object] = {} if mapping else []
        self._open.append(_Open(value, place, event.anchor, refused=bool(event.refusal)))

    def _end(self) -> None:
        node = self._open.pop()
        done = _Done(node.value, node.place, node.size, node.chars, node.height, node.refused)
        if node.anchor is not None:
            self._anchors[node.anchor] = done
        self._put(done)

    def _aliased(self, event: Event, place: Place) -> _Done:
        name = str(event.value)
        target = self._anchors.get(name)
        if target is None:
            problem = "stands within itself" if name in self._anchors else "has no anchor before it"
            self._note(f"the alias {quoted(name)} {problem}", place)
            return _Done(None, place, refused=True)
        self._add(target.size, place)
        self._aliased_chars += target.chars
        if self._aliased_chars > MAX_ALIASED:
            self._fail(f"repeats more than {MAX_ALIASED // 1024**2} MiB of text by aliases", place)
        if len(self._open) + target.height > MAX_DEPTH:
            self._fail(f"is nested more than {MAX_DEPTH} deep", place)
        place.within = target.place.within
        return target._replace(place=place)

    def _put(self, done: _Done) -> None:
        if not self._open:
            self.root = done
            return
        parent = self._open[-1]
        parent.size += done.size
        parent.chars += done.chars
        parent.height = max(parent.height, done.height + 1)
        if isinstance(parent.value, list):
            assert isinstance(parent.place.within, list)
            parent.value.append(None if done.refused else done.value)
            parent.place.within.append(done.place)
        elif parent.key_place is None:
            self._put_key(parent, done)
        else:
            self._put_value(parent, done)

    def _put_key(self, parent: _Open, done: _Done) -> None:
        assert isinstance(parent.place.within, dict)
        parent.key = None
        if len(parent.place.within) >= MAX_KEYS:
            self._fail(f"has more than {MAX_KEYS:,} keys in one mapping", done.place)
        if isinstance(done.value, str) and done.value in parent.place.within:
            first = parent.place.within[done.value]
            where = f"line {first.line}, column {first.column}"
            self._note(f"the key {quoted(done.value)} is there twice, first at {where}", done.place)
        elif isinstance(done.value, str):
            parent.key = done.value
        elif not done.refused:
            self._note("a key must be text: put it in quotes", done.place)
        # Last, because a key's own problems belong to the mapping that it is in.
        parent.key_place = done.place

    def _put_value(self, parent: _Open, done: _Done) -> None:
        assert isinstance(parent.place.within, dict)
        assert isinstance(parent.value, dict)
        assert parent.key_place is not None
        if parent.key is not None:
            parent.value[parent.key] = None if done.refused else done.value
            place = Place(parent.key_place.line, parent.key_place.column, done.place.within)
            parent.place.within[parent.key] = place
        parent.key_place = None

    def _add(self, size: int, place: Place) -> None:
        self._count += size
        if self._count > MAX_VALUES:
            self._fail(f"holds more than {MAX_VALUES:,} values, aliases counted in full", place)

    def _at(self) -> At:
        return tuple(part for node in self._open if (part := _current(node)) is not None)

    def _note(self, message: str, place: Place) -> None:
        if len(self.problems) >= MAX_PROBLEMS:
            self._fail(f"is read no further: there are {MAX_PROBLEMS:,} problems before", place)
        path = path_text(self._at())
        self.problems.append(Problem(self.file, message, place.line, place.column, path))

    def _fail(self, message: str, place: Place) -> NoReturn:
        path = path_text(self._at())
        raise ManifestInvalid([Problem(self.file, message, place.line, place.column, path)])


def _current(node: _Open) -> str | int | None:
    if isinstance(node.value, list):
        return len(node.value)
    return node.key if node.key_place is not None else None
