"""What the simulated platform pushes: which messages, when, with which accidents, and the list."""

import json

import pytest

from fleetdeploy.model import PackageStatus
from fleetdeploy.simulator.api import Api
from fleetdeploy.simulator.behaviour import Unsettled
from fleetdeploy.simulator.happenings import PushStatus
from fleetdeploy.simulator.pushes import MONTH_S, Posting
from fleetdeploy.simulator.report import report
from fleetdeploy.simulator.rows import UploadWish
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.world import World
from tests.unit.sim_builders import (
    APP,
    CALM,
    RULES,
    exchange,
    is_signed,
    make_world,
    opened,
    read_push,
    tp_get,
    tp_token,
)

PACKAGE_ID = 1_000_000
WISH = UploadWish("754", "1.0", "autumn")
EPOCH = Scenario().epoch_unix


def due(world: World, now: float) -> list[Posting]:
    return list(world.pushes_due(now))


def take_all(world: World, now: float) -> list[dict[str, object]]:
    """Take every push like a receiver that is well; return what they say, without tickets."""
    said = []
    for posting in due(world, now):
        world.pushes.answered(posting, now, taken=True)
        said.append(read_push(world.pushes.body(posting)))
    return [message for message in said if "Ticket" not in message]


def submit(world: World, now: float = 10.0) -> None:
    """Have a package in audit: its verdict falls 103 s later."""
    assert world.upload(APP, WISH, now - 10.0) is None
    assert world.submit_audit(APP, PACKAGE_ID, "", now) is None


def listed(world: World, now: float, **params: str) -> dict[str, object]:
    reply = Api(world).handle(tp_get(tp_token(world, now), "pushmsg/getmsg", **params), now)
    body = json.loads(reply.body)
    assert isinstance(body, dict)
    return body


def rows(world: World, now: float, **params: str) -> list[tuple[object, object]]:
    """Return event and status of each row."""
    data = listed(world, now, **params)["data"]
    assert isinstance(data, dict)
    messages = [(opened(row["content"]), row["status"]) for row in data["list"]]
    return [(message.get("event", "ticket"), status) for message, status in messages]


def test_a_ticket_is_pushed_at_once_and_every_ten_minutes() -> None:
    world = make_world()
    (first,) = due(world, 0.0)
    body = world.pushes.body(first)
    assert is_signed(body)
    assert read_push(body) == {
        "Ticket": world.desk.ticket(0.0),
        "FromUserName": "SmartAPP",
        "CreateTime": EPOCH,
        "MsgType": "ticket",
        "Event": "push",
    }
    assert world.next_push_at(1.0) == 600.0
    assert due(world, 599.0) == []
    (second,) = due(world, 600.0)
    assert read_push(world.pushes.body(second))["Ticket"] == world.desk.ticket(600.0)


def test_tickets_that_nobody_came_for_are_not_made_up() -> None:
    world = make_world()
    tickets = [read_push(world.pushes.body(posting)) for posting in due(world, 86_400.0)]
    assert [ticket["Ticket"] for ticket in tickets] == [world.desk.ticket(86_400.0)]


def test_a_verdict_is_pushed_when_it_falls_though_nobody_asks() -> None:
    world = make_world()
    submit(world)
    take_all(world, 0.0)
    assert world.next_push_at(10.0) == 13.0
    assert take_all(world, 112.9) == []
    assert world.next_push_at(112.9) == 113.0
    assert take_all(world, 113.0) == [
        {
            "appId": int(APP),
            "tpAppId": RULES.tp_app_id,
            "eventTime": "2026-01-01 08:01:53",
            "event": "PACKAGE_AUDIT_PASS",
            "packageId": PACKAGE_ID,
            "packageVersion": "1.0",
        }
    ]
    assert take_all(world, 1000.0) == []


