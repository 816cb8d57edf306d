"""Texts from outside: harmless, on one line, and aligned in columns of Chinese too."""

import unicodedata
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetdeploy.cli.render.layout import columns, some
from fleetdeploy.cli.render.safe import code, display_width, fit, pad, safe, safe_markdown
from fleetdeploy.cli.render.style import ANSI, PLAIN, Style, Tone, colours_refused
from fleetdeploy.cli.render.times import between, day_of, moment, span, time_of_day
from tests.builders import HOSTILE

ANYTHING = st.text(st.characters(codec=None, categories=None))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hot Pot House", "Hot Pot House"),
        ("火锅店", "火锅店"),
        ("one\r\ntwo\tthree\u2028four", "one two three four"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("a\u202eb\u2066c\u200ed", "a\\u202eb\\u2066c\\u200ed"),
        ("half \ud83d", "half \\ud83d"),
        ("tag \U000e0041", "tag \\U000e0041"),
    ],
)
def test_safe_shows_what_a_terminal_would_obey(text: str, expected: str) -> None:
    assert safe(text) == expected


@settings(max_examples=50)
@given(ANYTHING)
def test_safe_leaves_nothing_that_is_not_shown(text: str) -> None:
    assert not {"Cc", "Cf", "Cs", "Zl", "Zp"} & set(map(unicodedata.category, safe(text)))
    assert safe(safe(text)) == safe(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a|b", r"a\|b"),
        ("<img src=x>&amp;", "&lt;img src=x&gt;&amp;amp;"),
        ("[x](y) `z` *w* _v_", r"\[x\](y) \`z\` \*w\* \_v\_"),
        ("# no heading", r"\# no heading"),
        ("- no list", r"\- no list"),
        ("1. no list", "&#49;. no list"),
        ("10.30.0.3", "10.30.0.3"),
        ("my-shop", "my-shop"),
        ("two\nlines", "two lines"),
    ],
)
def test_safe_markdown_shows_the_text_as_it_is(text: str, expected: str) -> None:
    assert safe_markdown(text) == expected


def test_an_identifier_with_a_backtick_or_a_pipe_is_no_code_span() -> None:
    assert code("platform.no_permission") == "`platform.no_permission`"
    assert code("a`b|c") == r"a\`b\|c"


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("short", 5, "short"),
        ("a bit long", 7, "a bi..."),
        ("火锅店很好吃", 12, "火锅店很好吃"),
        ("火锅店很好吃", 11, "火锅店很..."),
        ("火锅店", 4, "..."),
        ("long", 2, ".."),
    ],
)
def test_fit_cuts_by_columns_not_by_characters(text: str, width: int, expected: str) -> None:
    assert fit(text, width) == expected


@settings(max_examples=50)
@given(ANYTHING, st.integers(0, 30))
def test_fit_never_takes_more_columns_than_it_has(text: str, width: int) -> None:
    cut = fit(safe(text), width)
    assert display_width(cut) <= width
    assert len(cut) <= width * 4 + 3


@settings(max_examples=50)
@given(ANYTHING, st.integers(0, 30))
def test_pad_fills_exactly(text: str, width: int) -> None:
    shown = safe(text)
    assert display_width(pad(shown, width)) == max(width, display_width(shown))
    assert pad(shown, width, right=True).endswith(shown)


def test_columns_of_chinese_and_latin_names_are_aligned() -> None:
    rows = [["1", "火锅店", "x"], ["22", "Hot Pot", "y"], ["333", "e\u0301te", "z"]]
    lines = columns(rows, numbers=[0]).splitlines()
    assert lines == ["  1  火锅店   x", " 22  Hot Pot  y", "333  e\u0301te      z"]
    assert {display_width(line) for line in lines} == {15}


def test_some_names_ten_ids_and_counts_the_rest() -> None:
    ids = [str(number) for number in range(12)]
    assert some(ids) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    assert some(ids[:10]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-1, "0s"),
        (8.9, "8s"),
        (250, "4m 10s"),
        (3600 * 2 + 185, "2h 03m"),
        (86_400 * 3 + 3600 * 4 + 59, "3d 04h"),
    ],
)
def test_durations_are_written_in_two_units(seconds: float, expected: str) -> None:
    assert span(seconds) == expected


def test_times_are_shown_in_the_zone_with_its_name() -> None:
    style = Style(zone=timezone(timedelta(hours=8), "CST"))
    at = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)
    assert moment(at, style) == "2026-11-25 07:30:00 CST"
    assert moment(None, style) == "-"
    assert between(at, at + timedelta(seconds=5)) == 5.0
    assert between(None, at) is None


@pytest.mark.parametrize("hours", [8, -8])
@pytest.mark.parametrize("year", [1, 9999])
def test_times_at_the_ends_of_the_calendar_are_shown(year: int, hours: int) -> None:
    """A journal or a plan may say any; none may keep the rest from being told."""
    month, day, hour = (1, 1, 0) if year == 1 else (12, 31, 23)
    at = datetime(year, month, day, hour, tzinfo=UTC)
    style = Style(zone=timezone(timedelta(hours=hours), "Z"))
    assert moment(at, style).startswith(str(year))
    assert time_of_day(at, style).endswith(":00:00")
    assert day_of(at, style).startswith(str(year))


def test_only_a_style_with_colour_paints() -> None:
    assert PLAIN.paint("x", Tone.BAD) == "x"
    assert ANSI.paint("x", Tone.BAD) == "\x1b[31mx\x1b[0m"
    assert ANSI.paint("", Tone.BAD) == ""


def test_a_stdout_that_is_no_terminal_has_neither_colours_nor_bars(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert capsys.readouterr().out == ""
    assert Style.for_stdout(no_color=False) == PLAIN


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({}, False),
        ({"NO_COLOR": ""}, False),
        ({"NO_COLOR": "1"}, True),
        ({"TERM": "dumb"}, True),
        ({"TERM": "xterm"}, False),
    ],
)
def test_the_environment_may_refuse_colours(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], *, refused: bool
) -> None:
    """An empty `NO_COLOR` is none: no-color.org."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert colours_refused() == refused


def test_the_hostile_sample_is_hostile() -> None:
    assert safe(HOSTILE) != HOSTILE
