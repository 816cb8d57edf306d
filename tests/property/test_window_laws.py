"""Laws of windows: the wall clock, read minute by minute, is never contradicted."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from fleetdeploy.core.windows import Freeze, Hours, parse_window
from tests.wall_hours import DAYS, Frozen, first_change, may_happen

pytestmark = pytest.mark.slow

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Shanghai",
    "Asia/Beirut",  # moves its clock at midnight
    "America/Havana",  # back from 01:00 to 00:00
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Chatham",  # 45 minutes off
    "Africa/Casablanca",  # twice around Ramadan
)
NIGHTS = (
    *("2026-03-28", "2026-10-24"),  # Berlin
    *("2026-03-07", "2026-10-31"),  # New York
    *("2026-04-04", "2026-10-03"),  # Lord Howe, Chatham
    *("2026-02-14", "2026-03-21"),  # Casablanca
    "2026-06-01",
)

times = st.integers(0, 96).map(lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}")
days = st.one_of(
    st.lists(st.sampled_from(DAYS), min_size=1, max_size=3).map(",".join),
    st.lists(st.sampled_from(DAYS), min_size=2, max_size=2, unique=True).map("-".join),
)


@st.composite
def windows(draw: st.DrawFn) -> str:
    start = draw(times.filter(lambda time: time != "24:00"))
    end = draw(times.filter(lambda time: time != start and (time, start) != ("24:00", "00:00")))
    if (start, end) == ("00:00", "00:00"):
        end = "24:00"
    return f"{draw(days)} {start}-{end} {draw(st.sampled_from(ZONES))}"


moments = st.builds(
    lambda night, minutes, seconds: (
        datetime.fromisoformat(night).replace(tzinfo=UTC)
        + timedelta(minutes=minutes, seconds=seconds)
    ),
    st.sampled_from(NIGHTS),
    st.integers(-1440, 2 * 1440),
    st.sampled_from([0, 0, 0.000001, 1, 59.999999]),
)
freezes = st.builds(
    lambda night, skip, length, zone: (
        date.fromisoformat(night) + timedelta(days=skip),
        date.fromisoformat(night) + timedelta(days=skip + length),
        zone,
    ),
    st.sampled_from(NIGHTS),
    st.integers(-2, 3),
    st.integers(0, 2),
    st.sampled_from(ZONES),
)


def hours_of(texts: list[str], frozen: list[Frozen]) -> Hours:
    return Hours(
        tuple(map(parse_window, texts)),
        tuple(Freeze(first, last, ZoneInfo(zone)) for first, last, zone in frozen),
    )


@settings(deadline=None, max_examples=200)
@given(st.lists(windows(), max_size=3), st.lists(freezes, max_size=2), moments)
def test_it_is_open_exactly_when_the_wall_clock_shows_it(
    texts: list[str], frozen: list[Frozen], at: datetime
) -> None:
    hours = hours_of(texts, frozen)
    for minute in range(0, 2 * 1440, 7):
        moment = at + timedelta(minutes=minute)
        assert hours.is_open(moment) is may_happen(texts, frozen, moment)


@settings(deadline=None, max_examples=40)
@given(st.lists(windows(), max_size=2), st.lists(freezes, max_size=1), moments)
@example(["Sun 02:15-02:45 Europe/Berlin"], [], datetime(2026, 3, 28, 12, tzinfo=UTC))
def test_the_next_change_is_the_first_that_a_walk_by_minutes_finds(
    texts: list[str], frozen: list[Frozen], at: datetime
) -> None:
    hours = hours_of(texts, frozen)
    change = hours.next_change(at)
    walked = first_change(texts, frozen, at, days=9)
    if walked is None:
        assert change is None or change > at + timedelta(days=8)
    else:
        assert change == walked
    opens = hours.opens_at(at)
    assert may_happen(texts, frozen, opens)
    assert opens == (at if may_happen(texts, frozen, at) else change)
