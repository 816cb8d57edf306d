"""Judges what the whole fleet stands on: settings, disk, credentials, clock, pushes. Pure.

Whoever calls it has looked; here is only what the looks mean. Times are unix seconds.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fleetdeploy.core.credentials import AppCredential, TpCredential, expiry_of
from fleetdeploy.core.diagnosis import Check, State, fine, of_error, unknown
from fleetdeploy.core.endings import CONSENT_NEEDED, NO_TICKET
from fleetdeploy.core.library import TEMPLATE_GONE, TEMPLATE_HINT, Library, awaits
from fleetdeploy.errors import FleetError, PlatformError

SKEW_OK_S: Final = 60.0
"""The measure itself is off by how long the answer took; nothing of ours needs it better."""
SPACE_BASE: Final = 64 * 1024 * 1024
SPACE_PER_APP: Final = 16 * 1024
"""Bytes: the plan and journal of one night, about 7 KB an app, twice."""
SPACE_AMPLE: Final = 10
"""So many times what is needed is no cause for worry."""
PUSH_LATE_S: Final = 25 * 60.0
"""A ticket is pushed every 10 minutes (platform-api.md 3): two are missing."""
LIST_LATE_S: Final = 5 * 60.0
SHOWN: Final = 10
"""Ids named in one line."""


class TokensFrom(StrEnum):
    STORE = "store"
    FILE = "file"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class SettingsSeen:
    """What is set; of secrets only whether."""

    tokens_from: TokensFrom
    push_token: bool = False
    aes_key: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StateSeen:
    """What the state directory looks like from outside. `error` is why it cannot be used.

    `open_files` are those others can read, as a person would name them; `free` are bytes.
    """

    path: str
    there: bool
    error: FleetError | None = None
    open_files: tuple[str, ...] = ()
    free: int | None = None
    live: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HeardSeen:
    """When the platform was last heard of, by push and by its list, and its last ticket's time."""

    pushed_at: float | None = None
    listed_at: float | None = None
    ticket_at: float | None = None


def settings_check(seen: SettingsSeen) -> Check:
    """Judge whether the settings are complete; that they can be read is known by then."""
    if seen.tokens_from is TokensFrom.NOWHERE:
        return Check(
            name="settings",
            state=State.PROBLEM,
            code="settings.invalid",
            found="no access tokens: neither FLEETDEPLOY_TP_CLIENT_ID nor "
            "FLEETDEPLOY_TOKENS_FILE is set",
            hint="set the third-party platform's key, and fleetdeploy keeps the tokens itself",
        )
    wrong = list(seen.warnings)
    if seen.push_token != seen.aes_key:
        lacking = "PUSH_AES_KEY" if seen.push_token else "PUSH_TOKEN"
        wrong.append(f"one push key is set and FLEETDEPLOY_{lacking} is not: listen needs both")
    if wrong:
        return Check(
            name="settings",
            state=State.WARNING,
            code="doctor.settings",
            found="; ".join(wrong),
            hint="correct the settings; docs/settings.md lists them",
        )
    tokens = "kept by fleetdeploy" if seen.tokens_from is TokensFrom.STORE else "from a file"
    keys = "set" if seen.push_token else "not set"
    return fine("settings", f"tokens {tokens}, push keys {keys}")


def state_check(seen: StateSeen) -> Check:
    if seen.error is not None:
        return _failed("state", seen.error)
    if seen.open_files:
        return Check(
            name="state",
            state=State.WARNING,
            code="doctor.open_files",
            found=f"others can get at {', '.join(seen.open_files)}",
            hint=f"type: chmod -R go-rwx {shlex.quote(seen.path)}",
        )
    return fine("state", seen.path if seen.there else f"{seen.path} is made by the first run")


def disk_check(free: int | None, apps: int) -> Check:
    """Judge the space for a night of so many apps, roughly."""
    if free is None:
        return unknown("disk", "nobody can tell how much space is left")
    need, found = SPACE_BASE + SPACE_PER_APP * apps, f"{free // 1024**2} MB free"
    if free >= need * SPACE_AMPLE:
        return fine("disk", found)
    return Check(
        name="disk",
        state=State.WARNING if free >= need else State.PROBLEM,
        code="doctor.disk",
        found=f"{found}; a night may need {need // 1024**2} MB",
        hint="free some space, or choose another directory with FLEETDEPLOY_STATE_DIR",
    )


def runs_check(seen: StateSeen) -> Check:
    return fine("runs", "; ".join(seen.live[:SHOWN]) or "none is at work")


def credentials_check(apps: Sequence[AppCredential], now: float, *, sealed: bool) -> Check:
    """Judge what the store holds, without asking the platform."""
    waiting = [one.app_id for one in apps if awaits(one, now)]
    lies = "sealed" if sealed else "not sealed, mode 0600"
    found = f"{len(apps)} apps known, {lies}"
    if not waiting:
        return fine("credentials", found)
    more = f" and {len(waiting) - SHOWN} more" if len(waiting) > SHOWN else ""
    return Check(
        name="credentials",
        state=State.WARNING,
        code=CONSENT_NEEDED.code,
        found=f"{found}; waiting for their client's consent: {', '.join(waiting[:SHOWN])}{more}",
        hint="send each client the link of `fleetdeploy auth authorize APP --redirect-uri URI`",
    )


def credentials_failed(error: FleetError) -> Check:
    return _failed("credentials", error)


def tp_failed(error: PlatformError, *, needed: bool) -> Check:
    """Judge why there is no TP token; `needed` says whether runs use it."""
    check = of_error("tp_token", error)
    if check.state is State.PROBLEM and not needed:
        return check.model_copy(update={"state": State.WARNING})
    return check


