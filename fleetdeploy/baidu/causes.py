"""The causes for which the platform says no, as data (platform-api.md 5); decides nothing.

One cause may carry several numbers, of several layers: people group failures by cause, and a number
means different things in different lists. `errno.py` looks a number up and builds the error. What
may pass by itself, and what happens on the way, is in `faults.py`.
"""

from dataclasses import dataclass

from fleetdeploy.errors import (
    ClientMustAct,
    FleetRefused,
    PlatformError,
    RequestRefused,
)


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause: whose move it is, in which words, and under which numbers it comes.

    `error` is what a call that changes something raises; `on_read` that of a read, where it does
    not follow from `error`. `pause_s` is how long to wait where the platform does not say.
    `credentials`: of a `FleetRefused`, that it refuses who we are.
    """

    code: str
    error: type[PlatformError]
    meaning: str
    hint: str
    errno: tuple[int, ...] = ()
    gateway: tuple[int, ...] = ()
    oauth: tuple[str, ...] = ()
    credentials: bool = False
    on_read: type[PlatformError] | None = None
    pause_s: float | None = None


PARKED = (
    Cause(
        "platform.name_not_approved",
        ClientMustAct,
        "the app's name is not approved yet",
        "wait for the review of the name or have the client mend it; the next run goes on",
        errno=(69001,),
    ),
    Cause(
        "platform.category_not_approved",
        ClientMustAct,
        "no service category of the app is approved yet",
        "wait for the review of the category or have the client mend it; the next run goes on",
        errno=(69002,),
    ),
    Cause(
        "platform.name_and_category_not_approved",
        ClientMustAct,
        "neither the app's name nor a service category is approved yet",
        "wait for both reviews or have the client mend them; the next run goes on",
        errno=(69003,),
    ),
    Cause(
        "platform.category_in_review",
        ClientMustAct,
        "a service category of the app is in review",
        "wait for the review to end; the next run goes on",
        errno=(45003,),
    ),
    Cause(
        "platform.entity_not_approved",
        ClientMustAct,
        "the company or person behind the app is not approved, or unknown",
        "have the client complete the qualification in the console; the next run goes on",
        errno=(50033, 40028),
    ),
    Cause(
        "platform.authenticity_missing",
        ClientMustAct,
        "the app's authenticity check (real name, formerly advanced certification) is missing",
        "have the client complete and pay the authenticity check; the next run goes on",
        errno=(50038,),
    ),
    Cause(
        "platform.audit_quota_used_up",
        ClientMustAct,
        "the app's submissions of this period are used up",
        "run again when the new period starts; the audit quota shows what is left",
        errno=(69013,),
    ),
    Cause(
        "platform.expedited_quota",
        ClientMustAct,
        "the quota of expedited audits does not allow this",
        "submit without the expedited audit, or look at its quota in the console",
        errno=(68001, 68002, 68003, 68004),
    ),
    Cause(
        "platform.authorization_missing",
        ClientMustAct,
        "the app is not, or no longer, authorized to this third-party platform",
        "have the client authorize again: `fleetdeploy auth authorize APP --redirect-uri URI` "
        "prints the link; the next run goes on",
        errno=(45002, 50032),
    ),
    Cause(
        "platform.scope_missing",
        ClientMustAct,
        "the client's authorization does not include what this call needs",
        "have the client authorize the development scope: "
        "`fleetdeploy auth authorize APP --redirect-uri URI` prints the link; the next run goes on",
        errno=(45001, 50044, 50053, 40007),
        gateway=(6,),
    ),
    Cause(
        "platform.account_not_permitted",
        ClientMustAct,
        "the account behind the token has no permission for this",
        "have the permission granted in the console; the next run goes on",
        errno=(30007,),
    ),
    Cause(
        "platform.app_state_wrong",
        ClientMustAct,
        "the app has no suitable package, or is in a state that does not allow this",
        "look at the app in the console (paused, banned, nothing online?) and mend it",
        errno=(40032, 40045),
    ),
    Cause(
        "platform.template_library_full",
        ClientMustAct,
        "the template library is full: it holds 50 at most",
        "delete templates that no manifest names any more",
        errno=(2003,),
    ),
)

REFUSED = (
    Cause(
        "platform.bad_parameter",
        RequestRefused,
        "a parameter was refused",
        "read the platform's own words beside this, correct the manifest and run again",
        errno=(2002, 30001, 40001, 41000),
        gateway=(100,),
    ),
    Cause(
        "platform.ext_json_unreadable",
        RequestRefused,
        "`ext_json` holds characters that the platform cannot read",
        "take unusual characters (emoji, control characters) out of the app's `ext_json`",
        errno=(69004,),
    ),
    Cause(
        "platform.description_refused",
        RequestRefused,
        "the template's description was refused",
        "choose another description",
        errno=(40016,),
    ),
    Cause(
        "platform.package_not_found",
        RequestRefused,
        "the platform has no such package",
        "look at what it has with `fleetdeploy packages APP`; it may have been replaced by hand",
        errno=(69005,),
    ),
    Cause(
        "platform.app_not_found",
        RequestRefused,
        "the platform has no such app",
        "check the app id in the manifest",
        errno=(45000,),
        gateway=(15,),
    ),
    Cause(
        "platform.no_permission",
        RequestRefused,
        "the platform says that this is not permitted, and no more",
        "read the platform's own words beside this; check the app's authorization",
        errno=(6001, 44000),
        gateway=(14,),
    ),
    Cause(
        "platform.unknown_method",
        RequestRefused,
        "the platform does not know the called method",
        "check `FLEETDEPLOY_API_BASE`; otherwise the platform has changed",
        errno=(404,),
        gateway=(3,),
    ),
    Cause(
        "platform.signature_refused",
        RequestRefused,
        "the key, signature or timestamp of the request was refused",
        "check `FLEETDEPLOY_API_BASE` and how the tokens were made",
        gateway=(101, 104, 105, 106, 107),
    ),
    Cause(
        "platform.domain_refused",
        RequestRefused,
        "the app's domains are outside the limits or the format",
        "correct the domains in the console",
        errno=(470011, 470012, 470013, 470014, 470015, 470016, 470017),
    ),
    Cause(
        "platform.base_library_refused",
        RequestRefused,
        "the minimum version of the base library was refused",
        "choose a version that the platform supports",
        errno=(470021,),
    ),
    Cause(
        "platform.qr_code_refused",
        RequestRefused,
        "no QR code can be made: wrong width or package, or nothing is online",
        "name a package in audit, in development or online",
        errno=(470018, 470019, 470020),
    ),
    Cause(
        "platform.batch_refused",
        RequestRefused,
        "the batch replacement names no app, or too many source templates",
        "mend the batch task in the console",
        errno=(50030, 69006),
    ),
)

STOPS = (
    Cause(
        "platform.ip_not_whitelisted",
        FleetRefused,
        "this machine's address is not on the third-party platform's whitelist",
        "add the address that this machine calls from to the whitelist in the console, then resume",
        errno=(40008,),
        gateway=(5,),
        credentials=True,
    ),
    Cause(
        "platform.client_id_unknown",
        FleetRefused,
        "the platform does not know this third-party platform's key",
        "check `FLEETDEPLOY_TP_CLIENT_ID` (`fleetdeploy doctor` tries it), then resume",
        errno=(50002,),
        oauth=(
            "invalid_client",
            "unauthorized_client",
            "unsupported_grant_type",
            "invalid_scope",
            "redirect_uri_mismatch",
            "unsupported_response_type",
        ),
        credentials=True,
    ),
    Cause(
        "platform.ticket_refused",
        FleetRefused,
        "the third-party platform's ticket is missing or no longer valid",
        "wait for the next ticket (the receiver is sent one every 10 minutes) or set a newer "
        "`FLEETDEPLOY_TP_TICKET`, then resume",
        errno=(50001, 50003),
        credentials=True,
    ),
    Cause(
        "platform.template_gone",
        FleetRefused,
        "the template is withdrawn or does not exist",
        "choose a template that is in the library",
        errno=(69007, 69008),
    ),
    Cause(
        "platform.template_broken",
        FleetRefused,
        "the platform cannot read the template",
        "upload the template again from the developer tool and name the new one",
        errno=(69010,),
    ),
    Cause(
        "platform.calls_used_up",
        FleetRefused,
        "the total of calls that this third-party platform may make is used up",
        "ask the platform for more calls, then resume",
        gateway=(19,),
    ),
)
