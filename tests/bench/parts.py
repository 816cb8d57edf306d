"""What several benchmarks need: an observer, a header, and a way to measure."""

import gc
import time
from collections.abc import Callable
from typing import Final

from fleetdeploy.core.records import Entry, RunStarted
from fleetdeploy.ports import Call
from tests.simulator.harness import WRITER

HEADER: Final = RunStarted(
    run_id="bench",
    plan_digest="0" * 64,
    manifest_name="bench",
    manifest_digest="0" * 64,
    writer=WRITER,
)


class Unheard:
    """An `Observer` that keeps nothing."""

    def recorded(self, entry: Entry) -> None: ...

    def called(self, call: Call) -> None: ...


def seconds(work: Callable[[], object]) -> float:
    """Return how long the work takes, on a clock on the wall."""
    gc.collect()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
