"""Seeded draws named by what they decide, so that no draw shifts another one.

There is no generator with a position: a draw is a hash of the seed and of names such as app,
purpose and number. Outcomes therefore depend neither on the order of calls nor on the traffic of
other apps, and a hundred thousand apps need no state for it.
"""

import math
from hashlib import blake2b
from statistics import NormalDist
from typing import Final

from fleetdeploy.simulator.behaviour import AuditShape, Span

_TWO_TO_64: Final = 2.0**64
_NORMAL: Final = NormalDist()
_P95: Final = _NORMAL.inv_cdf(0.95)


class Chance:
    """The source of all draws of one simulation."""

    def __init__(self, seed: int) -> None:
        self._seed = str(seed)

    def fraction(self, *names: str | float) -> float:
        """Return a number in [0, 1) that depends on the seed and the names alone."""
        return int.from_bytes(self._digest(8, names)) / _TWO_TO_64

    def hexadecimal(self, *names: str | float) -> str:
        """Return 32 hex digits that depend on the seed and the names alone."""
        return self._digest(16, names).hex()

    def happens(self, probability: float, *names: str | float) -> bool:
        return probability > 0 and self.fraction(*names) < probability

    def within(self, span: Span, *names: str | float) -> float:
        """Draw evenly between the two ends."""
        low, high = span
        return low if low == high else low + (high - low) * self.fraction(*names)

    def shaped(self, span: Span, shape: AuditShape, *names: str | float) -> float:
        """Draw within the span, evenly or with most draws early and a long tail.

        For the long tail the ends are the 5th and 95th percentile of a lognormal distribution, and
        what falls outside is moved to the nearer end, so that the span is a bound.
        """
        low, high = span
        if shape is AuditShape.UNIFORM or low <= 0 or low == high:
            return self.within(span, *names)
        middle = (math.log(low) + math.log(high)) / 2
        sigma = (math.log(high) - math.log(low)) / (2 * _P95)
        # The fraction may be 0, where the inverse is not defined.
        deviation = _NORMAL.inv_cdf(max(self.fraction(*names), 1e-12))
        return min(high, max(low, math.exp(middle + sigma * deviation)))

    def _digest(self, size: int, names: tuple[str | int | float, ...]) -> bytes:
        text = "\x1f".join((self._seed, *map(str, names)))
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()
