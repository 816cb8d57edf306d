"""Judges a night, finished or interrupted, against its world: each checker returns complaints.

They read the simulated world, the journal's records and what the witness saw at the door; they
share no code with the engine, and none of them asks the live state what became of an app, except
the one that compares it with the journal.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping

from fleetdeploy.core.pace import burst_for
from fleetdeploy.core.records import (
    AppFinished,
    Entry,
    RunFinished,
    RunHalted,
    RunResumed,
    RunStopped,
    StepDoubted,
    StepFailed,
    StepStarted,
    StepSucceeded,
)
from fleetdeploy.errors import IllegalTransition
from fleetdeploy.model import Outcome, PackageStatus, Phase, RunKind
from fleetdeploy.simulator.endpoints import Endpoint
from fleetdeploy.simulator.ledger import Effect, EffectKind, Violation
from fleetdeploy.simulator.rows import Row
from tests.simulator.harness import EPOCH, Night
from tests.simulator.witness import Answer, Sent
from tests.wall_hours import may_happen

CHANGES = {
    Endpoint.UPLOAD,
    Endpoint.SUBMIT_AUDIT,
    Endpoint.RELEASE,
    Endpoint.ROLLBACK,
    Endpoint.WITHDRAW,
}
TICK_S = 0.002
"""A journal keeps whole milliseconds, cut off."""

Expected = Mapping[str, Collection[Phase]]


def check(night: Night, expected: Expected | None = None) -> None:
    """Assert that a process's life came to its own end and that nothing is wrong with the night."""
    found = [*complaints(night), *ended(night), *outcomes(night, expected or {})]
    assert found == []


def complaints(night: Night) -> list[str]:
    """Return all that must hold at any moment, also right after a kill."""
    return [
        *done_twice(night),
        *unlawful(night),
        *foreign_effects(night),
        *too_fast(night),
        *unannounced(night),
        *unaccounted(night),
        *hasty(night),
        *outside_hours(night),
        *replayed_otherwise(night),
    ]


def done_twice(night: Night) -> Iterator[str]:
    """Promise 1: no effect is repeated while it stands, unless people undid it meanwhile."""
    for effect in night.world.duplicates():
        alike = [e.at for e in night.world.effects if e.identity == effect.identity]
        before = max((at for at in alike if at < effect.at), default=effect.at)
        if night.deeds.between(effect.app_id, before, effect.at):
            continue
        yield f"done twice: {effect.kind} of {effect.app_id} at {effect.at:.3f}"


def unlawful(night: Night) -> Iterator[str]:
    """Promise 2, as the platform sees it: nothing is asked that its state forbids.

    Whose audit a rollout ends cannot know that the verdict falls as its request is on the way.
    """
    for violation in night.noted.violations:
        if _overtaken_by_a_verdict(night, violation) or _overtaken_by_hand(night, violation):
            continue
        yield (
            f"unlawful: {violation.endpoint} of {violation.app_id} at {violation.at:.3f}: "
            f"{violation.errno} {violation.reason}"
        )


def _overtaken_by_a_verdict(night: Night, violation: Violation) -> bool:
    """Whether a rollout's withdrawal came too late; after one that was taken none is excused."""
    if night.kind is not RunKind.ROLLOUT or violation.endpoint != Endpoint.WITHDRAW:
        return False
    return not any(
        effect.kind is EffectKind.WITHDRAW
        and effect.app_id == violation.app_id
        and effect.at <= violation.at
        for effect in effects_of(night)
    )


def _overtaken_by_hand(night: Night, violation: Violation) -> bool:
    """Whether people did something to the app after it was last looked at."""
    looks = [at for at in _looks(night.witness.sent)[violation.app_id] if at < violation.at]
    return night.deeds.between(violation.app_id, max(looks, default=0.0), violation.at)


def foreign_effects(night: Night) -> Iterator[str]:
    """Promise 2: what is sent is the bundle, and only packages of this bundle are moved.

    A rollout withdraws what is not its own, and only where it was told to.
    """
    targets = {target.app_id: target for target in night.targets}
    for effect in effects_of(night):
        target = targets[effect.app_id]
        bundle = target.bundle
        if night.kind is RunKind.ROLLOUT and effect.kind is EffectKind.WITHDRAW:
            told = target.foreign_package or night.policy.foreign_package
            if told != "withdraw" or effect.version_desc == bundle.description:
                yield f"not told to withdraw: {effect.version_desc!r} of {effect.app_id}"
            continue
        ours = f"[fd:{bundle.fingerprint}]"
        if not effect.version_desc.endswith(ours) or effect.template_id != bundle.template_id:
            yield f"not ours: {effect.kind} of {effect.app_id}: {effect.version_desc!r}"
        if effect.kind is EffectKind.UPLOAD and effect.version != bundle.version:
            yield f"wrong version: upload of {effect.app_id}: {effect.version}"


def effects_of(night: Night) -> list[Effect]:
    """The effects of what this night sent."""
    return night.noted.effects


