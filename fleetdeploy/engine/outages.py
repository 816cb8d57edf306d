"""Waits for the end of an outage instead of sending into it: the breakers, the journal, the clock.

It decides nothing about apps and sends nothing. Whether a service is out is learnt from looks, and
from the records of steps; `core/breaker.py` and `core/outages.py` say what that means.
"""

from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Final

import anyio

from fleetdeploy.core.breaker import COSTLY_PROBE_MAX_S, PROBE_MAX_S, Breaker
from fleetdeploy.core.outages import (
    NEEDED_BY,
    is_trouble,
    out_now,
    service_of_success,
    service_of_trouble,
)
from fleetdeploy.core.records import (
    AnyAppRecord,
    ErrorNote,
    OutageBegan,
    OutageEnded,
    StepDoubted,
    StepFailed,
)
from fleetdeploy.core.replay import RunState
from fleetdeploy.engine.ledger import Ledger
from fleetdeploy.engine.scheduler import Next
from fleetdeploy.model import Service, Step
from fleetdeploy.ports import WallClock

COSTLY: Final = frozenset({Service.UPLOAD, Service.BUILD})
"""Services whose probe is an upload."""
LEAST_WAIT_S: Final = 1.0
"""Where a look may probe the platform at once, a step that was about to go comes back no sooner:
it needs a look of its own, and somebody else's may do."""
PROBED_S: Final = 3.0
"""How often a run that does not wait asks whether the probe under way has ended: the platform
takes about as long to show anything."""


def _breakers(state: RunState, now: datetime) -> dict[Service, Breaker]:
    """Make a breaker for each service, open where the journal says that it is out."""
    # A clock that was set back makes an outage no younger than this process.
    age_s = {
        service: max(0.0, (now - outage.since).total_seconds())
        for service, outage in out_now(state.outages).items()
    }
    return {
        service: Breaker(
            len(state.apps),
            anyio.current_time() - age_s[service] if service in age_s else None,
            COSTLY_PROBE_MAX_S if service in COSTLY else PROBE_MAX_S,
        )
        for service in Service
    }


class Outages:
    """One breaker for each service. `waits`: the run waits for the end of an outage.

    Those that the journal says are out begin open, as old as it says by `clock`, and the first who
    comes probes. `on_end` is called when one has ended, so that those who wait may be woken.
    `apps` tells how many apps of the run may be sent for by now: more cannot meet trouble.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: WallClock,
        rng: Random,
        *,
        waits: bool,
        apps: Callable[[], int],
    ) -> None:
        self._ledger = ledger
        self._apps = apps
        self._rng = rng
        self._waits = waits
        self._clock = clock
        self._breakers = _breakers(ledger.state, self._clock.now())
        self._platform = self._breakers[Service.PLATFORM]
        # Records of outages are written in the order in which the breakers moved.
        self._writing = anyio.Lock()
        self.on_end: Callable[[], None] = lambda: None

    @property
    def platform_is_out(self) -> bool:
        return self._platform.is_open

    @property
    def platform_back_at(self) -> float:
        """When the last outage of the platform ended (anyio's clock); long ago if there was none.

        What does not show, or goes on, proves nothing for the time before.
        """
        return self._platform.closed_at

    def hold_look(self, app_id: str, step: Step | None) -> Next | None:
        """Return when to come again instead of looking now, None where the app may look.

        It may be the probe; also that of the services that `step` needs, for which it waited.
        """
        needed = [self._platform, *self._needed_by(step)]
        return self._hold(app_id, needed)

    def hold_step(self, app_id: str, step: Step) -> Next | None:
        """Return when to come again instead of sending a step now, None where it may be sent.

        It may be the probe of the service. Only a look probes the platform as a whole.
        """
        if self._platform.is_open:
            return self._later([self._platform])
        return self._hold(app_id, self._needed_by(step))

    def _needed_by(self, step: Step | None) -> list[Breaker]:
        services = NEEDED_BY[step] if step is not None else ()
        return [self._breakers[service] for service in services]

    def _hold(self, app_id: str, needed: list[Breaker]) -> Next | None:
        now = anyio.current_time()
        shut = [breaker for breaker in needed if not breaker.lets(app_id, now)]
        if shut:
            return self._later(shut)
        for breaker in needed:
            breaker.enter(app_id, now)
        return None

    def _later(self, shut: list[Breaker]) -> Next:
        """Come again when a probe may go; a run that does not wait only sees one out."""
        now = anyio.current_time()
        if not self._waits and any(breaker.is_probed(now) for breaker in shut):
            return Next(PROBED_S)
        wait_s = max(breaker.wait_s(now) for breaker in shut)
        return Next(max(wait_s, LEAST_WAIT_S), patient=True)

    async def looked(self, app_id: str) -> None:
        """Be told that a look got through."""
        await self._succeeded(Service.PLATFORM, app_id)

    async def look_failed(self, app_id: str, error: ErrorNote) -> None:
        """Be told that a look failed, after all the tries that a call gets."""
        if is_trouble(error.code):
            await self._troubled(Service.PLATFORM, app_id, error)

    def judged(self, record: AnyAppRecord) -> AnyAppRecord:
        """Return the record of a try, excused if it came to nothing because of an outage.

        The record says it itself: others may become durable in between, and replay must agree.
        """
        service = service_of_trouble(record)
        if service is None:
            return record
        now = anyio.current_time()
        out = (self._breakers[service], self._platform)
        excused = any(breaker.excuses(now) for breaker in out)
        return record.model_copy(update={"excused": True}) if excused else record

    async def recorded(self, record: AnyAppRecord) -> None:
        """Be told what became of a step, once it is in the journal."""
        succeeded, troubled = service_of_success(record), service_of_trouble(record)
        if succeeded is not None:
            await self._succeeded(succeeded, record.app_id)
        if troubled is not None:
            assert isinstance(record, StepFailed | StepDoubted)
            await self._troubled(troubled, record.app_id, record.error)

    async def _succeeded(self, service: Service, app_id: str) -> None:
        if self._breakers[service].succeeded(app_id, anyio.current_time()):
            async with self._writing:
                await self._ledger.append(OutageEnded(service=service))
            self.on_end()

    async def _troubled(self, service: Service, app_id: str, error: ErrorNote) -> None:
        breaker = self._breakers[service]
        breaker.apps = self._apps()
        if breaker.troubled(app_id, anyio.current_time(), self._rng.random()):
            async with self._writing:
                await self._ledger.append(OutageBegan(service=service, error=error))
