"""What can go wrong, split by who must act.

Every error carries a stable dotted `code` that scripts may rely on, a message that says what and
where, and a hint that says what to do next. Errors of the platform also carry a `Remedy`: the
engine reads `error.remedy` and never asks which class it holds.

No error text may hold a token, a ticket or a URL with a query string.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """The process's exit codes; frozen, users script against them."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    INCOMPLETE = 3
    HALTED = 4
    UNFINISHED = 5
    NO_SUCH_RUN = 10
    LOCKED = 11
    JOURNAL_DAMAGED = 12
    PLAN_MISMATCH = 13
    CREDENTIALS = 14
    CHANGES = 20
    INTERRUPTED = 130
    TERMINATED = 143


class Remedy(StrEnum):
    """What to do about an error of the platform."""

    RETRY = "retry"
    """The request certainly did not take effect, or it was a read: send it again."""
    WAIT = "wait"
    """The request was refused for its rate: everybody slows down, then it is sent again."""
    REFRESH = "refresh"
    """The token was refused and there is another one by now: send it again, once."""
    RECONCILE = "reconcile"
    """It was sent and the answer is lost: read the platform before anything else."""
    PARK = "park"
    """This app cannot go on until a person or a date changes something: `blocked`."""
    GIVE_UP = "give_up"
    """This app cannot go on with this input: `failed`."""
    STOP = "stop"
    """No app can go on: the run stops."""


class FleetError(Exception):
    """The root of all errors that are ours to explain; anything else is a bug."""

    code: str = "unexpected"
    exit_code: ClassVar[ExitCode] = ExitCode.UNEXPECTED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input file, at a place a person can find.

    `line` and `column` count from 1; `path` is like `apps[3].ext_json.extAppid`, empty for the
    file as a whole.
    """

    file: str
    message: str
    line: int | None = None
    column: int | None = None
    path: str = ""

    def __str__(self) -> str:
        place = ":".join(str(p) for p in (self.file, self.line, self.column) if p is not None)
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class ManifestInvalid(FleetError):
    """The manifest, or a file that it names, cannot be used; `problems` lists everything."""

    code = "manifest.invalid"
    exit_code = ExitCode.USAGE

    def __init__(self, problems: Sequence[Problem]) -> None:
        assert problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{count} in the manifest")
        self.problems = tuple(problems)


class UsageInvalid(FleetError):
    """A flag, an argument or a selection makes no sense."""

    code = "usage.invalid"
    exit_code = ExitCode.USAGE


class SettingsInvalid(FleetError):
    """A setting cannot be used, or a secrets file is open to others."""

    code = "settings.invalid"
    exit_code = ExitCode.USAGE


class PushRefused(FleetError):
    """A message at the receiver is not the platform's, too old, or no message.

    `reason` is one of a few fixed words, for counts and logs; the sender is told nothing.
    """

    code = "push.refused"

    def __init__(self, reason: str) -> None:
        super().__init__(f"a push was refused: {reason}")
        self.reason = reason


class StateUnusable(FleetError):
    """The state directory cannot be read or written."""

    code = "state.unusable"


class RunNotFound(FleetError):
    """No run of that id, or no run at all, in the state directory."""

    code = "run.not_found"
    exit_code = ExitCode.NO_SUCH_RUN


class RunLocked(FleetError):
    """Another live process writes this run, or works on one of its apps."""

    code = "run.locked"
    exit_code = ExitCode.LOCKED


class JournalDamaged(FleetError):
    """The journal is damaged before its tail; `line` counts from 1."""

    code = "journal.damaged"
    exit_code = ExitCode.JOURNAL_DAMAGED

    def __init__(self, message: str, *, line: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.line = line


class JournalWriteFailed(FleetError):
    """A record could not be made durable; nothing that depends on it may start."""

    code = "journal.write_failed"


class PlanMismatch(FleetError):
    """The plan or manifest is not the one the run was started with, or the plan is stale."""

    code = "plan.mismatch"
    exit_code = ExitCode.PLAN_MISMATCH


class OverrideNeeded(FleetError):
    """The run was halted and goes on only when somebody says so."""

    code = "run.halted"
    exit_code = ExitCode.HALTED


class RunIsPaused(FleetError):
    """Somebody paused the run, and only somebody who names it ends the pause."""

    code = "run.paused"
    exit_code = ExitCode.UNFINISHED


class IllegalTransition(FleetError):
    """An event that the table of transitions does not allow: a bug, or damage in a journal."""

    code = "lifecycle.illegal"


class PlatformError(FleetError):
    """Something between us and the platform went wrong; raised only by its subclasses.

    `code` is stable, for example `platform.category_not_approved`; `errno` and `msg` are the
    platform's own, `msg` verbatim. `retry_after_s` is how long the platform asked us to wait.
    """

    code = "platform.error"
    remedy: ClassVar[Remedy]

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str = "",
        errno: int | None = None,
        msg: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.errno = errno
        self.msg = msg
        self.retry_after_s = retry_after_s


class NotSent(PlatformError):
    """The request did not take effect: not connected, or refused as temporarily unavailable."""

    remedy = Remedy.RETRY


class WindowClosed(PlatformError):
    """Not sent, because its window closed while it waited for its turn."""

    remedy = Remedy.RETRY


class RateLimited(PlatformError):
    """Refused for its rate; did not take effect."""

    remedy = Remedy.WAIT


class TokenRefused(PlatformError):
    """The access token was refused, and another one is at hand; did not take effect."""

    remedy = Remedy.REFRESH


class AnswerLost(PlatformError):
    """The request may have taken effect: no answer, a broken one, or a server fault."""

    remedy = Remedy.RECONCILE


class ClientMustAct(PlatformError):
    """A person must act on the platform's side first; did not take effect."""

    remedy = Remedy.PARK


class RequestRefused(PlatformError):
    """Refused for good, for this app and this input; did not take effect."""

    remedy = Remedy.GIVE_UP


class FleetRefused(PlatformError):
    """Refused for a reason that holds for every app; did not take effect.

    `credentials` tells a refusal of who we are (exit 14) from one of what we send (exit 4).
    """

    remedy = Remedy.STOP
    credentials: bool = False
