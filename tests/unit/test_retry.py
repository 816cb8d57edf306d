"""Trying again, capped by tries and by time, on virtual time."""

from collections.abc import Callable, Iterable
from random import Random

import anyio
import pytest

from fleetdeploy.errors import (
    AnswerLost,
    ClientMustAct,
    FleetRefused,
    NotSent,
    PlatformError,
    RateLimited,
    Remedy,
    RequestRefused,
    TokenRefused,
)
from fleetdeploy.guards.retry import RetryLimits, call_with_retries

pytestmark = pytest.mark.anyio

READS = frozenset({Remedy.WAIT, Remedy.REFRESH, Remedy.RETRY, Remedy.RECONCILE})


class Script:
    """A call that fails as written, then for ever with the last line; keeps when it was made."""

    def __init__(self, errors: Iterable[Exception | None], takes_s: float = 0.0) -> None:
        self.errors = list(errors)
        self.takes_s = takes_s
        self.times: list[float] = []

    async def __call__(self) -> str:
        self.times.append(anyio.current_time())
        await anyio.sleep(self.takes_s)
        error = self.errors.pop(0) if len(self.errors) > 1 else self.errors[0]
        if error is not None:
            raise error
        return "answer"


def busy() -> NotSent:
    return NotSent("platform.busy", "busy")


def limited() -> RateLimited:
    return RateLimited("platform.rate", "too many requests")


async def tried(
    script: Script,
    *,
    again: frozenset[Remedy] = READS,
    limits: RetryLimits | None = None,
    seed: int = 1,
    in_vain: Callable[[], bool] = lambda: False,
) -> str:
    return await call_with_retries(
        script,
        again=again,
        limits=limits or RetryLimits(),
        rng=Random(seed),
        in_vain=in_vain,
    )


async def test_an_answer_is_returned_at_once() -> None:
    script = Script([None])
    assert await tried(script) == "answer"
    assert len(script.times) == 1


async def test_trouble_is_not_tried_again_while_that_is_in_vain() -> None:
    script = Script([busy()])
    with pytest.raises(NotSent):
        await tried(script, in_vain=lambda: True)
    assert len(script.times) == 1


async def test_tries_end_as_soon_as_they_are_in_vain() -> None:
    script = Script([busy()])
    with pytest.raises(NotSent):
        await tried(script, in_vain=lambda: len(script.times) >= 3)
    assert len(script.times) == 3


async def test_a_refused_token_or_rate_is_an_answer_and_never_in_vain() -> None:
    script = Script([TokenRefused("t", "expired"), limited(), None])
    assert await tried(script, in_vain=lambda: True) == "answer"


async def test_an_error_of_passing_kind_is_tried_again() -> None:
    script = Script([busy(), AnswerLost("a", "lost"), limited(), None])
    assert await tried(script) == "answer"
    assert len(script.times) == 4


@pytest.mark.parametrize(
    "error",
    [
        ClientMustAct("a", "person"),
        RequestRefused("a", "no"),
        FleetRefused("a", "nobody"),
        ValueError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_any_other_error_comes_out_at_once(error: Exception) -> None:
    script = Script([error])
    with pytest.raises(type(error)) as caught:
        await tried(script)
    assert caught.value is error
    assert len(script.times) == 1


@pytest.mark.parametrize("error", [busy(), AnswerLost("a", "lost")])
async def test_what_may_not_be_repeated_is_not(error: PlatformError) -> None:
    script = Script([error])
    with pytest.raises(PlatformError):
        await tried(script, again=frozenset({Remedy.WAIT}))
    assert len(script.times) == 1


async def test_tries_are_bounded_and_the_last_error_comes_out() -> None:
    last = busy()
    script = Script([busy(), busy(), last])
    with pytest.raises(NotSent) as caught:
        await tried(script, limits=RetryLimits(tries=3, within_s=1e9))
    assert caught.value is last
    assert len(script.times) == 3


async def test_refusals_for_rate_have_a_bound_of_their_own() -> None:
    script = Script([limited()], takes_s=1.0)
    with pytest.raises(RateLimited):
        await tried(script, limits=RetryLimits(tries=2, throttled_tries=7))
    assert len(script.times) == 7


async def test_no_try_begins_after_the_time_is_up() -> None:
    for seed in range(5):
        for takes_s in (0.0, 3.0, 50.0):
            await _try_till_the_time_is_up(takes_s, seed)


async def _try_till_the_time_is_up(takes_s: float, seed: int) -> None:
    script = Script([busy()], takes_s=takes_s)
    with pytest.raises(NotSent):
        await tried(script, limits=RetryLimits(tries=10**6, within_s=120.0), seed=seed)
    assert len(script.times) > 2
    assert script.times[-1] - script.times[0] <= 120.0


async def test_no_try_after_a_refusal_for_rate_begins_after_the_time_is_up() -> None:
    script = Script([limited()], takes_s=100.0)
    with pytest.raises(RateLimited):
        await tried(script, limits=RetryLimits(throttled_tries=10**6, throttled_within_s=900.0))
    assert script.times[-1] - script.times[0] <= 900.0


def token() -> TokenRefused:
    return TokenRefused("platform.token", "expired")


async def test_a_refused_token_is_tried_once_more_and_at_once() -> None:
    script = Script([token(), None])
    assert await tried(script) == "answer"
    assert script.times[0] == script.times[1]
    script = Script([token()])
    with pytest.raises(TokenRefused):
        await tried(script)
    assert len(script.times) == 2


@pytest.mark.parametrize("takes_s", [0.0, 30.0])
async def test_a_token_that_expires_in_a_long_jam_is_still_tried_once_more(takes_s: float) -> None:
    """Else an app is given up for a token of which there is another already."""
    script = Script([*(limited() for _ in range(6)), token(), None], takes_s=takes_s)
    assert await tried(script) == "answer"


async def test_pauses_grow_and_are_partly_chance() -> None:
    script = Script([busy()])
    with pytest.raises(NotSent):
        await tried(script, limits=RetryLimits(tries=6))
    pauses = [b - a for a, b in zip(script.times, script.times[1:], strict=False)]
    for number, pause_s in enumerate(pauses):
        assert 0.5 * 2**number <= pause_s <= 1.0 * 2**number


async def test_after_a_refusal_for_rate_the_pacer_alone_decides_when() -> None:
    script = Script([limited(), limited(), None])
    await tried(script)
    assert script.times[0] == script.times[-1]


async def test_a_cancelled_call_is_not_repeated() -> None:
    script = Script([None], takes_s=100.0)
    with anyio.move_on_after(1.0) as scope:
        await tried(script)
    assert scope.cancelled_caught
    assert len(script.times) == 1


async def test_a_pause_can_be_cancelled() -> None:
    script = Script([busy()])
    with anyio.move_on_after(0.1) as scope:
        await tried(script)
    assert scope.cancelled_caught
    assert len(script.times) == 1
