"""The endpoints that the simulator knows (platform-api.md 1 and 2.3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Endpoint(StrEnum):
    """The names that limits and counts use too: in faults, counts and reports."""

    UPLOAD = "upload"
    PACKAGES = "packages"
    PACKAGE_DETAIL = "package_detail"
    SUBMIT_AUDIT = "submit_audit"
    AUDIT_QUOTA = "audit_quota"
    WITHDRAW = "withdraw"
    RELEASE = "release"
    ROLLBACK = "rollback"
    APP_INFO = "app_info"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Route:
    endpoint: Endpoint
    method: str
    required: tuple[str, ...] = ()


SMARTAPP: Final = "/rest/2.0/smartapp/"
_PACKAGE: Final = f"{SMARTAPP}package/"

ROUTES: Final[Mapping[str, Route]] = {
    f"{_PACKAGE}upload": Route(
        Endpoint.UPLOAD, "POST", ("template_id", "ext_json", "user_version", "user_desc")
    ),
    f"{_PACKAGE}get": Route(Endpoint.PACKAGES, "GET"),
    f"{_PACKAGE}getdetail": Route(Endpoint.PACKAGE_DETAIL, "GET"),
    f"{_PACKAGE}submitaudit": Route(
        Endpoint.SUBMIT_AUDIT, "POST", ("package_id", "content", "remark")
    ),
    f"{_PACKAGE}auditquota": Route(Endpoint.AUDIT_QUOTA, "GET"),
    f"{_PACKAGE}withdraw": Route(Endpoint.WITHDRAW, "POST", ("package_id",)),
    f"{_PACKAGE}release": Route(Endpoint.RELEASE, "POST", ("package_id",)),
    f"{_PACKAGE}rollback": Route(Endpoint.ROLLBACK, "POST", ("package_id",)),
    f"{SMARTAPP}app/info": Route(Endpoint.APP_INFO, "GET"),
}
