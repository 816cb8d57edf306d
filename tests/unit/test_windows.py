"""Windows and freezes: what is read, when they are open, and when that changes."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from fleetdeploy.core.windows import (
    ALWAYS,
    DAYS,
    Calendar,
    Freeze,
    Hours,
    parse_window,
    parse_zone,
)
from fleetdeploy.model import Step

BERLIN, NEW_YORK, SHANGHAI = "Europe/Berlin", "America/New_York", "Asia/Shanghai"


def hours(*windows: str, freezes: tuple[Freeze, ...] = ()) -> Hours:
    return Hours(tuple(map(parse_window, windows)), freezes)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(text: str, zone: str, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def changes(of: Hours, at: datetime, until: datetime) -> list[str]:
    """List when it opens and closes, in UTC: `+29 00:30`."""
    told = []
    moment = of.next_change(at)
    while moment is not None and moment <= until:
        told.append(f"{'+' if of.is_open(moment) else '-'}{moment:%d %H:%M}")
        moment = of.next_change(moment)
    return told


# What is read.


@pytest.mark.parametrize(
    ("days", "named"),
    [
        ("Mon", "Mon"),
        ("Mon-Fri", "Mon Tue Wed Thu Fri"),
        ("Sat-Mon", "Mon Sat Sun"),
        ("Sun-Sat", "Mon Tue Wed Thu Fri Sat Sun"),
        ("Sat,Sun", "Sat Sun"),
        ("Mon-Tue,Thu,Sat-Sun", "Mon Tue Thu Sat Sun"),
    ],
)
def test_days_are_single_listed_or_ranges_that_go_over_the_weekend(days: str, named: str) -> None:
    window = parse_window(f"{days} 09:00-18:00 UTC")
    assert " ".join(day for place, day in enumerate(DAYS) if place in window.days) == named


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("at night", "must be like Mon-Fri 22:00-06:00 Asia/Shanghai"),
        ("Mon-Fri 22:00-06:00", "must be like Mon-Fri 22:00-06:00 Asia/Shanghai"),
        ("Mon-Fri 9:00-18:00 UTC", "must be like Mon-Fri 22:00-06:00 Asia/Shanghai"),
        ("Mon-Fri 22:00-06:00 ../etc/passwd", "must be like Mon-Fri 22:00-06:00 Asia/Shanghai"),
        ("Mon-Fri 22:00-06:00 UTC\n", "must be like Mon-Fri 22:00-06:00 Asia/Shanghai"),
        ("Mon-Fry 22:00-06:00 UTC", "names no day of the week: Fry"),
        ("Mon-Wed-Fri 22:00-06:00 UTC", "must name days like Mon, Mon-Fri or Sat-Mon,Wed"),
        ("Mon-Mon 22:00-06:00 UTC", "must name days like Mon, Mon-Fri or Sat-Mon,Wed"),
        ("Mon 22:00-29:00 UTC", "has a time after 24:00"),
        ("Mon 22:00-24:01 UTC", "has a time after 24:00"),
        ("Mon 22:00-22:00 UTC", "begins when it ends; the whole day is 00:00-24:00"),
        ("Mon 00:00-00:00 UTC", "begins when it ends; the whole day is 00:00-24:00"),
        ("Mon 24:00-00:00 UTC", "begins when it ends; the whole day is 00:00-24:00"),
        ("Mon 24:00-06:00 UTC", "begins at 24:00; write 00:00 and the day after"),
        ("Mon 22:00-06:00 Mars/Base", "names no time zone that this machine knows: 'Mars/Base'"),
    ],
)
def test_what_is_no_window_says_why(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_window(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "name",
    ["", "Europe", "localtime", "posix/UTC", "right/UTC", "Factory", "../UTC", "/etc/localtime",
     "x" * 5000, "UTC\x00", "tzdata.zi", "leapseconds", "Europe/Berlin/"],
)  # fmt: skip
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="names no time zone that this machine knows"):
        parse_zone(name)


# When it is open.


@pytest.mark.parametrize(
    ("window", "at", "is_open"),
    [
        ("Mon-Fri 09:00-18:00 UTC", "2026-11-23 08:59:59.999999", False),
        ("Mon-Fri 09:00-18:00 UTC", "2026-11-23 09:00", True),
        ("Mon-Fri 09:00-18:00 UTC", "2026-11-23 17:59:59.999999", True),
        ("Mon-Fri 09:00-18:00 UTC", "2026-11-23 18:00", False),
        ("Mon-Fri 09:00-18:00 UTC", "2026-11-22 12:00", False),
        ("Fri 22:00-06:00 UTC", "2026-11-27 21:59", False),
        ("Fri 22:00-06:00 UTC", "2026-11-27 22:00", True),
        ("Fri 22:00-06:00 UTC", "2026-11-28 05:59", True),
        ("Fri 22:00-06:00 UTC", "2026-11-28 06:00", False),
        ("Fri 22:00-06:00 UTC", "2026-11-27 05:00", False),
        ("Sun 22:00-06:00 UTC", "2026-11-23 05:00", True),
        ("Sun 00:00-24:00 UTC", "2026-11-22 23:59", True),
        ("Sun 00:00-24:00 UTC", "2026-11-23 00:00", False),
        ("Sun 12:00-00:00 UTC", "2026-11-22 23:59", True),
        ("Sun 12:00-00:00 UTC", "2026-11-23 00:00", False),
        ("Mon 22:00-06:00 Asia/Shanghai", "2026-11-23 13:59", False),
        ("Mon 22:00-06:00 Asia/Shanghai", "2026-11-23 14:00", True),
        ("Mon 22:00-06:00 Asia/Shanghai", "2026-11-23 22:00", False),
    ],
)
def test_a_window_is_open_from_its_first_minute_until_its_last(
    window: str, at: str, is_open: bool
) -> None:
    assert hours(window).is_open(utc(at)) is is_open


def test_any_open_window_is_enough_and_none_at_all_is_always() -> None:
    both = hours("Mon 01:00-02:00 UTC", "Mon 01:30-03:00 UTC")
    shown = changes(both, utc("2026-11-23 00:00"), utc("2026-11-24 00:00"))
    assert shown == ["+23 01:00", "-23 03:00"]
    assert ALWAYS.always
    assert ALWAYS.is_open(utc("2026-11-23 00:00"))
    assert ALWAYS.next_change(utc("2026-11-23 00:00")) is None


def test_a_window_that_is_always_open_never_changes() -> None:
    assert hours("Mon-Sun 00:00-24:00 UTC").next_change(utc("2026-11-23 00:00")) is None


def test_what_is_open_opens_now() -> None:
    at = local("2026-11-24 08:00", SHANGHAI)
    assert hours("Mon-Sun 00:00-24:00 UTC").opens_at(at) == at


# When clocks are moved.


def test_berlin_in_spring_has_no_hour_from_two_to_three() -> None:
    """At 01:00 UTC of 2026-03-29 the clock goes from 02:00 to 03:00."""
    at, until = utc("2026-03-28 12:00"), utc("2026-03-29 12:00")
    assert changes(hours(f"Sun 02:00-03:00 {BERLIN}"), at, until) == []
    assert changes(hours(f"Sun 02:30-04:00 {BERLIN}"), at, until) == ["+29 01:00", "-29 02:00"]
    assert changes(hours(f"Sun 01:30-02:30 {BERLIN}"), at, until) == ["+29 00:30", "-29 01:00"]
    assert changes(hours(f"Sat 22:00-06:00 {BERLIN}"), at, until) == ["+28 21:00", "-29 04:00"]


def test_a_window_in_the_hour_that_is_skipped_opens_a_week_later() -> None:
    opens = hours(f"Sun 02:15-02:45 {BERLIN}").opens_at(utc("2026-03-28 12:00"))
    assert opens == local("2026-04-05 02:15", BERLIN).astimezone(UTC)


def test_berlin_in_autumn_shows_the_hour_from_two_to_three_twice() -> None:
    """At 01:00 UTC of 2026-10-25 the clock goes from 03:00 back to 02:00."""
    at, until = utc("2026-10-24 12:00"), utc("2026-10-25 12:00")
    assert changes(hours(f"Sun 02:00-03:00 {BERLIN}"), at, until) == ["+25 00:00", "-25 02:00"]
    assert changes(hours(f"Sun 02:15-02:45 {BERLIN}"), at, until) == [
        "+25 00:15", "-25 00:45", "+25 01:15", "-25 01:45",
    ]  # fmt: skip
    assert changes(hours(f"Sat 22:00-06:00 {BERLIN}"), at, until) == ["+24 20:00", "-25 05:00"]


def test_new_york_moves_its_clock_at_other_moments() -> None:
    """On 2026-03-08 at 07:00 UTC, and on 2026-11-01 at 06:00 UTC."""
    spring = utc("2026-03-08 00:00"), utc("2026-03-08 12:00")
    assert changes(hours(f"Sun 01:30-03:30 {NEW_YORK}"), *spring) == ["+08 06:30", "-08 07:30"]
    autumn = utc("2026-11-01 00:00"), utc("2026-11-01 12:00")
    assert changes(hours(f"Sun 01:30-03:30 {NEW_YORK}"), *autumn) == [
        "+01 05:30", "-01 06:00", "+01 06:30", "-01 08:30",
    ]  # fmt: skip


def test_shanghai_moves_no_clock() -> None:
    window = hours(f"Mon-Sun 22:00-06:00 {SHANGHAI}")
    for day in range(365):
        at = utc("2026-01-01 00:00") + timedelta(days=day)
        assert window.opens_at(at) == at + timedelta(hours=14) - (
            timedelta(hours=14) if window.is_open(at) else timedelta()
        )


# Freezes.


def freeze(first: str, last: str, zone: str = SHANGHAI) -> Freeze:
    return Freeze(date.fromisoformat(first), date.fromisoformat(last), ZoneInfo(zone), "a feast")


def test_a_freeze_is_whole_days_of_its_zone_and_overrides_windows() -> None:
    feast = freeze("2026-02-10", "2026-02-11")
    frozen = hours(f"Mon-Sun 20:00-04:00 {SHANGHAI}", freezes=(feast,))
    at, until = local("2026-02-09 12:00", SHANGHAI), utc("2026-02-12 12:00")
    # 20:00 on the 9th, midnight to the 10th, midnight to the 12th, 04:00 and 20:00 on the 12th.
    assert changes(frozen, at, until) == [
        "+09 12:00", "-09 16:00", "+11 16:00", "-11 20:00", "+12 12:00",
    ]  # fmt: skip
    assert frozen.frozen(local("2026-02-11 23:59", SHANGHAI)) is feast
    assert frozen.frozen(local("2026-02-12 00:00", SHANGHAI)) is None


def test_freezes_one_after_the_other_are_waited_for_to_the_last() -> None:
    long = tuple(freeze(f"{year}-01-01", f"{year}-12-31") for year in range(2026, 2030))
    opens = hours(freezes=long).opens_at(utc("2026-06-01 00:00"))
    assert opens == local("2030-01-01 00:00", SHANGHAI).astimezone(UTC)


def test_a_day_that_has_no_midnight_is_frozen_from_its_first_moment() -> None:
    """In Beirut the clock goes from 00:00 to 01:00 on 2026-03-29."""
    frozen = hours(freezes=(freeze("2026-03-29", "2026-03-29", "Asia/Beirut"),))
    at, until = utc("2026-03-28 12:00"), utc("2026-03-30 12:00")
    assert changes(frozen, at, until) == ["-28 22:00", "+29 21:00"]


# What asks which hours.


def test_uploads_are_free_unless_they_submit() -> None:
    submit, release = hours("Mon 09:00-18:00 UTC"), hours("Tue 09:00-18:00 UTC")
    calendar = Calendar(submit, release)
    asked = {
        (step, direct): calendar.hours_of(step, direct_commit=direct)
        for step in Step
        for direct in (False, True)
    }
    expected = {
        (Step.UPLOAD, True): submit,
        (Step.SUBMIT_AUDIT, False): submit,
        (Step.SUBMIT_AUDIT, True): submit,
        (Step.RELEASE, False): release,
        (Step.RELEASE, True): release,
    }
    assert {key: found for key, found in asked.items() if not found.always} == expected
