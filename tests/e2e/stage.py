"""The real command line in processes of their own, against the real HTTP simulator on loopback.

How it works: a `Stage` is a directory, a simulated platform that is served from a thread of the
test's process, and the clean environment in which commands are started there. Output goes to files,
so that no process can hang on a full pipe and a test can read what was said so far. Whatever a test
starts is ended with the stage, by its own pid, and nothing waits without a bound.
"""

import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import Final, TypeAlias, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from fleetdeploy.simulator.behaviour import ForeignPackage
from fleetdeploy.simulator.faults import Faults
from fleetdeploy.simulator.pusher_http import pushing
from fleetdeploy.simulator.report import report
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.server import serve
from fleetdeploy.simulator.world import World
from tests.e2e.nursery import ROOT, Birth, Child, nursery

T = TypeVar("T")

Document: TypeAlias = dict[str, object]
Descriptors: TypeAlias = tuple[int, int, int]
"""stdin, stdout and stderr."""
Starter: TypeAlias = "Callable[[Descriptors], Popen[bytes] | Child]"

LIMIT_S: Final = 45.0
"""No command here takes a tenth of this on an idle machine."""
TICK_S: Final = 0.01
"""Between two looks at a condition."""
TIME_SCALE: Final = 20.0
"""An hour of the simulated platform takes three minutes, and its delays a tenth of a second."""
QUICK: Final[Mapping[str, object]] = {
    "effect_delay_s": 2,
    "build_s": [1, 2],
    "audit_s": [2, 6],
}
"""An app goes through in about a second."""
SLOW_AUDITS: Final[Mapping[str, object]] = {**QUICK, "audit_s": 36_000}
"""No audit ends while a test lasts."""
ANSI: Final = re.compile("[\x1b\x9b]")
RECEIVES: Final = re.compile(r'receiving pushes at (http://[^\s"]+/push)')


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    def document(self) -> Document:
        """Return what stdout says: exactly one JSON document with its version."""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        assert document["schema_version"] == 1
        return document


class Command:
    """A command that was started; see `Stage.start`."""

    def __init__(self, process: "Popen[bytes] | Child", out: Path, err: Path) -> None:
        self._process = process
        self._out = out
        self._err = err

    @property
    def pid(self) -> int:
        return self._process.pid

    def out(self) -> str:
        return self._out.read_text("utf-8")

    def err(self) -> str:
        return self._err.read_text("utf-8")

    def receiver(self) -> str:
        """Wait until it says where it receives pushes; return the URL."""
        return self.until(lambda: RECEIVES.search(self.err()))[1]  # type: ignore[index]

    def ended(self) -> bool:
        return self._process.poll() is not None

    def end(self, limit_s: float = LIMIT_S) -> Result:
        """Wait for its end; one that does not come is a failure, and the process is killed."""
        try:
            code = self._process.wait(limit_s)
        except TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {limit_s:g} s:\n{self.err()}") from None
        return Result(code, self.out(), self.err())

    def until(self, condition: Callable[[], T], limit_s: float = LIMIT_S) -> T:
        """Wait until something is so while the command runs; return what the condition said."""
        deadline = time.monotonic() + limit_s
        while not (value := condition()):
            assert time.monotonic() < deadline, f"has not come within {limit_s:g} s:\n{self.err()}"
            # Doubles as the pause between two looks.
            ended = self.ends_within(TICK_S)
            assert not ended or condition(), f"ended too early:\n{self.err()}"
        return value

    def ends_within(self, within_s: float) -> bool:
        try:
            self._process.wait(within_s)
        except TimeoutExpired:
            return False
        return True

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> Result:
        """End it as a power cut would."""
        self._process.kill()
        return Result(self._process.wait(LIMIT_S), self.out(), self.err())


