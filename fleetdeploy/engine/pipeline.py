"""One app's turn: look, decide, record the intent, act, record the result.

It does not know the other apps, the run's end, HTTP or files.
"""

from typing import assert_never

import anyio

from fleetdeploy.core.app_state import AppState
from fleetdeploy.core.decide_back import decide_for
from fleetdeploy.core.decisions import NOTES_MAX, Confirm, Do, Note, Policy, Poll, Rest, Sight
from fleetdeploy.core.lifecycle import SENT
from fleetdeploy.core.quota import REFUSED, quota_end, told
from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    ErrorNote,
    HaltCause,
    StepDoubted,
    StepFailed,
    StepStarted,
    StepSucceeded,
)
from fleetdeploy.core.targets import Target
from fleetdeploy.core.way_back import protected_end
from fleetdeploy.engine.allowance import Allowance
from fleetdeploy.engine.flight import Flight
from fleetdeploy.engine.ledger import Ledger
from fleetdeploy.engine.lookout import Lookout, Patience
from fleetdeploy.engine.outages import Outages
from fleetdeploy.engine.scheduler import Next
from fleetdeploy.engine.steering import Steering
from fleetdeploy.engine.waiting import WaitingRoom
from fleetdeploy.errors import FleetRefused, PlatformError, Remedy, WindowClosed
from fleetdeploy.model import AuditQuota, Outcome, Phase, Step
from fleetdeploy.ports import Platform

FRESH_S = 15.0
"""A look younger than this still counts as the look before a step."""
LEAST_PAUSE_S = 0.01
"""Rounding must not leave a silence that never quite lasts long enough."""
SAT_OUT_S = 120.0
"""A silence no longer than this is always sat out."""
PATIENCE_LOOKS = 3
"""After this many failed looks in a row an app only waits; a run that does not wait leaves it."""


