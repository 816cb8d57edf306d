"""Examples in a document, played: what is shown there is typed, and what comes is compared.

How it works: `<!-- example: NAME -->` before a fenced block makes it part of the example of that
name. A block tagged `yaml` is the manifest, `fleet.yaml`, from there on. A block tagged `console`
is what a person sees at a terminal: commands after `$ `, what they print below, and comments that
say what time it is. At such a comment the clock of the machine and that of the platform leap there
together. A line `...` stands for any lines. Minutes and seconds are not compared, nor is how many
calls a run took: both depend on the machine. What a run tells on stderr as it goes is left out.

Of the shell there is little: `&` behind a command leaves it running once all its apps are in
audit, `wait` waits for its end, and `echo $?` prints how the last command ended.
"""

import re
import shlex
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from tests.crash.mortal import CLOCK_AHEAD_S
from tests.crash.ordeal import MORTAL
from tests.e2e.stage import Command, Result, Stage

BLOCK: Final = re.compile(
    r"^<!-- example: ([a-z-]+) -->\n\n```(yaml|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
ZONE: Final = "Asia/Shanghai"
POLL_INITIAL_S: Final = "0.05"
"""A build takes less than that here, and an example as long as its polls."""
CLOCK: Final = "# %a %d %b %Y, %H:%M"
SURROUNDINGS: Final = {"TZ": ZONE, "LOGNAME": "ops"}
ELLIPSIS: Final = "..."
MASKS: Final = (
    (re.compile(r"\b(\d\d):\d\d:\d\d\b"), r"\1:00:00"),
    (re.compile(r"\btook \d+\w( \d+\w)?"), "took 0s"),
    (re.compile(r"\b(\d{8})-\d{4}-[a-z0-9]{4}\b"), r"\1-0000-0000"),
    (re.compile(r"\bpid \d+\b"), "pid 1"),
    (re.compile(r"\d+ calls to the platform, [\d.]+ per app"), "0 calls to the platform"),
)
"""What depends on how quick the machine is."""


@dataclass(frozen=True)
class Block:
    """A block of an example; `text` ends with a line feed."""

    example: str
    language: str
    text: str


def blocks_of(document: str) -> list[Block]:
    return [Block(*found.groups()) for found in BLOCK.finditer(document)]


@dataclass(frozen=True)
class Turn:
    """A line that somebody typed, or that tells the time, and the lines that are shown below it."""

    typed: str
    shown: tuple[str, ...]


def turns_of(text: str) -> Iterator[Turn]:
    """Yield the turns of a console in order."""
    for piece in re.split(r"^(?=[$#] )", text, flags=re.MULTILINE)[1:]:
        typed, _, shown = piece.partition("\n")
        yield Turn(typed, tuple(shown.rstrip("\n").splitlines()))


def fits(shown: Sequence[str], said: Sequence[str]) -> bool:
    """Whether what was said is what is shown, where `...` is shown for any lines."""
    pattern = "".join(
        "(?:.*\n)*" if line == ELLIPSIS else re.escape(f"{_masked(line)}\n") for line in shown
    )
    return re.fullmatch(pattern, "".join(f"{_masked(line)}\n" for line in said)) is not None


def _masked(line: str) -> str:
    for pattern, same in MASKS:
        line = pattern.sub(same, line)
    return line


@dataclass
class Player:
    """Types what an example shows, on a stage whose clocks it sets."""

    stage: Stage
    head: str
    """What every manifest begins with."""
    ahead_s: float | None = None
    code: int | None = None
    behind: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stage.nursery = MORTAL
        self.stage.settings["POLL_INITIAL"] = POLL_INITIAL_S
        self.stage.besides = dict(SURROUNDINGS)
        self._write_manifest("")

    def play(self, block: Block) -> str:
        """Do what a block says; return it as it should be, which is itself if all is well."""
        if block.language == "yaml":
            self._write_manifest(block.text)
            return block.text
        played = []
        for turn in turns_of(block.text):
            said = self._said_to(turn.typed)
            played.append(turn if fits(turn.shown, said) else Turn(turn.typed, tuple(said)))
        return "".join(f"{line}\n" for turn in played for line in (turn.typed, *turn.shown))

    def _write_manifest(self, rest: str) -> None:
        (self.stage.directory / "fleet.yaml").write_text(self.head + rest, "utf-8")

    def _said_to(self, typed: str) -> list[str]:
        """Return the lines that a terminal would show."""
        if typed.startswith("#"):
            self._set_clocks(typed)
            return []
        words = shlex.split(typed.removeprefix("$ "))
        if words == ["echo", "$?"]:
            return [str(self.code)]
        if words == ["wait"]:
            return self._ended(self.behind.pop().end())
        assert words[0] == "fleetdeploy", f"no such command here: {typed}"
        if words[-1] == "&":
            self._leave_behind(words[1:-1])
            return []
        return self._ended(self.stage.run(*words[1:]))

    def _set_clocks(self, typed: str) -> None:
        then = datetime.strptime(typed, CLOCK).replace(tzinfo=ZoneInfo(ZONE))
        assert then.strftime(CLOCK) == typed, f"it was a {then:%A}: {typed}"
        ahead_s = (then - datetime.now(UTC)).total_seconds()
        if self.ahead_s is not None:
            assert ahead_s >= self.ahead_s, f"no clock goes back: {typed}"
            self.stage.platform.leap(ahead_s - self.ahead_s)
        self.ahead_s = ahead_s
        self.stage.besides = {**SURROUNDINGS, CLOCK_AHEAD_S: str(ahead_s)}

    def _ended(self, result: Result) -> list[str]:
        self.code = result.code
        text = (result.out or result.err).replace(str(self.stage.directory), "/srv/rollout")
        return re.sub(rf"\bon {re.escape(socket.gethostname())}\b", "on desk", text).splitlines()

    def _leave_behind(self, words: Sequence[str]) -> None:
        """Start a command, and let it come as far as it comes without a reviewer."""
        command = self.stage.start(*words)
        command.until(lambda: self._in_audit() == len(self.stage.app_ids))
        self.behind.append(command)

    def _in_audit(self) -> int:
        accepted = [record for record in self.stage.records() if record["kind"] == "step_succeeded"]
        return sum(record["step"] == "submit_audit" for record in accepted)
