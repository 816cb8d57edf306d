"""What the platform would push, and when, with the accidents that a scenario asks for.

Pure: it posts nothing. Times are those of the wire.

How it works: every push that comes into being is kept for the list of pushes, in order of time.
What is to be posted is planned only when somebody comes for it, so a world that nobody listens to
pays for a small object per event and no more. Each accident is drawn by what the push is about,
never by its number, so other apps' traffic shifts nothing.
"""

import heapq
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from fleetdeploy.simulator import envelope
from fleetdeploy.simulator.chance import Chance
from fleetdeploy.simulator.envelope import Seal
from fleetdeploy.simulator.era import Era
from fleetdeploy.simulator.happenings import TICKET, UNAUTHORIZED, Push, PushStatus, message
from fleetdeploy.simulator.scenario import Scenario

MONTH_S: Final = 30 * 86400.0
"""How long the list goes back (platform-api.md 2.2); the shorter kind of month, to be strict."""


@dataclass(frozen=True, slots=True, eq=False)
class Posting:
    """One try to deliver a push. A `stray` is a copy that nobody repeats."""

    push: Push
    attempt: int = 1
    stray: bool = False
    forged: bool = False


class Pushes:
    """All pushes of one world. `on_news` is called when there is something new to come for."""

    def __init__(self, scenario: Scenario, chance: Chance, wire: Era) -> None:
        rules = scenario.auth
        self._script = scenario.pushes
        self._tp_app_id = rules.tp_app_id
        self._seal = Seal(rules.push_token, rules.push_aes_key, str(rules.tp_app_id))
        self._chance = chance
        self._wire = wire
        self._kept: list[Push] = []
        self._fresh: deque[Push] = deque()
        self._plan: list[tuple[float, int, Posting]] = []
        self._planned = 0
        self.made = 0
        self.delivered = 0
        self.failed = 0
        self.forged_taken = 0
        self.on_news: Callable[[], None] | None = None

    @property
    def kept(self) -> list[Push]:
        """The pushes of the last month, in order of time."""
        return self._kept

    def since(self, at: float) -> list[Push]:
        """Return what was pushed from a moment on, with a second to spare for rounding."""
        return self._kept[bisect_left(self._kept, at - 1, key=_at) :]

    def add(self, push: Push) -> None:
        """Let something be told of; pushes get their numbers here."""
        self.made += 1
        push.number = self.made
        insort(self._kept, push, key=_place)
        if self._kept[0].at < push.at - MONTH_S:
            del self._kept[: bisect_left(self._kept, push.at - MONTH_S, key=_at)]
        self._fresh.append(push)
        self.ring()

    def ring(self) -> None:
        if self.on_news is not None:
            self.on_news()

    def take(self, now: float, most: int | None = None) -> Iterator[Posting]:
        """Yield what is to be posted by now; each has to be `answered`."""
        self._make_plan()
        taken = 0
        while self._plan and self._plan[0][0] <= now and (most is None or taken < most):
            taken += 1
            yield heapq.heappop(self._plan)[2]

    def next_at(self) -> float | None:
        self._make_plan()
        return self._plan[0][0] if self._plan else None

    def answered(self, posting: Posting, now: float, *, taken: bool) -> None:
        """Note whether the receiver took a push; if not, it is tried again some time."""
        push = posting.push
        if posting.forged:
            self.forged_taken += taken
        elif taken:
            self._end(push, PushStatus.DELIVERED)
        elif posting.stray or push.status is PushStatus.DELIVERED:
            return
        elif posting.attempt <= self._script.retries:
            self._put(now + self._script.retry_s, Posting(push, posting.attempt + 1))
            self.ring()
        else:
            self._end(push, PushStatus.FAILED)

    def body(self, posting: Posting) -> bytes:
        """Return the body of a POST, the same at each try; a forger does not know the token."""
        push = posting.push
        if posting.forged:
            lie = Push(0, push.at, push.unix, UNAUTHORIZED, push.app_id)
            return self._body(lie, push.number, "forged", "a token that nobody gave him")
        return self._body(push, push.number, "nonce", self._seal.token)

    def sealed(self, push: Push) -> str:
        """Return a push as the list of pushes shows it: sealed, and not signed."""
        random = self._chance.hexadecimal("push random", push.number)[: envelope.RANDOM_BYTES]
        return envelope.encrypt(message(push, self._tp_app_id), self._seal, random.encode())

    def _body(self, push: Push, number: int, purpose: str, token: str) -> bytes:
        nonce = str(int(self._chance.fraction("push", purpose, number) * 10**9))
        timestamp = str(int(self._wire.unix(push.at)))
        return envelope.envelope(self.sealed(push), token, timestamp, nonce)

    def _make_plan(self) -> None:
        while self._fresh:
            push, script = self._fresh.popleft(), self._script
            at = push.at
            if self._happens(script.late, "late", push):
                at += self._late_s(push, "late")
            if self._happens(script.lost, "lost", push):
                self._end(push, PushStatus.FAILED)
            else:
                self._put(at, Posting(push))
                if self._happens(script.twice, "twice", push):
                    self._put(at + self._late_s(push, "twice"), Posting(push, stray=True))
            if push.event != TICKET and self._happens(script.forged, "forged", push):
                self._put(push.at, Posting(push, stray=True, forged=True))

    def _happens(self, chance: float, what: str, push: Push) -> bool:
        return self._chance.happens(chance, "push", what, push.event, push.app_id, push.at)

    def _late_s(self, push: Push, what: str) -> float:
        names = ("push", f"{what}_s", push.event, push.app_id, push.at)
        return self._chance.within(self._script.late_s, *names)

    def _put(self, at: float, posting: Posting) -> None:
        self._planned += 1
        heapq.heappush(self._plan, (at, self._planned, posting))

    def _end(self, push: Push, status: PushStatus) -> None:
        if push.status is not PushStatus.DELIVERED:
            self.delivered += status is PushStatus.DELIVERED
            # A copy may get through after the platform gave up.
            self.failed += (status is PushStatus.FAILED) - (push.status is PushStatus.FAILED)
            push.status = status


def _at(push: Push) -> float:
    return push.at


def _place(push: Push) -> tuple[float, int]:
    return push.at, push.number
