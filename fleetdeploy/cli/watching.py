"""Who looks on while a run goes: a live view or progress lines for people, a log for machines."""

import logging
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import structlog

from fleetdeploy.cli.options import Desk
from fleetdeploy.cli.render.layout import harmless_json
from fleetdeploy.cli.render.live import LogProgress, ProgressView
from fleetdeploy.cli.render.progress import Progress
from fleetdeploy.cli.render.safe import safe
from fleetdeploy.cli.settings import LogFormat
from fleetdeploy.cli.streams import write_error
from fleetdeploy.core.records import (
    AppFinished,
    Entry,
    OutageBegan,
    OutageEnded,
    PauseLifted,
    RunHalted,
    RunPaused,
    StepFailed,
    StepSucceeded,
    WaveApproved,
)
from fleetdeploy.core.records import StepDoubted as Doubted
from fleetdeploy.core.replay import RunState
from fleetdeploy.ports import Call
from fleetdeploy.receiver.results import Kind, Result

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

TICK_S = 0.25
"""How often the picture is given a chance to move on its own."""


class LogObserver:
    """Logs one line per step attempt that ended, and each call at debug level."""

    def __init__(self, log: "FilteringBoundLogger") -> None:
        self._log = log

    def recorded(self, entry: Entry) -> None:
        record = entry.record
        level = _level(record)
        if self._log.is_enabled_for(level):
            left_out = {"kind", "known"}
            fields = record.model_dump(mode="json", exclude=left_out, exclude_defaults=True)
            error = fields.pop("error", {})
            fields |= {name: error[name] for name in _TOLD if name in error}
            fields |= fields.pop("asked", {})
            self._log.log(level, record.kind, seq=entry.seq, **fields)

    def called(self, call: Call) -> None:
        self._log.debug(
            "called",
            endpoint=str(call.endpoint),
            app_id=call.app_id,
            result=str(call.result),
            ms=round(call.seconds * 1000),
            code=call.code or None,
        )

    def pushed(self, result: Result) -> None:
        """Log what became of a push, at the level of who has to act."""
        level = _PUSH_LEVELS[result.kind]
        self._log.log(
            level,
            "pushed",
            result=str(result.kind),
            reason=result.reason or None,
            detail=result.detail or None,
        )


_PUSH_LEVELS = {
    Kind.TAKEN: logging.DEBUG,
    Kind.REFUSED: logging.INFO,
    Kind.THROTTLED: logging.INFO,
    Kind.TOO_SLOW: logging.WARNING,
    Kind.FAILED: logging.ERROR,
}


def _level(record: object) -> int:
    match record:
        case RunHalted() | OutageBegan() | OutageEnded():
            return logging.WARNING
        case AppFinished() | StepSucceeded() | StepFailed() | Doubted():
            return logging.INFO
        case RunPaused() | PauseLifted() | WaveApproved():
            return logging.INFO
        case _:
            return logging.DEBUG


_TOLD = ("code", "errno", "msg")
"""Of an error; its message and hint are the code's, and `explain` tells them."""


class Watcher:
    """An observer made of a progress display and a log."""

    def __init__(
        self, progress: Progress, display: ProgressView | LogProgress | None, log: LogObserver
    ) -> None:
        self._progress = progress
        self._display = display
        self._log = log

    def show_pace(self, pace: Callable[[], float]) -> None:
        """Show the pace, once there is one."""
        if isinstance(self._display, ProgressView):
            self._display.pace = pace

    def begin(self, state: RunState) -> None:
        """Take in the run's apps, once they are known."""
        self._progress.begin(state)

    def recorded(self, entry: Entry) -> None:
        if self._display is not None:
            self._display.recorded(entry)
        self._log.recorded(entry)

    def called(self, call: Call) -> None:
        if self._display is not None:
            self._display.called(call)
        self._log.called(call)

    def pushed(self, result: Result) -> None:
        self._log.pushed(result)


@asynccontextmanager
async def open_watcher(desk: Desk, *, live: bool = True) -> AsyncGenerator[Watcher]:
    """Show progress on stderr while the block runs: drawn at a terminal, else as log lines."""
    clock = anyio.current_time
    progress = Progress(clock())
    as_json = _as_json(desk.settings.log_format)
    if live and desk.watched and not as_json:
        view = ProgressView(progress, sys.stderr, clock, colour=not desk.no_color)
        log = LogObserver(_logger(desk, view.say, as_json=False, least=logging.WARNING))
        with view, desk.speaking_through(view.say):
            async with _ticking(view.tick):
                yield Watcher(progress, view, log)
        return
    bound = _logger(desk, write_error, as_json=as_json, least=logging.DEBUG)
    tell = (lambda line: bound.info("progress", line=line)) if as_json else desk.say
    lines = LogProgress(progress, tell, clock)
    voice = (lambda text: bound.info("said", text=text)) if as_json else write_error
    with desk.speaking_through(voice):
        async with _ticking(lines.tick):
            yield Watcher(progress, lines if live else None, LogObserver(bound))
        if live:
            lines.finish()


@asynccontextmanager
async def _ticking(tick: Callable[[], None]) -> AsyncGenerator[None]:
    async def keep_ticking() -> None:
        while True:
            await anyio.sleep(TICK_S)
            tick()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep_ticking)
        yield
        tasks.cancel_scope.cancel()


def _as_json(log_format: LogFormat) -> bool:
    return not sys.stderr.isatty() if log_format == "auto" else log_format == "json"


class _Lines:
    """What structlog writes to: every level ends in one function for whole lines."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = self.msg = write


def _logger(
    desk: Desk, write: Callable[[str], None], *, as_json: bool, least: int
) -> "FilteringBoundLogger":
    levels = {0: getattr(logging, desk.settings.log_level.upper()), -1: logging.ERROR}
    level = max(least, levels.get(desk.verbosity, logging.DEBUG))
    renderer = _json if as_json else _plain
    log: FilteringBoundLogger = structlog.wrap_logger(
        _Lines(write),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    return log


def _json(_: "WrappedLogger", __: str, event: "EventDict") -> str:
    """Render a line for machines, which does no harm on a terminal either."""
    return harmless_json(event)


def _plain(_: "WrappedLogger", __: str, event: "EventDict") -> str:
    """Render a line for people; whatever came from outside is made harmless."""
    head = f"{event.pop('timestamp')} {event.pop('level'):7} {event.pop('event')}"
    facts = " ".join(f"{key}={value}" for key, value in event.items() if value is not None)
    return safe(f"{head} {facts}".rstrip())
