"""What is kept of credentials, as people and scripts read it; never a token.

It judges by times alone and asks nobody. Whether a token works only the platform knows.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Literal

from fleetdeploy.cli.render.layout import (
    columns,
    count_of,
    document,
    next_line,
    paragraphs,
)
from fleetdeploy.cli.render.safe import safe
from fleetdeploy.cli.render.style import Output, Style, Tone
from fleetdeploy.cli.render.times import between, moment, span
from fleetdeploy.core.credentials import (
    AppCredential,
    Freshness,
    TpCredential,
    app_freshness,
    has_code,
    tp_freshness,
)
from fleetdeploy.core.summary import SCHEMA_VERSION, Document

_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
_HEAD: Final = ("app", "state", "renewed", "token ends", "refresh token", "note")


class Standing(StrEnum):
    """How a credential stands; those that trouble somebody first."""

    NEEDS_CONSENT = "needs_consent"
    """The client has to authorize again: nobody else can help."""
    IN_DOUBT = "in_doubt"
    """A rotation was cut off or its answer lost; the next one recovers."""
    EMPTY = "empty"
    """Nothing that could be used; the next rotation recovers."""
    EXPIRED = "expired"
    """The access token is over, which it is whenever nothing ran for an hour."""
    CODE_WAITING = "code_waiting"
    """The code of a fresh consent is there, and the next rotation spends it."""
    RENEWING = "renewing"
    """A process is at it right now."""
    DUE = "due"
    """Time to renew it, or there was no access token with the refresh token yet."""
    READY = "ready"


_ORDER: Final = tuple(Standing)
_TONES: Final = {
    Standing.NEEDS_CONSENT: Tone.BAD,
    Standing.IN_DOUBT: Tone.CARE,
    Standing.EMPTY: Tone.CARE,
    Standing.READY: Tone.GOOD,
}
_BY_FRESHNESS: Final = {
    Freshness.GOOD: Standing.READY,
    Freshness.DUE: Standing.DUE,
    Freshness.STALE: Standing.EXPIRED,
}


class CredentialRow(Document):
    """One app. `expires_at` is None where the access token does not tell.

    `consent_confirmed` is whether the platform itself said that the consent is gone; a push alone
    is a hint.
    """

    app_id: str
    state: Standing
    renewed_at: datetime | None
    expires_at: datetime | None
    has_access_token: bool
    has_refresh_token: bool
    code_expires_at: datetime | None
    intent_at: datetime | None
    consent_since: datetime | None
    consent_confirmed: bool


class TpRow(Document):
    """The third-party platform itself. A ticket is pushed, or it is in the settings."""

    state: Standing
    ticket_at: datetime | None
    ticket_in_settings: bool
    renewed_at: datetime | None
    expires_at: datetime | None

    @property
    def needs_ticket(self) -> bool:
        """Whether nobody gets tokens until somebody brings a ticket."""
        lacks = self.ticket_at is None and not self.ticket_in_settings
        return lacks and self.state in (Standing.EMPTY, Standing.EXPIRED)


class CredentialList(Document):
    """What `auth list -o json` prints: times and states of all that is kept."""

    schema_version: Literal[1] = SCHEMA_VERSION
    at: datetime
    sealed: bool
    tp: TpRow
    counts: dict[Standing, int]
    apps: tuple[CredentialRow, ...]
    next: str

    @property
    def needs_somebody(self) -> bool:
        return self.tp.needs_ticket or Standing.NEEDS_CONSENT in self.counts


def credential_list(
    apps: Iterable[CredentialRow], tp: TpRow, at: datetime, *, sealed: bool
) -> CredentialList:
    """Put rows together, troubled ones first."""
    rows = sorted(apps, key=lambda row: (_ORDER.index(row.state), row.app_id))
    counts = Counter(row.state for row in rows)
    return CredentialList(
        at=at,
        sealed=sealed,
        tp=tp,
        counts={state: counts[state] for state in Standing if counts[state]},
        apps=tuple(rows),
        next=_next(rows, tp),
    )


def _next(rows: list[CredentialRow], tp: TpRow) -> str:
    if tp.needs_ticket:
        return "fleetdeploy listen"
    if not rows:
        return "fleetdeploy auth import FILE"
    if rows[0].state is Standing.NEEDS_CONSENT:
        return f"fleetdeploy auth authorize {rows[0].app_id} --redirect-uri URI"
    return ""


def credential_row(
    credential: AppCredential, now: float, is_alive: Callable[[str], bool]
) -> CredentialRow:
    consent, intent = credential.consent, credential.intent
    waiting = has_code(credential, now)
    return CredentialRow(
        app_id=credential.app_id,
        state=standing_of(credential, now, is_alive),
        renewed_at=instant(credential.renewed_at),
        expires_at=instant(credential.expires_at) if credential.access_token else None,
        has_access_token=bool(credential.access_token),
        has_refresh_token=bool(credential.refresh_token),
        code_expires_at=instant(credential.code_expires_at) if waiting else None,
        intent_at=instant(intent.at) if intent else None,
        consent_since=instant(consent.since) if consent else None,
        consent_confirmed=consent is not None and consent.confirmed,
    )


def standing_of(credential: AppCredential, now: float, is_alive: Callable[[str], bool]) -> Standing:
    """Judge an app; `is_alive` says whether a process that announced a rotation still lives."""
    if has_code(credential, now):
        return Standing.CODE_WAITING
    if credential.consent is not None:
        return Standing.NEEDS_CONSENT
    if credential.intent is not None:
        return Standing.RENEWING if is_alive(credential.intent.holder) else Standing.IN_DOUBT
    if not credential.access_token:
        return Standing.DUE if credential.refresh_token else Standing.EMPTY
    return _BY_FRESHNESS[app_freshness(credential, now)]


def tp_row(credential: TpCredential, now: float, *, ticket_in_settings: bool) -> TpRow:
    there = bool(credential.access_token)
    state = _BY_FRESHNESS[tp_freshness(credential, now)] if there else Standing.EMPTY
    return TpRow(
        state=state,
        ticket_at=instant(credential.ticket_at) if credential.ticket else None,
        ticket_in_settings=ticket_in_settings,
        renewed_at=instant(credential.renewed_at),
        expires_at=instant(credential.expires_at) if there else None,
    )


def instant(unix: float | None) -> datetime | None:
    """Return a time; None for one that no calendar holds: a token may say anything."""
    if unix is None or not 0 <= unix <= _LATEST:
        return None
    return datetime.fromtimestamp(unix, UTC)


def render_credential_list(listed: CredentialList, output: Output, style: Style) -> str:
    """List all apps and the third-party platform."""
    if output is Output.JSON:
        return document(listed)
    following = next_line(listed.next, style) if listed.next else ""
    return paragraphs(_table(listed, style), _footer(listed, style), following)


def _table(listed: CredentialList, style: Style) -> str:
    if not listed.apps:
        return "no credentials of apps"
    rows = [_cells(row, listed.at, style) for row in listed.apps]
    head, *lines = columns([_HEAD, *rows]).splitlines()
    painted = [
        style.paint(line, _TONES[row.state]) if row.state in _TONES else line
        for line, row in zip(lines, listed.apps, strict=True)
    ]
    return "\n".join([style.paint(head, Tone.BOLD), *painted])


def _cells(row: CredentialRow, at: datetime, style: Style) -> list[str]:
    ends = relative(row.expires_at, at) if row.expires_at else "not known"
    return [
        safe(row.app_id),
        said(row.state),
        relative(row.renewed_at, at),
        ends if row.has_access_token else "-",
        "yes" if row.has_refresh_token else "no",
        _note(row, at, style),
    ]


def _note(row: CredentialRow, at: datetime, style: Style) -> str:
    match row.state:
        case Standing.NEEDS_CONSENT:
            who = "the platform says so" if row.consent_confirmed else "a push says so"
            return f"since {moment(row.consent_since, style)}; {who}"
        case Standing.IN_DOUBT | Standing.RENEWING:
            return f"rotation begun {relative(row.intent_at, at)}"
        case Standing.CODE_WAITING:
            return f"code ends {relative(row.code_expires_at, at)}"
        case _:
            return ""


def _footer(listed: CredentialList, style: Style) -> str:
    counts = ", ".join(f"{number} {said(state)}" for state, number in listed.counts.items())
    apps = f"{count_of(len(listed.apps), 'app')}: {counts}" if counts else ""
    sealed = "sealed with a key" if listed.sealed else "open to this user, not sealed"
    tp = tp_line(listed.tp, listed.at)
    lines = [apps, style.paint(tp, Tone.BAD) if listed.tp.needs_ticket else tp, f"store: {sealed}"]
    return "\n".join(filter(None, lines))


def tp_line(row: TpRow, at: datetime) -> str:
    """Tell of the third-party platform in one line."""
    tickets = [f"ticket {relative(row.ticket_at, at)}"] if row.ticket_at else []
    tickets += ["ticket in the settings"] if row.ticket_in_settings else []
    ended = "token ended" if row.state is Standing.EXPIRED else "token ends"
    token = "no token yet" if row.state is Standing.EMPTY else f"{ended} {_ends(row, at)}"
    return f"third-party platform: {', '.join(tickets) or 'no ticket'}; {token}"


def _ends(row: TpRow, at: datetime) -> str:
    return relative(row.expires_at, at) if row.expires_at else "at a time not known"


def said(state: Standing) -> str:
    return state.replace("_", " ")


def relative(then: datetime | None, at: datetime) -> str:
    """Say how far off a time is: `3h 10m ago`, `in 48m 10s`."""
    seconds = between(at, then)
    if seconds is None:
        return "-"
    return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"
