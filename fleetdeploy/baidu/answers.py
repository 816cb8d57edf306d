"""From the `data` of an answer to typed values; knows nothing of HTTP, errors or tokens.

Every function takes parsed JSON of any shape and raises `ValueError`, naming the field and never
its content, where it cannot be what the platform documents. What decides something (ids, states,
versions) is read strictly: a row misread could be taken for somebody else's. What only informs is
left out if it makes no sense.
"""

import re
from typing import Final

from fleetdeploy.model import AppInfo, AuditQuota, Category, Package

INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
LIMIT: Final = 10**18
"""Ids and codes are 64-bit integers at most; beyond lies only garbage."""
UNLIMITED: Final = -1
"""As `remain_times` (platform-api.md 6)."""


def packages_from(data: object) -> tuple[Package, ...]:
    """Read the list; documented as an object and sent as an array (platform-api.md 1)."""
    if data is None or data == {}:
        return ()
    rows = data if isinstance(data, list) else [data]
    return tuple(_package(_object(row, "a package")) for row in rows)


def package_from(data: object) -> Package:
    row = data[0] if isinstance(data, list) and len(data) == 1 else data
    return _package(_object(row, "the package"))


def _package(row: dict[str, object]) -> Package:
    """Read one row; one still uploading has no id and no status (platform-api.md 1.1)."""
    return Package(
        version=_said(row, "version"),
        description=_said(row, "version_desc"),
        package_id=_id(row, "package_id"),
        status=_code(row, "status"),
        upload_status=_code(row, "upload_status"),
        upload_status_text=_told(row, "upload_status_desc"),
        upload_error_code=number_or_none(row.get("upload_err_code")),
        upload_error_message=_told(row, "upload_err_msg"),
        committer=_told(row, "committer"),
        commit_time=_told(row, "commit_time"),
        remark=_told(row, "remark"),
        audit_message=_told(row, "msg"),
        rollback_version=_told(row, "rollback_version"),
    )


def quota_from(data: object) -> AuditQuota:
    row = _object(data, "the quota")
    remaining = _required(row, "remain_times")
    if remaining < UNLIMITED:
        raise ValueError("`remain_times` is negative")
    return AuditQuota(
        quota_type=_required(row, "quota_type"),
        total=_required(row, "quota_times"),
        remaining=None if remaining == UNLIMITED else remaining,
    )


def app_info_from(data: object) -> AppInfo:
    """Read what the platform says of an app (platform-api.md 2.3), None where it says nothing."""
    row = _object(data, "the app")
    qualification = _part(row, "qualification")
    # Both spellings are documented.
    approved = [qualification[name] for name in ("status", "satus") if name in qualification]
    return AppInfo(
        app_id=_id(row, "app_id") or "",
        name=_told(row, "app_name"),
        status=number_or_none(row.get("status")),
        qualification_status=number_or_none(approved[0] if approved else None),
        authenticity_status=number_or_none(qualification.get("ad_status")),
        name_audit_status=number_or_none(_part(row, "audit_info").get("audit_app_name_status")),
        categories=tuple(_category(category) for category in _parts(row, "category")),
        scopes=tuple(_told(scope, "scope_name") for scope in _parts(row, "auth_info")),
    )


def _category(row: dict[str, object]) -> Category:
    return Category(
        name=_told(row, "category_name"),
        audit_status=number_or_none(row.get("audit_status")),
        reason=_told(row, "reason"),
    )


def number_or_none(value: object) -> int | None:
    """Return an integer given as a number or as numeric text; a float or a boolean is neither."""
    if isinstance(value, str) and INTEGER.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -LIMIT < value < LIMIT:
        return value
    return None


def text_of(value: object) -> str | None:
    """Return a text that can be written anywhere as UTF-8, or None for what is not a text."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    number = number_or_none(value)
    return None if number is None else str(number)


def _told(row: dict[str, object], name: str) -> str:
    """Read a text that only informs."""
    return text_of(row.get(name)) or ""


def _said(row: dict[str, object], name: str) -> str:
    """Read a text that decides; missing and null are empty."""
    value = row.get(name)
    text = "" if value is None else text_of(value)
    if text is None:
        raise ValueError(f"`{name}` is not a text")
    return text


def _code(row: dict[str, object], name: str) -> int | None:
    """Read a code that decides; unknown ones are kept, missing, null and empty are None."""
    value = row.get(name)
    if value is None or value == "":
        return None
    number = number_or_none(value)
    if number is None:
        raise ValueError(f"`{name}` is neither a number nor numeric text")
    return number


def _id(row: dict[str, object], name: str) -> str | None:
    """Read an id as decimal digits; missing, null, empty and 0 are no id."""
    number = _code(row, name)
    if number is not None and number < 0:
        raise ValueError(f"`{name}` is negative")
    return str(number) if number else None


def _required(row: dict[str, object], name: str) -> int:
    number = _code(row, name)
    if number is None:
        raise ValueError(f"`{name}` is missing")
    return number


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not an object")  # noqa: TRY004  # garbage, not a bug
    return value


def _part(row: dict[str, object], name: str) -> dict[str, object]:
    """Read an object that only informs; anything else is an empty one."""
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def _parts(row: dict[str, object], name: str) -> list[dict[str, object]]:
    value = row.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
