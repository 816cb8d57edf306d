"""What the platform's auth calls are asked (platform-api.md 3, 2.1, 2.2), beside their readers.

A codec without IO, like `wire.py`: it makes a `Request` and names the function that reads the
`Reply`; it sends nothing, waits for nothing and repeats nothing.

Parameters go where the platform's own SDKs put them. So tokens, codes and tickets ride in URLs:
nothing of a request may be printed, and neither its `repr` nor an operation's shows them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Final, Generic, Protocol, TypeVar
from urllib.parse import quote, urlencode

from fleetdeploy.baidu import auth_replies
from fleetdeploy.baidu.errno import own_error
from fleetdeploy.model import AuthorizationCode, Grant, PreAuthCode
from fleetdeploy.ports import PushPage, PushWindow, TemplatePage
from fleetdeploy.transport import Reply, Request

T_co = TypeVar("T_co", covariant=True)

CONSENT_PAGE: Final = "https://smartprogram.baidu.com/mappconsole/tp/authorization"
PAGE_SIZE: Final = 200
"""More templates than a library holds (50), and a size that others ask for and get."""
ALL_PUSHES: Final = "1"
"""As `push_type`: also those that were delivered, to somebody else or before a crash."""

_OAUTH: Final = "/rest/2.0/oauth/token"
_SMARTAPP: Final = "/rest/2.0/smartapp"


class AuthEndpoint(StrEnum):
    """The calls, by the names that limits and counts use."""

    TP_TOKEN = "tp_token"  # noqa: S105 - a name
    PRE_AUTH_CODE = "pre_auth_code"
    EXCHANGE_CODE = "exchange_code"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - a name
    RETRIEVE_CODE = "retrieve_code"
    TEMPLATES = "templates"
    PUSHES = "pushes"


SPENDING: Final = frozenset({AuthEndpoint.EXCHANGE_CODE, AuthEndpoint.REFRESH_TOKEN})
"""What they send works once: after a lost answer it counts as spent. All others may be repeated."""


class AuthReader(Protocol[T_co]):
    def __call__(self, reply: Reply) -> T_co: ...


@dataclass(frozen=True, slots=True)
class AuthOperation(Generic[T_co]):
    """One call: its request, and how the answer is read. `app_id` is empty where not known."""

    endpoint: AuthEndpoint
    request: Request
    read: AuthReader[T_co] = field(repr=False)
    app_id: str = ""

    @property
    def changes(self) -> bool:
        return self.endpoint in SPENDING


def tp_token(client_id: str, ticket: str) -> AuthOperation[Grant]:
    query = {"client_id": client_id, "ticket": ticket}
    return AuthOperation(
        AuthEndpoint.TP_TOKEN,
        _get("/public/2.0/smartapp/auth/tp/token", query),
        partial(auth_replies.read_tp_token, secrets=(client_id, ticket)),
    )


def pre_auth_code(tp_token: str) -> AuthOperation[PreAuthCode]:
    return AuthOperation(
        AuthEndpoint.PRE_AUTH_CODE,
        _get(f"{_SMARTAPP}/tp/createpreauthcode", {"access_token": tp_token}),
        partial(auth_replies.read_pre_auth_code, secrets=(tp_token,)),
    )


def exchange_code(tp_token: str, code: str) -> AuthOperation[Grant]:
    query = {
        "access_token": tp_token,
        "code": code,
        "grant_type": "app_to_tp_authorization_code",
    }
    return AuthOperation(
        AuthEndpoint.EXCHANGE_CODE,
        _get(_OAUTH, query),
        partial(auth_replies.read_pair, secrets=(tp_token, code)),
    )


def refresh_token(tp_token: str, refresh_token: str) -> AuthOperation[Grant]:
    query = {
        "access_token": tp_token,
        "refresh_token": refresh_token,
        "grant_type": "app_to_tp_refresh_token",
    }
    return AuthOperation(
        AuthEndpoint.REFRESH_TOKEN,
        _get(_OAUTH, query),
        partial(auth_replies.read_pair, secrets=(tp_token, refresh_token)),
    )


def retrieve_code(tp_token: str, app_id: str) -> AuthOperation[AuthorizationCode]:
    query, form = {"access_token": tp_token}, {"app_id": app_id}
    _check_encodable({**query, **form})
    return AuthOperation(
        AuthEndpoint.RETRIEVE_CODE,
        Request("POST", f"{_SMARTAPP}/auth/retrieve/authorizationcode", query, form),
        partial(auth_replies.read_code, app_id, secrets=(tp_token,)),
        app_id=app_id,
    )


def templates(tp_token: str, page: int) -> AuthOperation[TemplatePage]:
    """Ask for one page of the library, counted from 1."""
    query = {"access_token": tp_token, "page": str(page), "page_size": str(PAGE_SIZE)}
    return AuthOperation(
        AuthEndpoint.TEMPLATES,
        _get(f"{_SMARTAPP}/template/gettemplatelist", query),
        partial(auth_replies.read_templates, secrets=(tp_token,)),
    )


def pushes(tp_token: str, window: PushWindow) -> AuthOperation[PushPage]:
    query = {
        "access_token": tp_token,
        "start": str(window.start),
        "end": str(window.end),
        "push_type": ALL_PUSHES,
        "offset": str(window.offset),
        "count": str(window.count),
    }
    return AuthOperation(
        AuthEndpoint.PUSHES,
        _get(f"{_SMARTAPP}/pushmsg/getmsg", query),
        partial(auth_replies.read_pushes, secrets=(tp_token,)),
    )


def consent_link(client_id: str, redirect_uri: str, pre_auth_code: str) -> str:
    """Return the page on which a client authorizes us, for a browser (platform-api.md 3, step 4).

    It is good for as long as its code, and leads back to `redirect_uri` with another one.
    """
    query = {
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "pre_auth_code": pre_auth_code,
    }
    return f"{CONSENT_PAGE}?{urlencode(query, quote_via=quote, safe='')}"


def _get(path: str, query: Mapping[str, str]) -> Request:
    _check_encodable(query)
    return Request("GET", path, query)


def _check_encodable(parameters: Mapping[str, str]) -> None:
    for name, value in parameters.items():
        if value.encode("utf-8", "replace") != value.encode("utf-8", "surrogatepass"):
            raise own_error("request.unencodable", name)
