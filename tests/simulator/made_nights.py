"""Nights made for one danger each, where a drawn fate meets it too rarely; seeds vary the rest."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from fleetdeploy.core.rules import WaveRule
from fleetdeploy.simulator.behaviour import Behaviour
from fleetdeploy.simulator.scenario import Scenario
from tests.simulator.checkers import complaints
from tests.simulator.course_checks import course_complaints
from tests.simulator.drawing import CLIENTS
from tests.simulator.harness import Night, app_ids, in_virtual_time, make_night

Made = Callable[[int], Sequence[str]]
"""Lives through the night of a seed, and returns what is wrong with it."""

WAVES: Final = 4
SIZE: Final = 3


def failing_in_every_wave(seed: int) -> Sequence[str]:
    """Two apps fail in each wave, and a third failure of the rollout is too many."""
    return _lived(_two_of_three_fail(seed, failures_allowed=2))


def alike_in_every_wave(seed: int) -> Sequence[str]:
    """Two apps fail in each wave for one reason, and that they share it is too much."""
    return _lived(_two_of_three_fail(seed, halt_on_cause=2))


def _two_of_three_fail(seed: int, **changes: object) -> Night:
    """Return a night in waves, each with one success, so that no gate halts the run."""
    rng = Random(f"failing {seed}")
    ids = app_ids(WAVES * SIZE)
    bad = dict(CLIENTS["bad_parameter"][0])
    clients = {app_id: bad for place, app_id in enumerate(ids) if place % SIZE}
    behaviour = Behaviour(
        effect_delay_s=rng.choice([0.0, 3.0]), build_s=(1.0, 5.0), audit_s=(5.0, 20.0)
    )
    scenario = Scenario(seed=seed, behaviour=behaviour, apps=clients)
    night = make_night(len(ids), scenario=scenario, seed=seed, **changes)
    waves = [WaveRule(name=f"w{number}") for number in range(WAVES)]
    return night.waved(*waves, sizes=[SIZE] * (WAVES - 1))


def killed_before_it_shows(seed: int) -> Sequence[str]:
    """A process dies with requests on their way that show only seconds later."""
    rng = Random(f"killed {seed}")
    behaviour = Behaviour(effect_delay_s=8.0, build_s=(1.0, 2.0), audit_s=(1.0, 5.0))
    scenario = Scenario(seed=seed, behaviour=behaviour, latency_s=(0.5, 2.0))
    night = make_night(6, scenario=scenario, seed=seed)

    async def lives() -> None:
        for _ in range(4):
            if await night.live_until(rng.uniform(0.2, 12.0), keep=rng.random()):
                return
        await night.live()

    in_virtual_time(lives)
    return [*complaints(night), *course_complaints(night)]


def _lived(night: Night) -> Sequence[str]:
    in_virtual_time(night.live)
    return [*complaints(night), *course_complaints(night)]


MADE: Final[Sequence[Made]] = (failing_in_every_wave, alike_in_every_wave, killed_before_it_shows)
