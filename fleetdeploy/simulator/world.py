"""The simulated platform: apps, tokens, and the books of what happened.

Pure: no async, no input or output, no clock. Every method takes `now`, in seconds on a clock that
the caller chooses and that does not go back; the world's time begins at the first one it hears.
HTTP, JSON and faults are not known here.

How it works: the world is a directory of apps (`app.py`) that come into being when first asked
for. A request is first admitted (address, token, authorization), then put to the app, which says
yes or no. A yes goes into the ledger as an effect at the moment of acceptance, even if it takes
effect only later; a no that a lawful client would not have provoked goes there as a violation.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from fleetdeploy.model import PackageStatus
from fleetdeploy.simulator.app import App, Rules
from fleetdeploy.simulator.behaviour import Behaviour, ForeignPackage
from fleetdeploy.simulator.chance import Chance
from fleetdeploy.simulator.ledger import Effect, EffectKind, Ledger, Violation, duplicates
from fleetdeploy.simulator.papers import authorization_refusal
from fleetdeploy.simulator.rows import (
    GATEWAY_TOKEN_EXPIRED,
    GATEWAY_TOKEN_INVALID,
    IP_NOT_WHITELISTED,
    QuotaState,
    Refusal,
    Row,
    UploadWish,
)
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.traffic import Traffic

_EXPIRED: Final = Refusal(GATEWAY_TOKEN_EXPIRED, "Access token expired", gateway=True)
_INVALID: Final = Refusal(
    GATEWAY_TOKEN_INVALID, "Access token invalid or no longer valid", gateway=True
)


@dataclass(frozen=True, slots=True)
class _Grant:
    """Whose token it is; `ends_s` counts from the world's beginning."""

    app_id: str
    ends_s: float


