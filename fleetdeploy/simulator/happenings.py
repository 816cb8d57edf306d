"""What the platform tells of by pushes: which events, and what their messages say.

Pure: when a push goes out, and what becomes of it, is not known here (platform-api.md 4.3).
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from fleetdeploy.model import PackageStatus
from fleetdeploy.simulator.behaviour import Authorization, Behaviour, CategoryState
from fleetdeploy.simulator.rows import Row

TICKET: Final = "ticket"
AUTHORIZED: Final = "AUTHORIZED"
UPDATE_AUTHORIZED: Final = "UPDATE_AUTHORIZED"
UNAUTHORIZED: Final = "UNAUTHORIZED"
WITH_CODE: Final = frozenset({AUTHORIZED, UPDATE_AUTHORIZED})

FORCED_OFFLINE: Final = 5
"""As the app's own status."""
_BEIJING_S: Final = 8 * 3600
"""`eventTime` carries no zone; the platform's own is likely (platform-api.md 9)."""

Details = Mapping[str, object]


class PushStatus(IntEnum):
    """As the list of pushes shows it (platform-api.md 2.2)."""

    PENDING = 0
    DELIVERED = 1
    FAILED = 2


@dataclass(slots=True, eq=False)
class Push:
    """One message to the third-party platform; `at` is when, on the clock of the wire.

    `unix` is the time of day that the message itself tells. `details` may hold a ticket or a code.
    """

    number: int
    at: float
    unix: float
    event: str
    app_id: str = ""
    details: Details = field(default_factory=dict, repr=False)
    status: PushStatus = PushStatus.PENDING


@dataclass(frozen=True, slots=True)
class Happening:
    """Something to tell of."""

    app_id: str
    event: str
    details: Details = field(default_factory=dict, repr=False)


def message(push: Push, tp_app_id: int) -> str:
    """Write what is sealed, as the documented samples have it."""
    if push.event == TICKET:
        body: dict[str, object] = {
            **push.details,
            "FromUserName": "SmartAPP",
            "CreateTime": int(push.unix),
            "MsgType": "ticket",
            "Event": "push",
        }
    else:
        body = {
            "appId": _number(push.app_id),
            "tpAppId": tp_app_id,
            "eventTime": event_time(push.unix),
            "event": push.event,
            **push.details,
        }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def event_time(unix: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(unix + _BEIJING_S))


def verdict(app_id: str, row: Row, *, named: bool) -> Happening:
    """Tell of a reviewer's verdict; `named` says which package it is about."""
    passed = row.status == PackageStatus.AUDIT_PASSED
    details: dict[str, object] = {} if passed else {"reason": row.audit_message}
    if named:
        details |= {"packageId": row.package_id, "packageVersion": row.version}
    return Happening(app_id, f"PACKAGE_AUDIT_{'PASS' if passed else 'FAIL'}", details)


def changes(app_id: str, before: Behaviour, after: Behaviour) -> Iterator[Happening]:
    """Tell of everything by which an app became another."""
    if before.authorization is not after.authorization:
        yield Happening(app_id, _authorization(before, after))
    if after.name_approved and not before.name_approved:
        yield Happening(app_id, "APP_NAME_AUDIT_PASS")
    if before.category is not after.category:
        yield from _category(app_id, after)
    if after.authenticity_passed and not before.authenticity_passed:
        yield Happening(app_id, "ADVANCED_AUDIT_CHANGED", {"adType": 1, "adStatus": 1})
    if after.status == FORCED_OFFLINE != before.status:
        details = {"reason": "内容违规", "offlineReason": 2, "illegalFields": ""}
        yield Happening(app_id, "APP_FORCE_OFFLINE", details)


def _authorization(before: Behaviour, after: Behaviour) -> str:
    if after.authorization is Authorization.WITHDRAWN:
        return UNAUTHORIZED
    returns = before.authorization is Authorization.WITHDRAWN
    return AUTHORIZED if returns else UPDATE_AUTHORIZED


def _category(app_id: str, after: Behaviour) -> Iterator[Happening]:
    match after.category:
        case CategoryState.APPROVED:
            yield Happening(app_id, "APP_CATEGORY_AUDIT_PASS")
        case CategoryState.NOT_APPROVED:
            yield Happening(app_id, "APP_CATEGORY_AUDIT_FAIL", {"reason": "资质不全"})
        case CategoryState.IN_REVIEW:
            pass  # Nobody has decided anything.


def _number(app_id: str) -> object:
    return int(app_id) if app_id.isascii() and app_id.isdigit() else app_id
