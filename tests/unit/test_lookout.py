"""How notices change when a waiting app is looked at, on virtual time."""

from collections.abc import Callable
from random import Random

import anyio
import pytest

from fleetdeploy.core.attention import ALERT_LOOKS, LATE_S, PROVEN
from fleetdeploy.core.polling import PollSchedule
from fleetdeploy.engine.lookout import CHECK_S, Crowd, Lookout, Patience
from fleetdeploy.model import Notice

pytestmark = pytest.mark.anyio

DAY_S = 86_400.0
PASS = "PACKAGE_AUDIT_PASS"


class Feed:
    """A feed that the test speaks through."""

    def __init__(self, quiet_s: float = DAY_S) -> None:
        self.quiet_s = quiet_s
        self._send, self._receive = anyio.create_memory_object_stream[tuple[Notice, ...]](100)

    async def next(self) -> tuple[Notice, ...]:
        return await self._receive.receive()

    def say(self, *notices: Notice) -> None:
        self._send.send_nowait(notices)

    def close(self) -> None:
        self._send.close()
        self._receive.close()


class Waiters:
    """Notes who was woken, and what those who were called back would have waited."""

    def __init__(self) -> None:
        self.woken: list[str] = []
        self.called_back: list[float] = []

    def wake(self, app_id: str) -> None:
        self.woken.append(app_id)

    def hasten(self, delay_s: Callable[[], float]) -> None:
        self.called_back.append(delay_s())


def lookout_on(feed: Feed | None, waiters: int = 300) -> Lookout:
    polls = PollSchedule(3.0, 300.0)
    return Lookout(polls, lambda: Crowd(waiters, 50.0), Random(1), feed)


def prove(lookout: Lookout) -> None:
    for number in range(PROVEN):
        lookout.attention.noticed(str(number))
        lookout.saw_verdict(str(number))


async def test_without_a_feed_intervals_stretch_as_usual() -> None:
    lookout, patience = lookout_on(None, waiters=1), Patience()
    intervals = [lookout.calm_s(patience) for _ in range(20)]
    assert 2.7 <= intervals[0] <= 3.3
    assert 270.0 <= intervals[-1] <= 330.0
    waiters = Waiters()
    await lookout.follow(waiters.wake, waiters.hasten)
    assert (waiters.woken, waiters.called_back) == ([], [])


async def test_with_proven_notices_an_app_is_left_alone_for_hours() -> None:
    feed = Feed()
    lookout = lookout_on(feed)
    prove(lookout)
    assert DAY_S / 2 <= lookout.calm_s(Patience()) <= DAY_S * 3 / 2
    feed.close()


async def test_after_a_notice_an_app_is_looked_at_soon_for_a_while() -> None:
    """The platform's lists lag: the verdict may not show at the first look."""
    feed = Feed()
    lookout, patience = lookout_on(feed, waiters=1), Patience(looks=9)
    prove(lookout)
    lookout.alert(patience)
    soon = [lookout.calm_s(patience) for _ in range(ALERT_LOOKS)]
    assert max(soon) < 12.0
    assert lookout.calm_s(patience) > 3600.0
    feed.close()


async def test_every_notice_wakes_its_app() -> None:
    feed, waiters = Feed(), Waiters()
    lookout = lookout_on(feed)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lookout.follow, waiters.wake, waiters.hasten)
        feed.say(Notice("100", PASS), Notice("200", "APP_FORCE_OFFLINE"))
        feed.say(Notice("100", PASS))
        await anyio.sleep(1.0)
        tasks.cancel_scope.cancel()
    assert waiters.woken == ["100", "200", "100"]
    assert waiters.called_back == []
    feed.close()


async def test_only_news_of_verdicts_counts_as_announcing_one() -> None:
    feed, waiters = Feed(), Waiters()
    lookout = lookout_on(feed)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lookout.follow, waiters.wake, waiters.hasten)
        feed.say(Notice("100", "APP_NAME_AUDIT_PASS"), Notice("200", PASS))
        await anyio.sleep(1.0)
        tasks.cancel_scope.cancel()
    lookout.saw_verdict("100")
    lookout.saw_verdict("200")
    assert lookout.attention.announced == 1
    feed.close()


async def test_when_notices_cease_all_are_called_back_to_the_usual_intervals() -> None:
    feed, waiters = Feed(), Waiters()
    lookout = lookout_on(feed)
    prove(lookout)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lookout.follow, waiters.wake, waiters.hasten)
        await anyio.sleep(1.0)
        feed.quiet_s = 0.0
        feed.say()
        await anyio.sleep(1.0)
        tasks.cancel_scope.cancel()
    assert len(waiters.called_back) == 1
    assert waiters.called_back[0] <= 330.0
    assert lookout.calm_s(Patience()) < 20.0
    feed.close()


async def test_a_verdict_that_nothing_announced_calls_all_back_even_if_nobody_looks() -> None:
    feed, waiters = Feed(), Waiters()
    lookout = lookout_on(feed)
    prove(lookout)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lookout.follow, waiters.wake, waiters.hasten)
        await anyio.sleep(1.0)
        lookout.saw_verdict("missed")
        await anyio.sleep(LATE_S - 2 * CHECK_S)
        assert waiters.called_back == []
        await anyio.sleep(4 * CHECK_S)
        assert len(waiters.called_back) == 1
        await anyio.sleep(DAY_S)
        tasks.cancel_scope.cancel()
    assert len(waiters.called_back) == 1
    assert lookout.calm_s(Patience()) < 20.0
    feed.close()


async def test_verdicts_seen_while_notices_do_not_come_prove_nothing() -> None:
    feed = Feed(quiet_s=0.0)
    lookout = lookout_on(feed)
    lookout.saw_verdict("100")
    await anyio.sleep(2 * LATE_S)
    feed.quiet_s = DAY_S
    assert lookout.attention.relied_on(anyio.current_time())
    feed.close()
