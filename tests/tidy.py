"""The rules of the house, read off the source text: each yields what breaks it and where.

Nothing is imported or run: a rule sees syntax trees and text only. `tests/test_tidy.py` holds the
work tree against the rules, and each rule against a piece of source that breaks it.
"""

import ast
import builtins
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median, quantiles
from typing import Final, TypeAlias

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = "fleetdeploy"

FLOORS: Final[Mapping[str, int]] = {
    "errors": 0,
    "model": 0,
    "transport": 0,
    "core": 1,
    "ports": 2,
    "auth": 3,
    "engine": 3,
    "guards": 3,
    "baidu": 3,
    "notices": 3,
    "receiver": 3,
    "storage": 3,
    "simulator": 3,
    "cli": 4,
}
TOP_FLOOR: Final = max(FLOORS.values())

EFFECTS: Final = frozenset(
    {
        *("anyio", "asyncio", "trio", "threading", "multiprocessing", "subprocess", "signal"),
        *("os", "sys", "pathlib", "shutil", "tempfile", "fcntl", "getpass", "platform"),
        *("time", "random", "secrets", "uuid"),
        *("logging", "structlog", "aiohttp", "socket"),
    }
)
"""What lets the world in: files, clocks, chance, processes, logs."""
NOT_OF_THE_ENGINE: Final = EFFECTS - {"anyio", "random"}
ONLY_OF_THE_CLI: Final = frozenset({"click", "rich", "logging", "structlog", "pydantic_settings"})

