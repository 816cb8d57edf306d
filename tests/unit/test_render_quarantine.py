"""The quarantine as people and scripts read it."""

import json
from datetime import UTC, timedelta

import pytest

from fleetdeploy.cli.render.quarantine import (
    QuarantineChange,
    QuarantineList,
    quarantine_list,
    render_change,
    render_quarantine,
)
from fleetdeploy.cli.render.style import ANSI, PLAIN, Output, Style
from fleetdeploy.core.records import ErrorNote
from fleetdeploy.core.set_aside import SetAside
from tests.builders import NOTE, START

STYLE = Style(zone=UTC)
BLOCKED = SetAside(
    app_id="100000282",
    name="Hot Pot House",
    since=START,
    runs=("r2", "r1"),
    reason=NOTE,
    fingerprint="0123456789",
)
BY_HAND = SetAside(
    app_id="100000283", since=START + timedelta(hours=1), by="ops on night", note="a quarrel"
)
REJECTED = BLOCKED.model_copy(
    update={"app_id": "100000281", "reason": ErrorNote(code="audit.rejected", message="no")}
)


def listed(*entries: SetAside) -> QuarantineList:
    return quarantine_list(entries, START + timedelta(days=1))


def test_a_list_says_since_when_why_and_what_brings_each_back() -> None:
    assert render_quarantine(listed(BLOCKED, BY_HAND, REJECTED), Output.TEXT, STYLE) == (
        "app        name           since                    comes back                   why\n"
        "100000283                 2026-11-24 04:07:00 UTC  when it is cleared"
        "           set aside by ops on night: a quarrel\n"
        "100000281  Hot Pot House  2026-11-24 03:07:00 UTC  with other content"
        "           set aside after 2 bad ends in a row: no\n"
        "100000282  Hot Pot House  2026-11-24 03:07:00 UTC  when doctor finds it mended"
        f"  set aside after 2 bad ends in a row: {NOTE.message} ({NOTE.msg})\n"
        "\n"
        "3 apps in quarantine\n"
        "\n"
        "next: fleetdeploy doctor MANIFEST"
    )


@pytest.mark.parametrize(
    ("entries", "following"),
    [
        ((BLOCKED, REJECTED), "fleetdeploy doctor MANIFEST"),
        ((REJECTED,), "fleetdeploy quarantine clear 100000281"),
        ((BY_HAND,), "fleetdeploy quarantine clear 100000283"),
        ((), ""),
    ],
)
def test_the_next_command_is_what_may_bring_somebody_back(
    entries: tuple[SetAside, ...], following: str
) -> None:
    assert listed(*entries).next == following


def test_a_document_has_everything_that_is_kept() -> None:
    document = json.loads(render_quarantine(listed(BLOCKED), Output.JSON, PLAIN))
    (app,) = document["apps"]
    assert app["error"] == {
        "code": NOTE.code,
        "message": NOTE.message,
        "errno": NOTE.errno,
        "msg": NOTE.msg,
    }
    assert (app["runs"], app["fingerprint"], app["by"]) == (["r2", "r1"], "0123456789", None)
    assert (app["comes_back"], document["schema_version"]) == ("doctor", 1)


def test_markdown_is_a_table_with_the_ids_as_code() -> None:
    page = render_quarantine(listed(BY_HAND), Output.MARKDOWN, STYLE)
    assert page.startswith("# Quarantine\n\n| app | name | since | comes back | why |\n")
    assert "| `100000283` |" in page


def test_nobody_is_told_as_nobody() -> None:
    assert render_quarantine(listed(), Output.TEXT, ANSI) == "nobody is in quarantine"
    assert render_quarantine(listed(), Output.MARKDOWN, ANSI) == "Nobody is in quarantine."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (QuarantineChange(set_aside=("1",)), "set aside: 1"),
        (QuarantineChange(cleared=("1", "2")), "back: 1, 2"),
        (QuarantineChange(), "nobody is in quarantine"),
    ],
)
def test_a_change_says_who(change: QuarantineChange, said: str) -> None:
    assert render_change(change, Output.TEXT) == said
    assert json.loads(render_change(change, Output.JSON)) == change.model_dump(mode="json")
