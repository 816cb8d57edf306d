"""The hunt: changes inputs, keeps those that reach new code, and collects what goes wrong."""

import hashlib
import resource
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from tests.fuzz.mutating import mutated
from tests.fuzz.targets import Target
from tests.fuzz.tracing import Edge, edges_seen

SECONDS_MAX: Final = 5.0
"""Of CPU time for one input of 64 KiB, while every line of it is traced."""
MEMORY_MAX: Final = 4 * 1024**3
"""Of address space, for the whole hunt."""
POOL_MAX: Final = 5_000
KEPT_MAX: Final = 4096
"""Bytes of an input that others are made of: large ones make large ones, and the hunt slow."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one input brought about; `where` is the innermost line, by which findings are told."""

    data: bytes
    what: str
    where: str

    @property
    def name(self) -> str:
        return f"{hashlib.sha256(self.data).hexdigest()[:12]}.hex"


@dataclass
class Hunt:
    """One target's hunt so far. `seconds` is the time it took, `edges` the code it reached."""

    target: Target
    rng: Random
    executions: int = 0
    seconds: float = 0.0
    edges: set[Edge] = field(default_factory=set)
    begun_with: int = 0
    pool: list[bytes] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    findings: dict[str, Finding] = field(default_factory=dict)

    def run(self, seconds: float) -> None:
        """Hunt for so long, from the corpus on."""
        started = time.monotonic()
        for data in self.target.corpus:
            self.take(data)
            self.pool.append(data)
        self.begun_with = len(self.edges)
        while time.monotonic() - started < seconds:
            data = mutated(self.rng.choice(self.pool), self.rng, self.pool)
            if self.take(data) and len(data) <= KEPT_MAX and len(self.pool) < POOL_MAX:
                self.pool.append(data)
        self.seconds = time.monotonic() - started

    def take(self, data: bytes) -> bool:
        """Try one input; return whether it reached code that none before did."""
        self.executions += 1
        spent = time.thread_time()
        with edges_seen() as edges:
            finding = tried(self.target.try_one, data, self.ends)
        if finding is None and time.thread_time() - spent > SECONDS_MAX:
            finding = Finding(data, f"took over {SECONDS_MAX:.0f} s", "time")
        if finding is not None:
            self.findings.setdefault(finding.where, finding)
        before = len(self.edges)
        self.edges |= edges
        return len(self.edges) > before and finding is None


def tried(try_one: Callable[[bytes], str], data: bytes, ends: Counter[str]) -> Finding | None:
    """Try one input; return what went wrong, or count how it ended."""
    try:
        ends[try_one(data)] += 1
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is hunted for
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
        return Finding(data, f"{type(error).__name__}: {error}"[:500], where)
    return None


def bound_memory() -> None:
    """Let what takes too much memory fail by itself, instead of the machine."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = MEMORY_MAX if hard == resource.RLIM_INFINITY else min(MEMORY_MAX, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
