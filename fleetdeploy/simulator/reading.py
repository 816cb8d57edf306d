"""Reads the parameters of a request, strictly; what is wrong becomes a `Refusal`.

Parameters may come in the query or in a urlencoded body, as every official source does one or the
other (platform-api.md 1); a body of another kind counts as none.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fleetdeploy.simulator.endpoints import SMARTAPP, Endpoint, Holder, Route
from fleetdeploy.simulator.rows import BAD_PARAMETER, EXT_JSON_UNREADABLE, Refusal, UploadWish
from fleetdeploy.transport import Request

_NO_TOKEN: Final = Refusal(100, "Invalid parameter", gateway=True, violation=True)
_UNKNOWN_METHOD: Final = Refusal(3, "Unsupported openapi method", gateway=True, violation=True)
_NO_SUCH_PAGE: Final = Refusal(404, "页面不存在", violation=True)
_WRONG_METHOD: Final = Refusal(501, "请求方式不支持", violation=True)
_UNREADABLE: Final = Refusal(EXT_JSON_UNREADABLE, "EXT_JSON字段包含无法解析字符", violation=True)
_MAX_ID_DIGITS: Final = 18
"""Ids are 64-bit numbers on the platform."""

Params = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of any call, read; `status` is the `type` of `getdetail`."""

    package_id: int | None = None
    status: int | None = None
    remark: str = ""
    wish: UploadWish | None = None


def params_of(request: Request) -> dict[str, str]:
    return {**request.query, **(request.form or {})}


def misdirected(request: Request, route: Route | None, params: Params) -> Refusal | None:
    """Check what a gateway checks: the path, the method, and that there is a token at all."""
    if route is None:
        return _NO_SUCH_PAGE if request.path.startswith(SMARTAPP) else _UNKNOWN_METHOD
    if not params.get("access_token") and route.holder is not Holder.NOBODY:
        return _NO_TOKEN
    return None if request.method == route.method else _WRONG_METHOD


def read(route: Route, params: Params, app_id: str) -> Asked | Refusal:
    """Read the parameters of a call that an app's token is good for."""
    for name in route.required:
        if not params.get(name):
            return bad(f"缺少参数 {name}")
    if route.endpoint is Endpoint.UPLOAD:
        return _read_upload(params, app_id)
    numbers: dict[str, int | None] = {}
    for name in ("package_id", "type"):
        numbers[name] = number(params.get(name, ""))
        if numbers[name] is None and params.get(name):
            return bad(f"{name} 不是数字")
    return Asked(numbers["package_id"], numbers["type"], params.get("remark", ""))


def _read_upload(params: Params, app_id: str) -> Asked | Refusal:
    template_id = params["template_id"]
    if number(template_id) is None:
        return bad("template_id 不是数字")
    ext_json = _object(params["ext_json"])
    if ext_json is None:
        return _UNREADABLE
    if not isinstance(ext_json.get("extEnable"), bool):
        return bad("ext_json 缺少布尔值 extEnable")
    if not _names(ext_json.get("extAppid"), app_id):
        return bad("ext_json 的 extAppid 与授权小程序不一致")
    # The table says text, all samples are booleans (platform-api.md 7).
    direct_commit = ext_json.get("directCommit", False)
    if not isinstance(direct_commit, bool) and direct_commit not in ("true", "false"):
        return bad("ext_json 的 directCommit 不是布尔值")
    wish = UploadWish(
        template_id=template_id,
        version=params["user_version"],
        description=params["user_desc"],
        direct_commit=direct_commit in (True, "true"),
    )
    return Asked(wish=wish)


def _object(text: str) -> dict[str, object] | None:
    """Parse a JSON object; None for everything else, `NaN` and endless nesting included."""
    try:
        parsed: object = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _names(value: object, app_id: str) -> bool:
    """Say whether `extAppid`, a number or text, is this app's id."""
    return isinstance(value, (int, str)) and not isinstance(value, bool) and str(value) == app_id


def number(text: str) -> int | None:
    short = len(text) <= _MAX_ID_DIGITS
    return int(text) if short and text.isascii() and text.isdigit() else None


def bad(what: str) -> Refusal:
    return Refusal(BAD_PARAMETER, f"参数错误：{what}", violation=True)
