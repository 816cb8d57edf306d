"""Writes what is generated from the code: `python -m tests.generate`; `--check` only compares.

The artefacts are the JSON Schemas, whole files, and the blocks in the documentation between
`<!-- generated: NAME -->` and `<!-- end -->`. All else in a document is left alone.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from fleetdeploy.cli.schemas import SCHEMAS
from tests.generated import BLOCKS

ROOT: Final = Path(__file__).resolve().parent.parent
SCHEMA_DIR: Final = "fleetdeploy/schemas"
BLOCK: Final = re.compile(
    r"^<!-- generated: (?P<name>[a-z-]+) -->\n(?P<text>.*?)^<!-- end -->$", re.DOTALL | re.MULTILINE
)
OPENING: Final = re.compile(r"(?<!`)<!-- generated:")
"""In backticks the marker is only spoken of."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """A file, and the function that says what it ought to hold, given what it holds."""

    path: Path
    make: Callable[[str], str]

    def read(self) -> str:
        return self.path.read_text(encoding="utf-8") if self.path.exists() else ""

    def in_step(self) -> bool:
        now = self.read()
        return bool(now) and self.make(now) == now

    def write(self) -> bool:
        """Write the file if it is not in step; say whether it was written."""
        if self.in_step():
            return False
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.make(self.read()), encoding="utf-8")
        return True


def documents(root: Path = ROOT) -> list[Path]:
    """Return every document of the repository."""
    return sorted([*root.glob("*.md"), *(root / "docs").rglob("*.md")])


def artefacts() -> list[Artefact]:
    """Return every artefact: each schema, and each document that holds generated blocks."""
    schemas = [
        Artefact(ROOT / SCHEMA_DIR / f"{name}.schema.json", partial(_schema, name))
        for name in SCHEMAS
    ]
    pages = [path for path in documents() if OPENING.search(path.read_text(encoding="utf-8"))]
    return [*schemas, *(Artefact(path, with_blocks) for path in pages)]


def _schema(name: str, _: str) -> str:
    return json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False) + "\n"


def with_blocks(text: str) -> str:
    """Return a document with each of its blocks as the code would have it.

    Blank lines around a block's text are the author's. Raises `ValueError` for a block that
    nobody makes, or that has no end.
    """
    if len(OPENING.findall(text)) != len(BLOCK.findall(text)):
        raise ValueError("a generated block is not closed, or its marker is not a line of its own")
    return BLOCK.sub(_block, text)


def _block(found: re.Match[str]) -> str:
    name, held = found["name"], found["text"]
    if name not in BLOCKS:
        raise ValueError(f"nobody makes the generated block {name!r}")
    made = BLOCKS[name]().strip("\n")
    if made == held.strip("\n"):
        return found[0]
    return f"<!-- generated: {name} -->\n\n{made}\n\n<!-- end -->"


def blocks_in(text: str) -> list[str]:
    """Return the names of the blocks that a document holds."""
    return [found["name"] for found in BLOCK.finditer(text)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or compare all artefacts; 1 if `--check` finds one out of step."""
    parser = argparse.ArgumentParser(prog="python -m tests.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args(arguments).check
    stale = 0
    for artefact in artefacts():
        name = artefact.path.relative_to(ROOT)
        if check and not artefact.in_step():
            stale += 1
            sys.stdout.write(f"{name} is not in step with the code: make generate\n")
        elif not check and artefact.write():
            sys.stdout.write(f"{name} written\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
