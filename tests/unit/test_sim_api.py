"""The simulated HTTP interface: the exact bodies, and the shape of each refusal."""

import json
from collections.abc import Mapping

import pytest

from fleetdeploy.simulator.api import Api
from fleetdeploy.simulator.behaviour import RateAnswer, RateLimit, Unsettled
from fleetdeploy.simulator.faults import FaultKind, FaultRates, Faults, FaultScript
from fleetdeploy.simulator.report import report
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.world import World
from fleetdeploy.transport import Reply, Request
from tests.unit.sim_builders import (
    APP,
    BASE,
    CALM,
    ext_json,
    get,
    make_world,
    post,
    submit,
    upload,
    without,
)

PACKAGE_ID = 1_000_000
OK = '{"errno":0,"msg":"success"}'


def text_of(reply: Reply) -> str:
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    return reply.body.decode()


def read(reply: Reply) -> dict[str, object]:
    parsed = json.loads(reply.body)
    assert isinstance(parsed, dict)
    return parsed


def errno_of(reply: Reply) -> object:
    body = read(reply)
    assert set(body) == {"errno", "msg"}
    return body["errno"]


def test_a_rollout_step_by_step_with_golden_bodies() -> None:
    world = make_world(online="0.9")
    api, package_id = Api(world), 2 * PACKAGE_ID
    assert text_of(api.handle(upload(world), 1.0)) == OK
    assert text_of(api.handle(submit(world, package_id), 10.0)) == OK
    released = post(world, "package/release", package_id=str(package_id))
    assert text_of(api.handle(released, 200.0)) == OK
    assert text_of(api.handle(get(world, "package/get"), 203.0)) == (
        '{"errno":0,"msg":"success","data":[{"version":"1.0","remark":"by us","msg":"",'
        '"committer":"third-party platform","status":1,"commit_time":"2026/01/01 08:00:01",'
        '"version_desc":"autumn [fd:0123456789]","package_id":2000000,"rollback_version":"0.9"}]}'
    )
    back = post(world, "package/rollback", package_id=str(package_id))
    assert text_of(api.handle(back, 300.0)) == OK
    assert list(world.violations) == []


def test_a_row_still_uploading_has_neither_id_nor_status() -> None:
    world = make_world()
    api = Api(world)
    api.handle(upload(world), 1.0)
    assert text_of(api.handle(get(world, "package/get"), 4.0)) == (
        '{"errno":0,"msg":"success","data":[{"version":"1.0",'
        '"commit_time":"2026/01/01 08:00:01","version_desc":"autumn [fd:0123456789]",'
        '"upload_status":1,"upload_status_desc":"上传中"}]}'
    )


def test_a_row_that_failed_to_build_says_why() -> None:
    world = make_world(upload_fail_chance=1.0, upload_error=69010)
    api = Api(world)
    api.handle(upload(world), 1.0)
    data = read(api.handle(get(world, "package/get"), 9.0))["data"]
    assert isinstance(data, list)
    assert data[0]["upload_status"] == 3
    assert data[0]["upload_err_code"] == 69010
    assert data[0]["upload_err_msg"] == "模板文件解析出错"
    assert "package_id" not in data[0]


def test_an_app_without_packages_has_an_empty_list() -> None:
    world = make_world()
    assert text_of(Api(world).handle(get(world, "package/get"), 0.0)) == (
        '{"errno":0,"msg":"success","data":[]}'
    )


def test_detail_is_one_object_without_rollback_version() -> None:
    world = make_world(online="0.9")
    assert text_of(Api(world).handle(get(world, "package/getdetail"), 0.0)) == (
        '{"errno":0,"msg":"success","data":{"version":"0.9","remark":"","msg":"",'
        '"committer":"console","status":1,"commit_time":"2026/01/01 08:00:00",'
        '"version_desc":"by hand","package_id":1000000}}'
    )


@pytest.mark.parametrize("params", [{"package_id": "7"}, {"type": "4"}, {}])
def test_detail_of_what_is_not_there_is_refused(params: dict[str, str]) -> None:
    world = make_world()
    request = get(world, "package/getdetail", **params)
    assert errno_of(Api(world).handle(request, 0.0)) == 69005
    assert list(world.violations) == []


def test_a_template_id_is_a_number() -> None:
    world = make_world()
    assert errno_of(Api(world).handle(upload(world, template_id="t"), 0.0)) == 40001


def test_the_quota_has_its_three_numbers() -> None:
    world = make_world(quota_times=3, quota_used=2)
    assert text_of(Api(world).handle(get(world, "package/auditquota"), 0.0)) == (
        '{"errno":0,"msg":"success","data":{"quota_type":2,"quota_times":3,"remain_times":1}}'
    )


def test_app_info_shows_what_is_missing() -> None:
    world = make_world(
        name_approved=False,
        category="not_approved",
        entity_approved=False,
        authenticity_passed=False,
    )
    data = read(Api(world).handle(get(world, "app/info"), 0.0))["data"]
    assert isinstance(data, dict)
    assert data["app_id"] == 100000282
    assert data["audit_info"]["audit_app_name_status"] == 1
    assert data["qualification"]["status"] == 2
    assert data["qualification"]["ad_status"] == 3
    assert data["category"][0]["audit_status"] == 3


