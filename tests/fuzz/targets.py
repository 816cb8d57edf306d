"""What is fuzzed: for each target its one function, and the inputs it begins with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.fuzz import answers, connections, journals, manifests, pushes

CORPUS: Final = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Target:
    """`try_one` returns a word for what became of an input; whatever it raises is a finding.

    A corpus file is the input itself, or with the ending `.hex` its bytes in hex.
    """

    name: str
    try_one: Callable[[bytes], str]

    @cached_property
    def corpus(self) -> tuple[bytes, ...]:
        return tuple(map(input_in, self.files))

    @property
    def files(self) -> list[Path]:
        return sorted((CORPUS / self.name).iterdir())


def input_in(path: Path) -> bytes:
    data = path.read_bytes()
    return bytes.fromhex(data.decode("ascii")) if path.suffix == ".hex" else data


TARGETS: Final[Mapping[str, Target]] = MappingProxyType(
    {
        name: Target(name, try_one)
        for name, try_one in (
            ("manifests", manifests.try_one),
            ("journals", journals.try_one),
            ("answers", answers.try_one),
            ("pushes", pushes.try_one),
            ("connections", connections.try_one),
        )
    }
)
