"""The simulated platform itself: what becomes visible when, and what is refused."""

import pytest

from fleetdeploy.model import PackageStatus
from fleetdeploy.simulator.behaviour import ForeignPackage, Unsettled
from fleetdeploy.simulator.ledger import EffectKind
from fleetdeploy.simulator.rows import Refusal, Row, UploadWish
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.world import World, tokens_for
from tests.unit.sim_builders import APP, CALM, make_world

WISH = UploadWish("754", "1.0", "autumn")
BUILT = 5.0
"""3 s until the row appears, 2 s until it is built."""


def upload_and_build(world: World, now: float = 0.0, wish: UploadWish = WISH) -> int:
    assert world.upload(APP, wish, now) is None
    built = [row for row in world.packages(APP, now + BUILT) if row.version == wish.version]
    assert built[0].package_id is not None
    return built[0].package_id


def approve(world: World, now: float = 0.0, wish: UploadWish = WISH) -> int:
    """Bring a package to status 6, which it has 108 s after `now`."""
    package_id = upload_and_build(world, now, wish)
    assert world.submit_audit(APP, package_id, "", now + BUILT) is None
    assert row_of(world, package_id, now + 108).status == 6
    return package_id


def go_online(world: World, now: float = 0.0, wish: UploadWish = WISH) -> int:
    """Bring a package online, which it is 111 s after `now`."""
    package_id = approve(world, now, wish)
    assert world.release(APP, package_id, now + 108) is None
    assert row_of(world, package_id, now + 111).status == 1
    return package_id


def row_of(world: World, package_id: int, now: float) -> Row:
    return next(row for row in world.packages(APP, now) if row.package_id == package_id)


def statuses(world: World, now: float) -> list[int | None]:
    return sorted((row.status for row in world.packages(APP, now)), key=lambda status: status or 0)


def errno(refusal: Refusal | None) -> int | None:
    return refusal.errno if refusal else None


def test_an_accepted_upload_is_invisible_until_it_takes_effect() -> None:
    world = make_world()
    world.upload(APP, WISH, 0.0)
    assert world.packages(APP, 2.9) == []


def test_an_upload_shows_first_without_id_and_status() -> None:
    world = make_world()
    world.upload(APP, WISH, 0.0)
    (row,) = world.packages(APP, 3.0)
    assert (row.package_id, row.status, row.upload_status) == (None, None, 1)


def test_a_built_package_is_in_development_with_an_id() -> None:
    world = make_world()
    package_id = upload_and_build(world)
    (row,) = world.packages(APP, BUILT)
    assert (row.package_id, row.status, row.upload_status) == (package_id, 3, None)


def test_what_time_did_is_the_same_however_often_one_looks() -> None:
    seen, unseen = make_world(audit_s=(50.0, 90.0)), make_world(audit_s=(50.0, 90.0))
    for world in (seen, unseen):
        world.submit_audit(APP, upload_and_build(world), "", BUILT)
    for second in range(6, 200):
        seen.packages(APP, float(second))
    assert statuses(seen, 200.0) == statuses(unseen, 200.0) == [6]


def test_the_first_uploads_fail_to_build_and_the_next_one_works() -> None:
    world = make_world(upload_failures=1)
    world.upload(APP, WISH, 0.0)
    (failed,) = world.packages(APP, BUILT)
    assert (failed.upload_status, failed.upload_error, failed.package_id) == (3, 69009, None)
    assert upload_and_build(world, 10.0, UploadWish("754", "1.1", "autumn")) > 0


def test_a_broken_template_fails_to_build_for_everybody() -> None:
    world = World.from_scenario(Scenario(behaviour=CALM, broken_templates=("754",)), [APP])
    world.upload(APP, WISH, 0.0)
    assert [row.upload_error for row in world.packages(APP, BUILT)] == [69010]


def test_a_submission_takes_effect_later_and_ends_with_a_verdict() -> None:
    world = make_world()
    package_id = upload_and_build(world)
    assert world.submit_audit(APP, package_id, "by us", BUILT) is None
    assert statuses(world, 7.9) == [3]
    assert statuses(world, 8.0) == [4]
    assert statuses(world, 107.9) == [4]
    assert statuses(world, 108.0) == [6]


def test_a_rejection_says_why() -> None:
    world = make_world(reject_chance=1.0, reject_reasons=["类目不符"])
    world.submit_audit(APP, upload_and_build(world), "", BUILT)
    (row,) = world.packages(APP, 108.0)
    assert (row.status, row.audit_message) == (5, "类目不符")


