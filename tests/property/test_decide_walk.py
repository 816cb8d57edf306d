"""Whole lives of one app on a toy platform whose effects are late and whose answers get lost.

The toy knows the truth and complains when something is sent a second time or out of order; the
driver is the least that can act on decisions. Between any two moments the process may die: what
it remembered is gone and its state is folded from its journal.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from fleetdeploy.core.decide import decide
from fleetdeploy.core.decisions import NOTES_MAX, Confirm, Do, Note, Policy, Poll, Rest, Sight
from fleetdeploy.core.records import (
    AnyAppRecord,
    RunRecord,
    RunResumed,
    StepDoubted,
    StepFailed,
    StepStarted,
    StepSucceeded,
)
from fleetdeploy.core.replay import RunState, replay
from fleetdeploy.model import Bundle, Outcome, Package, PackageStatus, Step, Until, UploadStatus
from tests.unit.core_builders import APP, NOTE, WRITER, entries_of, header, make_bundle, make_target

pytestmark = pytest.mark.slow

law = settings(deadline=None, max_examples=300)
seeds = st.integers(0, 2**32 - 1)

POLICY = Policy()
LATEST_S = POLICY.settle_s - 0.5
"""How late an effect shows at most: the settle time is there to outlast this."""
ON_THE_WAY = {PackageStatus.DEVELOPMENT, PackageStatus.IN_AUDIT, PackageStatus.AUDIT_PASSED}


@dataclass
class Toy:
    """One app on the platform: what is true, and since when it shows.

    `wrongs` lists every request that no careful client would have sent.
    """

    chance: Random
    builds_fail: int = 0
    rejects: bool = False
    now: float = 0.0
    rows: list[Package] = field(default_factory=list)
    due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    asked: set[tuple[Step, str | None]] = field(default_factory=set)
    uploads_open: int = 0
    wrongs: list[str] = field(default_factory=list)
    ids: int = 100

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while self.due and min(self.due)[0] <= until:
            first = min(self.due)
            self.due.remove(first)
            self.now = first[0]
            first[2]()
        self.now = until

    def soon(self, effect: Callable[[], None], least: float = 0.0) -> None:
        delay = self.chance.uniform(least, least + LATEST_S)
        self.ids += 1
        self.due.append((self.now + delay, self.ids, effect))

    def take(self, intent: StepStarted, bundle: Bundle) -> None:
        """Accept a request; its effect shows later."""
        if intent.step is Step.UPLOAD:
            self._take_upload(bundle)
        elif intent.step is Step.WITHDRAW:
            self._take_withdrawal(intent)
        elif intent.step is Step.SUBMIT_AUDIT:
            if any(row.status == PackageStatus.IN_AUDIT for row in self.rows):
                self.wrongs.append(f"two in audit at {self.now:.1f}")
            self._take(intent, PackageStatus.DEVELOPMENT, PackageStatus.IN_AUDIT)
        else:
            self._take(intent, PackageStatus.AUDIT_PASSED, PackageStatus.ONLINE)

    def _take_upload(self, bundle: Bundle) -> None:
        if self.uploads_open or any(
            row.fingerprint == bundle.fingerprint
            and (row.status in ON_THE_WAY or row.upload_status == UploadStatus.UPLOADING)
            for row in self.rows
        ):
            self.wrongs.append(f"second upload at {self.now:.1f}")
        self.uploads_open += 1
        row = Package(
            version=bundle.version,
            description=bundle.description,
            upload_status=UploadStatus.UPLOADING,
            commit_time=f"{self.now:.3f}",
        )
        self.soon(lambda: self._show(row))

    def _show(self, row: Package) -> None:
        self.uploads_open -= 1
        self.rows.append(row)
        self.soon(lambda: self._build(row))

    def _build(self, row: Package) -> None:
        if self.builds_fail:
            self.builds_fail -= 1
            failed = replace(row, upload_status=UploadStatus.FAILED, upload_error_code=69009)
            self._become(row, failed)
            return
        self.ids += 1
        built = replace(row, upload_status=None, package_id=str(self.ids), status=3)
        self._become(row, built)
        if self.direct_commit:
            self.soon(lambda: self._enter_audit(built, PackageStatus.IN_AUDIT))

    direct_commit: bool = False

    def _become(self, row: Package, other: Package) -> None:
        self.rows[self.rows.index(row)] = other

    def _take(self, intent: StepStarted, before: PackageStatus, after: PackageStatus) -> None:
        row = next((row for row in self.rows if row.package_id == intent.package_id), None)
        if row is None or row.status != before or (intent.step, row.package_id) in self.asked:
            self.wrongs.append(f"{intent.step} of {row} at {self.now:.1f}")
            return
        self.asked.add((intent.step, row.package_id))
        if after is PackageStatus.IN_AUDIT:
            self.soon(lambda: self._enter_audit(row, after))
        else:
            self.soon(lambda: self._become(row, replace(row, status=int(after))))

    def submit_another(self) -> None:
        """Let somebody else have a package in audit, until its verdict falls."""
        self.ids += 1
        another = Package(version="8", package_id=str(self.ids), status=PackageStatus.IN_AUDIT)
        self.rows.append(another)
        self.soon(lambda: self._move(another, PackageStatus.AUDIT_PASSED), 100.0)

    def _take_withdrawal(self, intent: StepStarted) -> None:
        row = next(row for row in self.rows if row.package_id == intent.package_id)
        asked = (intent.step, row.package_id)
        if row.status != PackageStatus.IN_AUDIT or row.fingerprint or asked in self.asked:
            self.wrongs.append(f"{intent.step} of {row} at {self.now:.1f}")
        self.asked.add(asked)
        self.soon(lambda: self._move(row, PackageStatus.DEVELOPMENT))

    def _move(self, row: Package, status: PackageStatus) -> None:
        """Bring a package into a state, unless something else happened to it first."""
        if row in self.rows:
            self._become(row, replace(row, status=int(status)))

    def _enter_audit(self, row: Package, status: PackageStatus) -> None:
        in_audit = replace(row, status=int(status))
        self._become(row, in_audit)
        verdict = PackageStatus.AUDIT_FAILED if self.rejects else PackageStatus.AUDIT_PASSED
        self.soon(lambda: self._become(in_audit, replace(in_audit, status=int(verdict))), 100.0)


@dataclass
class Driver:
    """Acts on decisions, as a process would; `restart` is a kill and a resume."""

    toy: Toy
    bundle: Bundle
    chance: Random
    troubles: int
    state: RunState
    journal: list[RunRecord | AnyAppRecord] = field(default_factory=lambda: [header()])
    absent_since: float | None = None
    missing: str = ""
    phase_since: float = 0.0
    in_doubt_before: bool = False
    policy: Policy = POLICY

    def append(self, record: RunRecord | AnyAppRecord) -> None:
        """Write a record and fold it in; afterwards the process may die."""
        before = self.state.apps[APP].phase
        self.state.check(record)
        self.journal.append(record)
        self.state.apply(entries_of(self.journal)[-1])
        if self.state.apps[APP].phase is not before:
            self.phase_since = self.toy.now

    def trouble(self) -> bool:
        """Say whether something goes wrong here; in every life there is only so much of it."""
        if self.troubles and self.chance.random() < 0.3:
            self.troubles -= 1
            return True
        return False

    def restart(self) -> None:
        self.toy.pass_time(self.chance.uniform(0, 5))
        doubted = [APP] if self.in_doubt_before else []
        folded = replay(RunState.new([APP], doubted), entries_of(self.journal))
        assert folded == self.state
        self.state = folded
        self.absent_since = None
        self.phase_since = self.toy.now
        self.append(RunResumed(until=Until.RELEASED, writer=WRITER))

    def live(self) -> Outcome | None:
        """Give turns until the app is at its end."""
        for _ in range(3000):
            if self.state.apps[APP].terminal:
                return self.state.apps[APP].outcome
            self.turn()
            if self.trouble():
                self.restart()
        return None

    def turn(self) -> None:
        absent = self.absent_since
        sight = Sight(
            tuple(self.toy.rows),
            absent_s=None if absent is None else self.toy.now - absent,
            missing=self.missing,
            phase_s=self.toy.now - self.phase_since,
        )
        for _ in range(NOTES_MAX):
            if self.state.apps[APP].terminal:
                return
            decision = decide(
                self.state.apps[APP],
                make_target(bundle=self.bundle),
                sight,
                self.policy,
                Until.RELEASED,
            )
            assert not isinstance(decision, Rest)
            if isinstance(decision, Note):
                self.append(decision.record)
                self.absent_since = None
                sight = Sight(sight.rows)
                continue
            if isinstance(decision, Do):
                self.perform(decision.record)
            elif isinstance(decision, Poll):
                self.absent_since = None
                self.toy.pass_time(self.chance.uniform(1, 60))
            else:
                self.confirm(decision)
            return
        raise AssertionError("one look, and no end of decisions")

    def confirm(self, decision: Confirm) -> None:
        if self.absent_since is None or self.missing != decision.missing:
            self.absent_since, self.missing = self.toy.now, decision.missing
        # A little more than the rest: rounding must not leave a silence that never quite lasts.
        self.toy.pass_time(max(0.01, self.absent_since + decision.wait_s - self.toy.now))

    def perform(self, intent: StepStarted) -> None:
        """Send a request, or only announce it; lose the answer, the request or the process."""
        self.append(intent)
        self.absent_since = None
        fate = self.chance.choice(["dies", "refused", "lost"]) if self.trouble() else "answered"
        arrives = fate == "answered" or (fate != "refused" and self.chance.random() < 0.5)
        if arrives:
            self.toy.take(intent, self.bundle)
        if fate == "dies":
            self.restart()
        elif fate == "lost":
            self.append(
                StepDoubted(app_id=APP, step=intent.step, attempt=intent.attempt, error=NOTE)
            )
            self.absent_since, self.missing = self.toy.now, intent.step
            self.toy.pass_time(3.0)
        elif fate == "refused":
            self.append(
                StepFailed(app_id=APP, step=intent.step, attempt=intent.attempt, error=NOTE)
            )
            self.toy.pass_time(3.0)
        else:
            self.append(StepSucceeded(app_id=APP, step=intent.step, attempt=intent.attempt))
            self.toy.pass_time(self.chance.uniform(0, 5))


def make_life(seed: int, *, troubles: int = 3, **world: object) -> Driver:
    """Draw a life; failed builds and troubles together stay below the tries that a step has."""
    chance = Random(seed)
    bundle = make_bundle(direct_commit=chance.random() < 0.2)
    toy = Toy(
        chance,
        builds_fail=chance.choice([0, 0, 1, 2]),
        rejects=chance.random() < 0.2,
        direct_commit=bundle.direct_commit,
    )
    for name, value in world.items():
        setattr(toy, name, value)
    return Driver(toy, bundle, chance, troubles, RunState.new([APP]))


def begin(driver: Driver) -> Driver:
    driver.state = RunState.new([APP], [APP] if driver.in_doubt_before else [])
    driver.state.apply(entries_of(driver.journal)[0])
    return driver


@law
@given(seeds)
def test_nothing_is_done_twice_and_every_app_comes_to_its_end(seed: int) -> None:
    """Promise 1 and 4, through lost answers, refusals, failed builds and kills."""
    driver = begin(make_life(seed))
    outcome = driver.live()
    assert driver.toy.wrongs == []
    assert outcome is (Outcome.REJECTED if driver.toy.rejects else Outcome.RELEASED)


@law
@given(seeds)
def test_what_is_in_the_way_is_withdrawn_once_and_ours_goes_on(seed: int) -> None:
    """Somebody submits up to two packages, before ours is there or later."""
    driver = begin(make_life(seed, rejects=False))
    driver.policy = replace(POLICY, foreign_package="withdraw")
    toy = driver.toy
    for _ in range(driver.chance.randrange(1, 3)):
        toy.soon(toy.submit_another, driver.chance.choice([-LATEST_S, 0.0, 20.0]))
    toy.pass_time(0.0)
    outcome = driver.live()
    assert toy.wrongs == []
    assert outcome is Outcome.RELEASED


@law
@given(seeds)
def test_what_is_released_is_online_and_was_approved(seed: int) -> None:
    driver = begin(make_life(seed, rejects=False))
    assert driver.live() is Outcome.RELEASED
    [online] = [row for row in driver.toy.rows if row.status == PackageStatus.ONLINE]
    app = driver.state.apps[APP]
    assert (online.package_id, online.version) == (app.package_id, driver.bundle.version)
    assert len(driver.toy.rows) == 1 + sum(
        row.upload_status == UploadStatus.FAILED for row in driver.toy.rows
    )


def second_run(first: Driver, version: str) -> Driver:
    """Let a new run take over from one that is dead, as `resume` would not."""
    doubted = first.state.apps[APP].unsettled
    second = Driver(
        first.toy,
        replace(first.bundle, version=version),
        first.chance,
        troubles=2,
        state=first.state,
        in_doubt_before=doubted,
    )
    return begin(second)


@law
@given(seeds)
def test_new_runs_that_take_over_do_nothing_twice_either(seed: int) -> None:
    """Up to three runs die anywhere, in the middle of a step too; the last one comes to the end."""
    driver = begin(make_life(seed))
    for _ in range(driver.chance.randrange(1, 4)):
        for _ in range(driver.chance.randrange(8)):
            if not driver.state.apps[APP].terminal:
                driver.turn()
        if driver.state.apps[APP].terminal:
            break
        driver = second_run(driver, driver.chance.choice([driver.bundle.version, "11.0"]))
    outcome = driver.live()
    assert driver.toy.wrongs == []
    wanted = Outcome.REJECTED if driver.toy.rejects else Outcome.RELEASED
    assert outcome in {wanted, Outcome.UNCHANGED}


def uploading_of_an_earlier_night(bundle: Bundle, chance: Random) -> Toy:
    """A package of the same content, under another version, that is about to fail to build."""
    toy = Toy(chance, builds_fail=1)
    row = Package(
        version="9.9",
        description=bundle.description,
        upload_status=UploadStatus.UPLOADING,
        commit_time="0",
    )
    toy.uploads_open = 1
    toy._show(row)
    return toy


@law
@given(seeds)
def test_after_an_adopted_build_failed_the_content_is_uploaded_once(seed: int) -> None:
    chance = Random(seed)
    bundle = make_bundle()
    toy = uploading_of_an_earlier_night(bundle, chance)
    driver = begin(Driver(toy, bundle, chance, troubles=2, state=RunState.new([APP])))
    assert driver.live() is Outcome.RELEASED
    assert toy.wrongs == []
