"""Where settings are said: reads each source, and keeps the place of every value.

Does not judge values; it knows names, files and who may read them.
"""

import difflib
import io
import os
import re
import stat
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dotenv.parser import parse_stream

from fleetdeploy.core.findings import quoted

PREFIX: Final = "FLEETDEPLOY_"
DOTENV: Final = ".env"
TOML: Final = "fleetdeploy.toml"
SIZE_MAX: Final = 64 * 1024
KEYS_MAX: Final = 100
"""Bytes, and keys; a settings file has a dozen lines."""
_TOML_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)$")


@dataclass(frozen=True, slots=True)
class Said:
    """A value, and where a person can find it."""

    value: object
    place: str


@dataclass(slots=True)
class Collected:
    """What all sources say together; the strongest word for each setting."""

    values: dict[str, Said] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Source:
    """What one source says."""

    values: dict[str, Said] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Text:
    """A file as it was read; `mode` are its permission bits. `problem` is why it is of no use."""

    text: str = ""
    mode: int = 0
    problem: str = ""


def collect(
    flags: Mapping[str, object],
    cwd: Path,
    environ: Mapping[str, str] | None,
    names: Collection[str],
    secrets: Collection[str],
) -> Collected:
    """Ask flags, environment, `.env` and `fleetdeploy.toml`, the strongest first."""
    sources = (
        _from_flags(flags),
        _from_environ(os.environ if environ is None else environ, names),
        _from_dotenv(cwd / DOTENV, names, secrets),
        _from_toml(cwd / TOML, names, secrets),
    )
    collected = Collected(warnings=tuple(w for source in sources for w in source.warnings))
    for source in sources:
        collected.problems.extend(source.problems)
        for name, said in source.values.items():
            if said.value == "":
                collected.problems.append(f"{said.place}: must not be empty; leave it out instead")
            else:
                collected.values.setdefault(name, said)
    return collected


def _from_flags(flags: Mapping[str, object]) -> _Source:
    given = {name: value for name, value in flags.items() if value is not None}
    return _Source(
        {name: Said(value, f"--{name.replace('_', '-')}") for name, value in given.items()}
    )


def _from_environ(environ: Mapping[str, str], names: Collection[str]) -> _Source:
    source = _Source()
    for variable, value in environ.items():
        _take(source, variable, value, names, f"{_shown(variable)} (environment)")
    return source


def _take(source: _Source, variable: str, value: str, names: Collection[str], place: str) -> None:
    """Take one variable in; one that is set to nothing counts as not set."""
    if not _is_ours(variable):
        return
    name = variable.removeprefix(PREFIX).lower()
    if variable != f"{PREFIX}{name.upper()}" or name not in names:
        near = _near(variable, names)
        meant = f"; did you mean {PREFIX}{near.upper()}?" if near else ""
        source.warnings.append(f"{place}: is no setting and is ignored{meant}")
    elif value:
        source.values[name] = Said(value, place)


def _is_ours(variable: str) -> bool:
    return variable.upper().startswith(PREFIX)


def _near(word: str, names: Collection[str]) -> str:
    """Guess which setting was meant; the prefix and capitals do not count."""
    bare = word.upper().removeprefix(PREFIX).lower()[:80]
    return next(iter(difflib.get_close_matches(bare, names, n=1)), "")


def _from_dotenv(path: Path, names: Collection[str], secrets: Collection[str]) -> _Source:
    """Read `.env`: other tools' variables are none of our business. Nothing is interpolated."""
    source = _Source()
    file = _opened(path, source)
    if file is None:
        return source
    for binding in parse_stream(io.StringIO(file.text)):
        line = binding.original.line + _blank_lines(binding.original.string)
        if binding.error:
            source.problems.append(f"{DOTENV}:{line}: is not like NAME=value")
        elif binding.key is not None and binding.value is None and _is_ours(binding.key):
            source.problems.append(f"{DOTENV}:{line}: {_shown(binding.key)}: has no value")
        elif binding.key is not None:
            place = f"{DOTENV}:{line}: {_shown(binding.key)}"
            _take(source, binding.key, binding.value or "", names, place)
    _refuse_open(source, DOTENV, file.mode, secrets)
    return source


def _blank_lines(text: str) -> int:
    """Count the lines before a binding that its original text begins with."""
    blank = text[: len(text) - len(text.lstrip())]
    return blank.count("\n")


def _from_toml(path: Path, names: Collection[str], secrets: Collection[str]) -> _Source:
    source = _Source()
    file = _opened(path, source)
    if file is None:
        return source
    try:
        document: dict[str, object] = tomllib.loads(file.text)
    except RecursionError:
        source.problems.append(f"{TOML}: is nested too deeply")
        return source
    except ValueError as error:
        # Its own words may quote the file, and the file may hold a secret.
        source.problems.append(f"{_toml_place(str(error))}: is not TOML; texts go in quotes")
        return source
    if len(document) > KEYS_MAX:
        # Each would be looked for in the whole text.
        source.problems.append(f"{TOML}: has more than {KEYS_MAX} keys")
        return source
    for key, value in document.items():
        _take_key(source, file.text, key, value, names)
    _refuse_open(source, TOML, file.mode, secrets)
    return source


def _take_key(source: _Source, text: str, key: str, value: object, names: Collection[str]) -> None:
    line = _line_of(text, key)
    place = f"{TOML}:{line}: {_shown(key)}" if line else f"{TOML}: {_shown(key)}"
    if key in names:
        source.values[key] = Said(value, place)
    else:
        near = _near(key, names)
        meant = f"; did you mean {near}?" if near else ""
        source.problems.append(f"{place}: unknown setting{meant}")


def _line_of(text: str, key: str) -> int | None:
    """Find the line of a top key; the parser keeps no places."""
    found = re.search(rf"^[ \t\[]*[\"']?{re.escape(key)}[\"']?[ \t]*[=.\]]", text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else None


def _toml_place(words: str) -> str:
    found = _TOML_PLACE.search(words)
    return f"{TOML}:{found[1]}:{found[2]}" if found else TOML


def _refuse_open(source: _Source, file: str, mode: int, secrets: Collection[str]) -> None:
    if mode & stat.S_IWOTH:
        # Who changes the platform's address is sent the tokens, wherever those come from.
        source.problems.append(
            f"{file}: can be changed by everybody (mode {mode:04o}); type: chmod o-w {file}"
        )
    held = [name for name in source.values if name in secrets]
    if held and mode & (stat.S_IRWXG | stat.S_IRWXO):
        source.problems.append(
            f"{file}: holds secrets ({', '.join(held)}) and is open to others "
            f"(mode {mode:04o}); type: chmod 600 {file}"
        )


def _opened(path: Path, source: _Source) -> _Text | None:
    """Read a settings file if there is one; what is wrong with it goes to the problems."""
    try:
        file = _read(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        file = _Text(problem=f": cannot be read: {error.strerror}")
    if file.problem:
        source.problems.append(f"{path.name}{file.problem}")
        return None
    return file


def _read(path: Path) -> _Text:
    """Read a whole regular file. Opened without waiting: a pipe must not hold the program up."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return _Text(problem=": is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(SIZE_MAX + 1)
    finally:
        os.close(descriptor)
    if len(data) > SIZE_MAX:
        return _Text(problem=f": is larger than {SIZE_MAX} bytes")
    return _decoded(data, stat.S_IMODE(status.st_mode))


def _decoded(data: bytes, mode: int) -> _Text:
    try:
        return _Text(data.decode("utf-8-sig"), mode)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return _Text(problem=f":{line}: is not UTF-8")


def _shown(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", key, re.ASCII) else quoted(key)
