"""The texts in the documentation that come from the code: exit codes, settings, commands and so on.

Each is a function that returns Markdown; `BLOCKS` names them. `tests/generate.py` puts them in
their places.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Final, NamedTuple

import click

from fleetdeploy import errors
from fleetdeploy.baidu.errno import errors_table
from fleetdeploy.cli.main import cli
from fleetdeploy.cli.settings import settings_table
from fleetdeploy.core.records_table import records_table
from fleetdeploy.errors import ExitCode, FleetError, PlatformError
from tests.figures import crash_block, fuzz_block, mutants_block, soak_block


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
        "finished, and some apps are not where they should be (failed, rejected, blocked)",
        "`status` groups them by cause; mend the causes, then `run` again: "
        "what is online already is left alone",
    ),
    ExitCode.HALTED: Meaning(
        "halted by a budget, a shared cause, a gate or a person, "
        "or by what the platform refuses for every app",
        "`status` says why; mend it and `resume`, "
        "after a budget, a cause, a gate or a person with `--override-halt REASON`",
    ),
    ExitCode.UNFINISHED: Meaning(
        "healthy and not finished: audits are out, a window is closed, the platform is out, "
        "a wave waits for its soak or a yes, somebody paused it, or the deadline came",
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
    """Return every command of a group with its help, arguments and flags, as Markdown.

    Flags that all commands share are told once, before the first.
    """
    contexts = list(commands_of(group))
    rows = {context.command_path: _flag_rows(context) for context in contexts}
    with_flags = [set(own) for own in rows.values() if own]
    shared = set.intersection(*with_flags) if len(with_flags) > 1 else set[str]()
    without = [f"`{path}`" for path, own in rows.items() if not own]
    sections = [_shared_section(shared, rows, without)] if shared else []
    for context in contexts:
        own = [row for row in rows[context.command_path] if row not in shared]
        sections += [_section(context, own)]
    return "\n\n".join(sections)


def _shared_section(
    shared: set[str], rows: Mapping[str, Sequence[str]], without: Sequence[str]
) -> str:
    """Return the flags of all commands, in the order in which a command tells them."""
    ordered = next([row for row in own if row in shared] for own in rows.values() if own)
    but = f", except {' and '.join(without)}" if without else ""
    return "\n".join([f"All commands take these flags{but}:", "", *_table(ordered)])


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


def _section(context: click.Context, flags: Sequence[str]) -> str:
    arguments = [p for p in context.command.params if isinstance(p, click.Argument)]
    words = ["[FLAGS]"] if flags_of(context) else []
    usage = " ".join([context.command_path, *words, *map(_argument_name, arguments)])
    lines = [f"### {context.command_path}", "", (context.command.help or "").strip(), ""]
    lines += ["```text", usage, "```"]
    for argument in arguments:
        if isinstance(argument.type, click.Choice):
            lines += ["", f"{_argument_name(argument)} is one of {_choices(argument.type)}."]
    return "\n".join([*lines, *(["", *_table(flags)] if flags else [])])


def _table(rows: Sequence[str]) -> list[str]:
    return ["| flag | meaning |", "| --- | --- |", *rows]


def _argument_name(argument: click.Argument) -> str:
    name = argument.metavar or (argument.name or "").upper()
    return name if argument.required else f"[{name}]"


def _choices(kind: click.Choice[str]) -> str:
    return ", ".join(f"`{choice}`" for choice in kind.choices)


def flags_of(context: click.Context) -> list[click.Option]:
    """Return the flags of a command, without `--help`, which all have."""
    return [
        parameter
        for parameter in context.command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
    ]


def _flag_rows(context: click.Context) -> list[str]:
    return [f"| {_flag_name(o, context)} | {_flag_help(o, context)} |" for o in flags_of(context)]


def _flag_name(option: click.Option, context: click.Context) -> str:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    if option.is_flag or option.count or isinstance(option.type, click.Choice):
        return names
    return f"{names[:-1]} {option.make_metavar(context)}`"


def _flag_help(option: click.Option, context: click.Context) -> str:
    """Tell what a flag means, which words it takes, and what holds without it."""
    parts = [(option.help or "").strip()]
    if isinstance(option.type, click.Choice):
        parts.append(f"One of {_choices(option.type)}.")
    if option.multiple and "repeatable" not in parts[0]:
        parts.append("Repeatable.")
    default = option.get_help_extra(context).get("default")
    if default is not None:
        parts.append(f"Default: `{default}`.")
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
    "figures-crash": crash_block,
    "figures-soak": soak_block,
    "figures-mutants": mutants_block,
    "figures-fuzz": fuzz_block,
}
"""By the name in `<!-- generated: NAME -->`."""
