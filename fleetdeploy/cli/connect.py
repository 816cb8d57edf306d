"""The platform put together: transport, codec, tokens, pace, retries."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

from fleetdeploy.baidu.client import BaiduPlatform
from fleetdeploy.baidu.http import HttpTransport
from fleetdeploy.baidu.tokens import TokensFile
from fleetdeploy.cli.settings import Settings
from fleetdeploy.core.pace import Pace
from fleetdeploy.errors import SettingsInvalid
from fleetdeploy.guards.guarded import GuardedPlatform
from fleetdeploy.guards.paced import Paced
from fleetdeploy.guards.pacer import Pacer
from fleetdeploy.ports import Call, Observer, TokenSource


@dataclass(frozen=True, slots=True)
class PaceLimits:
    """How hard the platform may be used: calls per second, calls at once, per endpoint."""

    requests_per_second: float
    in_flight: int
    endpoints: Mapping[str, float]


ONE_OFF = PaceLimits(requests_per_second=5, in_flight=4, endpoints={})
"""For commands that look at one app."""


@dataclass(frozen=True, slots=True)
class Link:
    """A platform that is ready to be called. `counts` are the requests so far, by endpoint."""

    platform: GuardedPlatform
    inspector: BaiduPlatform
    pacer: Pacer
    counts: Counter[str]

    def per_second(self) -> float:
        return self.pacer.pace.rate


@asynccontextmanager
async def connect(
    settings: Settings, limits: PaceLimits, observer: Observer, rng: Random
) -> AsyncGenerator[Link]:
    """Open the one connection pool of this process; closed on leaving.

    Raises `SettingsInvalid` before anything is sent.
    """
    tokens = _tokens(settings)
    counts: Counter[str] = Counter()

    def on_call(call: Call) -> None:
        counts[call.endpoint] += 1
        observer.called(call)

    async with HttpTransport(settings.api_base, capacity=limits.in_flight) as transport:
        baidu = BaiduPlatform(transport, tokens, on_call=on_call)
        pacer = Pacer(
            Pace(limits.requests_per_second),
            in_flight=limits.in_flight,
            endpoints=limits.endpoints,
        )
        paced = Paced(pacer, rng=rng)
        yield Link(GuardedPlatform(baidu, paced, tokens), baidu, pacer, counts)


def _tokens(settings: Settings) -> TokenSource:
    if settings.tokens_file is None:
        raise SettingsInvalid(
            "no access tokens: FLEETDEPLOY_TOKENS_FILE is not set",
            hint="name a JSON file (mode 0600) that maps each app id to its access token",
        )
    return TokensFile(settings.tokens_file)