def tp_check(got: TpCredential, now: float, *, ticket: bool, proven: bool) -> Check:
    """Judge the TP token; `ticket` says whether one is at hand, `proven` whether it was tried."""
    works = "it works" if proven else "there is one, which was not tried"
    ends = "it does not tell when it ends"
    if got.expires_at is not None:
        ends = f"it ends in {rough(got.expires_at - now)}"
    if ticket:
        return fine("tp_token", f"{works}; {ends}")
    return Check(
        name="tp_token",
        state=State.WARNING,
        code=NO_TICKET.code,
        found=f"{works}; {ends}, and there is no ticket to renew it with",
        hint="run the receiver, which is sent one every 10 minutes, or set FLEETDEPLOY_TP_TICKET",
    )


def clock_check(tp: TpCredential, now: float, push_max_age_s: float | None) -> Check:
    """Compare when the TP token ends by our clock and by the platform's, which stands in it.

    `push_max_age_s` is how old a push may be, None where none are received.
    """
    theirs = expiry_of(tp.access_token)
    if theirs is None or tp.expires_at is None or tp.renewed_at is None:
        return unknown("clock", "there is no token that tells the platform's time")
    skew_s = tp.expires_at - theirs
    when = f"measured {rough(now - tp.renewed_at)} ago"
    if abs(skew_s) <= SKEW_OK_S:
        return fine("clock", f"right within {SKEW_OK_S:.0f} s, {when}")
    refuses = push_max_age_s is not None and abs(skew_s) >= push_max_age_s
    return Check(
        name="clock",
        state=State.PROBLEM if refuses else State.WARNING,
        code="doctor.clock_skew",
        found=f"this machine is {rough(abs(skew_s))} {'ahead' if skew_s > 0 else 'behind'}, {when}"
        + ("; every push is refused as too old" if refuses else ""),
        hint="let the machine keep its time (chrony, systemd-timesyncd)",
    )


def platform_check(*, reached: bool, unreached: str) -> Check:
    """Judge whether the platform answers; `unreached` is the code of what came instead."""
    if reached:
        return fine("platform", "it answers")
    if not unreached:
        return unknown("platform", "nothing was asked")
    return Check(
        name="platform",
        state=State.PROBLEM,
        code=unreached,
        found="no call was answered",
        hint="check the network and FLEETDEPLOY_API_BASE, or try again later",
    )


def whitelist_check(*, admitted: bool, turned_away: bool) -> Check:
    """Judge by what any call met: the platform says so when it misses our address."""
    if turned_away:
        return Check(
            name="whitelist",
            state=State.PROBLEM,
            code="platform.ip_not_whitelisted",
            found="this machine's address is not on the third-party platform's whitelist",
            hint="add the address that this machine calls from to the whitelist in the console",
        )
    if admitted:
        return fine("whitelist", "this machine's calls are let in")
    return unknown("whitelist", "no call was answered that would show it")


def templates_check(wanted: frozenset[str], library: Library) -> Check:
    if not wanted:
        return unknown("templates", "no manifest was named that names any")
    missing = sorted(wanted - library.ids)
    if not missing:
        return fine("templates", f"{', '.join(sorted(wanted)[:SHOWN])} in the library")
    if not library.complete:
        return unknown("templates", f"not known: {library.why_not}")
    return Check(
        name="templates",
        state=State.PROBLEM,
        code=TEMPLATE_GONE,
        found=f"not in the library: {', '.join(missing[:SHOWN])}",
        hint=TEMPLATE_HINT,
    )


def list_check(rows: int, opened: int) -> Check:
    """Judge the list of pushes by its rows of the last hour, and how many the key opened."""
    if rows and not opened:
        return Check(
            name="push_list",
            state=State.PROBLEM,
            code="doctor.push_key",
            found=f"none of its {rows} rows can be decrypted",
            hint="check FLEETDEPLOY_PUSH_AES_KEY against the platform's console",
        )
    return fine("push_list", f"readable; {rows} rows in the last hour")


def list_failed(error: PlatformError) -> Check:
    """Judge an error: without the list apps are looked at one by one, as before there was one."""
    check = of_error("push_list", error)
    worse = check.state is State.PROBLEM
    return check.model_copy(update={"state": State.WARNING}) if worse else check


def receiver_check(seen: HeardSeen, now: float, *, keys: bool) -> Check:
    """Judge when the platform was last heard of."""
    said = [
        f"last {what} {rough(now - at)} ago"
        for what, at in (
            ("push", seen.pushed_at),
            ("reading of the list", seen.listed_at),
            ("ticket", seen.ticket_at),
        )
        if at is not None
    ]
    found = ", ".join(said) or "nothing was ever heard of the platform"
    pushed = seen.pushed_at is not None and abs(now - seen.pushed_at) <= PUSH_LATE_S
    listed = seen.listed_at is not None and abs(now - seen.listed_at) <= LIST_LATE_S
    if pushed or listed:
        return fine("receiver", found)
    if not keys:
        return unknown("receiver", f"{found}; the push keys are not set, so nobody listens")
    return Check(
        name="receiver",
        state=State.WARNING,
        code="doctor.no_push",
        found=found,
        hint="run `fleetdeploy listen`, or a run with --listen; waiting apps are looked at one by "
        "one until then",
    )


def receiver_failed(error: FleetError) -> Check:
    """Judge an unreadable log of notices: runs do without."""
    return _failed("receiver", error).model_copy(update={"state": State.WARNING})


def rough(seconds: float) -> str:
    """Write a duration in one unit, for people."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _failed(name: str, error: FleetError) -> Check:
    return Check(
        name=name, state=State.PROBLEM, code=error.code, found=error.message, hint=error.hint
    )
