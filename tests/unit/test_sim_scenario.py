"""Scenario files: what they may say, and how their mistakes are told."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetdeploy.errors import ExitCode, SettingsInvalid
from fleetdeploy.simulator.behaviour import Authorization, CategoryState
from fleetdeploy.simulator.scenario import (
    AWKWARD,
    Scenario,
    demo_scenario,
    load_scenario,
    parse_scenario,
)
from fleetdeploy.simulator.world import World

APPS = [str(100000000 + number) for number in range(300)]

FULL = """
seed: 7
behaviour: {effect_delay_s: 1, build_s: 2, audit_s: [30m, 6h], audit_shape: lognormal}
apps:
  100000282: {reject_chance: 1, reject_reasons: [类目不符]}
awkward: {category_not_approved: 2, rejected: 3}
unsettled: {development_rows: one, token_error_http: 401}
rate_limit: {per_second: 50, answer: http_429, retry_after_s: 2}
faults:
  rates: {answer_lost: 0.1}
  endpoints: {upload: {answer_lost: 0.5}}
"""


def write(folder: Path, text: str, name: str = "scenario.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_full_scenario_is_read(tmp_path: Path) -> None:
    scenario = load_scenario(write(tmp_path, FULL))
    assert scenario.behaviour.audit_s == (1800.0, 21600.0)
    assert scenario.behaviour.build_s == (2.0, 2.0)
    cast = scenario.cast(["100000282", *APPS[:10]])
    assert cast["100000282"].reject_reasons == ("类目不符",)
    assert cast["100000282"].effect_delay_s == 1.0


def test_json_says_the_same(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps({"seed": 3, "awkward": {"rejected": 1}}), "scenario.json")
    assert load_scenario(path) == Scenario(seed=3, awkward={"rejected": 1})


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    assert load_scenario(write(tmp_path, "")) == Scenario()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sed: 1", "sed: Extra inputs are not permitted"),
        ("behaviour: {audit_s: [5, 1]}", "behaviour.audit_s: the first number is larger"),
        ("behaviour: {build_s: -1}", "behaviour.build_s.0: Input should be greater"),
        ("behaviour: {effect_delay_s: .nan}", "behaviour.effect_delay_s: Input should be"),
        ("behaviour: {effect_delay_s: soon}", "behaviour.effect_delay_s: Input should be"),
        ("apps: {7: {reject_chanc: 1}}", "apps.7.reject_chanc: Extra inputs"),
        ("awkward: {grumpy: 1}", "awkward: 'grumpy' is not one of name_not_approved"),
        ("faults: {endpoints: {uplod: {}}}", "faults.endpoints.uplod"),
        ("[]", "Input should be a valid dictionary"),
        ("seed: [", "not readable: while parsing"),
        ("? {a: b}\n: 1", "not readable"),
        ("\x00", "not readable"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SettingsInvalid) as caught:
        load_scenario(path)
    assert caught.value.message.startswith(f"{path}: ")
    assert expected in caught.value.message
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\ud800"])
def test_json_that_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scenario.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(SettingsInvalid, match="not readable"):
        load_scenario(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="No such file"):
        load_scenario(tmp_path / "none.yaml")


@settings(max_examples=50)
@given(st.binary(max_size=200) | st.text(max_size=80).map(str.encode))
def test_any_bytes_are_a_scenario_or_an_error_of_ours(raw: bytes) -> None:
    for as_json in (True, False):
        # Anything but this error fails the test.
        with suppress(SettingsInvalid):
            assert isinstance(parse_scenario(raw, "it", as_json=as_json), Scenario)


def test_more_awkward_apps_than_apps_are_an_error() -> None:
    with pytest.raises(SettingsInvalid, match="asks for 3 awkward apps"):
        Scenario(awkward={"rejected": 3}).cast(APPS[:2])


def test_every_kind_of_awkward_client_is_a_valid_change() -> None:
    scenario = Scenario(awkward=dict.fromkeys(AWKWARD, 1))
    cast = scenario.cast(APPS)
    changed = [behaviour for behaviour in cast.values() if behaviour != scenario.behaviour]
    assert len(changed) == len(AWKWARD)
    assert len({behaviour.model_dump_json() for behaviour in changed}) == len(AWKWARD)


def test_the_demo_has_its_dozen_awkward_clients() -> None:
    cast = demo_scenario().cast(APPS)
    behaviours = list(cast.values())
    assert len(behaviours) == 300
    assert sum(one.category is CategoryState.NOT_APPROVED for one in behaviours) == 2
    assert sum(not one.name_approved for one in behaviours) == 1
    assert sum(not one.authenticity_passed for one in behaviours) == 2
    assert sum(one.quota_used > 0 for one in behaviours) == 1
    assert sum(one.authorization is Authorization.WITHDRAWN for one in behaviours) == 1
    assert sum(one.reject_chance == 1.0 for one in behaviours) == 3
    assert sum(one.upload_failures == 1 for one in behaviours) == 1
    assert sum(bool(one.foreign) for one in behaviours) == 1
    assert cast == demo_scenario().cast(APPS)


def test_who_is_awkward_depends_on_the_seed_and_not_on_the_order_of_apps() -> None:
    scenario = Scenario(seed=1, awkward={"rejected": 5})
    forwards, backwards = scenario.cast(APPS), scenario.cast(APPS[::-1])
    assert forwards == backwards
    assert forwards != Scenario(seed=2, awkward={"rejected": 5}).cast(APPS)


def test_two_worlds_of_one_scenario_have_the_same_tokens() -> None:
    first, second = (World.from_scenario(demo_scenario(), APPS) for _ in range(2))
    assert first.tokens == second.tokens
    assert len(set(first.tokens.values())) == 300
