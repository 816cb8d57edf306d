"""What a decision is made of and what it can be; `decide.py` makes them."""

from dataclasses import dataclass

from fleetdeploy.core.records import AnyAppRecord, StepStarted
from fleetdeploy.core.rules import ForeignPackage
from fleetdeploy.model import Package

NOTES_MAX = 16
"""One look settles at most as many things as there are phases; more is a bug going in circles."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of a run that decisions depend on; durations in seconds.

    `foreign_package` and `overwrite_foreign` hold where an app has no rule of its own.
    `protect_rollback`: nothing is released over what still soaks.
    `settle_s`: silence of this length proves that a request did not take effect.
    `vanish_s`: silence of this length proves that somebody took a package away.
    `visible_s`: how long an acknowledged upload or release may stay invisible.
    `attempts` bounds the tries of a step; `attempts_answered` those that the platform did answer,
    with words that say nothing certain.
    """

    skip_unchanged: bool = True
    foreign_package: ForeignPackage = "block"
    overwrite_foreign: bool = False
    protect_rollback: bool = False
    settle_s: float = 10.0
    vanish_s: float = 60.0
    visible_s: float = 1800.0
    attempts: int = 10
    attempts_answered: int = 2


@dataclass(frozen=True, slots=True)
class Sight:
    """One look: the rows, how long what is missing has been missing, how long the phase lasts.

    `absent_s` is None while nothing was missing at the look before this one; `missing` says what.
    """

    rows: tuple[Package, ...]
    absent_s: float | None = None
    missing: str = ""
    phase_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Note:
    """`halt` says that what was learnt stops the whole run, once it is recorded."""

    record: AnyAppRecord
    why: str
    halt: bool = False


@dataclass(frozen=True, slots=True)
class Do:
    record: StepStarted
    why: str


@dataclass(frozen=True, slots=True)
class Poll:
    why: str


@dataclass(frozen=True, slots=True)
class Confirm:
    """`missing` names what does not show: silences about different things do not add up."""

    wait_s: float
    missing: str
    why: str


@dataclass(frozen=True, slots=True)
class Rest:
    why: str


Decision = Note | Do | Poll | Confirm | Rest
