"""The kinds and bounds of a manifest's values, and what is found in one go."""

import pytest
from pydantic import ValidationError

from fleetdeploy.core.fields import parse_budget
from fleetdeploy.core.findings import path_text, quoted
from fleetdeploy.core.manifest import Manifest, manifest_schema
from fleetdeploy.core.manifest_check import MAX_APPS, check

FLEET: dict[str, object] = {
    "api_version": "fleetdeploy/v1",
    "name": "storefront",
    "template_id": "754",
    "version": "1.0",
    "audit": {"content": "c", "remark": "r"},
}


def found(*apps: object, complete: bool = True, **fleet: object) -> list[str]:
    checked = check({**FLEET, **fleet}, apps, complete=complete)
    assert (checked.manifest is None) == bool(checked.findings)
    return [f"{path_text(finding.at)}: {finding.message}" for finding in checked.findings]


def of_fleet(overrides: dict[str, object]) -> list[str]:
    checked = check({**FLEET, **overrides}, [{"app_id": "1"}], complete=True)
    return [f"{path_text(finding.at)}: {finding.message}" for finding in checked.findings]


def test_the_least_manifest_has_the_defaults_of_the_contract() -> None:
    manifest = check(FLEET, [{"app_id": "1"}], complete=True).manifest
    assert manifest is not None
    assert [wave.name for wave in manifest.rollout.waves] == ["all"]
    assert str(manifest.rollout.max_failures) == "10%"
    assert manifest.rollout.skip_unchanged is True
    assert manifest.rollout.foreign_package == "block"
    assert manifest.rollout.overwrite_foreign is False
    assert (manifest.limits.requests_per_second, manifest.limits.in_flight) == (10.0, 32)
    assert manifest.limits.endpoints == {}


@pytest.mark.parametrize(
    ("written", "total", "allowed"),
    [
        ("5%", 214, 10),
        ("10%", 9, 0),
        ("100%", 7, 7),
        ("2.5 %", 400, 10),
        ("29%", 100, 29),
        ("0%", 5, 0),
        (3, 1000, 3),
        (0, 1000, 0),
    ],
)
def test_a_budget_of_failures_rounds_down(written: object, total: int, allowed: int) -> None:
    assert parse_budget(written).allowed(total) == allowed


@pytest.mark.parametrize("written", ["101%", "-1%", "5", "five", -1, 1.5, True, None, "1e1%"])
def test_a_budget_is_a_count_or_a_percentage(written: object) -> None:
    message = "rollout.max_failures: must be a number of apps, or a percentage like 5%, at most"
    [problem] = found({"app_id": "1"}, rollout={"max_failures": written})
    assert problem.startswith(message)


def test_a_budget_is_written_as_it_was() -> None:
    manifest = Manifest.model_validate({**FLEET, "rollout": {"max_failures": "2.5%"}})
    dumped = manifest.model_dump(mode="json")
    assert dumped["rollout"]["max_failures"] == "2.5%"
    assert parse_budget(parse_budget(4)) == parse_budget(4)


@pytest.mark.parametrize(
    ("priority", "message"),
    [
        (1001, "must be at most 1000"),
        (-1001, "must be at least -1000"),
        (1.0, "must be a whole number"),
        ("1", "must be a whole number"),
        (True, "must be a whole number"),
    ],
)
def test_a_priority_is_a_whole_number_within_bounds(priority: object, message: str) -> None:
    group = {"name": "g", "match": {"tier": "gold"}, "priority": priority}
    app = {"app_id": "1", "labels": {"tier": "gold"}, "priority": priority}
    assert found(app, groups=[group]) == [
        f"groups[0].priority: {message}",
        f"apps[0].priority: {message}",
    ]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("template_id", 754, 'must be text: put the number in quotes, "754"'),
        ("version", 10.3, "must be text: put it in quotes"),
        ("version", True, "must be text: put it in quotes"),
        ("version", None, "must be text"),
        ("version", "", "must not be empty"),
        ("version", "1\n2", "holds a line break or a control character"),
        ("version", "  ", "must not be blank"),
        ("version", "x" * 201, "is longer than 200 characters"),
        ("version", "1.{day}", "has an unknown placeholder {day}; known are {date} and {run_id}"),
        ("version", "1.{", "has a single {: write {{ for a literal brace"),
        ("version", "1.}", "has a single }: write }} for a literal brace"),
        ("name", "\ud800", "holds half of a character (a lone surrogate)"),
        ("name", "a\u202eb", "holds an invisible character that turns the reading direction"),
        ("audit", {"content": "a\x1b[1m", "remark": "r"}, "holds a control character"),
        ("groups", [{"name": "g", "match": {"a b": "c"}}], "a label's key must be 1 to 64"),
        ("description", "x [fd:0123456789]", "holds [fd:, which begins the tool's own marker"),
        ("description", "two\nlines", "holds a line break or a control character"),
        ("api_version", "v2", "must be 'fleetdeploy/v1'"),
        ("ext_json", [], "must be a mapping of keys to values"),
        ("ext_json", {"x": "y" * 300_000}, "is larger than 256 KiB as JSON"),
        ("groups", {}, "must be a list"),
        ("audit", "c", "must be a mapping of keys to values"),
        ("verison", "1", "unknown key; did you mean version?"),
        ("zzz", "1", "unknown key"),
    ],
)
def test_a_wrong_value_says_what_to_write(key: str, value: object, message: str) -> None:
    [problem] = of_fleet({key: value})
    assert problem.startswith(key)
    assert message in problem


