"""Draws whole nights from a seed: which platform, which clients, what goes wrong, what must come.

The expected outcomes are read off the draw alone; nothing here asks the engine.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from zoneinfo import ZoneInfo

from fleetdeploy.core.decisions import Policy
from fleetdeploy.core.rules import ForeignPackage
from fleetdeploy.core.windows import Calendar, Freeze, Hours, parse_window
from fleetdeploy.model import Phase
from fleetdeploy.simulator.behaviour import (
    Behaviour,
    DevelopmentRows,
    RateAnswer,
    RateLimit,
    RowOrder,
    Unsettled,
)
from fleetdeploy.simulator.faults import FaultRates, FaultScript
from fleetdeploy.simulator.scenario import Scenario
from tests.simulator.harness import FIFTH, Night, app_ids, make_target
from tests.simulator.parts import RenewedTokens

FOREIGN_IN_AUDIT = {"foreign": [{"status": 4}]}
OLDER: Mapping[str, object] = {
    "version": "10.29.0.1",
    "description": "summer storefront [fd:0123456789]",
    "template_id": "753",
}
"""What an earlier rollout made of other content; its approval is none for tonight's."""
ZONES = ("UTC", "Asia/Shanghai", "America/New_York", "Asia/Kolkata")

CLIENTS: Mapping[str, tuple[Mapping[str, object], Phase]] = {
    "ordinary": ({}, Phase.RELEASED),
    "rejected": ({"reject_chance": 1.0}, Phase.REJECTED),
    "name": ({"name_approved": False}, Phase.BLOCKED),
    "category": ({"category": "not_approved"}, Phase.BLOCKED),
    "category_in_review": ({"category": "in_review"}, Phase.BLOCKED),
    "entity": ({"entity_approved": False}, Phase.BLOCKED),
    "authenticity": ({"authenticity_passed": False}, Phase.BLOCKED),
    "quota": ({"quota_times": 3, "quota_used": 3}, Phase.BLOCKED),
    "last_of_quota": ({"quota_times": 3, "quota_used": 2}, Phase.RELEASED),
    "unauthorized": ({"authorization": "withdrawn"}, Phase.BLOCKED),
    "no_scope": ({"authorization": "no_scope"}, Phase.BLOCKED),
    "build_fails_twice": ({"upload_failures": 2}, Phase.RELEASED),
    "build_fails_oddly": ({"upload_failures": 1, "upload_error": -1}, Phase.RELEASED),
    "build_never_works": ({"upload_fail_chance": 1.0}, Phase.FAILED),
    "bad_parameter": ({"upload_fail_chance": 1.0, "upload_error": 40001}, Phase.FAILED),
    "foreign_in_audit": (FOREIGN_IN_AUDIT, Phase.BLOCKED),
    "foreign_online": ({"foreign": [{"status": 1}]}, Phase.RELEASED),
    "foreign_in_development": ({"foreign": [{"status": 3}]}, Phase.RELEASED),
    "foreign_rejected": ({"foreign": [{"status": 5}]}, Phase.RELEASED),
    "foreign_approved": ({"foreign": [{"status": 6}]}, Phase.RELEASED),
    "foreign_uploading": ({"foreign": [{"status": None}]}, Phase.RELEASED),
    "older_approved": ({"foreign": [{**OLDER, "status": 6}]}, Phase.RELEASED),
    "older_in_development": ({"foreign": [{**OLDER, "status": 3}]}, Phase.RELEASED),
}
"""Kinds of client: what is different about each, and how it has to end."""

SUBMITTED_BY_HAND = {"name", "category", "category_in_review"}
"""What keeps a package out of audit; the platform says so only to those who ask for one.

The quota is not among these: it is asked for before the upload.
"""

NEEDS_ANOTHER_UPLOAD = {"build_fails_twice", "build_fails_oddly", "build_never_works"}


@dataclass(frozen=True)
class Drawn:
    night: Night
    kinds: Mapping[str, str]
    expected: Mapping[str, tuple[Phase, ...]]


