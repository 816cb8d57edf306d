"""From a decrypted message of the platform to a `Push` (platform-api.md 4.3).

Decides nothing about apps: an event is a hint. It keeps every event, also those that nobody knows.
What has to be right is read strictly (tickets, app ids), the rest is left out if it makes no sense.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Final

from fleetdeploy.baidu.auth_replies import code_lifetime_s
from fleetdeploy.baidu.documents import (
    id_in,
    is_sendable,
    number_or_none,
    parse_object,
    required,
    secret_in,
    told,
)
from fleetdeploy.baidu.envelope import PushKeys, decrypt, open_envelope, unix_seconds
from fleetdeploy.errors import PushRefused
from fleetdeploy.model import AuthorizationCode, Notice, Push, Ticket

KEY_DIGITS: Final = 32
"""128 bits: no two messages share them by chance."""
REASON_MAX: Final = 500
"""Characters; as much as of the platform's words in an error."""
EVENT_MAX: Final = 100
"""The longest documented name has 38."""
SHORT_MAX: Final = 100
"""Of a time or a version: 19 and a few characters in every sample."""

BRINGS_CODE: Final = frozenset({"AUTHORIZED", "UPDATE_AUTHORIZED"})


@dataclass(frozen=True, slots=True)
class PushReader:
    """Opens pushes and rows of the list of pushes; raises only `PushRefused`."""

    keys: PushKeys
    max_age_s: float

    def open(self, body: bytes, now: float) -> Push:
        """Open the body of a push; whether it came before is for others to know."""
        opened = open_envelope(body, self.keys, now=now, max_age_s=self.max_age_s)
        push = push_from(opened.message)
        if push.ticket is None:
            return push
        # Newer than its envelope no ticket can be: one that says so would shut out all later ones.
        created_at = min(push.ticket.created_at, opened.timestamp)
        return replace(push, ticket=replace(push.ticket, created_at=created_at))

    def open_row(self, content: str) -> Push:
        """Open a row of the list, which is neither signed nor dated: it came over our own call."""
        return push_from(decrypt(content, self.keys).message)


def push_from(message: bytes) -> Push:
    """Read a message; the same bytes have the same key. Raises only `PushRefused`."""
    document = parse_object(message)
    if document is None:
        raise PushRefused("malformed")
    key = hashlib.sha256(message).hexdigest()[:KEY_DIGITS]
    try:
        if _is_ticket(document):
            return Push(key, ticket=_ticket(document))
        notice = _notice(document)
    except ValueError:
        notice = None
    if notice is None:
        raise PushRefused("malformed")
    return Push(key, notice=notice, code=_code(document, notice))


def _is_ticket(document: dict[str, object]) -> bool:
    return "Ticket" in document or told(document, "MsgType").strip().lower() == "ticket"


def _ticket(document: dict[str, object]) -> Ticket:
    created_at = required(document, "CreateTime")
    if created_at < 0:
        raise ValueError("`CreateTime` is negative")
    return Ticket(secret_in(document, "Ticket"), unix_seconds(created_at))


def _notice(document: dict[str, object]) -> Notice:
    # Messages in the manner of the ticket's spell their keys with capitals.
    event = (told(document, "event") or told(document, "Event")).strip()
    if not 0 < len(event) <= EVENT_MAX:
        raise ValueError("`event` is missing or too long")
    return Notice(
        app_id=id_in(document, "appId") or "",
        event=event,
        event_time=told(document, "eventTime")[:SHORT_MAX],
        package_id=_hinted_id(document.get("packageId")),
        package_version=told(document, "packageVersion")[:SHORT_MAX] or None,
        # Some of the platform's samples misspell it.
        reason=(told(document, "reason") or told(document, "reson"))[:REASON_MAX],
    )


def _hinted_id(value: object) -> str | None:
    number = number_or_none(value)
    return str(number) if number and number > 0 else None


def _code(document: dict[str, object], notice: Notice) -> AuthorizationCode | None:
    """Read the code of a consent; without one that can be used, the notice says enough."""
    text = document.get("authorizationCode")
    if notice.event not in BRINGS_CODE or not notice.app_id:
        return None
    if not isinstance(text, str) or not is_sendable(text):
        return None
    lifetime_s = code_lifetime_s(document.get("authorizationCodeExpiresIn"))
    return AuthorizationCode(notice.app_id, text, lifetime_s)
