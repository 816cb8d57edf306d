"""Manifests as they lie on disk, sound and broken."""

import hashlib
import json
import os
from pathlib import Path

import pytest
import yaml

from fleetdeploy.core import manifest_check
from fleetdeploy.core.findings import MAX_FINDINGS, Finding
from fleetdeploy.core.manifest import manifest_schema
from fleetdeploy.errors import ManifestInvalid
from fleetdeploy.storage import manifest_file, trees, yaml_events
from fleetdeploy.storage.manifest_file import load_manifest

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
INVALID = sorted(
    path
    for path in (MANIFESTS / "invalid").iterdir()
    if path.suffix in (".yaml", ".json") and path.with_name(f"{path.name}.problems.txt").exists()
)
HEAD = """\
api_version: fleetdeploy/v1
name: test
template_id: "754"
version: "1.0"
audit: {content: c, remark: r}
"""


def problems(path: Path) -> list[str]:
    with pytest.raises(ManifestInvalid) as caught:
        load_manifest(path)
    return [str(problem).replace(f"{path.parent}{os.sep}", "") for problem in caught.value.problems]


def written(folder: Path, text: str | bytes, name: str = "m.yaml") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def with_apps(folder: Path, name: str, text: str | bytes) -> Path:
    written(folder, text, name)
    return written(folder, f"{HEAD}apps_file: {name}\n")


@pytest.mark.parametrize(("name", "apps"), [("demo", 300), ("small", 8), ("full", 4)])
def test_the_manifests_of_the_project_load(name: str, apps: int) -> None:
    loaded = load_manifest(MANIFESTS / f"{name}.yaml")
    assert len(loaded.manifest.apps) == apps
    assert loaded.path == MANIFESTS / f"{name}.yaml"


def test_the_full_manifest_has_every_key() -> None:
    manifest = load_manifest(MANIFESTS / "full.yaml").manifest
    assert manifest.model_fields_set == set(type(manifest).model_fields)
    assert manifest.rollout.model_fields_set == set(type(manifest.rollout).model_fields)
    assert manifest.limits.model_fields_set == set(type(manifest.limits).model_fields)
    assert manifest.windows is not None
    assert manifest.windows.model_fields_set == set(type(manifest.windows).model_fields)
    assert manifest.freezes[0].model_fields_set == set(type(manifest.freezes[0]).model_fields)


def test_the_windows_and_freezes_of_the_reference_load(tmp_path: Path) -> None:
    reference = (ROOT / "docs" / "manifest.md").read_text(encoding="utf-8")
    example = reference.partition("```yaml\nwindows:")[2].partition("```")[0]
    text = f"{HEAD}apps: [{{app_id: '1'}}]\nwindows:{example}"
    manifest = load_manifest(written(tmp_path, text)).manifest
    assert manifest.window_zone == "Asia/Shanghai"
    feast, friday = manifest.freezes
    assert (str(feast.first), str(feast.last), feast.zone) == ("2027-02-05", "2027-02-12", None)
    assert (friday.last, friday.zone) == (None, "America/New_York")


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.name)
def test_a_broken_manifest_has_exactly_the_problems_beside_it(path: Path) -> None:
    expected = path.with_name(f"{path.name}.problems.txt").read_text(encoding="utf-8")
    assert problems(path) == expected.splitlines()


def test_every_broken_manifest_has_its_problems_beside_it() -> None:
    assert len(INVALID) >= 12
    sidecars = list((MANIFESTS / "invalid").glob("*.problems.txt"))
    assert len(sidecars) == len(INVALID)


def test_the_schema_on_disk_is_that_of_the_code() -> None:
    text = (ROOT / "fleetdeploy/schemas/manifest.schema.json").read_text(encoding="utf-8")
    assert json.loads(text) == manifest_schema()


def test_a_problem_can_be_placed_in_either_file() -> None:
    sources = load_manifest(MANIFESTS / "full.yaml").sources
    inline = sources.problem(("apps", 0, "labels", "tier"), "x")
    assert (inline.line, inline.column, inline.path) == (37, 14, "apps[0].labels.tier")
    other = sources.problem(("apps", 2, "name"), "x")
    assert (Path(other.file).name, other.line, other.path) == ("full-clients.jsonl", 1, "name")


def test_the_digest_covers_both_files(tmp_path: Path) -> None:
    apps = b"app_id\n1\n"
    path = with_apps(tmp_path, "a.csv", apps)
    expected = hashlib.sha256(path.read_bytes() + b"\0" + apps).hexdigest()
    assert load_manifest(path).digest == expected
    written(tmp_path, b"app_id\n2\n", "a.csv")
    assert load_manifest(path).digest != expected


