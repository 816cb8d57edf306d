"""Judges one app by what the platform says of it: would a run get through? Pure.

The tests for "ready to submit" and "ready to release" are inferred (platform-api.md 2.3), so what
the platform leaves out is unknown here, and never a problem.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fleetdeploy.core.diagnosis import (
    NOT_ASKED,
    OTHER_APP,
    UNCLEAR,
    AppCheckup,
    Check,
    State,
    fine,
    of_error,
    unknown,
    worst,
)
from fleetdeploy.core.library import TEMPLATE_GONE, TEMPLATE_HINT, Library
from fleetdeploy.core.quota import REFUSED, WEEK
from fleetdeploy.errors import FleetRefused, PlatformError, Remedy
from fleetdeploy.model import AppInfo, AuditQuota, Category

APP_CHECKS: Final = (
    "token",
    "scope",
    "status",
    "name",
    "category",
    "entity",
    "authenticity",
    "quota",
    "template",
)
DEVELOPMENT: Final = "开发管理"
"""The scope for packages, by the one sample there is (platform-api.md 2.3)."""

CALLS_SPENT: Final = "as many calls were made as --max-calls allows"
_SPENT_HINT: Final = "raise --max-calls, or choose fewer apps with --only"

_PASSED, _IN_REVIEW, _FAILED = 1, 2, 3
_NAME_IN_REVIEW: Final = 1
_CATEGORY_IN_REVIEW, _CATEGORY_PASSED = 1, 2
_FEE_UNPAID: Final = 7

_SCOPE_CODES: Final = frozenset(
    {"platform.scope_missing", "platform.account_not_permitted", "platform.no_permission"}
)
_TOKEN_CODES: Final = frozenset(
    {
        "platform.token_refused",
        "platform.grant_refused",
        "platform.token_request_refused",
        "platform.authorization_missing",
    }
)
_APP_CODES: Final = frozenset({"platform.app_not_found", "platform.app_state_wrong"})


@dataclass(frozen=True, slots=True)
class AppSeen:
    """What was read of an app: an answer, an error, or None where nobody asked.

    `why_not` says why the app was not asked at all.
    """

    app_id: str
    name: str
    template_id: str
    info: AppInfo | PlatformError | None = None
    quota: AuditQuota | PlatformError | None = None
    why_not: str = ""


def check_app(seen: AppSeen, library: Library) -> AppCheckup:
    """Judge an app; every check is there, whatever could be read."""
    match seen.info:
        case None:
            checks = _not_asked(seen.why_not)
        case AppInfo():
            checks = _from_info(seen.app_id, seen.info)
        case PlatformError():
            checks = _from_error(seen.app_id, seen.info)
    checks = [*checks, _quota(seen), template_check(seen.template_id, library)]
    assert tuple(check.name for check in checks) == APP_CHECKS
    return AppCheckup(app_id=seen.app_id, name=seen.name, state=worst(checks), checks=tuple(checks))


def template_check(template_id: str, library: Library) -> Check:
    """Say whether the app's template is in the library, as far as that could be read."""
    if template_id in library.ids:
        return fine("template", f"template {template_id} is in the library")
    if not library.complete:
        # The check of the whole fleet says why.
        return unknown("template", f"template {template_id}: {library.why_not}")
    found = f"template {template_id} is not in the library"
    return _bad("template", TEMPLATE_GONE, found, TEMPLATE_HINT)


def _not_asked(why_not: str) -> list[Check]:
    hint = _SPENT_HINT if why_not == CALLS_SPENT else ""
    first = unknown("token", f"not asked: {why_not}", code=NOT_ASKED, hint=hint)
    return [first, *_unasked(APP_CHECKS[1:7])]


def _from_error(app_id: str, error: PlatformError) -> list[Check]:
    """Put an error where it belongs; the rest is not known then."""
    names = APP_CHECKS[:7]
    place = _place(error)
    found = of_error(place, error, about=app_id, state=_state(place, error))
    before = [fine("token", "it works")] if place != "token" else []
    rest = _unasked(name for name in names if name != place and (name != "token" or not before))
    by_name = {check.name: check for check in (*before, found, *rest)}
    return [by_name[name] for name in names]


def _place(error: PlatformError) -> str:
    if error.code in _SCOPE_CODES:
        return "scope"
    return "status" if error.code in _APP_CODES else "token"


def _state(place: str, error: PlatformError) -> State | None:
    """Say how bad an error is: one that is not about this app and its token tells nothing of it."""
    if place != "token" or error.remedy is Remedy.PARK or error.code in _TOKEN_CODES:
        return None
    about_token = error.code.startswith("auth.") and not isinstance(error, FleetRefused)
    return None if about_token else State.UNKNOWN


def _unasked(names: Iterable[str]) -> list[Check]:
    return [unknown(name, "not known: the app could not be asked") for name in names]


def _from_info(app_id: str, info: AppInfo) -> list[Check]:
    if info.app_id and info.app_id != app_id:
        found = f"the token belongs to another app, {info.app_id}"
        hint = "correct the tokens file, or type `fleetdeploy auth recover APP`"
        return [_bad("token", OTHER_APP, found, hint), *_unasked(APP_CHECKS[1:7])]
    return [
        fine("token", "it works"),
        _scope(info.scopes),
        _status(info.status),
        _name(info.name, info.name_audit_status),
        _category(info.categories),
        _entity(info.qualification_status),
        _authenticity(info.authenticity_status),
    ]


