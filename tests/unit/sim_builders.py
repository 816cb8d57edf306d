"""Requests and worlds for the tests of the simulator: defaults for all, override one."""

import hashlib
import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

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


RULES = Scenario().auth


def make_world(
    changes: Mapping[str, object] | None = None,
    *,
    unsettled: Unsettled | None = None,
    online: str = "",
    platform: Mapping[str, object] | None = None,
    **more: object,
) -> World:
    """Build a world of one calm app, with an online version if one is named.

    `platform` is more of the scenario.
    """
    foreign = [ForeignPackage(version=online, status=1)] if online else []
    behaviour = CALM.changed({"foreign": foreign, **(changes or {}), **more})
    whole = {"behaviour": behaviour, "unsettled": unsettled or Unsettled(), **(platform or {})}
    scenario = Scenario.model_validate(whole)
    world = World.from_scenario(scenario, [APP])
    world.packages(APP, 0.0)
    return world


def ext_json(app_id: str = APP, **more: object) -> str:
    return json.dumps({"extEnable": True, "extAppid": app_id, "ext": {}, **more})


def get(world: World, path: str, **params: str) -> Request:
    return Request("GET", BASE + path, {"access_token": world.tokens[APP], **params})


def post(world: World, path: str, **form: str) -> Request:
    return Request("POST", BASE + path, {"access_token": world.tokens[APP]}, form)


def tp_token(world: World, now: float = 0.0) -> str:
    """Get a TP token the lawful way."""
    token = world.desk.tp_token(world.desk.client_id, world.desk.ticket(now), now)
    assert isinstance(token, str)
    return token


def oauth(token: str, grant: str, **params: str) -> Request:
    query = {"access_token": token, "grant_type": f"app_to_tp_{grant}", **params}
    return Request("GET", "/rest/2.0/oauth/token", query)


def refresh(token: str, refresh_token: str) -> Request:
    return oauth(token, "refresh_token", refresh_token=refresh_token)


def exchange(token: str, code: str) -> Request:
    return oauth(token, "authorization_code", code=code)


def tp_get(token: str, path: str, **params: str) -> Request:
    return Request("GET", BASE + path, {"access_token": token, **params})


def retrieve(token: str, app_id: str = APP) -> Request:
    path = f"{BASE}auth/retrieve/authorizationcode"
    return Request("POST", path, {"access_token": token}, {"app_id": app_id})


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


def opened(content: str) -> dict[str, object]:
    """Return the message of a sealed text: read here once more, as the notes have it."""
    key = b64decode(RULES.push_aes_key + "=")
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    plain = decryptor.update(b64decode(content)) + decryptor.finalize()
    padding = plain[-1]
    assert 1 <= padding <= 32
    assert plain[-padding:] == bytes([padding]) * padding
    length = int.from_bytes(plain[16:20], "big")
    assert plain[20 + length : -padding] == str(RULES.tp_app_id).encode()
    message = json.loads(plain[20 : 20 + length])
    assert isinstance(message, dict)
    return message


def is_signed(body: bytes) -> bool:
    outer = json.loads(body)
    parts = sorted([RULES.push_token, outer["TimeStamp"], outer["Nonce"], outer["Encrypt"]])
    digest = hashlib.sha1("".join(parts).encode(), usedforsecurity=False)
    return bool(outer["MsgSignature"] == digest.hexdigest())


def read_push(body: bytes) -> dict[str, object]:
    return opened(json.loads(body)["Encrypt"])
