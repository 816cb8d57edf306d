"""The simulated platform: apps, tokens, and the books of what happened.

Pure: no async, no input or output, no clock. Every method takes `now`, in seconds on a clock that
the caller chooses and that does not go back; the world's time begins at the first one it hears.
HTTP, JSON and faults are not known here.

How it works: the world is a directory of apps (`app.py`) that come into being when first asked
for. A request is first admitted (address, token, authorization), then put to the app, which says
yes or no. A yes goes into the ledger as an effect at the moment of acceptance, even if it takes
effect only later; a no that a lawful client would not have provoked goes there as a violation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Self

from fleetdeploy.model import PackageStatus
from fleetdeploy.simulator import happenings
from fleetdeploy.simulator.agenda import Calendar
from fleetdeploy.simulator.app import App, Rules
from fleetdeploy.simulator.behaviour import Authorization, Behaviour, ForeignPackage
from fleetdeploy.simulator.chance import Chance
from fleetdeploy.simulator.desk import Desk, Pair
from fleetdeploy.simulator.era import Era
from fleetdeploy.simulator.happenings import Happening, Push
from fleetdeploy.simulator.ledger import Effect, EffectKind, Ledger, Violation, duplicates
from fleetdeploy.simulator.outages import Outages
from fleetdeploy.simulator.papers import authorization_refusal
from fleetdeploy.simulator.pushes import Posting, Pushes
from fleetdeploy.simulator.rows import IP_NOT_WHITELISTED, QuotaState, Refusal, Row, UploadWish
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.tokens import AccessTokens, Grant
from fleetdeploy.simulator.tokens import tokens_for as tokens_for
from fleetdeploy.simulator.traffic import Traffic


class World:
    """One simulated platform with a fixed set of apps."""

    def __init__(self, scenario: Scenario, behaviours: Mapping[str, Behaviour]) -> None:
        self.scenario = scenario
        self.chance = Chance(scenario.seed)
        self.ledger = Ledger()
        self.traffic = Traffic(per_second=scenario.rate_limit.per_second, keep=scenario.keep_calls)
        self.ip_whitelisted = scenario.ip_whitelisted
        self.began: float | None = None
        self.time_scale = 1.0
        self.wire = Era(scenario.epoch_unix)
        self._behaviours = dict(behaviours)
        self._indices = {app_id: index for index, app_id in enumerate(self._behaviours)}
        self._apps: dict[str, App] = {}
        self._rules: Rules | None = None
        self._access = AccessTokens(self._behaviours, scenario, self.wire)
        self.desk = Desk(scenario, self._behaviours, self._indices, self._access, self.wire)
        self.pushes = Pushes(scenario, self.chance, self.wire)
        self._calendar = Calendar(self.pushes.ring)
        self._untold: list[Happening] = []
        self._ticket_number = -1

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
        return dict(self._access.newest)

    @property
    def _tokens(self) -> dict[str, str]:
        return self._access.newest

    @property
    def _grants(self) -> dict[str, Grant]:
        return self._access.grants

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

    @property
    def outages(self) -> Outages:
        """What is out when, by the world's time, which must have begun."""
        assert self.began is not None
        return Outages(self.scenario.outages, self.began)

    # Who is asking. Times here are those of the wire.

    def owner(self, token: str) -> str:
        """Return the app that a token was ever issued for; empty for no app's token."""
        return self._access.owner(token)

    def knows(self, app_id: str) -> bool:
        return app_id in self._behaviours

    def refusal_of(self, token: str, now: float) -> Refusal | None:
        """Check address, token and authorization, in this order."""
        if refusal := self.address_refusal() or self._access.refusal_of(token, now):
            return refusal
        return authorization_refusal(self._behaviours[self._access.owner(token)])

    def tp_refusal_of(self, token: str, now: float) -> Refusal | None:
        """Check address and token of a call of the third-party platform itself."""
        return self.address_refusal() or self.desk.tp_refusal(token, now)

    def address_refusal(self) -> Refusal | None:
        return None if self.ip_whitelisted else Refusal(IP_NOT_WHITELISTED, "IP不在白名单")

    def issue_token(self, app_id: str, now: float) -> str:
        """Give an app another token; the ones before live on unless the rules say otherwise."""
        return self._access.issue(app_id, now)

    def void_token(self, app_id: str) -> None:
        """Let the app's newest token be unknown from now on."""
        self._access.void(app_id)

    def pairs(self) -> dict[str, Pair]:
        """Return what every app can be imported with; each gets a place at the desk by it."""
        return {app_id: self.desk.pair(app_id) for app_id in self._behaviours}

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
        """Let something about an app change from now on: a category gets approved, say.

        A push tells of it as soon as the world next hears what time it is.
        """
        before = self._behaviours[app_id]
        after = self._behaviours[app_id] = before.changed(changes)
        if app := self._apps.get(app_id):
            app.behaviour = after
        relations = {before.authorization, after.authorization}
        if len(relations) > 1 and Authorization.WITHDRAWN in relations:
            # Neither its end nor a new beginning leaves a pair of before.
            self.desk.withdraw(app_id)
        self._untold += happenings.changes(app_id, before, after)
        self.pushes.ring()

    def force_offline(self, app_id: str) -> None:
        """Let the platform take an app off; `app/info` and a push say so."""
        self.change(app_id, status=happenings.FORCED_OFFLINE)

    def consent(self, app_id: str, wire_now: float) -> str:
        """Let the client say yes on the platform's page; return the code that it leads back with.

        A push tells of it too, with a code of its own.
        """
        if self._behaviours[app_id].authorization is Authorization.GRANTED:
            self._untold.append(Happening(app_id, happenings.UPDATE_AUTHORIZED))
            self.pushes.ring()
        else:
            self.change(app_id, authorization=Authorization.GRANTED)
        return self.desk.issue_code(app_id, self.desk.rules.consent_code_lifetime_s, wire_now)

    def add_foreign(self, app_id: str, package: ForeignPackage, now: float) -> Row:
        """Let somebody's package be there, at once and as it says."""
        return self._app(app_id, now).add_foreign(package, now)

    def move_foreign(self, app_id: str, package_id: int, status: PackageStatus, now: float) -> bool:
        """Let somebody bring any package into a state; say whether it was there."""
        return self._app(app_id, now).move_foreign(package_id, status, now)

    def remove(self, app_id: str, package_id: int, now: float) -> bool:
        """Let somebody delete any package; say whether it was there."""
        return self._app(app_id, now).remove(package_id, now)

    # What the platform tells by itself.

    def pushes_due(self, wire_now: float, most: int | None = None) -> Iterator[Posting]:
        """Yield what is to be posted by now; `pushes.answered` hears what became of each."""
        self.tell(self._world_time(wire_now), wire_now)
        self._tell_ticket(wire_now)
        return self.pushes.take(wire_now, most)

    def next_push_at(self, wire_now: float) -> float:
        """Return when there may be something to post, on the clock of the wire."""
        if self._untold:
            return wire_now
        ticket_at = self._ticket_at(self._ticket_number + 1)
        verdict_at, posting_at = self._calendar.next_at(), self.pushes.next_at()
        times = [ticket_at, posting_at, None if verdict_at is None else self._wire_time(verdict_at)]
        return min(at for at in times if at is not None)

    def tell(self, now: float, wire_now: float) -> None:
        """Let every push come into being that has a reason by now."""
        self.hear(now, wire_now)
        for app_id in self._calendar.take(now):
            self._app(app_id, now).settle(now)

    def _with_code(self, happening: Happening, wire_now: float) -> Happening:
        if happening.event not in happenings.WITH_CODE:
            return happening
        lifetime_s = self.desk.rules.push_code_lifetime_s
        code = self.desk.issue_code(happening.app_id, lifetime_s, wire_now)
        details = {"authorizationCode": code, "authorizationCodeExpiresIn": int(lifetime_s)}
        return replace(happening, details=details)

    def _judged(self, app_id: str, row: Row, at: float) -> None:
        named = self.scenario.unsettled.push_names_package
        self._tell(happenings.verdict(app_id, row, named=named), at, self._wire_time(at))

    def _tell(self, happening: Happening, at: float, wire_at: float) -> None:
        event, app_id, details = happening.event, happening.app_id, happening.details
        self.pushes.add(Push(0, wire_at, self.unix(at), event, app_id, details))

    def _tell_ticket(self, wire_now: float) -> None:
        """Push the newest ticket, if it was not; what nobody came for in time is not made up."""
        number = self.desk.ticket_number(wire_now)
        if number <= self._ticket_number:
            return
        self._ticket_number = number
        details = {"Ticket": self.desk.ticket_text(number)}
        at = self._ticket_at(number)
        self.pushes.add(Push(0, at, self.wire.unix(at), happenings.TICKET, details=details))

    def _ticket_at(self, number: int) -> float:
        return (self.wire.began or 0.0) + number * self.desk.rules.ticket_every_s

    # The two clocks.

    def hear(self, now: float, wire_now: float) -> None:
        """Hear what time it is on both clocks; what people did since then dates from now."""
        self.begin(now, wire_now)
        if self._untold:
            untold, self._untold = self._untold, []
            for happening in untold:
                self._tell(self._with_code(happening, wire_now), now, wire_now)

    def begin(self, now: float, wire_now: float) -> None:
        """Let the world's time begin, unless it has."""
        if self.began is None:
            self.began = now
            self.wire.begin(wire_now)

    def unix(self, at: float) -> float:
        """Turn the world's time into seconds since 1970."""
        return self.scenario.epoch_unix + at - (0.0 if self.began is None else self.began)

    def _wire_time(self, at: float) -> float:
        passed_s = at - (0.0 if self.began is None else self.began)
        return (self.wire.began or 0.0) + passed_s / self.time_scale

    def _world_time(self, wire_now: float) -> float:
        if self.began is None:
            return wire_now * self.time_scale
        return self.began + self.wire.passed(wire_now) * self.time_scale

    def violate(self, endpoint: str, app_id: str, refusal: Refusal, now: float) -> None:
        """Book a request that a lawful client does not send."""
        self.ledger.add_violation(Violation(now, endpoint, app_id, refusal.errno, refusal.msg))

    def _app(self, app_id: str, now: float) -> App:
        app = self._apps.get(app_id)
        if app is None:
            rules = self._rules = self._rules or self._make_rules(now)
            app = App(app_id, self._indices[app_id], self._behaviours[app_id], rules)
            self._apps[app_id] = app
        return app

    def _make_rules(self, now: float) -> Rules:
        self.begin(now, now / self.time_scale)
        assert self.began is not None, "it has just begun"
        return Rules(
            self.chance,
            self.scenario.unsettled,
            frozenset(self.scenario.broken_templates),
            self.outages,
            self.began,
            self._calendar,
            self._judged,
        )

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
