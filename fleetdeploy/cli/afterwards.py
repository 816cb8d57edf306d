"""What came after a run, read from the runs beside it; disk only, and written nowhere."""

from fleetdeploy.cli.process import SystemClock
from fleetdeploy.core.aftermath import NOTHING, Aftermath, Later, aftermath_of, asks_for_more
from fleetdeploy.core.summary import Status, describe_state, summarise
from fleetdeploy.storage.archive import Recorded, newer_runs
from fleetdeploy.storage.run_dir import StateDir


def aftermath(state_dir: StateDir, recorded: Recorded) -> Aftermath:
    """Say what newer runs have made of a run; they are read only where it asks for something."""
    if not asks_for_more(recorded.plan, recorded.state):
        return NOTHING
    later = [
        Later(one.plan, one.state, describe_state(one.state, alive=one.alive), one.alive)
        for one in newer_runs(state_dir, recorded.run.run_id)
    ]
    return aftermath_of(recorded.plan, recorded.state, later)


def status_of(state_dir: StateDir, recorded: Recorded) -> Status:
    """Tell a run with what came after it."""
    return summarise(
        recorded.plan,
        recorded.state,
        alive=recorded.alive,
        now=SystemClock().now(),
        aftermath=aftermath(state_dir, recorded),
    )