class World:
    """One simulated platform with a fixed set of apps."""

    def __init__(self, scenario: Scenario, behaviours: Mapping[str, Behaviour]) -> None:
        self.scenario = scenario
        self.chance = Chance(scenario.seed)
        self.ledger = Ledger()
        self.traffic = Traffic(per_second=scenario.rate_limit.per_second, keep=scenario.keep_calls)
        self.ip_whitelisted = scenario.ip_whitelisted
        self.began: float | None = None
        self._behaviours = dict(behaviours)
        self._indices = {app_id: index for index, app_id in enumerate(self._behaviours)}
        self._apps: dict[str, App] = {}
        self._issued: dict[str, int] = {}
        self._tokens = tokens_for(self._behaviours, scenario)
        lifetime_s = scenario.token_lifetime_s
        self._grants = {token: _Grant(app_id, lifetime_s) for app_id, token in self._tokens.items()}

    @classmethod
    def from_scenario(cls, scenario: Scenario, app_ids: Sequence[str]) -> Self:
        """Build the world that a scenario describes, for these apps."""
        return cls(scenario, scenario.cast(app_ids))

    @property
    def app_ids(self) -> list[str]:
        return list(self._behaviours)

    @property
    def tokens(self) -> Mapping[str, str]:
        """The newest token of each app."""
        return dict(self._tokens)

    @property
    def effects(self) -> Sequence[Effect]:
        return self.ledger.effects

    @property
    def violations(self) -> Sequence[Violation]:
        return tuple(self.ledger.violations)

    def duplicates(self) -> list[Effect]:
        """Return every accepted effect that repeats one that still stood; see `ledger`."""
        return duplicates(
            self.ledger.effects, lambda effect: self._apps[effect.app_id].ended_at(effect.package)
        )

    # Who is asking.

    def owner(self, token: str) -> str:
        """Return the app that a token was ever issued for; empty for no app's token."""
        grant = self._grants.get(token)
        return grant.app_id if grant else ""

    def refusal_of(self, token: str, now: float) -> Refusal | None:
        """Check address, token and authorization, in this order."""
        began = self._begin(now)
        if not self.ip_whitelisted:
            return Refusal(IP_NOT_WHITELISTED, "IP不在白名单")
        grant = self._grants.get(token)
        if grant is None:
            return _INVALID
        if now - began >= grant.ends_s:
            return _EXPIRED
        return authorization_refusal(self._behaviours[grant.app_id])

    def issue_token(self, app_id: str, now: float) -> str:
        """Give an app another token; the ones before live on unless the rules say otherwise."""
        issued_s = now - self._begin(now)
        lifetime_s = self.scenario.token_lifetime_s
        old = self._tokens[app_id]
        nth = self._issued[app_id] = self._issued.get(app_id, 0) + 1
        new = _token_text(self.scenario, app_id, nth, issued_s)
        if self.scenario.unsettled.new_token_voids_old:
            self._grants.pop(old, None)
        self._tokens[app_id] = new
        self._grants[new] = _Grant(app_id, issued_s + lifetime_s)
        return new

    def void_token(self, app_id: str) -> None:
        """Let the app's newest token be unknown from now on."""
        self._grants.pop(self._tokens[app_id], None)

    # What clients ask.

    def packages(self, app_id: str, now: float) -> list[Row]:
        return self._app(app_id, now).list_rows(now)

    def detail(
        self, app_id: str, package_id: int | None, status: int | None, now: float
    ) -> Row | Refusal:
        return self._app(app_id, now).detail(package_id, status, now)

    def quota(self, app_id: str, now: float) -> QuotaState:
        return self._app(app_id, now).quota(now)

    def behaviour(self, app_id: str) -> Behaviour:
        return self._behaviours[app_id]

    def upload(self, app_id: str, wish: UploadWish, now: float) -> Refusal | None:
        answer = self._app(app_id, now).upload(wish, now)
        return self._book(EffectKind.UPLOAD, app_id, answer, now)

    def submit_audit(self, app_id: str, package_id: int, remark: str, now: float) -> Refusal | None:
        answer = self._app(app_id, now).submit_audit(package_id, remark, now)
        return self._book(EffectKind.SUBMIT_AUDIT, app_id, answer, now)

    def withdraw(self, app_id: str, package_id: int, now: float) -> Refusal | None:
        answer = self._app(app_id, now).withdraw(package_id, now)
        return self._book(EffectKind.WITHDRAW, app_id, answer, now)

    def release(self, app_id: str, package_id: int, now: float) -> Refusal | None:
        answer = self._app(app_id, now).release(package_id, now)
        return self._book(EffectKind.RELEASE, app_id, answer, now)

    def rollback(self, app_id: str, package_id: int, now: float) -> Refusal | None:
        answer = self._app(app_id, now).rollback(package_id, now)
        return self._book(EffectKind.ROLLBACK, app_id, answer, now)

    # What people do, on the platform's side and in the console.

    def change(self, app_id: str, **changes: object) -> None:
        """Let something about an app change from now on: a category gets approved, say."""
        behaviour = self._behaviours[app_id].changed(changes)
        self._behaviours[app_id] = behaviour
        if app := self._apps.get(app_id):
            app.behaviour = behaviour

    def add_foreign(self, app_id: str, package: ForeignPackage, now: float) -> Row:
        """Let somebody's package be there, at once and as it says."""
        return self._app(app_id, now).add_foreign(package, now)

    def move_foreign(self, app_id: str, package_id: int, status: PackageStatus, now: float) -> bool:
        """Let somebody bring any package into a state; say whether it was there."""
        return self._app(app_id, now).move_foreign(package_id, status, now)

    def remove(self, app_id: str, package_id: int, now: float) -> bool:
        """Let somebody delete any package; say whether it was there."""
        return self._app(app_id, now).remove(package_id, now)

    def unix(self, at: float) -> float:
        """Turn the world's time into seconds since 1970."""
        return self.scenario.epoch_unix + at - (0.0 if self.began is None else self.began)

    def violate(self, endpoint: str, app_id: str, refusal: Refusal, now: float) -> None:
        """Book a request that a lawful client does not send."""
        self.ledger.add_violation(Violation(now, endpoint, app_id, refusal.errno, refusal.msg))

    def _begin(self, now: float) -> float:
        if self.began is None:
            self.began = now
        return self.began

    def _app(self, app_id: str, now: float) -> App:
        app = self._apps.get(app_id)
        if app is None:
            scenario, began = self.scenario, self._begin(now)
            broken = frozenset(scenario.broken_templates)
            rules = Rules(self.chance, scenario.unsettled, broken, began)
            app = App(app_id, self._indices[app_id], self._behaviours[app_id], rules)
            self._apps[app_id] = app
        return app

    def _book(
        self, kind: EffectKind, app_id: str, answer: Row | Refusal, now: float
    ) -> Refusal | None:
        if isinstance(answer, Refusal):
            if answer.violation:
                self.violate(kind, app_id, answer, now)
            return answer
        self.ledger.add_effect(
            Effect(
                at=now,
                kind=kind,
                app_id=app_id,
                package=answer.number,
                package_id=answer.package_id,
                version=answer.version,
                version_desc=answer.description,
                template_id=answer.template_id,
            )
        )
        return None


def tokens_for(app_ids: Iterable[str], scenario: Scenario | None = None) -> dict[str, str]:
    """Make the token that each app has when a world of this scenario begins."""
    scenario = scenario or Scenario()
    return {app_id: _token_text(scenario, app_id, 0, 0.0) for app_id in app_ids}


def _token_text(scenario: Scenario, app_id: str, nth: int, issued_s: float) -> str:
    """Write a token as the platform does: kind, hex, lifetime, expiry, rest (platform-api.md 3)."""
    lifetime_s = int(scenario.token_lifetime_s)
    expiry = scenario.epoch_unix + int(issued_s) + lifetime_s
    chance = Chance(scenario.seed)
    digits = chance.hexadecimal("token", app_id, nth)
    rest = chance.hexadecimal("token rest", app_id, nth)[:12]
    return f"45.{digits}.{lifetime_s}.{expiry}.{rest}"