APP = {
    "app_id": "1",
    "name": "火锅",
    "labels": {"tier": "gold"},
    "ext_json": {"ext": {"h": "a"}},
    "priority": -7,
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", json.dumps([APP])),
        ("a.jsonl", f"\n{json.dumps(APP, ensure_ascii=False)}\n\n"),
        ("a.yaml", json.dumps([APP], ensure_ascii=False)),
        (
            "a.yml",
            (
                "- app_id: '1'\n  name: 火锅\n  labels: {tier: gold}\n"
                "  ext_json: {ext: {h: a}}\n  priority: -7\n"
            ),
        ),
        ("a.csv", "app_id,name,labels.tier,ext.h,priority\r\n1,火锅,gold,a,-7\r\n"),
        (
            "a.csv",
            '\ufeffapp_id,name,labels.tier,priority,ext_json\n1,火锅,gold,-7,"{""ext"":{""h"":""a""}}"\n',
        ),
        (
            "A.CSV",
            'priority,ext.h,ext_json,app_id,name,labels.tier\n-7,a,"{""ext"":{""h"":1}}",1,火锅,gold\n',
        ),
    ],
)
def test_all_forms_of_an_apps_file_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    [app] = load_manifest(with_apps(tmp_path, name, text)).manifest.apps
    assert app.model_dump(exclude_none=True) == APP


def test_empty_cells_say_nothing(tmp_path: Path) -> None:
    text = (
        "app_id,name,template_id,version,priority,labels.tier,ext.h,ext_json\n1,,,,,,,\n,,,,,,,\n"
    )
    [app] = load_manifest(with_apps(tmp_path, "a.csv", text)).manifest.apps
    assert app.model_fields_set == {"app_id"}


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("22:00", "22:00"),
        ("1_000", "1_000"),
        ("2026-09-17", "2026-09-17"),
        ("0b11", "0b11"),
        ("1.2.3", "1.2.3"),
        ("-", None),
        ("true", True),
        ("False", False),
        ("tRUE", "tRUE"),
        ("~", None),
        ("NULL", None),
        ("", None),
        ('""', ""),
        ("'12'", "12"),
        ("12", 12),
        ("-12", -12),
        ("0", 0),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("+1.5", 1.5),
        ("12e03", 12000.0),
        ("=", "="),
    ],
)
def test_plain_scalars_mean_what_yaml_1_2_says(tmp_path: Path, scalar: str, value: object) -> None:
    scalar = "null" if scalar == "-" else scalar
    text = f"{HEAD}apps: [{{app_id: '1'}}]\next_json:\n  ext: {{list: [x]}}\n  v: {scalar}\n"
    loaded = load_manifest(written(tmp_path, text))
    assert loaded.manifest.ext_json["v"] == value
    assert type(loaded.manifest.ext_json["v"]) is type(value)


def test_anchors_and_aliases_are_read(tmp_path: Path) -> None:
    text = f"{HEAD}ext_json: {{a: &x {{b: 1}}, c: *x, d: &y z, e: *y}}\napps: [{{app_id: '1'}}]\n"
    manifest = load_manifest(written(tmp_path, text)).manifest
    assert manifest.ext_json == {"a": {"b": 1}, "c": {"b": 1}, "d": "z", "e": "z"}


def test_the_pure_parser_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load_manifest(MANIFESTS / "full.yaml").manifest
    monkeypatch.setattr(yaml_events, "LOADER", yaml.SafeLoader)
    assert load_manifest(MANIFESTS / "full.yaml").manifest == expected
    [problem] = problems(written(tmp_path, "a: [1,\n"))
    assert problem.startswith("m.yaml:2:1: is not YAML")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "m.yaml: is empty"),
        (b"# nothing\n", "m.yaml: is empty"),
        (b"- a\n", "m.yaml:1:1: must be a mapping with keys like api_version and apps"),
        (b"a: 1\nb: \x00\n", "m.yaml:2:4: holds the control character U+0000"),
        ("a: \x80".encode(), "m.yaml:1:4: holds the control character U+0080"),
        ("a: é".encode("latin-1"), "m.yaml:1:4: byte 0xe9 is not UTF-8: save it as UTF-8"),
        ("a: 1".encode("utf-16"), "m.yaml: is in UTF-16: save it as UTF-8"),
        ("a: 1".encode("utf-32"), "m.yaml: is in UTF-32: save it as UTF-8"),
        (b"[" * 100_000, "is nested more than 64 deep"),
        (b"{a: " * 100_000, "is nested more than 64 deep"),
        (b"- " * 100_000, "is nested more than 64 deep"),
        (b"? " * 100_000, "is nested more than 64 deep"),
        (b"a: *b", 'm.yaml:1:4: a: the alias "b" has no anchor before it'),
        (b"&a a: &a [*a]", 'm.yaml:1:11: a[0]: the alias "a" stands within itself'),
        (b"a: !!binary eA==", 'm.yaml:1:4: a: the tag "!!binary" is not allowed'),
        (b"a: !x {b: 1}", 'm.yaml:1:4: a: the tag "!x" is not allowed'),
        (b"a: " + b"9" * 100_000, "the number is too large to be kept exactly: put it in quotes"),
        (b"a: 0x" + b"f" * 100_000, "the number is too large to be kept exactly"),
        (b'a: "\\ud800"', "is not YAML"),
        (b"a: b: c", "m.yaml:1:5: is not YAML: mapping values are not allowed in this context"),
    ],
)
def test_hostile_yaml_is_refused_in_words(tmp_path: Path, data: bytes, problem: str) -> None:
    assert any(problem in text for text in problems(written(tmp_path, data)))


