"""The guarded platform: paced, bounded, and never repeating a change that may have happened."""

from collections import Counter, deque
from math import inf
from random import Random

import anyio
import pytest

from fleetdeploy.core.pace import Pace
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
from fleetdeploy.guards.guarded import GuardedPlatform
from fleetdeploy.guards.paced import PREPARATIONS, Paced
from fleetdeploy.guards.pacer import Pacer
from fleetdeploy.guards.retry import RetryLimits
from fleetdeploy.model import AuditNote, AuditQuota, Bundle, Package
from fleetdeploy.ports import Platform
from tests.unit.core_builders import APP, make_bundle, make_row

pytestmark = pytest.mark.anyio

CHANGES = ("upload", "submit_audit", "release", "rollback", "withdraw")


class Stub:
    """A platform that keeps what it was asked and answers as told.

    `errors` are raised in turn, then everything succeeds. `per_second` refuses more than that many
    in any second, sliding.
    """

    def __init__(
        self, *errors: Exception, per_second: int | None = None, takes_s: float = 0.2
    ) -> None:
        self.errors = deque(errors)
        self.per_second = per_second
        self.takes_s = takes_s
        self.taken: deque[float] = deque()
        self.calls: list[tuple[str, str]] = []
        self.times: list[float] = []
        self.refused = 0
        self.out = 0
        self.most_out = 0

    async def _answer(self, name: str, app_id: str) -> None:
        self.calls.append((name, app_id))
        self.times.append(anyio.current_time())
        self.out += 1
        self.most_out = max(self.most_out, self.out)
        try:
            refused = self._too_many()
            await anyio.sleep(self.takes_s)
        finally:
            self.out -= 1
        if refused:
            self.refused += 1
            raise RateLimited("platform.rate", "too many requests")
        if self.errors:
            raise self.errors.popleft()

    def _too_many(self) -> bool:
        if self.per_second is None:
            return False
        now = anyio.current_time()
        while self.taken and self.taken[0] <= now - 1.0:
            self.taken.popleft()
        if len(self.taken) >= self.per_second:
            return True
        self.taken.append(now)
        return False

    async def packages(self, app_id: str) -> tuple[Package, ...]:
        await self._answer("packages", app_id)
        return (make_row(3),)

    async def audit_quota(self, app_id: str) -> AuditQuota:
        await self._answer("audit_quota", app_id)
        return AuditQuota(2, 3, 1)

    async def upload(self, app_id: str, bundle: Bundle) -> None:
        assert bundle == make_bundle()
        await self._answer("upload", app_id)

    async def submit_audit(self, app_id: str, package_id: str, note: AuditNote) -> None:
        assert (package_id, note) == ("58210", AuditNote("c", "r"))
        await self._answer("submit_audit", app_id)

    async def release(self, app_id: str, package_id: str) -> None:
        assert package_id == "58210"
        await self._answer("release", app_id)

    async def rollback(self, app_id: str, package_id: str) -> None:
        assert package_id == "58210"
        await self._answer("rollback", app_id)

    async def withdraw(self, app_id: str, package_id: str) -> None:
        assert package_id == "58210"
        await self._answer("withdraw", app_id)


class Tokens:
    """A token source whose tokens run out; preparing one takes a while, and a turn if asked to."""

    def __init__(self, *errors: Exception, lives_s: float = inf, takes_s: float = 0.0) -> None:
        self.errors = deque(errors)
        self.lives_s = lives_s
        self.takes_s = takes_s
        self.made: list[float] = []

    async def prepare(self, app_id: str) -> None:
        assert app_id
        if self.errors:
            raise self.errors.popleft()
        if self.token(app_id) is None:
            await anyio.sleep(self.takes_s)
            self.made.append(anyio.current_time())

    def token(self, app_id: str) -> str | None:
        good = self.made and anyio.current_time() - self.made[-1] < self.lives_s
        return f"token of {app_id}" if good else None

    def refused(self, app_id: str, error: TokenRefused, token: str) -> None:
        raise AssertionError((app_id, error.code, len(token)))


def guard(
    stub: Stub,
    *,
    rate: float = 10.0,
    in_flight: int = 32,
    limits: RetryLimits | None = None,
    endpoints: dict[str, float] | None = None,
    tokens: "Tokens | None" = None,
) -> tuple[GuardedPlatform, Pacer]:
    pacer = Pacer(Pace(rate), in_flight=in_flight, endpoints=endpoints)
    paced = Paced(pacer, rng=Random(1), limits=limits)
    return GuardedPlatform(stub, paced, tokens or Tokens()), pacer


