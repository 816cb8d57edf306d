"""The rules of a run as its plan fixes them: values only, which decide nothing."""

from datetime import date
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from fleetdeploy.core.fields import parse_budget

ForeignPackage = Literal["block", "wait", "withdraw"]
"""What is done about an app that has somebody else's package in audit."""


class Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FreezeRule(Value):
    """Whole days in a zone, first and last included, on which nothing is submitted or released."""

    first: date
    last: date
    zone: str
    reason: str = ""


class WaveRule(Value):
    """One wave and its gate. `gate` is None for one that opens by itself.

    `soak_s` counts from the wave's last end; `approve_within_s` from then on, too.
    """

    name: str
    soak_s: float = 0.0
    gate: Literal["approval"] | None = None
    approve_within_s: float | None = None
    auto_rollback: bool = False


class RunRules(Value):
    """What the manifest says about the run as a whole, with the budgets resolved to numbers.

    None: as many blocked apps, or apps of one cause, as there may be; nobody is newly set aside.
    Windows are written as in the manifest; without any, it may happen at any time.
    `wait_for_foreign` is what plans said before there was `foreign_package`.
    `waves` says more of waves that do more than follow each other; `order` and `budget` are None
    for the usual ones.
    """

    skip_unchanged: bool
    wait_for_foreign: bool
    max_failures: str
    failures_allowed: int
    max_blocked: str | None = None
    blocked_allowed: int | None = None
    halt_on_cause: int | None = None
    quarantine_after: int | None = None
    requests_per_second: float
    in_flight: int
    endpoints: dict[str, float] = Field(default_factory=dict)
    submit_windows: tuple[str, ...] = ()
    release_windows: tuple[str, ...] = ()
    freezes: tuple[FreezeRule, ...] = ()
    waves: tuple[WaveRule, ...] = ()
    order: Literal["audit_ahead"] | None = None
    budget: Literal["soft"] | None = None
    foreign_package: ForeignPackage | None = None
    overwrite_foreign: bool | None = None
    protect_rollback: bool | None = None

    @property
    def in_foreign_audit(self) -> ForeignPackage:
        """What is done about somebody else's package in audit, whatever the plan's age."""
        return self.foreign_package or ("wait" if self.wait_for_foreign else "block")


LATER_RULES: Final = (
    "max_blocked",
    "blocked_allowed",
    "halt_on_cause",
    "quarantine_after",
    "submit_windows",
    "release_windows",
    "freezes",
    "waves",
    "order",
    "budget",
    "foreign_package",
    "overwrite_foreign",
    "protect_rollback",
)
"""Plans were saved before there were these: a digest covers them only where they say something."""


def with_budgets(rules: RunRules, apps: int) -> RunRules:
    """Return the rules with their budgets worked out for so many apps."""
    blocked = rules.max_blocked
    return rules.model_copy(
        update={
            "failures_allowed": _allowed(rules.max_failures, apps),
            "blocked_allowed": _allowed(blocked, apps) if blocked is not None else None,
        }
    )


def _allowed(text: str, apps: int) -> int:
    return parse_budget(text if text.endswith("%") else int(text)).allowed(apps)
