"""`doctor` against a platform, and what `plan` takes from the same looks."""

import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.stage import Document, Result, Stage, assert_calm, assert_plain, open_stage

pytestmark = pytest.mark.slow

LOCAL: Final = ("settings", "state", "disk", "runs", "credentials")


def give_keys(stage: Stage) -> None:
    """Set what fleetdeploy needs to keep the tokens itself."""
    desk = stage.platform.world.desk
    stage.settings |= {
        "TOKENS_FILE": "",
        "TP_CLIENT_ID": desk.client_id,
        "TP_TICKET": stage.platform.portal.call(desk.ticket, 0.0),
        "PUSH_TOKEN": desk.rules.push_token,
        "PUSH_AES_KEY": desk.rules.push_aes_key,
    }


def today() -> dict[str, object]:
    """Return a platform whose clock is right."""
    return {"epoch_unix": int(time.time())}


def states(document: Document) -> dict[str, str]:
    """Return how each check of the fleet came out."""
    fleet = document["fleet"]
    assert isinstance(fleet, list)
    return {check["name"]: check["state"] for check in fleet}


def causes(document: Document) -> dict[str, list[str]]:
    found = document["causes"]
    assert isinstance(found, list)
    return {cause["code"]: cause["app_ids"] for cause in found}


def calls(document: Document) -> Mapping[str, int]:
    made = document["calls"]
    assert isinstance(made, dict)
    return made


def secrets(stage: Stage) -> list[str]:
    world = stage.platform.world
    pairs = stage.platform.portal.call(world.pairs).values()
    texts = [text for pair in pairs for text in (pair.access_token, pair.refresh_token)]
    rules = world.desk.rules
    return [*texts, world.desk.client_id, rules.push_token, rules.push_aes_key]


def check_quiet_about(result: Result, needles: list[str]) -> None:
    assert not [one for one in needles if one and (one in result.out or one in result.err)]


def test_apps_that_would_be_refused_are_found_and_nothing_is_written(tmp_path: Path) -> None:
    awkward = {"category_not_approved": 1, "authenticity_missing": 1, "quota_used_up": 1}
    with open_stage(tmp_path, {"awkward": awkward}, apps=5) as stage:
        manifest = stage.manifest()
        result, text = stage.several(["doctor", manifest, "-o", "json"], ["doctor", manifest])
        assert not stage.state.exists()
        assert stage.platform.total() == 0
        stage.platform.check_lawful()
    assert (result.code, text.code) == (3, 3)
    for told in (result, text):
        assert_calm(told)
        assert_plain(told)
    document = result.document()
    assert document["counts"] == {"ok": 2, "problem": 3}
    assert {code: len(ids) for code, ids in causes(document).items()} == {
        "platform.category_not_approved": 1,
        "platform.authenticity_missing": 1,
        "platform.audit_quota_used_up": 1,
    }
    assert calls(document) == {"app_info": 5, "audit_quota": 5}
    found = states(document)
    assert (found["platform"], found["whitelist"]) == ("ok", "ok")
    assert {found[name] for name in ("tp_token", "clock", "templates", "push_list")} == {"unknown"}
    assert "1 app: no service category is approved (资质不全)" in text.out
    assert text.out.endswith(f"next: fleetdeploy doctor {manifest}\n")


def test_a_fleet_with_everything_in_place_is_ok_in_every_check(tmp_path: Path) -> None:
    with open_stage(tmp_path, today()) as stage:
        give_keys(stage)
        manifest = stage.manifest()
        first, second = stage.several(
            ["doctor", manifest, "-o", "json", "-vv"], ["doctor", manifest, "-o", "json"]
        )
        stage.platform.check_lawful()
        check_quiet_about(first, [*secrets(stage), stage.settings["TP_TICKET"]])
    assert (first.code, second.code) == (0, 0)
    document = first.document()
    assert document["counts"] == {"ok": 3}
    assert document["next"] == f"fleetdeploy plan {manifest}"
    found = states(document)
    # Nobody has listened yet.
    assert found.pop("receiver") == "warning"
    assert set(found.values()) == {"ok"}
    # The tokens that the first had to get serve the second.
    read = {"app_info": 3, "audit_quota": 3, "templates": 1, "pushes": 1}
    assert calls(document) == {**read, "tp_token": 1, "retrieve_code": 3, "exchange_code": 3}
    assert calls(second.document()) == read


def test_no_more_is_asked_than_allowed(tmp_path: Path) -> None:
    with open_stage(tmp_path, apps=4) as stage:
        manifest = stage.manifest()
        bounded, nothing = stage.several(
            *(["doctor", manifest, "--max-calls", most, "-o", "json"] for most in ("5", "0"))
        )
        assert stage.platform.calls() == 4
    assert bounded.code == 0
    document = bounded.document()
    assert document["counts"] == {"ok": 2, "unknown": 2}
    assert len(causes(document)["doctor.not_asked"]) == 2
    assert states(nothing.document())["platform"] == "unknown"
    assert nothing.document()["counts"] == {"unknown": 4}


