"""What a process remembers of one app while it works on it; the journal knows nothing of it."""

from dataclasses import dataclass, field

from fleetdeploy.core.targets import Target
from fleetdeploy.engine.lookout import Patience
from fleetdeploy.model import Package, Phase


@dataclass(slots=True, eq=False)
class Flight:
    """What the process remembers of an app beside its journal: all of it may be lost.

    Times are anyio's clock. `rows` is a look already made, at `looked_at`. `phase_found` is the
    phase in which this process found the app. `absent_since` is since when what ought to show,
    `missing`, has not shown; `patience` is about the waiting in this phase. `uploaded_here`: this
    very process sent the upload.
    """

    target: Target
    rows: tuple[Package, ...] | None = None
    looked_at: float = float("-inf")
    phase: Phase = Phase.QUEUED
    phase_found: Phase | None = None
    phase_since: float | None = None
    absent_since: float | None = None
    missing: str = ""
    uploaded_here: bool = False
    patience: Patience = field(default_factory=Patience)
    looks_failed: int = 0