def test_direct_commit_goes_into_audit_by_itself_and_uses_the_quota() -> None:
    world = make_world(quota_times=3)
    upload_and_build(world, wish=UploadWish("754", "1.0", "autumn", direct_commit=True))
    assert statuses(world, BUILT) == [4]
    assert world.quota(APP, BUILT).remaining == 2


def test_direct_commit_without_papers_stays_in_development() -> None:
    world = make_world(name_approved=False)
    upload_and_build(world, wish=UploadWish("754", "1.0", "autumn", direct_commit=True))
    assert statuses(world, BUILT) == [3]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name_approved": False}, 69001),
        ({"category": "not_approved"}, 69002),
        ({"name_approved": False, "category": "not_approved"}, 69003),
        ({"category": "in_review"}, 45003),
        ({"quota_times": 2, "quota_used": 2}, 69013),
        ({"foreign": [{"status": 4}]}, -1024),
    ],
)
def test_a_submission_is_refused_for_what_the_owner_lacks(
    changes: dict[str, object], expected: int
) -> None:
    world = make_world(changes)
    package_id = upload_and_build(world)
    assert errno(world.submit_audit(APP, package_id, "", BUILT)) == expected
    assert list(world.violations) == []
    assert row_of(world, package_id, 20.0).status == 3


def test_another_audit_of_the_app_can_be_let_through() -> None:
    world = make_world(foreign=[{}], unsettled=Unsettled(in_audit_errno=None))
    assert world.submit_audit(APP, upload_and_build(world), "", BUILT) is None


def test_a_new_period_brings_new_quota() -> None:
    world = make_world(quota_times=2, quota_used=2, quota_period_s=1000)
    assert world.quota(APP, 999.0).remaining == 0
    assert world.quota(APP, 1000.0).remaining == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"entity_approved": False}, 50033), ({"authenticity_passed": False}, 50038)],
)
def test_a_release_is_refused_for_what_the_owner_lacks(
    changes: dict[str, object], expected: int
) -> None:
    world = make_world(changes)
    assert errno(world.release(APP, approve(world), 108.0)) == expected


def test_a_release_replaces_the_online_version_and_names_it() -> None:
    world = make_world(online="0.9")
    package_id = approve(world)
    assert world.release(APP, package_id, 108.0) is None
    assert statuses(world, 110.9) == [1, 6]
    (row,) = world.packages(APP, 111.0)
    assert (row.package_id, row.status, row.rollback_version) == (package_id, 1, "0.9")


def test_a_rollback_shows_status_8_and_then_the_former_version() -> None:
    world = make_world(online="0.9")
    package_id = go_online(world)
    assert world.rollback(APP, package_id, 200.0) is None
    assert statuses(world, 202.0) == [1]
    assert statuses(world, 203.0) == [8]
    (row,) = world.packages(APP, 212.0)
    assert (row.version, row.status, row.rollback_version) == ("0.9", 1, "")


def test_nothing_is_behind_the_first_version() -> None:
    world = make_world(unsettled=Unsettled(nothing_to_roll_back_errno=40032))
    package_id = go_online(world)
    assert errno(world.rollback(APP, package_id, 200.0)) == 40032
    assert [violation.endpoint for violation in world.violations] == ["rollback"]


def test_a_withdrawn_package_is_in_development_again() -> None:
    world = make_world()
    package_id = upload_and_build(world)
    world.submit_audit(APP, package_id, "", BUILT)
    assert world.withdraw(APP, package_id, 20.0) is None
    assert statuses(world, 22.9) == [4]
    assert statuses(world, 23.0) == [3]
    assert statuses(world, 500.0) == [3]


def test_a_withdrawn_package_can_be_gone_instead() -> None:
    world = make_world(unsettled=Unsettled(withdrawn_to="gone"))
    package_id = upload_and_build(world)
    world.submit_audit(APP, package_id, "", BUILT)
    world.withdraw(APP, package_id, 20.0)
    assert world.packages(APP, 23.0) == []


def test_a_withdrawal_can_give_the_quota_back() -> None:
    world = make_world(quota_times=1, unsettled=Unsettled(withdraw_returns_quota=True))
    package_id = upload_and_build(world)
    world.submit_audit(APP, package_id, "", BUILT)
    world.withdraw(APP, package_id, 20.0)
    assert world.quota(APP, 23.0).remaining == 1


