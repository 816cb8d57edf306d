"""A fleet that is rolled out while its process is killed again and again, and what must hold.

Everything is real but the platform: the command line in processes, files, sockets, SIGKILL. It goes
by what the processes leave behind: the journals on disk, and the books of the simulated platform.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from fleetdeploy.errors import FleetError, RunNotFound
from fleetdeploy.simulator.ledger import EffectKind
from fleetdeploy.storage.archive import every_run, latest_unfinished
from fleetdeploy.storage.run_dir import StateDir
from tests.crash.mortal import DIES_AT, POINTS
from tests.e2e.stage import QUICK, Result, Stage, open_stage

MORTAL: Final = "tests.crash.mortal"
MOMENT: Final = "any moment"
"""Not a point of the process but a time: the kill comes from outside."""
KILLED: Final = -9
DONE: Final = frozenset({0, 3})
"""How a run ends that got everybody where they can be."""
ONLINE: Final = frozenset({"released", "unchanged"})

LOST: Final = {
    "rates": {"request_lost": 0.03, "answer_lost": 0.05, "error_page_done": 0.03, "cut_body": 0.03}
}
"""A kill is worst where an answer was lost before."""
CLIENTS: Final[Sequence[tuple[Mapping[str, object], str]]] = (
    ({"reject_chance": 1.0}, "rejected"),
    ({"name_approved": False}, "blocked"),
    ({"authorization": "withdrawn"}, "blocked"),
    ({"upload_failures": 1}, "released"),
    ({"foreign": [{"status": 1}]}, "released"),
)
"""The first clients of a fleet, and how each has to end; all others are released."""


@dataclass(frozen=True)
class Death:
    """Where a process is to die: when it passes a point for the n-th time, or at a moment."""

    point: str
    nth: int = 1
    moment_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.point}:{self.nth}"


@dataclass
class Tally:
    """What ordeals add up to. `wrong` says everything that ought not to be, in words."""

    kills: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    resumes: int = 0
    rollouts: int = 0
    effects: int = 0
    twice: int = 0
    unlawful: int = 0
    unannounced: int = 0
    lost: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        for name in vars(other):
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Ordeal:
    """One fleet on its stage. Each life is a process; a rollout takes as many as it takes."""

    def __init__(self, stage: Stage, rng: Random) -> None:
        stage.nursery = MORTAL
        self.stage = stage
        self.tally = Tally()
        self._rng = rng
        self._open = False

    def suffer(self, death: Death, *, anew: bool = False) -> bool:
        """Live once and say whether it came to this death; `anew` begins a run in any case."""
        armed = {} if death.point == MOMENT else {DIES_AT: str(death)}
        result = self._live(armed, death.moment_s or None, anew=anew)
        died = result.code == KILLED
        (self.tally.kills if died else self.tally.missed)[death.point] += 1
        self._look_back()
        return died

    def finish(self) -> None:
        """Let the rollout that is under way come to its end, and settle the books."""
        if self._open:
            self._live({}, None, anew=False)
        self._look_back()
        if self._open:
            self.tally.wrong.append("a rollout does not come to its end")
        self._settle_the_books()

    def _live(self, armed: Mapping[str, str], moment_s: float | None, *, anew: bool) -> Result:
        """Let one process run, to its end or to its death."""
        if not self._open:
            self.tally.rollouts += 1
            self._open = True
        resumes = not anew and self._is_resumable()
        words = ["resume"] if resumes else ["run", self._manifest()]
        self.tally.resumes += resumes
        self.tally.runs += not resumes
        self.stage.besides = dict(armed)
        command = self.stage.start(*words, "-o", "json", "-q")
        if moment_s is not None and not command.ends_within(moment_s):
            return command.kill()
        result = command.end()
        if result.code in DONE:
            self._open = False
            self._check_outcomes(result)
        elif result.code != KILLED:
            self.tally.wrong.append(f"{words[0]} ended with {result.code}: {result.err[-500:]}")
        return result

    def _manifest(self) -> str:
        """Ask for other content with each rollout: the same under another version is no news."""
        content = {"ext": {"rollout": self.tally.rollouts}}
        # So many runs of one rollout would set aside whom the platform refuses each time.
        rollout = {"max_failures": "100%", "quarantine_after": 0}
        return self.stage.manifest(version=self._version(), ext_json=content, rollout=rollout)

    def _version(self) -> str:
        return f"2.{self.tally.rollouts}"

    def _is_resumable(self) -> bool:
        try:
            latest_unfinished(StateDir(self.stage.state))
        except RunNotFound:
            return False
        return True

    def _check_outcomes(self, result: Result) -> None:
        apps = result.document()["apps"]
        assert isinstance(apps, list)
        version = self._version()
        released = {
            effect.app_id
            for effect in self.stage.platform.world.effects
            if (effect.kind, effect.version) == (EffectKind.RELEASE, version)
        }
        expected = dict(zip(self.stage.app_ids, _expected(len(apps)), strict=True))
        for app in apps:
            app_id, outcome = app["app_id"], app["outcome"]
            if outcome not in expected[app_id]:
                self.tally.wrong.append(f"{version} of {app_id} is {outcome}: {app['error']}")
            self.tally.lost += outcome in ONLINE and app_id not in released

    def _look_back(self) -> None:
        """Check what must hold at every moment: what the platform accepted was announced (J1)."""
        announced = Counter(
            (str(record["app_id"]), str(record["step"]))
            for record in self.stage.records()
            if record["kind"] == "step_started"
        )
        accepted = Counter(
            (effect.app_id, str(effect.kind)) for effect in self.stage.platform.world.effects
        )
        self.tally.unannounced = (accepted - announced).total()

    def _settle_the_books(self) -> None:
        said = self.stage.platform.report()
        self.tally.effects = self.stage.platform.total()
        self.tally.twice = said["duplicates"]["count"]  # type: ignore[index]
        self.tally.unlawful = said["violations"]["count"]  # type: ignore[index]
        for run_id, run in every_run(StateDir(self.stage.state)):
            if isinstance(run, FleetError):
                self.tally.wrong.append(f"run {run_id} cannot be read: {run.message}")
            elif run.unfinished and run.contents.started:
                self.tally.wrong.append(f"run {run_id} is not finished")
        self.tally.wrong += [f"a token is in {path}" for path in self._leaks()]

    def _leaks(self) -> list[str]:
        tokens = [token.encode() for token in self.stage.platform.world.tokens.values()]
        return [
            str(path)
            for path in self.stage.directory.rglob("*")
            if path.is_file() and path != self.stage.tokens
            if any(token in path.read_bytes() for token in tokens)
        ]


def _expected(apps: int) -> list[frozenset[str]]:
    """Return how each app may end; a run that was begun anew may find it online already."""
    outcomes = [outcome for _, outcome in CLIENTS] + ["released"] * (apps - len(CLIENTS))
    return [ONLINE if outcome == "released" else frozenset({outcome}) for outcome in outcomes]


@contextmanager
def ordeal(directory: Path, rng: Random, *, apps: int, faults: bool) -> Iterator[Ordeal]:
    """Set a fleet up for an ordeal; it is finished and its books are settled on leaving."""
    scenario = {
        "seed": rng.randrange(1_000_000),
        "behaviour": {**QUICK, "effect_delay_s": 4},
        "apps": {str(200_000_001 + place): what for place, (what, _) in enumerate(CLIENTS)},
        "faults": LOST if faults else {},
    }
    with open_stage(directory, scenario, apps=apps) as stage:
        suffering = Ordeal(stage, rng)
        yield suffering
        suffering.finish()


RANGES: Final[Mapping[str, int]] = {
    "replace": 2,
    "ftruncate": 2,
    "fsync": 2,
    "fdatasync": 20,
    "write": 20,
    "look": 60,
    "change": 25,
}
"""How often a life passes each point, about; a death beyond that does not come."""
ONLY_NEW: Final = frozenset({"before replace", "after replace"})
"""Only a run that begins writes a plan."""
LIFE_S: Final = 2.0
"""About as long as a fleet takes."""
MOMENTS: Final = 8
"""Of kills from outside, to each round of points."""


def drawn(rng: Random) -> list[Death]:
    """Draw a round of deaths: one at every point, and some at any moment, in any order."""
    deaths = [Death(point, rng.randint(1, RANGES[point.split()[1]])) for point in POINTS]
    deaths += [Death(MOMENT, moment_s=rng.uniform(0.02, LIFE_S)) for _ in range(MOMENTS)]
    rng.shuffle(deaths)
    return deaths
