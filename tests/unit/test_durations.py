import pytest
from pydantic import TypeAdapter, ValidationError

from fleetdeploy.core.durations import Duration, format_duration, parse_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0.0),
        (90, 90.0),
        (1.5, 1.5),
        ("90", 90.0),
        ("90s", 90.0),
        ("30m", 1_800.0),
        ("6h", 21_600.0),
        ("2d", 172_800.0),
        ("1.5h", 5_400.0),
        (" 3s ", 3.0),
    ],
)
def test_a_duration_is_a_number_of_seconds_or_has_a_unit(written: object, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    ["", "s", "-1s", "1 h", "1w", "1h30m", "1e3", "٣s", "inf", "9" * 5_000, True, None, [1], b"1"],
)
def test_anything_else_is_refused_with_the_forms_that_are_right(written: object) -> None:
    with pytest.raises(ValueError, match="like 90s, 30m, 6h or 2d"):
        parse_duration(written)


@pytest.mark.parametrize("written", [-1, float("nan"), float("inf"), 10**400, "99999d"])
def test_a_duration_has_bounds(written: object) -> None:
    with pytest.raises(ValueError, match="from 0 seconds up to ten years"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "0.25s"),
        (0.00001, "0.00001s"),
        (90, "90s"),
        (1_800, "30m"),
        (5_400, "90m"),
        (21_600, "6h"),
        (172_800, "2d"),
    ],
)
def test_a_duration_is_written_in_the_largest_unit_that_fits(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_models_read_durations_as_seconds() -> None:
    adapter: TypeAdapter[float] = TypeAdapter(Duration)
    assert adapter.validate_python("30m") == 1_800.0
    with pytest.raises(ValidationError, match="like 90s"):
        adapter.validate_python("soon")
