"""The table of the platform's numbers, and the errors built from it."""

import json
import re
from pathlib import Path

import pytest

from fleetdeploy.baidu.causes import PARKED, REFUSED, STOPS
from fleetdeploy.baidu.errno import (
    CAUSES,
    MSG_MAX,
    Layer,
    error_for,
    errors_table,
    for_read,
    own_error,
)
from fleetdeploy.baidu.faults import ANSWERS, LATER, TOKENS
from fleetdeploy.core.endings import ENDINGS
from fleetdeploy.errors import (
    AnswerLost,
    ClientMustAct,
    FleetRefused,
    NotSent,
    PlatformError,
    RateLimited,
    RequestRefused,
    TokenRefused,
)

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"

# Number by number, from platform-api.md 5.4 (class of a change, class of a read).
BUSINESS: dict[type[PlatformError], tuple[int, ...]] = {
    ClientMustAct: (
        *(2003, 30007, 40007, 40028, 40032, 40045, 45001, 45002, 45003, 50032, 50033, 50038),
        *(50044, 50053, 68001, 68002, 68003, 68004, 69001, 69002, 69003, 69013),
    ),
    RequestRefused: (
        *(404, 2002, 6001, 30001, 40001, 40016, 41000, 44000, 45000, 50030, 69004, 69005, 69006),
        *range(470011, 470022),
    ),
    FleetRefused: (40008, 50001, 50002, 50003, 69007, 69008, 69010),
    TokenRefused: (405, 44001, 44002, 44003, 44004),
    RateLimited: (40004, 50029),
    NotSent: (69009, 69011, 69012, 470022),
    AnswerLost: (
        *(-1024, 500, 501, 1000, 5000, 6002, 40000, 40003, 40005, 47002, 50015, 50031, 50050),
    ),
}
# platform-api.md 5.3
GATEWAY: dict[type[PlatformError], tuple[int, ...]] = {
    AnswerLost: (1, 2, 13),
    RequestRefused: (3, 14, 15, 100, 101, 104, 105, 106, 107),
    RateLimited: (4, 17, 18),
    FleetRefused: (5, 19),
    ClientMustAct: (6,),
    TokenRefused: (110, 111),
}


def expected(
    table: dict[type[PlatformError], tuple[int, ...]],
) -> list[tuple[int, type[PlatformError]]]:
    return [(number, kind) for kind, numbers in table.items() for number in numbers]


@pytest.mark.parametrize(("number", "kind"), expected(BUSINESS))
def test_a_business_errno_has_its_class(number: int, kind: type[PlatformError]) -> None:
    error = error_for(Layer.ERRNO, number, "原话", changes=True)
    assert type(error) is kind
    assert (error.errno, error.msg) == (number, "原话")
    assert f"errno {number}" in error.message
    assert error.hint


@pytest.mark.parametrize(("number", "kind"), expected(GATEWAY))
def test_a_gateway_error_has_its_class(number: int, kind: type[PlatformError]) -> None:
    assert type(error_for(Layer.GATEWAY, number, changes=True)) is kind


def test_the_table_holds_exactly_the_numbers_of_the_lists() -> None:
    assert sorted(n for cause in CAUSES for n in cause.errno) == sorted(
        number for number, _ in expected(BUSINESS)
    )
    assert sorted(n for cause in CAUSES for n in cause.gateway) == sorted(
        number for number, _ in expected(GATEWAY)
    )


def test_codes_are_unique_dotted_and_lower_case() -> None:
    codes = [cause.code for cause in CAUSES]
    assert len(codes) == len(set(codes))
    assert [c for c in codes if not re.fullmatch(r"[a-z]+\.[a-z_]+", c)] == []


@pytest.mark.parametrize("number", [500, 501, 1000, -1024, 6002, 40003, 40005, 50015, 50031])
def test_to_a_read_a_fault_of_the_server_is_one_to_repeat(number: int) -> None:
    assert type(error_for(Layer.ERRNO, number, changes=False)) is NotSent


