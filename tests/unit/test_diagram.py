"""The picture and the table of the states show what the code does, all of it."""

import re
from pathlib import Path

import pytest

from fleetdeploy.core.diagram import CAUSES, ENDS_OF_ALL, state_diagram, transitions_table
from fleetdeploy.core.lifecycle import STEP_OF, TERMINAL, TRANSITIONS, Event
from fleetdeploy.model import Outcome, Phase

PAGE = Path(__file__).parents[2] / "docs" / "states.md"

PAIRS = {
    (phase.value, event.value, after.value)
    for phase, exits in TRANSITIONS.items()
    for event, after in exits.items()
}


def is_end_of_all(event: str) -> bool:
    return Event(event) in ENDS_OF_ALL


def test_every_event_has_somebody_who_makes_it_happen() -> None:
    assert set(CAUSES) == set(Event)


def test_what_is_drawn_once_holds_for_every_phase_that_is_no_end() -> None:
    for event in ENDS_OF_ALL:
        ends = {TRANSITIONS[phase].get(event) for phase in set(Phase) - TERMINAL}
        assert len(ends) == 1
        assert None not in ends


def test_the_picture_draws_every_other_transition_and_nothing_else() -> None:
    arrows = set(re.findall(r"^    (\w+) --> (\w+): (\w+)$", state_diagram(), re.MULTILINE))
    assert arrows == {(a, b, event) for a, event, b in PAIRS if not is_end_of_all(event)}


def test_the_picture_begins_with_queued_and_ends_with_the_outcomes() -> None:
    lines = state_diagram().splitlines()
    assert lines[:3] == ["```mermaid", "stateDiagram-v2", "    [*] --> queued"]
    assert {line.split()[0] for line in lines if line.endswith("--> [*]")} == set(Outcome)
    assert lines[-1] == "```"


def test_the_table_has_a_line_for_every_transition() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| .+ \(`(\w+)`\) \| .+ \| `(\w+)` \|$", transitions_table(), re.MULTILINE
    )
    assert set(rows) == {pair for pair in PAIRS if not is_end_of_all(pair[1])}
    assert len(rows) == len(set(rows))
    for event in ENDS_OF_ALL:
        assert f"| any that is not an end | {CAUSES[event].what} (`{event}`)" in transitions_table()


@pytest.mark.parametrize(
    ("name", "made"), [("states", state_diagram()), ("transitions", transitions_table())]
)
def test_the_page_is_in_step_with_the_code(name: str, made: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"<!-- generated: {name} -->\n(.*?)\n<!-- end -->", page, re.DOTALL)
    assert found is not None
    assert found.group(1).strip("\n") == made


def test_the_page_speaks_of_every_phase_and_step() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for word in (*Phase, *STEP_OF.values()):
        assert f"`{word}`" in page, word
