"""Read what brings credentials from elsewhere: JSON or CSV, bounded, each problem with its place.

It stores nothing, and does not know what a store has already. No message quotes what stands in the
file, except an app id that looks like one: anything else may be a token in the wrong place.
"""

import csv
import io
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fleetdeploy.errors import ManifestInvalid, Problem, SettingsInvalid
from fleetdeploy.storage.json_events import json_events
from fleetdeploy.storage.text_file import decode
from fleetdeploy.storage.trees import Event, Kind

FILE_MAX: Final = 64 * 1024 * 1024
"""Bytes: 100,000 apps with two tokens of 100 characters take about 25 MB."""
APPS_MAX: Final = 200_000
"""As many as a manifest may have."""
TOKEN_MAX: Final = 4096
"""Characters: a token rides in a URL, which servers bound at 8 KB."""
PROBLEMS_TOLD: Final = 100
"""A file with more of them is of another kind, or broken as a whole."""
TOKENS: Final = ("refresh_token", "access_token")
SHAPE: Final = (
    'it holds a JSON object, {"app id": {"refresh_token": "...", "access_token": "..."}, ...}, or '
    "CSV with the columns app_id, refresh_token, access_token; of the tokens one is enough"
)

_APP_ID: Final = re.compile(r"[0-9]{1,20}", re.ASCII)
_NOT_A_TOKEN: Final = (
    f"is not a token: 1 to {TOKEN_MAX} printable ASCII characters without spaces or line ends"
)


@dataclass(frozen=True, slots=True)
class Brought:
    """The tokens of one app, at least one of them; an empty text is none."""

    app_id: str
    refresh_token: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False)


def is_app_id(text: str) -> bool:
    """Say whether a text can be an id that the platform gave: digits, at most 64 bits of them."""
    return _APP_ID.fullmatch(text) is not None


def is_token(text: str) -> bool:
    return 0 < len(text) <= TOKEN_MAX and all("!" <= char <= "~" for char in text)


