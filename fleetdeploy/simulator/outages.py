"""Outages by the clock: a service of the simulated platform, or all of it, is out for a while.

Pure, like the world; what the platform as a whole does then is the transport's to show.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fleetdeploy.simulator.behaviour import Duration, Lifetime, Model, UploadError
from fleetdeploy.simulator.endpoints import Endpoint
from fleetdeploy.simulator.rows import Refusal


class Service(StrEnum):
    """What can be out, and what a client then sees."""

    PLATFORM = "platform"
    """Every call: status 502 with an HTML page, not executed."""
    UPLOAD = "upload"
    """Uploads are refused with 69009."""
    BUILD = "build"
    """Uploads are accepted, and what is to be built meanwhile fails with 69009."""
    AUDIT = "audit"
    """Submissions and withdrawals are refused with 69011."""
    RELEASE = "release"
    """Releases and rollbacks are refused with 69012."""


class ServiceOutage(Model):
    """One outage, in seconds of the world's time since its beginning."""

    service: Service
    from_s: Duration = 0.0
    lasts_s: Lifetime


_REFUSALS: Final[Mapping[Service, Refusal]] = {
    Service.UPLOAD: Refusal(UploadError.SERVICE_DOWN, "提包服务暂时不可用，请稍后重试"),
    Service.AUDIT: Refusal(69011, "审核服务暂时不可用，请稍后重试"),
    Service.RELEASE: Refusal(69012, "发布服务暂时不可用，请稍后重试"),
}
_BEHIND: Final[Mapping[Endpoint, Service]] = {
    Endpoint.UPLOAD: Service.UPLOAD,
    Endpoint.SUBMIT_AUDIT: Service.AUDIT,
    Endpoint.WITHDRAW: Service.AUDIT,
    Endpoint.RELEASE: Service.RELEASE,
    Endpoint.ROLLBACK: Service.RELEASE,
}


@dataclass(frozen=True, slots=True)
class Outages:
    """The outages of a world whose time began at `began`."""

    script: Sequence[ServiceOutage]
    began: float

    def out(self, service: Service, now: float) -> bool:
        since_s = now - self.began
        return any(
            outage.service is service and outage.from_s <= since_s < outage.from_s + outage.lasts_s
            for outage in self.script
        )

    def refusal_of(self, endpoint: Endpoint, now: float) -> Refusal | None:
        """Return what a call is refused with because the service behind it is out."""
        service = _BEHIND.get(endpoint)
        return _REFUSALS[service] if service is not None and self.out(service, now) else None
