"""From what `doctor` found to its checks: which judge is given what.

It looks at nothing and asks nobody; what a finding means is judged in `core/`.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from fleetdeploy.cli.asking import Answers, Listed, TpSeen
from fleetdeploy.cli.connect import ONE_OFF, PaceLimits
from fleetdeploy.cli.planning import Wish
from fleetdeploy.cli.settings import KEY_SOURCES, Settings
from fleetdeploy.core import fleet_checks as judge
from fleetdeploy.core.app_checks import AppSeen, check_app
from fleetdeploy.core.credentials import AppCredential, TpCredential
from fleetdeploy.core.diagnosis import Check, Diagnosis, diagnose, unknown
from fleetdeploy.core.fleet_checks import HeardSeen, SettingsSeen, StateSeen, TokensFrom
from fleetdeploy.core.summary import ManifestNote
from fleetdeploy.errors import FleetError, PlatformError

NO_KEY: Final = "FLEETDEPLOY_TP_CLIENT_ID is not set"


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be examined: a manifest's apps, or without one only what all of them share."""

    path: str
    wish: Wish | None
    max_calls: int

    @property
    def limits(self) -> PaceLimits:
        return self.wish.limits if self.wish else ONE_OFF

    @property
    def templates(self) -> frozenset[str]:
        targets = self.wish.targets if self.wish else ()
        return frozenset(target.bundle.template_id for target in targets)


@dataclass(slots=True)
class Evidence:
    """What the disk, the platform and our own books said so far.

    `error` is why nothing could be asked at all, `kept` what the store of credentials holds, None
    where it was not opened.
    """

    state: StateSeen
    heard: HeardSeen | FleetError = field(default_factory=HeardSeen)
    error: FleetError | None = None
    kept: tuple[AppCredential, ...] | None = None
    tp: TpCredential = field(default_factory=TpCredential)
    tp_seen: TpSeen = field(default_factory=TpSeen)
    apps: list[AppSeen] = field(default_factory=list)
    answers: Answers | None = None
    counts: Counter[str] = field(default_factory=Counter)


def tokens_from(settings: Settings) -> TokensFrom:
    """Say who supplies tokens, as `connect` chooses."""
    if settings.tokens_file is not None:
        return TokensFrom.FILE
    return TokensFrom.STORE if settings.tp_client_id is not None else TokensFrom.NOWHERE


def diagnosis_of(
    settings: Settings, errand: Errand, evidence: Evidence, now: datetime
) -> Diagnosis:
    """Judge everything that was found."""
    library = evidence.tp_seen.library
    manifest = errand.wish.manifest if errand.wish else None
    return diagnose(
        _fleet(settings, errand, evidence, now.timestamp()),
        [check_app(seen, library) for seen in _apps(errand, evidence)],
        checked_at=now,
        manifest=ManifestNote(name=manifest.name, digest=manifest.digest) if manifest else None,
        path=errand.path,
        calls=dict(evidence.counts),
    )


def _apps(errand: Errand, evidence: Evidence) -> list[AppSeen]:
    """Return what was seen of each app, also where nobody could be asked."""
    if evidence.apps or errand.wish is None:
        return evidence.apps
    why_not = evidence.error.message if evidence.error else "there are no tokens"
    return [
        AppSeen(one.app_id, one.name, one.bundle.template_id, why_not=why_not)
        for one in errand.wish.targets
    ]


def _fleet(settings: Settings, errand: Errand, evidence: Evidence, now: float) -> list[Check]:
    answers, state = evidence.answers, evidence.state
    apps = len(errand.wish.targets) if errand.wish else 0
    return [
        judge.settings_check(_settings_seen(settings)),
        judge.state_check(state),
        judge.disk_check(state.free, apps),
        judge.runs_check(state),
        _credentials(settings, evidence, now),
        judge.platform_check(
            reached=answers is not None and answers.reached,
            unreached=answers.unreached if answers else "",
        ),
        judge.whitelist_check(
            admitted=answers is not None and answers.admitted,
            turned_away=answers is not None and answers.turned_away,
        ),
        *_tp_level(settings, errand, evidence, now),
        _receiver(settings, evidence, now),
    ]


def _settings_seen(settings: Settings) -> SettingsSeen:
    return SettingsSeen(
        tokens_from(settings),
        push_token=settings.push_token is not None,
        aes_key=settings.push_aes_key is not None,
        warnings=settings.warnings,
    )


def _credentials(settings: Settings, evidence: Evidence, now: float) -> Check:
    if evidence.error is not None and evidence.error is not evidence.state.error:
        return judge.credentials_failed(evidence.error)
    if evidence.kept is None:
        return unknown("credentials", _whose(settings))
    sealed = any(getattr(settings, name) is not None for name in KEY_SOURCES)
    return judge.credentials_check(evidence.kept, now, sealed=sealed)


def _whose(settings: Settings) -> str:
    file = tokens_from(settings) is TokensFrom.FILE
    return "not ours: FLEETDEPLOY_TOKENS_FILE names a file" if file else "not looked at"


def _tp_level(settings: Settings, errand: Errand, evidence: Evidence, now: float) -> list[Check]:
    """Judge what takes a TP token; without a key for one it is unknown, and says so."""
    names = ("tp_token", "clock", "templates", "push_list")
    if settings.tp_client_id is None:
        return [unknown(name, NO_KEY) for name in names]
    if evidence.kept is None:
        return [unknown(name, "the credentials could not be used") for name in names]
    max_age_s = settings.push_max_age if settings.push_token is not None else None
    return [
        _tp_token(settings, evidence, now),
        judge.clock_check(evidence.tp, now, max_age_s),
        judge.templates_check(errand.templates, evidence.tp_seen.library),
        _push_list(settings, evidence.tp_seen),
    ]


def _tp_token(settings: Settings, evidence: Evidence, now: float) -> Check:
    token = evidence.tp_seen.token
    if token is None:
        return unknown("tp_token", f"not asked: {evidence.tp_seen.library.why_not}")
    ticket = settings.tp_ticket is not None or bool(evidence.tp.ticket)
    proven = evidence.tp_seen.proven or bool(evidence.counts["tp_token"])
    if isinstance(token, PlatformError):
        return judge.tp_failed(token, needed=tokens_from(settings) is TokensFrom.STORE)
    return judge.tp_check(token, now, ticket=ticket, proven=proven)


def _push_list(settings: Settings, seen: TpSeen) -> Check:
    match seen.listed:
        case Listed(rows, opened):
            return judge.list_check(rows, opened)
        case PlatformError() as error:
            return judge.list_failed(error)
        case None if settings.push_aes_key is None:
            return unknown("push_list", "not read: FLEETDEPLOY_PUSH_AES_KEY is not set")
        case None:
            return unknown("push_list", f"not asked: {seen.library.why_not}")


def _receiver(settings: Settings, evidence: Evidence, now: float) -> Check:
    if isinstance(evidence.heard, FleetError):
        return judge.receiver_failed(evidence.heard)
    keys = settings.push_token is not None and settings.push_aes_key is not None
    return judge.receiver_check(evidence.heard, now, keys=keys)
