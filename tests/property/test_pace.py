"""The bound of the pace in any window, whatever happens."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from fleetdeploy.core.pace import Meter, Pace, burst_for

pytestmark = pytest.mark.slow

law = settings(deadline=None, max_examples=200)

ROUNDING_S = 1e-6

rates = st.floats(0.02, 200)
pauses = st.lists(st.one_of(st.just(0.0), st.floats(0, 5)), min_size=1, max_size=150)


def busiest_second(times: list[float]) -> int:
    """Return the most calls in any second, its end not included."""
    most, first = 0, 0
    for last, time in enumerate(times):
        while times[first] <= time - 1.0 + ROUNDING_S:
            first += 1
        most = max(most, last - first + 1)
    return most


@law
@given(rates, st.integers(1, 20), pauses)
def test_any_second_holds_at_most_rate_plus_burst_calls(
    rate: float, burst: int, waits: list[float]
) -> None:
    meter, now, times = Meter(rate, burst), 0.0, []
    for wait_s in waits:
        now = max(now + wait_s, meter.ready_at())
        meter.take(now)
        times.append(now)
    assert busiest_second(times) <= rate + burst


@st.composite
def weather(draw: st.DrawFn) -> list[tuple[float, str]]:
    kinds = st.sampled_from(["taken", "taken", "taken", "refused", "refused after"])
    return draw(st.lists(st.tuples(st.floats(0, 2), kinds), min_size=1, max_size=150))


@law
@given(st.floats(1, 200), weather())
def test_however_refusals_and_successes_fall_the_declared_pace_holds(
    declared: float, calls: list[tuple[float, str]]
) -> None:
    pace, now, times = Pace(declared), 0.0, []
    for wait_s, kind in calls:
        now = max(now + wait_s / declared, pace.ready_at())
        pace.take(now)
        times.append(now)
        if kind == "taken":
            pace.succeeded(sent_at=now)
        else:
            pace.refused(sent_at=now, now=now, retry_after_s=2.0 if kind != "refused" else None)
        assert 0 < pace.rate <= declared
    assert busiest_second(times) <= declared + burst_for(declared)


@law
@given(st.floats(1, 200), weather())
def test_nobody_leaves_before_a_pause_is_over(
    declared: float, calls: list[tuple[float, str]]
) -> None:
    pace, now, closed_until = Pace(declared), 0.0, 0.0
    for wait_s, kind in calls:
        now = max(now + wait_s, pace.ready_at())
        assert now >= closed_until
        pace.take(now)
        if kind == "refused after":
            pace.refused(sent_at=now, now=now, retry_after_s=3.0)
            closed_until = now + 3.0