@pytest.mark.parametrize("call", ["submit", "withdraw", "release", "rollback"])
def test_an_unlawful_call_is_refused_booked_and_without_effect(call: str) -> None:
    world = make_world(foreign=[{"status": 5}])
    (row,) = world.packages(APP, 0.0)
    assert row.package_id is not None
    for package_id, expected in ((row.package_id, -1024), (7, 69005)):
        refusal = {
            "submit": lambda wanted: world.submit_audit(APP, wanted, "", 1.0),
            "withdraw": lambda wanted: world.withdraw(APP, wanted, 1.0),
            "release": lambda wanted: world.release(APP, wanted, 1.0),
            "rollback": lambda wanted: world.rollback(APP, wanted, 1.0),
        }[call](package_id)
        assert errno(refusal) == expected
    assert [violation.errno for violation in world.violations] == [-1024, 69005]
    assert world.effects == []
    assert statuses(world, 100.0) == [5]


def test_a_second_upload_of_the_same_is_accepted_and_found_out() -> None:
    world = make_world()
    world.upload(APP, WISH, 0.0)
    world.upload(APP, WISH, 1.0)
    assert [(effect.kind, effect.at) for effect in world.duplicates()] == [("upload", 1.0)]
    assert statuses(world, 10.0) == [3, 3]


def test_a_second_upload_of_a_version_can_be_refused() -> None:
    world = make_world(unsettled=Unsettled(duplicate_version_errno=50031))
    world.upload(APP, WISH, 0.0)
    assert errno(world.upload(APP, WISH, 1.0)) == 50031
    assert world.duplicates() == []


@pytest.mark.parametrize("changes", [{"upload_failures": 1}, {"reject_chance": 1.0}])
def test_an_upload_after_the_first_one_ended_is_no_duplicate(changes: dict[str, object]) -> None:
    world = make_world(changes)
    world.upload(APP, WISH, 0.0)
    for row in world.packages(APP, BUILT):
        if row.package_id is not None:
            world.submit_audit(APP, row.package_id, "", BUILT)
    world.upload(APP, WISH, 200.0)
    assert world.duplicates() == []


def test_a_call_sent_twice_at_once_is_accepted_twice_and_found_out() -> None:
    world = make_world(online="0.9")
    package_id = upload_and_build(world)
    for now in (5.0, 6.0):
        assert world.submit_audit(APP, package_id, "", now) is None
    for now in (150.0, 151.0):
        assert world.release(APP, package_id, now) is None
    for now in (200.0, 201.0):
        assert world.rollback(APP, package_id, now) is None
    assert [effect.kind for effect in world.duplicates()] == [
        EffectKind.SUBMIT_AUDIT,
        EffectKind.RELEASE,
        EffectKind.ROLLBACK,
    ]
    assert statuses(world, 300.0) == [1]


def test_checks_that_do_not_lag_refuse_the_second_call() -> None:
    world = make_world(unsettled=Unsettled(checks_lag=False))
    package_id = upload_and_build(world)
    world.submit_audit(APP, package_id, "", 5.0)
    assert errno(world.submit_audit(APP, package_id, "", 6.0)) == -1024
    assert world.duplicates() == []


def test_submitting_again_after_a_withdrawal_is_no_duplicate() -> None:
    world = make_world()
    package_id = upload_and_build(world)
    for now in (5.0, 30.0):
        world.submit_audit(APP, package_id, "", now)
        world.withdraw(APP, package_id, now + 10)
    assert world.duplicates() == []
    assert statuses(world, 500.0) == [3]


def test_one_development_row_is_replaced_by_the_next() -> None:
    world = make_world(unsettled=Unsettled(development_rows="one"))
    upload_and_build(world)
    world.upload(APP, UploadWish("754", "1.1", "autumn"), 10.0)
    assert [row.version for row in world.packages(APP, 13.0)] == ["1.1"]


def test_reviewed_rows_leave_on_a_newer_audit_if_the_switch_says_so() -> None:
    world = make_world(foreign=[{"status": 5}], unsettled=Unsettled(reviewed_rows_stay=False))
    world.submit_audit(APP, upload_and_build(world), "", BUILT)
    assert statuses(world, 8.0) == [4]


def test_rows_come_in_any_order_unless_asked_otherwise() -> None:
    shuffled, sorted_ = make_world(), make_world(unsettled=Unsettled(row_order="newest_first"))
    for world in (shuffled, sorted_):
        for number in range(5):
            world.add_foreign(APP, ForeignPackage(version=str(number), status=3), 0.0)
    orders = {tuple(row.version for row in shuffled.packages(APP, 1.0)) for _ in range(20)}
    assert len(orders) > 1
    assert [row.version for row in sorted_.packages(APP, 1.0)] == ["4", "3", "2", "1", "0"]


