"""A simulated platform in which the requests of the golden vectors are in order as they stand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fleetdeploy.simulator.api import Api
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.world import World
from fleetdeploy.transport import Request
from tests.contract.stage import CALM

VECTORS: Final = Path(__file__).parent / "vectors"
APP: Final = "17328232"
PACKAGE_ID: Final = 58210

Vector = Mapping[str, Any]
"""One entry of a file of vectors: hand-written JSON of any shape."""


def load(name: str) -> Any:  # noqa: ANN401 - hand-written JSON of any shape
    return json.loads((VECTORS / name).read_text("utf-8"))


REQUESTS: Final[Mapping[str, Vector]] = {v["call"]: v for v in load("requests.json")}
TOKEN: Final[str] = REQUESTS["upload"]["query"]["access_token"]

STATES: Final[Mapping[str, Mapping[str, object]]] = {
    "empty": {},
    "development": {"foreign": [{"status": 3}]},
    "in_audit": {"foreign": [{"status": 4}]},
    "audit_failed": {"foreign": [{"status": 5}]},
    "audit_passed": {"foreign": [{"status": 6}]},
    "online": {"foreign": [{"status": 1, "version": "1"}, {"status": 1, "version": "2"}]},
    "rolling_back": {"foreign": [{"status": 1, "version": "1"}, {"status": 8, "version": "2"}]},
    "uploading": {"foreign": [{"status": None}], "build_s": (9e9, 9e9)},
    "upload_failed": {
        "foreign": [{"status": None}],
        "build_s": (0.0, 0.0),
        "upload_fail_chance": 1.0,
        "upload_error": 69010,
    },
    "name_in_review": {"name_approved": False},
}
"""What is there before the request, as changes of a calm app."""

NEEDS: Final[Mapping[str, str]] = {
    "submit_audit": "development",
    "release": "audit_passed",
    "rollback": "online",
    "withdraw": "in_audit",
    "package_detail": "online",
    "package_detail_online": "online",
}
"""The state in which a lawful client makes this call; any other call may come at any time."""


def vector_world(state: str = "empty", *, platform: Vector | None = None, **more: object) -> World:
    """Build a world that knows the vectors' app, token and, for its newest package, their id."""
    behaviour = CALM.changed({**STATES[state], **more})
    scenario = Scenario.model_validate({"behaviour": behaviour, **(platform or {})})
    world = World.from_scenario(scenario, [APP])
    world._grants[TOKEN] = world._grants.pop(world._tokens[APP])
    world._tokens[APP] = TOKEN
    world.packages(APP, 0.0)
    if rows := world._apps[APP]._shelf.rows:
        rows[-1].package_id = PACKAGE_ID if rows[-1].upload_status is None else None
    return world


def world_for(call: str) -> World:
    return vector_world(NEEDS.get(call, "empty"))


def request_of(call: str, **form: str | None) -> Request:
    """Return a vector's request; `form` replaces parameters, or leaves those out that are None."""
    vector = REQUESTS[call]
    asked = None if vector["form"] is None else {**vector["form"], **form}
    kept = None if asked is None else {k: v for k, v in asked.items() if v is not None}
    return Request(vector["method"], vector["path"], vector["query"], kept)


def said(world: World, request: Request) -> Vector:
    """Return what the simulator answers, parsed."""
    reply = Api(world).handle(request, 1.0)
    parsed = json.loads(reply.body)
    assert isinstance(parsed, dict)
    return parsed
