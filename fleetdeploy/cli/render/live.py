"""A run as it goes, for whoever looks on: a view that redraws itself, or a line now and then.

Both are observers; neither can stop or slow a run. What cannot be written any more (a terminal
that was closed) is given up in silence.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fleetdeploy.cli.render.progress import (
    BEFORE,
    Clock,
    Progress,
    calls_of,
    outages_of,
    progress_line,
)
from fleetdeploy.cli.render.safe import safe
from fleetdeploy.cli.render.times import span
from fleetdeploy.core.records import Entry
from fleetdeploy.model import Phase
from fleetdeploy.ports import Call

REDRAWS_PER_S: Final = 8
"""More than the eye follows, and little enough that a run does not feel it."""
LINE_EVERY_S: Final = 5.0
QUIET_EVERY_S: Final = 600.0
"""While nothing moves, audits over night for example, a line now and then says: still alive."""
_BAR_WIDTH: Final = 40
_COLOURS: Final = {
    Phase.RELEASED: "green",
    Phase.ROLLED_BACK: "green",
    Phase.WITHDRAWN: "green",
    Phase.UNCHANGED: "green",
    Phase.REJECTED: "red",
    Phase.FAILED: "red",
    Phase.BLOCKED: "yellow",
    Phase.CANCELLED: "yellow",
}


class ProgressView:
    """An observer that keeps a small picture of the run at the bottom of a terminal.

    Use it as a context manager: it gives the cursor back on leaving, whatever happened. Call
    `tick` now and then, so that the clock goes on while nothing happens.
    """

    def __init__(
        self,
        progress: Progress,
        stream: TextIO,
        clock: Clock,
        *,
        colour: bool = True,
        pace: Callable[[], float] | None = None,
    ) -> None:
        self._progress = progress
        self._clock = clock
        self.pace = pace
        self._drawn_s = float("-inf")
        self._broken = False
        console = Console(
            file=stream, force_terminal=True, no_color=not colour, highlight=False, markup=False
        )
        # Drawn by our own calls, not by rich's thread: the numbers change under its hands.
        # stdout stays as it is: it carries data, and may be a file.
        self._live = Live(
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            get_renderable=self.picture,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._guarded(self._live.start)
        self.tick(force=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._broken = False
        self._guarded(self._live.stop)

    def recorded(self, entry: Entry) -> None:
        self._progress.recorded(entry)
        self.tick()

    def called(self, call: Call) -> None:
        self._progress.called(call, self._clock())
        self.tick()

    def tick(self, *, force: bool = False) -> None:
        """Draw anew, unless that was done a moment ago."""
        now_s = self._clock()
        if force or now_s - self._drawn_s >= 1 / REDRAWS_PER_S:
            self._drawn_s = now_s
            self._guarded(self._live.refresh)

    def say(self, text: str) -> None:
        """Write a line above the picture."""
        self._guarded(lambda: self._live.console.print(Text(safe(text))))

    def _guarded(self, draw: Callable[[], None]) -> None:
        if self._broken:
            return
        try:
            draw()
        except (OSError, ValueError):
            # The terminal is gone, or its file is closed; the run goes on without a picture.
            self._broken = True

    def picture(self) -> Group:
        """Draw the progress: a bar, the phases, the calls, what is out, the last causes."""
        calls = Text(self._calls(self._clock()), style="dim")
        if not self._progress.total:
            return Group(Text(BEFORE), calls)
        return Group(self._bar(), self._phases(), calls, *self._notes())

    def _bar(self) -> Table:
        progress = self._progress
        bar = ProgressBar(total=max(1, progress.total), completed=progress.good, width=_BAR_WIDTH)
        grid = Table.grid(padding=(0, 1))
        grid.add_row(bar, Text(progress.done))
        return grid

    def _phases(self) -> Text:
        text = Text()
        for phase, count in self._progress.snapshot().items():
            if phase is not self._progress.goal:
                text.append(f"{count} {phase}  ", style=_COLOURS.get(phase, "cyan"))
        return text

    def _calls(self, now_s: float) -> str:
        told = calls_of(self._progress, now_s)
        if self.pace is not None:
            told.insert(1, f"pace {self.pace():.1f}/s")
        return "  ".join([*told, span(now_s - self._progress.started_s)])

    def _notes(self) -> list[Text]:
        told = [*outages_of(self._progress), *self._progress.causes]
        notes = [Text(line, style="yellow", no_wrap=True) for line in told]
        if self._progress.paused:
            notes.append(Text(f"paused {self._progress.paused}", style="yellow"))
        if self._progress.halted:
            notes.append(Text(f"halted: {self._progress.halted}", style="red"))
        return notes


class LogProgress:
    """An observer that writes a line every few seconds while something moves.

    For logs and pipes. `tick` lets it say that it is alive while nothing happens.
    """

    def __init__(
        self,
        progress: Progress,
        write: Callable[[str], None],
        clock: Clock,
        *,
        every_s: float = LINE_EVERY_S,
        quiet_every_s: float = QUIET_EVERY_S,
    ) -> None:
        self._progress = progress
        self._write = write
        self._clock = clock
        self._every_s = every_s
        self._quiet_every_s = quiet_every_s
        self._written_s = clock()
        self._told = self._picture()

    def recorded(self, entry: Entry) -> None:
        self._progress.recorded(entry)
        self.tick()

    def called(self, call: Call) -> None:
        self._progress.called(call, self._clock())
        self.tick()

    def tick(self) -> None:
        """Write a line if one is due."""
        waited_s = self._clock() - self._written_s
        if waited_s < self._every_s:
            return
        if waited_s >= self._quiet_every_s or self._picture() != self._told:
            self._line()

    def finish(self) -> None:
        """Write the last line, if there is anything to say since the one before."""
        if self._picture() != self._told:
            self._line()

    def _picture(self) -> tuple[dict[Phase, int], str]:
        """Return what a new line would be about."""
        return dict(self._progress.snapshot()), self._progress.paused

    def _line(self) -> None:
        self._written_s = self._clock()
        self._told = self._picture()
        self._write(progress_line(self._progress, self._written_s))
