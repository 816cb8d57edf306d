"""What docs/steering.md shows is what happens, example by example."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.examples import Player, Turn, blocks_of, fits, turns_of
from tests.e2e.nursery import ROOT
from tests.e2e.stage import open_stage

PAGE: Final = (ROOT / "docs" / "steering.md").read_text("utf-8")
BLOCKS: Final = blocks_of(PAGE)
HEAD: Final = "every-manifest"
"""What all manifests begin with."""
TIME_SCALE: Final = 100.0
"""An hour takes 36 seconds, far longer than any command, and a build next to nothing."""
SAME_DAY: Final = {
    "effect_delay_s": 2,
    "build_s": [1, 2],
    "audit_s": [2, 6],
    "rollback_s": [1, 2],
}
NEXT_DAY: Final = {**SAME_DAY, "audit_s": "10h"}
EARLIER: Final = {"foreign": [{"status": 1, "version": "1.1.0"}]}
"""What was online before."""
WORDS: Final = "页面内容为空，请完善内容后重新提交"


@dataclass(frozen=True)
class Scene:
    """What an example plays on: so many apps of a platform that behaves so, and some otherwise."""

    apps: int
    behaviour: Mapping[str, object] = field(default_factory=lambda: SAME_DAY)
    others: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    awkward: Mapping[str, int] = field(default_factory=dict)


def those(*numbers: int, **changes: object) -> dict[str, Mapping[str, object]]:
    return {str(200_000_000 + number): changes for number in numbers}


SCENES: Final = {
    "every-reviewer-says-no": Scene(
        300, {**SAME_DAY, "reject_chance": 1, "reject_reasons": [WORDS]}
    ),
    "blocked-clients": Scene(200, awkward={"authenticity_missing": 11}),
    "an-approval": Scene(60, NEXT_DAY),
    "a-window-closes": Scene(20, NEXT_DAY, those(1, 2, audit_s="3h")),
    "the-way-back": Scene(12, {**SAME_DAY, **EARLIER}, those(3, 7, foreign=[])),
    "audited-ahead": Scene(30, NEXT_DAY),
    "another-terminal": Scene(6, NEXT_DAY),
    "a-budget": Scene(
        214,
        NEXT_DAY,
        those(8, 62, 74, 97, upload_error=40001, upload_failures=1)
        | those(111, 164, upload_error=40001, upload_fail_chance=1),
    ),
    "quarantine": Scene(6, others=those(1, authenticity_passed=False)),
}


@contextmanager
def player_of(example: str, directory: Path) -> Iterator[Player]:
    """Set the stage of an example, with the clients that its manifests name."""
    scene = SCENES[example]
    scenario = {"behaviour": scene.behaviour, "apps": scene.others, "awkward": scene.awkward}
    (head,) = (block.text for block in BLOCKS if block.example == HEAD)
    with open_stage(directory, scenario, apps=scene.apps, time_scale=TIME_SCALE) as stage:
        lines = "".join(f"{app_id}\n" for app_id in stage.app_ids)
        (directory / "clients.csv").write_text(f"app_id\n{lines}", "utf-8")
        yield Player(stage, head)


@pytest.mark.slow
@pytest.mark.parametrize("example", SCENES)
def test_an_example_happens_as_it_is_shown(example: str, tmp_path: Path) -> None:
    shown = [block for block in BLOCKS if block.example == example]
    with player_of(example, tmp_path) as player:
        played = [player.play(block) for block in shown]
        player.stage.platform.check_lawful()
    assert "".join(played) == "".join(block.text for block in shown)


def test_every_example_is_played_and_everything_that_is_shown_belongs_to_one() -> None:
    assert {block.example for block in BLOCKS} == {HEAD, *SCENES}
    assert len(re.findall("^```", PAGE, re.MULTILINE)) == 2 * len(BLOCKS)


def test_lines_left_out_stand_for_any_and_all_others_for_themselves() -> None:
    said = ["run autumn: halted", "started 2026-11-25 21:50:04 CST, took 12s", "", "next: nothing"]
    assert fits(["run autumn: halted", "...", "next: nothing"], said)
    assert fits(["...", "started 2026-11-25 21:50:59 CST, took 3m 02s", "...", *said[3:]], said)
    assert not fits(["run autumn: halted", "..."], [])
    assert not fits(["run autumn: halted", "...", "next: something"], said)
    assert not fits(["...", "started 2026-11-25 20:50:04 CST, took 12s", "..."], said)
    assert not fits(said[:-1], said)


def test_a_console_is_read_turn_by_turn() -> None:
    text = "# Wed 25 Nov 2026, 21:50\n$ fleetdeploy status\nrun\n\nnext: a\n\n$ echo $?\n0\n"
    assert list(turns_of(text)) == [
        Turn("# Wed 25 Nov 2026, 21:50", ()),
        Turn("$ fleetdeploy status", ("run", "", "next: a")),
        Turn("$ echo $?", ("0",)),
    ]
