"""What happened in the simulated world, for those who check a client: effects and violations.

Only additions; nothing here changes how the world behaves.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

_VIOLATIONS_KEPT: Final = 10_000


class EffectKind(StrEnum):
    UPLOAD = "upload"
    SUBMIT_AUDIT = "submit_audit"
    RELEASE = "release"
    ROLLBACK = "rollback"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Effect:
    """A call that changes something and was accepted, at the moment of acceptance.

    `package` counts the app's packages from 1 and names the package where an upload has no
    `package_id` yet.
    """

    at: float
    kind: EffectKind
    app_id: str
    package: int
    package_id: int | None
    version: str
    version_desc: str
    template_id: str

    @property
    def identity(self) -> tuple[str | int, ...]:
        """What may be done once only: an upload of this content, or a step of this package."""
        if self.kind is EffectKind.UPLOAD:
            return (self.kind, self.app_id, self.version, self.version_desc)
        return (self.kind, self.app_id, self.package)


@dataclass(frozen=True, slots=True)
class Violation:
    """A request that a lawful client does not send; it was refused and had no effect."""

    at: float
    endpoint: str
    app_id: str
    errno: int
    reason: str


@dataclass(slots=True)
class Ledger:
    """The append-only books of one world."""

    effects: list[Effect] = field(default_factory=list)
    violations: deque[Violation] = field(default_factory=lambda: deque(maxlen=_VIOLATIONS_KEPT))
    violation_count: int = 0

    def add_effect(self, effect: Effect) -> None:
        self.effects.append(effect)

    def add_violation(self, violation: Violation) -> None:
        """Count a violation; beyond a bound only the newest are kept in full."""
        self.violation_count += 1
        self.violations.append(violation)

    def counts(self) -> dict[str, int]:
        totals = dict.fromkeys(map(str, EffectKind), 0)
        for effect in self.effects:
            totals[effect.kind] += 1
        return totals


_OPPOSITE: Final = {
    EffectKind.SUBMIT_AUDIT: EffectKind.WITHDRAW,
    EffectKind.WITHDRAW: EffectKind.SUBMIT_AUDIT,
}
_NEVER: Final = float("inf")


def duplicates(
    effects: Iterable[Effect], ended_at: Callable[[Effect], float | None]
) -> list[Effect]:
    """Return every effect that was done while the same effect still stood.

    An upload stands until its package ends (`ended_at`: failed to build, rejected by the reviewer,
    gone from the list), a submission until it is withdrawn; a release or a rollback of a package
    stands for ever.
    """
    standing: dict[tuple[str | int, ...], float] = {}
    found: list[Effect] = []
    for effect in effects:
        if standing.get(effect.identity, -1.0) > effect.at:
            found.append(effect)
        end = ended_at(effect) if effect.kind is EffectKind.UPLOAD else None
        until = _NEVER if end is None else end
        standing[effect.identity] = max(until, standing.get(effect.identity, until))
        if opposite := _OPPOSITE.get(effect.kind):
            standing.pop((opposite, effect.app_id, effect.package), None)
    return found
