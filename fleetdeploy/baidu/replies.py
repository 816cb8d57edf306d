"""What a reply of the platform means (platform-api.md 5.1): a typed answer, or a `PlatformError`.

Reads one `Reply` without IO. Any bytes with any status end in one of the two; no other exception
leaves. A change succeeded only if the reply says so in so many words; whatever is not documented
leaves it open. To a read, the same is one more reason to ask again.
"""

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import quote

from fleetdeploy.baidu.answers import (
    app_info_from,
    package_from,
    packages_from,
    quota_from,
)
from fleetdeploy.baidu.documents import number_or_none, parse_object, text_of
from fleetdeploy.baidu.errno import UNKNOWN, Layer, error_for, own_error
from fleetdeploy.errors import PlatformError
from fleetdeploy.model import AppInfo, AuditQuota, Package
from fleetdeploy.transport import Reply

T = TypeVar("T")

RETRY_AFTER_MAX_S: Final = 3600.0
"""The longest wait a header may impose: asking once more after an hour does no harm."""
TRACE_MAX: Final = 64
"""Characters of a trace id that are kept; customary ones have 16 or 32."""
SECRET_MIN: Final = 16
"""Shorter tokens are placeholders of a simulator, and might match anything in a reply."""
BLOTTED_MIN: Final = 6
"""In words alone less can go wrong than in a whole reply, and a code may be short."""

_BLOT: Final = b"[token]"
_SPELT: Final = re.compile(rb'\\(?:u00|["/\\])')
_WORDS: Final = frozenset({"msg", "error_msg", "error", "error_description"})


def read_done(reply: Reply) -> None:
    """Read the answer to a call that changes something; besides yes it says nothing."""
    agreed(reply, changes=True)


def read_packages(reply: Reply) -> tuple[Package, ...]:
    return typed(packages_from, agreed(reply, changes=False))


def read_package(reply: Reply) -> Package:
    """Read one package; a yes without data can only mean that there is none."""
    data = agreed(reply, changes=False)
    if data in (None, [], {}):
        raise own_error("platform.package_not_found", changes=False)
    return typed(package_from, data)


def read_quota(reply: Reply) -> AuditQuota:
    return typed(quota_from, agreed(reply, changes=False))


def read_app_info(reply: Reply) -> AppInfo:
    return typed(app_info_from, agreed(reply, changes=False))


def trace_id(reply: Reply) -> str:
    """Return the platform's own name for the request, for its support; empty if there is none."""
    text = reply.headers.get("x-b3-traceid", "")[:TRACE_MAX]
    return "".join(c for c in text if c.isascii() and (c.isalnum() or c in "-_."))


def without_secret(reply: Reply, token: str) -> Reply:
    """Return the reply with the token blotted out, should the platform repeat it in its words."""
    secret = token.encode("utf-8", "replace")
    if len(secret) < SECRET_MIN:
        return reply
    body = reply.body.replace(secret, _BLOT)
    # JSON can spell every character in several ways.
    if _SPELT.search(body):
        body = _without_spelt(body, token)
    return reply if body == reply.body else Reply(reply.status, body, reply.headers)


def _without_spelt(body: bytes, token: str) -> bytes:
    """Return the body without the token where it is spelt with escapes; empty if none can tell."""
    try:
        document = json.dumps(parse_object(body))
    except RecursionError:
        return b""
    spelt = json.dumps(token)[1:-1]
    return document.replace(spelt, _BLOT.decode()).encode() if spelt in document else body


def agreed(reply: Reply, *, changes: bool, secrets: Sequence[str] = ()) -> object:
    """Return the `data` of a reply that says yes; raise what any other reply means."""
    return judged(reply, _says_yes, changes=changes, secrets=secrets).get("data")


