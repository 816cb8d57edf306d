"""The simulator held to the vectors that the client is held to: the same files, from both sides.

A misreading of the platform that both sides share would pass every other test.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from fleetdeploy.model import PackageStatus, UploadStatus
from fleetdeploy.simulator.api import Api
from fleetdeploy.simulator.endpoints import ROUTES
from fleetdeploy.simulator.server import serve
from fleetdeploy.simulator.world import World
from fleetdeploy.transport import Reply, Request
from tests.contract.vector_world import (
    NEEDS,
    PACKAGE_ID,
    REQUESTS,
    STATES,
    TOKEN,
    Vector,
    load,
    request_of,
    said,
    vector_world,
    world_for,
)
from tests.unit.test_wire import OPERATIONS, _without_defaults

SAMPLES = load("samples.json")
REPLIES = load("replies.json")
STATUSES = load("statuses.json")
CHANGING = [call for call, vector in REQUESTS.items() if vector["method"] == "POST"]
REQUIRED = [(call, name) for call in CHANGING for name in REQUESTS[call]["form"]]


# Requests.


@pytest.mark.parametrize("call", REQUESTS)
def test_the_simulator_agrees_to_a_vectors_request(call: str) -> None:
    world = world_for(call)
    assert said(world, request_of(call))["errno"] == 0
    assert list(world.violations) == []
    assert [effect.kind for effect in world.effects] == ([call] if call in CHANGING else [])


def test_every_endpoint_of_the_simulator_has_a_request_vector() -> None:
    assert {vector["path"] for vector in REQUESTS.values()} == set(ROUTES)
    for path, route in ROUTES.items():
        vectors = [vector for vector in REQUESTS.values() if vector["path"] == path]
        assert {vector["method"] for vector in vectors} == {route.method}


def test_the_simulator_takes_an_upload_as_the_vector_means_it() -> None:
    world = world_for("upload")
    said(world, request_of("upload"))
    (effect,) = world.effects
    form = REQUESTS["upload"]["form"]
    assert (effect.template_id, effect.version, effect.version_desc) == (
        form["template_id"],
        form["user_version"],
        form["user_desc"],
    )


def test_the_simulator_takes_a_submission_as_the_vector_means_it() -> None:
    world = world_for("submit_audit")
    said(world, request_of("submit_audit"))
    (row,) = said(world, request_of("packages"))["data"]
    assert row["remark"] == REQUESTS["submit_audit"]["form"]["remark"]


@pytest.mark.parametrize("call", NEEDS)
def test_the_simulator_finds_the_vectors_package(call: str) -> None:
    """And no other: the same request is refused where the id belongs to nobody."""
    if call == "package_detail_online":
        assert said(vector_world("empty"), request_of(call))["errno"] == 69005
        return
    world = world_for(call)
    assert PACKAGE_ID in [row.package_id for row in world.packages("17328232", 0.5)]
    assert said(vector_world("empty"), request_of(call))["errno"] == 69005


@pytest.mark.parametrize(("call", "name"), REQUIRED)
def test_every_parameter_of_a_change_is_required(call: str, name: str) -> None:
    world = world_for(call)
    assert said(world, request_of(call, **{name: None}))["errno"] == 40001
    assert world.effects == []


@pytest.mark.parametrize("call", CHANGING)
def test_parameters_count_wherever_the_sources_put_them(call: str) -> None:
    """All in the query as in the platform's samples, or all in the form as in one of its SDKs."""
    plain = request_of(call)
    everything = {**plain.query, **(plain.form or {})}
    for request in (
        replace(plain, query=everything, form=None),
        replace(plain, query={}, form=everything),
    ):
        assert said(world_for(call), request)["errno"] == 0


@pytest.mark.parametrize("call", REQUESTS)
def test_without_its_token_a_request_gets_nowhere(call: str) -> None:
    world = world_for(call)
    assert said(world, replace(request_of(call), query={}))["error_code"] == 100
    other = replace(request_of(call), query={**REQUESTS[call]["query"], "access_token": "45.x"})
    assert said(world, other)["error_code"] == 110
    assert world.effects == []


# The same, byte by byte.


