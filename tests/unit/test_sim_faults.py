"""Faults and chances: seeded, independent of order, and never unlucky for ever."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fleetdeploy.simulator.behaviour import AuditShape
from fleetdeploy.simulator.chance import Chance
from fleetdeploy.simulator.endpoints import Endpoint
from fleetdeploy.simulator.faults import FaultKind, FaultRates, Faults, FaultScript, even_faults
from fleetdeploy.simulator.traffic import Window

HALF = FaultScript(rates=FaultRates(answer_lost=0.3, request_lost=0.2))


def kinds(faults: Faults, app_id: str, count: int) -> list[FaultKind | None]:
    drawn = (faults.draw(app_id, "upload") for _ in range(count))
    return [fault.kind if fault else None for fault in drawn]


def test_no_fault_happens_unless_asked_for() -> None:
    faults = Faults()
    assert kinds(faults, "1", 50) == [None] * 50
    assert faults._requests == {}


def test_the_same_seed_gives_the_same_faults_whatever_the_others_do() -> None:
    alone, among_others = Faults(HALF, seed=3), Faults(HALF, seed=3)
    expected = kinds(alone, "1", 40)
    seen: list[FaultKind | None] = []
    for _ in range(40):
        among_others.draw("2", "upload")
        among_others.draw("1", "packages")
        seen += kinds(among_others, "1", 1)
    assert seen == expected
    assert {None, FaultKind.ANSWER_LOST, FaultKind.REQUEST_LOST} == set(seen)
    assert kinds(Faults(HALF, seed=4), "1", 40) != expected


@pytest.mark.parametrize("bound", [1, 3])
def test_bad_luck_ends_after_so_many_in_a_row(bound: int) -> None:
    script = FaultScript(rates=FaultRates(request_lost=1.0), max_consecutive=bound)
    lost = [FaultKind.REQUEST_LOST] * bound
    assert kinds(Faults(script), "1", 2 * bound + 2) == [*lost, None, *lost, None]


def test_an_endpoint_can_have_faults_of_its_own() -> None:
    script = FaultScript(endpoints={Endpoint.UPLOAD: FaultRates(answer_lost=1.0)})
    faults = Faults(script)
    fault = faults.draw("1", Endpoint.UPLOAD)
    assert fault is not None
    assert fault.kind is FaultKind.ANSWER_LOST
    assert faults.draw("1", Endpoint.PACKAGES) is None


def test_a_slow_answer_takes_as_long_as_the_script_says() -> None:
    faults = Faults(FaultScript(rates=FaultRates(slow=1.0), slow_s=(5.0, 6.0)))
    drawn = [faults.draw("1", "packages") for _ in range(10)]
    assert all(fault is not None and 5.0 <= fault.delay_s <= 6.0 for fault in drawn)


def test_chances_that_exceed_one_are_refused() -> None:
    with pytest.raises(ValidationError, match="together exceed 1"):
        FaultRates(slow=0.6, cut_body=0.6)


@settings(max_examples=50)
@given(st.integers(), st.text(max_size=20), st.integers(0, 1000))
def test_audits_last_as_long_as_their_span_allows(seed: int, app_id: str, nth: int) -> None:
    for shape in AuditShape:
        drawn = Chance(seed).shaped((60.0, 6000.0), shape, app_id, nth)
        assert 60.0 <= drawn <= 6000.0


def test_long_audits_are_rare_where_the_shape_is_lognormal() -> None:
    draws = [
        Chance(1).shaped((60.0, 6000.0), AuditShape.LOGNORMAL, "app", nth) for nth in range(200)
    ]
    assert 400 < sorted(draws)[100] < 900


@settings(max_examples=50)
@given(st.lists(st.integers(0, 5000), max_size=60))
def test_the_most_in_any_second_is_what_a_slow_count_finds(milliseconds: list[int]) -> None:
    times = sorted(number / 1000 for number in milliseconds)
    window = Window()
    for at in times:
        window.add(at)
    slow = max((sum(at - 1 + 1e-9 < other <= at for other in times) for at in times), default=0)
    assert window.most == slow


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_even_faults_go_wrong_as_often_as_asked_and_never_only_slowly(share: float) -> None:
    script = even_faults(share)
    assert sum(script.rates.chances().values()) == pytest.approx(share)
    assert script.rates.slow == 0
