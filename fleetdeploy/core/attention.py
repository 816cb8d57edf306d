"""How far notices can be relied on, learnt from what they announced; pure.

That a push or a row of the list comes for every verdict is documented for no one way
(platform-api.md 2.2, 4.3), so it is found out. Each verdict that a look shows was either announced
by a notice, before it or soon after, or it was not. One that was not ends all reliance: from then
on waiting apps are looked at as if there were no notices.
"""

from dataclasses import dataclass, field
from typing import Final

PROVEN: Final = 3
"""So many announced verdicts, and none unannounced, prove that notices come."""
LATE_S: Final = 15 * 60.0
"""A notice this much later than the verdict that we saw still counts: pushes are repeated, and the
list may lag."""
CALM_GROWTH: Final = 2.0
CALM_GROWTHS_MAX: Final = 3
"""Each look that found nothing new makes the next pause longer, up to some days."""
SCOUT_S: Final = 600.0
"""While nothing is proven, the whole fleet makes about one look in this time to find out."""
ALERT_LOOKS: Final = 4
"""Looks at the usual intervals after a notice that a look did not confirm: reads lag."""


@dataclass(slots=True)
class Attention:
    """What notices have been worth so far. Times are seconds on one clock."""

    announced: int = 0
    missed: bool = False
    _noticed: set[str] = field(default_factory=set)
    _unannounced: dict[str, float] = field(default_factory=dict)

    def noticed(self, app_id: str) -> None:
        """Count a notice about an app."""
        if self._unannounced.pop(app_id, None) is not None:
            self.announced += 1
        else:
            self._noticed.add(app_id)

    def verdict(self, app_id: str, now: float) -> None:
        """Count a verdict that a look has shown."""
        if app_id in self._noticed:
            self._noticed.discard(app_id)
            self.announced += 1
        else:
            self._unannounced.setdefault(app_id, now)

    def relied_on(self, now: float) -> bool:
        """Whether a waiting app may be left alone until a notice comes."""
        if self._unannounced and not self.missed:
            # In order of time: verdicts are counted as they are seen.
            first = next(iter(self._unannounced.values()))
            self.missed = now - first > LATE_S
        return not self.missed

    def interval_s(
        self, usual_s: float, quiet_s: float, *, looks: int, waiters: int, chance: float
    ) -> float:
        """Return how long to leave a waiting app alone where notices are relied on.

        `quiet_s` is for how long their silence can be believed, `looks` how many looks have found
        nothing new, `chance` is uniform in [0, 1). Spread evenly, so that the fleet as a whole is
        looked at steadily: about every `SCOUT_S` until notices are proven, then hardly ever.
        """
        grown_s = quiet_s * CALM_GROWTH ** min(looks, CALM_GROWTHS_MAX)
        calm_s = grown_s * (0.5 + chance)
        if self.announced < PROVEN:
            calm_s = min(calm_s, 2 * chance * waiters * SCOUT_S)
        return max(usual_s, calm_s)
