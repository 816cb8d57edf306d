"""What became of an order to a run: `pause`, `approve`, `halt`."""

from typing import Literal

from fleetdeploy.cli.render.layout import document, next_line, paragraphs, words
from fleetdeploy.cli.render.safe import safe
from fleetdeploy.cli.render.style import Output, Style
from fleetdeploy.core.orders import OrderKind
from fleetdeploy.core.summary import SCHEMA_VERSION, Document


class Steered(Document):
    """What `pause`, `approve` and `halt` print; `state` and `next` are the run's."""

    schema_version: Literal[1] = SCHEMA_VERSION
    run_id: str
    order: OrderKind
    wave: str | None
    result: Literal["taken", "already", "handed_over"]
    """It is in the journal; it was so before; or it is on disk, and whoever works on the run, now
    or next, takes it in."""
    message: str
    state: str
    next: str


def render_steered(steered: Steered, output: Output, style: Style) -> str:
    """Tell what became of an order, and what to type next."""
    if output is Output.JSON:
        return document(steered)
    subject = f"wave {steered.wave} of " if steered.wave is not None else ""
    line = f"{words(subject)}run {safe(steered.run_id)}: {words(steered.message)}"
    return paragraphs(line, next_line(steered.next, style))