def test_detail_means_the_online_package_unless_told() -> None:
    world = make_world(online="0.9")
    package_id = upload_and_build(world)
    online = world.detail(APP, None, None, 10.0)
    ours = world.detail(APP, package_id, 3, 10.0)
    assert isinstance(online, Row)
    assert isinstance(ours, Row)
    assert (online.version, ours.version) == ("0.9", "1.0")
    assert world.detail(APP, package_id, 4, 10.0) == Refusal(69005, "包不存在")


def test_somebody_in_the_console_moves_and_deletes_packages() -> None:
    world = make_world()
    package_id = upload_and_build(world)
    assert world.move_foreign(APP, package_id, PackageStatus.AUDIT_PASSED, 6.0)
    assert statuses(world, 6.0) == [6]
    assert world.remove(APP, package_id, 7.0)
    assert world.packages(APP, 7.0) == []
    assert not world.remove(APP, package_id, 8.0)


def test_a_package_from_the_console_may_still_be_uploading() -> None:
    world = make_world()
    world.add_foreign(APP, ForeignPackage(status=None), 10.0)
    assert [row.upload_status for row in world.packages(APP, 10.0)] == [1]
    assert statuses(world, 12.0) == [3]


def test_a_rollback_from_the_console_with_nothing_before_changes_nothing() -> None:
    world = make_world(online="0.9", unsettled=Unsettled(rollback_depth=0))
    world.move_foreign(APP, 1_000_000, PackageStatus.ROLLING_BACK, 0.0)
    assert statuses(world, 8.0) == [8]
    assert statuses(world, 9.0) == [1]


def test_what_was_missing_can_be_mended_during_the_run() -> None:
    world = make_world(category="not_approved")
    package_id = upload_and_build(world)
    world.change(APP, category="approved")
    assert world.submit_audit(APP, package_id, "", 6.0) is None


def test_outcomes_do_not_depend_on_the_order_of_calls() -> None:
    behaviour = CALM.changed({"audit_s": [10, 1000], "reject_chance": 0.5})
    apps = [str(number) for number in range(20)]

    def verdicts(order: list[str]) -> dict[str, list[tuple[int | None, str]]]:
        world = World.from_scenario(Scenario(seed=7, behaviour=behaviour), apps)
        for app_id in order:
            world.upload(app_id, WISH, 0.0)
        for app_id in order:
            (row,) = world.packages(app_id, BUILT)
            assert row.package_id is not None
            world.submit_audit(app_id, row.package_id, "", BUILT)
        seen = {app_id: world.packages(app_id, 500.0) for app_id in apps}
        return {
            app: [(row.status, row.audit_message) for row in rows] for app, rows in seen.items()
        }

    forwards = verdicts(apps)
    assert forwards == verdicts(apps[::-1])
    assert {rows[0][0] for rows in forwards.values()} == {4, 5, 6}


def test_tokens_have_the_documented_form_and_tell_nothing_of_the_app() -> None:
    tokens = tokens_for(["100000282", "100000283"], Scenario(token_lifetime_s=3600))
    kind, digits, lifetime, expiry, _ = tokens["100000282"].split(".")
    assert (kind, len(digits), lifetime) == ("45", 32, "3600")
    assert int(expiry) == Scenario().epoch_unix + 3600
    assert len(set(tokens.values())) == 2
    assert "100000282" not in tokens["100000282"]


def test_a_token_expires_and_a_new_one_takes_its_place() -> None:
    world = World.from_scenario(Scenario(token_lifetime_s=3600), [APP])
    old = world.tokens[APP]
    assert world.refusal_of(old, 0.0) is None
    assert errno(world.refusal_of(old, 3600.0)) == 111
    new = world.issue_token(APP, 3600.0)
    assert world.tokens[APP] == new != old
    assert world.refusal_of(new, 7199.0) is None
    assert errno(world.refusal_of(new, 7200.0)) == 111


@pytest.mark.parametrize("voids", [True, False])
def test_a_new_token_voids_the_old_one_if_the_switch_says_so(*, voids: bool) -> None:
    world = make_world(unsettled=Unsettled(new_token_voids_old=voids))
    old = world.tokens[APP]
    world.issue_token(APP, 1.0)
    assert errno(world.refusal_of(old, 1.0)) == (110 if voids else None)


def test_apps_come_into_being_only_when_asked_for() -> None:
    world = World.from_scenario(Scenario(keep_calls=0), [str(number) for number in range(2000)])
    world.packages("1999", 0.0)
    assert list(world._apps) == ["1999"]