def judged(
    reply: Reply,
    says_yes: Callable[[dict[str, object]], bool],
    *,
    changes: bool,
    secrets: Sequence[str] = (),
) -> dict[str, object]:
    """Return the whole document of a reply that says yes; raise what any other reply means.

    The body counts before the HTTP status, about which the sources are silent (platform-api.md
    5.1). Only a yes needs a status of success beside it: with any other it is neither yes nor no.
    No word of an error holds one of the `secrets`, whatever the platform repeats.
    """
    document = parse_object(reply.body) or {}
    yes = says_yes(document)
    error = _stated_error(_discreet(document, secrets), reply, changes=changes)
    # 429 is a plain refusal by itself; a reason that is known says more.
    if _throttled(reply) and not yes and (error is None or error.code == UNKNOWN):
        error = own_error(
            "platform.rate_limited",
            "HTTP 429",
            changes=changes,
            retry_after_s=_retry_after_s(reply),
        )
    if error is None and not HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        error = _http_error(reply, changes=changes)
    if error is None and not yes:
        error = own_error("platform.reply_malformed", changes=changes)
    if error is not None:
        raise error
    return document


def _discreet(document: dict[str, object], secrets: Sequence[str]) -> dict[str, object]:
    """Return the document with the secrets blotted out of the words that an error may keep."""
    words = {
        name: _blotted(value, secrets)
        for name, value in document.items()
        if name in _WORDS and isinstance(value, str)
    }
    return {**document, **words}


def _blotted(text: str, secrets: Sequence[str]) -> str:
    # The longest first: one may be a part of another.
    for secret in sorted(secrets, key=len, reverse=True):
        for spelt in (secret, quote(secret, safe="")):
            if len(secret) >= BLOTTED_MIN:
                text = text.replace(spelt, "[secret]")
    return text


def _throttled(reply: Reply) -> bool:
    return reply.status == HTTPStatus.TOO_MANY_REQUESTS


def _says_yes(document: dict[str, object]) -> bool:
    contradicted = document.get("error_code") or document.get("error")
    return number_or_none(document.get("errno")) == 0 and not contradicted


def _stated_error(
    document: dict[str, object], reply: Reply, *, changes: bool
) -> PlatformError | None:
    """Return the error that the body states in one of the three documented shapes, or None.

    As the platform's own SDK has it: without an `errno` the answer is the gateway's.
    """
    pause_s = _retry_after_s(reply)
    if document.get("errno") is not None:
        layer, number, msg = Layer.ERRNO, number_or_none(document["errno"]), document.get("msg")
    else:
        layer, number = Layer.GATEWAY, number_or_none(document.get("error_code"))
        msg = document.get("error_msg")
    if number:
        return error_for(layer, number, text_of(msg), changes=changes, retry_after_s=pause_s)
    name, msg = document.get("error"), document.get("error_description")
    if isinstance(name, str) and name and document.get("errno") is None:
        return error_for(
            Layer.OAUTH, _word(name), text_of(msg), changes=changes, retry_after_s=pause_s
        )
    return None


def _word(name: str) -> str:
    """Return the name of an OAuth error, if it is one: no other words go into a message."""
    return name if len(name) <= TRACE_MAX and name.isidentifier() and name.isascii() else "unknown"


def _http_error(reply: Reply, *, changes: bool) -> PlatformError:
    redirected = HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST
    return own_error(
        "platform.redirected" if redirected else "platform.http_status",
        f"HTTP {reply.status}",
        changes=changes,
        retry_after_s=_retry_after_s(reply),
    )


def _retry_after_s(reply: Reply) -> float | None:
    """Read `Retry-After`: seconds, or a date, which is measured against the reply's own `Date`."""
    text = reply.headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        # More digits than the bound has are more seconds than the bound allows.
        return min(float(text[:9]), RETRY_AFTER_MAX_S)
    until, now = _date(text), _date(reply.headers.get("date", ""))
    if until is None or now is None:
        return None
    return min(max((until - now).total_seconds(), 0.0), RETRY_AFTER_MAX_S)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def typed(make: Callable[[object], T], data: object, *, changes: bool = False) -> T:
    """Make the typed answer; what cannot be one is, to a read, a reply to ask for again."""
    try:
        return make(data)
    except ValueError as garbage:
        detail = str(garbage)
    raise own_error("platform.reply_malformed", detail, changes=changes)
