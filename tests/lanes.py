"""Seeds dealt out to processes, some at once; one that does not end in time is killed and told."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

Result = TypeVar("Result")
Tell = Callable[[Result], None]
Work = Callable[[int, Tell[Result]], None]
"""Does the work of a seed, and tells what came of it; what it tells last holds."""


@dataclass(frozen=True)
class Ended(Generic[Result]):
    """What a seed came to; `result` is None where nothing was told, `in_time` whether it ended."""

    seed: int
    result: Result | None
    in_time: bool


@dataclass
class _Lane(Generic[Result]):
    seed: int
    process: BaseProcess
    ear: Connection
    until: float
    result: Result | None = None


def dealt(
    work: Work[Result],
    seeds: Iterator[int],
    *,
    lanes: int,
    limit_s: float,
    more: Callable[[], bool],
) -> Iterator[Ended[Result]]:
    """Yield what each seed comes to, as they end; begin another while `more` says so.

    Each has a process of its own, forked from this one, which must have no threads.
    """
    open_lanes: list[_Lane[Result]] = []
    while True:
        while len(open_lanes) < lanes and more():
            open_lanes.append(_opened(work, next(seeds), limit_s))
        if not open_lanes:
            return
        left_s = min(lane.until for lane in open_lanes) - time.monotonic()
        wait([lane.ear for lane in open_lanes], max(0.0, left_s))
        for lane in list(open_lanes):
            ended = _looked_after(lane)
            if ended is not None:
                open_lanes.remove(lane)
                yield ended


def _opened(work: Work[Result], seed: int, limit_s: float) -> _Lane[Result]:
    context = get_context("fork")
    ear, mouth = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(seed, mouth.send))
    process.start()
    mouth.close()
    return _Lane(seed, process, ear, time.monotonic() + limit_s)


def _looked_after(lane: _Lane[Result]) -> Ended[Result] | None:
    """Hear what a lane has to tell; return its end, None while it goes on."""
    try:
        while lane.ear.poll():
            lane.result = lane.ear.recv()
    except EOFError:
        lane.process.join()
        return _closed(lane, in_time=True)
    if time.monotonic() < lane.until:
        return None
    lane.process.kill()
    lane.process.join()
    return _closed(lane, in_time=False)


def _closed(lane: _Lane[Result], *, in_time: bool) -> Ended[Result]:
    lane.ear.close()
    return Ended(lane.seed, lane.result, in_time)
