"""What docs/security.md claims has proofs that exist; and what is ours to check as a whole."""

import ast
import re
from collections.abc import Iterator
from importlib.metadata import PackageMetadata, PackageNotFoundError, distribution
from typing import Final

import click
import pytest

from fleetdeploy.cli.main import cli
from fleetdeploy.cli.settings import SECRETS
from tests.generate import ROOT
from tests.generated import commands_of
from tests.tidy import read_sources

PAGE: Final = (ROOT / "docs" / "security.md").read_text("utf-8")
CLAIMED: Final = PAGE.partition("## What holds\n")[2].partition("\n## ")[0]
CLAIM: Final = re.compile(r"^- (.+?)(?=^- |^#|\Z)", re.MULTILINE | re.DOTALL)
PROOF: Final = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


# The page


def claims() -> list[str]:
    return [found.strip() for found in CLAIM.findall(CLAIMED)]


@pytest.mark.parametrize("claim", claims(), ids=lambda claim: claim[:60])
def test_a_claim_names_proofs_that_exist(claim: str) -> None:
    said, mark, proofs = claim.partition("\n  Proof: ")
    assert mark, "a claim without a proof"
    assert said.endswith((".", "`)"))
    named = PROOF.findall(proofs)
    assert named
    missing = [name for path, name in named if name not in functions_of(path)]
    assert missing == []


def functions_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, functions)}


def test_every_line_of_the_claims_belongs_to_one() -> None:
    """Else a claim could hide in a paragraph, and need no proof."""
    assert len(claims()) > 30
    prose = CLAIM.sub("", CLAIMED)
    left = [line for line in prose.splitlines() if line and not line.startswith("#")]
    assert left == []


def test_every_proof_on_the_page_is_looked_at() -> None:
    assert PAGE.count("Proof: ") == len(claims())


# Flags and patterns


def test_no_command_takes_a_secret_as_a_word() -> None:
    names = {
        parameter.name
        for context in commands_of(cli)
        for parameter in context.command.params
        if not isinstance(parameter.type, click.Path)
    }
    assert names & {*SECRETS, "token", "code", "key", "password", "secret"} == set()
    assert "run_id" in names


def patterns() -> Iterator[tuple[str, str]]:
    """Yield every pattern of the package that is written out where it is used."""
    for source in read_sources("fleetdeploy"):
        for node in ast.walk(source.tree):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="re")),
                    args=[ast.Constant(value=str(pattern)), *_],
                ):
                    yield source.path, pattern


def repeats(parsed: object, *, within: bool = False) -> Iterator[bool]:
    """Yield of each unbounded repetition that can give back whether it is within another."""
    for item in parsed if isinstance(parsed, list | tuple | re._parser.SubPattern) else ():  # type: ignore[attr-defined]
        match item:
            case (operation, (_, most, inner)) if str(operation) in {"MAX_REPEAT", "MIN_REPEAT"}:
                endless = most == re._constants.MAXREPEAT  # type: ignore[attr-defined]
                if endless:
                    yield within
                yield from repeats(inner, within=within or endless)
            case _:
                yield from repeats(item, within=within)


def nested(pattern: str) -> bool:
    return any(repeats(re._parser.parse(pattern, re.VERBOSE)))  # type: ignore[attr-defined]


def test_no_pattern_takes_exponential_time() -> None:
    """A repetition within a repetition is what a hostile text makes a matcher try in every way."""
    found = list(patterns())
    assert len(found) > 30
    assert [(path, pattern) for path, pattern in found if nested(pattern)] == []


def test_a_pattern_that_could_is_seen() -> None:
    assert nested(r"(?:a+)+b")
    assert nested(r"(a|b*)*?c")
    assert not nested(r"(?:a++)*+b")
    assert not nested(r"a+(?:\.b*)?[cd]{1,9}")


# What comes from others


CONSTRAINTS: Final = (ROOT / "constraints.txt").read_text("utf-8").replace("\\\n", " ")
PERMISSIVE: Final = {
    "MIT",
    "MIT-0",
    "MIT License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Apache-2.0",
    "Apache 2.0",
    "PSF-2.0",
}


def pinned() -> dict[str, list[str]]:
    """Return what every package is pinned to, by its name: a version and digests."""
    lines = [line for line in CONSTRAINTS.splitlines() if line and not line.strip().startswith("#")]
    found = {}
    for line in lines:
        package, *digests = line.split()
        name, _, version = package.partition("==")
        found[name] = [version, *digests]
    return found


def test_every_package_is_pinned_to_a_version_and_its_digests() -> None:
    assert len(pinned()) > 30
    for name, (version, *digests) in pinned().items():
        assert re.fullmatch(r"[a-z0-9-]+", name)
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version), name
        assert digests, name
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in digests), name


def test_make_installs_nothing_whose_digest_is_not_known() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    installs = [line for line in makefile.splitlines() if "pip install" in line]
    others = [line for line in installs if "--require-hashes -r constraints.txt" not in line]
    assert len(installs) == 2
    assert len(others) == 1
    assert "--no-deps --no-build-isolation --editable ." in others[0]


def at_work(name: str, found: dict[str, str]) -> dict[str, str]:
    """Collect the licences of a package and of all that it needs, by name."""
    name = re.sub(r"[-_.]+", "-", name).lower()
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return found  # needed by other versions of Python only
    if name not in found:
        found[name] = licence_of(package.metadata)
        for needed in package.requires or ():
            if "extra ==" not in needed:
                at_work(re.split(r"[^A-Za-z0-9._-]", needed)[0], found)
    return found


def licence_of(metadata: PackageMetadata) -> str:
    classified = [one for one in metadata.get_all("Classifier") or () if "License ::" in one]
    for field in ("License-Expression", "License"):
        if field in metadata:
            return str(metadata[field])
    return classified[0].rpartition(" :: ")[2] if classified else ""


def test_all_that_is_at_work_is_pinned_and_under_a_permissive_licence() -> None:
    found = at_work("fleetdeploy", {})
    del found["fleetdeploy"]
    assert len(found) > 20
    assert found.keys() <= pinned().keys()
    odd = {
        name: licence
        for name, licence in found.items()
        if not set(re.split(r" (?:AND|OR) ", licence)) <= PERMISSIVE
    }
    assert odd == {}
