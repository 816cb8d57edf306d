"""A rollout from its plan to the morning after, in every form of output."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from select import select

import pytest

from tests.e2e.stage import (
    LIMIT_S,
    QUICK,
    Result,
    Stage,
    assert_calm,
    assert_plain,
    kinds,
    open_stage,
)

pytestmark = pytest.mark.slow

APPS = 3


@dataclass
class Night:
    """A fleet that was rolled out, and what was said on the way."""

    stage: Stage
    manifest: str
    said: dict[str, Result]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """Play a night; the tests of this module only look at it."""
    with open_stage(tmp_path_factory.mktemp("night"), apps=APPS) as stage:
        manifest = stage.manifest()
        said = {
            "validate": stage.run("validate", manifest),
            "plan": stage.run("plan", manifest, "--detailed-exitcode", "--out", "tonight.json"),
            "run": stage.run("run", "--plan", "tonight.json"),
            "plan after": stage.run("plan", manifest, "--detailed-exitcode", "-o", "json"),
        }
        said["writes"] = Result(stage.platform.total(), "", "")
        said["run again"] = stage.run("run", manifest, "-o", "json", "--run-id", "again")
        yield Night(stage, manifest, said)


def test_a_manifest_is_planned_run_and_then_nothing_is_left_to_do(night: Night) -> None:
    codes = [night.said[name].code for name in ("validate", "plan", "run", "plan after")]
    assert codes == [0, 20, 0, 0]
    assert f"{APPS} apps: + {APPS} upload" in night.said["plan"].out
    assert re.search(rf"released +{APPS}\n", night.said["run"].out)
    planned = night.said["plan after"].document()["apps"]
    assert isinstance(planned, list)
    assert [app["action"] for app in planned] == ["unchanged"] * APPS


def test_a_second_run_finds_everything_unchanged_and_sends_nothing(night: Night) -> None:
    again = night.said["run again"]
    assert again.code == 0
    assert again.document()["counts"] == {"unchanged": APPS}
    effects = night.stage.platform.effects()
    assert effects == {"upload": APPS, "submit_audit": APPS, "release": APPS}
    assert sum(effects.values()) == night.said["writes"].code
    night.stage.platform.check_lawful()


def test_what_is_said_where_no_terminal_is_holds_no_control_characters(night: Night) -> None:
    for result in night.said.values():
        assert_plain(result)
        assert_calm(result)
    assert night.said["validate"].err == night.said["plan"].err == ""


def test_the_run_carries_out_the_plan_that_was_saved(night: Night) -> None:
    saved = re.search(r"^plan +(\S+)$", night.said["plan"].out, re.MULTILINE)
    assert saved
    assert night.stage.run_ids() == sorted([saved[1], "again"])
    records = kinds(night.stage.records(saved[1]))
    assert (records[0], records[-1]) == ("run_started", "run_finished")


VIEWS = [
    ("status",),
    ("report",),
    ("history",),
    ("explain", "again", "200000001"),
    ("packages", "200000001"),
]


def test_every_view_comes_as_text_json_and_markdown(night: Night) -> None:
    forms = ("text", "json", "markdown")
    commands = [(*words, "-o", form) for words in VIEWS for form in forms]
    for command, result in zip(commands, night.stage.several(*commands), strict=True):
        assert (result.code, result.err) == (0, ""), command
        assert_plain(result)
        if command[-1] == "json":
            assert result.document(), command
        else:
            assert bool(re.search(r"^#|^\|", result.out, re.MULTILINE)) is (
                command[-1] == "markdown"
            )


def test_a_plan_comes_as_markdown_and_leaves_the_state_alone(night: Night) -> None:
    before = night.stage.run_ids()
    result = night.stage.run("plan", night.manifest, "-o", "markdown")
    assert (result.code, result.err) == (0, "")
    assert re.search(r"^#", result.out, re.MULTILINE)
    assert night.stage.run_ids() == before


def test_a_terminal_shows_a_view_on_stderr_and_gets_its_cursor_back(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with open_stage(tmp_path_factory.mktemp("pty"), {"behaviour": QUICK}, apps=2) as stage:
        ours, theirs = os.openpty()
        try:
            command = stage.start("run", stage.manifest(), "-o", "json", terminal=theirs)
        finally:
            os.close(theirs)
        shown = _everything(ours)
        result = command.end()
    assert result.code == 0
    assert result.document()["counts"] == {"released": 2}
    assert "released" in shown
    assert shown.index("\x1b[?25l") < shown.rindex("\x1b[?25h")
    assert "\x1b[?25l" not in shown[shown.rindex("\x1b[?25h") :]


def _everything(terminal: int) -> str:
    """Read what a terminal is shown until the last process that has it open is gone."""
    shown = bytearray()
    try:
        while select([terminal], [], [], LIMIT_S)[0] and (piece := os.read(terminal, 65536)):
            shown += piece
    except OSError:  # how Linux says that nobody has the other end any more
        pass
    finally:
        os.close(terminal)
    return shown.decode("utf-8")
