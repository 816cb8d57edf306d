"""Read the file that `apps_file` names: CSV, JSON, JSON lines or YAML.

Says what each app was written as, and where; whether that is a sound app is checked with the
rest of the manifest.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleetdeploy.core.findings import quoted
from fleetdeploy.core.manifest_check import MAX_APPS
from fleetdeploy.errors import ManifestInvalid, Problem
from fleetdeploy.storage.json_events import json_events
from fleetdeploy.storage.text_file import decode
from fleetdeploy.storage.trees import MAX_KEYS, MAX_PROBLEMS, Place, Tree, build
from fleetdeploy.storage.yaml_events import yaml_events

FORMS: Final = (".csv", ".json", ".jsonl", ".yaml", ".yml")

_PLAIN_COLUMNS = ("app_id", "name", "template_id", "version")
_NUMBERS = ("priority",)
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,8}", re.ASCII)
_LABELS = "labels."
_EXT = "ext."


@dataclass(frozen=True, slots=True)
class Entry:
    """One app as it was written; `prefix` begins the path of what is wrong with it."""

    value: object
    place: Place
    file: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Entries:
    """The apps that could be read, and what was wrong with the reading."""

    apps: tuple[Entry, ...]
    problems: tuple[Problem, ...]


def read_apps(data: bytes, file: str) -> Entries:
    """Read the apps in `data`; the form follows from the name's ending.

    Raises `ManifestInvalid` where nothing of the file can be used.
    """
    text = decode(data, file)
    match Path(file).suffix.lower():
        case ".csv":
            return _csv(text, file)
        case ".jsonl":
            return _json_lines(text, file)
        case ".json":
            return entries_of(build(json_events(text, file), file), file)
        case ".yaml" | ".yml":
            return entries_of(build(yaml_events(text, file), file), file)
        case _:
            raise ManifestInvalid([Problem(file, f"must end in one of {', '.join(FORMS)}")])


def entries_of(tree: Tree, file: str, prefix: str = "") -> Entries:
    """Return the apps in a tree that is a list of them."""
    if isinstance(tree.value, list) and isinstance(tree.place.within, list):
        pairs = zip(tree.value, tree.place.within, strict=True)
        apps = [
            Entry(value, place, file, f"{prefix}[{index}]")
            for index, (value, place) in enumerate(pairs)
        ]
        return Entries(tuple(apps), tree.problems)
    if tree.problems:
        return Entries((), tree.problems)
    message = "must be a list of apps"
    return Entries((), (Problem(file, message, tree.place.line, tree.place.column),))


def _json_lines(text: str, file: str) -> Entries:
    apps: list[Entry] = []
    problems: list[Problem] = []
    # Not `splitlines`: JSON texts may hold the other line breaks of Unicode unescaped.
    for number, line in enumerate(text.split("\n"), 1):
        if len(apps) > MAX_APPS or len(problems) > MAX_PROBLEMS:
            break
        if not line.strip():
            continue
        tree = build(json_events(line, file, number), file)
        problems += tree.problems
        if not tree.problems:
            apps.append(Entry(tree.value, tree.place, file))
    return Entries(tuple(apps), tuple(problems))


def _csv(text: str, file: str) -> Entries:
    rows = _Rows(text, file)
    header = rows.next_row()
    if header is None:
        return Entries(
            (), (*rows.problems, Problem(file, "is empty: the first line names columns"))
        )
    columns = [name.strip() for name in header]
    wrong = [Problem(file, message, 1) for message in _wrong_columns(columns)]
    if wrong:
        return Entries((), tuple(wrong))
    apps: list[Entry] = []
    while (row := rows.next_row()) is not None:
        if len(apps) > MAX_APPS or len(rows.problems) > MAX_PROBLEMS:
            break
        if not any(row):
            continue
        if len(row) == len(columns):
            apps.append(_row_entry(dict(zip(columns, row, strict=True)), file, rows))
        else:
            rows.note(f"has {len(row)} cells, but there are {len(columns)} columns")
    return Entries(tuple(apps), tuple(rows.problems))


class _Rows:
    """The rows of a CSV file, the line on which each begins, and the problems so far."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        self.line = 1
        self.problems: list[Problem] = []

    def next_row(self) -> Sequence[str] | None:
        self.line = self._reader.line_num + 1
        try:
            return next(self._reader, None)
        except csv.Error as error:
            self.note(f"is not CSV: {error}")
            return None

    def note(self, message: str, column: str = "") -> None:
        self.problems.append(Problem(self._file, message, self.line, path=column))


