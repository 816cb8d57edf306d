"""A release that is still being watched, and when a newer one would lose the way back.

The platform keeps one version to go back to (platform-api.md 1.2). A release over one whose soak is
not over makes the unproven one the way back, and the older, proven one is lost for good.

Reads no history itself: `way_back.py` folds it, and the plan keeps what it says.
"""

from datetime import datetime

from pydantic import AwareDatetime

from fleetdeploy.core.rules import Value
from fleetdeploy.model import Package


class Soaking(Value):
    """A package of ours that a run released, and until when its wave is watched."""

    run_id: str
    version: str
    fingerprint: str
    until: AwareDatetime


def lost_by_release(
    soaking: tuple[Soaking, ...], fingerprint: str, live: Package | None, now: datetime
) -> Soaking | None:
    """Return what soaks online and would take the place of the way back; None if nothing does.

    `fingerprint` is of the content to be released: the same content again is no other version.
    Where the platform names no version before what is online, there is no way back to lose.
    """
    if live is None or not live.rollback_version or live.fingerprint == fingerprint:
        return None
    online = (one for one in soaking if one.fingerprint == live.fingerprint)
    return next((one for one in online if now < one.until), None)