def test_a_verdict_that_a_look_found_first_keeps_its_time() -> None:
    world = make_world(reject_chance=1.0, reject_reasons=("no",))
    submit(world)
    assert world.packages(APP, 500.0)[0].status == PackageStatus.AUDIT_FAILED
    (push,) = world.pushes.kept
    assert (push.at, push.event) == (113.0, "PACKAGE_AUDIT_FAIL")
    (message,) = take_all(world, 500.0)
    assert (message["reason"], message["eventTime"]) == ("no", "2026-01-01 08:01:53")


def test_a_verdict_need_not_name_its_package() -> None:
    world = make_world(unsettled=Unsettled(push_names_package=False))
    submit(world)
    (message,) = take_all(world, 113.0)
    assert set(message) == {"appId", "tpAppId", "eventTime", "event"}


def test_a_package_that_goes_into_audit_by_itself_has_its_verdict_pushed() -> None:
    world = make_world()
    world.upload(APP, UploadWish("754", "1.0", "autumn", direct_commit=True), 0.0)
    assert take_all(world, 104.0) == []
    assert [message["event"] for message in take_all(world, 105.0)] == ["PACKAGE_AUDIT_PASS"]


def test_a_withdrawn_package_has_no_verdict() -> None:
    world = make_world()
    submit(world)
    assert world.packages(APP, 20.0)[0].status == PackageStatus.IN_AUDIT
    assert world.withdraw(APP, PACKAGE_ID, 20.0) is None
    assert take_all(world, 1000.0) == []


def test_a_verdict_given_in_the_console_is_pushed_too() -> None:
    world = make_world()
    submit(world)
    assert world.move_foreign(APP, PACKAGE_ID, PackageStatus.AUDIT_PASSED, 20.0)
    assert [message["event"] for message in take_all(world, 20.0)] == ["PACKAGE_AUDIT_PASS"]
    assert take_all(world, 1000.0) == []


def test_only_the_apps_that_are_due_are_settled() -> None:
    scenario = Scenario(behaviour=CALM)
    world = World.from_scenario(scenario, [APP, "100000283"])
    submit(world)
    take_all(world, 1000.0)
    assert list(world._apps) == [APP]


def test_verdicts_fall_by_the_worlds_clock_and_are_pushed_by_that_of_the_wire() -> None:
    world = make_world()
    world.time_scale = 60.0
    submit(world)
    assert take_all(world, 1.88) == []
    (message,) = take_all(world, 1.89)
    assert message["eventTime"] == "2026-01-01 08:01:53"
    assert world.pushes.kept[-1].at == pytest.approx(113 / 60)


@pytest.mark.parametrize(
    ("before", "change", "expected"),
    [
        ({}, {"authorization": "withdrawn"}, ["UNAUTHORIZED"]),
        ({"authorization": "withdrawn"}, {"authorization": "granted"}, ["AUTHORIZED"]),
        ({}, {"authorization": "no_scope"}, ["UPDATE_AUTHORIZED"]),
        ({"name_approved": False}, {"name_approved": True}, ["APP_NAME_AUDIT_PASS"]),
        ({"category": "in_review"}, {"category": "approved"}, ["APP_CATEGORY_AUDIT_PASS"]),
        ({"category": "in_review"}, {"category": "not_approved"}, ["APP_CATEGORY_AUDIT_FAIL"]),
        ({}, {"category": "in_review"}, []),
        ({"authenticity_passed": False}, {"authenticity_passed": True}, ["ADVANCED_AUDIT_CHANGED"]),
        ({}, {"reject_chance": 1.0}, []),
        ({}, {"status": 5}, ["APP_FORCE_OFFLINE"]),
    ],
)
def test_a_change_of_an_apps_papers_is_pushed(
    before: dict[str, object], change: dict[str, object], expected: list[str]
) -> None:
    world = make_world(before)
    world.change(APP, **change)
    messages = take_all(world, 7.0)
    assert [message["event"] for message in messages] == expected
    assert {message["eventTime"] for message in messages} <= {"2026-01-01 08:00:07"}


def test_the_certification_event_says_that_it_passed() -> None:
    world = make_world(authenticity_passed=False)
    world.change(APP, authenticity_passed=True)
    (message,) = take_all(world, 0.0)
    assert (message["adType"], message["adStatus"]) == (1, 1)