def test_aliases_cannot_stand_for_a_billion_values(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    [problem] = problems(written(tmp_path, "\n".join(lines)))
    assert problem.endswith("holds more than 1,000,000 values, aliases counted in full")


def test_aliases_cannot_nest_deeper_than_brackets(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 80)]
    [problem] = problems(written(tmp_path, "\n".join(lines)))
    assert problem.endswith("is nested more than 64 deep")


def test_aliases_cannot_repeat_a_long_text_into_gigabytes(tmp_path: Path) -> None:
    """A file of 300 KiB that asked for 20 GB of JSON, and ended the process."""
    aliases = ", ".join(["*t"] * 20_000)
    text = f"{HEAD}ext_json: {{a: &t {'x' * 200_000}, b: [{aliases}]}}\n"
    problem = problems(written(tmp_path, text))[0]
    assert problem.endswith("ext_json.b[83]: repeats more than 16 MiB of text by aliases")


def test_a_long_text_that_is_part_of_an_alias_counts_each_time(tmp_path: Path) -> None:
    lines = [f"a0: &a0 {{{'k' * 1000}: {'x' * 200_000}}}"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 5)}]" for i in range(1, 6)]
    [problem] = problems(written(tmp_path, "\n".join(lines)))
    assert problem.endswith("repeats more than 16 MiB of text by aliases")


def test_reading_stops_after_a_thousand_values_that_cannot_be_used() -> None:
    """Each had a path of 60 parts of its own: a file of 1 MB took half a minute."""
    text = "[" * 60 + ", ".join(["!t x"] * 1_200) + "]" * 60
    tree = trees.build(yaml_events.yaml_events(text, "m.yaml"), "m.yaml")
    assert len(tree.problems) == trees.MAX_PROBLEMS + 1
    assert tree.problems[-1].message == "is read no further: there are 1,000 problems before"


def test_checking_stops_after_so_many_problems_with_the_apps(tmp_path: Path) -> None:
    """For each unknown key all known ones were compared: a minute for a large fleet."""
    found = problems(written(tmp_path, HEAD + "apps:\n" + "- {app_id: 1}\n" * (MAX_FINDINGS + 10)))
    assert (
        found[-1] == f"m.yaml: and {MAX_FINDINGS + 1 - manifest_file.MAX_PROBLEMS:,} more problems"
    )


def test_a_key_whose_problems_are_too_many_does_not_hide_that_another_is_wrong(
    tmp_path: Path,
) -> None:
    group = "{" + ", ".join(f"k{i}: x" for i in range(MAX_FINDINGS + 10)) + "}"
    text = f"{HEAD}groups: [{group}]\nlimits: {{in_flight: 0}}\napps: [{{app_id: '1'}}]\n"
    assert problems(written(tmp_path, text))[0] == "m.yaml:6:10: groups[0].name: is missing"


@pytest.mark.slow
def test_what_layers_add_up_to_is_bounded(tmp_path: Path) -> None:
    """Two hundred groups of 200 KiB each made every app one of 40 MiB."""
    group = "- {{name: g{i}, match: {{t: t}}, ext_json: {{k{i}: {text}}}}}\n"
    apps = 'apps: [{app_id: "1", labels: {t: t}}]\n'
    two = "".join(group.format(i=i, text="x" * 200_000) for i in range(2))
    assert problems(written(tmp_path, f"{HEAD}groups:\n{two}{apps}")) == [
        "m.yaml:9:8: apps[0]: the ext_json of all layers together is larger than 256 KiB as JSON"
    ]
    six = "".join(group.format(i=i, text="x" * 200_000) for i in range(6))
    assert problems(written(tmp_path, f"{HEAD}groups:\n{six}{apps}")) == [
        "m.yaml:6:1: groups: say more than 1024 KiB of ext_json, that of the fleet included"
    ]


