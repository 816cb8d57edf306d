"""Runs as they were left on disk: what a later command reads out of them, and what it closes."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleetdeploy.core.endings import SUPERSEDED
from fleetdeploy.core.foreign import LeftOnline
from fleetdeploy.core.plan import Plan
from fleetdeploy.core.quarantine import Rows
from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    ErrorNote,
    RunFinished,
    RunRecord,
    RunStarted,
    StepStarted,
)
from fleetdeploy.core.set_aside import SetAside, leave_alone
from fleetdeploy.errors import JournalDamaged, PlanMismatch, RunNotFound
from fleetdeploy.model import Outcome, Phase, Step
from fleetdeploy.storage.archive import (
    HISTORY_RUNS,
    at_work_since,
    fold,
    latest,
    latest_unfinished,
    left_open_before,
    look_back,
    newer_owners,
    read_plan,
    read_run,
    supersede,
)
from fleetdeploy.storage.locks import Holder
from fleetdeploy.storage.run_dir import RunDir, StateDir
from tests.builders import blocked, make_entries, make_header, make_plan, make_planned, released

NOW = datetime(2026, 11, 24, 3, 7, tzinfo=UTC)
HOLDER = Holder("night", 7, "ops", NOW)
ONE, TWO = "100000282", "100000283"


class Clock:
    """Stands still, at the minute that a run's id names."""

    def __init__(self, run_id: str = "") -> None:
        minute = run_id[: len("20261124-0307")]
        named = minute.replace("-", "").isdecimal()
        self._at = datetime.strptime(f"{minute}+0000", "%Y%m%d-%H%M%z") if named else NOW

    def now(self) -> datetime:
        return self._at


@pytest.fixture
def anyio_backend() -> str:
    """Real files are written by threads."""
    return "asyncio"


@pytest.fixture
def state_dir(tmp_path: Path) -> StateDir:
    return StateDir(tmp_path / "state")


def plan_of(run_id: str, *app_ids: str, **fields: object) -> Plan:
    apps = [make_planned(app_id, **fields) for app_id in app_ids or (ONE, TWO)]
    return make_plan(apps, run_id=run_id)


async def leave(
    state_dir: StateDir,
    plan: Plan,
    records: Iterable[RunRecord | AnyAppRecord] = (),
    clock: Clock | None = None,
) -> RunDir:
    """Leave a run behind that wrote its header and these records."""
    run = state_dir.create_run(plan.run_id, plan.model_dump_json().encode())
    journal, _ = run.open_journal(clock or Clock(plan.run_id))
    try:
        for record in (header_of(plan), *records):
            await journal.append(record)
    finally:
        journal.close()
    return run


def header_of(plan: Plan) -> RunStarted:
    return make_header(run_id=plan.run_id, plan_digest=plan.digest)


def upload(app_id: str) -> StepStarted:
    return StepStarted(app_id=app_id, step=Step.UPLOAD, attempt=1)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"schema_version": 2}'])
def test_a_file_that_is_no_plan_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(PlanMismatch, match="not a plan of this version"):
        read_plan(data, "saved.json")


def test_a_plan_that_was_edited_is_refused() -> None:
    edited = plan_of("r1").model_dump_json().replace('"754"', '"755"').encode()
    with pytest.raises(PlanMismatch, match="was changed"):
        read_plan(edited, "saved.json")


@pytest.mark.anyio
async def test_a_journal_beside_another_plan_is_refused(state_dir: StateDir) -> None:
    run = await leave(state_dir, plan_of("r1"))
    run.plan_path.write_bytes(plan_of("r1", template_id="755").model_dump_json().encode())
    with pytest.raises(PlanMismatch, match="another plan"):
        read_run(run)


@pytest.mark.anyio
async def test_j4_a_record_that_cannot_follow_is_damage_with_its_line(state_dir: StateDir) -> None:
    run = await leave(state_dir, plan_of("r1"), [upload(ONE), upload(ONE)])
    with pytest.raises(JournalDamaged) as caught:
        read_run(run)
    assert caught.value.line == 3


