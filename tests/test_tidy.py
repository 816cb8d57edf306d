"""The architecture as tests: the work tree keeps the rules, and each rule can fail."""

from collections.abc import Sequence

import pytest

from tests import tidy
from tests.tidy import PACKAGE_RULES, TEST_RULES, TEXT_RULES, Rule, Source, read_sources, read_texts

RULES = (*PACKAGE_RULES, *TEST_RULES, *TEXT_RULES)


@pytest.fixture(scope="module")
def package() -> list[Source]:
    return parsed(read_sources("fleetdeploy"))


@pytest.fixture(scope="module")
def tests() -> list[Source]:
    return parsed(read_sources("tests"))


def parsed(sources: list[Source]) -> list[Source]:
    """Parse here, once, what would else count as the time of whichever test comes first."""
    assert all(source.tree for source in sources)
    return sources


def assert_keeps(rule: Rule, sources: Sequence[Source]) -> None:
    findings = list(rule(sources))
    assert findings == [], "\n".join(findings)


@pytest.mark.parametrize("rule", PACKAGE_RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps(rule: Rule, package: Sequence[Source]) -> None:
    assert len(package) > 50
    assert_keeps(rule, package)


@pytest.mark.parametrize("rule", TEST_RULES, ids=lambda rule: rule.__name__)
def test_the_tests_keep(rule: Rule, tests: Sequence[Source]) -> None:
    assert len(tests) > 20
    assert_keeps(rule, tests)


@pytest.mark.parametrize("rule", TEXT_RULES, ids=lambda rule: rule.__name__)
def test_the_texts_keep(rule: Rule) -> None:
    texts = read_texts()
    assert {"Makefile", "README.md", ".ci/run", "pyproject.toml"} <= {text.path for text in texts}
    assert_keeps(rule, texts)


def test_every_part_is_on_a_floor(package: Sequence[Source]) -> None:
    assert {source.part for source in package} - {"", "__main__"} == set(tidy.FLOORS)


def at(path: str, text: str = "") -> Source:
    return Source(path, text)


LONG = "def f():\n" + "    x = 1\n" * 60
WIDE = "class A:\n    def __init__(self, a, b, c, d, e, f, g, *, h, i): ...\n"
SILENT_TEST = "def test_a():\n    x = 1\n"
# Put together here, so that this file does not hold what it forbids.
REGISTRY = f"https://{'pypi'}.org/simple"
OWN_PATH = f"{'/home'}/somebody/fleet"
MARK = f"# {'TO' + 'DO'}: later"

BROKEN: list[tuple[Rule, list[Source]]] = [
    (
        tidy.imports_point_downwards,
        [at("fleetdeploy/core/a.py", "from fleetdeploy.ports import Platform")],
    ),
    (
        tidy.imports_point_downwards,
        [at("fleetdeploy/core/a.py", "def f():\n    import fleetdeploy.storage.locks")],
    ),
    (
        tidy.imports_point_downwards,
        [at("fleetdeploy/simulator/a.py", "from fleetdeploy.baidu import wire")],
    ),
    (
        tidy.imports_point_downwards,
        [at("fleetdeploy/baidu/a.py", "from fleetdeploy.simulator.world import World")],
    ),
    (tidy.imports_point_downwards, [at("fleetdeploy/engine/a.py", "from ..storage import locks")]),
    (tidy.imports_point_downwards, [at("fleetdeploy/errors.py", "import fleetdeploy.model")]),
    (tidy.imports_point_downwards, [at("fleetdeploy/attic/a.py")]),
    (
        tidy.no_import_cycles,
        [
            at("fleetdeploy/core/a.py", "from fleetdeploy.core.b import x"),
            at("fleetdeploy/core/b.py", "def f():\n    from fleetdeploy.core import a"),
        ],
    ),
    (
        tidy.no_import_cycles,
        [
            at("fleetdeploy/cli/a.py", "import fleetdeploy.cli.render.a"),
            at("fleetdeploy/cli/b.py"),
            at("fleetdeploy/cli/render/a.py"),
            at("fleetdeploy/cli/render/b.py", "import fleetdeploy.cli.b"),
        ],
    ),
    (tidy.core_is_pure, [at("fleetdeploy/core/a.py", "import anyio")]),
    (tidy.core_is_pure, [at("fleetdeploy/core/a.py", "from random import Random")]),
    (tidy.core_is_pure, [at("fleetdeploy/core/a.py", "def f():\n    import os.path")]),
    (tidy.core_is_pure, [at("fleetdeploy/core/a.py", "datetime.now(UTC)")]),
    (tidy.core_is_pure, [at("fleetdeploy/core/a.py", "date.today()")]),
    (tidy.core_is_pure, [at("fleetdeploy/core/a.py", "open('a')")]),
    (tidy.core_is_pure, [at("fleetdeploy/core/a.py", "async def f(): ...")]),
    (tidy.core_is_pure, [at("fleetdeploy/model.py", "import time")]),
    (tidy.engine_and_guards_know_only_anyio, [at("fleetdeploy/engine/a.py", "import asyncio")]),
    (tidy.engine_and_guards_know_only_anyio, [at("fleetdeploy/guards/a.py", "import aiohttp")]),
    (tidy.engine_and_guards_know_only_anyio, [at("fleetdeploy/engine/a.py", "import random")]),
    (
        tidy.engine_and_guards_know_only_anyio,
        [at("fleetdeploy/engine/a.py", "from random import random")],
    ),
    (tidy.engine_and_guards_know_only_anyio, [at("fleetdeploy/guards/a.py", "r = Random()")]),
    (tidy.engine_and_guards_know_only_anyio, [at("fleetdeploy/engine/a.py", "datetime.now(UTC)")]),
    (
        tidy.engine_and_guards_know_only_anyio,
        [at("fleetdeploy/engine/a.py", "import structlog")],
    ),
    (
        tidy.tenacity_in_one_module,
        [
            at("fleetdeploy/guards/a.py", "import tenacity"),
            at("fleetdeploy/baidu/b.py", "from tenacity.wait import wait_fixed"),
        ],
    ),
    (tidy.only_the_cli_speaks, [at("fleetdeploy/storage/a.py", "print('a')")]),
    (tidy.only_the_cli_speaks, [at("fleetdeploy/simulator/a.py", "import click")]),
    (tidy.only_the_cli_speaks, [at("fleetdeploy/baidu/a.py", "import logging")]),
    (tidy.only_the_cli_speaks, [at("fleetdeploy/baidu/a.py", "sys.stderr.write('a')")]),
    (tidy.exceptions_live_in_errors, [at("fleetdeploy/core/a.py", "class A(Exception): ...")]),
    (
        tidy.exceptions_live_in_errors,
        [at("fleetdeploy/core/a.py", "class A(errors.FleetError): ...")],
    ),
    (
        tidy.exceptions_live_in_errors,
        [
            at("fleetdeploy/errors.py", "class Odd(ValueError): ...\nclass Odder(Odd): ..."),
            at("fleetdeploy/core/a.py", "def f():\n    class Oddest(Odder): ..."),
        ],
    ),
    (
        tidy.nothing_swallows_everything,
        [at("fleetdeploy/cli/a.py", "try: ...\nexcept BaseException:  # noqa: BLE001\n    f()")],
    ),
    (tidy.nothing_swallows_everything, [at("fleetdeploy/cli/a.py", "try: ...\nexcept: f()")]),
    (
        tidy.nothing_swallows_everything,
        [
            at(
                "fleetdeploy/cli/a.py",
                "try: ...\nexcept (OSError, BaseException) as e: raise A from e",
            )
        ],
    ),
    (tidy.modules_have_docstrings, [at("fleetdeploy/core/a.py", "x = 1")]),
    (tidy.modules_are_short, [at("fleetdeploy/core/a.py", "x = 1\n" * 401)]),
    (tidy.functions_are_short, [at("fleetdeploy/core/a.py", LONG)]),
    (tidy.functions_are_calm, [at("fleetdeploy/core/a.py", LONG)]),
    (tidy.constructors_are_small, [at("fleetdeploy/core/a.py", WIDE)]),
    (tidy.tests_fake_through_ports, [at("tests/test_a.py", "from unittest.mock import patch")]),
    (tidy.tests_fake_through_ports, [at("tests/test_a.py", "from unittest import mock")]),
    (tidy.tests_fake_through_ports, [at("tests/test_a.py", "time.sleep(1)")]),
    (tidy.tests_fake_through_ports, [at("tests/test_a.py", "from asyncio import sleep")]),
    (tidy.tests_check_something, [at("tests/test_a.py", SILENT_TEST)]),
    (tidy.nothing_is_left_to_do, [at("fleetdeploy/core/a.py", MARK)]),
    (tidy.no_file_names_a_place_of_its_own, [at("docs/a.md", REGISTRY)]),
    (tidy.no_file_names_a_place_of_its_own, [at("docs/a.md", f"cd {OWN_PATH}")]),
]

KEPT: list[tuple[Rule, list[Source]]] = [
    (
        tidy.imports_point_downwards,
        [
            at(
                "fleetdeploy/engine/a.py",
                "from fleetdeploy.engine import b\nimport fleetdeploy.core.c",
            )
        ],
    ),
    (
        tidy.no_import_cycles,
        [
            at("fleetdeploy/core/a.py", "from fleetdeploy.core import b"),
            at("fleetdeploy/core/b.py", "from fleetdeploy.errors import FleetError"),
            at("fleetdeploy/errors.py"),
            at("fleetdeploy/ports.py", "from fleetdeploy.core.a import x"),
        ],
    ),
    (tidy.core_is_pure, [at("fleetdeploy/core/a.py", "from datetime import datetime\nimport io")]),
    (
        tidy.engine_and_guards_know_only_anyio,
        [at("fleetdeploy/engine/a.py", "import anyio\nfrom random import Random")],
    ),
    (tidy.engine_and_guards_know_only_anyio, [at("fleetdeploy/engine/a.py", "self._clock.now()")]),
    (tidy.only_the_cli_speaks, [at("fleetdeploy/cli/a.py", "import click\nprint('a')")]),
    (
        tidy.exceptions_live_in_errors,
        [
            at("fleetdeploy/errors.py", "class A(Exception): ...\nclass Note: ..."),
            at("fleetdeploy/core/a.py", "class B(Note): ..."),
        ],
    ),
    (
        tidy.nothing_swallows_everything,
        [
            at(
                "fleetdeploy/cli/a.py",
                "try: ...\nexcept BaseException:\n    f()\n    raise\n"
                "try: ...\nexcept BaseExceptionGroup as g:\n    raise f(g) from g\n"
                "try: ...\nexcept BaseException:  # noqa: BLE001 - the last resort\n    f()\n",
            )
        ],
    ),
    (tidy.modules_have_docstrings, [at("fleetdeploy/core/__init__.py")]),
    (
        tidy.tests_check_something,
        [
            at("tests/test_a.py", "def test_a():\n    with pytest.raises(OSError):\n        f()"),
            at("tests/test_b.py", "async def test_b():\n    await world.check_laws()"),
            at("tests/test_c.py", "def test_c():\n    f()\ndef f():\n    assert x"),
            at("tests/builders.py", "def testing(): ..."),
        ],
    ),
    (tidy.no_file_names_a_place_of_its_own, [at("docs/a.md", "/etc/fleetdeploy and docs/work/a")]),
]


def _named(case: tuple[Rule, list[Source]]) -> str:
    return case[0].__name__


@pytest.mark.parametrize("case", BROKEN, ids=_named)
def test_a_rule_catches_what_breaks_it(case: tuple[Rule, list[Source]]) -> None:
    rule, sources = case
    assert list(rule(sources)) != []


@pytest.mark.parametrize("case", KEPT, ids=_named)
def test_a_rule_lets_pass_what_keeps_it(case: tuple[Rule, list[Source]]) -> None:
    rule, sources = case
    assert list(rule(sources)) == []


def test_every_rule_can_fail() -> None:
    assert {rule for rule, _ in BROKEN} == set(RULES)


def test_a_cycle_is_told_from_where_it_begins() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set[str]()}
    assert tidy.find_cycle(graph) == ["b", "c", "b"]
    assert tidy.find_cycle({"a": {"b"}, "b": set()}) == []
