import datetime as dt
import json

import pytest

from fleetdeploy.core.bundle import fingerprint_of
from fleetdeploy.core.manifest import Manifest
from fleetdeploy.core.targets import Target, resolve
from fleetdeploy.errors import ManifestInvalid
from fleetdeploy.model import AuditNote

FLEET: dict[str, object] = {
    "api_version": "fleetdeploy/v1",
    "name": "storefront",
    "template_id": "754",
    "version": "1.0",
    "description": "autumn",
    "audit": {"content": "c", "remark": "r"},
}


def resolved(*apps: dict[str, object], **fleet: object) -> tuple[Target, ...]:
    manifest = Manifest.model_validate({**FLEET, **fleet, "apps": apps})
    return resolve(manifest, date=dt.date(2026, 9, 17), run_id="r-7")


def ext_of(target: Target) -> object:
    return json.loads(target.bundle.ext_json)


def problems(*apps: dict[str, object], **fleet: object) -> list[str]:
    with pytest.raises(ManifestInvalid) as caught:
        resolved(*apps, **fleet)
    return [str(problem) for problem in caught.value.problems]


def test_layers_are_merged_fleet_first_then_matching_groups_in_order_then_the_app() -> None:
    groups = [
        {"name": "a", "match": {"tier": "gold"}, "ext_json": {"ext": {"x": "a", "y": "a"}}},
        {"name": "b", "match": {"tier": ["gold"]}, "ext_json": {"ext": {"y": "b", "z": "b"}}},
        {"name": "c", "match": {"tier": "basic"}, "ext_json": {"ext": {"x": "c"}}},
    ]
    app: dict[str, object] = {
        "app_id": "1",
        "labels": {"tier": "gold"},
        "ext_json": {"ext": {"z": "app", "w": None}},
    }
    [target] = resolved(app, groups=groups, ext_json={"ext": {"w": "fleet", "v": "fleet"}})
    assert ext_of(target) == {
        "ext": {"v": "fleet", "x": "a", "y": "b", "z": "app"},
        "extAppid": "1",
        "extEnable": True,
    }


def test_the_priority_is_the_last_one_said_and_zero_where_nobody_says_any() -> None:
    groups = [
        {"name": "gold", "match": {"tier": "gold"}, "priority": 10},
        {"name": "north", "match": {"region": "north"}, "priority": -3},
    ]
    gold: dict[str, object] = {"tier": "gold"}
    targets = resolved(
        {"app_id": "1", "labels": gold},
        {"app_id": "2", "labels": gold | {"region": "north"}},
        {"app_id": "3", "labels": gold, "priority": 0},
        {"app_id": "4"},
        groups=groups,
    )
    assert [target.priority for target in targets] == [10, -3, 0, 0]


def test_groups_and_apps_may_have_their_own_rules_about_packages_of_others() -> None:
    gold = {"name": "gold", "match": {"tier": "gold"}, "foreign_package": "withdraw"}
    one, two, three = resolved(
        {"app_id": "1"},
        {"app_id": "2", "labels": {"tier": "gold"}, "overwrite_foreign": False},
        {"app_id": "3", "labels": {"tier": "gold"}, "foreign_package": "wait"},
        groups=[{**gold, "overwrite_foreign": True}],
    )
    assert (one.foreign_package, one.overwrite_foreign) == (None, None)
    assert (two.foreign_package, two.overwrite_foreign) == ("withdraw", False)
    assert (three.foreign_package, three.overwrite_foreign) == ("wait", True)


def test_groups_and_apps_override_template_version_description_and_parts_of_the_audit_note() -> (
    None
):
    group = {
        "name": "gold",
        "match": {"tier": "gold"},
        "template_id": "755",
        "version": "2.0",
        "audit": {"remark": "gold"},
    }
    app: dict[str, object] = {
        "app_id": "1",
        "name": "One",
        "labels": {"tier": "gold"},
        "version": "3.0",
        "description": "",
    }
    [target] = resolved(app, groups=[group])
    bundle = target.bundle
    assert (bundle.template_id, bundle.version) == ("755", "3.0")
    assert bundle.audit == AuditNote("c", "gold")
    assert bundle.description == f"[fd:{bundle.fingerprint}]"
    assert (target.name, target.wave, target.labels) == ("One", "all", {"tier": "gold"})


def test_a_wave_gives_its_name_to_the_targets() -> None:
    [target] = resolved({"app_id": "1"}, rollout={"waves": [{"name": "everybody"}]})
    assert target.wave == "everybody"


def test_the_fingerprint_is_that_of_what_goes_over_the_wire() -> None:
    [target] = resolved({"app_id": "1"})
    assert target.bundle.ext_json == '{"extAppid":"1","extEnable":true}'
    assert target.bundle.fingerprint == fingerprint_of("754", target.bundle.ext_json)
    assert target.bundle.description == f"autumn [fd:{target.bundle.fingerprint}]"


@pytest.mark.parametrize("said", ["17", 17])
def test_the_apps_own_id_may_be_said_and_is_sent_as_text(said: object) -> None:
    [target] = resolved({"app_id": "17", "ext_json": {"extAppid": said}})
    assert ext_of(target) == {"extAppid": "17", "extEnable": True}


@pytest.mark.parametrize("said", ["18", 18, 17.0, True, ["17"], {}])
def test_another_id_is_a_problem_where_it_is_said(said: object) -> None:
    found = problems({"app_id": "17", "ext_json": {"extAppid": said}})
    expected = 'is another id than the app\'s own, "17"; leave it out'
    assert found == [f"manifest storefront: apps[0].ext_json.extAppid: {expected}"]


def test_true_is_not_taken_for_the_id_1() -> None:
    assert len(problems({"app_id": "1", "ext_json": {"extAppid": True}})) == 1


def test_a_mistake_of_the_fleet_is_reported_once_and_those_of_apps_each() -> None:
    found = problems(
        {"app_id": "1"},
        {"app_id": "2", "ext_json": {"directCommit": "maybe"}},
        {"app_id": "3", "ext_json": {"extEnable": False}},
        ext_json={"extEnable": "yes"},
    )
    assert [text.split(": ")[1] for text in found] == [
        "ext_json.extEnable",
        "apps[1].ext_json.directCommit",
    ]


@pytest.mark.parametrize(
    ("ext_json", "expected"),
    [
        ({}, False),
        ({"directCommit": True}, True),
        ({"directCommit": "true"}, True),
        ({"directCommit": False}, False),
        ({"directCommit": "false"}, False),
        ({"directCommit": None}, False),
    ],
)
def test_direct_commit_is_read_as_boolean_or_text(
    ext_json: dict[str, object], expected: bool
) -> None:
    [target] = resolved({"app_id": "1", "ext_json": ext_json})
    assert target.bundle.direct_commit is expected


def test_an_app_may_switch_its_content_off() -> None:
    [target] = resolved({"app_id": "1", "ext_json": {"extEnable": False}})
    assert ext_of(target) == {"extAppid": "1", "extEnable": False}


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("10.30.0.3", "10.30.0.3"),
        ("10.{date}", "10.20260917"),
        ("{run_id}-{date}", "r-7-20260917"),
        ("{{date}}", "{date}"),
        ("}}{{", "}{"),
    ],
)
def test_placeholders_of_the_version_are_filled(version: str, expected: str) -> None:
    [target] = resolved({"app_id": "1"}, version=version)
    assert target.bundle.version == expected
