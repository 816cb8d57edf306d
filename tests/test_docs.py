"""The documentation is in step with the code: what is generated, what is named, what is linked."""

import ast
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import click
import pytest
from pydantic import BaseModel

from fleetdeploy.baidu.errno import CAUSES
from fleetdeploy.cli.main import cli
from fleetdeploy.cli.schemas import SCHEMAS
from fleetdeploy.cli.settings import Settings
from fleetdeploy.cli.settings_sources import PREFIX
from fleetdeploy.errors import ExitCode
from fleetdeploy.storage.manifest_file import load_manifest
from tests.generate import (
    ROOT,
    SCHEMA_DIR,
    Artefact,
    artefacts,
    blocks_in,
    documents,
    main,
    with_blocks,
)
from tests.generated import (
    BLOCKS,
    EXIT_CODES,
    commands_of,
    commands_reference,
    error_classes,
    flags_of,
)
from tests.tidy import read_sources

DOCUMENTS = documents()
COMMANDS = [context.command_path for context in commands_of(cli)]
MANIFESTS = sorted(
    path for path in (ROOT / "manifests").iterdir() if path.suffix in {".yaml", ".yml"}
)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


# What is generated


@pytest.mark.parametrize("artefact", artefacts(), ids=lambda artefact: relative(artefact.path))
def test_an_artefact_is_in_step_with_the_code(artefact: Artefact) -> None:
    assert artefact.in_step(), "type: make generate"


def test_every_block_that_is_made_is_shown_somewhere() -> None:
    shown = {name for path in DOCUMENTS for name in blocks_in(path.read_text(encoding="utf-8"))}
    assert shown == set(BLOCKS)


@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_can_be_made(name: str) -> None:
    assert BLOCKS[name]().strip()


def test_every_schema_file_is_made_by_somebody() -> None:
    there = {path.name.removesuffix(".schema.json") for path in (ROOT / SCHEMA_DIR).iterdir()}
    assert there == set(SCHEMAS)


def test_every_document_in_json_has_a_schema() -> None:
    titled = {schema()["title"] for schema in SCHEMAS.values()}
    assert len(titled) == len(SCHEMAS)
    described = {str(schema().get("description", "")) for schema in SCHEMAS.values()}
    for model in versioned_models(BaseModel):
        assert (model.__doc__ or "").strip() in described, f"{model.__name__} has no schema"