def test_no_read_ever_leaves_the_platform_in_doubt() -> None:
    numbers = [number for number, _ in expected(BUSINESS)]
    kinds = {type(error_for(Layer.ERRNO, n, changes=False)) for n in numbers}
    assert AnswerLost not in kinds


def test_degraded_service_slows_reads_and_leaves_changes_open() -> None:
    assert type(error_for(Layer.ERRNO, 5000, changes=False)) is RateLimited
    assert type(error_for(Layer.ERRNO, 5000, changes=True)) is AnswerLost


def test_an_unknown_number_is_looked_at_after_a_change_and_final_for_a_read() -> None:
    changed = error_for(Layer.ERRNO, 123456, "未知", changes=True)
    assert type(changed) is AnswerLost
    assert (changed.code, changed.errno, changed.msg) == ("platform.unknown_error", 123456, "未知")
    assert type(error_for(Layer.ERRNO, 123456, changes=False)) is RequestRefused


def test_the_same_number_means_different_things_in_different_layers() -> None:
    assert error_for(Layer.ERRNO, 69010, changes=True).code == "platform.template_broken"
    assert error_for(Layer.GATEWAY, 69010, changes=True).code == "platform.unknown_error"


@pytest.mark.parametrize(
    ("layer", "number", "credentials"),
    [
        (Layer.ERRNO, 40008, True),
        (Layer.ERRNO, 50002, True),
        (Layer.GATEWAY, 5, True),
        (Layer.OAUTH, "invalid_client", True),
        (Layer.ERRNO, 69007, False),
        (Layer.ERRNO, 69010, False),
        (Layer.GATEWAY, 19, False),
    ],
)
def test_a_stop_says_whether_it_is_about_who_we_are(
    layer: Layer, number: int | str, *, credentials: bool
) -> None:
    error = error_for(layer, number, changes=True)
    assert isinstance(error, FleetRefused)
    assert error.credentials is credentials


def test_the_platforms_wait_overrides_the_tables() -> None:
    assert error_for(Layer.GATEWAY, 17, changes=True).retry_after_s == 3600.0
    assert error_for(Layer.GATEWAY, 17, changes=True, retry_after_s=5.0).retry_after_s == 5.0


def test_long_words_are_cut() -> None:
    error = error_for(Layer.ERRNO, 69001, "x" * 10_000, changes=True)
    assert error.msg == "x" * MSG_MAX


def test_for_read_keeps_everything_but_the_doubt() -> None:
    lost = own_error("transport.timeout", retry_after_s=3.0)
    read = for_read(lost)
    assert type(lost) is AnswerLost
    assert type(read) is NotSent
    assert (read.code, read.message, read.hint) == (lost.code, lost.message, lost.hint)
    assert read.retry_after_s == 3.0
    refused = error_for(Layer.ERRNO, 69005, changes=False)
    assert for_read(refused) is refused


def test_the_page_is_in_step_with_the_table() -> None:
    page = PAGE.read_text("utf-8")
    generated = page.partition("<!-- generated: errors -->\n")[2].partition("<!-- end -->")[0]
    assert generated.strip() == errors_table().strip()


def test_every_line_of_the_table_has_its_cells_filled() -> None:
    for line in errors_table().splitlines():
        assert not line or line.count("|") in {4, 5, 6}
        assert "|  |  |" not in line


def test_a_golden_vector_exists_for_each_shape_of_error() -> None:
    vectors = json.loads(
        (PAGE.parents[1] / "tests" / "contract" / "vectors" / "replies.json").read_text("utf-8")
    )
    bodies = [vector["body"] for vector in vectors if "error" in vector]
    for shape in ('"errno"', '"error_code"', '"error"'):
        assert any(shape in body for body in bodies)


@pytest.mark.parametrize(
    "hint",
    [
        *(cause.hint for cause in (*PARKED, *REFUSED, *STOPS, *LATER, *TOKENS, *ANSWERS)),
        *(ending.hint for ending in ENDINGS),
    ],
)
def test_a_hint_names_no_command_that_lacks_a_flag(hint: str) -> None:
    """Without a flag `auth authorize` prints nothing and ends with 2."""
    assert "auth authorize APP" not in hint.replace("auth authorize APP --redirect-uri URI", "")
