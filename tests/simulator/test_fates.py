"""Whatever befalls a rollout, nothing is done twice, nothing is lost, and it comes to its end."""

from collections import Counter

import pytest

from tests.simulator.fate import Draw, Fate, NextRun, shrink
from tests.simulator.lives import live_through
from tests.simulator.plots import plot_of


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 100, 10))
def test_whatever_a_seed_draws_is_lived_through(first: int) -> None:
    for seed in range(first, first + 10):
        fate = Fate(seed)
        assert live_through(fate).found == [], fate.command


@pytest.mark.slow
def test_the_same_seed_gives_the_same_story_to_the_byte() -> None:
    def journals() -> list[bytes]:
        return [night.data for night in live_through(Fate(7)).nights]

    assert journals() == journals()


def test_switching_one_draw_off_leaves_the_others_as_they_were() -> None:
    for seed in range(20):
        whole, less = plot_of(Fate(seed)), plot_of(Fate(seed, frozenset({Draw.FAULTS})))
        assert less.night.targets == whole.night.targets
        assert less.night.course == whole.night.course
        assert less.night.orders == whole.night.orders
        assert less.deaths == whole.deaths
        assert less.night.scenario.faults != whole.night.scenario.faults or seed != 0


def test_the_draws_hold_all_that_is_to_be_lived_through() -> None:
    plots = [plot_of(Fate(seed)) for seed in range(150)]
    following = Counter(plot.next_run for plot in plots)
    assert {*following} == {None, *NextRun}
    for holds in (
        lambda plot: plot.deaths,
        lambda plot: plot.night.orders,
        lambda plot: plot.night.course,
        lambda plot: plot.night.scenario.outages,
        lambda plot: not plot.night.calendar.release.always,
        lambda plot: plot.deeds,
        lambda plot: plot.stray_s,
        lambda plot: (
            plot.night.wall.at(1e6)
            != plot.night.wall.at(0.0) + (plot.night.wall.at(2e6) - plot.night.wall.at(1e6))
        ),
    ):
        assert 10 < sum(bool(holds(plot)) for plot in plots) < 140


def test_a_failing_fate_is_shrunk_to_what_it_takes() -> None:
    def fails(fate: Fate) -> bool:
        return Draw.FAULTS not in fate.without and (fate.apps is None or fate.apps >= 2)

    small = shrink(Fate(12), fails)
    assert small == Fate(12, frozenset(Draw) - {Draw.FAULTS}, apps=2)
    assert "--only 12" in small.command
    assert "--apps 2" in small.command
