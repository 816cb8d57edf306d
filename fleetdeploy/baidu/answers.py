"""From the `data` of an answer to typed values; knows nothing of HTTP, errors or tokens.

Every function takes parsed JSON of any shape and raises `ValueError`, naming the field and never
its content, where it cannot be what the platform documents. What decides something (ids, states,
versions) is read strictly: a row misread could be taken for somebody else's. What only informs is
left out if it makes no sense.
"""

from typing import Final

from fleetdeploy.baidu.documents import (
    code_in,
    id_in,
    number_or_none,
    object_of,
    part,
    parts,
    required,
    said,
    told,
)
from fleetdeploy.model import AppInfo, AuditQuota, Category, Package

UNLIMITED: Final = -1
"""As `remain_times` (platform-api.md 6)."""


def packages_from(data: object) -> tuple[Package, ...]:
    """Read the list; documented as an object and sent as an array (platform-api.md 1)."""
    if data is None or data == {}:
        return ()
    rows = data if isinstance(data, list) else [data]
    return tuple(_package(object_of(row, "a package")) for row in rows)


def package_from(data: object) -> Package:
    row = data[0] if isinstance(data, list) and len(data) == 1 else data
    return _package(object_of(row, "the package"))


def _package(row: dict[str, object]) -> Package:
    """Read one row; one still uploading has no id and no status (platform-api.md 1.1).

    Every documented row has a version. Something else, taken for one, would hide our package, and
    what goes unseen is sent again.
    """
    if row.get("version") is None and row.get("package_id") is None:
        raise ValueError("a package has neither a `version` nor a `package_id`")
    return Package(
        version=said(row, "version"),
        description=said(row, "version_desc"),
        package_id=id_in(row, "package_id"),
        status=code_in(row, "status"),
        upload_status=code_in(row, "upload_status"),
        upload_status_text=told(row, "upload_status_desc"),
        upload_error_code=number_or_none(row.get("upload_err_code")),
        upload_error_message=told(row, "upload_err_msg"),
        committer=told(row, "committer"),
        commit_time=told(row, "commit_time"),
        remark=told(row, "remark"),
        audit_message=told(row, "msg"),
        rollback_version=told(row, "rollback_version"),
    )


def quota_from(data: object) -> AuditQuota:
    row = object_of(data, "the quota")
    remaining = required(row, "remain_times")
    if remaining < UNLIMITED:
        raise ValueError("`remain_times` is negative")
    return AuditQuota(
        quota_type=required(row, "quota_type"),
        total=required(row, "quota_times"),
        remaining=None if remaining == UNLIMITED else remaining,
    )


def app_info_from(data: object) -> AppInfo:
    """Read what the platform says of an app (platform-api.md 2.3), None where it says nothing."""
    row = object_of(data, "the app")
    qualification = part(row, "qualification")
    # Both spellings are documented.
    approved = [qualification[name] for name in ("status", "satus") if name in qualification]
    return AppInfo(
        app_id=id_in(row, "app_id") or "",
        name=told(row, "app_name"),
        status=number_or_none(row.get("status")),
        qualification_status=number_or_none(approved[0] if approved else None),
        authenticity_status=number_or_none(qualification.get("ad_status")),
        name_audit_status=number_or_none(part(row, "audit_info").get("audit_app_name_status")),
        categories=tuple(_category(category) for category in parts(row, "category")),
        scopes=tuple(told(scope, "scope_name") for scope in parts(row, "auth_info")),
    )


def _category(row: dict[str, object]) -> Category:
    return Category(
        name=told(row, "category_name"),
        audit_status=number_or_none(row.get("audit_status")),
        reason=told(row, "reason"),
    )
