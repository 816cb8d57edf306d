"""The live view and the progress lines: right numbers, seldom enough, never in the way."""

import io
from dataclasses import dataclass

import pytest

from fleetdeploy.cli.render.live import LogProgress, ProgressView
from fleetdeploy.cli.render.progress import Progress, progress_line
from fleetdeploy.core.records import (
    AnyAppRecord,
    Asked,
    HaltCause,
    OutageBegan,
    OutageEnded,
    PauseLifted,
    RunHalted,
    RunPaused,
    RunRecord,
)
from fleetdeploy.model import Phase, Service
from fleetdeploy.ports import Call, CallResult, Observer
from tests.builders import (
    HOSTILE,
    NOTE,
    START,
    blocked,
    make_entries,
    make_entry,
    make_plan,
    make_state,
    released,
)

FIRST, SECOND, THIRD = "100000282", "100000283", "100000284"


@dataclass
class SetClock:
    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


def call(result: CallResult = CallResult.OK) -> Call:
    return Call("upload", FIRST, result, 0.1)


def play(observer: Observer, *records: RunRecord | AnyAppRecord) -> None:
    for entry in make_entries(records):
        observer.recorded(entry)


def fresh(clock: SetClock) -> Progress:
    return Progress.of(make_state(make_plan(3)), clock())


def test_progress_follows_every_app_through_the_table() -> None:
    progress = fresh(SetClock())
    for entry in make_entries([*released(FIRST), *blocked(SECOND)]):
        progress.recorded(entry)
    assert dict(progress.snapshot()) == {Phase.QUEUED: 1, Phase.RELEASED: 1, Phase.BLOCKED: 1}
    assert (progress.good, progress.ended, progress.total) == (1, 2, 3)


def test_progress_begins_where_a_resumed_run_is() -> None:
    state = make_state(make_plan(3), released(FIRST))
    progress = Progress.of(state, 0.0)
    assert progress.good == 1


def test_progress_ignores_what_does_not_fit_instead_of_stopping_the_run() -> None:
    progress = fresh(SetClock())
    for entry in make_entries([*released(FIRST)[5:], *blocked("of another run")]):
        progress.recorded(entry)
    assert dict(progress.snapshot()) == {Phase.QUEUED: 3}


def test_calls_per_second_are_an_average_over_the_last_ten_seconds() -> None:
    clock = SetClock()
    progress = fresh(clock)
    for _ in range(20):
        for _ in range(5):
            progress.called(call(), clock())
        clock.now_s += 1
    assert progress.per_second(clock()) == pytest.approx(4.5)
    clock.now_s += 60
    assert progress.per_second(clock()) == 0.0


def test_the_first_calls_do_not_look_like_a_storm() -> None:
    progress = fresh(SetClock())
    progress.called(call(), 100.0)
    assert progress.per_second(100.001) == 1.0


def test_a_line_tells_the_progress() -> None:
    clock = SetClock()
    progress = fresh(clock)
    halt = RunHalted(cause=HaltCause.BUDGET, error=NOTE)
    for entry in make_entries([*released(FIRST), *blocked(SECOND), halt]):
        progress.recorded(entry)
    progress.called(call(CallResult.THROTTLED), clock())
    progress.called(call(CallResult.LOST), clock())
    assert progress_line(progress, clock() + 10) == (
        "1/3 released, 1 queued, 1 blocked, 0.0 calls/s, 1 throttled, 1 answer lost, "
        "halted: no service category of the app is approved yet "
        "(服务类目审核通过后，可以提交小程序代码包审核) [platform.category_not_approved], 10s"
    )
    assert list(progress.causes) == [
        (
            f"{SECOND}: no service category of the app is approved yet "
            "(服务类目审核通过后，可以提交小程序代码包审核) [platform.category_not_approved]"
        )
    ]


def test_line_and_view_say_what_is_out_until_it_is_back() -> None:
    clock = SetClock()
    progress = fresh(clock)
    told = "the platform is out since 03:08 UTC; probing"
    view = ProgressView(progress, io.StringIO(), clock, colour=False)
    for entry in make_entries([OutageBegan(service=Service.PLATFORM, error=NOTE)]):
        view.recorded(entry)
    assert told in progress_line(progress, clock())
    assert told in [str(part) for part in view.picture().renderables]
    view.recorded(make_entry(OutageEnded(service=Service.PLATFORM), 2))
    assert "is out" not in progress_line(progress, clock())


def test_a_resumed_run_says_what_was_out_when_it_was_left() -> None:
    plan = make_plan()
    state = make_state(plan, [OutageBegan(service=Service.AUDIT, error=NOTE)])
    line = progress_line(Progress.of(state, 0.0), 0.0)
    assert "the audit service is out since 03:08 UTC; probing" in line