async def over_the_wire(url: str, vector: Vector) -> tuple[int, Vector]:
    """Send a vector's own bytes over a socket; return the status and the parsed body."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = vector["body"].encode("ascii")
    lines = [f"{vector['method']} {vector['target']} HTTP/1.1", f"Host: {host}"]
    if vector["form"] is not None:
        lines += ["Content-Type: application/x-www-form-urlencoded"]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    writer.write("\r\n".join(lines).encode("ascii") + body)
    head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split(b" ")[1]), json.loads(answer)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("call", REQUESTS)
async def test_the_served_simulator_agrees_to_a_vectors_bytes(call: str) -> None:
    world = world_for(call)
    async with serve(world) as url:
        status, answer = await over_the_wire(url, REQUESTS[call])
    assert (status, answer["errno"]) == (200, 0)
    assert [effect.kind for effect in world.effects] == ([call] if call in CHANGING else [])
    if call == "upload":
        assert world.effects[0].version_desc == REQUESTS["upload"]["form"]["user_desc"]


# Answers.


def shape(value: object) -> object:
    """Return the structure of a JSON value: keys and kinds, no content."""
    if isinstance(value, Mapping):
        return {key: shape(part) for key, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value[:1]]
    return type(value).__name__


def without(body: Vector, optional: list[str]) -> object:
    """Return a body without those keys of its data that the platform may leave out."""
    data = body.get("data")
    if not isinstance(data, dict):
        return body
    return {**body, "data": {key: part for key, part in data.items() if key not in optional}}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["name"])
def test_an_answer_of_the_simulator_has_the_shape_of_the_sample(sample: Vector) -> None:
    world = vector_world(sample["state"], quota_times=3, quota_used=2)
    answer = said(world, request_of(sample["call"]))
    if isinstance(answer.get("data"), list) and answer["data"]:
        # The order of rows means nothing; each must have the sample's shape.
        shapes = [shape({**answer, "data": [row]}) for row in answer["data"]]
    else:
        shapes = [shape(without(answer, sample.get("optional", [])))]
    expected = shape(without(sample["body"], sample.get("optional", [])))
    assert shapes == [expected] * len(shapes)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["name"])
def test_the_client_reads_the_sample(sample: Vector) -> None:
    reply = Reply(200, json.dumps(sample["body"], ensure_ascii=False).encode())
    assert _without_defaults(OPERATIONS[sample["call"]].read(reply)) == sample["answer"]


FIELDS: Mapping[str, str] = {
    "version": "version",
    "version_desc": "description",
    "package_id": "package_id",
    "status": "status",
    "upload_status": "upload_status",
    "upload_status_desc": "upload_status_text",
    "upload_err_code": "upload_error_code",
    "upload_err_msg": "upload_error_message",
    "committer": "committer",
    "commit_time": "commit_time",
    "remark": "remark",
    "msg": "audit_message",
    "rollback_version": "rollback_version",
}
"""The platform's name of each field of a package, and ours."""


@pytest.mark.parametrize("state", [state for state in STATES if state != "empty"])
def test_the_client_reads_every_field_that_the_simulator_writes(state: str) -> None:
    reply = Api(vector_world(state)).handle(request_of("packages"), 1.0)
    packages = OPERATIONS["packages"].read(reply)
    assert isinstance(packages, tuple)
    for package, row in zip(packages, json.loads(reply.body)["data"], strict=True):
        for theirs, ours in FIELDS.items():
            read, written = getattr(package, ours), row.get(theirs)
            assert (read or None) == (
                str(written) if ours == "package_id" and written else written or None
            )


def test_the_samples_cover_every_read() -> None:
    reads = {call for call in REQUESTS if call not in CHANGING}
    assert reads - {"package_detail"} <= {sample["call"] for sample in SAMPLES}


@pytest.mark.parametrize(("state", "number"), STATUSES["statuses"].items())
def test_a_state_has_the_documented_number_on_both_sides(state: str, number: int) -> None:
    assert PackageStatus[state.upper()] == number
    rows = said(vector_world(state), request_of("packages"))["data"]
    assert [row["status"] for row in rows if row["package_id"] == PACKAGE_ID] == [number]


@pytest.mark.parametrize(("state", "number"), STATUSES["upload_statuses"].items())
def test_a_state_of_an_upload_has_the_documented_number_on_both_sides(
    state: str, number: int
) -> None:
    assert UploadStatus[state.upper()] == number
    named = state if state in STATES else f"upload_{state}"
    (row,) = said(vector_world(named), request_of("packages"))["data"]
    assert row["upload_status"] == number