def _scope(scopes: tuple[str, ...]) -> Check:
    if not scopes:
        return unknown("scope", "the platform names no scopes", code=UNCLEAR)
    if DEVELOPMENT in (scope.strip() for scope in scopes):
        return fine("scope", f"{DEVELOPMENT} is granted")
    return Check(
        name="scope",
        state=State.WARNING,
        code="platform.scope_missing",
        found=f"the scope for packages ({DEVELOPMENT}) is not among those granted",
        hint="its name is not certain; if uploads are refused, have the client authorize again: "
        "`fleetdeploy auth authorize APP --redirect-uri URI` prints the link",
    )


_STATUSES: Final = {
    -1: (State.PROBLEM, "the app is banned"),
    2: (State.WARNING, "the app is in review"),
    4: (State.PROBLEM, "the app's service is paused"),
    5: (State.PROBLEM, "the app was forced offline"),
    6: (State.WARNING, "the app has to be rectified within a time limit"),
    7: (State.WARNING, "the app's traffic is cut"),
}


def _status(status: int | None) -> Check:
    if status is None:
        return unknown("status", "the platform does not say how the app stands", code=UNCLEAR)
    if status == 1:
        return fine("status", "normal")
    state, found = _STATUSES.get(
        status, (State.WARNING, f"a status that nobody explains: {status}")
    )
    code = "platform.app_state_wrong" if status in _STATUSES else UNCLEAR
    hint = "look at the app in the platform's console and mend it with the client"
    return Check(name="status", state=state, code=code, found=found, hint=hint)


def _name(name: str, audit_status: int | None) -> Check:
    if audit_status is None and name.strip():
        return fine("name", "approved, or not in review")
    if audit_status is None:
        return unknown("name", "the platform says nothing of it", code=UNCLEAR)
    found = {
        _NAME_IN_REVIEW: "the app's name is in review",
        _FAILED: "the app's name was refused",
    }
    if audit_status not in found:
        return unknown("name", f"a state that nobody explains: {audit_status}", code=UNCLEAR)
    return _bad(
        "name",
        "platform.name_not_approved",
        found[audit_status],
        "wait for the review of the name or have the client mend it",
    )


def _category(categories: tuple[Category, ...]) -> Check:
    if not categories:
        return unknown("category", "the platform names no category", code=UNCLEAR)
    statuses = {category.audit_status for category in categories}
    if _CATEGORY_IN_REVIEW in statuses:
        return _bad(
            "category",
            "platform.category_in_review",
            "a service category is in review",
            "wait for the review to end",
        )
    if _CATEGORY_PASSED in statuses:
        return fine("category", "approved")
    if _FAILED not in statuses:
        return unknown("category", "the platform does not say whether it is approved", code=UNCLEAR)
    reasons = "; ".join(dict.fromkeys(one.reason for one in categories if one.reason))
    return _bad(
        "category",
        "platform.category_not_approved",
        "no service category is approved",
        "have the client mend the category in the console",
        reasons,
    )


_ENTITY: Final = {
    0: "nobody has begun the entity's qualification",
    _IN_REVIEW: "the entity's qualification is in review",
    _FAILED: "the entity's qualification was refused",
    4: "the entity's qualification could not be handed in",
}


def _entity(status: int | None) -> Check:
    if status == _PASSED:
        return fine("entity", "approved")
    if status not in _ENTITY:
        return unknown("entity", _unexplained(status), code=UNCLEAR)
    return _bad(
        "entity",
        "platform.entity_not_approved",
        _ENTITY[status],
        "have the client complete the qualification in the console",
    )


def _authenticity(status: int | None) -> Check:
    if status == _PASSED:
        return fine("authenticity", "passed")
    if status is None:
        return unknown("authenticity", _unexplained(status), code=UNCLEAR)
    unpaid = status == _FEE_UNPAID
    return _bad(
        "authenticity",
        "platform.authenticity_missing",
        "the authenticity check is done and its fee is not paid"
        if unpaid
        else "the authenticity check (real name) is not passed: releases are refused",
        "have the client complete and pay the authenticity check",
    )


def _unexplained(status: int | None) -> str:
    if status is None:
        return "the platform says nothing of it"
    return f"a state that nobody explains: {status}"


def _quota(seen: AppSeen) -> Check:
    quota = seen.quota
    match quota:
        case None:
            return _unasked(["quota"])[0]
        case PlatformError():
            # No call that a run needs: what is wrong with it says nothing about the night.
            return of_error("quota", quota, about=seen.app_id, state=State.UNKNOWN)
        case AuditQuota(remaining=None):
            return fine("quota", "audits are not limited")
    period = "this week" if quota.quota_type == WEEK else "in this period"
    if quota.remaining:
        return fine("quota", f"{quota.remaining} of {quota.total} submissions left {period}")
    return _bad(
        "quota",
        REFUSED,
        f"no submission is left {period}",
        "run again when the new period starts",
    )


def _bad(name: str, code: str, found: str, hint: str, msg: str = "") -> Check:
    return Check(name=name, state=State.PROBLEM, code=code, found=found, hint=hint, msg=msg or None)