def read_private(path: Path, *, size_max: int = FILE_MAX) -> bytes:
    """Return the bytes of a file that holds secrets; raises `SettingsInvalid`.

    One that others can read is refused. Opened without waiting: a pipe in its place must not hang
    us, and is refused.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            _check_private(path, os.fstat(descriptor))
            contents = file.read(size_max + 1)
    except OSError as error:
        raise SettingsInvalid(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        # A NUL in the name.
        raise SettingsInvalid("a file of that name cannot be") from None
    if len(contents) > size_max:
        raise SettingsInvalid(f"{path} is larger than {size_max} bytes")
    return contents


def _check_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SettingsInvalid(f"{path} is not a regular file", hint="`-` reads stdin")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise SettingsInvalid(
            f"{path} holds secrets and is open to others (mode {mode:04o})",
            hint=f"type: chmod 600 {path}",
        )


def read_credentials(data: bytes, file: str) -> tuple[Brought, ...]:
    """Read the credentials in `data`, whose name is `file`; all of them are sound, or none is read.

    The form follows from the name's ending, else from how it begins. Raises `SettingsInvalid` with
    every problem and its place, up to `PROBLEMS_TOLD` of them.
    """
    reading = _Reading(file)
    try:
        text = decode(data, file)
        if _is_csv(text, file):
            reading.take_csv(text)
        else:
            reading.take_json(text)
    except ManifestInvalid as error:
        for problem in error.problems:
            # What was found is quoted at its end.
            message = problem.message.partition(", found ")[0]
            reading.note(message, problem.line, problem.column)
    # Raised out here because the errors above hold pieces of the text, tokens and all.
    reading.check()
    return tuple(reading.brought.values())


def _is_csv(text: str, file: str) -> bool:
    match Path(file).suffix.lower():
        case ".csv":
            return True
        case ".json":
            return False
        case _:
            return text.lstrip()[:1] not in ("{", "[", '"')


@dataclass(frozen=True, slots=True)
class _Place:
    line: int
    column: int | None = None


class _Reading:
    """What was read so far, and what was wrong with it."""

    def __init__(self, file: str) -> None:
        self.brought: dict[str, Brought] = {}
        self._file = file
        self._lines: dict[str, int] = {}
        self._owners: dict[str, str] = {}
        self._problems: list[Problem] = []

    def note(
        self, message: str, line: int | None = None, column: int | None = None, app_id: str = ""
    ) -> None:
        where = f"app {app_id}" if is_app_id(app_id) else ""
        self._problems.append(Problem(self._file, message, line, column, where))

    def check(self) -> None:
        """Raise `SettingsInvalid` if anything was wrong."""
        if not self._problems and not self.brought:
            self.note("names no app")
        count = len(self._problems)
        if not count:
            return
        ordered = sorted(self._problems, key=lambda p: (p.line or 0, p.column or 0))
        told = [str(problem) for problem in ordered[:PROBLEMS_TOLD]]
        raise SettingsInvalid(
            "\n".join(
                [
                    f"{count} problem{'' if count == 1 else 's'} in the credentials",
                    *told,
                    *(["and more"] if count > len(told) else []),
                ]
            ),
            hint=SHAPE,
        )

    def take_json(self, text: str) -> None:
        events = json_events(text, self._file)
        first = next(events)
        if first.kind is not Kind.MAPPING:
            self.note("is not a JSON object", first.line, first.column)
            return
        while (key := next(events)).kind is not Kind.END and not self._is_full():
            self._take_member(key, events)
        if not self._is_full():
            # Whatever stands behind the end is a problem, which the scanner raises.
            assert next(events, None) is None

    def _take_member(self, key: Event, events: Iterator[Event]) -> None:
        app_id, place = str(key.value or ""), _Place(key.line, key.column)
        value = next(events)
        if value.kind is Kind.MAPPING:
            tokens = self._tokens(app_id, events)
            if tokens is not None:
                self._take(app_id, tokens, place)
            return
        _skip(value, events)
        message = 'must be an object like {"refresh_token": "..."}'
        self.note(message, value.line, value.column, app_id)

    def _tokens(self, app_id: str, events: Iterator[Event]) -> dict[str, str] | None:
        """Read an app's object to its end; None if there was anything wrong with its shape."""
        tokens: dict[str, str] = {}
        sound = True
        while (name := next(events)).kind is not Kind.END:
            token = next(events)
            _skip(token, events)
            wrong = _wrong_member(name.value, token, tokens)
            if wrong:
                self.note(wrong, name.line, name.column, app_id)
                sound = False
            elif token.value is not None:
                tokens[str(name.value)] = str(token.value)
        return tokens if sound else None

    def take_csv(self, text: str) -> None:
        # Not `splitlines`: the reader itself knows which line ends are within quotes.
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            columns = [name.strip() for name in next(rows, [])]
            wrong = _wrong_columns(columns)
            for message in wrong:
                self.note(message, 1)
            line = rows.line_num + 1
            while not wrong and not self._is_full() and (row := next(rows, None)) is not None:
                self._take_row(columns, row, line)
                line = rows.line_num + 1
        except csv.Error as error:
            self.note(f"is not CSV: {error}", rows.line_num)

    def _take_row(self, columns: Sequence[str], row: Sequence[str], line: int) -> None:
        if not any(row):
            return
        if len(row) != len(columns):
            self.note(f"has {len(row)} cells, but there are {len(columns)} columns", line)
            return
        cells = dict(zip(columns, row, strict=True))
        app_id = cells.pop("app_id")
        self._take(app_id, {name: token for name, token in cells.items() if token}, _Place(line))

    def _take(self, app_id: str, tokens: Mapping[str, str], place: _Place) -> None:
        """Keep an app's tokens, unless something is wrong with them; each is looked at."""
        problems = [*self._wrong_id(app_id), *self._wrong_tokens(app_id, tokens)]
        for message in problems:
            self.note(message, place.line, place.column, app_id)
        if not problems:
            self.brought[app_id] = Brought(app_id, **tokens)
        self._lines.setdefault(app_id, place.line)

    def _wrong_id(self, app_id: str) -> Iterator[str]:
        if not is_app_id(app_id):
            yield "what stands in place of the app id is none: 1 to 20 digits"
        elif app_id in self._lines:
            yield f"is there twice, first on line {self._lines[app_id]}"

    def _wrong_tokens(self, app_id: str, tokens: Mapping[str, str]) -> Iterator[str]:
        if not tokens:
            yield "has no token"
        for name, token in tokens.items():
            if not is_token(token):
                yield f"{name} {_NOT_A_TOKEN}"
            elif (owner := self._owners.setdefault(token, app_id)) != app_id:
                # A refresh token that two apps have would be sent twice.
                yield f"{name} is the same as {_named(owner)}"
        if len(set(tokens.values())) < len(tokens):
            yield "both tokens are the same"

    def _is_full(self) -> bool:
        """Whether there is no use in reading on; says so."""
        if len(self.brought) > APPS_MAX:
            self.note(f"has more than {APPS_MAX:,} apps")
            self.brought.clear()
            return True
        return len(self._problems) > PROBLEMS_TOLD


def _named(app_id: str) -> str:
    return f"one of app {app_id}" if is_app_id(app_id) else "another app's"


def _wrong_member(name: object, token: Event, tokens: Mapping[str, str]) -> str:
    """Say what is wrong with one member of an app's object; empty if nothing is."""
    if name not in TOKENS:
        return f"has a key that is none of {', '.join(TOKENS)}"
    if name in tokens:
        return f"{name} is there twice"
    nothing = token.kind is Kind.SCALAR and token.value is None and not token.refusal
    if nothing or (isinstance(token.value, str) and not token.refusal):
        return f"{name} is empty: leave it out instead" if token.value == "" else ""
    return f"{name} must be a text"


def _skip(event: Event, events: Iterator[Event]) -> None:
    """Read a value to its end, however deep it is."""
    opened = (Kind.MAPPING, Kind.LIST)
    depth = int(event.kind in opened)
    while depth:
        kind = next(events).kind
        depth += int(kind in opened) - int(kind is Kind.END)


def _wrong_columns(columns: Sequence[str]) -> list[str]:
    """Say what is wrong with the first line; it may hold tokens, so columns go by number."""
    known = ("app_id", *TOKENS)
    wrong = [
        f"column {number} is none of {', '.join(known)}"
        for number, name in enumerate(columns, 1)
        if name not in known
    ]
    wrong += [f"the column {name} is there twice" for name in known if columns.count(name) > 1]
    if "app_id" not in columns:
        wrong.append("the first line must name columns, and app_id is not among them")
    elif not set(TOKENS) & set(columns):
        wrong.append("there is no column of tokens")
    return wrong
