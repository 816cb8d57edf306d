"""One seed's fate: which kinds of draw it holds, and how it is made smaller; see `plots.py`.

How it works: each kind of draw (`Draw`) has a generator of its own, so that switching one off
leaves all the others as they were. That is how a seed that finds something is made smaller: the
same `Fate` with less and less of it, as long as it still finds something.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from random import Random
from typing import Final

from fleetdeploy.model import Phase, RunKind, Until
from fleetdeploy.storage.memory_journal import Moment
from tests.simulator.harness import Night
from tests.simulator.people import Deed

APPS: Final = (2, 6)


class Draw(StrEnum):
    """One kind of what may befall a rollout; each can be switched off."""

    CLIENTS = "clients"
    """Clients that are not ordinary, and uploads that submit by themselves."""
    SWITCHES = "switches"
    """How the platform behaves where no source says it."""
    LIMITS = "limits"
    """A slow pace, and a platform that refuses even that."""
    FAULTS = "faults"
    OUTAGES = "outages"
    TOKENS = "tokens"
    """Tokens that rotate, and pushes, in place of tokens that somebody else keeps."""
    FOREIGN = "foreign"
    """Rules about packages of others, per run and per app."""
    PRIORITIES = "priorities"
    WAVES = "waves"
    BUDGET = "budget"
    HOURS = "hours"
    CLOCK = "clock"
    UNTIL = "until"
    """A run that at first goes only as far as a build or an approval."""
    ORDERS = "orders"
    DEATHS = "deaths"
    LATENCY = "latency"
    """Of the journal: records take a while to become durable, and those around a death may tear."""
    PEOPLE = "people"
    """Who lends a hand in the console, or gets in the way there."""
    STRAYS = "strays"
    """Requests that are long on their way, and arrive after their process has died."""
    NEXT = "next"
    """Another run takes over after a death, or the run is taken back."""


@dataclass(frozen=True)
class Death:
    """How one process dies: after so many seconds, or as its n-th record is at a moment.

    The disk keeps the share `keep` of what was not durable; the next begins `rest_s` later.
    """

    after_s: float
    record: int | None
    moment: Moment
    keep: float
    rest_s: float


class NextRun(StrEnum):
    TAKEOVER = "takeover"
    """The same content once more."""
    NEWER = "newer"
    """Other content, over whatever the run before has left on the way."""
    ROLLBACK = "rollback"
    WITHDRAW = "withdraw"

    @property
    def kind(self) -> RunKind:
        rolls_out = self in {NextRun.TAKEOVER, NextRun.NEWER}
        return RunKind.ROLLOUT if rolls_out else RunKind(self.value)


@dataclass(frozen=True)
class Fate:
    """A seed, and what of its draws does not happen; `apps` is how many there are at most."""

    seed: int
    without: frozenset[Draw] = frozenset()
    apps: int | None = None

    def rng(self, draw: Draw) -> Random | None:
        """Return the generator of a draw, None where that is switched off."""
        return None if draw in self.without else Random(f"{draw} {self.seed}")

    @property
    def command(self) -> str:
        """What lives through exactly this again."""
        words = [f"python -m tests.soak --only {self.seed}"]
        words += [f"--without {','.join(sorted(self.without))}"] if self.without else []
        words += [f"--apps {self.apps}"] if self.apps is not None else []
        return " ".join(words)


@dataclass
class Plot:
    """A fate in full: the night to live, and what is to come over it.

    `next_run` begins after this death, counted from 0; with None after the end, or, where it is a
    withdrawal, as soon as all that can be done at once is done. It dies `next_deaths`.
    """

    night: Night
    expected: Mapping[str, tuple[Phase, ...]]
    deaths: tuple[Death, ...] = ()
    until_first: Until = Until.RELEASED
    next_run: NextRun | None = None
    next_after: int | None = None
    next_deaths: tuple[Death, ...] = ()
    deeds: tuple[Deed, ...] = ()
    stray_s: float = 0.0
    chance: Random = field(default_factory=Random)


def shrink(fate: Fate, fails: Callable[[Fate], bool]) -> Fate:
    """Return the smallest fate that still fails: as few draws as possible, then as few apps."""
    for one in Draw:
        less = replace(fate, without=fate.without | {one})
        if one not in fate.without and fails(less):
            fate = less
    for apps in range(1, APPS[1]):
        if fails(replace(fate, apps=apps)):
            return replace(fate, apps=apps)
    return fate
