"""The command line: `fleetdeploy`. Turns every error into a message and an exit code."""

import io
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NoReturn

import click

from fleetdeploy.cli.lazy import LazyGroup
from fleetdeploy.cli.options import style_of_stderr, wants_json
from fleetdeploy.cli.process import leave_no_core, tool_version
from fleetdeploy.cli.render.problems import error_document, render_error, render_problems
from fleetdeploy.cli.render.safe import safe_lines
from fleetdeploy.cli.render.style import Output
from fleetdeploy.cli.streams import open_missing, settle, write_error, write_out
from fleetdeploy.engine.run import first_of
from fleetdeploy.errors import (
    ExitCode,
    FleetError,
    FleetRefused,
    ManifestInvalid,
    StateUnusable,
    UsageInvalid,
)

COMMANDS: Final = {
    "validate": "fleetdeploy.cli.offline:validate_command",
    "plan": "fleetdeploy.cli.rollouts:plan_command",
    "run": "fleetdeploy.cli.rollouts:run_command",
    "resume": "fleetdeploy.cli.rollouts:resume_command",
    "rollback": "fleetdeploy.cli.going_back:rollback_command",
    "withdraw": "fleetdeploy.cli.going_back:withdraw_command",
    "pause": "fleetdeploy.cli.steering:pause_command",
    "approve": "fleetdeploy.cli.steering:approve_command",
    "halt": "fleetdeploy.cli.steering:halt_command",
    "status": "fleetdeploy.cli.views:status_command",
    "history": "fleetdeploy.cli.views:history_command",
    "explain": "fleetdeploy.cli.views:explain_command",
    "report": "fleetdeploy.cli.views:report_command",
    "packages": "fleetdeploy.cli.inspecting:packages_command",
    "quarantine": "fleetdeploy.cli.quarantine:quarantine_command",
    "auth": "fleetdeploy.cli.auth:auth_command",
    "listen": "fleetdeploy.cli.listening:listen_command",
    "doctor": "fleetdeploy.cli.doctor:doctor_command",
    "simulate": "fleetdeploy.cli.simulating:simulate_command",
    "demo": "fleetdeploy.cli.demo:demo_command",
    "schema": "fleetdeploy.cli.offline:schema_command",
}

cli = click.version_option(tool_version(), prog_name="fleetdeploy")(
    LazyGroup(
        "fleetdeploy",
        places=COMMANDS,
        help="Roll a template out to hundreds of Baidu Smart Programs: nothing twice, resumable.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its code."""
    leave_no_core()
    open_missing()
    words = list(sys.argv[1:] if arguments is None else arguments)
    code = int(run(words))
    settle()
    sys.exit(code)


def run(words: Sequence[str]) -> int:
    """Run one command and return its exit code; never raises for what a user can cause."""
    try:
        code = cli.main(list(words), prog_name="fleetdeploy", standalone_mode=False)
    except BaseExceptionGroup as group:
        return _end_with(first_of(group), words)
    except BaseException as error:  # noqa: BLE001 - the last resort: told, and turned into a code
        return _end_with(error, words)
    return int(code or ExitCode.OK)


def _end_with(error: BaseException, words: Sequence[str]) -> int:
    """Tell how a command ended that did not return."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case click.ClickException():
            # Its words may hold an argument, and that may have been copied from anywhere.
            _write_document(UsageInvalid(error.format_message()), words)
            shown = io.StringIO()
            error.show(shown)
            write_error(safe_lines(shown.getvalue().rstrip("\n")))
            return ExitCode.USAGE
        case FleetError():
            return _explain(error, words)
        case click.Abort() | KeyboardInterrupt():
            return ExitCode.INTERRUPTED
        case SystemExit() | BrokenPipeError():
            # Only help and version are written by click itself, which leaves so if nobody reads.
            return ExitCode.OK
        case _:
            return _confess(error, words)


def exit_code_of_error(error: FleetError) -> ExitCode:
    """Return the exit code for an error that ended a command."""
    if isinstance(error, FleetRefused):
        return ExitCode.CREDENTIALS if error.credentials else ExitCode.HALTED
    return error.exit_code


def _explain(error: FleetError, words: Sequence[str]) -> int:
    """Tell an error: on stderr to people, and on stdout as a document to who asked for JSON."""
    _write_document(error, words)
    style = style_of_stderr(words)
    if isinstance(error, ManifestInvalid):
        write_error(render_problems(error, Output.TEXT))
    else:
        write_error(render_error(error, style))
    return exit_code_of_error(error)


def _write_document(error: FleetError, words: Sequence[str]) -> None:
    """Write an error to stdout for who asked for JSON; a stdout that fails does not hide it."""
    if wants_json(words):
        with suppress(StateUnusable):
            write_out(error_document(error))


def _confess(error: BaseException, words: Sequence[str]) -> int:
    """Tell of a bug; the traceback only for those who ask, it may quote what was sent."""
    write_error(
        f"unexpected error: {type(error).__name__}\n"
        "hint: this is a bug in fleetdeploy; the journal is intact and the run can be resumed. "
        "Run again with -vv to see where, and report it."
    )
    if "-vv" in words:
        frames = traceback.format_tb(error.__traceback__)
        write_error("".join(frames))
    return ExitCode.UNEXPECTED