def test_a_folded_description_may_end_in_a_line_feed() -> None:
    checked = check({**FLEET, "description": "autumn\n"}, [{"app_id": "1"}], complete=True)
    assert checked.manifest is not None
    assert checked.manifest.description == "autumn"


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ({"in_flight": 0}, "limits.in_flight: must be at least 1"),
        ({"in_flight": 2.5}, "limits.in_flight: must be a whole number"),
        ({"requests_per_second": 0}, "limits.requests_per_second: must be more than 0"),
        ({"requests_per_second": "9"}, "limits.requests_per_second: must be a number"),
        ({"requests_per_second": 1e6}, "limits.requests_per_second: must be at most 1000"),
        ({"endpoints": {"release": -1}}, "limits.endpoints.release: must be more than 0"),
    ],
)
def test_limits_are_positive_and_bounded(limits: dict[str, object], problem: str) -> None:
    assert found({"app_id": "1"}, limits=limits) == [problem]


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ("Mon-Fry 22:00-06:00 UTC", "names no day of the week: Fry"),
        ("Mon 22:00-29:00 UTC", "has a time after 24:00"),
        ("at night", "must be like Mon-Fri 22:00-06:00 Asia/Shanghai"),
    ],
)
def test_a_window_that_makes_no_sense_is_a_problem(window: str, message: str) -> None:
    expected = [f"windows.release[0]: {message}"]
    assert found({"app_id": "1"}, windows={"release": [window]}) == expected


def test_freezes_without_a_zone_are_in_that_of_the_windows_if_there_is_one() -> None:
    day = {"from": "2026-11-11"}
    here, there = "Mon-Fri 22:00-06:00 Asia/Shanghai", "Mon-Fri 22:00-06:00 Europe/Berlin"
    unzoned = ["freezes[0]: names no zone, and the windows do not agree on one"]
    assert found({"app_id": "1"}, freezes=[day]) == unzoned
    both = {"submit": [here], "release": [there]}
    assert found({"app_id": "1"}, freezes=[day], windows=both) == unzoned
    one = {"submit": [here], "release": [here]}
    assert found({"app_id": "1"}, freezes=[day], windows=one) == []
    assert found({"app_id": "1"}, freezes=[day | {"zone": "UTC"}], windows=both) == []


def test_a_mistake_in_a_window_does_not_make_one_of_the_freezes() -> None:
    day = {"from": "2026-11-11"}
    problems = found({"app_id": "1"}, freezes=[day], windows={"release": ["at night"]})
    assert problems == ["windows.release[0]: must be like Mon-Fri 22:00-06:00 Asia/Shanghai"]


def test_an_empty_list_of_waves_is_a_problem_of_its_own() -> None:
    assert found({"app_id": "1"}, rollout={"waves": []}) == ["rollout.waves: must not be empty"]


def test_one_mistake_does_not_hide_another() -> None:
    """Sound apps are resolved although the fleet and other apps have mistakes."""
    problems = found(
        {"app_id": 1},
        {"app_id": "2", "ext_json": {"extAppid": "3"}},
        {"app_id": "2", "version": "{x}"},
        template_id=754,
        limits={"in_flight": 0},
    )
    assert [problem.split(":")[0] for problem in problems] == [
        "template_id",
        "limits.in_flight",
        "apps[0].app_id",
        "apps[2].version",
        "apps[2].app_id",
        "apps[1].ext_json.extAppid",
    ]


def test_an_empty_fleet_is_a_problem_unless_apps_could_not_be_read() -> None:
    problem = ": the fleet is empty: there is no app in apps or in apps_file"
    assert found() == [problem]
    assert check(FLEET, [], complete=False).findings == ()


def test_a_group_that_matches_nobody_is_a_problem() -> None:
    group = {"name": "gold", "match": {"teir": "gold"}}
    app = {"app_id": "1", "labels": {"tier": "gold"}}
    assert found(app, groups=[group]) == ["groups[0].match: matches no app of the fleet"]


@pytest.mark.slow
def test_the_number_of_apps_is_bounded() -> None:
    problems = found(*([None] * (MAX_APPS + 1)))
    assert problems[0] == "apps: has more than 200,000 apps"


def test_paths_are_written_as_people_read_them() -> None:
    assert path_text(()) == ""
    assert path_text(("apps", 3, "ext_json", "extAppid")) == "apps[3].ext_json.extAppid"
    assert path_text(("labels", "a b", "\x1b[1m")) == 'labels["a b"]["\\u001b[1m"]'
    assert path_text((0,) * 100) == f"{'[0]' * 66}[0..."
    assert quoted("x" * 100) == f'"{"x" * 60}..."'


def test_a_manifest_cannot_be_changed() -> None:
    manifest = Manifest.model_validate(FLEET)
    with pytest.raises(ValidationError, match="frozen"):
        manifest.name = "other"  # type: ignore[misc]


def test_every_key_is_described_in_the_schema() -> None:
    schema = manifest_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    parts = [schema, *(part for part in schema["$defs"].values() if "properties" in part)]
    silent = [
        key
        for part in parts
        for key, value in part["properties"].items()
        if not value.get("description")
    ]
    assert silent == []
    assert all(part["additionalProperties"] is False for part in parts)