def test_a_forced_offline_app_says_so_in_its_info() -> None:
    world = make_world()
    world.force_offline(APP)
    (message,) = take_all(world, 0.0)
    assert (message["event"], message["offlineReason"]) == ("APP_FORCE_OFFLINE", 2)
    assert world.behaviour(APP).status == 5


@pytest.mark.parametrize(
    ("authorization", "event"),
    [("granted", "UPDATE_AUTHORIZED"), ("withdrawn", "AUTHORIZED"), ("no_scope", None)],
)
def test_a_consent_is_pushed_with_a_code_that_lives_a_minute(
    authorization: str, event: str | None
) -> None:
    world = make_world(authorization=authorization)
    brought = world.consent(APP, 0.0)
    (message,) = take_all(world, 0.0)
    assert message["event"] == (event or "UPDATE_AUTHORIZED")
    assert message["authorizationCodeExpiresIn"] == 60
    code = str(message["authorizationCode"])
    assert code != brought
    token, api = tp_token(world), Api(world)
    assert b"invalid_grant" in api.handle(exchange(token, code), 60.0).body
    assert b"refresh_token" in api.handle(exchange(token, brought), 3599.0).body


def test_a_change_is_told_by_the_next_call_where_no_courier_runs() -> None:
    world = make_world()
    world.change(APP, authorization="withdrawn")
    assert world.next_push_at(3.0) == 3.0
    Api(world).deliver(tp_get("x", "tp/createpreauthcode"), 5.0)
    assert [(push.event, push.at) for push in world.pushes.kept] == [("UNAUTHORIZED", 5.0)]


# Accidents on the way.


def with_script(**script: object) -> World:
    world = make_world(platform={"pushes": script, "auth": {"ticket_every_s": 1e9}})
    submit(world)
    return world


def test_a_push_that_is_not_taken_is_tried_again_so_many_times() -> None:
    world = with_script(retries=2, retry_s=30)
    for posting in due(world, 0.0):
        world.pushes.answered(posting, 0.0, taken=True)
    tries = []
    for now in (113.0, 143.0, 173.0, 203.0):
        for posting in due(world, now):
            tries.append((now, posting.attempt, world.pushes.body(posting)))
            world.pushes.answered(posting, now, taken=False)
    assert [(now, attempt) for now, attempt, _ in tries] == [(113.0, 1), (143.0, 2), (173.0, 3)]
    assert len({body for _, _, body in tries}) == 1
    assert rows(world, 300.0) == [("PACKAGE_AUDIT_PASS", PushStatus.FAILED)]
    assert report(world)["pushes"] == {"made": 2, "delivered": 1, "failed": 1, "forged_taken": 0}


def test_a_lost_push_is_only_in_the_list() -> None:
    world = with_script(lost=1.0)
    assert due(world, 1000.0) == []
    assert rows(world, 1000.0) == [("PACKAGE_AUDIT_PASS", 2)]


def test_a_late_push_comes_later_and_is_as_old_as_it_is() -> None:
    world = with_script(late=1.0, late_s=[40, 50])
    assert take_all(world, 152.0) == []
    postings = due(world, 163.0)
    assert len(postings) == 1
    assert json.loads(world.pushes.body(postings[0]))["TimeStamp"] == str(EPOCH + 113)


def test_a_push_comes_twice_and_the_copy_is_not_repeated() -> None:
    world = with_script(twice=1.0, late_s=5)
    take_all(world, 5.0)
    (first,) = due(world, 113.0)
    world.pushes.answered(first, 113.0, taken=True)
    (copy,) = due(world, 118.0)
    assert world.pushes.body(copy) == world.pushes.body(first)
    world.pushes.answered(copy, 118.0, taken=False)
    assert due(world, 1000.0) == []
    assert rows(world, 1000.0) == [("PACKAGE_AUDIT_PASS", PushStatus.DELIVERED)]


