"""The causes that may pass by themselves, and what can happen on the way, as data; decides nothing.

A server at fault proves nothing about what it did before it failed (platform-api.md 5.4): a call
that changes something is then `AnswerLost`. To a read the same is a `NotSent`, because repeating
it is harmless; `errno.py` sees to that. Only where the platform says outright that a service was
not there, or that a call was refused for its rate, is a change known not to have happened.
"""

from fleetdeploy.baidu.causes import Cause
from fleetdeploy.errors import (
    AnswerLost,
    ClientMustAct,
    NotSent,
    RateLimited,
    RequestRefused,
    TokenRefused,
)

HOUR_S = 3600.0

LATER = (
    Cause(
        "platform.rate_limited",
        RateLimited,
        "too many calls",
        "everything slows down by itself; if it happens often, lower `limits` in the manifest",
        errno=(50029,),
        gateway=(4, 18),
        oauth=("slow_down",),
    ),
    Cause(
        "platform.daily_limit",
        RateLimited,
        "the calls of this day are used up",
        "it goes on by itself when the platform allows calls again; or resume tomorrow",
        gateway=(17,),
        # Nobody says when the platform's day ends: ask again once an hour.
        pause_s=HOUR_S,
    ),
    Cause(
        "platform.too_many_visits",
        RateLimited,
        "calls are blocked for a while, for too many visits",
        "everything slows down by itself; if it happens often, lower `limits` in the manifest",
        errno=(40004,),
        # No figure is published: long enough for a block to pass, short beside a night.
        pause_s=300.0,
    ),
    Cause(
        "platform.service_unavailable",
        NotSent,
        "the service behind this call is out for the moment, and says so",
        "it is tried again; if it lasts, resume later",
        errno=(69009, 69011, 69012),
    ),
    Cause(
        "platform.app_being_created",
        NotSent,
        "the app is still being created",
        "it is tried again; later, run again",
        errno=(470022,),
    ),
    Cause(
        "platform.server_fault",
        AnswerLost,
        "the platform's server failed or was too busy",
        "what it did is read off the platform; if it lasts, resume later",
        errno=(-1024, 500, 501, 1000, 6002, 40003, 40005, 47002),
        gateway=(1, 2, 13),
    ),
    Cause(
        "platform.degraded",
        # The words are those of errno 500, so a change may well have happened. A read may be
        # repeated, and the platform asks for slowness: then everybody slows down.
        AnswerLost,
        "the platform runs degraded and asks for patience",
        "what it did is read off the platform; if it lasts, resume later",
        errno=(5000,),
        on_read=RateLimited,
    ),
    Cause(
        "platform.already_in_progress",
        AnswerLost,
        "the platform is at it already, or has it",
        "its list is read before anything is sent again",
        errno=(40000, 50015, 50031, 50050),
    ),
)

TOKENS = (
    Cause(
        "platform.token_refused",
        TokenRefused,
        "the access token is invalid, expired or revoked",
        "put a fresh token into the tokens file, or type `fleetdeploy auth refresh APP`; "
        "then run again",
        errno=(405, 44001, 44002, 44003, 44004),
        gateway=(110, 111),
    ),
    Cause(
        "platform.grant_refused",
        ClientMustAct,
        "the refresh token or authorization code is invalid, expired or used already",
        "type `fleetdeploy auth recover APP`, which needs no client; if that does not help, "
        "`fleetdeploy auth authorize APP --redirect-uri URI`. Twice for one app: somebody else "
        "refreshes it, too",
        oauth=("invalid_grant", "expired_token"),
    ),
    Cause(
        "platform.token_request_refused",
        RequestRefused,
        "the request for a token was refused",
        "type `fleetdeploy auth recover APP`; if it is refused, too, look with "
        "`fleetdeploy doctor`",
        oauth=("invalid_request", "authorization_pending", "authorization_declined"),
    ),
    Cause(
        "auth.no_token",
        ClientMustAct,
        "there is no access token for this app",
        "add the app to the tokens file, or to our own credentials with `fleetdeploy auth import` "
        "or `fleetdeploy auth authorize APP --redirect-uri URI`; then run again",
    ),
)

ANSWERS = (
    Cause(
        "platform.unknown_error",
        # Most likely a refusal. Reading is free and safe, so a change is looked at before it is
        # given up or repeated; the attempts are bounded.
        AnswerLost,
        "the platform gave an error that its documentation does not explain",
        "read the platform's own words beside this",
        on_read=RequestRefused,
    ),
    Cause(
        "platform.reply_malformed",
        AnswerLost,
        "the reply is not what the platform documents",
        "what it did is read off the platform; if it lasts, check `FLEETDEPLOY_API_BASE`",
    ),
    Cause(
        "platform.http_status",
        AnswerLost,
        "the reply is an HTTP error without a readable reason",
        "what it did is read off the platform; if it lasts, check `FLEETDEPLOY_API_BASE`",
    ),
    Cause(
        "platform.redirected",
        AnswerLost,
        "the reply sends us to another address; that is never followed",
        "check `FLEETDEPLOY_API_BASE`, and whether a proxy stands in between",
    ),
    Cause(
        "request.unencodable",
        RequestRefused,
        "a parameter holds characters that cannot be sent as UTF-8",
        "take half surrogate pairs (`\\ud800` to `\\udfff`) out of the app's texts",
    ),
    Cause(
        "transport.not_connected",
        NotSent,
        "no connection to the platform",
        "it is tried again; if it lasts, check the network and `FLEETDEPLOY_API_BASE`",
    ),
    Cause(
        "transport.timeout",
        AnswerLost,
        "the platform did not answer in time",
        "what it did is read off the platform",
    ),
    Cause(
        "transport.cut_off",
        AnswerLost,
        "the connection broke before the whole answer was here",
        "what it did is read off the platform",
    ),
    Cause(
        "transport.reply_too_large",
        AnswerLost,
        "the reply is larger than any answer of the platform",
        "what it did is read off the platform; check `FLEETDEPLOY_API_BASE`",
    ),
)
