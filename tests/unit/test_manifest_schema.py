"""The manifest's JSON Schema, as an editor uses it, against the manifests that are shipped."""

import json
from pathlib import Path

import jsonschema
import pytest

from fleetdeploy.storage.manifest_file import _tree

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "fleetdeploy/schemas/manifest.schema.json").read_text("utf-8"))
GOOD = sorted((ROOT / "manifests").glob("*.yaml"))


def value_of(path: Path) -> object:
    return _tree(path.read_text("utf-8"), path).value


def test_the_schema_itself_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert len(GOOD) >= 3


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_a_good_manifest_fits_the_schema(path: Path) -> None:
    found = jsonschema.Draft202012Validator(SCHEMA).iter_errors(value_of(path))
    assert [error.message for error in found] == []


@pytest.mark.parametrize(
    "change", [{"colour": "green"}, {"template_id": 754}, {"rollout": {"max_failures": "many"}}]
)
def test_what_the_loader_refuses_an_editor_underlines(change: dict[str, object]) -> None:
    value = value_of(ROOT / "manifests" / "small.yaml")
    assert isinstance(value, dict)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert [*validator.iter_errors({**value, **change})] != []
