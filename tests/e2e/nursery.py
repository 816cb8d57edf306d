"""Commands without an interpreter's start: one process loads the command line and forks for each.

Loading takes most of a second of CPU, more than most commands here need. A child is a process of
its own in all that a test can see of it: pid, locks, descriptors, signals, its death. Only in `ps`
it looks like the process it came from, and it runs at once, so that nothing can be done to it
before; who needs either starts an interpreter (`Stage.fresh`).

How it works: `Nursery` starts a server and speaks to it over a pair of sockets that no other
process holds. A request carries the words and the surroundings, the descriptors to use, and the end
of a lifeline: on that the server tells the pid and, once it is over, how the child ended. When our
side is closed, or our process gone, the server kills what still lives and ends.
"""

import atexit
import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import Final, NoReturn

from fleetdeploy.cli.main import COMMANDS, main

ROOT: Final = Path(__file__).resolve().parents[2]
INHERITED: Final = ("PATH", "PYTHONPATH")
"""Nothing else that is set here may colour what is read while modules are loaded."""
MESSAGE_MAX: Final = 65_536
PATIENCE_S: Final = 60.0
"""A fork takes milliseconds, the server's own start a second."""
DESCRIPTORS: Final = 4
"""stdin, stdout, stderr and the lifeline."""


@dataclass(frozen=True)
class Birth:
    """What a child is to run, and what it sees."""

    words: Sequence[str]
    environment: Mapping[str, str]
    directory: str


class Child:
    """A command that was started: what a stage needs of a `Popen`."""

    def __init__(self, lifeline: socket.socket) -> None:
        self._lifeline = lifeline
        self._code: int | None = None
        self.pid = self._told(PATIENCE_S)

    def _told(self, within_s: float | None) -> int:
        self._lifeline.settimeout(within_s)
        message = self._lifeline.recv(MESSAGE_MAX)
        assert message, "the nursery is gone"
        return int(message)

    def wait(self, timeout: float | None = None) -> int:
        """Return how it ended, as `Popen` says it; raises `TimeoutExpired`."""
        if self._code is None:
            try:
                self._code = self._told(timeout)
            except (TimeoutError, BlockingIOError):
                raise TimeoutExpired("fleetdeploy", timeout or 0.0) from None
            self._lifeline.close()
        return self._code

    def poll(self) -> int | None:
        with contextlib.suppress(TimeoutExpired):
            self.wait(0.0)
        return self._code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """Our side: starts the server, which is the module `module`, and asks it for children."""

    def __init__(self, module: str = __name__) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._server = Popen(  # noqa: S603 - our own interpreter and our own module
                [sys.executable, "-m", module, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                env={name: os.environ[name] for name in INHERITED if name in os.environ},
            )

    def start(self, birth: Birth, descriptors: tuple[int, int, int]) -> Child:
        """Start a command that uses these descriptors as its stdin, stdout and stderr."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            message = json.dumps(asdict(birth)).encode()
            assert len(message) < MESSAGE_MAX
            socket.send_fds(self._control, [message], [*descriptors, theirs.fileno()])
        return Child(ours)

    def close(self) -> None:
        self._control.close()
        self._server.wait(PATIENCE_S)


@cache
def nursery(module: str = __name__) -> Nursery:
    """Return the one nursery of its kind that this process has."""
    started = Nursery(module)
    atexit.register(started.close)
    return started


def serve(control: socket.socket, prepare: Callable[[], None]) -> None:
    """Fork a child for each request until nobody is there to ask.

    `prepare` is called in each child, when its environment stands, before the command begins.
    """
    load()
    living: dict[int, tuple[int, socket.socket]] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd in living:
                    selector.unregister(key.fd)
                    _bury(key.fd, *living.pop(key.fd))
                elif (child := _deliver(control, prepare)) is not None:
                    watched = os.pidfd_open(child[0])
                    living[watched] = child
                    selector.register(watched, selectors.EVENT_READ)
                else:
                    return _end([pid for pid, _ in living.values()])


def _deliver(
    control: socket.socket, prepare: Callable[[], None]
) -> tuple[int, socket.socket] | None:
    """Fork for a request; return the child's pid and lifeline, None if nobody asks any more."""
    message, descriptors, _, _ = socket.recv_fds(control, MESSAGE_MAX, DESCRIPTORS)
    if not message:
        return None
    lifeline = socket.socket(fileno=descriptors.pop())
    pid = _fork(Birth(**json.loads(message)), descriptors, prepare)
    lifeline.send(str(pid).encode())
    return pid, lifeline


def load() -> None:
    """Import all that commands need, so that no child has to."""
    for place in COMMANDS.values():
        import_module(place.partition(":")[0])
    # What is loaded stays: the collector need not look at it, and the children share its memory.
    gc.freeze()


def _fork(birth: Birth, descriptors: Sequence[int], prepare: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        _live(birth, descriptors, prepare)
    for descriptor in descriptors:
        os.close(descriptor)
    return pid


def _live(birth: Birth, descriptors: Sequence[int], prepare: Callable[[], None]) -> NoReturn:
    """Become the command; never returns to the server's loop."""
    code = 1
    try:
        for wanted, descriptor in enumerate(descriptors):
            os.dup2(descriptor, wanted)
        os.closerange(len(descriptors), os.sysconf("SC_OPEN_MAX"))
        os.chdir(birth.directory)
        os.environ.clear()
        os.environ.update(birth.environment)
        time.tzset()
        # Whoever runs the tests may do so under `nohup`, which the command would heed.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        prepare()
        main(birth.words)
    except SystemExit as left:
        code = int(left.code or 0)
    except BaseException:  # noqa: BLE001 - as an interpreter does with what nobody caught
        traceback.print_exc()
    finally:
        os._exit(code)


def _bury(watched: int, pid: int, lifeline: socket.socket) -> None:
    """Tell how a child ended, to whoever still wants to know."""
    _, status = os.waitpid(pid, 0)
    os.close(watched)
    with lifeline, contextlib.suppress(OSError):
        lifeline.send(str(os.waitstatus_to_exitcode(status)).encode())


def _end(pids: Sequence[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), prepare=lambda: None)