def test_a_record_of_an_app_with_a_hostile_name_is_damage_in_words_that_do_no_harm() -> None:
    plan = plan_of("r1")
    entries = make_entries([upload("\x1b[2J\u202e")])
    with pytest.raises(JournalDamaged) as caught:
        fold(plan, entries, "journal.jsonl")
    assert caught.value.message == (
        "journal.jsonl: line 2: app \\u001b[2J\\u202e is not in this run's plan"
    )


def test_a_file_that_is_no_plan_is_refused_in_words_that_do_no_harm() -> None:
    document = plan_of("r1").model_dump(mode="json")
    document["apps"][0]["labels"] = {"\x1b[2J": 1}
    with pytest.raises(PlanMismatch) as caught:
        read_plan(json.dumps(document).encode(), "saved.json")
    assert 'apps[0].labels["\\u001b[2J"]' in caught.value.message


@pytest.mark.anyio
async def test_the_latest_unfinished_run_is_one_that_sent_something(state_dir: StateDir) -> None:
    await leave(state_dir, plan_of("20260101-0000-aaaa"), [upload(ONE)])
    done = [*released(ONE), *blocked(TWO), RunFinished()]
    await leave(state_dir, plan_of("20260102-0000-aaaa"), done)
    never = plan_of("20260103-0000-aaaa")
    state_dir.create_run(never.run_id, never.model_dump_json().encode())
    assert latest(state_dir).run.run_id == never.run_id
    assert latest_unfinished(state_dir).run.run_id == "20260101-0000-aaaa"


def test_without_runs_the_hint_says_how_to_start_one(state_dir: StateDir) -> None:
    for find in (latest, latest_unfinished):
        with pytest.raises(RunNotFound) as caught:
            find(state_dir)
        assert "fleetdeploy run" in caught.value.hint


@pytest.mark.anyio
async def test_doubt_is_what_the_newest_run_that_knows_an_app_left(state_dir: StateDir) -> None:
    await leave(state_dir, plan_of("20260101-0000-aaaa"), [upload(ONE), upload(TWO)])
    await leave(state_dir, plan_of("20260102-0000-aaaa", ONE), [*released(ONE), RunFinished()])
    before = look_back(state_dir, [ONE, TWO])
    assert before.doubted == {TWO}
    assert [run.run.run_id for run in before.unfinished] == ["20260101-0000-aaaa"]


@pytest.mark.anyio
async def test_a_cause_is_known_until_the_app_comes_to_another_end(state_dir: StateDir) -> None:
    note = ErrorNote(code="audit.rejected", message="rejected", msg="blurred")
    rejected = [
        AppFinished(app_id=app_id, outcome=Outcome.FAILED, error=note) for app_id in (ONE, TWO)
    ]
    await leave(state_dir, plan_of("20260101-0000-aaaa"), [*rejected, RunFinished()])
    superseded = AppFinished(app_id=TWO, outcome=Outcome.CANCELLED)
    await leave(state_dir, plan_of("20260102-0000-aaaa"), [*released(ONE), superseded])
    assert look_back(state_dir, [ONE, TWO]).causes == {TWO: "audit.rejected blurred"}


@pytest.mark.anyio
async def test_a_damaged_run_leaves_every_app_in_doubt_that_no_newer_one_knows(
    state_dir: StateDir,
) -> None:
    await leave(state_dir, plan_of("20260101-0000-aaaa"), [*released(ONE), *released(TWO)])
    damaged = await leave(state_dir, plan_of("20260102-0000-aaaa"), [upload(ONE)])
    damaged.journal_path.write_bytes(b"nonsense\n" + damaged.journal_path.read_bytes())
    await leave(state_dir, plan_of("20260103-0000-aaaa", ONE), released(ONE))
    before = look_back(state_dir, [ONE, TWO])
    assert before.doubted == {TWO}
    assert [type(error) for error in before.unreadable] == [JournalDamaged]


@pytest.mark.anyio
async def test_history_knows_what_an_app_got_under_each_fingerprint(state_dir: StateDir) -> None:
    old, new = '{"ext":{"theme":"summer"}}', '{"ext":{"theme":"autumn"}}'
    await leave(state_dir, plan_of("r1", ONE, fingerprint="a" * 10, ext_json=old))
    await leave(state_dir, plan_of("r2", ONE, fingerprint="b" * 10, ext_json=new))
    history = look_back(state_dir, [ONE]).history
    assert {key: past.ext_json for key, past in history.items()} == {
        (ONE, "a" * 10): old,
        (ONE, "b" * 10): new,
    }