def test_all_documented_states_are_known_and_no_other() -> None:
    assert {status.name.lower() for status in PackageStatus} == set(STATUSES["statuses"])
    assert {status.name.lower() for status in UploadStatus} == set(STATUSES["upload_statuses"])


def test_times_have_the_documented_form_and_answers_say_what_they_are() -> None:
    reply = Api(vector_world("online")).handle(request_of("packages"), 1.0)
    assert reply.headers["content-type"].startswith("application/json")
    for row in json.loads(reply.body)["data"]:
        assert re.fullmatch(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d", row["commit_time"])


# Refusals.

REFUSALS: tuple[tuple[int, World, Request], ...] = (
    (69001, vector_world("development", name_approved=False), request_of("submit_audit")),
    (69002, vector_world("development", category="not_approved"), request_of("submit_audit")),
    (
        69003,
        vector_world("development", name_approved=False, category="not_approved"),
        request_of("submit_audit"),
    ),
    (45003, vector_world("development", category="in_review"), request_of("submit_audit")),
    (69013, vector_world("development", quota_times=0), request_of("submit_audit")),
    (50033, vector_world("audit_passed", entity_approved=False), request_of("release")),
    (50038, vector_world("audit_passed", authenticity_passed=False), request_of("release")),
    (50032, vector_world(authorization="withdrawn"), request_of("packages")),
    (45001, vector_world(authorization="no_scope"), request_of("upload")),
    (40008, vector_world(platform={"ip_whitelisted": False}), request_of("packages")),
    (69004, vector_world(), request_of("upload", ext_json="{")),
    (40001, vector_world(), request_of("upload", template_id="seven")),
    (69005, vector_world(), request_of("release")),
    (404, vector_world(), replace(request_of("release"), path="/rest/2.0/smartapp/package/x")),
    (501, vector_world(), replace(request_of("packages"), method="POST")),
    (110, vector_world(), replace(request_of("packages"), query={"access_token": "45.x"})),
    (111, vector_world(platform={"token_lifetime_s": 0.5}), request_of("packages")),
    (100, vector_world(), replace(request_of("packages"), query={})),
    (3, vector_world(), replace(request_of("packages"), path="/rest/2.0/nothing")),
)


def number_of(body: Vector) -> object:
    return body.get("errno", body.get("error_code"))


def documented(number: int) -> Vector:
    """Return the body of the vector that says this number."""
    bodies = [
        json.loads(v["body"])
        for v in REPLIES
        if "error" in v and v["body"][:1] == "{" and v["body"].endswith("}")
    ]
    (body, *_) = [body for body in bodies if number_of(body) == number]
    assert isinstance(body, dict)
    return body


@pytest.mark.parametrize(
    ("number", "world", "request_"), REFUSALS, ids=[str(r[0]) for r in REFUSALS]
)
def test_a_refusal_of_the_simulator_is_a_golden_reply(
    number: int, world: World, request_: Request
) -> None:
    """In the shape of its layer and in the platform's own words, which may go on further."""
    answer, golden = said(world, request_), documented(number)
    assert number_of(answer) == number
    assert set(answer) == set(golden) - {"data"}
    words = "msg" if "msg" in golden else "error_msg"
    assert answer[words].startswith(golden[words])
    assert world.effects == []


@pytest.mark.parametrize("kind", ["gateway", "errno", "http_429"])
def test_a_refusal_for_rate_is_a_golden_reply(kind: str) -> None:
    limit = {"per_second": 1, "answer": kind}
    api = Api(vector_world(platform={"rate_limit": limit}))
    api.deliver(request_of("packages"), 1.0)
    reply = api.deliver(request_of("packages"), 1.1).reply
    assert reply is not None
    golden = {
        (v["status"], v["body"])
        for v in REPLIES
        if v.get("error", {}).get("class") == "RateLimited"
    }
    assert (reply.status, reply.body.decode()) in golden


def test_no_vector_holds_a_token_that_could_be_a_real_one() -> None:
    """Their one token says that it ended in 2019."""
    assert TOKEN.split(".")[3] == "1577808000"
    assert {vector["query"]["access_token"] for vector in REQUESTS.values()} == {TOKEN}
