"""Journals small enough to break at every byte, and a clock that is told what to say."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from fleetdeploy.core.journal_line import Chain
from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    ErrorNote,
    RunFinished,
    RunRecord,
    RunStarted,
    StepFailed,
    StepStarted,
    WaveOpened,
    Writer,
)
from fleetdeploy.model import Outcome, Step

START = datetime(2026, 11, 24, 3, 7, 0, 123_000, tzinfo=UTC)
WRITER = Writer(host="night", pid=7, who="ops", tool_version="0.1.0")
HEADER = RunStarted(
    run_id="r1", plan_digest="d", manifest_name="shop", manifest_digest="m", writer=WRITER
)
NOTE = ErrorNote(code="platform.category", message="no", errno=69002, msg="服务类目审核通过后")
RECORDS_OF_A_RUN: tuple[RunRecord | AnyAppRecord, ...] = (
    HEADER,
    WaveOpened(wave="all"),
    StepStarted(app_id="100000282", step=Step.UPLOAD, attempt=1, known=("a", "b")),
    StepFailed(app_id="100000282", step=Step.UPLOAD, attempt=1, error=NOTE, settled=True),
    AppFinished(app_id="100000282", outcome=Outcome.FAILED, error=NOTE),
    RunFinished(calls={"upload": 1}),
)


@dataclass
class SetClock:
    """A wall clock that says `time` until it is told otherwise."""

    time: datetime = field(default=START)

    def now(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def sample_lines() -> list[bytes]:
    """Return the lines of one short run."""
    chain = Chain()
    return [chain.stamp(record, START)[1] for record in RECORDS_OF_A_RUN]
