"""The orders of operators on disk, beside the journal that only one process may write (J6).

Anybody with the right to write there may add one; whoever holds the run's lock reads them. What an
order means is not known here.

How it works: each line is written by one `write` to a file opened for appending, with a line end
before and after it, so that neither two writers at once nor what a killed one left torn can spoil
another's line. A reader goes by lines that have their end, and passes over the empty ones.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
from anyio import to_thread
from pydantic import ValidationError

from fleetdeploy.core.orders import Order
from fleetdeploy.errors import StateUnusable
from fleetdeploy.storage.atomic import size_of, sync_dir, unusable, write_all

MAX_BYTES: Final = 1024 * 1024
"""Some thousands of orders: more were not typed by people. What lies beyond is not read."""

POLL_S: Final = 1.0
"""Between two looks at the file's size; each costs some microseconds."""

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Given:
    """What the file says from some place on. `end` is where to go on reading.

    `damaged` says of each line that is no order where it begins and what is wrong.
    """

    orders: tuple[Order, ...]
    damaged: tuple[str, ...]
    end: int

    def warnings(self, path: Path) -> list[str]:
        """Say what is passed over; the first of many stands for all."""
        if not self.damaged:
            return []
        more = f", and {len(self.damaged) - 1} lines more" if len(self.damaged) > 1 else ""
        return [f"warning: {path} is damaged {self.damaged[0]}{more}; passed over"]


class OrdersFile:
    """One run's orders; there is no file before the first."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, order: Order) -> None:
        """Add an order; it is durable on return.

        Raises `StateUnusable`, also where the file is full.
        """
        line = b"\n" + order.model_dump_json(exclude_defaults=True).encode() + b"\n"
        try:
            fd = os.open(self.path, _FLAGS, 0o600)
            try:
                if os.fstat(fd).st_size + len(line) > MAX_BYTES:
                    raise StateUnusable(
                        f"{self.path} is full: a run takes {MAX_BYTES} bytes of orders",
                        hint="stop the run's process with a signal instead; it can be resumed",
                    )
                write_all(fd, line)
                os.fsync(fd)
            finally:
                os.close(fd)
            sync_dir(self.path.parent)
        except OSError as error:
            raise unusable("write", self.path, error) from error

    def size(self) -> int:
        """Return the file's size; 0 if there is none. Raises `StateUnusable`."""
        return size_of(self.path)

    def read(self, start: int = 0) -> Given:
        """Read the whole lines from a place on; what has no line end yet is left for later.

        Raises `StateUnusable`.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                data = file.read(max(0, MAX_BYTES - start))
        except FileNotFoundError:
            data = b""
        except OSError as error:
            raise unusable("read", self.path, error) from error
        return self._given(data, start)

    def _given(self, data: bytes, start: int) -> Given:
        orders, damaged, end = [], [], start
        *whole, _ = data.split(b"\n")
        for line in whole:
            if line:
                try:
                    orders.append(Order.model_validate_json(line))
                except ValidationError as error:
                    damaged.append(f"at byte {end}: no order ({_what(error)})")
            end += len(line) + len(b"\n")
        return Given(tuple(orders), tuple(damaged), end)


def _what(error: ValidationError) -> str:
    """Return what is wrong with a line, without the line: it may hold anything."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return str(first["type"])


class OrdersFeed:
    """Implements `ports.OrderFeed` by looking at the file; `say` is told of damaged lines."""

    def __init__(
        self, file: OrdersFile, say: Callable[[str], None], *, poll_s: float = POLL_S
    ) -> None:
        self._file = file
        self._say = say
        self._poll_s = poll_s
        self._end = 0
        self._size = 0

    async def next(self) -> tuple[Order, ...]:
        """Wait for orders; see `ports.OrderFeed`."""
        while True:
            given = await to_thread.run_sync(self._look)
            for warning in given.warnings(self._file.path):
                self._say(warning)
            if given.orders:
                return given.orders
            await anyio.sleep(self._poll_s)

    def _look(self) -> Given:
        """Return what was added since the last look.

        A disk that fails shows at the journal too; here it is only looked at again.
        """
        try:
            size = self._file.size()
            if size == self._size:
                return Given((), (), self._end)
            given = self._file.read(self._end)
        except StateUnusable:
            return Given((), (), self._end)
        self._size, self._end = size, given.end
        return given
