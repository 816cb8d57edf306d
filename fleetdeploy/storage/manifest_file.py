"""Load a manifest and its apps file from disk, or say everything that is wrong with them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fleetdeploy.core.findings import At, Finding, path_text, quoted
from fleetdeploy.core.manifest import Manifest
from fleetdeploy.core.manifest_check import check
from fleetdeploy.errors import ManifestInvalid, Problem
from fleetdeploy.storage.apps_file import Entries, Entry, entries_of, read_apps
from fleetdeploy.storage.json_events import json_events
from fleetdeploy.storage.text_file import decode, read_file
from fleetdeploy.storage.trees import Place, Tree, build, find
from fleetdeploy.storage.yaml_events import yaml_events

MAX_PROBLEMS: Final = 100
"""Nobody mends more in one go, and one slip in a template repeats itself a thousand times."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where each part of a manifest was written."""

    file: str
    place: Place = field(repr=False)
    entries: tuple[Entry, ...] = field(repr=False)

    def problem(self, at: At, message: str) -> Problem:
        """Return a problem with the part at `at`, with its file, line and column."""
        match at:
            case ("apps", int(index), *within) if index < len(self.entries):
                entry = self.entries[index]
                place = find(entry.place, tuple(within))
                path = path_text((*within,))
                dot = "." if entry.prefix and path and not path.startswith("[") else ""
                path = f"{entry.prefix}{dot}{path}"
                return Problem(entry.file, message, place.line, place.column, path)
            case _:
                place = find(self.place, at)
                return Problem(self.file, message, place.line, place.column, path_text(at))


@dataclass(frozen=True, slots=True)
class LoadedManifest:
    """A sound manifest, the apps of its apps file included.

    `digest` is the SHA-256 (hex) over the bytes of the manifest and, after a NUL, of its apps file.
    """

    manifest: Manifest
    path: Path
    digest: str
    sources: Sources = field(repr=False)


def load_manifest(path: Path) -> LoadedManifest:
    """Read and check the manifest at `path`; raises `ManifestInvalid` with every problem."""
    file = str(path)
    data = read_file(path, file)
    tree = _tree(decode(data, file), path)
    if not isinstance(tree.value, dict):
        raise ManifestInvalid(_cut(tree.problems, file) or [_not_a_mapping(file, tree)])
    digest = hashlib.sha256(data)
    fleet = dict(tree.value)
    inline = _inline(fleet, tree, file)
    more, apps_data = _more_apps(path, fleet.get("apps_file"), Sources(file, tree.place, ()))
    if apps_data is not None:
        digest.update(b"\0" + apps_data)
    sources = Sources(file, tree.place, inline + more.apps)
    read_problems = (*tree.problems, *more.problems)
    checked = check(fleet, [entry.value for entry in sources.entries], complete=not read_problems)
    problems = _all_problems(read_problems, checked.findings, sources)
    if problems:
        raise ManifestInvalid(problems)
    assert checked.manifest is not None
    return LoadedManifest(checked.manifest, path, digest.hexdigest(), sources)


def _tree(text: str, path: Path) -> Tree:
    read = json_events if path.suffix.lower() == ".json" else yaml_events
    return build(read(text, str(path)), str(path))


def _not_a_mapping(file: str, tree: Tree) -> Problem:
    message = "must be a mapping with keys like api_version and apps"
    return Problem(file, message, tree.place.line, tree.place.column)


def _inline(fleet: dict[str, object], tree: Tree, file: str) -> tuple[Entry, ...]:
    """Take the apps out of `fleet` if they are a list; anything else is left to the check."""
    if not isinstance(fleet.get("apps"), list):
        return ()
    within = find(tree.place, ("apps",))
    return entries_of(Tree(fleet.pop("apps"), within), file, "apps").apps


def _more_apps(path: Path, name: object, sources: Sources) -> tuple[Entries, bytes | None]:
    if not isinstance(name, str):
        return Entries((), ()), None
    folder = path.parent
    try:
        target = (folder / name).resolve()
        inside = target.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        inside = False
        target = folder
    if not inside or Path(name).is_absolute():
        message = f"{quoted(name)} must be a file in the manifest's own folder, or below it"
        return Entries((), (sources.problem(("apps_file",), message),)), None
    return _read(target, str(folder / name))


def _read(target: Path, file: str) -> tuple[Entries, bytes | None]:
    try:
        data = read_file(target, file)
        return read_apps(data, file), data
    except ManifestInvalid as error:
        return Entries((), error.problems), None


def _all_problems(
    read_problems: Sequence[Problem], findings: Sequence[Finding], sources: Sources
) -> tuple[Problem, ...]:
    """Merge what the reading and the check found, in the order of files and lines, and cut it."""
    problems = list(read_problems)
    # A value that could not be read was checked as if it were null: once said is enough.
    said = {(problem.file, problem.line, problem.path) for problem in problems}
    for finding in findings:
        problem = sources.problem(finding.at, _message(finding, sources))
        if (problem.file, problem.line, problem.path) not in said:
            problems.append(problem)
    problems.sort(key=lambda problem: _order(problem, sources.file))
    return _cut(problems, sources.file)


def _cut(problems: Sequence[Problem], file: str) -> tuple[Problem, ...]:
    """Keep as many problems as anybody reads, and count the rest."""
    if len(problems) <= MAX_PROBLEMS:
        return tuple(problems)
    rest = len(problems) - MAX_PROBLEMS
    return (*problems[:MAX_PROBLEMS], Problem(file, f"and {rest:,} more problems"))


def _order(problem: Problem, first: str) -> tuple[bool, str, int, int]:
    return (problem.file != first, problem.file, problem.line or 0, problem.column or 0)


def _message(finding: Finding, sources: Sources) -> str:
    if finding.also is None:
        return finding.message
    other = sources.problem(finding.also, "")
    place = ":".join(str(part) for part in (other.file, other.line, other.column) if part)
    return f"{finding.message}, first at {place}"
