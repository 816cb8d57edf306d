"""The apps' access tokens: their text, whose they are, and until when.

Knows nothing of refresh tokens and codes; those are the desk's. Times are those of the wire.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fleetdeploy.simulator.chance import Chance
from fleetdeploy.simulator.era import Era
from fleetdeploy.simulator.rows import GATEWAY_TOKEN_EXPIRED, GATEWAY_TOKEN_INVALID, Refusal
from fleetdeploy.simulator.scenario import Scenario

TOKEN_EXPIRED: Final = Refusal(GATEWAY_TOKEN_EXPIRED, "Access token expired", gateway=True)
TOKEN_INVALID: Final = Refusal(
    GATEWAY_TOKEN_INVALID, "Access token invalid or no longer valid", gateway=True
)
_OLDER_KEPT: Final = 16
"""Of an app whose tokens live seconds; those before are unknown instead of expired."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Whose token it is; `ends_s` counts from the beginning."""

    app_id: str
    ends_s: float


class AccessTokens:
    """Hands out access tokens and knows them again; `newest` is by app, `grants` by token."""

    def __init__(self, app_ids: Iterable[str], scenario: Scenario, era: Era) -> None:
        self._scenario = scenario
        self._era = era
        self._issued: dict[str, int] = {}
        self._older: dict[str, deque[str]] = {}
        self.newest = tokens_for(app_ids, scenario)
        lifetime_s = scenario.token_lifetime_s
        self.grants = {token: Grant(app_id, lifetime_s) for app_id, token in self.newest.items()}

    def owner(self, token: str) -> str:
        grant = self.grants.get(token)
        return grant.app_id if grant else ""

    def refusal_of(self, token: str, now: float) -> Refusal | None:
        grant = self.grants.get(token)
        if grant is None:
            return TOKEN_INVALID
        return TOKEN_EXPIRED if self._era.passed(now) >= grant.ends_s else None

    def issue(self, app_id: str, now: float) -> str:
        """Give an app another token; the ones before live on unless the rules say otherwise."""
        issued_s = self._era.passed(now)
        nth = self._issued[app_id] = self._issued.get(app_id, 0) + 1
        new = _token_text(self._scenario, app_id, nth, issued_s)
        self._put_away(app_id)
        self.newest[app_id] = new
        self.grants[new] = Grant(app_id, issued_s + self._scenario.token_lifetime_s)
        return new

    def void(self, app_id: str) -> None:
        """Let the app's newest token be unknown from now on."""
        self.grants.pop(self.newest[app_id], None)

    def _put_away(self, app_id: str) -> None:
        if self._scenario.unsettled.new_token_voids_old:
            self.void(app_id)
            return
        older = self._older.setdefault(app_id, deque())
        older.append(self.newest[app_id])
        if len(older) > _OLDER_KEPT:
            self.grants.pop(older.popleft(), None)


def tokens_for(app_ids: Iterable[str], scenario: Scenario | None = None) -> dict[str, str]:
    """Make the token that each app has when a world of this scenario begins."""
    scenario = scenario or Scenario()
    return {app_id: _token_text(scenario, app_id, 0, 0.0) for app_id in app_ids}


def token_text(kind: str, digits: str, rest: str, lifetime_s: float, ends_unix: float) -> str:
    """Write a token as the platform does: kind, hex, lifetime, expiry, rest (platform-api.md 3)."""
    return f"{kind}.{digits}.{int(lifetime_s)}.{int(ends_unix)}.{rest}"


def _token_text(scenario: Scenario, app_id: str, nth: int, issued_s: float) -> str:
    chance, lifetime_s = Chance(scenario.seed), scenario.token_lifetime_s
    digits = chance.hexadecimal("token", app_id, nth)
    rest = chance.hexadecimal("token rest", app_id, nth)[:12]
    ends_unix = scenario.epoch_unix + int(issued_s) + int(lifetime_s)
    return token_text("45", digits, rest, lifetime_s, ends_unix)
