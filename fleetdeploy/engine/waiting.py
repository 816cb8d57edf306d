"""Who waits for what before a step or a look, without a call meanwhile.

It decides nothing about apps: whether a step may be sent is said by the clearance, whether a
service answers by the outages. Whoever waits is woken by somebody else.
"""

from math import inf

from fleetdeploy.engine.clearance import Clearance
from fleetdeploy.engine.flight import Flight
from fleetdeploy.engine.outages import Outages
from fleetdeploy.engine.scheduler import PARKED, Next
from fleetdeploy.model import Step


class WaitingRoom:
    """Holds each flight with the step that it waits to send.

    `held` wait for their window, `parked` for an event: their wave opens, a pause is lifted, a
    place in the budget is free. `stalled` wait for the end of an outage, some of them for a look
    alone.
    """

    def __init__(self, clearance: Clearance[Flight], outages: Outages) -> None:
        self._clearance = clearance
        self._outages = outages
        self.held: dict[Flight, Step] = {}
        self.parked: dict[Flight, Step] = {}
        self.stalled: dict[Flight, Step | None] = {}

    def before_turn(self, flight: Flight) -> Next | None:
        """Go on waiting for what the flight waited for; None where it may look now."""
        step = self.held.get(flight) or self.parked.get(flight)
        if step is not None and (pause := self._hold(flight, step)):
            return pause
        return self.before_look(flight, self.stalled.get(flight))

    def before_look(self, flight: Flight, step: Step | None) -> Next | None:
        """Wait for the end of an outage; None where the app may look now."""
        if self._outages.platform_is_out:
            # A look made before is no probe.
            flight.rows = None
        return self._stalled(flight, step, self._outages.hold_look(flight.target.app_id, step))

    def before_step(self, flight: Flight, step: Step) -> Next | None:
        """Wait until a step may be sent; None where it may be, and must be, now."""
        if pause := self._hold(flight, step):
            return pause
        return self._stalled(flight, step, self._outages.hold_step(flight.target.app_id, step))

    def before_intent(self, flight: Flight, step: Step) -> Next | None:
        """Ask once more, where something was awaited since the step was let go."""
        return self._hold(flight, step)

    def release(self, flight: Flight) -> None:
        """Let a flight look again at its next turn, whatever its step waited for."""
        self.held.pop(flight, None)
        self.parked.pop(flight, None)

    def _hold(self, flight: Flight, step: Step) -> Next | None:
        wait_s = self._clearance.wait_s(flight, flight.target, step)
        self.release(flight)
        if not wait_s:
            return None
        flight.absent_since = None
        if wait_s == inf:
            self.parked[flight] = step
            return PARKED
        self.held[flight] = step
        return Next(wait_s, patient=True)

    def _stalled(self, flight: Flight, step: Step | None, pause: Next | None) -> Next | None:
        if pause is None:
            self.stalled.pop(flight, None)
        else:
            self.stalled[flight] = step
            flight.absent_since = None
        return pause