@pytest.mark.anyio
async def test_what_runs_left_online_is_read_from_the_newest_that_says_it(
    state_dir: StateDir,
) -> None:
    await leave(state_dir, plan_of("20260101-0000-aaaa", version="1"), [*released(ONE)])
    await leave(state_dir, plan_of("20260102-0000-aaaa", version="2"), [*released(TWO)])
    knew = LeftOnline(ours="0.5", back_to=("0.4",))
    await leave(state_dir, plan_of("20260103-0000-aaaa", TWO, left_online=knew))
    assert look_back(state_dir, [ONE, TWO, "1"]).left_online == {
        ONE: LeftOnline(ours="1"),
        TWO: knew,
    }


@pytest.mark.anyio
async def test_j6_a_newer_run_closes_what_it_takes_over_and_leaves_the_rest(
    state_dir: StateDir,
) -> None:
    run = await leave(state_dir, plan_of("r1"), [upload(ONE)])
    await supersede(read_run(run), "r2", [ONE], Clock(), HOLDER)
    first = read_run(run)
    assert (first.state.apps[ONE].outcome, first.state.apps[TWO].phase) == (
        Outcome.CANCELLED,
        Phase.QUEUED,
    )
    assert first.unfinished
    await supersede(first, "r3", [ONE, TWO], Clock(), HOLDER)
    second = read_run(run)
    assert (second.state.finished, second.state.superseded_by) == (True, "r3")
    assert first.state.apps[ONE].in_doubt_before


@pytest.mark.anyio
async def test_a_run_knows_which_newer_ones_have_its_open_apps(state_dir: StateDir) -> None:
    run = await leave(state_dir, plan_of("20260101-0000-aaaa"), [*released(ONE), upload(TWO)])
    await leave(state_dir, plan_of("20260102-0000-aaaa", ONE))
    await leave(state_dir, plan_of("20260103-0000-aaaa", ONE, TWO))
    assert newer_owners(state_dir, read_run(run)) == {"20260103-0000-aaaa": {TWO}}


@pytest.mark.anyio
async def test_a_run_whose_plan_was_saved_is_as_new_as_its_start(state_dir: StateDir) -> None:
    """Its id is from the afternoon; another run has come and gone in the evening."""
    between = plan_of("20260101-2000-aaaa", ONE)
    done = AppFinished(app_id=ONE, outcome=Outcome.UNCHANGED)
    await leave(state_dir, between, [done, RunFinished()])
    saved = plan_of("20260101-1800-aaaa", ONE)
    run = await leave(state_dir, saved, [upload(ONE)], Clock("20260101-2200"))
    assert latest(state_dir).run.run_id == saved.run_id
    assert newer_owners(state_dir, read_run(run)) == {}
    assert look_back(state_dir, [ONE]).doubted == {ONE}


@pytest.mark.anyio
async def test_who_was_at_work_since_a_look_back_is_told_by_app(state_dir: StateDir) -> None:
    old = await leave(state_dir, plan_of("20260101-0000-aaaa"), [*released(ONE), upload(TWO)])
    sizes = look_back(state_dir, [ONE, TWO]).sizes
    assert at_work_since(state_dir, sizes, [ONE, TWO]) == {}
    await supersede(read_run(old), "r2", [TWO], Clock(), HOLDER)
    await leave(state_dir, plan_of("20260102-0000-aaaa", ONE), [upload(ONE)])
    assert at_work_since(state_dir, sizes, [ONE, TWO]) == {
        "20260101-0000-aaaa": {TWO},
        "20260102-0000-aaaa": {ONE},
    }
    assert at_work_since(state_dir, sizes, ["1"]) == {}
    # Whoever looked in the middle of a line has not seen it.
    middle = {run_id: size - 5 for run_id, size in state_dir.journal_sizes().items()}
    assert at_work_since(state_dir, middle, [ONE]) == {"20260102-0000-aaaa": {ONE}}


