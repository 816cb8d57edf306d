"""The requests of every call, and the replies of the golden vectors."""

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path

import pytest

from fleetdeploy.baidu import wire
from fleetdeploy.errors import PlatformError, RequestRefused
from fleetdeploy.model import AuditNote, Bundle, Package
from fleetdeploy.transport import Reply

VECTORS = Path(__file__).parents[1] / "contract" / "vectors"
REQUESTS = json.loads((VECTORS / "requests.json").read_text("utf-8"))
REPLIES = json.loads((VECTORS / "replies.json").read_text("utf-8"))
TOKEN = REQUESTS[0]["query"]["access_token"]


def make_bundle(description: str = "秋季 storefront [fd:0123456789]") -> Bundle:
    return Bundle(
        template_id="754",
        ext_json='{"extAppid":"17328232","extEnable":true}',
        version="10.30.0.3",
        description=description,
        fingerprint="0123456789",
        audit=AuditNote("routine update", "by the agency"),
    )


OPERATIONS: Mapping[str, wire.Operation[object]] = {
    "upload": wire.upload(make_bundle()),
    "submit_audit": wire.submit_audit("58210", AuditNote("routine update", "by the agency")),
    "release": wire.release("58210"),
    "rollback": wire.rollback("58210"),
    "withdraw": wire.withdraw("58210"),
    "packages": wire.packages(),
    "package_detail": wire.package_detail("58210"),
    "package_detail_online": wire.package_detail(None),
    "audit_quota": wire.audit_quota(),
    "app_info": wire.app_info(),
}


@pytest.mark.parametrize("vector", REQUESTS, ids=lambda vector: vector["call"])
def test_a_call_asks_what_the_vector_says(vector: Mapping[str, object]) -> None:
    request = OPERATIONS[str(vector["call"])].request(TOKEN)
    assert request.method == vector["method"]
    assert request.path == vector["path"]
    assert dict(request.query) == vector["query"]
    assert request.form == vector["form"]


def test_every_call_has_a_request_vector() -> None:
    assert {vector["call"] for vector in REQUESTS} == set(OPERATIONS)
    assert {operation.endpoint for operation in OPERATIONS.values()} == set(wire.Endpoint)


@pytest.mark.parametrize(
    "vector", [v for v in REPLIES if "answer" in v], ids=lambda vector: vector["name"]
)
def test_a_documented_answer_is_read(vector: Mapping[str, object]) -> None:
    reply = Reply(200, str(vector["body"]).encode())
    answer = OPERATIONS[str(vector["call"])].read(reply)
    assert _without_defaults(answer) == vector["answer"]


@pytest.mark.parametrize(
    "vector", [v for v in REPLIES if "error" in v], ids=lambda vector: vector["name"]
)
def test_a_refusal_is_read_as_the_vector_says(vector: Mapping[str, object]) -> None:
    status = vector["status"]
    assert isinstance(status, int)
    with pytest.raises(PlatformError) as caught:
        OPERATIONS[str(vector["call"])].read(Reply(status, str(vector["body"]).encode()))
    error = caught.value
    assert {
        "class": type(error).__name__,
        "code": error.code,
        "errno": error.errno,
        "msg": error.msg,
    } == vector["error"]


@pytest.mark.parametrize("call", OPERATIONS)
def test_the_token_is_in_the_query_and_nowhere_in_sight(call: str) -> None:
    operation = OPERATIONS[call]
    request = operation.request(TOKEN)
    assert request.query["access_token"] == TOKEN
    assert TOKEN not in (request.form or {}).values()
    assert TOKEN not in f"{request!r} {operation!r} {request.path}"


def test_no_parameter_of_a_change_rides_in_the_url() -> None:
    for operation in OPERATIONS.values():
        if operation.changes:
            assert list(operation.request(TOKEN).query) == ["access_token"]


def test_a_text_that_utf_8_cannot_carry_is_refused_before_it_is_sent() -> None:
    operation = wire.upload(make_bundle(description="half \ud800"))
    with pytest.raises(RequestRefused) as caught:
        operation.request(TOKEN)
    assert caught.value.code == "request.unencodable"
    assert "user_desc" in caught.value.message


def _without_defaults(answer: object) -> object:
    """Write an answer as the vectors do: lists and objects, packages without what is not set."""
    if isinstance(answer, tuple):
        return [_without_defaults(item) for item in answer]
    if isinstance(answer, Package):
        blank = asdict(Package(version=""))
        return {k: v for k, v in asdict(answer).items() if k == "version" or v != blank[k]}
    if is_dataclass(answer) and not isinstance(answer, type):
        return json.loads(json.dumps(asdict(answer)))
    return answer
