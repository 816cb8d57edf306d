"""What is known of credentials, and what to do with one next: plain values and pure functions.

It sends nothing and stores nothing. Times are unix seconds of our own clock; no `repr` shows a
token.

How it works: an app's access token lives an hour, and the refresh token that renews it works once
(platform-api.md 3). So a rotation is announced before it is sent, like a step of a run: `claim`
puts an `Intent` into the credential, `succeed` takes it out together with the new pair, and
`let_go` takes it out where the request certainly did not arrive. An intent whose holder is gone, or
whose answer was lost, leaves the refresh token in doubt for good: from then on only `RECOVER`
helps, which asks the platform for a new code. The old refresh token is never sent again.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from fleetdeploy.model import AuthorizationCode, Grant, Ticket

EARLY_MAX_S: Final = 600.0
"""How long before its end a token is renewed in the background; others use 20 s to 30 min."""
EARLY_SHARE: Final = 0.25
"""Of the lifetime of a token that lives too short for `EARLY_MAX_S`."""
LEAST_MAX_S: Final = 20.0
LEAST_SHARE: Final = 0.1
"""A token with less than this left may expire on its way: it is renewed before it is used."""
CONSENT_RECHECK_S: Final = 600.0
"""The client may have authorized again without our hearing of it: worth a call now and then."""

_TOKEN_PARTS: Final = 5
_EXPIRY_DIGITS_MAX: Final = 12


class Rotation(StrEnum):
    """The ways to a new pair of tokens."""

    REFRESH = "refresh"
    """Spend the refresh token."""
    EXCHANGE = "exchange"
    """Spend a code that a push or a person brought."""
    RECOVER = "recover"
    """Ask the platform for a code and spend that."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A rotation that `holder` announced and whose result is not stored.

    Without a holder: nobody is at it any more.
    """

    kind: Rotation
    holder: str
    at: float


@dataclass(frozen=True, slots=True)
class Consent:
    """The client has to authorize again. `confirmed`: the platform said so, not just a push.

    `checked_at` is when we last asked.
    """

    since: float
    confirmed: bool
    checked_at: float


@dataclass(frozen=True, slots=True)
class AppCredential:
    """All that is kept of one app. Empty texts and None mean that there is none.

    `code` is one that was never sent; `spent` is the digest of the last one that was.
    `expires_at` is None where a token does not tell.
    """

    app_id: str
    access_token: str = field(default="", repr=False)
    expires_at: float | None = None
    refresh_token: str = field(default="", repr=False)
    renewed_at: float | None = None
    code: str = field(default="", repr=False)
    code_expires_at: float | None = None
    spent: str = field(default="", repr=False)
    intent: Intent | None = None
    consent: Consent | None = None


@dataclass(frozen=True, slots=True)
class TpCredential:
    """All that is kept of the third-party platform itself; `ticket_at` is the platform's time."""

    ticket: str = field(default="", repr=False)
    ticket_at: float | None = None
    access_token: str = field(default="", repr=False)
    expires_at: float | None = None
    renewed_at: float | None = None


class Freshness(StrEnum):
    GOOD = "good"
    DUE = "due"
    """Still good, and time to renew it."""
    STALE = "stale"
    """None there, expired, or about to."""


def freshness(
    access_token: str, expires_at: float | None, renewed_at: float | None, now: float
) -> Freshness:
    """Judge a token by its time; one that does not tell when it ends is good until refused."""
    if not access_token:
        return Freshness.STALE
    if expires_at is None:
        return Freshness.GOOD
    left_s = expires_at - now
    lifetime_s = expires_at - renewed_at if renewed_at is not None else left_s
    if left_s <= min(LEAST_MAX_S, lifetime_s * LEAST_SHARE) or left_s <= 0:
        return Freshness.STALE
    due = left_s <= min(EARLY_MAX_S, lifetime_s * EARLY_SHARE)
    return Freshness.DUE if due else Freshness.GOOD


def app_freshness(credential: AppCredential, now: float) -> Freshness:
    return freshness(credential.access_token, credential.expires_at, credential.renewed_at, now)


def tp_freshness(credential: TpCredential, now: float) -> Freshness:
    return freshness(credential.access_token, credential.expires_at, credential.renewed_at, now)


def expiry_of(token: str) -> float | None:
    """Read off a token when it ends: `<type>.<hex>.<lifetime>.<expiry>.<rest>`, by inference.

    None for a text of another shape (platform-api.md 3).
    """
    parts = token.split(".")
    if len(parts) < _TOKEN_PARTS or not _is_number(parts[2]) or not _is_number(parts[3]):
        return None
    return float(parts[3])


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _EXPIRY_DIGITS_MAX