def _wrong_columns(columns: Sequence[str]) -> list[str]:
    if len(columns) > MAX_KEYS:
        return [f"has {len(columns):,} columns, {MAX_KEYS:,} are allowed"]
    wrong = [
        f"the column {quoted(name)} is there twice"
        for name, times in sorted(Counter(columns).items())
        if times > 1
    ]
    wrong += [f"unknown column {quoted(name)}" for name in columns if not _is_column(name)]
    if "app_id" not in columns:
        wrong.append("there is no column app_id")
    if len(columns) == 1 and {";", "\t"} & set(columns[0]):
        wrong.append("columns must be separated by commas")
    return wrong


def _is_column(name: str) -> bool:
    if name == "ext_json" or name in (*_PLAIN_COLUMNS, *_NUMBERS):
        return True
    # One key and no path: whether `ext.a.b` meant a key with a dot nobody could tell.
    prefix, _, key = name.partition(".")
    return prefix in ("labels", "ext") and key != "" and "." not in key


def _row_entry(row: Mapping[str, str], file: str, rows: _Rows) -> Entry:
    """Turn the cells of one row into an app; an empty cell says nothing."""
    cells = {name: cell for name, cell in row.items() if cell}
    app: dict[str, object] = {name: cells[name] for name in _PLAIN_COLUMNS if name in cells}
    app |= {name: _number(cells[name], name, rows) for name in _NUMBERS if name in cells}
    labels = _under(_LABELS, cells)
    if labels:
        app["labels"] = labels
    ext_json = _with_columns(_ext_json(cells.get("ext_json"), file, rows), cells, rows)
    if ext_json:
        app["ext_json"] = ext_json
    return Entry(app, Place(rows.line), file)


def _number(cell: str, column: str, rows: _Rows) -> int:
    """Return the number in a cell, which has nothing but text; 0 if there is none."""
    if _NUMBER.fullmatch(cell):
        return int(cell)
    rows.note("must be a whole number", column)
    return 0


def _under(prefix: str, cells: Mapping[str, str]) -> dict[str, object]:
    return {
        name.removeprefix(prefix): cell for name, cell in cells.items() if name.startswith(prefix)
    }


def _ext_json(cell: str | None, file: str, rows: _Rows) -> dict[str, object]:
    """Return the object in a cell; empty if there is none, or none that can be used."""
    if cell is None:
        return {}
    tree = build(json_events(cell, file), file)
    for problem in tree.problems:
        within = f" in {problem.path}" if problem.path else ""
        place = f"line {problem.line}, column {problem.column} of the cell"
        rows.note(f"{problem.message}{within}, at {place}", "ext_json")
    if isinstance(tree.value, dict):
        return tree.value
    if not tree.problems:
        rows.note("must be a JSON object", "ext_json")
    return {}


def _with_columns(
    ext_json: dict[str, object], cells: Mapping[str, str], rows: _Rows
) -> dict[str, object]:
    """Set the values of the `ext.*` columns, which win over what is in `ext_json`."""
    columns = _under(_EXT, cells)
    if not columns:
        return ext_json
    ext = ext_json.get("ext", {})
    if not isinstance(ext, dict):
        rows.note("its ext must be an object, because there are ext.* columns", "ext_json")
        return {}
    return {**ext_json, "ext": {**ext, **columns}}
