"""Judges whether a night kept to its waves, its gates and its budget, from its records alone.

It shares no code with the engine: where an app is, and what is under way, is worked out here from
the journal's records and what the witness saw at the door.
"""

from collections.abc import Iterator
from math import inf

from fleetdeploy.core.endings import UPLOAD_REFUSED
from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    Entry,
    FoundStage,
    PackageFound,
    PauseLifted,
    RunPaused,
    RunResumed,
    RunStarted,
    StepFailed,
    StepStarted,
    StepSucceeded,
    WaveApproved,
    WaveOpened,
)
from fleetdeploy.core.rules import WaveRule
from fleetdeploy.model import Outcome, Step, Until
from fleetdeploy.simulator.endpoints import Endpoint
from tests.simulator.harness import EPOCH, Night

TICK_S = 0.002
GOOD = {Outcome.RELEASED, Outcome.ROLLED_BACK, Outcome.WITHDRAWN, Outcome.UNCHANGED}
EFFECTS = {step.value for step in (Step.UPLOAD, Step.SUBMIT_AUDIT, Step.RELEASE)}
SETTLES = {
    Step.AWAIT_UPLOAD,
    Step.SUBMIT_AUDIT,
    Step.AWAIT_RELEASE,
    Step.AWAIT_WITHDRAW,
}
"""The steps whose success shows that what was sent before them took effect."""


def seconds(entry: Entry) -> float:
    return (entry.at - EPOCH).total_seconds()


def course_complaints(night: Night) -> list[str]:
    return [
        *before_its_gate(night),
        *beyond_the_budget(night),
        *beyond_a_shared_cause(night),
        *begun_in_a_pause(night),
    ]


class Ends:
    """When each app came to its end, when it was approved, and what it did at all."""

    def __init__(self, night: Night) -> None:
        self.ended: dict[str, float] = {}
        self.approved: dict[str, float] = {}
        self.touched: set[str] = set()
        self.said_yes: dict[str, float] = {}
        self.overridden: list[float] = []
        self.until: list[tuple[float, Until]] = []
        # When a wave was opened although the one before it was not done: the run released nothing.
        self.prepared: dict[str, float] = {}
        for entry in night.entries():
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        record, at = entry.record, seconds(entry)
        if isinstance(record, RunStarted | RunResumed):
            self.until.append((at, record.until))
        if isinstance(record, WaveOpened) and not self.releases(at):
            self.prepared[record.wave] = at
        if isinstance(record, WaveApproved):
            self.said_yes.setdefault(record.wave, at)
        elif isinstance(record, RunResumed) and record.override_reason:
            self.overridden.append(at)
        elif isinstance(record, AnyAppRecord):
            if not (isinstance(record, AppFinished) and record.outcome is Outcome.UNCHANGED):
                self.touched.add(record.app_id)
            if ends(record):
                self.ended[record.app_id] = at
            if approves(record):
                self.approved.setdefault(record.app_id, at)

    def releases(self, at: float) -> bool:
        """Whether the run was to release anything at that time."""
        return [until for since, until in self.until if since <= at + TICK_S][-1] is Until.RELEASED


def ends(record: AnyAppRecord) -> bool:
    online = isinstance(record, StepSucceeded) and record.step is Step.AWAIT_RELEASE
    found = isinstance(record, PackageFound) and record.stage is FoundStage.RELEASED
    return online or found or isinstance(record, AppFinished)


def approves(record: AnyAppRecord) -> bool:
    passed = isinstance(record, StepSucceeded) and record.step is Step.AWAIT_AUDIT
    found = {FoundStage.APPROVED, FoundStage.RELEASED}
    return passed or (isinstance(record, PackageFound) and record.stage in found)


def shows(record: AnyAppRecord) -> bool:
    """Whether this says that what was sent before took effect."""
    return isinstance(record, StepSucceeded) and record.step in SETTLES