def test_a_copy_that_gets_through_after_the_platform_gave_up_counts() -> None:
    world = with_script(twice=1.0, late_s=200, retries=0)
    take_all(world, 112.0)
    (first,) = due(world, 113.0)
    world.pushes.answered(first, 113.0, taken=False)
    assert report(world)["pushes"] == {"made": 2, "delivered": 1, "failed": 1, "forged_taken": 0}
    take_all(world, 313.0)
    assert report(world)["pushes"] == {"made": 2, "delivered": 2, "failed": 0, "forged_taken": 0}


def test_a_forged_push_is_sealed_well_and_signed_wrongly() -> None:
    world = with_script(forged=1.0)
    take_all(world, 0.0)
    true, forged = sorted(due(world, 113.0), key=lambda posting: posting.forged)
    assert is_signed(world.pushes.body(true))
    body = world.pushes.body(forged)
    assert not is_signed(body)
    assert read_push(body)["event"] == "UNAUTHORIZED"
    world.pushes.answered(forged, 113.0, taken=True)
    assert world.pushes.forged_taken == 1
    assert rows(world, 200.0) == [("PACKAGE_AUDIT_PASS", PushStatus.PENDING)]


def test_the_accidents_of_an_app_do_not_depend_on_the_others() -> None:
    script = {"lost": 0.3, "late": 0.3, "twice": 0.3, "forged": 0.3}
    apps = [str(200_000_001 + number) for number in range(40)]
    fates = []
    for order in (apps, apps[::-1]):
        scenario = Scenario.model_validate({"behaviour": CALM, "pushes": script})
        world = World.from_scenario(scenario, apps)
        for app_id in order:
            world.change(app_id, authorization="withdrawn")
        found: dict[str, list[tuple[float, bool, bool]]] = {app_id: [] for app_id in apps}
        for now in range(0, 300, 5):
            for posting in due(world, float(now)):
                if posting.push.app_id:
                    fate = (now, posting.stray, posting.forged)
                    found[posting.push.app_id].append(fate)
        fates.append({app_id: sorted(fate) for app_id, fate in found.items()})
    assert fates[0] == fates[1]
    assert len({str(fate) for fate in fates[0].values()}) > 4


# The list of pushes.


def test_the_list_has_the_documented_form() -> None:
    world = make_world()
    submit(world)
    body = listed(world, 200.0)
    data = body["data"]
    assert isinstance(data, dict)
    (row,) = data.pop("list")
    assert body["errno"] == 0
    assert data == {"page": 1, "pageSize": 100, "count": 1}
    assert set(row) == {"id", "content", "status"}
    assert (opened(row["content"])["event"], row["status"]) == ("PACKAGE_AUDIT_PASS", 0)


def test_a_row_is_the_sealed_text_of_the_push_itself() -> None:
    world = make_world()
    submit(world)
    (posting,) = [posting for posting in due(world, 113.0) if posting.push.app_id]
    data = listed(world, 200.0)["data"]
    assert isinstance(data, dict)
    body = json.loads(world.pushes.body(posting))
    assert data["list"][0]["content"] == body["Encrypt"]


@pytest.mark.parametrize(("shown", "expected"), [(True, ["ticket"]), (False, [])])
def test_tickets_are_in_the_list_if_the_switch_says_so(*, shown: bool, expected: list[str]) -> None:
    world = make_world(unsettled=Unsettled(push_list_tickets=shown))
    due(world, 0.0)
    assert [event for event, _ in rows(world, 5.0)] == expected


def test_the_list_may_be_withheld_or_late() -> None:
    world = make_world(unsettled=Unsettled(push_list=False))
    assert listed(world, 0.0)["errno"] == 6001
    world = make_world(unsettled=Unsettled(push_list_delay_s=60))
    submit(world)
    assert rows(world, 172.0) == []
    assert len(rows(world, 173.0)) == 1


