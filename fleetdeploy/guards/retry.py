"""The only place that knows tenacity: trying a call again, capped by tries and by time."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import TypeVar

import anyio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from fleetdeploy.core.polling import backoff_s
from fleetdeploy.errors import PlatformError, Remedy

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """`tries` counts the first one; no try begins later than `within_s` after the first.

    Refusals for rate have limits of their own: the pace already slows everybody down. A refused
    token is worth one more try, with the token that has come instead.
    """

    tries: int = 5
    within_s: float = 120.0
    throttled_tries: int = 12
    throttled_within_s: float = 900.0


async def call_with_retries(
    call: Callable[[], Awaitable[T]],
    *,
    again: frozenset[Remedy],
    limits: RetryLimits,
    rng: Random,
    in_vain: Callable[[], bool] = lambda: False,
) -> T:
    """Await `call()`, again after an error whose remedy is in `again`, and return its answer.

    Between tries it backs off by chance and exponentially; not at all after `WAIT`, since the
    pacer holds every call back, and after `REFRESH`, since another token is at hand. While it is
    `in_vain`, because everything is out, trouble on the way is not tried again. Raises the last
    error. Never repeats what was cancelled.
    """
    started = anyio.current_time()
    try:
        # Nearly every call succeeds at once, and need not pay for the machinery of trying again.
        return await call()
    except PlatformError as error:
        if error.remedy not in again or (error.remedy in _TROUBLE and in_vain()):
            raise
        failed = [error]

    async def next_try() -> T:
        if failed:
            raise failed.pop()
        return await call()

    seen: Counter[Remedy | None] = Counter()

    def should_stop(state: RetryCallState) -> bool:
        remedy = _remedy(state)
        seen[remedy] += 1
        if remedy is Remedy.REFRESH:
            return seen[remedy] > 1
        if remedy in _TROUBLE and in_vain():
            return True
        waits = remedy is Remedy.WAIT
        tries = limits.throttled_tries if waits else limits.tries
        within_s = limits.throttled_within_s if waits else limits.within_s
        next_at = anyio.current_time() + state.upcoming_sleep
        return state.attempt_number >= tries or next_at - started >= within_s

    def pause_s(state: RetryCallState) -> float:
        if _remedy(state) in _AT_ONCE:
            return 0.0
        return backoff_s(state.attempt_number, chance=rng.random(), initial_s=0.5, max_s=30.0)

    retrying = AsyncRetrying(
        sleep=anyio.sleep,
        stop=should_stop,
        wait=pause_s,
        retry=retry_if_exception(
            lambda error: isinstance(error, PlatformError) and error.remedy in again
        ),
        reraise=True,
    )
    return await retrying(next_try)


_AT_ONCE = frozenset({Remedy.WAIT, Remedy.REFRESH})
_TROUBLE = frozenset({Remedy.RETRY, Remedy.RECONCILE})


def _remedy(state: RetryCallState) -> Remedy | None:
    error = state.outcome.exception() if state.outcome else None
    return error.remedy if isinstance(error, PlatformError) else None