def test_app_info_of_a_ready_app_has_no_audit_info() -> None:
    world = make_world()
    data = read(Api(world).handle(get(world, "app/info"), 0.0))["data"]
    assert isinstance(data, dict)
    assert "audit_info" not in data
    assert data["qualification"]["ad_status"] == 1
    assert data["category"][0]["audit_status"] == 2


def test_withdraw_takes_a_package_out_of_audit() -> None:
    world = make_world(foreign=[{"status": 4}])
    api = Api(world)
    withdrawn = post(world, "package/withdraw", package_id=str(PACKAGE_ID))
    assert text_of(api.handle(withdrawn, 1.0)) == OK
    assert world.packages(APP, 4.0)[0].status == 3


def test_all_parameters_may_ride_in_the_query() -> None:
    world = make_world()
    request = upload(world)
    moved = Request("POST", request.path, {**request.query, **(request.form or {})})
    assert text_of(Api(world).handle(moved, 0.0)) == OK


@pytest.mark.parametrize("name", ["template_id", "ext_json", "user_version", "user_desc"])
def test_each_parameter_of_upload_is_required(name: str) -> None:
    world = make_world()
    assert errno_of(Api(world).handle(without(upload(world), name), 0.0)) == 40001
    assert [violation.endpoint for violation in world.violations] == ["upload"]
    assert world.effects == []


@pytest.mark.parametrize("name", ["package_id", "content", "remark"])
def test_each_parameter_of_submit_audit_is_required(name: str) -> None:
    world = make_world(foreign=[{"status": 3}])
    request = without(submit(world, PACKAGE_ID), name)
    assert errno_of(Api(world).handle(request, 0.0)) == 40001


@pytest.mark.parametrize("package_id", ["", "abc", "-1", "１２", "9" * 5000, "1.0"])
def test_a_package_id_is_decimal_digits(package_id: str) -> None:
    world = make_world()
    request = post(world, "package/release", package_id=package_id)
    assert errno_of(Api(world).handle(request, 0.0)) == 40001


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "NaN", '{"extEnable": NaN}', "[" * 100_000])
def test_ext_json_that_is_no_object_cannot_be_parsed(text: str) -> None:
    world = make_world()
    assert errno_of(Api(world).handle(upload(world, ext_json=text), 0.0)) == 69004


@pytest.mark.parametrize(
    "changes",
    [
        {"extEnable": None},
        {"extEnable": "true"},
        {"extAppid": "100000283"},
        {"extAppid": None},
        {"extAppid": True},
        {"directCommit": 1},
        {"directCommit": []},
    ],
)
def test_ext_json_must_be_meant_for_this_app(changes: Mapping[str, object]) -> None:
    world = make_world()
    text = json.dumps({**json.loads(ext_json()), **changes})
    assert errno_of(Api(world).handle(upload(world, ext_json=text), 0.0)) == 40001


@pytest.mark.parametrize("changes", [{"extAppid": 100000282}, {"directCommit": "false"}])
def test_ext_json_is_read_as_loosely_as_the_samples_are(changes: Mapping[str, object]) -> None:
    world = make_world()
    text = json.dumps({**json.loads(ext_json()), **changes})
    assert text_of(Api(world).handle(upload(world, ext_json=text), 0.0)) == OK


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (BASE + "package/gettrial", '{"errno":404,"msg":"页面不存在"}'),
        ("/rest/2.0/other", '{"error_code":3,"error_msg":"Unsupported openapi method"}'),
    ],
)
def test_an_unknown_path_is_refused_in_the_shape_of_its_layer(path: str, body: str) -> None:
    world = make_world()
    assert text_of(Api(world).handle(Request("GET", path), 0.0)) == body
    assert [violation.endpoint for violation in world.violations] == ["unknown"]


def test_the_wrong_method_is_refused() -> None:
    world = make_world()
    request = Request("GET", BASE + "package/upload", {"access_token": world.tokens[APP]})
    assert errno_of(Api(world).handle(request, 0.0)) == 501


def test_a_request_without_a_token_is_refused_by_the_gateway() -> None:
    world = make_world()
    reply = Api(world).handle(Request("GET", BASE + "package/get"), 0.0)
    assert read(reply) == {"error_code": 100, "error_msg": "Invalid parameter"}


@pytest.mark.parametrize("status", [200, 401])
def test_a_refused_token_has_the_gateway_shape_and_the_status_asked_for(status: int) -> None:
    world = make_world(unsettled=Unsettled(token_error_http=status))
    request = get(world, "package/get")
    world.void_token(APP)
    reply = Api(world).handle(request, 0.0)
    assert reply.status == status
    assert reply.body == (
        b'{"error_code":110,"error_msg":"Access token invalid or no longer valid"}'
    )


