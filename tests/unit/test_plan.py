"""What a plan says, and that it says what the run would do."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from fleetdeploy.core.app_state import AppState, advance
from fleetdeploy.core.comparison import Past
from fleetdeploy.core.decide import decide
from fleetdeploy.core.decisions import NOTES_MAX, Confirm, Do, Note, Policy, Poll, Rest, Sight
from fleetdeploy.core.drift import drifted
from fleetdeploy.core.foreign import LeftOnline
from fleetdeploy.core.plan import (
    Action,
    ObstacleNote,
    OnlineNote,
    Plan,
    PlannedApp,
    check_digest,
    seal,
)
from fleetdeploy.core.plan_ahead import plan_app, plan_unread
from fleetdeploy.core.records import ErrorNote
from fleetdeploy.core.rules import FreezeRule
from fleetdeploy.errors import PlanMismatch
from fleetdeploy.model import Bundle, Package, Step, Until
from tests.unit.core_builders import (
    APP,
    OTHERS,
    OURS,
    START,
    VERSION,
    failed_row,
    make_bundle,
    make_plan,
    make_planned,
    make_row,
    make_target,
    uploading_row,
)

OLD_EXT = '{"ext":{"theme":"summer"},"extAppid":"100000282","extEnable":true}'


def planned(
    *rows: Package,
    policy: Policy | None = None,
    until: Until = Until.RELEASED,
    past: Past | None = None,
    bundle: Bundle | None = None,
    in_doubt_before: bool = False,
) -> PlannedApp:
    """Plan an app that looks like `rows`; `past` is what history knows of the older rollout."""
    history = {(APP, OTHERS): past} if past else {}
    return plan_app(
        make_target(bundle=bundle),
        rows,
        policy or Policy(),
        until,
        history,
        in_doubt_before=in_doubt_before,
    )


def part(app: PlannedApp) -> tuple[Action, Step | None, str]:
    return app.action, app.start, app.reason


# --- why ---


def test_an_app_with_nothing_online_is_uploaded() -> None:
    app = planned()
    assert part(app) == (Action.UPLOAD, Step.UPLOAD, "nothing is online yet")
    assert (app.online, app.changed, app.unknown, app.package_id) == (None, None, (), None)


def test_an_app_with_older_content_online_is_uploaded_and_the_changed_keys_are_named() -> None:
    app = planned(
        make_row(1, fingerprint=OTHERS, version="9.9"),
        past=Past(template_id="754", ext_json=OLD_EXT),
    )
    assert part(app) == (
        Action.UPLOAD,
        Step.UPLOAD,
        "the content differs from what is online (version 9.9)",
    )
    assert (app.changed, app.unknown) == (("ext.theme",), ())
    assert app.online == OnlineNote(version="9.9", fingerprint=OTHERS)


def test_another_template_is_named_before_keys() -> None:
    app = planned(
        make_row(1, fingerprint=OTHERS),
        past=Past(template_id="700", ext_json=make_bundle().ext_json),
    )
    assert app.reason == "template 754 instead of 700 (online)"
    assert app.changed == ()


def test_content_that_our_history_does_not_know_is_said_to_be_unknown() -> None:
    app = planned(make_row(1, fingerprint=OTHERS))
    assert app.changed is None
    assert app.unknown == ("which keys differ from what is online: our history does not know it",)


def test_what_is_online_and_not_ours_is_said() -> None:
    app = planned(make_row(1, fingerprint=None, version="7"))
    assert app.reason == "what is online (version 7) is not ours"
    assert app.unknown != ()


def test_content_that_is_online_already_is_left_alone() -> None:
    app = planned(make_row(1, version="9.9"))
    assert part(app) == (Action.UNCHANGED, None, "its content is already online")
    assert app.online == OnlineNote(version="9.9", fingerprint=OURS)


def test_content_that_is_online_goes_up_again_where_the_manifest_says_so() -> None:
    app = planned(make_row(1), policy=Policy(skip_unchanged=False))
    assert part(app) == (
        Action.UPLOAD,
        Step.UPLOAD,
        "the same content is online, and skip_unchanged is off",
    )


def test_content_that_was_rejected_before_is_said_with_the_reviewers_words() -> None:
    app = planned(make_row(5, said="类目不符"))
    assert app.reason == (
        "nothing is online yet; the reviewer rejected this very content before (类目不符)"
    )


@pytest.mark.parametrize(
    ("row", "start", "where"),
    [
        (uploading_row(), Step.AWAIT_UPLOAD, "being built"),
        (make_row(3), Step.SUBMIT_AUDIT, "built"),
        (make_row(4), Step.AWAIT_AUDIT, "in audit"),
        (make_row(6), Step.RELEASE, "approved"),
    ],
)
def test_a_package_of_ours_is_adopted_where_it_is(row: Package, start: Step, where: str) -> None:
    app = planned(row)
    assert part(app) == (Action.ADOPT, start, f"ours is there already ({where})")
    assert app.package_id == row.package_id


def test_a_foreign_package_in_audit_blocks() -> None:
    app = planned(make_row(4, "9", fingerprint=None, version="8"))
    assert part(app) == (
        Action.BLOCKED,
        None,
        "somebody else's package 9 (version 8) is in audit",
    )
    assert app.error is not None
    assert app.error.code == "package.foreign_in_audit"


def test_a_foreign_package_in_audit_also_blocks_what_is_built_already() -> None:
    app = planned(make_row(3), make_row(4, "9", fingerprint=None, version="8"))
    assert part(app) == (
        Action.BLOCKED,
        None,
        "somebody else's package 9 (version 8) is in audit",
    )


def test_a_foreign_package_in_audit_is_waited_for_where_the_manifest_says_so() -> None:
    rows = (make_row(4, "9", fingerprint=OTHERS, version="8"),)
    app = planned(*rows, policy=Policy(foreign_package="wait"))
    assert part(app) == (
        Action.WAIT,
        Step.UPLOAD,
        "an earlier rollout's package 9 (version 8) is in audit",
    )


def test_who_waits_with_a_built_package_is_told_for_what() -> None:
    rows = (make_row(3), make_row(4, "9", fingerprint=None, version="8"))
    app = planned(*rows, policy=Policy(foreign_package="wait"))
    assert (app.action, app.start) == (Action.WAIT, Step.SUBMIT_AUDIT)
    assert "package 9 (version 8) is in audit" in app.reason


@pytest.mark.parametrize("in_doubt_before", [False, True])
def test_what_would_be_withdrawn_first_is_told(in_doubt_before: bool) -> None:
    theirs = make_row(4, "9", fingerprint=None, version="8")
    policy = Policy(foreign_package="withdraw")
    app = planned(theirs, policy=policy, in_doubt_before=in_doubt_before)
    first = "withdraws somebody else's package 9 (version 8) from audit first"
    assert part(app) == (Action.UPLOAD, Step.WITHDRAW, f"{first}; nothing is online yet")
    assert app.obstacle == ObstacleNote(package_id="9", version="8")
    built = planned(make_row(3), theirs, policy=policy)
    assert part(built) == (
        Action.ADOPT,
        Step.WITHDRAW,
        f"{first}; ours is there already (built)",
    )
    assert (built.package_id, built.obstacle) == ("58210", app.obstacle)


def test_a_saved_plan_withdraws_no_other_package_than_was_reviewed() -> None:
    policy = Policy(foreign_package="withdraw")
    was, now = (planned(make_row(4, i, fingerprint=None), policy=policy) for i in ("9", "10"))
    assert drifted([was], [was]) == []
    (line,) = drifted([was], [now])
    assert line.endswith(
        "planned upload (nothing online, first withdraws 9), "
        "now upload (nothing online, first withdraws 10)"
    )


def test_a_release_made_by_hand_blocks_and_the_plan_keeps_what_history_knows() -> None:
    by_hand = make_row(1, "9", fingerprint=None, version="8")
    left = LeftOnline(ours="9.9")
    target = replace(make_target(), left_online=left)
    app = plan_app(target, (by_hand,), Policy(), Until.RELEASED, {})
    assert (app.action, app.left_online) == (Action.BLOCKED, left)
    assert app.error is not None
    assert (app.error.code, app.target().left_online) == ("package.foreign_online", left)
    unread = plan_unread(target, ErrorNote(code="platform.busy", message="busy"))
    assert unread.target().left_online == left


def test_a_package_of_ours_that_is_online_is_what_we_left_whatever_history_knows() -> None:
    app = planned(make_row(1, "9", fingerprint=OTHERS, version="8"))
    assert app.left_online == LeftOnline(ours="8")


def test_an_app_that_could_not_be_read_says_why() -> None:
    error = ErrorNote(code="platform.busy", message="busy")
    app = plan_unread(make_target(), error, in_doubt_before=True)
    assert part(app) == (
        Action.UNKNOWN,
        Step.UPLOAD,
        "its packages could not be read: busy",
    )
    assert (app.error, app.unknown, app.in_doubt_before) == (
        error,
        ("what is on the platform",),
        True,
    )


def test_an_app_that_a_run_left_in_doubt_is_planned_as_an_upload() -> None:
    app = planned(in_doubt_before=True)
    assert (app.action, app.start, app.in_doubt_before) == (Action.UPLOAD, Step.UPLOAD, True)


def test_an_adopted_package_of_a_run_in_doubt_is_planned_as_adopted() -> None:
    app = planned(make_row(3), in_doubt_before=True)
    assert (app.action, app.start) == (Action.ADOPT, Step.SUBMIT_AUDIT)


@pytest.mark.parametrize(
    ("row", "until"),
    [
        (make_row(3), Until.UPLOADED),
        (make_row(6), Until.UPLOADED),
        (make_row(6), Until.APPROVED),
    ],
)
def test_an_app_that_is_there_already_starts_with_nothing(row: Package, until: Until) -> None:
    assert planned(row, until=until).start is None


def test_what_the_manifest_says_is_in_the_plan_and_comes_out_again() -> None:
    target = make_target(bundle=make_bundle(direct_commit=True))
    app = plan_app(target, (), Policy(), Until.RELEASED, {})
    assert app.target() == target


# --- the plan is what happens ---

row_lists = st.lists(
    st.one_of(
        st.builds(
            make_row,
            st.sampled_from([1, 3, 4, 5, 6, 7, 8]),
            st.integers(1, 9).map(str),
            fingerprint=st.sampled_from([OURS, OURS, OTHERS, None]),
            version=st.sampled_from([VERSION, "9.9"]),
        ),
        st.just(uploading_row()),
        st.just(failed_row()),
    ),
    max_size=4,
    unique_by=lambda row: row.package_id or object(),
).map(tuple)


def first_step(rows: tuple[Package, ...], policy: Policy, until: Until) -> tuple[AppState, object]:
    """Do what the engine does with one look, up to the first call or pause."""
    app, target = AppState(APP), make_target()
    for _ in range(NOTES_MAX):
        if app.terminal:
            return app, None
        decision = decide(app, target, Sight(rows), policy, until)
        if not isinstance(decision, Note):
            return app, decision
        app = advance(app, decision.record)
    raise AssertionError("one look, and no end of decisions")


@settings(deadline=None)
@pytest.mark.slow
@given(
    row_lists,
    st.builds(
        Policy,
        skip_unchanged=st.booleans(),
        foreign_package=st.sampled_from(["block", "wait", "withdraw"]),
    ),
    st.sampled_from(Until),
)
def test_the_prediction_is_what_the_engine_would_do(
    rows: tuple[Package, ...], policy: Policy, until: Until
) -> None:
    app = planned(*rows, policy=policy, until=until)
    after, decision = first_step(rows, policy, until)
    assert app.package_id == after.package_id
    assert app.error == after.error
    assert app.reason
    if after.terminal:
        assert app.action.value == after.phase.value
        assert app.start is None
    elif isinstance(decision, Do):
        assert app.start is decision.record.step
        obstacle = decision.record.package_id if decision.record.obstacle else None
        assert (app.obstacle and app.obstacle.package_id) == obstacle
        uploads = decision.record.step is Step.UPLOAD or (obstacle and after.package_id is None)
        assert (app.action is Action.UPLOAD) == bool(uploads)
    else:
        assert isinstance(decision, Poll | Rest | Confirm)
        assert app.action in {Action.WAIT, Action.ADOPT}


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        (
            {"action": Action.ADOPT, "start": Step.AWAIT_AUDIT},
            {"action": Action.ADOPT, "start": Step.RELEASE},
            (
                "planned adopt (nothing online) beginning with await_audit, "
                "now adopt (nothing online) beginning with release"
            ),
        ),
        (
            {"online": OnlineNote(version="9.9", fingerprint=OURS), "start": Step.UPLOAD},
            {"online": OnlineNote(version="9.9"), "start": Step.UPLOAD},
            (
                "planned upload (9.9 online) beginning with upload, "
                f"what is online is ours, {OURS}, "
                "now upload (9.9 online) beginning with upload, what is online is not ours"
            ),
        ),
    ],
)
def test_what_has_moved_is_seen_in_its_message(
    was: dict[str, object], now: dict[str, object], told: str
) -> None:
    plain = make_planned(APP).model_copy(update={"action": Action.UPLOAD, "package_id": None})
    (line,) = drifted([plain.model_copy(update=was)], [plain.model_copy(update=now)])
    assert line == f"{APP}: {told}"


@settings(deadline=None)
@pytest.mark.slow
@given(row_lists)
def test_a_plan_of_what_was_planned_and_not_moved_has_not_drifted(
    rows: tuple[Package, ...],
) -> None:
    if sum(row.status == 1 for row in rows) > 1:
        return
    assert drifted([planned(*rows)], [planned(*rows[::-1])]) == []


# --- the whole plan ---


def test_a_plan_counts_its_actions_and_knows_whether_anything_changes() -> None:
    unchanged = make_planned("1", (make_row(1),))
    upload = make_planned("2")
    assert make_plan(unchanged, upload).counts == {Action.UNCHANGED: 1, Action.UPLOAD: 1}
    assert make_plan(unchanged, upload).has_changes
    assert not make_plan(unchanged).has_changes


def test_a_plan_knows_who_is_in_doubt() -> None:
    plan = make_plan(make_planned("1"), planned(in_doubt_before=True))
    assert plan.doubted() == (APP,)
    assert [target.app_id for target in plan.targets()] == ["1", APP]


def test_a_plan_that_was_saved_and_read_is_the_same_and_whole() -> None:
    plan = make_plan(
        planned(make_row(1, fingerprint=OTHERS), past=Past(template_id="754", ext_json=OLD_EXT)),
        plan_unread(
            make_target("2", name="火锅"), ErrorNote(code="c", message="m", msg="网络繁忙")
        ),
    )
    read = Plan.model_validate_json(plan.model_dump_json())
    assert read == plan
    check_digest(read, "plan.json")


def leaves(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key))]
    if isinstance(value, list):
        return [leaf for key, inner in enumerate(value) for leaf in leaves(inner, (*path, key))]
    return [path]


TAMPERED: dict[type, Callable[..., object]] = {
    str: lambda value: value + "0",
    bool: lambda value: not value,
    int: lambda value: value + 1,
    float: lambda value: value + 1.0,
}
FIXED = {("schema_version",), ("created_at",), ("run_kind",), ("until",), ("apps", 0, "action"),
         ("apps", 0, "start")}  # fmt: skip
"""Not any value is valid here; these are changed to another valid one below."""


def test_any_change_of_a_sealed_plan_shows() -> None:
    plan = make_plan(planned(make_row(1, fingerprint=OTHERS)))
    document = json.loads(plan.model_dump_json())
    changed = 0
    for path in leaves(document):
        tampered = json.loads(plan.model_dump_json())
        place = tampered
        for key in path[:-1]:
            place = place[key]
        value = place[path[-1]]
        if path in FIXED or value is None:
            continue
        place[path[-1]] = TAMPERED[type(value)](value)
        with pytest.raises(PlanMismatch):
            check_digest(Plan.model_validate(tampered), "plan.json")
        changed += 1
    assert changed > 25


@pytest.mark.parametrize(
    "changes",
    [
        {"until": Until.APPROVED},
        {"apps": ()},
        {"waves": ("all", "more")},
        {"apps": (make_planned().model_copy(update={"action": Action.UNCHANGED}),)},
        {"apps": (make_planned().model_copy(update={"start": None}),)},
        {"digest": ""},
    ],
    ids=",".join,
)
def test_a_changed_plan_is_refused_with_its_place(changes: dict[str, object]) -> None:
    plan = make_plan().model_copy(update=changes)
    with pytest.raises(PlanMismatch, match=r"^plan\.json: the plan was changed"):
        check_digest(plan, "plan.json")


def test_a_plan_that_was_saved_before_there_were_causes_and_windows_is_still_whole() -> None:
    document = json.loads(make_plan().model_dump_json())
    for name in ("max_blocked", "blocked_allowed", "halt_on_cause", "quarantine_after"):
        assert document["rules"].pop(name) is None
    for name in ("order", "budget"):
        assert document["rules"].pop(name) is None
    for name in ("foreign_package", "overwrite_foreign", "protect_rollback"):
        assert document["rules"].pop(name) is None
    for name in ("submit_windows", "release_windows", "freezes", "waves"):
        assert document["rules"].pop(name) == []
    for app in document["apps"]:
        for name in ("known_cause", "undo", "set_aside", "obstacle", "left_online"):
            assert app.pop(name) is None
        for name in ("foreign_package", "overwrite_foreign"):
            assert app.pop(name) is None
        assert app.pop("priority") == 0
        assert app.pop("soaking") == []
    later = ("digest", "notes", "of_run", "resubmit", "so_far", "chosen")
    covered = {key: value for key, value in document.items() if key not in later}
    text = json.dumps(covered, ensure_ascii=False, separators=(",", ":"))
    assert document["digest"] == hashlib.sha256(text.encode()).hexdigest()
    check_digest(Plan.model_validate(document), "plan.json")


@pytest.mark.parametrize("known", [{}, {"known_cause": "audit.rejected blurred"}])
def test_causes_are_covered_by_the_digest(known: dict[str, str]) -> None:
    rules = make_plan().rules.model_copy(update={"halt_on_cause": 3})
    apps = (make_planned().model_copy(update=known),)
    plan = seal(make_plan().model_copy(update={"rules": rules, "apps": apps}))
    check_digest(plan, "plan.json")
    for changed in (
        {"rules": rules.model_copy(update={"halt_on_cause": 4})},
        {"rules": rules.model_copy(update={"halt_on_cause": None})},
        {"rules": rules.model_copy(update={"blocked_allowed": 0})},
        {"apps": (make_planned().model_copy(update={"known_cause": "other"}),)},
    ):
        with pytest.raises(PlanMismatch):
            check_digest(plan.model_copy(update=changed), "plan.json")


def test_priorities_cannot_be_added_changed_or_taken_away_unseen() -> None:
    first, second = make_planned("1"), make_planned("2")
    ranked = first.model_copy(update={"priority": 5})
    plan = seal(make_plan(ranked, second))
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    check_digest(plan, "plan.json")
    assert [target.priority for target in plan.targets()] == [5, 0]
    for apps in ((first, second), (first.model_copy(update={"priority": 4}), second)):
        with pytest.raises(PlanMismatch):
            check_digest(plan.model_copy(update={"apps": apps}), "plan.json")
    with pytest.raises(PlanMismatch):
        check_digest(make_plan(first).model_copy(update={"apps": (ranked,)}), "plan.json")


def timed(**rules: object) -> Plan:
    plan = make_plan()
    return seal(plan.model_copy(update={"rules": plan.rules.model_copy(update=rules)}))


@pytest.mark.parametrize(
    "rules",
    [
        {"submit_windows": ("Mon 09:00-18:00 UTC",)},
        {"release_windows": ("Mon 09:00-18:00 UTC",)},
        {"freezes": (FreezeRule(first=START.date(), last=START.date(), zone="UTC"),)},
    ],
)
def test_windows_and_freezes_cannot_be_added_or_taken_away_unseen(
    rules: dict[str, object],
) -> None:
    plan = timed(**rules)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    check_digest(plan, "plan.json")
    for digest, other in ((make_plan().digest, plan), (plan.digest, make_plan())):
        with pytest.raises(PlanMismatch):
            check_digest(other.model_copy(update={"digest": digest}), "plan.json")


def test_sealing_again_changes_nothing() -> None:
    assert seal(make_plan()) == make_plan()


# --- drift ---


def test_what_moved_since_the_plan_was_saved_is_told() -> None:
    was = [planned(make_row(3)), make_planned("2")]
    now = [planned(make_row(1, version="9.9")), make_planned("2")]
    assert drifted(was, now) == [
        f"{APP}: planned adopt (nothing online, package 58210), now unchanged (9.9 online)"
    ]


@pytest.mark.parametrize(
    "now",
    [
        (make_row(4),),
        (make_row(3, "7"),),
        (make_row(3), make_row(1, "1", fingerprint=None)),
        (),
    ],
)
def test_a_move_on_the_platform_is_drift(now: tuple[Package, ...]) -> None:
    assert len(drifted([planned(make_row(3))], [planned(*now)])) == 1


def test_other_words_are_no_drift() -> None:
    was = planned(make_row(5, said="a"))
    assert drifted([was], [planned(make_row(5, said="b"))]) == []
    assert drifted([was], [was.model_copy(update={"name": "new"})]) == []


def test_a_version_replaced_online_is_drift() -> None:
    was = planned(make_row(1, fingerprint=OTHERS, version="1"))
    now = planned(replace(make_row(1, fingerprint=OTHERS), version="2"))
    assert drifted([was], [now]) == [
        f"{APP}: planned upload (1 online), now upload (2 online)",
    ]


def test_doubt_that_has_come_since_is_drift() -> None:
    """What was sent a moment ago does not show yet."""
    was = make_planned("1")
    now = was.model_copy(update={"in_doubt_before": True})
    (line,) = drifted([was], [now])
    assert line.endswith("; a run was at work on it since")
    assert drifted([now], [was]) == drifted([now], [now]) == []


def test_an_app_that_is_gone_is_drift_and_no_traceback() -> None:
    assert len(drifted([planned()], [])) == 1
