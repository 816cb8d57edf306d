"""The platform put together: transport, codec, tokens, pace, retries."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random

from fleetdeploy.auth.keeper import Credentials
from fleetdeploy.baidu.authority import BaiduAuthority
from fleetdeploy.baidu.client import BaiduPlatform
from fleetdeploy.baidu.http import HttpTransport
from fleetdeploy.baidu.tokens import TokensFile
from fleetdeploy.cli.process import SystemClock
from fleetdeploy.cli.settings import Settings
from fleetdeploy.cli.vault import client_id_of, keep_credentials
from fleetdeploy.core.pace import Pace
from fleetdeploy.core.windows import Calendar
from fleetdeploy.errors import SettingsInvalid
from fleetdeploy.guards.authority import GuardedAuthority
from fleetdeploy.guards.guarded import GuardedPlatform
from fleetdeploy.guards.paced import Paced
from fleetdeploy.guards.pacer import Pacer
from fleetdeploy.guards.punctual import PunctualPlatform
from fleetdeploy.ports import Call, Observer, TokenSource
from fleetdeploy.transport import Transport


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
    """A platform that is ready to be called. `counts` are the requests so far, by endpoint.

    `credentials` is None where somebody else keeps the tokens and no key of ours is set.
    """

    platform: GuardedPlatform
    inspector: BaiduPlatform
    pacer: Pacer
    paced: Paced
    counts: Counter[str]
    credentials: Credentials | None

    def per_second(self) -> float:
        return self.pacer.pace.rate


@asynccontextmanager
async def connect(
    settings: Settings,
    limits: PaceLimits,
    observer: Observer,
    rng: Random,
    calendar: Calendar | None = None,
) -> AsyncGenerator[Link]:
    """Open the one connection pool of this process; closed on leaving.

    Submissions and releases leave only when the calendar, if there is one, allows it.
    Raises `SettingsInvalid` before anything is sent.
    """
    check_tokens(settings)
    counts: Counter[str] = Counter()

    def on_call(call: Call) -> None:
        counts[call.endpoint] += 1
        observer.called(call)

    pacer = Pacer(
        Pace(limits.requests_per_second), in_flight=limits.in_flight, endpoints=limits.endpoints
    )
    paced = Paced(pacer, rng=rng)
    async with AsyncExitStack() as stack:
        transport = HttpTransport(settings.api_base, capacity=limits.in_flight)
        await stack.enter_async_context(transport)
        credentials = None
        if settings.tp_client_id is not None:
            authority = authority_on(settings, transport, paced, on_call)
            credentials = await stack.enter_async_context(
                keep_credentials(settings, authority, rng)
            )
        tokens = _tokens(settings, credentials)
        baidu = BaiduPlatform(transport, tokens, on_call=on_call)
        punctual = PunctualPlatform(baidu, calendar or Calendar(), SystemClock())
        platform = GuardedPlatform(punctual, paced, tokens)
        yield Link(platform, baidu, pacer, paced, counts, credentials)


def authority_on(
    settings: Settings, transport: Transport, paced: Paced, on_call: Callable[[Call], None]
) -> GuardedAuthority:
    """Put the platform's side of credentials together; raises `SettingsInvalid` without a key."""
    authority = BaiduAuthority(transport, client_id_of(settings), on_call=on_call)
    return GuardedAuthority(authority, paced)


def check_tokens(settings: Settings) -> None:
    """Raise `SettingsInvalid` if nothing says where tokens come from."""
    if settings.tokens_file is None and settings.tp_client_id is None:
        raise SettingsInvalid(
            "no access tokens: neither FLEETDEPLOY_TP_CLIENT_ID nor FLEETDEPLOY_TOKENS_FILE is set",
            hint="set the third-party platform's key, and fleetdeploy keeps the tokens itself; or "
            "name a JSON file (mode 0600) that maps each app id to its access token",
        )


def _tokens(settings: Settings, credentials: Credentials | None) -> TokenSource:
    """Choose who supplies tokens: a file that somebody names is meant to be used."""
    if settings.tokens_file is not None:
        return TokensFile(settings.tokens_file)
    assert credentials is not None
    return credentials.keeper
