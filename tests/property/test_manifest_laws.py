"""Laws of merging, of canonical form, and of reading what nobody meant as a manifest."""

import copy
import datetime as dt
import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from fleetdeploy.core.bundle import canonical_json
from fleetdeploy.core.durations import format_duration, parse_duration
from fleetdeploy.core.manifest_check import check
from fleetdeploy.core.merge import merge_patch
from fleetdeploy.core.targets import resolve
from fleetdeploy.errors import ManifestInvalid, Problem
from fleetdeploy.storage.apps_file import read_apps
from fleetdeploy.storage.json_events import json_events
from fleetdeploy.storage.manifest_file import load_manifest
from fleetdeploy.storage.trees import build

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "ext", "directCommit"]), VALUES, max_size=3)
NOISE = st.text(st.sampled_from(list("{}[]:,\"'-?&*!|>%#\\ \n\taé0_.<~\x00")), max_size=60)


def _problems(load: Callable[..., object], *arguments: object) -> tuple[Problem, ...]:
    try:
        load(*arguments)
    except ManifestInvalid as error:
        return error.problems
    return ()


@given(VALUES, VALUES)
def test_a_merge_changes_no_input_and_is_settled_by_one_pass(
    target: JsonValue, patch: JsonValue
) -> None:
    before = copy.deepcopy((target, patch))
    once = merge_patch(target, patch)
    assert (target, patch) == before
    assert merge_patch(once, patch) == once


@given(VALUES)
def test_canonical_json_reads_back_and_is_its_own_canonical_form(value: JsonValue) -> None:
    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text
    assert build(json_events(text, "x"), "x").value == value


@given(VALUES, st.sampled_from([None, 1, "\t"]))
def test_json_is_read_as_the_standard_library_reads_it(
    value: JsonValue, indent: int | str | None
) -> None:
    text = json.dumps(value, indent=indent)
    assert build(json_events(text, "x"), "x").value == json.loads(text)


@given(NOISE)
def test_noise_is_json_for_us_only_if_it_is_for_the_standard_library(text: str) -> None:
    tree = build(json_events(text, "x"), "x")
    if not tree.problems:
        assert tree.value == json.loads(text)


@given(st.integers(0, 10**8), st.sampled_from([1, 10, 1000]))
def test_a_duration_reads_back_as_it_was_written(count: int, parts: int) -> None:
    assert parse_duration(format_duration(count / parts)) == count / parts


@settings(max_examples=60)
@given(text=NOISE, kind=st.sampled_from([".yaml", ".json"]))
def test_noise_gets_problems_with_a_place_and_never_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, text: str, kind: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"noise{kind}"
    path.write_text(text, encoding="utf-8")
    assert {problem.file for problem in _problems(load_manifest, path)} <= {str(path)}


@given(NOISE, st.sampled_from(["a.csv", "a.jsonl", "a.json", "a.yaml"]), st.booleans())
def test_noise_in_an_apps_file_never_makes_a_traceback(text: str, name: str, head: bool) -> None:
    data = ("app_id,ext_json\n" * head + text).encode()
    assert {problem.file for problem in _problems(read_apps, data, name)} <= {name}


@given(st.lists(OBJECTS, min_size=1, max_size=3), OBJECTS)
def test_what_the_check_lets_through_can_be_resolved(
    apps: list[dict[str, JsonValue]], fleet: dict[str, JsonValue]
) -> None:
    raw = {
        "api_version": "fleetdeploy/v1",
        "name": "n",
        "template_id": "1",
        "version": "{date}",
        "audit": {"content": "c", "remark": "r"},
        "ext_json": fleet,
    }
    entries = [{"app_id": str(i), "ext_json": ext} for i, ext in enumerate(apps)]
    checked = check(raw, entries, complete=True)
    if checked.manifest is not None:
        targets = resolve(checked.manifest, date=dt.date(2026, 9, 17), run_id="r")
        sent = [json.loads(target.bundle.ext_json) for target in targets]
        assert [ext["extAppid"] for ext in sent] == [str(i) for i in range(len(apps))]
        assert all("extEnable" in ext for ext in sent)
