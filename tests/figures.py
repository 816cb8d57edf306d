"""Figures of the long proofs: each command keeps its own, and `docs/reliability.md` shows them.

A file of figures says when, on what and of which commit they were measured. Nothing here measures.
"""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / "docs" / "figures"

Figures = Mapping[str, Any]


def keep(path: Path, figures: object) -> None:
    """Write figures with where they come from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {"measured": _measured(), "figures": figures}
    path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def _measured() -> dict[str, str]:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - wherever git is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {
        "on": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": commit or "unknown",
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
    }


def _kept(name: str) -> tuple[Mapping[str, str], Any] | None:
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return None
    whole = json.loads(path.read_text(encoding="utf-8"))
    return whole["measured"], whole["figures"]


def _shown(name: str, rows: Iterable[tuple[str, object]], measured: Mapping[str, str]) -> str:
    lines = ["| figure | value |", "| --- | --- |", *(f"| {what} | {n} |" for what, n in rows)]
    said = ", ".join(f"{key} {value}" for key, value in sorted(measured.items()))
    return "\n".join([*lines, "", f"Measured: {said} (`docs/figures/{name}.json`)."])


def _thousands(value: object) -> object:
    return f"{value:,}" if isinstance(value, int) else value


def crash_block() -> str:
    """Return what real kills of the command line came to."""
    kept = _kept("crash")
    if kept is None:
        return NOT_MEASURED
    measured, figures = kept
    kills: Mapping[str, int] = figures["kills"]
    named = sum(point != "any moment" for point in kills)
    rows: list[tuple[str, object]] = [
        ("kills (SIGKILL)", _thousands(sum(kills.values()))),
        ("named points of a write or a request at which it died", named),
        ("rollouts brought to their end", figures["rollouts"]),
        ("runs begun", figures["runs"]),
        ("resumes", _thousands(figures["resumes"])),
        ("effects done", _thousands(figures["effects"])),
        ("effects done twice", figures["twice"]),
        ("effects lost", figures["lost"]),
        ("unlawful requests", figures["unlawful"]),
        ("anything else wrong", len(figures["wrong"])),
        ("seconds", figures["seconds"]),
    ]
    return _shown("crash", rows, measured)


def fuzz_block() -> str:
    """Return how many bad inputs were tried, by what reads them."""
    kept = _kept("fuzz")
    if kept is None:
        return NOT_MEASURED
    measured, figures = kept
    head = ["| target | inputs tried | edges reached | findings |", "| --- | --- | --- | --- |"]
    rows = [
        f"| {one['target']} | {one['executions']:,} | {one['edges']:,} | {one['findings']} |"
        for one in figures
    ]
    said = ", ".join(f"{key} {value}" for key, value in sorted(measured.items()))
    return "\n".join([*head, *rows, "", f"Measured: {said} (`docs/figures/fuzz.json`)."])


NOT_MEASURED: Final = "Not measured yet."


def soak_block() -> str:
    """Return what whole nights in virtual time came to."""
    kept = _kept("soak")
    if kept is None:
        return NOT_MEASURED
    measured, figures = kept
    rows: list[tuple[str, object]] = [
        ("minutes", figures["minutes"]),
        ("seeds", _thousands(figures["seeds"])),
        ("seeds a minute", round(figures["seeds"] / figures["minutes"])),
        ("runs", _thousands(figures["runs"])),
        ("lives of a process", _thousands(figures["lives"])),
        ("crashes survived", _thousands(figures["crashes"])),
        ("calls", _thousands(figures["calls"])),
        ("records", _thousands(figures["records"])),
        ("trouble that an app met, by kind", _told(figures["faults"])),
        ("requests that outlived their process", _thousands(figures["strays"])),
        ("what operators ordered, and halts", _told(figures["orders"])),
        ("what people did in the console", _told(figures["deeds"])),
        ("rotations of tokens", _thousands(figures["rotations"])),
        ("effects", _thousands(figures["effects"])),
        ("effects done twice", figures["twice"]),
        ("seeds that found something", len(figures["findings"])),
        ("apps by outcome, or where a newer run found them", _told(figures["outcomes"])),
    ]
    return f"{_shown('soak', rows, measured)}\n\n{_met(figures['met'])}"


def _met(met: Mapping[str, Mapping[str, int]]) -> str:
    """Return a table of how often an app in each phase met each trouble."""
    troubles = list(next(iter(met.values())))
    head = ["phase", *(trouble.replace("_", " ") for trouble in troubles)]
    rows = [[phase, *(f"{times[one]:,}" for one in troubles)] for phase, times in met.items()]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def mutants_block() -> str:
    """Return after how many seeds each deliberate bug is caught."""
    kept = _kept("mutants")
    if kept is None:
        return NOT_MEASURED
    measured, figures = kept
    names = list(figures[0])
    lines = [names, ["---"] * len(names), *([str(one[name]) for name in names] for one in figures)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    said = ", ".join(f"{key} {value}" for key, value in sorted(measured.items()))
    return f"{table}\n\nMeasured: {said} (`docs/figures/mutants.json`)."


def _told(value: Mapping[str, int]) -> str:
    """Write several figures in one cell, each with its name, the largest first."""
    counts = sorted(value.items(), key=lambda one: -one[1])
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts) or "0"
