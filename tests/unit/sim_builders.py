"""Requests and worlds for the tests of the simulator: defaults for all, override one."""

import json
from collections.abc import Mapping
from dataclasses import replace

from fleetdeploy.simulator.behaviour import Behaviour, ForeignPackage, Unsettled
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.world import World
from fleetdeploy.transport import Request

APP = "100000282"
BASE = "/rest/2.0/smartapp/"

CALM = Behaviour(
    effect_delay_s=3.0, build_s=(2.0, 2.0), audit_s=(100.0, 100.0), rollback_s=(9.0, 9.0)
)
"""Every draw of time is certain: 3 s delay, 2 s build, 100 s audit, 9 s rollback."""


def make_world(
    changes: Mapping[str, object] | None = None,
    *,
    unsettled: Unsettled | None = None,
    online: str = "",
    **more: object,
) -> World:
    """Build a world of one calm app, with an online version if one is named."""
    foreign = [ForeignPackage(version=online, status=1)] if online else []
    behaviour = CALM.changed({"foreign": foreign, **(changes or {}), **more})
    scenario = Scenario(behaviour=behaviour, unsettled=unsettled or Unsettled())
    world = World.from_scenario(scenario, [APP])
    world.packages(APP, 0.0)
    return world


def ext_json(app_id: str = APP, **more: object) -> str:
    return json.dumps({"extEnable": True, "extAppid": app_id, "ext": {}, **more})


def get(world: World, path: str, **params: str) -> Request:
    return Request("GET", BASE + path, {"access_token": world.tokens[APP], **params})


def post(world: World, path: str, **form: str) -> Request:
    return Request("POST", BASE + path, {"access_token": world.tokens[APP]}, form)


def upload(world: World, **changes: str) -> Request:
    form = {
        "template_id": "754",
        "ext_json": ext_json(),
        "user_version": "1.0",
        "user_desc": "autumn [fd:0123456789]",
    }
    return post(world, "package/upload", **{**form, **changes})


def submit(world: World, package_id: int) -> Request:
    form = {"package_id": str(package_id), "content": "update", "remark": "by us"}
    return post(world, "package/submitaudit", **form)


def without(request: Request, name: str) -> Request:
    form = {key: value for key, value in (request.form or {}).items() if key != name}
    return replace(request, form=form)
