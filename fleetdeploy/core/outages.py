"""What counts as an outage of a service, and what the journal tells of one; pure.

An outage is trouble that is nobody's own: several apps in a row meet it at one service. When it
begins and ends is for `breaker.py` to say; here is which results speak for it, and which steps
need which service.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from fleetdeploy.core import endings
from fleetdeploy.core.records import (
    AnyAppRecord,
    ErrorNote,
    OutageBegan,
    OutageEnded,
    OutageRecord,
    StepDoubted,
    StepFailed,
    StepSucceeded,
)
from fleetdeploy.errors import IllegalTransition
from fleetdeploy.model import Service, Step

TROUBLE: Final = frozenset(
    {
        "transport.not_connected",
        "transport.timeout",
        "transport.cut_off",
        "transport.reply_too_large",
        "platform.http_status",
        "platform.redirected",
        "platform.reply_malformed",
        "platform.server_fault",
        "platform.degraded",
        "platform.service_unavailable",
        endings.UPLOAD_UNAVAILABLE.code,
        endings.IN_DOUBT.code,
        endings.OUTLIVED.code,
    }
)
"""Codes of what is nobody's own fault; a refusal, also one for the rate, is an answer."""

SERVICE_OF: Final[Mapping[Step, Service]] = {
    Step.UPLOAD: Service.UPLOAD,
    Step.AWAIT_UPLOAD: Service.BUILD,
    Step.SUBMIT_AUDIT: Service.AUDIT,
    Step.RELEASE: Service.RELEASE,
    Step.ROLLBACK: Service.RELEASE,
    Step.WITHDRAW: Service.AUDIT,
}
"""Which service a step's result speaks for; the other waits are for people, or for a read."""

NEEDED_BY: Final[Mapping[Step, tuple[Service, ...]]] = {
    Step.UPLOAD: (Service.UPLOAD, Service.BUILD),
    Step.SUBMIT_AUDIT: (Service.AUDIT,),
    Step.RELEASE: (Service.RELEASE,),
    Step.ROLLBACK: (Service.RELEASE,),
    Step.WITHDRAW: (Service.AUDIT,),
}
"""What has to be there before a step is sent, besides the platform as a whole."""


def is_trouble(code: str) -> bool:
    return code in TROUBLE


def service_of_trouble(record: AnyAppRecord) -> Service | None:
    """Return the service that a record tells of trouble with; None if it tells of none.

    A try that silence settled is none again: its trouble was told when the answer was lost.
    """
    match record:
        case StepDoubted() | StepFailed(settled=False) if is_trouble(record.error.code):
            return SERVICE_OF.get(record.step)
        case _:
            return None


def service_of_success(record: AnyAppRecord) -> Service | None:
    """Return the service that a record shows at work; what was read off the platform shows none."""
    if isinstance(record, StepSucceeded) and not record.settled:
        return SERVICE_OF.get(record.step)
    return None


@dataclass(frozen=True, slots=True)
class Outage:
    """One outage as the journal tells it; `until` is None while it lasts."""

    service: Service
    since: datetime
    error: ErrorNote
    until: datetime | None = None


def out_now(outages: Iterable[Outage]) -> dict[Service, Outage]:
    return {outage.service: outage for outage in outages if outage.until is None}


def check_outage(outages: Sequence[Outage], record: OutageRecord) -> None:
    """Raise `IllegalTransition` where what begins is on already, or what ends is not."""
    if (record.service in out_now(outages)) is isinstance(record, OutageBegan):
        raise IllegalTransition(f"{record.kind} of {record.service} cannot come here")


def with_outage(outages: Sequence[Outage], record: OutageRecord, at: datetime) -> list[Outage]:
    """Return the outages of a run after a record; it must have been checked."""
    match record:
        case OutageBegan():
            return [*outages, Outage(record.service, at, record.error)]
        case OutageEnded():
            over = out_now(outages)[record.service]
            return [replace(one, until=at) if one is over else one for one in outages]
