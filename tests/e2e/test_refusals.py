"""What is refused before anything is sent: flags, manifests, settings, tokens files."""

import json
import re
from pathlib import Path

import pytest

from tests.e2e.stage import (
    SLOW_AUDITS,
    Result,
    Stage,
    assert_calm,
    assert_plain,
    open_stage,
)

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD = "200000001", "200000002", "200000003"


def check_refused(stage: Stage, result: Result, code: int, *told: str) -> None:
    """Check that a command said what is wrong and did nothing at all."""
    assert result.code == code, result.err
    assert_calm(result)
    assert_plain(result)
    for text in told:
        assert text in result.err
    assert stage.platform.calls() == 0
    assert stage.run_ids() == []


REFUSED = [
    (["run", "MANIFEST", "--no-such-flag"], 2, "--no-such-flag"),
    (["run", "MANIFEST", "--deadline", "soon"], 2, "soon"),
    (["plan", "MANIFEST", "--only", "tier=glod"], 2, "no app fits tier=glod"),
    (["run"], 2, "nothing to run"),
    (["run", "MANIFEST", "--plan", "x.json"], 2, "--plan runs a plan as it was saved"),
    (["plan", "MANIFEST", "--only", "phase=failed"], 2, "the selection is empty"),
    (["plan", "MANIFEST", "--only", "phase=fialed"], 2, "there is no phase 'fialed'"),
    (["plan", "MANIFEST", "--only", "@nobody.txt"], 2, "nobody.txt cannot be read"),
    (["plan", "nowhere.yaml"], 2, "nowhere.yaml"),
    (["resume"], 10, "no unfinished run"),
    (["report", "20260101-0000-none"], 10, "there is no run '20260101-0000-none'"),
]


def test_what_makes_no_sense_is_refused_and_nothing_is_sent(tmp_path: Path) -> None:
    with open_stage(tmp_path) as stage:
        manifest = stage.manifest()
        commands = [
            [manifest if word == "MANIFEST" else word for word in words] for words, *_ in REFUSED
        ]
        for result, (_, code, told) in zip(stage.several(*commands), REFUSED, strict=True):
            check_refused(stage, result, code, told)


def test_a_run_id_that_is_no_good_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with open_stage(tmp_path) as stage:
        manifest = stage.manifest()
        commands = [stage.start(word, manifest, "--run-id", "../up") for word in ("run", "plan")]
        for command in commands:
            check_refused(stage, command.end(), 2, "cannot be a run id")


BROKEN = """\
api_version: fleetdeploy/v1
name: shop
template_id: "754"
version: "1.0"
audit: {content: a, remark: b}
colour: green
apps:
  - app_id: "200000001"
  - app_id: "200000001"
"""


def test_every_problem_of_a_manifest_is_told_with_its_place(tmp_path: Path) -> None:
    with open_stage(tmp_path) as stage:
        (tmp_path / "shop.yaml").write_text(BROKEN)
        commands = [
            stage.start("validate", "shop.yaml"),
            stage.start("run", "shop.yaml", "-o", "json"),
        ]
        text, document = (command.end() for command in commands)
        for result in (text, document):
            check_refused(stage, result, 2, "shop.yaml:6:1: colour: ", "shop.yaml:9:5: ")
            assert result.err.endswith("2 problems\n")
    assert text.out == ""
    problems = document.document()["problems"]
    assert isinstance(problems, list)
    assert [(p["file"], p["line"], p["column"]) for p in problems] == [
        ("shop.yaml", 6, 1),
        ("shop.yaml", 9, 5),
    ]


def test_settings_that_cannot_be_used_are_told_with_their_place(tmp_path: Path) -> None:
    with open_stage(tmp_path) as stage:
        manifest = stage.manifest()
        (tmp_path / "toml").mkdir()
        (tmp_path / "toml" / "fleetdeploy.toml").write_text('\nstate_dri = "here"\n')
        commands = [
            stage.start("plan", manifest, cwd=tmp_path / "toml"),
            stage.start("plan", manifest, API_BASE="http://192.0.2.1:8080"),
            stage.start("plan", manifest, POLL_INITIAL="often", SETTLE="-3"),
        ]
        unknown, clear, durations = (command.end() for command in commands)
        check_refused(stage, unknown, 2, "fleetdeploy.toml:2: state_dri", "state_dir?")
        check_refused(stage, clear, 2, "FLEETDEPLOY_API_BASE (environment)", "plain http")
        check_refused(stage, durations, 2, "FLEETDEPLOY_POLL_INITIAL", "FLEETDEPLOY_SETTLE")


def test_a_tokens_file_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with open_stage(tmp_path) as stage:
        manifest = stage.manifest()
        stage.tokens.chmod(0o644)
        check_refused(stage, stage.run("run", manifest), 2, "mode 0644", "chmod 600")
        stage.tokens.chmod(0o600)
        whole = stage.tokens.read_text()
        stage.tokens.write_text(whole[:-30])
        cut = stage.run("run", manifest)
        check_refused(stage, cut, 2, "is not JSON at line 1")
    assert not re.search(r"45\.[0-9a-f]{8}", cut.err)


def test_an_app_without_a_token_is_blocked_and_the_others_are_released(tmp_path: Path) -> None:
    with open_stage(tmp_path) as stage:
        tokens = dict(stage.platform.world.tokens)
        del tokens[SECOND]
        stage.write_tokens(tokens)
        result = stage.run("run", stage.manifest(), "-o", "json", STATE_DRI="elsewhere")
        stage.platform.check_lawful()
    assert result.code == 3
    # A misspelt variable is warned of; another version of the tool may know it.
    assert "warning: FLEETDEPLOY_STATE_DRI" in result.err
    assert "FLEETDEPLOY_STATE_DIR?" in result.err
    document = result.document()
    assert document["counts"] == {"released": 2, "blocked": 1}
    causes = document["causes"]
    assert isinstance(causes, list)
    assert [(cause["code"], cause["app_ids"]) for cause in causes] == [("auth.no_token", [SECOND])]


def test_a_tokens_file_that_is_replaced_in_the_middle_of_a_run_is_read_again(
    tmp_path: Path,
) -> None:
    with open_stage(tmp_path, {"behaviour": {**SLOW_AUDITS, "audit_s": 40}}) as stage:
        before = dict(stage.platform.world.tokens)
        command = stage.start("run", stage.manifest())
        command.until(lambda: stage.platform.effects().get("submit_audit") == 3)
        stage.platform.issue_tokens()
        stage.write_tokens()
        stage.platform.void(before.values())
        result = command.end()
        report = stage.platform.report()
        stage.platform.check_lawful()
    assert result.code == 0, result.err
    calls = report["calls"]
    assert isinstance(calls, dict)
    # One refusal is enough to read the file again, for all.
    assert 1 <= sum(calls["refused"].values()) <= 3
    assert not re.search(r"45\.[0-9a-f]{8}", result.err)
    assert json.loads(stage.tokens.read_text()) != before
