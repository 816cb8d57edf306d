"""What a look at the whole installation came to: checks, their causes, and an exit code; pure.

It looks at nothing itself: `fleet_checks.py` and `app_checks.py` judge what was read. Where a check
finds what a run would be refused for, it has the code that the run would end with.
"""

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from pydantic import Field

from fleetdeploy.core.summary import SCHEMA_VERSION, Document, ManifestNote
from fleetdeploy.errors import ExitCode, PlatformError, Remedy

NOT_ASKED: Final = "doctor.not_asked"
OTHER_APP: Final = "doctor.other_app"
UNCLEAR: Final = "doctor.unclear"
"""The platform said something that our notes do not explain, or left it out."""


class State(StrEnum):
    """How a check came out; in this order, the last is the worst."""

    OK = "ok"
    UNKNOWN = "unknown"
    """It could not be checked, and `found` says why."""
    WARNING = "warning"
    """Nothing stands in the way tonight; somebody should look all the same."""
    PROBLEM = "problem"


WORST_FIRST: Final = tuple(reversed(State))


class Check(Document):
    """One thing that was looked at. `found` says what was found, `hint` what to do about it.

    `msg` are the platform's own words. An empty `code` on a check that is not ok: another check of
    the same app says why.
    """

    name: str
    state: State
    found: str
    code: str = ""
    hint: str = ""
    msg: str | None = None


class AppCheckup(Document):
    """One app; `state` is that of its worst check."""

    app_id: str
    name: str
    state: State
    checks: tuple[Check, ...]


class CheckCause(Document):
    """Apps of which the same was found, in our words and the platform's."""

    check: str
    state: State
    code: str
    message: str
    count: int
    app_ids: tuple[str, ...]
    hint: str


class QuarantineSeen(Document):
    """Of the apps that were looked at, who was let out of quarantine, and who stays in.

    Nobody says it where none of them was in it.
    """

    back: tuple[str, ...]
    kept: tuple[str, ...]


class Diagnosis(Document):
    """What `doctor -o json` prints. `counts` are apps by state, `calls` requests by endpoint."""

    schema_version: Literal[1] = SCHEMA_VERSION
    state: State
    checked_at: datetime
    manifest: ManifestNote | None
    fleet: tuple[Check, ...]
    counts: dict[State, int] = Field(default_factory=dict)
    apps: tuple[AppCheckup, ...]
    causes: tuple[CheckCause, ...]
    calls: dict[str, int] = Field(default_factory=dict)
    quarantine: QuarantineSeen | None = None
    next: str


def fine(name: str, found: str) -> Check:
    return Check(name=name, state=State.OK, found=found)


def unknown(name: str, found: str, *, code: str = "", hint: str = "") -> Check:
    return Check(name=name, state=State.UNKNOWN, found=found, code=code, hint=hint)


def of_error(
    name: str, error: PlatformError, *, about: str = "", state: State | None = None
) -> Check:
    """Make a check of an error; one that may pass by itself proves nothing.

    `about` is the app that its message may name: apps stand together by what is wrong with them.
    """
    message = error.message
    if about:
        message = message.removeprefix(f"app {about}: ").removesuffix(f" (app {about})")
    passes = error.remedy in _PASSES
    judged = state or (State.UNKNOWN if passes else State.PROBLEM)
    return Check(
        name=name,
        state=judged,
        found=f"could not be checked: {message}" if judged is State.UNKNOWN else message,
        code=error.code,
        hint=error.hint,
        msg=error.msg,
    )


_PASSES: Final = frozenset({Remedy.RETRY, Remedy.WAIT, Remedy.RECONCILE})


def worst(checks: Iterable[Check]) -> State:
    """Return the state of the worst, ok of none; what another check explains does not count."""
    states = {check.state for check in checks if check.code or check.state is not State.UNKNOWN}
    return next((state for state in WORST_FIRST if state in states), State.OK)


def diagnose(
    fleet: Sequence[Check],
    apps: Sequence[AppCheckup],
    *,
    checked_at: datetime,
    manifest: ManifestNote | None,
    path: str,
    calls: dict[str, int],
) -> Diagnosis:
    """Put everything together; `path` is how the manifest was named, empty if there is none."""
    counts = Counter(app.state for app in apps)
    states = {worst(fleet), *counts}
    diagnosis = Diagnosis(
        state=next(state for state in WORST_FIRST if state in states),
        checked_at=checked_at,
        manifest=manifest,
        fleet=tuple(fleet),
        counts={state: counts[state] for state in State if counts[state]},
        apps=tuple(apps),
        causes=group_checks(apps),
        calls=dict(sorted(calls.items())),
        next="",
    )
    return diagnosis.model_copy(update={"next": _next(diagnosis, path)})


def group_checks(apps: Iterable[AppCheckup]) -> tuple[CheckCause, ...]:
    """Group what is not ok by what was found, word for word; the worst and widest come first."""
    groups: dict[_Alike, dict[str, Check]] = {}
    for app in apps:
        for check in app.checks:
            if check.state is not State.OK and check.code:
                key = (check.state, check.code, check.found, check.msg or "")
                groups.setdefault(key, {}).setdefault(app.app_id, check)
    causes = [_cause(together) for together in groups.values()]
    return tuple(sorted(causes, key=_rank))


_Alike = tuple[State, str, str, str]


def _cause(together: dict[str, Check]) -> CheckCause:
    first = next(iter(together.values()))
    return CheckCause(
        state=first.state,
        code=first.code,
        check=first.name,
        message=f"{first.found} ({first.msg})" if first.msg else first.found,
        count=len(together),
        app_ids=tuple(together),
        hint=first.hint,
    )


def _rank(cause: CheckCause) -> tuple[int, int, str]:
    return WORST_FIRST.index(cause.state), -cause.count, cause.code


def exit_code_for(diagnosis: Diagnosis) -> ExitCode:
    """Choose the exit code: what hits the whole fleet comes before what hits some apps."""
    problems = [check for check in diagnosis.fleet if check.state is State.PROBLEM]
    codes = {check.code for check in problems}
    if "settings.invalid" in codes:
        return ExitCode.USAGE
    if "state.unusable" in codes:
        return ExitCode.UNEXPECTED
    if any(check.name in _CREDENTIALS for check in problems) or _no_token_works(diagnosis.apps):
        return ExitCode.CREDENTIALS
    return ExitCode.INCOMPLETE if diagnosis.state is State.PROBLEM else ExitCode.OK


_CREDENTIALS: Final = frozenset({"tp_token", "whitelist"})
_TOKEN_CODES: Final = frozenset({"platform.token_refused", "auth.no_token"})


def _no_token_works(apps: Sequence[AppCheckup]) -> bool:
    """Whether not one of several apps has a token that works: then it is not the apps' fault."""
    tokens = [check for app in apps for check in app.checks if check.name == "token"]
    asked = [check for check in tokens if check.code != NOT_ASKED]
    return len(asked) > 1 and all(
        check.state is State.PROBLEM and check.code in _TOKEN_CODES for check in asked
    )


def _next(diagnosis: Diagnosis, path: str) -> str:
    again = f"fleetdeploy doctor {shlex.quote(path)}" if path else "fleetdeploy doctor"
    if exit_code_for(diagnosis) is not ExitCode.OK:
        return again
    return f"fleetdeploy plan {shlex.quote(path)}" if path else f"{again} MANIFEST"
