"""The process as others see it: its clock, its name in journals and locks, its signals."""

import getpass
import os
import resource
import signal
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Final, TypeVar

import anyio
import click

from fleetdeploy.core.records import Writer
from fleetdeploy.errors import ExitCode
from fleetdeploy.storage.locks import Holder

T = TypeVar("T")

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def tool_version() -> str:
    try:
        return version("fleetdeploy")
    except PackageNotFoundError:
        return "unknown"


def leave_no_core() -> None:
    """Keep a crash of the interpreter from writing our memory, tokens and all, to a file.

    Only the limit that holds is lowered: whoever needs a core raises it again with `prlimit`.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))


def who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such user, as in some containers
        return str(os.getuid())


def this_writer(place: str = "") -> Writer:
    return Writer(
        host=socket.gethostname(),
        pid=os.getpid(),
        who=who(),
        tool_version=tool_version(),
        place=place,
    )


def this_holder() -> Holder:
    return Holder(socket.gethostname(), os.getpid(), who(), SystemClock().now())


def heeded() -> list[signal.Signals]:
    """Return the signals that end a command: not the end of the terminal under `nohup`."""
    return [
        number
        for number in STOP_SIGNALS
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    ]


class Interrupts:
    """Turns signals into an orderly end: the first asks, the second leaves at once.

    Leaving at once is safe: what is in the journal is durable, and a torn tail is cut off.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._ask: Callable[[], None] = lambda: None
        self.signal: signal.Signals | None = None

    @property
    def exit_code(self) -> ExitCode | None:
        """The code to end with after a signal, None if there was none."""
        if self.signal is None:
            return None
        return ExitCode.INTERRUPTED if self.signal is signal.SIGINT else ExitCode.TERMINATED

    def ask_with(self, ask: Callable[[], None]) -> None:
        """Say what a first signal is to do from now on; at once if it has come already."""
        self._ask = ask
        if self.signal is not None:
            ask()

    async def watch(self) -> None:
        """Wait for signals until cancelled."""
        with anyio.open_signal_receiver(*heeded()) as received:
            async for number in received:
                if self.exit_code is not None:
                    os._exit(self.exit_code)
                self.signal = signal.Signals(number)
                self._say(
                    f"{self.signal.name}: finishing what is under way; "
                    "once more leaves at once, and both can be resumed"
                )
                self._ask()


async def unless_interrupted(act: Callable[[], Awaitable[T]]) -> T:
    """Await something that may be left at any moment; a signal cancels it and ends the command.

    Raises `click.exceptions.Exit` with the code to end with after a signal.
    """
    interrupts = Interrupts(lambda _: None)
    results: list[T] = []
    async with anyio.create_task_group() as tasks:
        interrupts.ask_with(tasks.cancel_scope.cancel)
        tasks.start_soon(interrupts.watch)
        results.append(await act())
        tasks.cancel_scope.cancel()
    if interrupts.exit_code is not None:
        raise click.exceptions.Exit(interrupts.exit_code)
    return results[0]
