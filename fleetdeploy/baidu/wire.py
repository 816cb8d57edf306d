"""What the package endpoints are asked (platform-api.md 1), each beside the reader of its answer.

A codec without IO: it makes a `Request` and names the function of `replies.py` that reads the
`Reply`; it sends nothing, waits for nothing and retries nothing.

Parameters go where the platform's own SDKs put them: the token into the query, the rest into an
urlencoded form, so that no `ext_json` ends up in a URL.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Generic, TypeVar

from fleetdeploy.baidu import replies
from fleetdeploy.baidu.errno import own_error
from fleetdeploy.model import AppInfo, AuditNote, AuditQuota, Bundle, Package
from fleetdeploy.transport import Reply, Request

T_co = TypeVar("T_co", covariant=True)

ROOT: Final = "/rest/2.0/smartapp"


class Endpoint(StrEnum):
    """The calls, by the names that limits and counts use."""

    UPLOAD = "upload"
    SUBMIT_AUDIT = "submit_audit"
    RELEASE = "release"
    ROLLBACK = "rollback"
    WITHDRAW = "withdraw"
    PACKAGES = "packages"
    PACKAGE_DETAIL = "package_detail"
    AUDIT_QUOTA = "audit_quota"
    APP_INFO = "app_info"


CHANGES: Mapping[Endpoint, str] = {
    Endpoint.UPLOAD: f"{ROOT}/package/upload",
    Endpoint.SUBMIT_AUDIT: f"{ROOT}/package/submitaudit",
    Endpoint.RELEASE: f"{ROOT}/package/release",
    Endpoint.ROLLBACK: f"{ROOT}/package/rollback",
    Endpoint.WITHDRAW: f"{ROOT}/package/withdraw",
}
READS: Mapping[Endpoint, str] = {
    Endpoint.PACKAGES: f"{ROOT}/package/get",
    Endpoint.PACKAGE_DETAIL: f"{ROOT}/package/getdetail",
    Endpoint.AUDIT_QUOTA: f"{ROOT}/package/auditquota",
    Endpoint.APP_INFO: f"{ROOT}/app/info",
}


@dataclass(frozen=True, slots=True)
class Operation(Generic[T_co]):
    """One call: what is asked besides the token, and how the answer is read."""

    endpoint: Endpoint
    parameters: Mapping[str, str] = field(repr=False)
    read: Callable[[Reply], T_co] = field(repr=False)

    @property
    def changes(self) -> bool:
        return self.endpoint in CHANGES

    def request(self, token: str) -> Request:
        """Build the request; a text that UTF-8 cannot carry is a `RequestRefused`."""
        _check_encodable(self.parameters)
        query = {"access_token": token}
        if self.changes:
            return Request("POST", CHANGES[self.endpoint], query, dict(self.parameters))
        return Request("GET", READS[self.endpoint], {**query, **self.parameters})


def upload(bundle: Bundle) -> Operation[None]:
    # The answer holds no package id, in any source (platform-api.md 1): the list shows it.
    parameters = {
        "template_id": bundle.template_id,
        "ext_json": bundle.ext_json,
        "user_version": bundle.version,
        "user_desc": bundle.description,
    }
    return Operation(Endpoint.UPLOAD, parameters, replies.read_done)


def submit_audit(package_id: str, note: AuditNote) -> Operation[None]:
    parameters = {"package_id": package_id, "content": note.content, "remark": note.remark}
    return Operation(Endpoint.SUBMIT_AUDIT, parameters, replies.read_done)


def release(package_id: str) -> Operation[None]:
    return Operation(Endpoint.RELEASE, {"package_id": package_id}, replies.read_done)


def rollback(package_id: str) -> Operation[None]:
    """Ask for the version before; `package_id` is the package now online (platform-api.md 1)."""
    return Operation(Endpoint.ROLLBACK, {"package_id": package_id}, replies.read_done)


def withdraw(package_id: str) -> Operation[None]:
    return Operation(Endpoint.WITHDRAW, {"package_id": package_id}, replies.read_done)


def packages() -> Operation[tuple[Package, ...]]:
    return Operation(Endpoint.PACKAGES, {}, replies.read_packages)


def package_detail(package_id: str | None) -> Operation[Package]:
    parameters = {} if package_id is None else {"package_id": package_id}
    return Operation(Endpoint.PACKAGE_DETAIL, parameters, replies.read_package)


def audit_quota() -> Operation[AuditQuota]:
    return Operation(Endpoint.AUDIT_QUOTA, {}, replies.read_quota)


def app_info() -> Operation[AppInfo]:
    return Operation(Endpoint.APP_INFO, {}, replies.read_app_info)


def _check_encodable(parameters: Mapping[str, str]) -> None:
    for name, value in parameters.items():
        if value.encode("utf-8", "replace") != value.encode("utf-8", "surrogatepass"):
            raise own_error("request.unencodable", name)
