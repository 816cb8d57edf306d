"""Draws all that a fate holds: the night to live, and what is to come over it.

`lives.py` lives through it. What is expected of each app is read off the draw alone.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Final

from fleetdeploy.core.decisions import Policy
from fleetdeploy.core.orders import Order, OrderKind
from fleetdeploy.core.rules import ForeignPackage, WaveRule
from fleetdeploy.core.targets import Target
from fleetdeploy.core.windows import Calendar
from fleetdeploy.model import Phase, Until
from fleetdeploy.simulator.behaviour import RateLimit, Unsettled, WithdrawnTo
from fleetdeploy.simulator.faults import FaultScript
from fleetdeploy.simulator.outages import Service, ServiceOutage
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.storage.memory_journal import Moment
from tests.simulator.drawing import CLIENTS, Drawn, draw, draw_calendar, expected_of
from tests.simulator.fate import APPS, Death, Draw, Fate, NextRun, Plot
from tests.simulator.harness import EPOCH, Night, VirtualWall, make_target
from tests.simulator.keyed import draw_keyed
from tests.simulator.parts import RenewedTokens
from tests.simulator.people import draw_deeds

DAY_S: Final = 86_400.0
SHORT_OUT_S: Final = 20.0
NO_HOURS: Final = Calendar()
BLINKS: Final = 10
KEYED_SHARE: Final = 0.25
ALIKE_SHARE: Final = 0.25
ALIKE: Final = (
    "rejected",
    "bad_parameter",
    "build_never_works",
    "authenticity",
    "foreign_in_audit",
    "foreign_approved",
    "older_approved",
)
"""What may be the matter with a whole fleet."""


def is_keyed(fate: Fate) -> bool:
    """Whether tokens rotate; then something happens every minute, and no night is days long."""
    rng = fate.rng(Draw.TOKENS)
    return rng is not None and rng.random() < KEYED_SHARE


def plot_of(fate: Fate) -> Plot:
    """Draw all that a fate holds; the same fate draws the same."""
    drawn = draw(fate.seed, apps=APPS)
    scenario, changes = _platform(fate, drawn), _rules(fate)
    ids = [target.app_id for target in drawn.night.targets][: fate.apps]
    night = _night(fate, drawn, scenario, ids)
    night = night.tomorrow(faults=None, **changes)
    night = _in_waves(fate, night)
    policy = night.policy.foreign_package
    expected = {
        target.app_id: _expected(fate, drawn, target.bundle.direct_commit, policy, target.app_id)
        for target in night.targets
    }
    if _outlasting(scenario):
        expected = {app_id: (*phases, Phase.FAILED) for app_id, phases in expected.items()}
    plot = Plot(night, expected, chance=Random(f"chance {fate.seed}"))
    return _what_comes(fate, plot)


def _expected(
    fate: Fate, drawn: Drawn, direct: bool, rule: ForeignPackage, app_id: str
) -> tuple[Phase, ...]:
    """Return how an app may end; a quota is renewed over the days that a night may take."""
    kind = _kinds(fate, drawn)[app_id]
    phases = expected_of(kind, direct=direct, rule=rule)
    return (*phases, Phase.RELEASED) if kind == "quota" else phases


def _outlasting(scenario: Scenario) -> bool:
    """Whether an outage may use up the tries of an app that is alone in meeting it."""
    return any(outage.lasts_s > SHORT_OUT_S for outage in scenario.outages)


def _kinds(fate: Fate, drawn: Drawn) -> Mapping[str, str]:
    """Draw what is the matter with each client: of some fleets the same with nearly all."""
    rng = fate.rng(Draw.CLIENTS)
    if rng is None:
        return dict.fromkeys(drawn.kinds, "ordinary")
    if rng.random() >= ALIKE_SHARE:
        return drawn.kinds
    kind = rng.choice(ALIKE)
    return {app_id: kind if rng.random() < 0.8 else "ordinary" for app_id in drawn.kinds}


def _platform(fate: Fate, drawn: Drawn) -> Scenario:
    before = drawn.night.scenario
    changes: dict[str, object] = {}
    kinds = _kinds(fate, drawn)
    usual = "foreign_online" if _goes_back(fate) else "ordinary"
    changes["apps"] = {
        app_id: dict(CLIENTS[usual if kind == "ordinary" else kind][0])
        for app_id, kind in kinds.items()
    }
    if Draw.FAULTS in fate.without:
        changes["faults"] = FaultScript().model_dump()
    if Draw.LIMITS in fate.without:
        changes |= {"rate_limit": RateLimit().model_dump(), "latency_s": (0.05, 0.2)}
    unsettled = Unsettled() if Draw.SWITCHES in fate.without else before.unsettled
    # Who uploads once more after an outage or for another run would be refused for ever.
    unsettled = unsettled.changed({"duplicate_version_errno": None})
    if rng := fate.rng(Draw.SWITCHES):
        unsettled = unsettled.changed(
            {
                "withdrawn_to": rng.choice([*WithdrawnTo]),
                "withdraw_returns_quota": rng.random() < 0.5,
                "rollback_depth": rng.choice([1, 1, 3]),
            }
        )
    if rng := fate.rng(Draw.OUTAGES):
        outages = [_outage(rng) for _ in range(rng.choice([0, 0, 1, 2]))]
        outages += _blinks(rng) if _goes_back(fate) and rng.random() < 0.5 else []
        changes["outages"] = [outage.model_dump() for outage in outages]
    return before.changed({**changes, "unsettled": unsettled.model_dump()})


def _outage(rng: Random) -> ServiceOutage:
    lasts_s = rng.choice([SHORT_OUT_S, 300.0, 3600.0])
    return ServiceOutage(
        service=rng.choice([*Service]),
        from_s=rng.uniform(0.0, rng.choice([120.0, 120.0, 1200.0])),
        lasts_s=lasts_s,
    )


def _blinks(rng: Random) -> list[ServiceOutage]:
    """Let the platform be away again and again: nobody knows when the way back begins."""
    starts = [90.0 * number + rng.uniform(0.0, 60.0) for number in range(BLINKS)]
    return [
        ServiceOutage(service=Service.PLATFORM, from_s=from_s, lasts_s=SHORT_OUT_S)
        for from_s in starts
    ]


def _rules(fate: Fate) -> dict[str, object]:
    """Draw what a manifest says of the run as a whole, but for its waves."""
    changes: dict[str, object] = {}
    if rng := fate.rng(Draw.LIMITS):
        changes["rate"] = rng.choice([50.0, 50.0, 2.0, 0.5])
    if rng := fate.rng(Draw.BUDGET):
        changes["failures_allowed"] = rng.choice([0, 1, 2, 10**6])
        changes["blocked_allowed"] = rng.choice([None, None, 0, 1])
        changes["halt_on_cause"] = rng.choice([None, 1, 2])
        changes["strict"] = rng.random() < 0.7
    if rng := fate.rng(Draw.FOREIGN):
        rule: ForeignPackage = rng.choice(["block", "wait", "withdraw"])
        changes["policy"] = Policy(foreign_package=rule, overwrite_foreign=rng.random() < 0.3)
    if not is_keyed(fate) and (rng := fate.rng(Draw.HOURS)) and rng.random() < 0.3:
        changes["calendar"] = draw_calendar(rng)
    if rng := fate.rng(Draw.LATENCY):
        changes["journal_latency_s"] = rng.choice([0.0, 0.02, 0.2])
    if rng := fate.rng(Draw.UNTIL):
        changes["wait"] = rng.random() < 0.8
    return changes


def _night(fate: Fate, drawn: Drawn, scenario: Scenario, ids: list[str]) -> Night:
    """Return a night of plain rules on this platform, keyed or with tokens of somebody else."""
    direct = {target.app_id for target in drawn.night.targets if target.bundle.direct_commit}
    direct = set() if Draw.CLIENTS in fate.without else direct
    rng = fate.rng(Draw.PRIORITIES)
    targets = tuple(
        replace(
            make_target(app_id, direct_commit=app_id in direct),
            priority=rng.choice([0, 0, 5]) if rng else 0,
        )
        for app_id in ids
    )
    if is_keyed(fate):
        keyed = draw_keyed(fate.seed, apps=APPS).night
        kept = ("epoch_unix", "token_lifetime_s", "auth", "pushes")
        theirs = keyed.scenario.model_dump()
        scenario = scenario.changed({name: theirs[name] for name in kept})
        return replace(keyed, scenario=scenario, targets=targets, platform=None, faults=None)
    night = Night(scenario, targets, in_flight=drawn.night.in_flight, seed=fate.seed)
    night.tokens = RenewedTokens(night.world)
    night.platform = night.world
    return night


def _in_waves(fate: Fate, night: Night) -> Night:
    """Draw waves; a clock that is moved goes with waves that do not soak by it."""
    clock = fate.rng(Draw.CLOCK)
    keyed = is_keyed(fate)
    moves = _moves(clock, keyed=keyed) if clock and clock.random() < 0.3 else {}
    longest_s = 1800.0 if keyed else DAY_S
    rng = fate.rng(Draw.WAVES)
    if rng and rng.random() < 0.6:
        waves = [
            WaveRule(
                name=f"w{number}",
                soak_s=0.0 if moves else rng.choice([0.0, 600.0, 600.0, longest_s]),
                gate=rng.choice([None, "approval"]),
            )
            for number in range(rng.randint(1, 3))
        ]
        sizes = [rng.randint(1, 3) for _ in waves]
        ahead = rng.random() < 0.5
        within_s = [rng.choice([None, None, 60.0, 900.0]) for _ in waves]
        waves = [
            wave.model_copy(update={"approve_within_s": limit_s if wave.gate else None})
            for wave, limit_s in zip(waves, within_s, strict=True)
        ]
        night = night.waved(*waves, WaveRule(name="rest"), sizes=sizes, ahead=ahead)
    return replace(night, wall=VirtualWall(moves))


def _moves(rng: Random, *, keyed: bool) -> dict[float, float]:
    """Draw when the clock on the wall is set, and by how much; not by days where no night lasts."""
    farthest_s = 7200.0 if keyed else 108_000.0
    return {
        rng.uniform(0.0, 18_000.0): rng.choice([-1, 1]) * rng.choice([60.0, 7200.0, farthest_s])
        for _ in range(rng.randint(1, 3))
    }


def _what_comes(fate: Fate, plot: Plot) -> Plot:
    night = plot.night
    if rng := fate.rng(Draw.UNTIL):
        plot.until_first = rng.choice([Until.RELEASED] * 4 + [Until.UPLOADED, Until.APPROVED])
    if (rng := fate.rng(Draw.ORDERS)) and rng.random() < 0.4:
        night.orders = _orders(rng, sorted({target.wave for target in night.targets}))
    if rng := fate.rng(Draw.DEATHS):
        plot.deaths = tuple(_death(rng) for _ in range(rng.randrange(5)))
        plot.next_deaths = tuple(_death(rng) for _ in range(rng.choice([0, 0, 1, 2])))
    if (rng := fate.rng(Draw.PEOPLE)) and rng.random() < 0.25:
        plot.deeds = draw_deeds(rng, [target.app_id for target in night.targets])
    if (rng := fate.rng(Draw.STRAYS)) and rng.random() < 0.4:
        plot.stray_s = rng.uniform(0.0, _stray_max_s(night))
    if (rng := fate.rng(Draw.NEXT)) and (next_run := _next_run(rng)):
        newer = next_run is NextRun.TAKEOVER and Random(f"newer {fate.seed}").random() < 0.5
        plot.next_run = NextRun.NEWER if newer else next_run
        if plot.deaths and (next_run is NextRun.TAKEOVER or rng.random() < 0.6):
            plot.next_after = rng.randrange(len(plot.deaths))
    return plot


def _stray_max_s(night: Night) -> float:
    """Return how long a request may be on its way, so that it shows within the settle time."""
    delays = (night.world.behaviour(target.app_id).effect_delay_s for target in night.targets)
    return max(0.0, night.policy.settle_s - max(delays) - 1.0)


def _next_run(rng: Random) -> NextRun | None:
    """Draw the kind of run that follows, if one does."""
    kinds = [NextRun.TAKEOVER, NextRun.ROLLBACK, NextRun.WITHDRAW]
    return rng.choice(kinds) if rng.random() < 0.4 else None


def _goes_back(fate: Fate) -> bool:
    """Whether the run is rolled back: then its clients have something to go back to."""
    rng = fate.rng(Draw.NEXT)
    return rng is not None and _next_run(rng) is NextRun.ROLLBACK


def _death(rng: Random) -> Death:
    return Death(
        after_s=rng.uniform(0.0, rng.choice([1.0, 20.0, 60.0, 600.0])),
        record=rng.choice([None, rng.randrange(1, 25)]),
        moment=rng.choice([*Moment]),
        keep=rng.choice([0.0, rng.random(), 1.0]),
        # From a process manager that restarts at once to a person who takes a moment.
        rest_s=rng.choice([0.0, 0.0, 1.0, 15.0]),
    )


def make_order(kind: OrderKind, number: int, at_s: float, wave: str | None = None) -> Order:
    asked = EPOCH + timedelta(seconds=at_s)
    return Order(
        id=f"{number:032x}", kind=kind, wave=wave, at=asked, who="ops", host="desk", reason="lunch"
    )


def _orders(rng: Random, waves: list[str]) -> tuple[tuple[float, Order], ...]:
    """Draw what operators order in the first minutes: at any time, and in any order."""
    asked: list[tuple[float, OrderKind]] = []
    for _ in range(rng.randint(1, 3)):
        at_s = rng.uniform(0.0, rng.choice([5.0, 60.0, 400.0]))
        kind = rng.choice([OrderKind.PAUSE, OrderKind.PAUSE, OrderKind.APPROVE, OrderKind.HALT])
        asked.append((at_s, kind))
        if kind is OrderKind.PAUSE and rng.random() < 0.5:
            asked.append((at_s + rng.uniform(0.0, 300.0), OrderKind.LIFT))
    asked.sort(key=lambda one: one[0])
    return tuple(
        (at_s, make_order(kind, n, at_s, rng.choice(waves) if kind is OrderKind.APPROVE else None))
        for n, (at_s, kind) in enumerate(asked, start=1)
    )


def newer_content(target: Target) -> Target:
    """Return what the next rollout wants of an app: other content under another version."""
    direct = target.bundle.direct_commit
    newer = make_target(target.app_id, theme="winter", version="10.31.0.0", direct_commit=direct)
    return replace(target, bundle=newer.bundle)
