"""The texts in the documentation that come from the code: exit codes, settings, commands and so on.

Each is a function that returns Markdown; `BLOCKS` names them. `tests/generate.py` puts them in
their places.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Final, NamedTuple

import click

from fleetdeploy import errors
from fleetdeploy.baidu.errno import errors_table
from fleetdeploy.cli.main import cli
from fleetdeploy.cli.settings import settings_table
from fleetdeploy.core.records_table import records_table
from fleetdeploy.errors import ExitCode, FleetError, PlatformError


class Meaning(NamedTuple):
    """What an exit code says, and what to do next."""

    says: str
    next: str


EXIT_CODES: Final[Mapping[ExitCode, Meaning]] = {
    ExitCode.OK: Meaning(
        "every selected app is where it should be",
        "nothing",
    ),
    ExitCode.UNEXPECTED: Meaning(
        "unexpected error: a bug, or a state directory that cannot be read or written",
        "read stderr; mend the disk and `resume`, or report the bug: the journal is intact",
    ),
    ExitCode.USAGE: Meaning(
        "usage, manifest or settings: nothing was sent",
        "mend what stderr names, then give the same command again",
    ),
    ExitCode.INCOMPLETE: Meaning(
        "finished, and some apps were not released (failed, rejected, blocked)",
        "`status` groups them by cause; mend the causes, then `run` again: "
        "what is online already is left alone",
    ),
    ExitCode.HALTED: Meaning(
        "halted by the failure budget, or by what the platform refuses for every app",
        "`status` says why; mend it and `resume`, after the budget with `--override-halt REASON`",
    ),
    ExitCode.UNFINISHED: Meaning(
        "healthy and not finished: audits are out, or the deadline came",
        "`resume` later",
    ),
    ExitCode.NO_SUCH_RUN: Meaning(
        "no such run",
        "`history` lists the runs; check `--state-dir`",
    ),
    ExitCode.LOCKED: Meaning(
        "locked by another process",
        "wait for it or stop it: stderr says which host, process and since when",
    ),
    ExitCode.JOURNAL_DAMAGED: Meaning(
        "the journal is damaged before its tail",
        "keep a copy, then start a new run: it adopts what is on the platform",
    ),
    ExitCode.PLAN_MISMATCH: Meaning(
        "the plan is stale, was changed, or is not the one this run was started with",
        "make a new plan and review it",
    ),
    ExitCode.CREDENTIALS: Meaning(
        "the platform refuses us as a whole: credentials, or the IP whitelist",
        "mend the credentials or the whitelist, then `resume`",
    ),
    ExitCode.CHANGES: Meaning(
        "`plan --detailed-exitcode`: there are changes",
        "`run`, if they are what you want",
    ),
    ExitCode.INTERRUPTED: Meaning(
        "stopped by Ctrl-C (SIGINT), resumable",
        "`resume`",
    ),
    ExitCode.TERMINATED: Meaning(
        "stopped by SIGTERM or SIGHUP, resumable",
        "`resume`",
    ),
}


def exit_codes_table() -> str:
    """Return the exit codes, what they mean, what to do, and which errors end in each."""
    head = ["| code | meaning | what to do | errors |", "| --- | --- | --- | --- |"]
    rows = (
        f"| {code.value} | {meaning.says} | {meaning.next} | {_errors_of(code)} |"
        for code, meaning in EXIT_CODES.items()
    )
    return "\n".join([*head, *rows])


def _errors_of(code: ExitCode) -> str:
    return ", ".join(f"`{kind.code}`" for kind in error_classes() if kind.exit_code is code)


def error_classes() -> list[type[FleetError]]:
    """Return the classes whose code is the same for every error of theirs."""
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, FleetError)
        and not issubclass(kind, PlatformError)
    ]


def commands_reference(group: click.Group) -> str:
    """Return every command of a group with its help, arguments and flags, as Markdown."""
    sections = (_command(context) for context in commands_of(group))
    return "\n\n".join(sections)


def commands_of(group: click.Group) -> Iterator[click.Context]:
    """Yield every command below a group, in the order of their names, groups before their own."""
    yield from _below(click.Context(group, info_name="fleetdeploy"))


def _below(context: click.Context) -> Iterator[click.Context]:
    group = context.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            inner = click.Context(command, info_name=name, parent=context)
            yield inner
            yield from _below(inner)


def _command(context: click.Context) -> str:
    arguments = " ".join(
        parameter.make_metavar(context)
        for parameter in context.command.params
        if isinstance(parameter, click.Argument)
    )
    lines = [f"### {context.command_path}", "", (context.command.help or "").strip(), ""]
    lines += ["```text", f"{context.command_path} [FLAGS] {arguments}".rstrip(), "```"]
    rows = [
        f"| {_flag_names(option)} | {_flag_help(option, context)} |" for option in _options(context)
    ]
    if rows:
        lines += ["", "| flag | meaning |", "| --- | --- |", *rows]
    return "\n".join(lines)


def _options(context: click.Context) -> list[click.Option]:
    """Return the flags of a command, without `--help`, which all have."""
    return [
        parameter
        for parameter in context.command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
    ]


def _flag_names(option: click.Option) -> str:
    return ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])


def _flag_help(option: click.Option, context: click.Context) -> str:
    """Tell what a flag means, which words it takes, and what holds without it."""
    parts = [(option.help or "").strip()]
    if isinstance(option.type, click.Choice):
        parts.append(f"One of {', '.join(f'`{choice}`' for choice in option.type.choices)}.")
    if option.multiple:
        parts.append("Repeatable.")
    extra = option.get_help_extra(context)
    if "default" in extra:
        parts.append(f"Default: `{extra['default']}`.")
    return " ".join(part for part in parts if part).replace("|", "\\|")


def _from(module: str, name: str) -> Callable[[], str]:
    """Return a function that is looked up when it is called."""
    return lambda: str(getattr(import_module(module), name)())


BLOCKS: Final[Mapping[str, Callable[[], str]]] = {
    "errors": errors_table,
    "records": records_table,
    "states": _from("fleetdeploy.core.diagram", "state_diagram"),
    "transitions": _from("fleetdeploy.core.diagram", "transitions_table"),
    "settings": settings_table,
    "exit-codes": exit_codes_table,
    "commands": lambda: commands_reference(cli),
}
"""By the name in `<!-- generated: NAME -->`."""
