"""Hostile journals: they fold into a state that can be shown, or are refused with a line number.

Each input is read twice: as it is, where nearly every change breaks the chain, and chained anew,
as somebody would who can write the file. Both must hold.
"""

import json
from datetime import timedelta, timezone
from typing import Final

from fleetdeploy.cli.render.explain import render_explain
from fleetdeploy.cli.render.report import first_steps, render_report
from fleetdeploy.cli.render.status import render_status
from fleetdeploy.cli.render.style import Output, Style
from fleetdeploy.core.journal_line import NO_PREV, JournalContents, digest_of, read_journal
from fleetdeploy.core.summary import summarise
from fleetdeploy.errors import JournalDamaged, PlanMismatch
from fleetdeploy.storage.archive import fold
from tests.builders import make_plan
from tests.fuzz.words import check_error, check_shown

_PLAN: Final = make_plan(3)
_STYLE: Final = Style(zone=timezone(timedelta(hours=8), "CST"))


def try_one(data: bytes) -> str:
    """Read one input as it is and chained anew; return what became of the two."""
    return f"{_read(data)}, chained {_read(chained(data))}"


def chained(data: bytes) -> bytes:
    """Give the lines that are JSON objects the numbers and links of a sound journal."""
    lines, prev = [], NO_PREV
    *whole, torn = data.split(b"\n")
    for seq, line in enumerate(whole):
        linked = _linked(line, seq, prev) + b"\n"
        lines.append(linked)
        prev = digest_of(linked)
    return b"".join([*lines, torn])


def _linked(line: bytes, seq: int, prev: str) -> bytes:
    try:
        value: object = json.loads(line)
        if isinstance(value, dict):
            return json.dumps({**value, "seq": seq, "prev": prev}).encode()
    except (ValueError, RecursionError):
        pass
    return line


def _read(data: bytes) -> str:
    try:
        contents = read_journal(data)
        assert contents.end_offset + contents.torn_bytes == len(data), "bytes went unread"
        _show(contents)
    except (JournalDamaged, PlanMismatch) as error:
        check_error(error)
        return error.code
    return "folded"


def _show(contents: JournalContents) -> None:
    """Fold a journal against a plan that suits its header, and tell it in every form."""
    digest = getattr(contents.entries[0].record, "plan_digest", "") if contents.entries else ""
    plan = _PLAN.model_copy(update={"digest": digest})
    state = fold(plan, contents.entries, "journal.jsonl")
    status = summarise(plan, state, alive=False)
    started = first_steps(contents.entries)
    planned = plan.apps[0]
    for output in Output:
        check_shown(render_status(status, output, _STYLE))
        check_shown(render_report(status, plan, output, _STYLE, started=started))
        app = state.apps[planned.app_id]
        check_shown(render_explain(planned, app, contents.entries, output, _STYLE))
