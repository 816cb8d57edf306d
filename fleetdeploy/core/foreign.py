"""How a release that somebody made by hand is told from what our runs left online.

Reads no history itself: what earlier runs know is folded by `left_online.py` and kept in the plan,
so that a run decides alike on any machine.
"""

from fleetdeploy.core.rules import Value
from fleetdeploy.model import Package


class LeftOnline(Value):
    """What our runs have brought online of an app, as versions.

    `ours` was online for certain. Since then `maybe` were released without anybody having seen
    them online, and `back_to` are those that our rollbacks brought back, or may have.
    """

    ours: str | None = None
    maybe: tuple[str, ...] = ()
    back_to: tuple[str, ...] = ()


def replaced_by_hand(live: Package | None, left: LeftOnline | None) -> str | None:
    """Return which version of ours somebody's release has replaced; None if none has.

    Where we never released, whatever is online was there before us. What a rollback of ours
    brought back is known by its version alone: the platform names no more (platform-api.md 1.1).
    """
    if live is None or left is None or live.fingerprint is not None:
        return None
    if live.version in left.back_to:
        return None
    if left.ours is not None:
        return left.ours
    return live.rollback_version if live.rollback_version in left.maybe else None