def test_the_list_is_paged_in_order_of_time_and_filtered() -> None:
    apps = [str(200_000_001 + number) for number in range(25)]
    world = World.from_scenario(Scenario(behaviour=CALM), apps)
    for second, app_id in enumerate(apps):
        world.change(app_id, authorization="withdrawn")
        for posting in due(world, float(second)):
            world.pushes.answered(posting, float(second), taken=second < 20)
    pages = [listed(world, 100.0, offset=str(offset), count="10") for offset in (0, 10, 20, 30)]
    seen = []
    for number, page in enumerate(pages):
        data = page["data"]
        assert isinstance(data, dict)
        assert (data["page"], data["pageSize"], data["count"]) == (number + 1, 10, 25)
        seen += [str(opened(row["content"])["appId"]) for row in data["list"]]
    assert seen == apps
    for now in (60.0, 100.0, 130.0):
        for posting in due(world, now):
            world.pushes.answered(posting, now, taken=False)
    assert [status for _, status in rows(world, 140.0, push_type="2")] == [2] * 5
    window = {"start": str(EPOCH + 5), "end": str(EPOCH + 7)}
    assert len(rows(world, 140.0, **window)) == 3
    numbers = [push.number for push in world.pushes.kept if push.app_id][:2]
    assert len(rows(world, 140.0, id_list=",".join(map(str, numbers)), **window)) == 2


NOW = 40 * 86_400.0


@pytest.mark.parametrize(
    "params",
    [
        {"count": "101"},
        {"count": "0"},
        {"count": "x"},
        {"offset": "-1"},
        {"push_type": "3"},
        {"id_list": "1,x"},
        {"id_list": ",".join(["1"] * 101)},
        {"start": str(EPOCH + 40 * 86_400), "end": str(EPOCH + 39 * 86_400)},
        {"start": str(EPOCH + 30 * 86_400), "end": str(EPOCH + 37 * 86_400 + 1)},
        {"start": str(EPOCH + 10 * 86_400 - 1), "end": str(EPOCH + 11 * 86_400)},
    ],
)
def test_the_list_keeps_its_bounds(params: dict[str, str]) -> None:
    world = make_world()
    assert listed(world, NOW, **params)["errno"] == 40001
    assert world.ledger.violation_count == 1


def test_a_week_a_month_back_may_be_read() -> None:
    world = make_world()
    start, end = EPOCH + 10 * 86_400, EPOCH + 17 * 86_400
    assert listed(world, NOW, start=str(start), end=str(end))["errno"] == 0


def test_what_is_older_than_a_month_is_forgotten() -> None:
    world = make_world()
    for day in range(60):
        world.change(APP, authorization="withdrawn" if day % 2 else "no_scope")
        take_all(world, day * 86_400.0)
    oldest, newest = world.pushes.kept[0].at, world.pushes.kept[-1].at
    assert newest - oldest <= MONTH_S
    assert len(world.pushes.kept) <= 62


def test_templates_are_paged() -> None:
    ids = [str(700 + number) for number in range(12)]
    world = make_world(platform={"templates": ids})
    api, token = Api(world), tp_token(world)
    first = json.loads(api.handle(tp_get(token, "template/gettemplatelist"), 0.0).body)["data"]
    assert (first["count"], len(first["list"])) == (12, 10)
    assert first["list"][0] == {
        "template_id": 700,
        "user_version": "1.0.700",
        "user_desc": "模板700",
        "create_time": EPOCH,
        "web_status": 0,
    }
    params = {"page": "2", "page_size": "10"}
    second = api.handle(tp_get(token, "template/gettemplatelist", **params), 0.0)
    assert [row["template_id"] for row in json.loads(second.body)["data"]["list"]] == [710, 711]
    for wrong in ({"page": "0"}, {"page_size": "x"}, {"page_size": "1001"}):
        reply = api.handle(tp_get(token, "template/gettemplatelist", **wrong), 0.0)
        assert json.loads(reply.body)["errno"] == 40001


def test_no_secret_shows_in_what_a_push_looks_like() -> None:
    world = make_world()
    world.consent(APP, 0.0)
    due(world, 0.0)
    secrets = [str(value) for push in world.pushes.kept for value in push.details.values()]
    text = repr(world.pushes.kept)
    assert len(secrets) == 3
    assert not any(secret in text for secret in secrets if len(secret) > 10)