def test_without_a_manifest_only_what_all_apps_share_is_looked_at(tmp_path: Path) -> None:
    with open_stage(tmp_path, today()) as stage:
        give_keys(stage)
        result, refused = stage.several(["doctor", "-o", "json"], ["doctor", "--only", "200000001"])
    assert result.code == 0
    document = result.document()
    assert (document["apps"], document["manifest"]) == ([], None)
    assert calls(document) == {"tp_token": 1, "pushes": 1}
    assert refused.code == 2
    assert "choose from a manifest" in refused.err


def test_a_machine_that_is_not_on_the_whitelist_is_told_after_a_call_or_two(
    tmp_path: Path,
) -> None:
    scenario = {**today(), "ip_whitelisted": False}
    with open_stage(tmp_path, scenario, apps=40) as stage:
        manifest = stage.manifest(limits={"requests_per_second": 400, "in_flight": 2})
        file = stage.run("doctor", manifest, "-o", "json")
        assert stage.platform.calls() == 2
        give_keys(stage)
        own = stage.run("doctor", manifest, "-o", "json")
        assert stage.platform.calls() < 12
    for result in (file, own):
        assert result.code == 14, result.err
        assert states(result.document())["whitelist"] == "problem"
        assert result.document()["counts"] == {"unknown": 40}


def test_a_template_that_is_not_in_the_library_is_a_problem_here_and_a_note_in_the_plan(
    tmp_path: Path,
) -> None:
    with open_stage(tmp_path, today()) as stage:
        give_keys(stage)
        manifest = stage.manifest(template_id="999")
        result, planned, again, saved = stage.several(
            ["doctor", manifest, "-o", "json"],
            ["plan", manifest, "--out", "saved.json"],
            ["plan", manifest, "-o", "json"],
            ["run", "--plan", "saved.json", "--dry-run"],
        )
    assert result.code == 3
    assert causes(result.document()) == {"platform.template_gone": stage.app_ids}
    assert states(result.document())["templates"] == "problem"
    told = "warning: template 999 is not in the library (3 apps: 200000001, "
    assert (planned.code, saved.code) == (0, 0)
    assert told in planned.out
    assert told in saved.out
    notes = again.document()["notes"]
    assert isinstance(notes, list)
    assert [note["code"] for note in notes] == ["platform.template_gone"]


def test_a_client_that_withdrew_is_found_and_noted_in_the_next_plan(tmp_path: Path) -> None:
    scenario = {**today(), "awkward": {"authorization_withdrawn": 1}}
    with open_stage(tmp_path, scenario) as stage:
        give_keys(stage)
        manifest = stage.manifest()
        result, planned, again = stage.several(
            ["doctor", manifest, "-o", "json"],
            ["plan", manifest, "-o", "json"],
            ["doctor", "-o", "json"],
        )
    assert result.code == 3
    (withdrawn,) = causes(result.document())["auth.consent_needed"]
    notes = planned.document()["notes"]
    assert isinstance(notes, list)
    assert [(note["code"], note["app_ids"]) for note in notes] == [
        ("auth.consent_needed", [withdrawn])
    ]
    assert again.code == 0
    assert states(again.document())["credentials"] == "warning"


def test_settings_and_files_that_cannot_be_used_are_findings(tmp_path: Path) -> None:
    with open_stage(tmp_path, today()) as stage:
        manifest = stage.manifest()
        nowhere = stage.run("doctor", manifest, "-o", "json", TOKENS_FILE="")
        stage.tokens.chmod(0o644)
        open_tokens = stage.run("doctor", manifest, "-o", "json")
        give_keys(stage)
        stage.run("doctor")
        (stage.state / "credentials.db").chmod(0o644)
        loose = stage.run("doctor", manifest, "-o", "json")
        (tmp_path / "flat").write_text("no directory")
        flat = stage.run("doctor", manifest, "-o", "json", STATE_DIR=str(tmp_path / "flat"))
    assert [one.code for one in (nowhere, loose, open_tokens, flat)] == [2, 2, 2, 1]
    for result in (nowhere, loose, open_tokens, flat):
        assert_calm(result)
        assert result.document()["counts"] == {"unknown": 3}
    assert states(nowhere.document())["settings"] == "problem"
    assert states(loose.document())["credentials"] == "problem"
    assert states(loose.document())["state"] == "warning"
    assert states(open_tokens.document())["credentials"] == "problem"
    assert "mode 0644" in open_tokens.out
    assert states(flat.document())["state"] == "problem"


def test_a_key_that_the_platform_does_not_know_is_told(tmp_path: Path) -> None:
    with open_stage(tmp_path, today()) as stage:
        give_keys(stage)
        result = stage.run(
            "doctor", stage.manifest(), "-o", "json", TP_CLIENT_ID="someone-elses-key"
        )
    assert result.code == 14
    assert states(result.document())["tp_token"] == "problem"
    assert result.document()["counts"] == {"unknown": 3}
    assert calls(result.document()) == {"tp_token": 1}


def test_a_signal_leaves_at_once(tmp_path: Path) -> None:
    with open_stage(tmp_path, apps=8) as stage:
        manifest = stage.manifest(limits={"requests_per_second": 0.5, "in_flight": 1})
        command = stage.start("doctor", manifest)
        command.until(lambda: stage.platform.calls() > 0)
        command.signal(signal.SIGTERM)
        result = command.end(limit_s=10)
    assert result.code == 143
    assert_calm(result)
