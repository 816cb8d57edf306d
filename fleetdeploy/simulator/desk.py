"""The desk that hands out the third-party platform's tokens, the apps' pairs, and the codes.

Pure; times are those of the wire, as tokens live by the clock that the client lives by. It knows
neither HTTP nor addresses, and no app has a place here until somebody asks for it.

How it works: a refresh token works once. Its text carries its number under a mask (`numbered.py`),
so the desk keeps of each app only which one works now, and can still tell whether one that comes
was spent, was voided without ever having come, or is nobody's. Codes are kept the same way. What is
presented again after the desk has processed it goes into the books as `reused`: that is what a
client may never do.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fleetdeploy.simulator import numbered
from fleetdeploy.simulator.behaviour import Authorization, AuthRules, Behaviour
from fleetdeploy.simulator.chance import Chance
from fleetdeploy.simulator.era import Era
from fleetdeploy.simulator.numbered import Numbered
from fleetdeploy.simulator.rows import CLIENT_UNKNOWN, NO_AUTHORIZATION, TICKET_INVALID, Refusal
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.tokens import TOKEN_EXPIRED, TOKEN_INVALID, AccessTokens, token_text

REFRESH: Final = "refresh_token"
CODE: Final = "code"

_UNKNOWN: Final = Refusal(400, "invalid refresh token or code", oauth="invalid_grant")
_REVOKED: Final = Refusal(400, "expired or revoked", oauth="invalid_grant")
_USED_TOKEN: Final = Refusal(400, "refresh token has been used", oauth="expired_token")
_USED_CODE: Final = Refusal(400, "code has been used", oauth="invalid_grant")
_TP_TOKENS_KEPT: Final = 64
_REUSES_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Pair:
    """An app's two tokens."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reuse:
    """A refresh token or code that came again after it had been processed."""

    at: float
    app_id: str
    kind: str
    nth: int


@dataclass(slots=True)
class _Account:
    """One app's place at the desk; `refresh_token` is empty where none works.

    `unseen` are the refresh tokens that were voided without ever having come. `codes` counts those
    made; `open_codes` maps those that never came to when they end. `ends_s` counts from the
    beginning.
    """

    index: int
    nth: int = 0
    refresh_token: str = field(default="", repr=False)
    ends_s: float = 0.0
    unseen: set[int] = field(default_factory=set)
    codes: int = 0
    open_codes: dict[int, float] = field(default_factory=dict)


