"""A reviewer, a client and a console that write what terminals obey: nothing of it is obeyed."""

from itertools import product
from pathlib import Path
from typing import Final

import pytest

from fleetdeploy.cli.render.safe import safe
from tests.e2e.stage import QUICK, Result, open_stage
from tests.fuzz.words import acting_in

pytestmark = pytest.mark.slow

NASTY: Final = (
    "\x1b]0;owned\x07\x1b[2J\x9b31m\r\nerror: none\u2028next: rm -rf\u202etxt.exe\u2066"
    "\u200b\ufeff\U000e0041<script>alert(1)</script>| [x](https://evil.example) `*_#=1+1"
)
NAME: Final = "Hot\u200bPot\u2060\u200f \U000e0041|<b>`*"
"""What a manifest lets through: nothing that acts, and much that does not show."""
FORMS: Final = ("text", "markdown", "json")


def check_harmless(result: Result) -> None:
    """Fail if a terminal would obey anything of what a command said."""
    for text in (result.out, result.err):
        acting = acting_in(text.replace("\n", ""))
        assert acting == [], f"{acting} in {text[:2000]!a}"


def test_nasty_words_of_the_platform_and_of_a_manifest_do_no_harm(tmp_path: Path) -> None:
    foreign = [{"status": 1, "version": NASTY, "description": NASTY}]
    behaviour = {**QUICK, "reject_chance": 1.0, "reject_reasons": [NASTY], "foreign": foreign}
    with open_stage(tmp_path, {"behaviour": behaviour}, apps=2) as stage:
        first, second = stage.app_ids
        manifest = stage.manifest(
            name="hot\u200bpot.json",
            apps=[
                {"app_id": first, "name": NAME, "labels": {"place": NAME}},
                {"app_id": second, "version": NAME, "description": NAME},
            ],
            audit={"content": NAME, "remark": f"{NAME}\n{NAME}"},
            rollout={"max_failures": "100%", "waves": [{"name": NAME}]},
            ext_json={"window": {NASTY: NASTY}},
        )
        planned = stage.several(*(["plan", manifest, "-o", form] for form in FORMS))
        ran = stage.run("run", manifest, LOG_FORMAT="console")
        assert ran.code == 3, ran.err
        views = [["status"], ["report"], ["history"], ["explain", stage.run_id(), first]]
        views += [["packages", first]]
        told = stage.several(*([*view, "-o", form] for view, form in product(views, FORMS)))
        again = stage.run("run", manifest, "-v", LOG_FORMAT="json")
        others = stage.several(["doctor", manifest], ["validate", manifest], ["status", NASTY])
    assert again.code == 3, again.err
    for result in (*planned, ran, *told, again, *others):
        check_harmless(result)
    explained = told[3 * len(FORMS)]
    assert safe(NASTY)[:40] in explained.out