def draw(seed: int, *, apps: tuple[int, int] = (8, 20)) -> Drawn:
    """Draw one night; the same seed draws the same."""
    rng = Random(f"night {seed}")
    ids = app_ids(rng.randint(*apps))
    kinds = {i: rng.choice([*CLIENTS]) if rng.random() < 0.5 else "ordinary" for i in ids}
    direct = {app_id for app_id in ids if rng.random() < 0.2}
    rule: ForeignPackage = rng.choice(["block", "wait", "withdraw"])
    in_flight = rng.choice([1, 4, 32])
    scenario = Scenario(
        seed=seed,
        behaviour=_behaviour(rng),
        apps={app_id: dict(CLIENTS[kind][0]) for app_id, kind in kinds.items()},
        unsettled=_unsettled(rng, kinds.values()),
        rate_limit=_rate_limit(rng),
        faults=_faults(rng, kinds.values()),
        latency_s=rng.choice([(0.05, 0.2), (0.0, 0.0), (0.5, 4.0)]),
        token_lifetime_s=1e6 if in_flight == 1 else rng.choice([90.0, 600.0, 1e6]),
    )
    night = Night(
        scenario,
        tuple(make_target(app_id, direct_commit=app_id in direct) for app_id in ids),
        policy=Policy(foreign_package=rule),
        in_flight=in_flight,
        journal_latency_s=rng.choice([0.0, 0.05]),
        seed=seed,
    )
    night.tokens = RenewedTokens(night.world)
    expected = {i: expected_of(kinds[i], direct=i in direct, rule=rule) for i in ids}
    return Drawn(night, kinds, expected)


def expected_of(kind: str, *, direct: bool, rule: ForeignPackage) -> tuple[Phase, ...]:
    if kind == "foreign_in_audit":
        # Its verdict may come before we look for the first time.
        return (Phase.BLOCKED, Phase.RELEASED) if rule == "block" else (Phase.RELEASED,)
    if kind in SUBMITTED_BY_HAND and direct:
        return (Phase.FAILED,)
    return (CLIENTS[kind][1],)


def _behaviour(rng: Random) -> Behaviour:
    return Behaviour(
        effect_delay_s=rng.choice([0.0, 1.0, 3.0, 8.0]),
        build_s=(0.5, rng.choice([1.0, 20.0])),
        audit_s=(1.0, rng.choice([5.0, 300.0])),
    )


def _unsettled(rng: Random, kinds: Collection[str]) -> Unsettled:
    """Draw the switches; a version that is refused twice would forbid a needed second upload."""
    again = NEEDS_ANOTHER_UPLOAD.isdisjoint(kinds)
    return Unsettled(
        development_rows=rng.choice([*DevelopmentRows]),
        reviewed_rows_stay=rng.random() < 0.5,
        row_order=rng.choice([*RowOrder]),
        duplicate_version_errno=rng.choice([None, -1024, 40001]) if again else None,
        in_audit_errno=rng.choice([None, -1024]),
        wrong_status_errno=rng.choice([-1024, 40001]),
        checks_lag=rng.random() < 0.7,
        direct_commit_uses_quota=rng.random() < 0.5,
        token_error_http=rng.choice([200, 401]),
        new_token_voids_old=rng.random() < 0.5,
    )


def _rate_limit(rng: Random) -> RateLimit:
    if rng.random() < 0.6:
        return RateLimit()
    return RateLimit(
        per_second=rng.choice([5, 10, 20]),
        answer=rng.choice([*RateAnswer]),
        retry_after_s=rng.choice([None, 0, 2]),
    )


def _faults(rng: Random, kinds: Collection[str]) -> FaultScript:
    """Draw the faults; failed builds and lost calls together must not use up a step's tries."""
    slow = FaultRates(slow=0.1, answer_lost=0.05)
    chosen = rng.choice([FIFTH, FIFTH, FaultScript(), FaultScript(rates=slow, slow_s=(1.0, 60.0))])
    in_a_row = rng.choice([1, 3]) if NEEDS_ANOTHER_UPLOAD.isdisjoint(kinds) else 1
    return chosen.changed({"max_consecutive": in_a_row})


def draw_window(rng: Random) -> str:
    """Draw a window of some minutes to some hours; a day of the week has one before long."""
    days = rng.choice(["Mon-Sun", "Mon-Sun", "Tue-Thu", "Sat-Wed", "Wed,Sun"])
    begin, length = rng.randrange(24 * 60), rng.choice([1, 5, 30, 300, 900])
    end = (begin + length) % (24 * 60)
    clock = f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    return f"{days} {clock} {rng.choice(ZONES)}"


def draw_calendar(rng: Random) -> Calendar:
    freezes = tuple(
        Freeze(day, day + timedelta(days=rng.randrange(3)), ZoneInfo(rng.choice(ZONES)))
        for day in [date(2026, 11, rng.randrange(20, 30)) for _ in range(rng.randrange(2))]
    )

    def some() -> Hours:
        windows = tuple(parse_window(draw_window(rng)) for _ in range(rng.randrange(4)))
        return Hours(windows, freezes)

    return Calendar(some(), some())