async def change(platform: Platform, name: str) -> None:
    if name == "upload":
        await platform.upload(APP, make_bundle())
    elif name == "submit_audit":
        await platform.submit_audit(APP, "58210", AuditNote("c", "r"))
    elif name == "release":
        await platform.release(APP, "58210")
    elif name == "rollback":
        await platform.rollback(APP, "58210")
    else:
        await platform.withdraw(APP, "58210")


async def test_a_read_is_passed_on_and_answered() -> None:
    stub = Stub()
    assert await guard(stub)[0].packages(APP) == (make_row(3),)
    assert stub.calls == [("packages", APP)]


async def test_the_audit_quota_is_a_read_like_any() -> None:
    stub = Stub(AnswerLost("a", "x"))
    assert await guard(stub)[0].audit_quota(APP) == AuditQuota(2, 3, 1)
    assert stub.calls == [("audit_quota", APP)] * 2


@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_is_passed_on_once(name: str) -> None:
    stub = Stub()
    await change(guard(stub)[0], name)
    assert stub.calls == [(name, APP)]


async def test_a_read_is_repeated_whatever_became_of_it() -> None:
    stub = Stub(NotSent("a", "x"), AnswerLost("b", "x"), RateLimited("c", "x"))
    assert await guard(stub)[0].packages(APP) == (make_row(3),)
    assert len(stub.calls) == 4


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("kind", [NotSent, AnswerLost, ClientMustAct, RequestRefused, FleetRefused])
async def test_j3_a_change_is_never_repeated_by_the_guard(
    name: str, kind: type[PlatformError]
) -> None:
    """Promise 1: only the engine, which has a journal, may send it another time."""
    stub = Stub(kind("a", "x"))
    with pytest.raises(kind):
        await change(guard(stub)[0], name)
    assert stub.calls == [(name, APP)]


@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_that_was_refused_for_its_rate_is_sent_again(name: str) -> None:
    stub = Stub(RateLimited("a", "x"), RateLimited("a", "x"))
    await change(guard(stub)[0], name)
    assert stub.calls == [(name, APP)] * 3


@pytest.mark.parametrize("name", [*CHANGES, "packages"])
async def test_a_refused_token_is_worth_one_more_call_at_the_pace(name: str) -> None:
    """Promise 3: a fleet whose tokens all expire at once is no reason to call twice as fast."""
    stub = Stub(TokenRefused("a", "x"), takes_s=0.0)
    platform, _ = guard(stub, rate=2.0)
    await (platform.packages(APP) if name == "packages" else change(platform, name))
    assert stub.calls == [(name, APP)] * 2
    assert stub.times[1] - stub.times[0] == pytest.approx(0.5)


@pytest.mark.parametrize("name", [*CHANGES, "packages"])
async def test_a_token_refused_again_is_not_tried_a_third_time(name: str) -> None:
    stub = Stub(TokenRefused("a", "x"), RateLimited("a", "x"), TokenRefused("a", "x"))
    platform, _ = guard(stub)
    with pytest.raises(TokenRefused):
        await (platform.packages(APP) if name == "packages" else change(platform, name))
    assert stub.calls == [(name, APP)] * 3


@pytest.mark.parametrize("name", CHANGES)
async def test_j3_a_lost_answer_after_a_refusal_for_rate_is_not_repeated(name: str) -> None:
    stub = Stub(RateLimited("a", "x"), AnswerLost("b", "x"))
    with pytest.raises(AnswerLost):
        await change(guard(stub)[0], name)
    assert len(stub.calls) == 2


async def test_a_token_is_prepared_before_the_turn_and_takes_no_place() -> None:
    stub, tokens = Stub(takes_s=0.0), Tokens(takes_s=60.0)
    platform, _ = guard(stub, in_flight=1, tokens=tokens)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(platform.packages, APP)
        await anyio.sleep(1.0)
        assert stub.calls == []
        tokens.takes_s = 0.0
        await platform.packages(APP)
        assert len(stub.calls) == 1
    assert len(stub.calls) == 2


async def test_a_token_that_ran_out_in_the_queue_is_prepared_again() -> None:
    stub, tokens = Stub(takes_s=0.0), Tokens(lives_s=1.5)
    platform, _ = guard(stub, rate=1.0, in_flight=1, tokens=tokens)
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(platform.packages, APP)
    assert len(stub.calls) == 4
    assert len(tokens.made) > 1