class Pipeline:
    """Gives turns to flights.

    If a turn is cancelled, the platform and the journal are as after a kill: a step whose intent
    is recorded is in doubt, everything else is as recorded.
    """

    def __init__(  # noqa: PLR0913 - what a turn needs, each a part of its own
        self,
        platform: Platform,
        ledger: Ledger,
        steering: Steering,
        policy: Policy,
        lookout: Lookout,
        *,
        waiting: WaitingRoom,
        allowance: Allowance,
        outages: Outages,
    ) -> None:
        self._platform = platform
        self._ledger = ledger
        self._steering = steering
        self._policy = policy
        self._lookout = lookout
        self._waiting = waiting
        self._allowance = allowance
        self._outages = outages

    async def turn(self, flight: Flight) -> Next | None:
        """Bring one app as far as it goes now; say when to come again, None at its end."""
        if self._app(flight).terminal:
            return None
        if flight.target.set_aside is not None:
            # Whatever a look would show, the decision is made.
            return await self._act_on(flight, Sight(()))
        if pause := self._waiting.before_turn(flight):
            return pause
        try:
            sight = await self._look(flight)
        except PlatformError as error:
            return await self._look_failed(flight, error)
        return await self._act_on(flight, sight)

    async def _look(self, flight: Flight) -> Sight:
        """Read the app's packages, unless a look made just now is at hand."""
        now = anyio.current_time()
        if flight.rows is None or now - flight.looked_at > FRESH_S:
            flight.rows = await self._platform.packages(flight.target.app_id)
            flight.looked_at = now
            await self._outages.looked(flight.target.app_id)
        rows, flight.rows = flight.rows, None
        flight.looks_failed = 0
        self._note_phase(flight)
        assert flight.phase_since is not None
        # Silence is measured from its first notice to the moment the last look was sent. What the
        # platform did not do or show while it was out proves nothing.
        absent, back_at = flight.absent_since, self._outages.platform_back_at
        return Sight(
            rows,
            absent_s=None if absent is None else max(0.0, flight.looked_at - max(absent, back_at)),
            missing=flight.missing,
            phase_s=max(0.0, flight.looked_at - max(flight.phase_since, back_at)),
        )

    async def _act_on(self, flight: Flight, sight: Sight) -> Next | None:
        """Decide and act until the app must wait or has ended."""
        for _ in range(NOTES_MAX):
            if self._app(flight).terminal:
                return None
            decision = decide_for(
                self._ledger.state.kind,
                self._app(flight),
                flight.target,
                sight,
                self._policy,
                self._ledger.state.until,
            )
            match decision:
                case Note():
                    pause = await self._note(flight, decision)
                    if pause is not None:
                        return pause
                    sight = Sight(sight.rows)
                case Do():
                    return await self._perform(flight, decision.record, sight)
                case Poll():
                    flight.absent_since = None
                    return self._poll(flight)
                case Confirm():
                    return self._confirm(flight, decision)
                case Rest():
                    return None
                case _:
                    assert_never(decision)
        raise AssertionError(f"app {flight.target.app_id}: one look, and no end of decisions")

    async def _note(self, flight: Flight, note: Note) -> Next | None:
        """Record what a look settled; return a pause where trying again at once is no use."""
        if self._app(flight).phase is Phase.AUDITING and _is_verdict(note.record):
            self._lookout.saw_verdict(flight.target.app_id)
        await self._record(note.record)
        flight.absent_since = None
        self._note_phase(flight)
        if isinstance(note.record, AppFinished):
            self._steering.count_ends(self._ledger.state)
        if isinstance(note.record, StepFailed) and not note.record.settled:
            # A build that failed before this process began may have been mended since.
            if note.halt and flight.uploaded_here:
                self._steering.stop_for(HaltCause.PLATFORM, note.record.error)
            return self._again(flight, Step.UPLOAD)
        return None

    async def _perform(self, flight: Flight, intent: StepStarted, sight: Sight) -> Next | None:
        """Take a step that changes something, once it may be taken and would not be in vain."""
        if self._steering.stopping:
            return Next(0.0, urgent=True)
        if pause := self._waiting.before_step(flight, intent.step):
            return pause
        if intent.step is Step.RELEASE and self._policy.protect_rollback:
            end = protected_end(flight.target, sight.rows, self._allowance.now)
            if end is not None:
                return await self._note(flight, end)
        quota = None
        if intent.step.submits(direct_commit=flight.target.bundle.direct_commit):
            try:
                quota = await self._allowance.ask(intent.app_id)
            except PlatformError as error:
                return await self._look_failed(flight, error)
            if (end := quota_end(intent.app_id, quota, self._allowance.now)) is not None:
                return await self._note(flight, end)
            # A pause may have come, or a window closed, while the quota was read.
            if pause := self._waiting.before_intent(flight, intent.step):
                return pause
        return await self._send(flight, intent, quota)

    async def _send(
        self, flight: Flight, intent: StepStarted, quota: AuditQuota | None
    ) -> Next | None:
        """Send a request that changes something: intent first, then the call, then its result.

        `quota` is what was read before a submission.
        """
        # A stop may have come while the quota was read.
        if self._steering.stopping:
            return Next(0.0, urgent=True)
        await self._ledger.append(intent)
        flight.absent_since = None
        flight.uploaded_here = flight.uploaded_here or intent.step is Step.UPLOAD
        self._note_phase(flight)
        try:
            await self._call(flight.target, intent)
        except PlatformError as error:
            note = error_note(error)
            if error.code == REFUSED and quota is not None:
                note = told(note, quota, self._allowance.now)
            return await self._step_failed(flight, intent, error, note)
        record = StepSucceeded(app_id=intent.app_id, step=intent.step, attempt=intent.attempt)
        await self._record(record)
        self._note_phase(flight)
        return self._after(flight)

    def _after(self, flight: Flight) -> Next:
        """Come again after a yes of the platform: soon, unless a notice will say when."""
        if self._app(flight).phase is Phase.AUDITING and self._lookout.quiet_s:
            return self._poll(flight)
        return Next(self._lookout.initial_s)

    async def _call(self, target: Target, intent: StepStarted) -> None:
        if intent.step is Step.UPLOAD:
            await self._platform.upload(target.app_id, target.bundle)
            return
        app_id, package_id = target.app_id, intent.package_id
        assert package_id is not None
        match intent.step:
            case Step.SUBMIT_AUDIT:
                await self._platform.submit_audit(app_id, package_id, target.bundle.audit)
            case Step.RELEASE:
                await self._platform.release(app_id, package_id)
            case Step.ROLLBACK:
                await self._platform.rollback(app_id, package_id)
            case Step.WITHDRAW:
                await self._platform.withdraw(app_id, package_id)
            case _:
                raise AssertionError(f"{intent.step} is not sent")

    async def _step_failed(
        self, flight: Flight, intent: StepStarted, error: PlatformError, note: ErrorNote
    ) -> Next | None:
        """Record what the error proves, and do what its remedy says."""
        if error.remedy is Remedy.RECONCILE:
            doubted = StepDoubted(
                app_id=intent.app_id, step=intent.step, attempt=intent.attempt, error=note
            )
            await self._record(doubted)
            flight.absent_since, flight.missing = anyio.current_time(), intent.step
            return Next(self._lookout.initial_s, urgent=True)
        failed = StepFailed(
            app_id=intent.app_id,
            step=intent.step,
            attempt=intent.attempt,
            error=note,
            excused=isinstance(error, WindowClosed),
        )
        await self._record(failed)
        self._note_phase(flight)
        if intent.obstacle and error.remedy is Remedy.GIVE_UP:
            # Its verdict fell, or somebody was quicker: the next look tells.
            return self._again(flight, intent.step)
        return await self._give_in(flight, error, note, intent.step)

    async def _look_failed(self, flight: Flight, error: PlatformError) -> Next | None:
        """Go on after a look that failed: nothing is known, so nothing is recorded but an end.

        Also an app in doubt may end here: the next run's look will tell what became of it.
        """
        flight.looks_failed += 1
        note = error_note(error)
        await self._outages.look_failed(flight.target.app_id, note)
        return await self._give_in(flight, error, note)

    async def _give_in(
        self, flight: Flight, error: PlatformError, note: ErrorNote, step: Step | None = None
    ) -> Next | None:
        """End, pause or halt, after an error of a look or a step that had no effect."""
        match error.remedy:
            case Remedy.RETRY | Remedy.WAIT | Remedy.RECONCILE:
                return self._again(flight, step)
            case Remedy.PARK | Remedy.REFRESH:
                await self._end(flight, Outcome.BLOCKED, note, unseen=step is None)
            case Remedy.GIVE_UP:
                await self._end(flight, Outcome.FAILED, note, unseen=step is None)
            case Remedy.STOP:
                credentials = isinstance(error, FleetRefused) and error.credentials
                cause = HaltCause.CREDENTIALS if credentials else HaltCause.PLATFORM
                self._steering.stop_for(cause, note)
            case _:
                assert_never(error.remedy)
        return None

    async def _end(
        self, flight: Flight, outcome: Outcome, error: ErrorNote, *, unseen: bool
    ) -> None:
        record = AppFinished(
            app_id=flight.target.app_id, outcome=outcome, error=error, unseen=unseen
        )
        await self._ledger.append(record)
        self._steering.count_ends(self._ledger.state)

    async def _record(self, record: AnyAppRecord) -> None:
        """Make durable what became of an app, and let it speak for the service that it met."""
        await self._ledger.append(self._outages.judged(record))
        await self._outages.recorded(record)

    def _again(self, flight: Flight, step: Step | None = None) -> Next:
        """Come again after a pause that grows with the failures so far, or once an outage ends."""
        if pause := self._waiting.before_look(flight, step):
            return pause
        failures = max(self._app(flight).counted, flight.looks_failed)
        delay_s = self._lookout.backoff_s(failures)
        return Next(delay_s, patient=flight.looks_failed >= PATIENCE_LOOKS)

    def _poll(self, flight: Flight) -> Next:
        if self._app(flight).phase in _PEOPLE_DECIDE:
            return Next(self._lookout.calm_s(flight.patience), patient=True)
        return Next(self._lookout.usual_s(flight.patience))

    def _confirm(self, flight: Flight, decision: Confirm) -> Next:
        """Look again in a while, at the latest when the silence will have lasted long enough.

        Each process begins a silence anew, so a run that does not wait sits it out as well; it
        leaves only what has just been sent, and may take long to show.
        """
        now = anyio.current_time()
        if flight.absent_since is None or flight.missing != decision.missing:
            flight.absent_since, flight.missing = now, decision.missing
        left_s = max(LEAST_PAUSE_S, flight.absent_since + decision.wait_s - now)
        delay_s = min(left_s, self._lookout.usual_s(flight.patience))
        phase = self._app(flight).phase
        is_new = phase in _PEOPLE_DECIDE and phase is not flight.phase_found
        long = decision.wait_s > SAT_OUT_S and flight.patience.looks > PATIENCE_LOOKS
        return Next(delay_s, urgent=phase in SENT, patient=is_new and long)

    def _note_phase(self, flight: Flight) -> None:
        """Begin counting anew when the app has changed its phase."""
        phase = self._app(flight).phase
        if flight.phase_found is None:
            flight.phase_found = phase
        if phase is not flight.phase or flight.phase_since is None:
            flight.phase = phase
            flight.phase_since = anyio.current_time()
            flight.patience = Patience()

    def _app(self, flight: Flight) -> AppState:
        return self._ledger.state.apps[flight.target.app_id]


_PEOPLE_DECIDE = frozenset({Phase.QUEUED, Phase.UPLOADED, Phase.AUDITING, Phase.APPROVED})
"""Where a look that finds nothing new means that a person has something to do first."""


def _is_verdict(record: AnyAppRecord) -> bool:
    """Whether this is what an app in audit waited for: the reviewer's yes or no."""
    if isinstance(record, AppFinished):
        return record.outcome is Outcome.REJECTED
    return isinstance(record, StepSucceeded)


def error_note(error: PlatformError) -> ErrorNote:
    """Keep an error in a form that outlives the process."""
    return ErrorNote(
        code=error.code,
        message=error.message,
        hint=error.hint,
        errno=error.errno,
        msg=error.msg,
    )