def choose(credential: AppCredential, now: float) -> Rotation:
    """Choose the way to a new pair that cannot spend anything twice."""
    if has_code(credential, now):
        return Rotation.EXCHANGE
    if credential.intent is not None or not credential.refresh_token:
        return Rotation.RECOVER
    return Rotation.REFRESH


def has_code(credential: AppCredential, now: float) -> bool:
    """Whether there is a code that was never sent and is not over."""
    ends = credential.code_expires_at
    return bool(credential.code) and (ends is None or now < ends)


def is_held(credential: AppCredential, holder: str, is_alive: Callable[[str], bool]) -> bool:
    """Whether somebody else, alive, is renewing it right now."""
    intent = credential.intent
    return intent is not None and intent.holder != holder and is_alive(intent.holder)


def claim(credential: AppCredential, intent: Intent) -> AppCredential:
    """Announce a rotation; a code that is about to be sent is given away with it.

    So is a refresh token that an earlier rotation left in doubt: nothing can bring it back.
    """
    spends_code = intent.kind is Rotation.EXCHANGE and bool(credential.code)
    doubted = credential.intent is not None
    return replace(
        credential,
        intent=intent,
        refresh_token="" if doubted else credential.refresh_token,
        code="" if spends_code else credential.code,
        code_expires_at=None if spends_code else credential.code_expires_at,
        spent=_digest(credential.code) if spends_code else credential.spent,
    )


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def let_go(credential: AppCredential) -> AppCredential:
    """Take back a rotation of which certainly nothing arrived."""
    had_code = credential.intent is not None and credential.intent.kind is Rotation.EXCHANGE
    return replace(credential, intent=None, spent="" if had_code else credential.spent)


def abandon(credential: AppCredential, intent: Intent) -> AppCredential:
    """Leave a rotation in doubt to whoever comes next: its holder lives on, and is not at it."""
    if credential.intent != intent:
        return credential
    return replace(credential, intent=replace(intent, holder=""))


def succeed(credential: AppCredential, grant: Grant, asked_at: float) -> AppCredential:
    """Put the new pair in; whatever was in doubt is settled by it.

    Its lifetime counts from when it was asked for: the answer may have been long on its way.
    """
    return replace(
        credential,
        access_token=grant.access_token,
        expires_at=asked_at + grant.expires_in_s,
        refresh_token=grant.refresh_token,
        renewed_at=asked_at,
        intent=None,
        consent=None,
    )


def take_code(credential: AppCredential, code: AuthorizationCode, now: float) -> AppCredential:
    """Take the code of a fresh consent, unless it was sent: the next rotation spends it.

    The same push may come once more, from the platform that got no answer, or in its list.
    """
    if _digest(code.text) == credential.spent:
        return credential
    return replace(
        credential, code=code.text, code_expires_at=now + code.expires_in_s, consent=None
    )


def need_consent(credential: AppCredential, now: float, *, confirmed: bool) -> AppCredential:
    """Mark that the client has to authorize again; its tokens stay, in case it is not true."""
    before = credential.consent
    since = before.since if before else now
    return replace(
        credential,
        consent=Consent(since, confirmed=confirmed, checked_at=now),
        intent=None if confirmed else credential.intent,
        refresh_token="" if confirmed else credential.refresh_token,
        access_token="" if confirmed else credential.access_token,
    )


def awaits_consent(credential: AppCredential, now: float) -> bool:
    """Whether it is no use to ask again yet."""
    consent = credential.consent
    if consent is None or not consent.confirmed or has_code(credential, now):
        return False
    return 0 <= now - consent.checked_at < CONSENT_RECHECK_S


def imported(
    credential: AppCredential, access_token: str, refresh_token: str, now: float
) -> AppCredential:
    """Put in what somebody brings from elsewhere; it replaces everything known before."""
    return AppCredential(
        credential.app_id,
        access_token=access_token,
        expires_at=expiry_of(access_token),
        refresh_token=refresh_token,
        renewed_at=now,
    )


def take_ticket(credential: TpCredential, ticket: Ticket) -> TpCredential:
    """Take a ticket, unless a newer one is there: pushes come late and out of order."""
    if credential.ticket_at is not None and ticket.created_at <= credential.ticket_at:
        return credential
    return replace(credential, ticket=ticket.text, ticket_at=ticket.created_at)


def renew_tp(credential: TpCredential, grant: Grant, asked_at: float) -> TpCredential:
    """Put another token in; its lifetime counts from when it was asked for."""
    return replace(
        credential,
        access_token=grant.access_token,
        expires_at=asked_at + grant.expires_in_s,
        renewed_at=asked_at,
    )
