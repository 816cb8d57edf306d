"""Hostile inputs until a time is up: `python -m tests.fuzz --minutes 10`.

`--only journals` hunts for one target alone, `--seed 7` says where chance begins, and
`--input FILE` tries one input again, hex or as it is. What is found is written to the folder
`--keep`, with the command that repeats it, and the exit code is 1. `--json FILE` gets the figures.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.figures import keep
from tests.fuzz.hunting import Finding, Hunt, bound_memory, tried
from tests.fuzz.targets import TARGETS, Target, input_in


def main() -> int:
    asked = _asked()
    bound_memory()
    targets = [TARGETS[asked.only]] if asked.only else list(TARGETS.values())
    if asked.input is not None:
        return _try_again(targets[0], asked.input)
    hunts = [Hunt(target, Random(asked.seed)) for target in targets]
    for hunt in hunts:
        hunt.run(asked.minutes * 60 / len(hunts))
        sys.stdout.write(_line(hunt) + "\n")
        for finding in hunt.findings.values():
            _tell(hunt.target, finding, asked.keep)
    if asked.json is not None:
        keep(asked.json, [figures(hunt) for hunt in hunts])
    return 1 if any(hunt.findings for hunt in hunts) else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Hostile inputs until a time is up.")
    parser.add_argument("--minutes", type=float, default=5.0, help="for all targets together")
    parser.add_argument("--only", choices=list(TARGETS), help="hunt for this target alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--input", type=Path, help="try this one file; needs --only")
    parser.add_argument("--keep", type=Path, default=Path(".fuzz"), help="where findings go")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    if asked.input is not None and asked.only is None:
        parser.error("--input needs --only")
    return asked


def figures(hunt: Hunt) -> dict[str, object]:
    return {
        "target": hunt.target.name,
        "executions": hunt.executions,
        "seconds": round(hunt.seconds, 1),
        "findings": len(hunt.findings),
        "corpus": len(hunt.pool),
        "edges": len(hunt.edges),
        "edges_of_corpus": hunt.begun_with,
    }


def _line(hunt: Hunt) -> str:
    rate = hunt.executions / max(hunt.seconds, 0.001)
    ends = ", ".join(f"{count} {word}" for word, count in hunt.ends.most_common(4))
    return (
        f"{hunt.target.name:12} {hunt.executions:>8} inputs ({rate:.0f}/s), "
        f"{len(hunt.target.corpus)} -> {len(hunt.pool)} kept, "
        f"{hunt.begun_with} -> {len(hunt.edges)} edges, {len(hunt.findings)} findings; {ends}"
    )


def _tell(target: Target, finding: Finding, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{target.name}-{finding.name}"
    path.write_text(finding.data.hex() + "\n")
    sys.stdout.write(f"  {finding.where}: {finding.what!a}\n")
    sys.stdout.write(f"  repeat it: python -m tests.fuzz --only {target.name} --input {path}\n")


def _try_again(target: Target, path: Path) -> int:
    ends: Counter[str] = Counter()
    finding = tried(target.try_one, input_in(path), ends)
    told: Sequence[str] = [repr(finding.what)] if finding else list(ends)
    sys.stdout.write("\n".join(told) + "\n")
    return 1 if finding else 0


if __name__ == "__main__":
    sys.exit(main())
