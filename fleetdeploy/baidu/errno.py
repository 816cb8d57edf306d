"""From the platform's numbers to errors that say who must act; sends and reads nothing."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from fleetdeploy.baidu.causes import PARKED, REFUSED, STOPS, Cause
from fleetdeploy.baidu.faults import ANSWERS, LATER, TOKENS
from fleetdeploy.core.endings import ENDINGS
from fleetdeploy.errors import (
    AnswerLost,
    FleetError,
    FleetRefused,
    NotSent,
    PlatformError,
    Remedy,
)

MSG_MAX: Final = 500
"""Characters of the platform's own words that are kept: a sentence, not a page of HTML."""

CAUSES: Final = (*PARKED, *REFUSED, *STOPS, *LATER, *TOKENS, *ANSWERS)
UNKNOWN: Final = "platform.unknown_error"


class Layer(StrEnum):
    """Which list a number is from; the same number means different things in each."""

    ERRNO = "errno"
    GATEWAY = "error_code"
    OAUTH = "error"


def _numbers(cause: Cause) -> Iterator[tuple[Layer, int | str]]:
    yield from ((Layer.ERRNO, number) for number in cause.errno)
    yield from ((Layer.GATEWAY, number) for number in cause.gateway)
    yield from ((Layer.OAUTH, name) for name in cause.oauth)


_BY_CODE: Mapping[str, Cause] = {cause.code: cause for cause in CAUSES}
_BY_NUMBER: Mapping[tuple[Layer, int | str], Cause] = {
    number: cause for cause in CAUSES for number in _numbers(cause)
}


def error_for(
    layer: Layer,
    number: int | str,
    msg: str | None = None,
    *,
    changes: bool,
    retry_after_s: float | None = None,
) -> PlatformError:
    """Build the error for one of the platform's numbers; a number nobody knows has a cause too.

    `changes` says whether the call was to change something: then a server's fault is an answer
    lost, else a read to repeat. `msg` is kept verbatim, up to `MSG_MAX` characters.
    """
    cause = _BY_NUMBER.get((layer, number), _BY_CODE[UNKNOWN])
    error = _build(cause, f"{cause.meaning} ({layer} {number})", changes=changes)
    error.errno = number if isinstance(number, int) else None
    error.msg = None if msg is None else msg[:MSG_MAX]
    if retry_after_s is not None:
        error.retry_after_s = retry_after_s
    return error


def own_error(
    code: str,
    detail: str = "",
    *,
    changes: bool = True,
    retry_after_s: float | None = None,
) -> PlatformError:
    """Build the error for a cause that comes without a number, or is told by other means."""
    cause = _BY_CODE[code]
    message = f"{cause.meaning} ({detail})" if detail else cause.meaning
    error = _build(cause, message, changes=changes)
    if retry_after_s is not None:
        error.retry_after_s = retry_after_s
    return error


def for_read(error: PlatformError) -> PlatformError:
    """Return what the error means for a read: an answer lost to a read is a read to repeat."""
    if not isinstance(error, AnswerLost):
        return error
    return NotSent(
        error.code,
        error.message,
        hint=error.hint,
        errno=error.errno,
        msg=error.msg,
        retry_after_s=error.retry_after_s,
    )


def _build(cause: Cause, message: str, *, changes: bool) -> PlatformError:
    kind = cause.error if changes else _on_read(cause)
    error = kind(cause.code, message, hint=cause.hint, retry_after_s=cause.pause_s)
    if isinstance(error, FleetRefused):
        error.credentials = cause.credentials
    return error


def _on_read(cause: Cause) -> type[PlatformError]:
    if cause.on_read is not None:
        return cause.on_read
    return NotSent if cause.error is AnswerLost else cause.error


_DOES: Mapping[Remedy, str] = {
    Remedy.RETRY: "tries again",
    Remedy.WAIT: "slows everything down, tries again",
    Remedy.REFRESH: "tries another token, once",
    Remedy.RECONCILE: "reads the platform before anything else",
    Remedy.PARK: "app ends `blocked`",
    Remedy.GIVE_UP: "app ends `failed`",
    Remedy.STOP: "stops the run",
}


def errors_table() -> str:
    """Write every code as Markdown: the platform's, those of a run, the tool's with exit codes."""
    lines = [*_platform_lines(), "", *_ending_lines(), "", *_tool_lines()]
    return "\n".join(lines) + "\n"


def _platform_lines() -> Iterator[str]:
    yield "| code | comes as | what it means | what the tool does | what you do |"
    yield "| --- | --- | --- | --- | --- |"
    for cause in CAUSES:
        cells = (f"`{cause.code}`", _comes_as(cause), cause.meaning, _does(cause), cause.hint)
        yield f"| {' | '.join(cells)} |"


def _comes_as(cause: Cause) -> str:
    by_layer: dict[Layer, list[str]] = {}
    for layer, number in _numbers(cause):
        by_layer.setdefault(layer, []).append(str(number))
    return "; ".join(f"`{layer}` {', '.join(numbers)}" for layer, numbers in by_layer.items())


def _does(cause: Cause) -> str:
    text, on_read = _DOES[cause.error.remedy], _on_read(cause)
    if cause.error.remedy is Remedy.STOP:
        return f"{text} (exit {14 if cause.credentials else 4})"
    return text if on_read is cause.error else f"{text}; a read: {_DOES[on_read.remedy]}"


def _ending_lines() -> Iterator[str]:
    yield "| code | what it means | what the tool does | what you do |"
    yield "| --- | --- | --- | --- |"
    for ending in ENDINGS:
        cells = (f"`{ending.code}`", ending.meaning, ending.does, ending.hint)
        yield f"| {' | '.join(cells)} |"


def _tool_lines() -> Iterator[str]:
    yield "| code | exit code | what it means |"
    yield "| --- | --- | --- |"
    kinds: tuple[type[FleetError], ...] = (FleetError, *FleetError.__subclasses__())
    for kind in kinds:
        if kind is not PlatformError and kind.__module__ == FleetError.__module__:
            first = (kind.__doc__ or "").partition("\n")[0]
            yield f"| `{kind.code}` | {kind.exit_code} | {first} |"
