"""The table of transitions as a picture and as text for `docs/states.md`; it decides nothing."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from fleetdeploy.core.lifecycle import TERMINAL, TRANSITIONS, Event
from fleetdeploy.model import Phase

US: Final = "us"
PLATFORM: Final = "the platform"
REVIEWER: Final = "the reviewer"
PERSON: Final = "a person"


class Cause(NamedTuple):
    """Who makes an event happen, and what happens in plain words."""

    who: str
    what: str


CAUSES: Final[Mapping[Event, Cause]] = {
    Event.UPLOAD_STARTED: Cause(US, "we record the intent to upload, then send it"),
    Event.UPLOAD_DOUBTED: Cause(PLATFORM, "the answer to the upload is lost"),
    Event.UPLOAD_SUCCEEDED: Cause(PLATFORM, "the upload is taken, or shows in the list"),
    Event.UPLOAD_FAILED: Cause(PLATFORM, "the upload certainly had no effect"),
    Event.AWAIT_UPLOAD_SUCCEEDED: Cause(PLATFORM, "the package is built"),
    Event.AWAIT_UPLOAD_FAILED: Cause(PLATFORM, "the package could not be built"),
    Event.SUBMIT_AUDIT_STARTED: Cause(US, "we record the intent to submit, then send it"),
    Event.SUBMIT_AUDIT_DOUBTED: Cause(PLATFORM, "the answer to the submission is lost"),
    Event.SUBMIT_AUDIT_SUCCEEDED: Cause(PLATFORM, "the submission is taken, or shows in the list"),
    Event.SUBMIT_AUDIT_FAILED: Cause(PLATFORM, "the submission certainly had no effect"),
    Event.AWAIT_AUDIT_SUCCEEDED: Cause(REVIEWER, "the reviewer says yes"),
    Event.RELEASE_STARTED: Cause(US, "we record the intent to release, then send it"),
    Event.RELEASE_DOUBTED: Cause(PLATFORM, "the answer to the release is lost"),
    Event.RELEASE_SUCCEEDED: Cause(PLATFORM, "the release is taken, or shows in the list"),
    Event.RELEASE_FAILED: Cause(PLATFORM, "the release certainly had no effect"),
    Event.AWAIT_RELEASE_SUCCEEDED: Cause(PLATFORM, "the package is online"),
    Event.ROLLBACK_STARTED: Cause(US, "we record the intent to roll back, then send it"),
    Event.ROLLBACK_DOUBTED: Cause(PLATFORM, "the answer to the rollback is lost"),
    Event.ROLLBACK_SUCCEEDED: Cause(PLATFORM, "the rollback is taken, or shows in the list"),
    Event.ROLLBACK_FAILED: Cause(PLATFORM, "the rollback certainly had no effect"),
    Event.AWAIT_ROLLBACK_SUCCEEDED: Cause(PLATFORM, "the version before is online"),
    Event.WITHDRAW_STARTED: Cause(US, "we record the intent to withdraw, then send it"),
    Event.WITHDRAW_DOUBTED: Cause(PLATFORM, "the answer to the withdrawal is lost"),
    Event.WITHDRAW_SUCCEEDED: Cause(PLATFORM, "the withdrawal is taken, or shows in the list"),
    Event.WITHDRAW_FAILED: Cause(PLATFORM, "the withdrawal certainly had no effect"),
    Event.AWAIT_WITHDRAW_SUCCEEDED: Cause(PLATFORM, "the package is out of audit"),
    Event.OBSTACLE_WITHDRAW_STARTED: Cause(
        US, "we record the intent to withdraw what is in the way, then send it"
    ),
    Event.OBSTACLE_AWAIT_WITHDRAW_SUCCEEDED: Cause(
        PLATFORM, "what was in the way is out of audit, or its verdict fell"
    ),
    Event.FOUND_ROLLING_BACK: Cause(PERSON, "a look finds the package rolling back already"),
    Event.FOUND_PROCESSING: Cause(US, "a look finds our package being built: it is adopted"),
    Event.FOUND_UPLOADED: Cause(US, "a look finds our package built: it is adopted"),
    Event.FOUND_AUDITING: Cause(PERSON, "a look finds our package in audit"),
    Event.FOUND_APPROVED: Cause(REVIEWER, "a look finds our package approved"),
    Event.FOUND_RELEASED: Cause(PERSON, "a look finds our package online"),
    Event.ENDED_UNCHANGED: Cause(US, "there is nothing to do: nothing is sent"),
    Event.ENDED_REJECTED: Cause(REVIEWER, "the reviewer says no"),
    Event.ENDED_BLOCKED: Cause(PERSON, "a person has to act on the platform's side first"),
    Event.ENDED_FAILED: Cause(PLATFORM, "it is refused for good, or the tries are used up"),
    Event.ENDED_CANCELLED: Cause(PERSON, "somebody took the app out of the rollout"),
}

ENDS_OF_ALL: Final = frozenset({Event.ENDED_BLOCKED, Event.ENDED_FAILED, Event.ENDED_CANCELLED})
"""Open to every phase that is not an end; drawn once, or they would hide the rest."""


def state_diagram() -> str:
    """Return the table of transitions as a Mermaid diagram in a fenced block."""
    return "\n".join(["```mermaid", *_diagram(), "```"])


def _diagram() -> Iterator[str]:
    yield "stateDiagram-v2"
    yield f"    [*] --> {Phase.QUEUED}"
    for phase, exits in TRANSITIONS.items():
        for event, after in exits.items():
            if event not in ENDS_OF_ALL:
                yield f"    {phase} --> {after}: {event}"
    for phase in TRANSITIONS:
        if phase in TERMINAL:
            yield f"    {phase} --> [*]"


def transitions_table() -> str:
    """Return the table of transitions as Markdown: from where, what happens, by whom, to where."""
    rows = ["| phase | what moves it on | who | then |", "| --- | --- | --- | --- |"]
    for phase, exits in TRANSITIONS.items():
        rows += [
            _row(f"`{phase}`", event, after)
            for event, after in exits.items()
            if event not in ENDS_OF_ALL
        ]
    ends = TRANSITIONS[Phase.QUEUED]
    rows += [_row("any that is not an end", event, ends[event]) for event in sorted(ENDS_OF_ALL)]
    return "\n".join(rows)


def _row(phase: str, event: Event, after: Phase) -> str:
    cause = CAUSES[event]
    return f"| {phase} | {cause.what} (`{event}`) | {cause.who} | `{after}` |"
