"""The arithmetic of the pace, on times that are made up."""

import pytest

from fleetdeploy.core.pace import SLOWEST_PER_S, Meter, Pace, burst_for


def departures(meter: Meter, calls: int, start: float = 0.0) -> list[float]:
    """Let calls leave as soon as they may."""
    now, times = start, []
    for _ in range(calls):
        now = max(now, meter.ready_at())
        meter.take(now)
        times.append(now)
    return times


@pytest.mark.parametrize(("rate", "burst"), [(0.5, 1), (1, 1), (20, 1), (21, 2), (100, 5)])
def test_a_twentieth_of_a_second_may_catch_up(rate: float, burst: int) -> None:
    assert burst_for(rate) == burst


def test_calls_are_spaced_evenly() -> None:
    assert departures(Meter(10.0), 5) == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_after_a_pause_only_the_burst_may_catch_up() -> None:
    meter = Meter(10.0, burst=3)
    assert departures(meter, 4) == pytest.approx([0.0, 0.0, 0.0, 0.1])
    assert departures(meter, 4, start=100.0) == pytest.approx([100.0, 100.0, 100.0, 100.1])


def test_a_call_that_leaves_early_is_a_bug() -> None:
    meter = Meter(10.0)
    meter.take(0.0)
    with pytest.raises(AssertionError):
        meter.take(0.05)


def test_a_refusal_halves_the_rate_and_stops_everybody_for_one_interval() -> None:
    pace = Pace(10.0)
    pace.take(0.0)
    pace.refused(sent_at=0.0, now=0.2)
    assert pace.rate == 5.0
    assert pace.ready_at() == pytest.approx(0.4)


def test_a_pace_that_is_declared_slower_than_once_a_minute_stays_below_it() -> None:
    pace = Pace(SLOWEST_PER_S / 4)
    pace.take(0.0)
    pace.refused(sent_at=0.0, now=0.2)
    assert pace.rate == pace.declared


def test_a_volley_of_refusals_cuts_once() -> None:
    pace = Pace(100.0)
    times = departures(pace, 20)
    for sent_at in times:
        pace.refused(sent_at=sent_at, now=1.0)
    assert (pace.rate, pace.statistics().cuts, pace.statistics().throttled) == (50.0, 1, 20)


def test_calls_that_left_in_the_moment_of_the_cut_do_not_cut_again() -> None:
    """Two calls leave in the same tick of the clock and are refused in it."""
    pace = Pace(40.0)
    for _ in range(2):
        pace.take(5.0)
    for _ in range(2):
        pace.refused(sent_at=5.0, now=5.0)
    assert (pace.rate, pace.statistics().cuts) == (20.0, 1)


def test_a_refusal_at_the_new_rate_cuts_again() -> None:
    pace = Pace(10.0)
    pace.refused(sent_at=0.0, now=0.1)
    pace.refused(sent_at=0.5, now=0.6)
    assert (pace.rate, pace.statistics().cuts) == (2.5, 2)


def test_the_rate_never_falls_below_one_call_a_minute() -> None:
    pace = Pace(10.0)
    for second in range(100):
        pace.refused(sent_at=float(second), now=second + 0.5)
    assert pace.rate == SLOWEST_PER_S


@pytest.mark.parametrize("retry_after_s", [0.5, 7.0, 3600.0])
def test_retry_after_is_obeyed(retry_after_s: float) -> None:
    pace = Pace(10.0)
    pace.take(0.0)
    pace.refused(sent_at=0.0, now=1.0, retry_after_s=retry_after_s)
    assert pace.ready_at() == 1.0 + retry_after_s


def test_a_later_shorter_pause_does_not_shorten_an_earlier_longer_one() -> None:
    pace = Pace(10.0)
    pace.refused(sent_at=0.0, now=1.0, retry_after_s=60.0)
    pace.refused(sent_at=0.5, now=2.0, retry_after_s=1.0)
    assert pace.ready_at() == 61.0


def test_success_leads_back_to_the_declared_rate_and_no_further() -> None:
    pace = Pace(10.0)
    pace.refused(sent_at=0.0, now=0.1)
    rates = []
    for _ in range(400):
        now = pace.ready_at()
        pace.take(now)
        pace.succeeded(sent_at=now)
        rates.append(pace.rate)
    assert rates == sorted(rates)
    assert (rates[-1], pace.burst) == (10.0, burst_for(10.0))


def test_success_of_a_call_from_before_the_cut_says_nothing() -> None:
    pace = Pace(10.0)
    pace.refused(sent_at=0.0, now=1.0)
    pace.succeeded(sent_at=0.5)
    assert pace.rate == 5.0


def test_near_the_refused_rate_it_grows_carefully() -> None:
    pace = Pace(100.0)
    pace.refused(sent_at=0.0, now=0.0)
    growths = []
    while pace.rate < 100.0:
        before, now = pace.rate, pace.ready_at()
        pace.take(now)
        pace.succeeded(sent_at=now)
        growths.append((before, pace.rate / before))
    assert max(growth for rate, growth in growths if rate > 85.0) < 1.005
    assert min(growth for rate, growth in growths if rate < 85.0) > 1.04


def test_statistics_say_where_the_pace_stands() -> None:
    pace = Pace(10.0)
    pace.refused(sent_at=0.0, now=0.0)
    said = pace.statistics()
    assert (said.rate, said.declared, said.throttled, said.cuts) == (5.0, 10.0, 1, 1)
