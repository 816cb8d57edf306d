"""The endpoints that the simulator knows (platform-api.md 1, 2.1 to 2.3 and 3)."""

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
    TP_TOKEN = "tp_token"  # noqa: S105 - a name
    PRE_AUTH_CODE = "pre_auth_code"
    EXCHANGE_CODE = "exchange_code"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - a name
    RETRIEVE_CODE = "retrieve_code"
    TEMPLATES = "templates"
    PUSHES = "pushes"
    UNKNOWN = "unknown"


class Holder(StrEnum):
    """Whose token a call takes."""

    APP = "app"
    TP = "tp"
    NOBODY = "nobody"
    """It is the call that gives one out."""


@dataclass(frozen=True, slots=True)
class Route:
    endpoint: Endpoint
    method: str
    required: tuple[str, ...] = ()
    holder: Holder = Holder.APP


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
"""The calls with an app's token, by path."""

OAUTH: Final = "/rest/2.0/oauth/token"

AUTH_ROUTES: Final[Mapping[str, Route]] = {
    "/public/2.0/smartapp/auth/tp/token": Route(
        Endpoint.TP_TOKEN, "GET", ("client_id", "ticket"), Holder.NOBODY
    ),
    f"{SMARTAPP}tp/createpreauthcode": Route(Endpoint.PRE_AUTH_CODE, "GET", (), Holder.TP),
    f"{SMARTAPP}auth/retrieve/authorizationcode": Route(
        Endpoint.RETRIEVE_CODE, "POST", ("app_id",), Holder.TP
    ),
    f"{SMARTAPP}template/gettemplatelist": Route(Endpoint.TEMPLATES, "GET", (), Holder.TP),
    f"{SMARTAPP}pushmsg/getmsg": Route(Endpoint.PUSHES, "GET", (), Holder.TP),
    OAUTH: Route(Endpoint.UNKNOWN, "GET", (), Holder.TP),
}
"""The calls of the third-party platform, by path."""

_GRANT_ROUTES: Final[Mapping[str, Route]] = {
    "app_to_tp_authorization_code": Route(Endpoint.EXCHANGE_CODE, "GET", ("code",), Holder.TP),
    "app_to_tp_refresh_token": Route(Endpoint.REFRESH_TOKEN, "GET", ("refresh_token",), Holder.TP),
}


def route_of(path: str, params: Mapping[str, str]) -> Route | None:
    """Find where a request goes; two calls share the OAuth path and differ by `grant_type`."""
    if path == OAUTH:
        return _GRANT_ROUTES.get(params.get("grant_type", ""), AUTH_ROUTES[OAUTH])
    return ROUTES.get(path) or AUTH_ROUTES.get(path)
