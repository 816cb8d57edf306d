"""What a receiver took and refused, told when it ends."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from fleetdeploy.cli.render.style import Output
from fleetdeploy.receiver.results import Kind, Statistics


class Pushes(BaseModel):
    """What `listen -o json` prints at its end."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    taken: int
    refused: int
    throttled: int
    failed: int
    too_slow: int
    refusals: dict[str, int]


def render_pushes(statistics: Statistics, output: Output) -> str:
    counts = statistics.counts
    document = Pushes(
        taken=counts[Kind.TAKEN],
        refused=counts[Kind.REFUSED],
        throttled=counts[Kind.THROTTLED],
        failed=counts[Kind.FAILED],
        too_slow=counts[Kind.TOO_SLOW],
        refusals=dict(sorted(statistics.refusals.items())),
    )
    if output is Output.JSON:
        return document.model_dump_json(indent=2)
    reasons = ", ".join(f"{reason} {count}" for reason, count in document.refusals.items())
    return "\n".join(
        [
            f"pushes taken      {document.taken}",
            f"       refused    {document.refused}{f' ({reasons})' if reasons else ''}",
            f"       throttled  {document.throttled}",
            f"       failed     {document.failed}",
        ]
    )