def too_fast(night: Night) -> Iterator[str]:
    """Promise 3: no second holds more than pace and burst, and no more are out than may be.

    Lives are looked at one by one, since a test may let the next begin in the very next moment.
    """
    allowed = night.rate + burst_for(night.rate)
    for life, times in _by_life(night.witness.sent).items():
        most = most_in_one_second(times)
        if most > allowed:
            yield f"too fast: {most} requests in one second of life {life}, {allowed} may be"
    if night.witness.most_out > night.in_flight:
        yield f"too many at once: {night.witness.most_out}"


def _by_life(sent: Iterable[Sent]) -> Mapping[int, list[float]]:
    times: dict[int, list[float]] = defaultdict(list)
    for one in sent:
        times[one.life].append(one.at)
    return times


def most_in_one_second(times: Iterable[float]) -> int:
    """Return the most of these times, which do not go back, in any half-open second."""
    window: deque[float] = deque()
    most = 0
    for at in times:
        window.append(at)
        while window[0] <= at - 1.0 + 1e-9:
            window.popleft()
        most = max(most, len(window))
    return most


def unannounced(night: Night) -> Iterator[str]:
    """J1 and J2, at the door: a change leaves only under its durable intent, and nothing else
    leaves for that app before the result is durable.
    """
    under: dict[tuple[int, str], Sent] = {}
    for sent in night.witness.sent:
        where = f"{sent.endpoint} of {sent.app_id} at {sent.at:.3f}"
        if sent.endpoint not in CHANGES:
            if sent.own and isinstance(sent.last, StepStarted):
                yield f"result not recorded before {where}"
            continue
        intent = sent.last
        if not (sent.own and isinstance(intent, StepStarted) and _fits(intent, sent)):
            yield f"unannounced: {where}"
        before = under.get((sent.life, sent.app_id))
        if before and before.last is intent and before.answer is not Answer.NO:
            yield f"sent again under one intent: {where}"
        under[sent.life, sent.app_id] = sent


def _fits(intent: StepStarted, sent: Sent) -> bool:
    same_package = intent.package_id == sent.package_id or sent.endpoint == Endpoint.UPLOAD
    return intent.step.value == sent.endpoint and same_package


def unaccounted(night: Night) -> Iterator[str]:
    """J1, afterwards: each effect in the world has an intent of its own in the journal before it.

    Records of an app alternate as they must: the result of a step before the next one's intent.
    """
    intents: dict[tuple[str, str], list[float]] = defaultdict(list)
    open_step: dict[str, StepStarted] = {}
    for entry in night.entries():
        record = entry.record
        if isinstance(record, StepStarted):
            intents[record.app_id, record.step].append(_seconds(entry))
            if record.app_id in open_step:
                yield f"no result before the next intent: record {entry.seq}"
            open_step[record.app_id] = record
        elif isinstance(record, StepSucceeded | StepFailed | AppFinished):
            open_step.pop(record.app_id, None)
    done: Counter[tuple[str, str]] = Counter()
    for effect in effects_of(night):
        key = (effect.app_id, effect.kind.value)
        done[key] += 1
        before = [at for at in intents[key] if at <= effect.at + TICK_S]
        if len(before) < done[key]:
            yield f"no intent in the journal: {effect.kind} of {effect.app_id} at {effect.at:.3f}"


def _seconds(entry: Entry) -> float:
    """A record's time on the virtual clock."""
    return (entry.at - EPOCH).total_seconds()


def hasty(night: Night) -> Iterator[str]:
    """J3: a step in doubt fails only by silence: of the settle time, and seen by a look after it.

    Doubt begins when the answer was lost, or with the process that found the step unanswered.
    """
    since: dict[str, float] = {}
    resumed = 0.0
    looks = _looks(night.witness.sent)
    inherited = set(night.doubted)
    for entry in night.entries():
        record, at = entry.record, _seconds(entry)
        if isinstance(record, StepStarted) and record.app_id in inherited:
            inherited.remove(record.app_id)
            if at < _seconds(night.entries()[0]) + night.policy.settle_s - TICK_S:
                yield f"inherited doubt, and began at once: record {entry.seq}"
        if isinstance(record, RunResumed):
            resumed = at
        elif isinstance(record, StepStarted | StepSucceeded):
            since.pop(record.app_id, None)
        elif isinstance(record, StepDoubted):
            since[record.app_id] = at
        elif isinstance(record, StepFailed) and record.settled:
            quiet_from = max(resumed, since.get(record.app_id, resumed))
            quiet_until = quiet_from + night.policy.settle_s - TICK_S
            if not any(quiet_until <= look <= at + TICK_S for look in looks[record.app_id]):
                yield f"settled too soon: record {entry.seq}, {record.step} of {record.app_id}"
        elif isinstance(record, StepFailed) and record.app_id in since:
            yield f"given up in doubt: record {entry.seq}, {record.step} of {record.app_id}"


