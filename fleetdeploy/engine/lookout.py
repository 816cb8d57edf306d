"""When to look at a waiting app again: by time, and sooner or later by what notices say.

It decides nothing about apps and reads no platform. A notice only wakes a waiter, which then looks;
lost, doubled, late or forged ones cost a look at most.

How it works: without notices a waiting app is looked at at intervals that stretch. While they can
be relied on (`core/attention.py`), an app that waits for a person is left alone for hours. When
they cease, or a verdict turns out to have come without one, all who were left alone are called
back to the usual intervals.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

import anyio

from fleetdeploy.core.attention import ALERT_LOOKS, Attention
from fleetdeploy.core.polling import PollSchedule, backoff_s
from fleetdeploy.ports import NoticeFeed

VERDICTS: Final = frozenset({"PACKAGE_AUDIT_PASS", "PACKAGE_AUDIT_FAIL"})
"""The events that announce what an app in audit waits for (platform-api.md 4.3)."""
RETRY_INITIAL_S: Final = 3.0
"""The first pause after a failure: the platform's own latency."""
CHECK_S: Final = 60.0
"""How often it is seen whether a verdict is still unannounced."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who shares the pace: how many apps wait, and how many calls a second may go."""

    waiters: int
    per_second: float


@dataclass(slots=True)
class Patience:
    """What is remembered of one app's waiting; lost with the process.

    `looks` counts those in this phase that found nothing new; `alerts` are looks still to be made
    soon, because a notice came that no look has confirmed.
    """

    looks: int = 0
    alerts: int = 0


class Lookout:
    """Chooses intervals, and follows the feed of notices if there is one."""

    def __init__(
        self,
        polls: PollSchedule,
        crowd: Callable[[], Crowd],
        rng: Random,
        feed: NoticeFeed | None = None,
    ) -> None:
        self._polls = polls
        self._crowd = crowd
        self._rng = rng
        self._feed = feed
        self._hasten: Callable[[Callable[[], float]], None] = lambda _: None
        self._relied_on = True
        self.attention = Attention()

    @property
    def initial_s(self) -> float:
        return self._polls.initial_s

    @property
    def quiet_s(self) -> float:
        """For how long silence about an app may be believed now; 0 where it may not."""
        return self._feed.quiet_s if self._feed and self._still_relied_on() else 0.0

    def usual_s(self, patience: Patience) -> float:
        """Return the interval after a look that found nothing new."""
        crowd = self._crowd()
        interval_s = self._polls.interval_s(
            patience.looks,
            waiters=crowd.waiters,
            per_second=crowd.per_second,
            chance=self._rng.random(),
        )
        patience.looks += 1
        return interval_s

    def backoff_s(self, failures: int) -> float:
        """Return the pause after something failed for sure, which grows with the failures."""
        return backoff_s(
            failures,
            chance=self._rng.random(),
            initial_s=RETRY_INITIAL_S,
            max_s=self._polls.max_s,
        )

    def calm_s(self, patience: Patience) -> float:
        """Return the interval of an app that only a person can move on."""
        looks, usual_s = patience.looks, self.usual_s(patience)
        if patience.alerts > 0:
            patience.alerts -= 1
            return usual_s
        if not self.quiet_s:
            return usual_s
        return self.attention.interval_s(
            usual_s,
            self.quiet_s,
            looks=looks,
            waiters=self._crowd().waiters,
            chance=self._rng.random(),
        )

    def saw_verdict(self, app_id: str) -> None:
        """Be told of a verdict that a look has shown, to learn what notices are worth."""
        if self._feed is not None and self._feed.quiet_s:
            self.attention.verdict(app_id, anyio.current_time())

    async def follow(
        self, wake: Callable[[str], None], hasten: Callable[[Callable[[], float]], None]
    ) -> None:
        """Wake apps as notices come, until cancelled; returns at once if there is no feed.

        `hasten` calls back all who wait patiently, each after the delay that it draws.
        """
        if self._feed is None:
            return
        self._hasten = hasten
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_checking)
            while True:
                quiet_s = self._feed.quiet_s
                for notice in await self._feed.next():
                    if notice.event in VERDICTS:
                        self.attention.noticed(notice.app_id)
                    wake(notice.app_id)
                if self._feed.quiet_s < quiet_s:
                    self._call_back()

    def alert(self, patience: Patience) -> None:
        """Look at an app more often for a while: what a notice says may not show at once."""
        patience.looks, patience.alerts = 0, ALERT_LOOKS

    async def _keep_checking(self) -> None:
        while True:
            await anyio.sleep(CHECK_S)
            self._still_relied_on()

    def _still_relied_on(self) -> bool:
        relied_on = self.attention.relied_on(anyio.current_time())
        if self._relied_on and not relied_on:
            self._relied_on = False
            self._call_back()
        return relied_on

    def _call_back(self) -> None:
        """Bring all who were left alone back to the usual intervals, not all in one moment."""
        self._hasten(lambda: self._rng.random() * self.usual_s(Patience(looks=_MANY)))


_MANY: Final = 64
"""Looks after which the interval has grown to its end."""