@pytest.mark.parametrize(("authorization", "expected"), [("withdrawn", 50032), ("no_scope", 45001)])
def test_an_app_that_took_its_authorization_back_refuses_all(
    authorization: str, expected: int
) -> None:
    world = make_world(authorization=authorization)
    assert errno_of(Api(world).handle(get(world, "package/get"), 0.0)) == expected
    assert list(world.violations) == []


def test_an_address_off_the_whitelist_is_refused() -> None:
    world = make_world()
    world.ip_whitelisted = False
    assert errno_of(Api(world).handle(get(world, "package/get"), 0.0)) == 40008


def limited(answer: RateAnswer) -> World:
    limit = RateLimit(per_second=2, answer=answer, retry_after_s=7)
    return World.from_scenario(Scenario(behaviour=CALM, rate_limit=limit), [APP])


@pytest.mark.parametrize(
    ("answer", "status", "body", "retry_after"),
    [
        (
            RateAnswer.GATEWAY,
            200,
            b'{"error_code":18,"error_msg":"Open api qps request limit reached"}',
            None,
        ),
        (
            RateAnswer.ERRNO,
            200,
            '{"errno":50029,"msg":"接口调用次数超过限制"}'.encode(),
            None,
        ),
        (RateAnswer.HTTP_429, 429, b"Too Many Requests", "7"),
    ],
)
def test_too_many_requests_in_one_second_are_refused(
    answer: RateAnswer, status: int, body: bytes, retry_after: str | None
) -> None:
    world = limited(answer)
    api = Api(world)
    for now in (0.0, 0.9):
        api.deliver(get(world, "package/get"), now)
    reply = api.deliver(get(world, "package/get"), 0.99).reply
    assert reply is not None
    assert (reply.status, reply.body) == (status, body)
    assert reply.headers.get("retry-after") == retry_after
    assert world.traffic.throttled == 1


def test_the_window_of_the_rate_limit_slides() -> None:
    world = limited(RateAnswer.ERRNO)
    api = Api(world)
    for now in (0.0, 0.9, 1.0, 1.9, 2.0):
        api.deliver(get(world, "package/get"), now)
    assert world.traffic.throttled == 0
    assert world.traffic.max_per_second() == 2


def test_the_rate_goes_by_the_wire_and_not_by_the_worlds_time() -> None:
    world = limited(RateAnswer.ERRNO)
    api = Api(world)
    for number in range(3):
        api.deliver(get(world, "package/get"), 60.0 * number, wire_now=0.1 * number)
    assert world.traffic.throttled == 1


def test_calls_are_counted_by_endpoint_with_who_was_refused() -> None:
    world = make_world(name_approved=False, foreign=[{"status": 3}])
    api = Api(world)
    for number in range(12):
        api.deliver(get(world, "package/get"), 0.1 * number)
    api.deliver(submit(world, PACKAGE_ID), 5.0)
    assert world.traffic.by_endpoint == {"packages": 12, "submit_audit": 1}
    assert world.traffic.refused["submit_audit"] == 1
    assert world.traffic.max_per_second("packages") == 10
    assert world.traffic.calls[-1].app_id == APP


def test_only_so_many_calls_are_kept_in_full() -> None:
    world = World.from_scenario(Scenario(keep_calls=3), [APP])
    api = Api(world)
    for number in range(9):
        api.deliver(get(world, "package/get"), float(number))
    assert [call.at for call in world.traffic.calls] == [6.0, 7.0, 8.0]
    assert world.traffic.total == 9


@pytest.mark.parametrize(
    ("kind", "executed", "brings"),
    [
        (FaultKind.NOT_CONNECTED, False, None),
        (FaultKind.REQUEST_LOST, False, None),
        (FaultKind.ANSWER_LOST, True, None),
        (FaultKind.ERROR_PAGE_UNDONE, False, 502),
        (FaultKind.ERROR_PAGE_DONE, True, 502),
        (FaultKind.CUT_BODY, True, 200),
        (FaultKind.SLOW, True, 200),
    ],
)
def test_each_fault_is_executed_or_not_as_it_says(
    kind: FaultKind, brings: int | None, *, executed: bool
) -> None:
    world = make_world()
    script = FaultScript(rates=FaultRates.model_validate({kind: 1.0}))
    delivery = Api(world, Faults(script)).deliver(upload(world), 0.0)
    assert (delivery.reply and delivery.reply.status) == brings
    assert len(world.effects) == int(executed)
    assert world.traffic.lost == int(not executed)
    assert world.traffic.total == 1


def test_the_report_holds_the_books_and_no_token() -> None:
    world = make_world()
    api = Api(world)
    api.deliver(upload(world), 0.0)
    api.deliver(upload(world), 0.1)
    api.deliver(without(upload(world), "user_desc"), 0.2)
    text = json.dumps(report(world))
    books = json.loads(text)
    assert books["effects"]["upload"] == 2
    assert books["duplicates"]["count"] == 1
    assert books["violations"]["count"] == 1
    assert books["calls"]["by_endpoint"] == {"upload": 3}
    assert world.tokens[APP] not in text
