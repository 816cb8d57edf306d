"""Which lines of ours an input reaches: what tells a new input from one more of the same."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import fleetdeploy

_OURS: Final = str(Path(fleetdeploy.__file__).parent)

Edge = tuple[str, int, int]
"""A step from one line to the next in a file; 0 is the call."""


@contextmanager
def edges_seen() -> Iterator[set[Edge]]:
    """Collect the edges that are taken while the block runs, in files of ours alone."""
    edges: set[Edge] = set()
    before = sys.gettrace()
    sys.settrace(_tracer(edges))
    try:
        yield edges
    finally:
        sys.settrace(before)


def _tracer(edges: set[Edge]) -> Any:  # noqa: ANN401 - what a trace function returns is one again
    def enter(frame: FrameType, _event: str, _argument: object) -> Any:  # noqa: ANN401 - as above
        name = frame.f_code.co_filename
        if not name.startswith(_OURS):
            return None
        last = 0

        def step(frame: FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401 - as above
            nonlocal last
            if event == "line":
                edges.add((name, last, frame.f_lineno))
                last = frame.f_lineno
            return step

        return step

    return enter