def test_before_a_run_begins_the_line_says_that_the_platform_is_read() -> None:
    progress = Progress(0.0)
    progress.called(call(), 1.0)
    assert progress_line(progress, 2.0) == "looking at the platform, 0.5 calls/s, 2s"
    progress.begin(make_state(make_plan(2)))
    assert progress_line(progress, 2.0).startswith("0/2 released, 2 queued, ")


def test_log_progress_writes_no_more_than_a_line_every_few_seconds() -> None:
    clock, lines = SetClock(), list[str]()
    observer = LogProgress(fresh(clock), lines.append, clock)
    play(observer, *released(FIRST))
    assert lines == []
    clock.now_s += 5
    observer.called(call())
    assert lines == ["1/3 released, 2 queued, 0.2 calls/s, 5s"]
    play_second = make_entries(blocked(SECOND))
    observer.recorded(play_second[1])
    assert len(lines) == 1


def test_log_progress_is_quiet_while_nothing_moves_and_still_says_that_it_is_alive() -> None:
    clock, lines = SetClock(), list[str]()
    observer = LogProgress(fresh(clock), lines.append, clock)
    for _ in range(130):
        clock.now_s += 5
        observer.tick()
    assert lines == ["0/3 released, 3 queued, 0.0 calls/s, 10m 00s"]


def test_log_progress_tells_the_end_once() -> None:
    clock, lines = SetClock(), list[str]()
    observer = LogProgress(fresh(clock), lines.append, clock)
    play(observer, *released(FIRST))
    observer.finish()
    observer.finish()
    assert lines == ["1/3 released, 2 queued, 0.0 calls/s, 0s"]


class Screen(io.StringIO):
    """A terminal that counts how often it was drawn on."""

    draws = 0

    def write(self, text: str) -> int:
        self.draws += 1
        return super().write(text)


def test_the_view_draws_the_progress_and_gives_the_cursor_back() -> None:
    clock, screen = SetClock(), Screen()
    with ProgressView(fresh(clock), screen, clock, pace=lambda: 9.5) as view:
        play(view, *released(FIRST), *blocked(SECOND))
        clock.now_s += 1
        view.called(call())
        view.say("a line from elsewhere")
    text = screen.getvalue()
    assert "1/3 released" in text
    assert "1 blocked" in text
    assert "pace 9.5/s" in text
    assert "a line from elsewhere" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_the_view_redraws_at_most_eight_times_a_second() -> None:
    clock, screen = SetClock(), Screen()
    with ProgressView(fresh(clock), screen, clock) as view:
        before = screen.draws
        for _ in range(100):
            view.called(call())
        assert screen.draws == before
        clock.now_s += 0.125
        view.called(call())
        assert screen.draws > before


def test_the_view_gives_the_cursor_back_after_a_crash() -> None:
    clock, screen = SetClock(), Screen()
    with pytest.raises(ZeroDivisionError), ProgressView(fresh(clock), screen, clock):
        _ = 1 / 0
    text = screen.getvalue()
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_the_view_without_colour_paints_nothing() -> None:
    clock, screen = SetClock(), Screen()
    with ProgressView(fresh(clock), screen, clock, colour=False) as view:
        play(view, *blocked(SECOND))
    assert "\x1b[31m" not in screen.getvalue()
    assert "\x1b[33m" not in screen.getvalue()


def test_the_view_makes_hostile_words_harmless() -> None:
    clock, screen = SetClock(), Screen()
    note = NOTE.model_copy(update={"msg": HOSTILE})
    with ProgressView(fresh(clock), screen, clock, colour=False) as view:
        play(view, *blocked(SECOND, note))
        view.say(HOSTILE)
    text = screen.getvalue()
    assert "\\x1b[2J" in text
    assert "\x1b[2J" not in text
    assert "\x07" not in text
    assert "\u202e" not in text


def test_a_terminal_that_is_gone_does_not_stop_the_run() -> None:
    clock, screen = SetClock(), Screen()
    progress = fresh(clock)
    with ProgressView(progress, screen, clock) as view:
        screen.close()
        clock.now_s += 1
        view.called(call())
        play(view, *released(FIRST))
    assert progress.good == 1


def test_a_pause_is_told_while_it_lasts_and_makes_a_line() -> None:
    asked = Asked(order="1", at=START, who="ops", host="desk", reason="lunch")
    clock = SetClock()
    lines: list[str] = []
    progress = fresh(clock)
    view = LogProgress(progress, lines.append, clock, every_s=5.0)
    clock.now_s += 6
    play(view, RunPaused(asked=asked))
    assert "paused by ops on desk (lunch)" in progress_line(progress, clock())
    clock.now_s += 6
    play(view, PauseLifted(asked=asked))
    assert "paused" not in progress_line(progress, clock())
    assert len(lines) == 2
    resumed = Progress.of(make_state(make_plan(3), [RunPaused(asked=asked)]), 0.0)
    assert resumed.paused == "by ops on desk (lunch)"