MODULE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 60
FUNCTION_LINES_MEDIAN: Final = 10
FUNCTION_LINES_P90: Final = 30
CONSTRUCTOR_ARGUMENTS_MAX: Final = 8

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One file; `path` is relative to the repository, with slashes."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def module(self) -> str:
        dotted = self.path.removesuffix(".py").replace("/", ".")
        return dotted.removesuffix(".__init__")

    @property
    def part(self) -> str:
        """The part of the package that the file belongs to, as in `FLOORS`; empty at its root."""
        return self.module.partition(".")[2].partition(".")[0]

    def finding(self, node: ast.AST, why: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {why}"


Rule: TypeAlias = Callable[[Sequence[Source]], Iterator[str]]


def read_sources(*folders: str) -> list[Source]:
    """Read every Python file under some folders of the repository."""
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return [Source(p.relative_to(ROOT).as_posix(), p.read_text(encoding="utf-8")) for p in paths]


def read_texts() -> list[Source]:
    """Read every text of the repository that people wrote; `tree` is not to be asked for."""
    top = [path for path in ROOT.iterdir() if path.is_file()]
    folders = (PACKAGE, "tests", "docs", "manifests", ".ci")
    below = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    return [
        Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted([*top, *below])
        if path.suffix in _TEXTS or path.name in _TEXT_NAMES
    ]


_TEXTS: Final = frozenset(
    {
        *(".py", ".md", ".txt", ".sh", ".html"),
        *(".toml", ".yaml", ".yml", ".json", ".jsonl", ".csv"),
    }
)
_TEXT_NAMES: Final = frozenset({"Makefile", "run", ".gitignore", "py.typed"})


# Imports


def imports(source: Source) -> Iterator[tuple[ast.stmt, str]]:
    """Yield every imported dotted name, also those inside functions and type-checking blocks.

    `from a import b` counts as `a.b`: whether `b` is a module is for the reader to know.
    """
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(source, node)
            yield from ((node, f"{base}.{alias.name}") for alias in node.names)


def _absolute(source: Source, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    here = source.module.split(".")
    up = node.level - (1 if source.path.endswith("__init__.py") else 0)
    return ".".join([*here[: len(here) - up], *([node.module] if node.module else [])])


def _top(name: str) -> str:
    return name.partition(".")[0]


def _our_part(name: str) -> str:
    """Return the part of our package that a dotted name is in; empty for all else."""
    top, _, rest = name.partition(".")
    return rest.partition(".")[0] if top == PACKAGE else ""


def imports_point_downwards(sources: Sequence[Source]) -> Iterator[str]:
    """Each part imports lower floors and itself; only the top floor knows its neighbours."""
    for source in sources:
        if source.part in {"", "__main__"}:
            continue
        floor = FLOORS.get(source.part)
        if floor is None:
            yield source.finding(source.tree, f"{source.part} is on no floor")
            continue
        for node, name in imports(source):
            part = _our_part(name)
            if part and part != source.part and FLOORS.get(part, TOP_FLOOR + 1) >= floor:
                yield source.finding(node, f"{source.part} imports {name}, which is not below it")


def no_import_cycles(sources: Sequence[Source]) -> Iterator[str]:
    """Neither modules nor folders import each other in a circle."""
    modules = {source.module for source in sources}
    by_module: dict[str, set[str]] = {}
    by_folder: dict[str, set[str]] = {}
    for source in sources:
        targets = {_resolve(name, modules) for _, name in imports(source)} - {None}
        found = {str(target) for target in targets}
        by_module[source.module] = found - {source.module}
        folder = _folder(source.module, modules)
        by_folder.setdefault(folder, set()).update({_folder(t, modules) for t in found} - {folder})
    for what, graph in (("modules", by_module), ("folders", by_folder)):
        cycle = find_cycle(graph)
        if cycle:
            yield f"{what} import each other: {' -> '.join(cycle)}"


def _resolve(name: str, modules: Iterable[str]) -> str | None:
    """Return the module behind a dotted name, which may end in a name within it."""
    if name in modules:
        return name
    parent = name.rpartition(".")[0]
    return parent if parent in modules else None


def _folder(module: str, modules: Iterable[str]) -> str:
    """Return the folder of a module; the modules at the root stand each for themselves."""
    parent = module.rpartition(".")[0]
    has_own_folder = any(other.startswith(f"{module}.") for other in modules)
    return module if parent in ("", PACKAGE) or has_own_folder else parent


def find_cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return some cycle of a graph, its first node also at the end; empty if there is none."""
    done: set[str] = set()
    for start in sorted(graph):
        cycle = _search(graph, start, [], done)
        if cycle:
            return cycle
    return []


def _search(graph: Mapping[str, set[str]], node: str, path: list[str], done: set[str]) -> list[str]:
    if node in path:
        return [*path[path.index(node) :], node]
    if node in done:
        return []
    for following in sorted(graph.get(node, ())):
        cycle = _search(graph, following, [*path, node], done)
        if cycle:
            return cycle
    done.add(node)
    return []


def core_is_pure(sources: Sequence[Source]) -> Iterator[str]:
    """The core knows no clock, chance, file, log, process or event loop."""
    for source in sources:
        if source.part in {"core", "errors", "model", "transport", "ports"}:
            yield from _forbidden_imports(source, EFFECTS)
            yield from _impure_calls(source)
            if source.part == "core":
                yield from _coroutines(source)


def _forbidden_imports(source: Source, forbidden: frozenset[str]) -> Iterator[str]:
    for node, name in imports(source):
        if _top(name) in forbidden:
            yield source.finding(node, f"{source.part} imports {name}")


def _impure_calls(source: Source, passed_in: str = "") -> Iterator[str]:
    """Find what reads a clock or opens a file; `passed_in` names the clock that may be asked."""
    for call in _calls(source.tree):
        if passed_in and ast.unparse(call) == passed_in:
            continue
        match call.func:
            case ast.Attribute(attr="now" | "today" | "utcnow" as name):
                yield source.finding(call, f"{source.part} reads the clock with .{name}()")
            case ast.Name(id="open" | "input" as name):
                yield source.finding(call, f"{source.part} calls {name}()")


def _coroutines(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await):
            yield source.finding(node, f"{source.part} is async")


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _dotted(node: ast.expr) -> str:
    """Return a name like `time.sleep`; of anything longer or odder only the last part."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            return f"{owner}.{name}"
        case ast.Attribute(attr=name):
            return f".{name}"
        case _:
            return ""


def engine_and_guards_know_only_anyio(sources: Sequence[Source]) -> Iterator[str]:
    """Of `random` they take the type `Random`: the generator itself is passed in.

    So is the clock on the wall, a port.
    """
    for source in sources:
        if source.part not in {"engine", "guards"}:
            continue
        yield from _forbidden_imports(source, NOT_OF_THE_ENGINE)
        yield from _impure_calls(source, "self._clock.now()")
        for node, name in imports(source):
            if _top(name) == "random" and name != "random.Random":
                yield source.finding(node, f"{source.part} imports {name}, not the type Random")
        for call in _calls(source.tree):
            if isinstance(call.func, ast.Name) and call.func.id == "Random":
                yield source.finding(call, f"{source.part} makes a Random of its own")


def tenacity_in_one_module(sources: Sequence[Source]) -> Iterator[str]:
    """The library's many knobs are turned in one place."""
    users = {s.path for s in sources for _, name in imports(s) if _top(name) == "tenacity"}
    if len(users) > 1:
        yield f"tenacity is imported in {', '.join(sorted(users))}"


def only_the_cli_speaks(sources: Sequence[Source]) -> Iterator[str]:
    """Printing, terminal libraries, logging and exits are the top floor's."""
    for source in sources:
        if source.part == "cli" or source.module == f"{PACKAGE}.__main__":
            continue
        for node, name in imports(source):
            if _top(name) in ONLY_OF_THE_CLI:
                yield source.finding(node, f"imports {name} outside cli/")
        for call in _calls(source.tree):
            if isinstance(call.func, ast.Name) and call.func.id in {"print", "exit", "input"}:
                yield source.finding(call, f"calls {call.func.id}() outside cli/")
        for part in ast.walk(source.tree):
            if isinstance(part, ast.Attribute) and _dotted(part) in _STREAMS:
                yield source.finding(part, f"uses {_dotted(part)} outside cli/")


_STREAMS: Final = frozenset({"sys.stdout", "sys.stderr", "sys.stdin", "sys.exit"})


# Errors


def exceptions_live_in_errors(sources: Sequence[Source]) -> Iterator[str]:
    """Every class of exception is in `errors.py`."""
    ours: set[str] = set()
    for source in sources:
        if source.part == "errors":
            ours.update(node.name for node in _exceptions(source, ours))
    for source in sources:
        if source.part != "errors":
            for node in _exceptions(source, ours):
                yield source.finding(node, f"{node.name} is an exception outside errors.py")


def _exceptions(source: Source, ours: set[str]) -> Iterator[ast.ClassDef]:
    """Yield the classes of exceptions in a file; `ours` may grow meanwhile."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            names = {_dotted(base).rpartition(".")[2] for base in node.bases}
            if names & ours or any(map(_is_foreign_exception, names)):
                yield node


def _is_foreign_exception(name: str) -> bool:
    known = getattr(builtins, name, None)
    if isinstance(known, type):
        return issubclass(known, BaseException)
    return name.endswith(("Error", "Exception"))


def nothing_swallows_everything(sources: Sequence[Source]) -> Iterator[str]:
    """Whoever catches `BaseException`, or all, raises it again or gives the reason on the line."""
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ExceptHandler) and _catches_all(node):
                line = source.text.splitlines()[node.lineno - 1]
                if not _reraises(node) and not _REASON.search(line):
                    yield source.finding(node, "catches everything and does not raise it again")


_REASON: Final = re.compile(r"#.* - \w+ \w+")


def _catches_all(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(_dotted(kind).rpartition(".")[2] == "BaseException" for kind in caught)


def _reraises(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


# Sizes


def modules_have_docstrings(sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        if Path(source.path).name in {"__init__.py", "__main__.py"}:
            continue
        if not ast.get_docstring(source.tree):
            yield source.finding(source.tree, "has no module docstring")


def modules_are_short(sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        lines = source.text.count("\n")
        if lines > MODULE_LINES_MAX:
            yield f"{source.path}: {lines} lines, at most {MODULE_LINES_MAX} are allowed"


def functions(source: Source) -> Iterator[FunctionNode]:
    for node in ast.walk(source.tree):
        if isinstance(node, FunctionNode):
            yield node


def length(node: FunctionNode) -> int:
    """Count the lines of a function from its `def`, docstring included."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def functions_are_short(sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        for node in functions(source):
            if length(node) > FUNCTION_LINES_MAX:
                yield source.finding(node, f"{node.name} has {length(node)} lines")


def functions_are_calm(sources: Sequence[Source]) -> Iterator[str]:
    """Half of all functions fit in a glance, and nine in ten on a screen."""
    lengths = [length(node) for source in sources for node in functions(source)]
    if not lengths:
        return
    middle = median(lengths)
    tenth = quantiles(lengths, n=10, method="inclusive")[-1] if len(lengths) > 1 else lengths[0]
    if middle > FUNCTION_LINES_MEDIAN or tenth > FUNCTION_LINES_P90:
        yield (
            f"{len(lengths)} functions: median {middle:g} lines (allowed {FUNCTION_LINES_MEDIAN}), "
            f"nine in ten within {tenth:g} (allowed {FUNCTION_LINES_P90})"
        )


def constructors_are_small(sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        for node in functions(source):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            if node.name == "__init__" and len(arguments) - 1 > CONSTRUCTOR_ARGUMENTS_MAX:
                yield source.finding(node, f"a constructor takes {len(arguments) - 1} arguments")


# Tests


def tests_fake_through_ports(sources: Sequence[Source]) -> Iterator[str]:
    """No test patches what it tests, or sleeps for real."""
    for source in sources:
        for node, name in imports(source):
            if name.startswith("unittest.mock") or _top(name) in {"mock", "pytest_mock"}:
                yield source.finding(node, f"imports {name}")
            if name in _SLEEPS:
                yield source.finding(node, f"imports {name}")
        for call in _calls(source.tree):
            if _dotted(call.func) in _SLEEPS:
                yield source.finding(call, f"calls {_dotted(call.func)}")


_SLEEPS: Final = frozenset({"time.sleep", "asyncio.sleep"})


def tests_check_something(sources: Sequence[Source]) -> Iterator[str]:
    """Every test asserts, expects an error, or calls a helper that does."""
    for source in sources:
        if not Path(source.path).name.startswith("test_"):
            continue
        helpers = {node.name for node in functions(source) if _checks(node, frozenset())}
        for node in functions(source):
            if node.name.startswith("test") and not _checks(node, frozenset(helpers)):
                yield source.finding(node, f"{node.name} checks nothing")


def _checks(function: FunctionNode, helpers: frozenset[str]) -> bool:
    """Whether a function checks anything; `helpers` are functions of its file that do."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            dotted = _dotted(node.func)
            name = dotted.rpartition(".")[2]
            if dotted in _EXPECTS or name in helpers or name.startswith(("check_", "assert_")):
                return True
    return False


_EXPECTS: Final = frozenset({"pytest.raises", "pytest.warns", "pytest.fail"})


# Texts


def nothing_is_left_to_do(sources: Sequence[Source]) -> Iterator[str]:
    yield from _matches(sources, re.compile("|".join(rf"\b{mark}\b" for mark in _MARKS)))


_MARKS: Final = ("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")


def no_file_names_a_place_of_its_own(sources: Sequence[Source]) -> Iterator[str]:
    """No file names the host of a package registry, or a path of somebody's machine."""
    yield from _matches(sources, _REGISTRY)
    yield from _matches(sources, _OWN_PATH)


_REGISTRY: Final = re.compile(
    r"\b(?:py[p]i|python[h]osted|npmjs|yarnpkg|crates|rubygems|anaconda|golang)\.(?:org|com|io)\b"
)
_OWN_PATH: Final = re.compile(r"(?<![\w.}])/(?:home|Users|root|work)/\w")


def _matches(sources: Sequence[Source], pattern: re.Pattern[str]) -> Iterator[str]:
    for source in sources:
        for number, line in enumerate(source.text.splitlines(), start=1):
            found = pattern.search(line)
            if found:
                yield f"{source.path}:{number}: holds {found[0]!r}"


PACKAGE_RULES: Final[tuple[Rule, ...]] = (
    imports_point_downwards,
    no_import_cycles,
    core_is_pure,
    engine_and_guards_know_only_anyio,
    tenacity_in_one_module,
    only_the_cli_speaks,
    exceptions_live_in_errors,
    nothing_swallows_everything,
    modules_have_docstrings,
    modules_are_short,
    functions_are_short,
    functions_are_calm,
    constructors_are_small,
)
TEST_RULES: Final[tuple[Rule, ...]] = (tests_fake_through_ports, tests_check_something)
TEXT_RULES: Final[tuple[Rule, ...]] = (nothing_is_left_to_do, no_file_names_a_place_of_its_own)