def versioned_models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield our models of whole documents: those that carry a `schema_version`."""
    for model in base.__subclasses__():
        if model.__module__.startswith("fleetdeploy.") and "schema_version" in model.model_fields:
            yield model
        yield from versioned_models(model)


def test_a_block_out_of_step_is_seen_and_mended() -> None:
    stale = "before\n<!-- generated: exit-codes -->\n| code |\n<!-- end -->\nafter\n"
    mended = with_blocks(stale)
    assert mended != stale
    assert mended.startswith("before\n<!-- generated: exit-codes -->\n")
    assert mended.endswith("\n<!-- end -->\nafter\n")
    assert BLOCKS["exit-codes"]() in mended
    assert with_blocks(mended) == mended


@pytest.mark.parametrize(
    "text",
    [
        "<!-- generated: exit-codes -->\nno end\n",
        "<!-- generated: nobody-makes-this -->\n<!-- end -->\n",
        "in a line <!-- generated: exit-codes -->\n<!-- end -->\n",
    ],
)
def test_a_block_that_cannot_be_made_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="block"):
        with_blocks(text)


def test_an_artefact_is_written_once(tmp_path: Path) -> None:
    artefact = Artefact(tmp_path / "new" / "a.json", lambda _: "{}\n")
    assert not artefact.in_step()
    assert artefact.write()
    assert artefact.in_step()
    assert not artefact.write()


def test_the_check_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = {artefact.path: artefact.path.stat().st_mtime_ns for artefact in artefacts()}
    assert main(["--check"]) == 0, capsys.readouterr().out
    assert {artefact.path: artefact.path.stat().st_mtime_ns for artefact in artefacts()} == before


def test_the_reference_tells_arguments_flags_and_nested_commands() -> None:
    @click.group()
    def top() -> None: ...

    @top.group()
    def auth() -> None:
        """Manage credentials."""

    @auth.command()
    @click.argument("app")
    @click.argument("form", required=False, type=click.Choice(["a", "b"]))
    @click.option("-t", "--to", type=int, default=3, show_default=True, help="How | far.")
    @click.option("--all", "everything", is_flag=True, help="All of them.")
    def show() -> None:
        """Show one."""

    reference = commands_reference(top)
    assert "### fleetdeploy auth\n\nManage credentials." in reference
    assert "### fleetdeploy auth show\n\nShow one." in reference
    assert "fleetdeploy auth show [FLAGS] APP [FORM]" in reference
    assert "[FORM] is one of `a`, `b`." in reference
    assert "| `-t`, `--to INTEGER` | How \\| far. Default: `3`. |" in reference
    assert "| `--all` | All of them. |" in reference


# What must be named


def test_every_exit_code_is_explained() -> None:
    assert set(EXIT_CODES) == set(ExitCode)
    page = text_of("docs/exit-codes.md")
    prose = page.partition("## What to do")[2].partition("\n## ")[0]
    told = {
        int(code)
        for bold in re.findall(r"^\*\*([\d, ]+)\*\*", prose, re.MULTILINE)
        for code in bold.split(",")
    }
    assert told == {code.value for code in ExitCode}


def test_every_command_and_flag_is_documented() -> None:
    page = text_of("docs/commands.md")
    for context in commands_of(cli):
        assert f"### {context.command_path}\n" in page
        for option in flags_of(context):
            assert all(f"`{name}" in page for name in option.opts), (context.command_path, option)


def test_every_command_and_flag_explains_itself() -> None:
    silent = [
        (context.command_path, flag.opts[-1])
        for context in commands_of(cli)
        for flag in flags_of(context)
        if not (flag.help or "").strip()
    ]
    silent += [(c.command_path, "") for c in commands_of(cli) if not (c.command.help or "").strip()]
    assert silent == [], silent


def test_every_setting_is_documented() -> None:
    page = text_of("docs/settings.md")
    missing = [n for n in Settings.model_fields if f"`{PREFIX}{n.upper()}`" not in page]
    assert missing == [], missing


def test_every_error_code_is_documented() -> None:
    pages = text_of("docs/errors.md") + text_of("docs/operations.md")
    codes = {cause.code for cause in CAUSES} | {kind.code for kind in error_classes()}
    codes |= set(codes_in_the_code())
    missing = sorted(code for code in codes if f"`{code}`" not in pages)
    assert missing == [], "\n".join(missing)


def codes_in_the_code() -> Iterator[str]:
    """Yield the codes that the run itself gives, which no table lists."""
    code = re.compile(r"(?:audit|package|release|rollback|run|step|upload|wave|withdraw)\.[a-z_]+")
    for source in read_sources("fleetdeploy/core", "fleetdeploy/engine", "fleetdeploy/storage"):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from code.findall(node.value) if code.fullmatch(node.value) else ()


def test_the_codes_of_the_run_are_found() -> None:
    assert {"audit.rejected", "upload.not_visible", "run.superseded"} <= set(codes_in_the_code())


def test_the_readme_names_what_a_newcomer_types() -> None:
    readme = text_of("README.md")
    wanted = ["make demo", "make test", "make check"]
    wanted += [f"fleetdeploy {name}" for name in ("validate", "plan", "run", "resume", "status")]
    missing = [name for name in wanted if not re.search(rf"{name}\b", readme)]
    assert missing == [], missing


def test_the_changelog_has_a_place_for_what_comes() -> None:
    assert "\n## [Unreleased]\n" in text_of("CHANGELOG.md")


def test_every_decision_says_what_was_given_up() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [path.name.partition("-")[0] for path in decisions]
    assert numbers == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    for path in decisions:
        headings = re.findall(r"^#+ .*$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings[0].startswith(f"# {int(path.name[:4])}. ")
        assert headings[1:] == ["## Context", "## Decision", "## What we gave up"]


# What is named must be there


PAGES = [(relative(path), path.read_text(encoding="utf-8")) for path in DOCUMENTS]
SOURCES = [(source.path, source.text) for source in read_sources("fleetdeploy")]
NAMED_IN = [*PAGES, *SOURCES]
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def test_every_command_that_is_named_exists() -> None:
    known = {path.split()[1] for path in COMMANDS}
    missing = sorted((path, word) for path, word in named_commands() if word not in known)
    assert missing == [], missing


def named_commands() -> Iterator[tuple[str, str]]:
    """Yield the commands that pages show in code, and that messages tell people to type."""
    for path, text in PAGES:
        shown = [*FENCED.findall(text), *re.findall(r"`([^`\n]+)`", without_code(text))]
        for piece in shown:
            for word in re.findall(r"(?:^|\$ |&& |\()fleetdeploy ([a-z]+)\b", piece, re.MULTILINE):
                yield path, word
    for path, text in SOURCES:
        for word in re.findall(r"(?:`|\$ |(?:hint=|return )f?[\"'])fleetdeploy ([a-z]+)\b", text):
            yield path, word


def test_every_make_target_that_is_named_exists() -> None:
    named = {
        (path, word) for path, text in PAGES for word in re.findall(r"\bmake ([a-z-]+)`", text)
    }
    missing = sorted((path, word) for path, word in named if word not in make_targets())
    assert missing == [], missing


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))


def test_every_flag_that_is_named_exists() -> None:
    known = {
        name for context in commands_of(cli) for flag in flags_of(context) for name in flag.opts
    }
    known |= {"--help", "--version"}
    named = {
        (path, flag)
        for path, text in NAMED_IN
        for line in re.findall(r"fleetdeploy [a-z]+ [^`\n]*", text)
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", line)
    }
    missing = sorted((path, flag) for path, flag in named if flag not in known)
    assert missing == [], missing


def test_every_file_that_is_named_exists() -> None:
    pattern = (
        r"(?<![\w/.])((?:docs|tests|manifests|fleetdeploy)/[\w./-]+\.(?:md|py|yaml|csv|json))\b"
    )
    named = {(path, name) for path, text in NAMED_IN for name in re.findall(pattern, text)}
    missing = sorted((path, name) for path, name in named if not (ROOT / name).exists())
    assert missing == [], missing


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    broken = [
        target
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text(encoding="utf-8")))
        if not leads_somewhere(path, target)
    ]
    assert broken == [], broken


def leads_somewhere(path: Path, target: str) -> bool:
    if re.match(r"[a-z]+:", target):
        return True
    name, _, anchor = unquote(target).partition("#")
    there = (path.parent / name).resolve() if name else path
    if not there.exists() or ROOT not in [there, *there.parents]:
        return False
    return not anchor or anchor in anchors_of(there.read_text(encoding="utf-8"))


def anchors_of(text: str) -> set[str]:
    """Return the anchors that a document's headings have on the usual forges."""
    headings = re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