def _looks(sent: Iterable[Sent]) -> Mapping[str, list[float]]:
    looks: dict[str, list[float]] = defaultdict(list)
    for one in sent:
        if one.endpoint == Endpoint.PACKAGES and one.answer is Answer.YES:
            looks[one.app_id].append(one.at)
    return looks


def outside_hours(night: Night) -> Iterator[str]:
    """Nothing is submitted or released when the clock on the wall shows no window, or a freeze."""
    direct = {target.app_id for target in night.targets if target.bundle.direct_commit}
    for sent in night.witness.sent:
        submits = sent.endpoint == Endpoint.SUBMIT_AUDIT or (
            sent.endpoint == Endpoint.UPLOAD and sent.app_id in direct
        )
        if not submits and sent.endpoint != Endpoint.RELEASE:
            continue
        hours = night.calendar.submit if submits else night.calendar.release
        windows = [window.text for window in hours.windows]
        frozen = [(freeze.first, freeze.last, freeze.zone.key) for freeze in hours.freezes]
        at = night.wall.at(sent.at)
        if not may_happen(windows, frozen, at):
            yield f"outside its hours: {sent.endpoint} of {sent.app_id} at {at}"


def replayed_otherwise(night: Night) -> Iterator[str]:
    """J4: the journal tells what the live state was, at each record and when a life has ended."""
    for seq in night.shadow.differs_at if night.shadow else ():
        yield f"the replayed state differs from the live one at record {seq}"
    try:
        replayed = night.replayed()
    except IllegalTransition as error:
        yield f"cannot be replayed: {error}"
        return
    if night.state is not None and night.state != replayed:
        yield "the replayed state differs from the live one"


def ended(night: Night) -> Iterator[str]:
    """A life that came to its own end says why, once, and finished means that every app is."""
    entries = night.entries()
    last = entries[-1].record
    if not isinstance(last, RunFinished | RunStopped | RunHalted):
        yield f"the last record is {last.kind}"
    over = all(phase.value in set(Outcome) for phase in night.phase_of().values())
    if over != isinstance(last, RunFinished):
        yield f"the last record is {last.kind}, and all apps at their end is {over}"
    for entry in entries[:-1]:
        if isinstance(entry.record, RunFinished):
            yield f"finished before its end: record {entry.seq}"


def outcomes(night: Night, expected: Expected) -> Iterator[str]:
    """Each app's end is what the world shows, and, where the test knows, what had to come.

    Where people lent a hand anything may come of it.
    """
    if night.kind is not RunKind.ROLLOUT:
        yield from outcomes_back(night, expected)
        return
    touched = {effect.app_id for effect in effects_of(night)}
    phases = night.phase_of()
    for target in night.targets:
        app_id = target.app_id
        phase = phases[app_id]
        rows = night.world.packages(app_id, night.now)
        ours = [row for row in rows if row.description == target.bundle.description]
        live = any(row.status == PackageStatus.ONLINE for row in ours)
        if app_id in night.deeds.apps:
            continue
        if live != (phase in {Phase.RELEASED, Phase.UNCHANGED}):
            yield f"{app_id} is {phase}, and its package online is {live}"
        if phase is Phase.UNCHANGED and app_id in touched:
            yield f"{app_id} is unchanged, and was changed"
        if phase is Phase.REJECTED and not _newest(ours, PackageStatus.AUDIT_FAILED):
            yield f"{app_id} is rejected, and the platform shows no verdict"
        if app_id in expected and phase not in expected[app_id]:
            yield f"{app_id} is {phase}, expected {sorted(expected[app_id])}"


def outcomes_back(night: Night, expected: Expected) -> Iterator[str]:
    """Each app's end is what the world shows, where something was to be taken back.

    Where people lent a hand anything may come of it.
    """
    effects = Counter(effect.app_id for effect in effects_of(night))
    for app_id, phase in night.phase_of().items():
        (undo,) = [target.undo for target in night.targets if target.app_id == app_id]
        assert undo is not None
        rows = night.world.packages(app_id, night.now)
        of_id = {str(row.package_id): row.status for row in rows}
        online = [str(row.package_id) for row in rows if row.status == PackageStatus.ONLINE]
        status = of_id.get(undo.package_id)
        if app_id in night.deeds.apps:
            continue
        if phase is Phase.ROLLED_BACK and (len(online) != 1 or online == [undo.package_id]):
            yield f"{app_id} is rolled back, and online is {online}"
        if phase is Phase.WITHDRAWN and status not in (None, PackageStatus.DEVELOPMENT):
            yield f"{app_id} is withdrawn, and the platform says {status}"
        sent = 0 if phase in {Phase.UNCHANGED, Phase.BLOCKED} else 1
        if effects[app_id] > sent:
            yield f"{app_id} is {phase}, and was changed {effects[app_id]} times"
        if app_id in expected and phase not in expected[app_id]:
            yield f"{app_id} is {phase}, expected {sorted(expected[app_id])}"


def _newest(rows: list[Row], status: PackageStatus) -> bool:
    newest = max(rows, key=lambda row: row.number, default=None)
    return newest is not None and newest.status == status
