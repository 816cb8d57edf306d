"""The bodies that the simulated platform answers with, built by hand from the documented samples.

Types follow the samples where documents disagree (platform-api.md 1): `package_id` is a number,
`remark` is text.
"""

import json
import time
from collections.abc import Mapping
from typing import Final

from fleetdeploy.model import UploadStatus
from fleetdeploy.simulator.behaviour import Behaviour, CategoryState
from fleetdeploy.simulator.rows import (
    GATEWAY_TOKEN_EXPIRED,
    GATEWAY_TOKEN_INVALID,
    QuotaState,
    Refusal,
    Row,
)
from fleetdeploy.transport import Reply

_BEIJING_S: Final = 8 * 3600
"""`commit_time` carries no zone; the platform's own is likely (platform-api.md 9)."""

_JSON: Final = {"content-type": "application/json; charset=utf-8"}
_UPLOAD_STATUS_TEXT: Final = {UploadStatus.UPLOADING: "上传中", UploadStatus.FAILED: "上传失败"}
_UPLOAD_ERROR_TEXT: Final = {
    -1: "未知错误",
    40001: "参数错误",
    69009: "提包服务暂时不可用，请稍后重试",
    69010: "模板文件解析出错",
}
_CATEGORY_STATUS: Final = {
    CategoryState.IN_REVIEW: 1,
    CategoryState.APPROVED: 2,
    CategoryState.NOT_APPROVED: 3,
}
_PASSED, _IN_REVIEW, _FAILED = 1, 2, 3

_ERROR_PAGE: Final = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)

Json = Mapping[str, object]


def success(data: object = None) -> Reply:
    """Answer `errno` 0; calls that change something carry no `data`."""
    body: dict[str, object] = {"errno": 0, "msg": "success"}
    if data is not None:
        body["data"] = data
    return as_json(body)


def refused(refusal: Refusal, *, token_error_http: int = 200) -> Reply:
    """Answer in the shape of the layer that refuses (platform-api.md 5.1)."""
    if refusal.oauth:
        return as_json({"error": refusal.oauth, "error_description": refusal.msg}, status=400)
    if not refusal.gateway:
        return as_json({"errno": refusal.errno, "msg": refusal.msg})
    about_token = refusal.errno in {GATEWAY_TOKEN_INVALID, GATEWAY_TOKEN_EXPIRED}
    return as_json(
        {"error_code": refusal.errno, "error_msg": refusal.msg},
        status=token_error_http if about_token else 200,
    )


def as_json(body: Json, *, status: int = 200) -> Reply:
    # A lone surrogate cannot be encoded; such text is a client's own and comes back as a `?`.
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Reply(status, raw, _JSON)


def too_many_requests(retry_after_s: int | None) -> Reply:
    headers = {} if retry_after_s is None else {"retry-after": str(retry_after_s)}
    return Reply(429, b"Too Many Requests", {"content-type": "text/plain", **headers})


def error_page() -> Reply:
    return Reply(502, _ERROR_PAGE, {"content-type": "text/html"})


def list_row(row: Row, unix: float) -> Json:
    """Write a row of `package/get`; one that is not built has neither id nor status."""
    if row.upload_status is not None:
        return _unbuilt_row(row, unix)
    return {**detail(row, unix), "rollback_version": row.rollback_version}


def detail(row: Row, unix: float) -> Json:
    """Write one package as `getdetail` does."""
    return {
        "version": row.version,
        "remark": row.remark,
        "msg": row.audit_message,
        "committer": row.committer,
        "status": row.status,
        "commit_time": commit_time(unix),
        "version_desc": row.description,
        "package_id": row.package_id,
    }


def _unbuilt_row(row: Row, unix: float) -> Json:
    assert row.upload_status is not None, "only rows that are not built come here"
    body: dict[str, object] = {
        "version": row.version,
        "commit_time": commit_time(unix),
        "version_desc": row.description,
        "upload_status": int(row.upload_status),
        "upload_status_desc": _UPLOAD_STATUS_TEXT[row.upload_status],
    }
    if row.upload_error is not None:
        body["upload_err_code"] = row.upload_error
        body["upload_err_msg"] = _UPLOAD_ERROR_TEXT[row.upload_error]
    return body


def commit_time(unix: float) -> str:
    return time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime(unix + _BEIJING_S))


def quota(state: QuotaState) -> Json:
    """Write the audit quota; `quota_type` 2 means a week."""
    return {"quota_type": 2, "quota_times": state.times, "remain_times": state.remaining}


def app_info(app_id: str, behaviour: Behaviour) -> Json:
    """Write what `app/info` tells of an app (platform-api.md 2.3)."""
    number: object = int(app_id) if app_id.isascii() and app_id.isdigit() else app_id
    body: dict[str, object] = {
        "app_id": number,
        "app_name": f"小程序{app_id}",
        "app_key": f"key{app_id}",
        "app_desc": "",
        "photo_addr": "[]",
        "status": behaviour.status,
        "qualification": {
            "name": f"主体{app_id}",
            "type": 2,
            "status": _PASSED if behaviour.entity_approved else _IN_REVIEW,
            "ad_type": 1 if behaviour.authenticity_passed else 0,
            "ad_status": _PASSED if behaviour.authenticity_passed else _FAILED,
        },
        "category": [_category(behaviour)],
        "auth_info": [
            {"scope_name": "开发管理", "type": 0},
            {"scope_name": "基础信息设置", "type": 0},
        ],
        "min_swan_version": "",
        "web_status": 0,
    }
    if not behaviour.name_approved:
        body["audit_info"] = {
            "audit_app_name": f"小程序{app_id}",
            "audit_app_name_status": 1,
            "audit_app_name_reason": "",
        }
    return body


def _category(behaviour: Behaviour) -> Json:
    failed = behaviour.category is CategoryState.NOT_APPROVED
    return {
        "category_id": 42,
        "category_name": "点餐",
        "category_desc": "",
        "audit_status": _CATEGORY_STATUS[behaviour.category],
        "reason": "资质不全" if failed else "",
        "parent": {"category_id": 4, "category_name": "餐饮", "category_desc": ""},
    }