def test_what_all_apps_get_together_is_bounded(tmp_path: Path) -> None:
    text = f"{HEAD}ext_json: {{t: {'x' * 250_000}}}\napps: [{{app_id: '1'}}, {{app_id: '2'}}]\n"
    draft = load_manifest(written(tmp_path, text)).manifest
    apps = manifest_check._Apps(draft.apps, (0, 1), ())
    assert manifest_check._resolved(draft, apps, max_chars=1024**2) == []
    assert manifest_check._resolved(draft, apps, max_chars=400_000) == [
        Finding(("apps",), "get more than 0 MiB of ext_json, all together")
    ]


def test_keys_of_one_mapping_are_bounded(tmp_path: Path) -> None:
    text = "{" + ",".join(f'"{i}":1' for i in range(trees.MAX_KEYS + 1)) + "}"
    [problem] = problems(written(tmp_path, text, "m.json"))
    assert problem.endswith("has more than 10,000 keys in one mapping")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "m.json:1:1: is not JSON: it ends where a value was expected"),
        ("[", "m.json:1:2: is not JSON: it ends where a value or ] was expected"),
        ("{", "m.json:1:2: is not JSON: it ends where a key in double quotes or } was expected"),
        ('{"a" 1}', 'm.json:1:6: is not JSON: expected a colon, found "1"'),
        ("{a: 1}", 'm.json:1:2: is not JSON: expected a key in double quotes or }, found "a"'),
        ("[1 2]", 'expected a comma or the closing bracket, found "2"'),
        ("[1}", 'expected a comma or the closing bracket, found "}"'),
        ("\n [01]", 'm.json:2:3: is not JSON: expected a value or ], found "01"'),
        ("[1.]", 'expected a value or ], found "1."'),
        ("[-]", 'expected a value or ], found "-"'),
        ("[NaN]", 'expected a value or ], found "NaN"'),
        ("[,]", 'expected a value or ], found ","'),
        ('["a\nb"]', "m.json:1:2: is not JSON: a text is not closed on its line"),
        ('["\\x"]', "m.json:1:2: is not JSON: a text holds a backslash that escapes nothing"),
        ('["\\udc00"]', "holds half of a character (a lone surrogate)"),
        ("[1e999]", "m.json:1:2: [0]: the number is too large for JSON"),
        ("[" + "9" * 5_000 + "]", "the number is too large to be kept exactly"),
        ("[" * 100_000, "is nested more than 64 deep"),
        ('{"a":' * 100_000, "is nested more than 64 deep"),
        ("{} {}", "m.json:1:4: is not JSON: there is more after its end"),
        ('{"a": 1, "a": 2}', 'the key "a" is there twice, first at line 1, column 2'),
        ("[]", "m.json:1:1: must be a mapping with keys like api_version and apps"),
    ],
)
def test_hostile_json_is_refused_in_words(tmp_path: Path, text: str, problem: str) -> None:
    found = problems(written(tmp_path, text, "m.json"))
    assert any(problem in each for each in found), found