@dataclass
class Platform:
    """The simulated platform, as the test sees it: everything happens in its own thread."""

    world: World
    url: str
    portal: BlockingPortal

    def report(self) -> Document:
        return self.portal.call(report, self.world)

    def effects(self) -> dict[str, int]:
        """Return how many calls of each kind were accepted."""
        effects = self.report()["effects"]
        assert isinstance(effects, dict)
        return {kind: number for kind, number in effects.items() if number}

    def total(self) -> int:
        return sum(self.effects().values())

    def calls(self) -> int:
        calls = self.report()["calls"]
        assert isinstance(calls, dict)
        total = calls["total"]
        assert isinstance(total, int)
        return total

    def add_foreign(self, app_id: str, package: ForeignPackage) -> None:
        """Let somebody make a package in the console."""
        self.portal.call(self.world.add_foreign, app_id, package, 0.0)

    def change(self, app_id: str, **changes: object) -> None:
        """Let something about an app change from now on."""
        self.portal.call(partial(self.world.change, app_id, **changes))

    def issue_tokens(self) -> None:
        """Give every app another token; the ones before still work."""
        for app_id in self.world.app_ids:
            self.portal.call(self.world.issue_token, app_id, 0.0)

    def leap(self, by_s: float) -> None:
        """Let so many seconds pass on the platform at once."""
        self.portal.call(self._leap, by_s)

    def _leap(self, by_s: float) -> None:
        wire = self.world.wire
        before = wire.read
        assert before is not None
        wire.read = lambda: before() + by_s / self.world.time_scale

    def pushing(self, url: str) -> AbstractContextManager[None]:
        """Let pushes be brought to a receiver while the block runs."""
        return self.portal.wrap_async_context_manager(pushing(self.world, url))

    def delivered(self) -> int:
        """Return how many pushes were answered as they should be."""
        return self.portal.call(lambda: self.world.pushes.delivered)

    def looks(self) -> Counter[str]:
        """Return how often the packages of each app were listed."""
        seen = self.portal.call(lambda: list(self.world.traffic.calls))
        return Counter(call.app_id for call in seen if call.endpoint == "packages")

    def void(self, tokens: Iterable[str]) -> None:
        """Let these tokens be unknown from now on."""
        for token in tokens:
            self.portal.call(self.world._grants.pop, token)

    def check_lawful(self) -> None:
        """Check that nothing was done twice, and nothing that a lawful client would not do."""
        said = self.report()
        duplicates, violations = said["duplicates"], said["violations"]
        assert isinstance(duplicates, dict)
        assert isinstance(violations, dict)
        assert duplicates["count"] == 0, duplicates
        assert violations["count"] == 0, violations


@dataclass
class Stage:
    """Where a test plays: a directory of its own, a platform, and what is set there."""

    directory: Path
    platform: Platform
    settings: dict[str, str] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)
    fresh: bool = False
    """Whether each command is a new interpreter; a child of the nursery begins much sooner."""
    nursery: str = "tests.e2e.nursery"
    besides: dict[str, str] = field(default_factory=dict)
    """What a command sees beside its settings."""

    @property
    def state(self) -> Path:
        return Path(self.settings["STATE_DIR"])

    @property
    def tokens(self) -> Path:
        return Path(self.settings["TOKENS_FILE"])

    @property
    def app_ids(self) -> list[str]:
        return self.platform.world.app_ids

    def running(self) -> list[Command]:
        return [command for command in self.commands if not command.ended()]

    def run(self, *words: str, limit_s: float = LIMIT_S, **settings: str) -> Result:
        """Run a command to its end."""
        started = self.start(
            *words, terminal=None, stdout=None, cwd=None, keyboard=None, **settings
        )
        return started.end(limit_s)

    def start(
        self,
        *words: str,
        terminal: int | None = None,
        stdout: int | None = None,
        cwd: Path | None = None,
        keyboard: int | None = None,
        **settings: str,
    ) -> Command:
        """Start a command; `settings` are more of ours.

        `terminal` and `stdout` are descriptors that it speaks to instead of files, and `keyboard`
        is one that it reads.
        """
        seen, where = self.environment(settings), self.directory if cwd is None else cwd
        given = (keyboard, stdout, terminal)
        if self.fresh or given != (None, None, None):
            return self._begin(self._interpreter(["-m", "fleetdeploy", *words], seen, where), given)
        birth = Birth(words, seen, str(where))
        return self._begin(partial(nursery(self.nursery).start, birth))

    def several(self, *commands: Sequence[str]) -> list[Result]:
        """Run commands one after the other, each to its end."""
        return [self.run(*words) for words in commands]

    def _interpreter(
        self, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path
    ) -> "Starter":
        def start(descriptors: Descriptors) -> "Popen[bytes]":
            stdin, stdout, stderr = descriptors
            return Popen(  # noqa: S603 - our own interpreter and our own words
                [sys.executable, *arguments],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=environment,
                cwd=cwd,
            )

        return start

    def _begin(
        self, start: "Starter", given: tuple[int | None, int | None, int | None] = (None,) * 3
    ) -> Command:
        """Start a process; what of stdin, stdout and stderr is not given is nothing, or a file."""
        number = next(self.numbers)
        out, err = self.directory / f"{number:03}.out", self.directory / f"{number:03}.err"
        with ExitStack() as open_files:
            nothing = open_files.enter_context(Path(os.devnull).open("rb"))
            to_out, to_err = (open_files.enter_context(path.open("wb")) for path in (out, err))
            stdin, stdout, stderr = (
                file.fileno() if descriptor is None else descriptor
                for file, descriptor in zip((nothing, to_out, to_err), given, strict=True)
            )
            process = start((stdin, stdout, stderr))
        command = Command(process, out, err)
        self.commands.append(command)
        return command

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return what a command sees: what every process needs, and our settings."""
        ours = {**self.settings, **settings}
        return {
            "PATH": os.environ["PATH"],
            # What is tested is the code beside these tests, whatever is installed.
            "PYTHONPATH": str(ROOT),
            # A command that may not write files of any size would leave torn bytecode behind.
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.directory),
            "TMPDIR": str(self.directory),
            **{f"FLEETDEPLOY_{name}": value for name, value in ours.items() if value},
            **self.besides,
        }

    def manifest(self, *, name: str = "fleet.yaml", **changes: object) -> str:
        """Write a manifest of all apps, with some keys replaced; JSON is YAML too."""
        whole = {
            "api_version": "fleetdeploy/v1",
            "name": "corner-shops",
            "template_id": "754",
            "version": "1.2.6",
            "description": "opening hours",
            "audit": {"content": "routine", "remark": "by the agency"},
            "apps": [
                {"app_id": app_id, "labels": {"place": "first" if place == 0 else "other"}}
                for place, app_id in enumerate(self.app_ids)
            ],
            "limits": {"requests_per_second": 400, "in_flight": 32},
            "rollout": {"max_failures": "100%"},
        }
        path = self.directory / name
        path.write_text(json.dumps(whole | changes), "utf-8")
        return str(path)

    def write_tokens(self, tokens: Mapping[str, str] | None = None, mode: int = 0o600) -> None:
        """Replace the tokens file as a whole, by default with the newest tokens of all apps."""
        text = json.dumps(dict(self.platform.world.tokens if tokens is None else tokens))
        fresh = self.tokens.with_suffix(".new")
        fresh.write_text(text, "utf-8")
        fresh.chmod(mode)
        fresh.replace(self.tokens)

    def run_ids(self) -> list[str]:
        """Return the ids of all runs, the order of their making unknown."""
        return sorted(path.parent.name for path in self.state.glob("runs/*/plan.json"))

    def run_id(self) -> str:
        (only,) = self.run_ids()
        return only

    def journal(self, run_id: str | None = None) -> Path:
        return self.state / "runs" / (run_id or self.run_id()) / "journal.jsonl"

    def lines(self) -> int:
        """Count what all journals say so far."""
        return sum(
            path.read_bytes().count(b"\n") for path in self.state.glob("runs/*/journal.jsonl")
        )

    def records(self, run_id: str = "*") -> list[Document]:
        """Return the whole lines of a run's journal, or of all."""
        wholes = [
            path.read_bytes().rpartition(b"\n")[0]
            for path in sorted(self.state.glob(f"runs/{run_id}/journal.jsonl"))
        ]
        return [json.loads(line) for whole in wholes for line in whole.splitlines()]

    def phases(self) -> dict[str, str]:
        """Ask `status` where every app of the newest run is."""
        apps = self.run("status", "-o", "json").document()["apps"]
        assert isinstance(apps, list)
        return {app["app_id"]: app["phase"] for app in apps}