@pytest.mark.anyio
async def test_a_run_that_lacks_nothing_but_its_last_record_gets_it_from_the_newer_one(
    state_dir: StateDir,
) -> None:
    """The newer one was killed as it closed the older, which a resume would else take for open."""
    taken = AppFinished(app_id=ONE, outcome=Outcome.CANCELLED, error=SUPERSEDED.note())
    closed = await leave(state_dir, plan_of("20260101-0000-aaaa", ONE), [taken])
    ended = await leave(state_dir, plan_of("20260101-0001-aaaa", ONE), [*released(ONE)])
    await leave(state_dir, plan_of("20260102-0000-aaaa", ONE))
    found = list(left_open_before(state_dir, "20260102-0000-aaaa", [ONE]))
    assert [older.run.run_id for older in found] == [ended.run_id, closed.run_id]
    assert {run.run.run_id for run in look_back(state_dir, [ONE]).unfinished} > {
        older.run.run_id for older in found
    }
    for older in found:
        await supersede(older, "20260102-0000-aaaa", [ONE], Clock(), HOLDER)
    assert read_run(closed).state.superseded_by == "20260102-0000-aaaa"
    assert (read_run(ended).state.finished, read_run(ended).state.superseded_by) == (True, None)
    assert list(left_open_before(state_dir, "20260102-0000-aaaa", [ONE])) == []


@pytest.mark.anyio
async def test_only_older_dead_runs_that_share_an_open_app_are_left_open_before_a_run(
    state_dir: StateDir,
) -> None:
    alive = await leave(state_dir, plan_of("20260101-0000-aaaa"))
    await leave(state_dir, plan_of("20260101-0001-aaaa", ONE), [*released(ONE), RunFinished()])
    await leave(state_dir, plan_of("20260101-0002-aaaa", TWO))
    await leave(state_dir, plan_of("20260101-0003-aaaa", ONE))
    await leave(state_dir, plan_of("20260102-0000-aaaa", ONE))
    await leave(state_dir, plan_of("20260103-0000-aaaa", ONE))
    with alive.lock(HOLDER):
        found = list(left_open_before(state_dir, "20260102-0000-aaaa", [ONE]))
    assert [older.run.run_id for older in found] == ["20260101-0003-aaaa"]


@pytest.mark.anyio
async def test_runs_that_never_started_hide_neither_doubt_nor_a_run_that_is_open(
    state_dir: StateDir,
) -> None:
    await leave(state_dir, plan_of("20260101-0000-aaaa"), [upload(TWO)])
    for number in range(HISTORY_RUNS + 1):
        plan = plan_of(f"20260102-{number:04}-aaaa")
        state_dir.create_run(plan.run_id, plan.model_dump_json().encode())
    before = look_back(state_dir, [ONE, TWO])
    assert before.doubted == {TWO}
    assert [run.run.run_id for run in before.unfinished] == ["20260101-0000-aaaa"]


@pytest.mark.anyio
async def test_runs_are_read_for_as_long_as_a_row_of_bad_ends_may_go_on(
    state_dir: StateDir,
) -> None:
    """The three bad ends are far apart: other runs cut the app off, or are of other apps."""
    bad = {0, 7, HISTORY_RUNS + 5}
    for age in range(HISTORY_RUNS + 9):
        run_id = f"202601{30 - age:02}-0000-aaaa"
        records = [*released(TWO), *(blocked(ONE) if age in bad else ())]
        await leave(state_dir, plan_of(run_id), records)
    rows = Rows([ONE, TWO], 3)
    look_back(state_dir, [ONE, TWO], rows=rows)
    (entry,) = rows.due(NOW).values()
    assert (entry.app_id, len(entry.runs)) == (ONE, 3)


@pytest.mark.anyio
async def test_a_cause_stays_known_while_an_app_is_set_aside(state_dir: StateDir) -> None:
    refused = ErrorNote(code="platform.bad_parameter", message="refused")
    failed = AppFinished(app_id=ONE, outcome=Outcome.FAILED, error=refused)
    await leave(state_dir, plan_of("20260101-0000-aaaa"), [failed])
    aside = leave_alone(SetAside(app_id=ONE, since=NOW, by="ops")).record
    await leave(state_dir, plan_of("20260102-0000-aaaa"), [aside])
    assert look_back(state_dir, [ONE]).causes == {ONE: "platform.bad_parameter"}