def test_json_texts_are_unescaped(tmp_path: Path) -> None:
    fleet = {**json.loads(json.dumps(yaml.safe_load(HEAD))), "name": 'a"\\é😀', "apps": [APP]}
    path = written(tmp_path, "\ufeff" + json.dumps(fleet), "m.json")
    assert load_manifest(path).manifest.name == 'a"\\é😀'


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.csv", "", "a.csv: is empty: the first line names columns"),
        ("a.csv", "app_id;name\n1;x\n", "a.csv:1: columns must be separated by commas"),
        ("a.csv", 'app_id\n"1', "a.csv:2: is not CSV: unexpected end of data"),
        ("a.csv", 'app_id\n"1"x', "a.csv:2: is not CSV: ',' expected after '\"'"),
        ("a.csv", f"app_id\n{'1' * 200_000}", "a.csv:2: is not CSV: field larger than field limit"),
        ("a.csv", "app_id\n1\x00\n", "a.csv:2:2: holds the control character U+0000"),
        ("a.csv", "app_id,priority\n1,high\n", "a.csv:2: priority: must be a whole number"),
        ("a.csv", "app_id,priority\n1,1.0\n", "a.csv:2: priority: must be a whole number"),
        ("a.csv", "app_id,priority\n1,007\n", "a.csv:2: priority: must be a whole number"),
        ("a.csv", "app_id,priority\n1,1001\n", "a.csv:2: priority: must be at most 1000"),
        ("a.csv", "app_id,ext_json\n1,[\n", "ext_json: is not JSON: it ends where a value or ]"),
        ("a.txt", "1", "a.txt: must end in one of .csv, .json, .jsonl, .yaml, .yml"),
        ("a.json", "{}", "a.json:1:1: must be a list of apps"),
        ("a.json", '[{"app_id": 1}]', "a.json:1:3: [0].app_id: must be text"),
        ("a.json", "[1]", "a.json:1:2: [0]: must be a mapping of keys to values"),
        ("a.yaml", "- {app_id: '1', app: x}", "a.yaml:1:17: [0].app: unknown key"),
        ("a.yaml", "{", "a.yaml:2:1: is not YAML"),
        ("a.jsonl", '{"app_id": "1"}\n{"labels": []}', "a.jsonl:2:2: labels: must be a mapping"),
    ],
)
def test_a_broken_apps_file_is_refused_in_words(
    tmp_path: Path, name: str, text: str, problem: str
) -> None:
    found = problems(with_apps(tmp_path, name, text))
    assert any(each.startswith(problem) or problem in each for each in found), found


def test_a_first_line_of_very_many_columns_takes_no_minutes(tmp_path: Path) -> None:
    header = ",".join(f"c{number}" for number in range(1_000_000))
    [problem] = problems(with_apps(tmp_path, "a.csv", f"{header}\n"))
    assert problem == "a.csv:1: has 1,000,000 columns, 10,000 are allowed"


@pytest.mark.parametrize(
    "name", ["../a.csv", "/etc/passwd", "b/../../a.csv", "link.csv", "loop.csv"]
)
def test_an_apps_file_outside_the_manifests_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    written(tmp_path, "app_id\n1\n", "a.csv")
    (folder / "link.csv").symlink_to("../a.csv")
    (folder / "loop.csv").symlink_to("loop.csv")
    [problem] = problems(written(folder, f"{HEAD}apps_file: {name}\n"))
    assert problem.startswith("m.yaml:6:1: apps_file: ")
    assert problem.endswith("must be a file in the manifest's own folder, or below it")


def test_a_missing_apps_file_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, f"{HEAD}apps_file: sub/none.csv\nlimits: {{in_flight: 0}}\n")
    assert problems(path) == [
        "m.yaml:7:10: limits.in_flight: must be at least 1",
        "sub/none.csv: there is no such file",
    ]


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert problems(tmp_path / "pipe.yaml") == ["pipe.yaml: is not a regular file"]
    (tmp_path / "folder.yaml").mkdir()
    assert problems(tmp_path / "folder.yaml") == ["folder.yaml: is a directory, not a file"]
    assert problems(tmp_path / "none.yaml") == ["none.yaml: there is no such file"]
    assert problems(tmp_path / "a\0b") == ["a\0b: there is no such file"]


def test_a_file_over_the_bound_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "m.yaml").open("wb") as sparse:
        sparse.truncate(64 * 1024**2 + 1)
    assert problems(tmp_path / "m.yaml") == ["m.yaml: is larger than 64 MiB"]


def test_a_value_that_cannot_be_read_is_one_problem_and_not_two(tmp_path: Path) -> None:
    text = f"{HEAD}description: 0754\napps: [{{app_id: '1', name: !!str x, !!str labels: {{}}}}]\n"
    assert problems(written(tmp_path, text)) == [
        "m.yaml:6:14: description: a number loses its leading zero or plus sign: put it in quotes",
        'm.yaml:7:28: apps[0].name: the tag "!!str" is not allowed',
        'm.yaml:7:37: apps[0]: the tag "!!str" is not allowed',
    ]


def test_the_list_of_problems_is_cut(tmp_path: Path) -> None:
    text = HEAD + "apps:\n" + "- {app_id: 1}\n" * 1_234
    found = problems(written(tmp_path, text))
    assert len(found) == manifest_file.MAX_PROBLEMS + 1
    assert found[-1] == "m.yaml: and 1,134 more problems"


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_reading_stops_where_nothing_makes_sense(tmp_path: Path, name: str) -> None:
    found = problems(with_apps(tmp_path, name, "app_id\n" + '{,"\n' * 5_000))
    assert len(found) <= manifest_file.MAX_PROBLEMS + 1