class Desk:
    """Gives out and takes in credentials; `behaviours` says whose authorization stands."""

    def __init__(
        self,
        scenario: Scenario,
        behaviours: Mapping[str, Behaviour],
        indices: Mapping[str, int],
        tokens: AccessTokens,
        era: Era,
    ) -> None:
        self.rules: AuthRules = scenario.auth
        self._unsettled = scenario.unsettled
        self._chance = Chance(scenario.seed)
        self._behaviours = behaviours
        self._indices = indices
        self._tokens = tokens
        self._era = era
        self._app_ids: tuple[str, ...] = ()
        self._accounts: dict[str, _Account] = {}
        self._tp_tokens: dict[str, float] = {}
        self._pre_auth_codes = 0
        self._reused: deque[Reuse] = deque(maxlen=_REUSES_KEPT)
        self.tp_tokens = self.refreshed = self.exchanged = self.retrieved = self.reused_count = 0

    @property
    def client_id(self) -> str:
        """The third-party platform's key."""
        return self._chance.hexadecimal("client_id")

    @property
    def reused(self) -> list[Reuse]:
        """What came again, the newest of it where that is very much."""
        return list(self._reused)

    # The third-party platform itself.

    def ticket_number(self, now: float) -> int:
        return int(self._era.passed(now) // self.rules.ticket_every_s)

    def ticket_text(self, number: int) -> str:
        return self._chance.hexadecimal("ticket", number)

    def ticket(self, now: float) -> str:
        """Return the newest ticket."""
        return self.ticket_text(self.ticket_number(now))

    def tp_token(self, client_id: str, ticket: str, now: float) -> str | Refusal:
        if client_id != self.client_id:
            return Refusal(CLIENT_UNKNOWN, "client_id不存在")
        if not self._is_ticket(ticket, now):
            return Refusal(TICKET_INVALID, "ticket无效")
        self.tp_tokens += 1
        if self._unsettled.new_tp_token_voids_old:
            self._tp_tokens.clear()
        ends_s = self._era.passed(now) + self.rules.tp_token_lifetime_s
        token = self._write("42", "tp token", Numbered(0, self.tp_tokens), ends_s)
        self._tp_tokens[token] = ends_s
        if len(self._tp_tokens) > _TP_TOKENS_KEPT:
            del self._tp_tokens[next(iter(self._tp_tokens))]
        return token

    def void_tp_tokens(self) -> None:
        """Let every TP token be unknown from now on."""
        self._tp_tokens.clear()

    def tp_refusal(self, token: str, now: float) -> Refusal | None:
        ends_s = self._tp_tokens.get(token)
        if ends_s is None:
            return TOKEN_INVALID
        return TOKEN_EXPIRED if self._era.passed(now) >= ends_s else None

    def pre_auth_code(self) -> str:
        self._pre_auth_codes += 1
        return self._chance.hexadecimal("pre-auth code", self._pre_auth_codes)

    def _is_ticket(self, text: str, now: float) -> bool:
        newest, rules = self.ticket_number(now), self.rules
        passed = self._era.passed(now)
        for number in range(newest, -1, -1):
            if passed - number * rules.ticket_every_s >= rules.ticket_lifetime_s:
                return False
            if self.ticket_text(number) == text:
                return True
        return False

    # The apps' pairs.

    def refresh_token(self, app_id: str) -> str:
        """Return the app's refresh token that works now; empty where none does."""
        return self._account(app_id).refresh_token

    def pair(self, app_id: str) -> Pair:
        """Return the newest of both, as somebody would import them; nothing is spent by it."""
        return Pair(self._tokens.newest[app_id], self.refresh_token(app_id))

    def refresh(self, text: str, now: float) -> Pair | Refusal:
        found = self._find(REFRESH, _middle(text))
        if found is None:
            return _UNKNOWN
        app_id, account = self._app_at(found), self._account_at(found)
        if found.nth != account.nth or not account.refresh_token:
            return self._stale(account, found.nth, now)
        if text != account.refresh_token:
            return _UNKNOWN
        account.refresh_token = ""
        if self._era.passed(now) >= account.ends_s or not self._stands(app_id):
            return _REVOKED
        self.refreshed += 1
        return self._new_pair(app_id, now)

    def _stale(self, account: _Account, nth: int, now: float) -> Refusal:
        """Refuse a refresh token that works no more, and note whether it came before."""
        if nth in account.unseen:
            account.unseen.discard(nth)
            return _REVOKED
        self._note_reuse(account, REFRESH, nth, now)
        return _USED_TOKEN

    def exchange(self, code: str, now: float) -> Pair | Refusal:
        found = self._find(CODE, code)
        if found is None:
            return _UNKNOWN
        app_id, account = self._app_at(found), self._account_at(found)
        ends = account.open_codes.pop(found.nth, None)
        if ends is None:
            self._note_reuse(account, CODE, found.nth, now)
            return _USED_CODE
        if now >= ends or not self._stands(app_id):
            return _REVOKED
        self.exchanged += 1
        return self._new_pair(app_id, now)

    def retrieve(self, app_id: str, now: float) -> str | Refusal:
        """Give out a code of an app that is authorized, for a client that lost its pair."""
        if app_id not in self._behaviours or not self._stands(app_id):
            return Refusal(NO_AUTHORIZATION, "没有授权关系，请检查")
        self.retrieved += 1
        if self._unsettled.recovered_code_voids_pair:
            self._void_refresh_token(self._account(app_id))
            self._tokens.void(app_id)
        return self.issue_code(app_id, self.rules.recovered_code_lifetime_s, now)

    def issue_code(self, app_id: str, lifetime_s: float, now: float) -> str:
        account = self._account(app_id)
        account.codes += 1
        account.open_codes[account.codes] = now + lifetime_s
        return numbered.write(self._chance, CODE, Numbered(account.index, account.codes))

    def withdraw(self, app_id: str) -> None:
        """End the relation: the refresh token and the codes of before work no more."""
        account = self._account(app_id)
        self._void_refresh_token(account)
        account.open_codes = dict.fromkeys(account.open_codes, 0.0)

    def owner_of(self, kind: str, text: str) -> str:
        """Return whose refresh token or code a text ever was; empty for nobody's."""
        found = self._find(kind, _middle(text) if kind == REFRESH else text)
        return self._app_at(found) if found else ""

    def _stands(self, app_id: str) -> bool:
        return self._behaviours[app_id].authorization is not Authorization.WITHDRAWN

    def _new_pair(self, app_id: str, now: float) -> Pair:
        account = self._account(app_id)
        self._void_refresh_token(account)
        account.nth += 1
        self._renew(account, self._era.passed(now))
        return Pair(self._tokens.issue(app_id, now), account.refresh_token)

    def _renew(self, account: _Account, passed_s: float) -> None:
        mark = Numbered(account.index, account.nth)
        account.ends_s = passed_s + self.rules.refresh_token_lifetime_s
        account.refresh_token = self._write("46", REFRESH, mark, account.ends_s)

    def _void_refresh_token(self, account: _Account) -> None:
        if account.refresh_token:
            account.unseen.add(account.nth)
            account.refresh_token = ""

    def _note_reuse(self, account: _Account, kind: str, nth: int, now: float) -> None:
        self.reused_count += 1
        self._reused.append(Reuse(now, self._app_ids[account.index], kind, nth))

    def _account(self, app_id: str) -> _Account:
        """Return an app's place; the first time with the pair that it begins with."""
        account = self._accounts.get(app_id)
        if account is None:
            account = self._accounts[app_id] = _Account(self._indices[app_id])
            self._renew(account, 0.0)
        return account

    def _account_at(self, found: Numbered) -> _Account:
        return self._account(self._app_at(found))

    def _app_at(self, found: Numbered) -> str:
        return self._app_ids[found.index]

    def _find(self, kind: str, text: str) -> Numbered | None:
        """Know a text of this world again; another one of the same seed may have written more."""
        found = numbered.read(self._chance, kind, text)
        if found is None:
            return None
        if not self._app_ids:
            self._app_ids = tuple(self._indices)
        if found.index >= len(self._app_ids):
            return None
        account = self._account_at(found)
        made = account.nth if kind == REFRESH else account.codes
        return found if found.nth <= made else None

    def _write(self, head: str, kind: str, mark: Numbered, ends_s: float) -> str:
        rules = self.rules
        lifetime_s = rules.tp_token_lifetime_s if head == "42" else rules.refresh_token_lifetime_s
        text = numbered.write(self._chance, kind, mark)
        digits, rest = text[: numbered.DIGITS], text[numbered.DIGITS :]
        return token_text(head, digits, rest, lifetime_s, self._era.epoch_unix + ends_s)


def _middle(token: str) -> str:
    """Return the part of a refresh token that is drawn; empty where it is not one."""
    match token.split(".", 4):
        case ["46", digits, _, _, rest]:
            return digits + rest
        case _:
            return ""