async def test_while_no_token_lasts_until_its_call_nothing_is_sent_and_it_is_tried_later() -> None:
    stub, tokens = Stub(takes_s=0.0), Tokens(lives_s=0.0)
    platform, _ = guard(stub, tokens=tokens)
    with pytest.raises(NotSent) as caught:
        await platform.upload(APP, make_bundle())
    assert caught.value.code == "auth.token_outlived"
    assert len(tokens.made) % PREPARATIONS == 0
    assert stub.calls == []


@pytest.mark.parametrize("kind", [NotSent, ClientMustAct, FleetRefused])
async def test_without_a_token_a_change_is_not_sent(kind: type[PlatformError]) -> None:
    stub = Stub()
    platform, _ = guard(stub, tokens=Tokens(kind("auth.no_token", "x")))
    with pytest.raises(kind):
        await platform.upload(APP, make_bundle())
    assert stub.calls == []


async def test_a_cancelled_change_is_not_repeated() -> None:
    stub = Stub(takes_s=100.0)
    with anyio.move_on_after(1.0):
        await change(guard(stub)[0], "upload")
    await anyio.sleep(1000.0)
    assert stub.calls == [("upload", APP)]


async def test_retry_after_holds_back_every_call() -> None:
    stub = Stub(RateLimited("a", "x", retry_after_s=40.0), takes_s=0.0)
    platform, _ = guard(stub)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(platform.packages, APP)
    first, *others = stub.times
    assert len(others) == 5
    assert min(others) - first == pytest.approx(40.0)


async def test_repeats_are_paced_too() -> None:
    """Promise 3: retries included."""
    stub = Stub(*[RateLimited("a", "x", retry_after_s=0.0) for _ in range(5)], takes_s=0.0)
    platform, _ = guard(stub, rate=2.0)
    await platform.packages(APP)
    gaps = [b - a for a, b in zip(stub.times, stub.times[1:], strict=False)]
    assert len(gaps) == 5
    assert min(gaps) >= 0.5 - 1e-9


async def test_a_repeat_gives_its_place_back_meanwhile() -> None:
    stub = Stub(NotSent("a", "x"), takes_s=0.0)
    platform, _ = guard(stub, in_flight=1, rate=1000.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(platform.packages, "1")
        await anyio.sleep(0.01)
        tasks.start_soon(platform.packages, "2")
    assert [app_id for _, app_id in stub.calls] == ["1", "2", "1"]


async def test_capacity_holds_over_all_calls() -> None:
    stub = Stub(takes_s=10.0)
    platform, _ = guard(stub, in_flight=4)
    async with anyio.create_task_group() as tasks:
        for number in range(30):
            tasks.start_soon(platform.packages, str(number))
            tasks.start_soon(change, platform, "upload")
    assert stub.most_out == 4
    assert Counter(name for name, _ in stub.calls) == {"packages": 30, "upload": 30}


async def test_any_second_holds_only_the_declared_pace() -> None:
    stub = Stub(takes_s=0.3)
    platform, _ = guard(stub, rate=5.0)
    async with anyio.create_task_group() as tasks:
        for number in range(60):
            tasks.start_soon(platform.packages, str(number))
    for start in stub.times:
        assert sum(start <= time < start + 1.0 - 1e-6 for time in stub.times) <= 6


@pytest.mark.slow
@pytest.mark.parametrize("takes_s", [0.05, 0.5, 2.0])
async def test_on_a_platform_that_allows_a_tenth_few_calls_are_refused(takes_s: float) -> None:
    """Declared are 10 a second, allowed is 1 in any second; 600 calls, fewer than 10 % refused."""
    stub = Stub(per_second=1, takes_s=takes_s)
    platform, pacer = guard(stub, rate=10.0)
    async with anyio.create_task_group() as tasks:
        for number in range(600):
            tasks.start_soon(platform.packages, str(number))
    assert len(stub.calls) - stub.refused == 600
    assert stub.refused / len(stub.calls) < 0.10
    assert pacer.statistics().throttled == stub.refused
    lasted_s = stub.times[-1] - stub.times[0]
    assert lasted_s < 600 * 1.3


@pytest.mark.slow
async def test_after_a_bad_hour_the_declared_pace_comes_back() -> None:
    stub = Stub(per_second=1, takes_s=0.1)
    platform, pacer = guard(stub, rate=10.0)
    for _ in range(30):
        await platform.packages(APP)
    assert pacer.statistics().rate < 2.0
    stub.per_second = None
    for _ in range(700):
        await platform.packages(APP)
    assert pacer.statistics().rate == 10.0
