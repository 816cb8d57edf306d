"""The client and the simulator share no code, so that no misreading of the platform is in both."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "fleetdeploy"
SIDES = ("baidu", "simulator")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: str, importer: str, *, is_package: bool = False) -> Iterator[str]:
    """Yield the full name of everything that a module imports, also within a function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, importer, is_package=is_package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _base(node: ast.ImportFrom, importer: str, *, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    above = importer.split(".")
    kept = above[: len(above) - node.level + is_package]
    return ".".join([*kept, *([node.module] if node.module else [])])


def reached(start: Sequence[Path]) -> set[str]:
    """Return every module of ours that these import, and those import in turn."""
    known = {module_name(path): path for path in PACKAGE.rglob("*.py")}
    todo = [module_name(path) for path in start]
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in known and name not in seen:
            seen.add(name)
            path = known[name]
            package = path.name == "__init__.py"
            todo += imports_of(path.read_text("utf-8"), name, is_package=package)
    return seen


@pytest.mark.parametrize(("side", "other"), [SIDES, SIDES[::-1]])
def test_neither_side_reaches_the_other_by_any_chain_of_imports(side: str, other: str) -> None:
    modules = sorted((PACKAGE / side).rglob("*.py"))
    assert len(modules) > 5
    found = {name for name in reached(modules) if name.split(".")[:2] == ["fleetdeploy", other]}
    assert found == set()


@pytest.mark.parametrize(("side", "other"), [SIDES, SIDES[::-1]])
def test_neither_side_names_the_others_package_in_a_string(side: str, other: str) -> None:
    """As an import by name would."""
    for path in (PACKAGE / side).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert f"fleetdeploy.{other}" not in node.value, path.name


@pytest.mark.parametrize(
    ("line", "importer", "expected"),
    [
        ("import fleetdeploy.baidu.wire", "fleetdeploy.simulator.api", "fleetdeploy.baidu.wire"),
        ("from fleetdeploy import baidu", "fleetdeploy.simulator.api", "fleetdeploy.baidu"),
        ("from ..baidu import wire", "fleetdeploy.simulator.api", "fleetdeploy.baidu.wire"),
        ("def f():\n from .. import baidu", "fleetdeploy.simulator.api", "fleetdeploy.baidu"),
    ],
)
def test_every_way_to_write_an_import_is_seen(line: str, importer: str, expected: str) -> None:
    assert expected in set(imports_of(line, importer))
