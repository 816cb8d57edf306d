"""Laws of waves, over random manifests: who comes when does not depend on when it is asked."""

import datetime as dt
from collections.abc import Mapping
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from fleetdeploy.core.manifest import Manifest, Wave
from fleetdeploy.core.plan import Plan
from fleetdeploy.core.rules import WaveRule
from fleetdeploy.core.targets import resolve
from fleetdeploy.core.waves import assign, idle_waves, wrong_waves
from tests.unit.core_builders import make_plan, make_planned

pytestmark = pytest.mark.slow

law = settings(deadline=None, max_examples=40)

RINGS = ("a", "b", "c")
IDS = st.lists(st.integers(10**8, 10**9).map(str), min_size=1, max_size=40, unique=True)


@st.composite
def fleets(draw: st.DrawFn) -> Manifest:
    """Draw a manifest whose last wave takes all that are left."""
    ids = draw(IDS)
    apps = [{"app_id": one, "labels": {"ring": draw(st.sampled_from(RINGS))}} for one in ids]
    chosen: st.SearchStrategy[Mapping[str, object]] = st.one_of(
        st.fixed_dictionaries({"percent": st.integers(1, 100).map(float)}),
        st.fixed_dictionaries({"count": st.integers(1, 30)}),
        st.sampled_from(RINGS).map(lambda ring: {"match": {"ring": ring}}),
        st.lists(st.sampled_from(ids), min_size=1, max_size=5, unique=True).map(
            lambda some: {"apps": some}
        ),
    )
    waves = [
        {"name": f"w{number}", **selector}
        for number, selector in enumerate(draw(st.lists(chosen, max_size=4)))
    ]
    return Manifest.model_validate(
        {
            "api_version": "fleetdeploy/v1",
            "name": "fleet",
            "template_id": "1",
            "version": "1",
            "audit": {"content": "c", "remark": "r"},
            "apps": apps,
            "rollout": {"waves": [*waves, {"name": "rest"}]},
        }
    )


@law
@given(fleets())
def test_every_app_is_in_exactly_one_wave(fleet: Manifest) -> None:
    waves = fleet.rollout.waves
    taken = assign(waves, fleet.apps)
    assert set(taken) == {app.app_id for app in fleet.apps}
    assert set(taken.values()) <= {wave.name for wave in waves}
    assert [*wrong_waves(waves)] == []
    assert all("are in no wave" not in found.message for found in idle_waves(waves, fleet.apps))


@law
@given(fleets(), st.randoms(use_true_random=False))
def test_who_comes_when_does_not_depend_on_the_order_of_the_apps(
    fleet: Manifest, rng: Random
) -> None:
    shuffled = list(fleet.apps)
    rng.shuffle(shuffled)
    assert assign(fleet.rollout.waves, shuffled) == assign(fleet.rollout.waves, fleet.apps)


@law
@given(fleets(), st.dates(dt.date(2026, 1, 1), dt.date(2030, 1, 1)))
def test_the_same_manifest_gives_the_same_waves_on_any_day(fleet: Manifest, day: dt.date) -> None:
    first = resolve(fleet, date=dt.date(2026, 11, 24), run_id="one")
    later = resolve(fleet, date=day, run_id="other")
    assert [one.wave for one in later] == [one.wave for one in first]


@law
@given(fleets())
def test_a_resume_finds_the_course_that_the_plan_was_made_with(fleet: Manifest) -> None:
    """The plan on disk is all that a resume knows."""
    taken = assign(fleet.rollout.waves, fleet.apps)
    apps = [
        make_planned(app.app_id).model_copy(update={"wave": taken[app.app_id]})
        for app in fleet.apps
    ]
    plan = make_plan(*apps)
    rules = tuple(WaveRule(name=wave.name) for wave in fleet.rollout.waves)
    plan = plan.model_copy(update={"rules": plan.rules.model_copy(update={"waves": rules})})
    again = Plan.model_validate_json(plan.model_dump_json())
    assert again.course() == plan.course()
    assert [wave.name for wave in again.course().waves] == [
        wave.name for wave in fleet.rollout.waves if wave.name in taken.values()
    ]


@law
@given(fleets(), st.integers(10**9, 10**10).map(str))
def test_a_client_that_joins_moves_no_more_than_one_other_in_each_wave(
    fleet: Manifest, newcomer: str
) -> None:
    counted = tuple(
        Wave(name=wave.name, count=wave.count) if wave.count else Wave(name=wave.name, count=3)
        for wave in fleet.rollout.waves[:-1]
    )
    waves = (*counted, fleet.rollout.waves[-1])
    before = assign(waves, fleet.apps)
    joined = fleet.apps[0].model_copy(update={"app_id": newcomer})
    after = assign(waves, (*fleet.apps, joined))
    moved = [app_id for app_id, wave in before.items() if after[app_id] != wave]
    assert len(moved) <= len(counted)