def without_code(text: str) -> str:
    return FENCED.sub("", text)


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    page = ROOT / "docs" / "exit-codes.md"
    assert leads_somewhere(page, "operations.md#the-night")
    assert leads_somewhere(page, "https://example.com/a")
    assert leads_somewhere(page, "#what-to-do")
    assert not leads_somewhere(page, "nothing.md")
    assert not leads_somewhere(page, "operations.md#nowhere")
    assert not leads_somewhere(page, str(tmp_path))


# Manifests, make and the merge check


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_an_example_manifest_loads_and_names_its_schema(path: Path) -> None:
    assert load_manifest(path).manifest.apps
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert found is not None
    assert (path.parent / found[1]).is_file()


def test_make_help_lists_every_target_that_people_need() -> None:
    makefile = text_of("Makefile")
    phony = set(re.findall(r"[a-z-]+", makefile.partition(".PHONY:")[2].partition("\n")[0]))
    assert phony == make_targets()
    explained = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert {"demo", "demo-kill", "test", "check"} <= explained


def test_every_program_that_make_runs_exists() -> None:
    modules = set(re.findall(r"-m (tests[.\w]*)", text_of("Makefile")))
    files = set(re.findall(r"\btests/\w+\.py\b", text_of("Makefile")))
    assert {"tests.generate", "tests.bench", "tests.soak"} <= modules
    paths = {name: ROOT / name.replace(".", "/") for name in modules}
    missing = {n for n, p in paths.items() if not p.with_suffix(".py").is_file() and not p.is_dir()}
    missing |= {name for name in files if not (ROOT / name).is_file()}
    assert missing == set(), missing


def test_the_merge_check_runs_what_the_readme_names_and_nothing_else() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    lines = [line for line in script.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert lines[0] == "#!/usr/bin/env bash"
    commands = [line for line in lines if not line.startswith(("#", "cd ", "exec < "))]
    assert commands == ["set -euo pipefail", "make check", "make test"]
    assert all(f"`{command}`" in text_of("CONTRIBUTING.md") for command in commands[1:])
    assert all(command in text_of("README.md") for command in commands[1:])