def before_its_gate(night: Night) -> Iterator[str]:
    """Nothing leaves for a wave while the one before it is not done, soaked and approved.

    With `audit_ahead` uploads and submissions may, once the first wave has its first approval; and
    what was opened while the run released nothing may go on as far as approval.
    """
    if night.course is None:
        return
    waves, found = night.course.waves, Ends(night)
    wave_of = {target.app_id: target.wave for target in night.targets}
    members = {wave.name: [a for a, name in wave_of.items() if name == wave.name] for wave in waves}
    place = {wave.name: number for number, wave in enumerate(waves)}
    first = [found.approved.get(app_id) for app_id in members[waves[0].name]]
    ahead_at = min((at for at in first if at is not None), default=None)
    ahead_at = ahead_at if night.course.ahead else None
    for sent in night.witness.sent:
        number = place[wave_of[sent.app_id]] if sent.endpoint in EFFECTS else 0
        if number == 0:
            continue
        where = f"{sent.endpoint} of {sent.app_id} at {sent.at:.3f}"
        prepares = sent.endpoint != Endpoint.RELEASE
        if prepares and ahead_at is not None and sent.at >= ahead_at - TICK_S:
            continue
        if prepares and found.prepared.get(wave_of[sent.app_id], sent.at + 1) <= sent.at + TICK_S:
            continue
        if not found.releases(sent.at):
            continue
        for before in waves[:number]:
            for what in _held_back(before, members[before.name], found, sent.at):
                yield f"before wave {before.name} {what}: {where}"


def _held_back(wave: WaveRule, app_ids: list[str], found: Ends, at: float) -> Iterator[str]:
    """Say what of a wave was still to come at a time at which a later one went on."""
    ended = [found.ended.get(app_id) for app_id in app_ids]
    if any(one is None or one > at + TICK_S for one in ended):
        yield "was done"
        return
    if at < max(one for one in ended if one is not None) + wave.soak_s - TICK_S:
        yield "had soaked"
    said = [found.said_yes.get(wave.name, at + 1), *found.overridden]
    if wave.gate is not None and min(said) > at + TICK_S:
        yield "was approved"


def beyond_the_budget(night: Night) -> Iterator[str]:
    """No step begins that a strict budget could not bear, and none at all once it is exceeded.

    An end is known to the others only when it is on disk: what began in between counts as before.
    """
    bad: dict[str, float] = {}
    under_way: set[str] = set()
    for entry in night.entries():
        record, at = entry.record, seconds(entry)
        if isinstance(record, RunResumed) and record.override_reason:
            bad.clear()
        if not isinstance(record, AnyAppRecord):
            continue
        if isinstance(record, StepStarted):
            under_way.add(record.app_id)
            known = sum(since < at - night.journal_latency_s - TICK_S for since in bad.values())
            if known > night.failures_allowed:
                yield f"record {entry.seq}: begins although {known} ended badly"
            room = max(1, night.failures_allowed - known)
            if night.strict and len(under_way) > room:
                yield f"record {entry.seq}: {len(under_way)} under way, and room for {room}"
        elif isinstance(record, StepFailed | AppFinished | PackageFound) or shows(record):
            under_way.discard(record.app_id)
        if isinstance(record, AppFinished) and record.outcome not in {*GOOD, Outcome.BLOCKED}:
            bad[record.app_id] = at


def beyond_a_shared_cause(night: Night) -> Iterator[str]:
    """No step begins once so many apps have failed alike as halt the run.

    Judged by the code alone, and only for codes whose words are always the same.
    """
    if night.halt_on_cause is None:
        return
    struck: dict[str, float] = {}
    for entry in night.entries():
        record, at = entry.record, seconds(entry)
        if isinstance(record, RunResumed) and record.override_reason:
            return
        if isinstance(record, StepStarted):
            known = sum(since < at - night.journal_latency_s - TICK_S for since in struck.values())
            if known >= night.halt_on_cause:
                yield f"record {entry.seq}: begins although {known} failed alike"
        elif isinstance(record, AppFinished) and _is_refused(record):
            struck[record.app_id] = at


def _is_refused(record: AppFinished) -> bool:
    return record.error is not None and record.error.code == UPLOAD_REFUSED.code


def begun_in_a_pause(night: Night) -> Iterator[str]:
    """From when a pause is on disk until it is lifted no step begins, in any process."""
    paused_at: float | None = None
    for entry in night.entries():
        record, at = entry.record, seconds(entry)
        if isinstance(record, RunPaused):
            paused_at = at + night.journal_latency_s
        elif isinstance(record, PauseLifted):
            paused_at = None
        elif (
            isinstance(record, StepStarted)
            and at > (inf if paused_at is None else paused_at) + TICK_S
        ):
            yield f"record {entry.seq}: begins in a pause"
