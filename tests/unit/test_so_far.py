"""What earlier runs of a rollout leave to a new one."""

from collections.abc import Iterable
from dataclasses import dataclass

from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    Entry,
    RunRecord,
    RunResumed,
    WaveOpened,
    WaveSettled,
)
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.so_far import PastRun, PastWave, SoFar, rollout_id, so_far
from fleetdeploy.model import Outcome, Until
from tests.unit.core_builders import NOTE, START, WRITER, header

NONE = SoFar(rollout="r")
FORGIVEN = RunResumed(until=Until.RELEASED, writer=WRITER, override_reason="seen")


@dataclass(frozen=True)
class App:
    app_id: str
    wave: str = "all"


def run(
    apps: str, *records: RunRecord | AnyAppRecord, given: SoFar = NONE, waves: str = ""
) -> PastRun:
    state = RunState.new(apps, failing=given.failing, blocking=given.blocking)
    for seq, record in enumerate([header(), *records]):
        state.apply(Entry(seq, START, record))
    named = waves or "a" * len(apps)
    return PastRun(given, tuple(App(*pair) for pair in zip(apps, named, strict=True)), state)


def ends(**outcomes: Outcome) -> list[AppFinished]:
    return [
        AppFinished(app_id=name.removeprefix("app"), outcome=outcome, error=NOTE)
        for name, outcome in outcomes.items()
    ]


def after(*runs: PastRun) -> SoFar:
    return so_far("r", runs)


def counted(found: SoFar) -> tuple[str, str]:
    return "".join(found.failing), "".join(found.blocking)


def chain(*nights: tuple[str, Iterable[RunRecord | AnyAppRecord]]) -> SoFar:
    """Let each night be given what the nights before it left."""
    runs: list[PastRun] = []
    for apps, records in nights:
        runs.append(run(apps, *records, given=after(*runs)))
    return after(*runs)


def test_a_rollout_without_runs_has_nothing() -> None:
    assert after() == SoFar(rollout="r")


def test_ends_add_up_over_runs_and_count_once() -> None:
    found = chain(
        ("123", ends(app1=Outcome.FAILED, app2=Outcome.BLOCKED)),
        ("123", ends(app1=Outcome.CANCELLED, app3=Outcome.FAILED)),
    )
    assert counted(found) == ("13", "2")


def test_an_app_that_succeeds_later_counts_no_more() -> None:
    found = chain(
        ("12", ends(app1=Outcome.FAILED, app2=Outcome.FAILED)),
        ("1", ends(app1=Outcome.UNCHANGED)),
    )
    assert counted(found) == ("2", "")


def test_what_was_forgiven_stays_forgiven_until_it_fails_again() -> None:
    told: list[RunRecord | AnyAppRecord] = [
        *ends(app1=Outcome.FAILED, app2=Outcome.FAILED),
        FORGIVEN,
    ]
    first = ("12", told)
    assert counted(chain(first, ("12", []))) == ("", "")
    assert counted(chain(first, ("12", ends(app2=Outcome.FAILED)))) == ("2", "")


def test_forgiving_reaches_what_earlier_runs_left() -> None:
    found = chain(("12", ends(app1=Outcome.FAILED)), ("2", [FORGIVEN]))
    assert counted(found) == ("", "")


def test_two_runs_at_the_same_time_both_count() -> None:
    one = run("1", *ends(app1=Outcome.FAILED))
    other = run("2", *ends(app2=Outcome.FAILED))
    assert counted(after(one, other)) == ("12", "")


def test_the_oldest_run_that_is_read_stands_for_those_before_it() -> None:
    given = SoFar(rollout="r", apps=40, failing=("8",), blocking=("9",))
    found = after(run("1", *ends(app1=Outcome.FAILED), given=given))
    assert (counted(found), found.apps) == (("18", "9"), 40)


def test_the_share_is_of_the_largest_run() -> None:
    assert chain(("12345", []), ("12", [])).apps == 5


def opened(*waves: str) -> list[RunRecord]:
    return [WaveOpened(wave=wave) for wave in waves]


def test_a_wave_is_passed_when_the_next_was_opened() -> None:
    settled = WaveSettled(wave="a")
    done = ends(app1=Outcome.FAILED)
    held = after(run("12", *opened("a"), *done, settled, waves="ab"))
    assert held.waves == (PastWave(name="a", settled_at=START, passed=False),)
    passed = after(run("12", *opened("a"), *done, settled, *opened("b"), waves="ab"))
    assert passed.waves[0] == PastWave(name="a", settled_at=START, passed=True)


def test_a_run_that_changed_nothing_leaves_a_wave_as_it_was() -> None:
    first = run("1", *opened("a"), *ends(app1=Outcome.FAILED), WaveSettled(wave="a"))
    given = after(first)
    second = run("1", *opened("a"), *ends(app1=Outcome.UNCHANGED), given=given)
    assert after(first, second).waves == given.waves


def test_another_name_template_or_version_is_another_rollout() -> None:
    ids = {rollout_id(*words) for words in ("abc", "xbc", "axc", "abx")}
    assert len(ids) == 4
    assert rollout_id("a", "bc", "") != rollout_id("ab", "c", "")