@contextmanager
def open_stage(
    directory: Path,
    scenario: Mapping[str, object] | None = None,
    *,
    apps: int = 3,
    time_scale: float = TIME_SCALE,
) -> Iterator[Stage]:
    """Serve a world of so many apps while the block runs; every command started is ended."""
    with _served(scenario or {}, apps, time_scale) as platform:
        stage = Stage(directory, platform)
        stage.settings = {
            "API_BASE": platform.url,
            "TOKENS_FILE": str(directory / "tokens.json"),
            "STATE_DIR": str(directory / "state"),
            "POLL_INITIAL": "0.1",
            "POLL_MAX": "0.3",
            "SETTLE": "0.4",
        }
        stage.write_tokens()
        try:
            yield stage
        finally:
            for command in stage.commands:
                if not command.ended():
                    command.kill()


@contextmanager
def _served(scenario: Mapping[str, object], apps: int, time_scale: float) -> Iterator[Platform]:
    whole = Scenario.model_validate({"seed": 7, "behaviour": QUICK, **scenario})
    world = World.from_scenario(whole, [str(200_000_001 + place) for place in range(apps)])
    faults = Faults(whole.faults, seed=whole.seed)
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))
        serving = portal.wrap_async_context_manager(serve(world, faults, time_scale=time_scale))
        yield Platform(world, stack.enter_context(serving), portal)


def kinds(records: Iterable[Document]) -> list[str]:
    return [str(record["kind"]) for record in records]


def assert_plain(result: Result) -> None:
    """Nothing that a terminal would obey goes where no terminal is."""
    assert ANSI.search(result.out) is None
    assert ANSI.search(result.err) is None


def assert_calm(result: Result) -> None:
    """An error is told in words: what it is, and no traceback."""
    assert "Traceback" not in result.err
    assert "unexpected error" not in result.err
