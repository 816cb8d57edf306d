"""The flags that commands share, and the desk that they are read into."""

import re
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from fleetdeploy.cli.render.safe import safe_lines
from fleetdeploy.cli.render.style import Output, Style, colours_refused
from fleetdeploy.cli.settings import Settings, load_settings
from fleetdeploy.cli.streams import write_error, write_out
from fleetdeploy.core.durations import parse_duration
from fleetdeploy.core.selection import Selection
from fleetdeploy.errors import UsageInvalid
from fleetdeploy.model import Until
from fleetdeploy.storage.run_dir import StateDir

P = ParamSpec("P")
R = TypeVar("R")

SELECTORS_MAX_BYTES = 16 * 1024 * 1024
"""An `@file` of selectors: a million ids."""


@dataclass(slots=True)
class Desk:
    """What every command is given: how to speak, and the settings when it asks for them."""

    output: Output
    style: Style
    verbosity: int
    no_color: bool = False
    overrides: dict[str, object] = field(default_factory=dict)
    _settings: Settings | None = None
    _voice: Callable[[str], None] = write_error

    @property
    def settings(self) -> Settings:
        """Read the settings at first use; commands that need none work without."""
        if self._settings is None:
            self._settings = load_settings(self.overrides, Path.cwd())
            for warning in self._settings.warnings:
                self.say(f"warning: {warning}")
        return self._settings

    @property
    def state_dir(self) -> StateDir:
        return StateDir(self.settings.state_dir)

    def print(self, text: str) -> None:
        """Write data, to stdout."""
        write_out(text)

    def say(self, text: str) -> None:
        """Write everything else, to stderr."""
        if self.verbosity >= 0:
            self._voice(safe_lines(text))

    @contextmanager
    def speaking_through(self, voice: Callable[[str], None]) -> Generator[None]:
        """Hand everything that is said to `voice` while the block runs: what draws must know."""
        before, self._voice = self._voice, voice
        try:
            yield
        finally:
            self._voice = before

    @property
    def watched(self) -> bool:
        """Whether a person looks on: stderr is a terminal and nobody asked for silence."""
        return sys.stderr.isatty() and self.verbosity >= 0


def common(*, markdown: bool = False) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a command the flags that all have, and a `Desk` as its first argument."""
    outputs = [Output.TEXT, Output.JSON, *([Output.MARKDOWN] if markdown else [])]

    def decorate(command: Callable[..., R]) -> Callable[..., R]:
        @click.option(
            "-o",
            "--output",
            type=click.Choice([str(output) for output in outputs]),
            default=str(Output.TEXT),
            help="Form of what goes to stdout.",
        )
        @click.option("-v", "--verbose", count=True, help="Say more; twice for debugging.")
        @click.option("-q", "--quiet", is_flag=True, help="Say nothing but data and errors.")
        @click.option("--no-color", is_flag=True, help="No colours; NO_COLOR does the same.")
        @click.option(
            "--state-dir",
            type=click.Path(path_type=Path),
            help="Where runs are kept (FLEETDEPLOY_STATE_DIR).",
        )
        @wraps(command)
        def wrapped(
            *,
            output: str,
            verbose: int,
            quiet: bool,
            no_color: bool,
            state_dir: Path | None,
            **others: object,
        ) -> R:
            desk = Desk(
                output=Output(output),
                style=Style.for_stdout(no_color=no_color),
                verbosity=-1 if quiet else verbose,
                no_color=no_color or colours_refused(),
                overrides={"state_dir": state_dir} if state_dir else {},
            )
            return command(desk, **others)

        return wrapped

    return decorate


def style_of_stderr(words: Sequence[str]) -> Style:
    """Choose colours for errors, before or after the flags could be read."""
    plain = "--no-color" in words or colours_refused() or not sys.stderr.isatty()
    return Style(colour=not plain)


def wants_json(words: Sequence[str]) -> bool:
    """Whether the command line asks for JSON, also where it was not read to its end."""
    asked = False
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--":
            break
        if short := _OUTPUT.fullmatch(word):
            asked = (short[1] or following) == Output.JSON
        elif word == "--output" or word.startswith("--output="):
            asked = (word.partition("=")[2] or following) == Output.JSON
    return asked


_OUTPUT = re.compile(r"-[qv]*o(.*)")
"""The short flag, alone or behind others that take no value, with or without its own."""


class DurationType(click.ParamType[float]):
    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(f"{value}: {error}", param, ctx)


def selecting(command: Callable[P, R]) -> Callable[P, R]:
    """Add `--only` and `--exclude`."""
    text = "app id, label=value, phase=failed, or @FILE with one a line; repeatable"
    command = click.option("--exclude", multiple=True, help=f"Leave these apps out: {text}.")(
        command
    )
    return click.option("--only", multiple=True, help=f"Only these apps: {text}.")(command)


def going(command: Callable[P, R]) -> Callable[P, R]:
    """Add the flags that say how far and how long a run goes."""
    command = click.option(
        "--until",
        type=click.Choice([str(until) for until in Until]),
        help="How far to bring the apps.",
    )(command)
    command = click.option(
        "--listen",
        metavar="HOST:PORT",
        help="Receive the platform's pushes while the run goes, like fleetdeploy listen.",
    )(command)
    return lasting(command)


def lasting(command: Callable[P, R]) -> Callable[P, R]:
    """Add the flags that say how long a run goes."""
    command = click.option(
        "--deadline", type=DurationType(), help="Stop in time, like 6h; the run can be resumed."
    )(command)
    return click.option(
        "--no-wait",
        is_flag=True,
        help="Do all that can be done now and leave while people are waited for (exit 5).",
    )(command)


def selection(only: Iterable[str], exclude: Iterable[str]) -> Selection:
    """Read selectors, `@FILE`s included; raises `UsageInvalid`."""
    only, exclude = tuple(only), tuple(exclude)
    typed = [word for text in only for word in ("--only", _typed(text))]
    typed += [word for text in exclude for word in ("--exclude", _typed(text))]
    return replace(Selection.parse(_expanded(only), _expanded(exclude)), typed=tuple(typed))


def _typed(text: str) -> str:
    """Return a selector as it can be given again, from any directory."""
    return f"@{Path(text[1:]).absolute()}" if text.startswith("@") else text


def _expanded(texts: Iterable[str]) -> list[str]:
    found: list[str] = []
    for text in texts:
        found += _lines(Path(text[1:])) if text.startswith("@") else [text]
    return found


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            data = file.read(SELECTORS_MAX_BYTES + 1)
        if len(data) > SELECTORS_MAX_BYTES:
            raise UsageInvalid(f"{path} is larger than {SELECTORS_MAX_BYTES} bytes")
        lines = data.decode().splitlines()
    except OSError as error:
        raise UsageInvalid(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageInvalid(f"{path} is not UTF-8 text") from None
    chosen = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not chosen:
        raise UsageInvalid(f"{path} names no app")
    return chosen
