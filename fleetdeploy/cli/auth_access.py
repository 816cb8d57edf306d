"""The way of the `auth` commands to the platform.

They keep the pace of one-off commands, whatever they do.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

from fleetdeploy.auth.keeper import Credentials
from fleetdeploy.baidu.client import BaiduPlatform
from fleetdeploy.baidu.http import HttpTransport
from fleetdeploy.baidu.tokens import StaticTokens
from fleetdeploy.cli.connect import ONE_OFF, authority_on
from fleetdeploy.cli.options import Desk
from fleetdeploy.cli.vault import client_id_of, keep_credentials
from fleetdeploy.cli.watching import Watcher, open_watcher
from fleetdeploy.core.pace import Pace
from fleetdeploy.guards.guarded import GuardedPlatform
from fleetdeploy.guards.paced import Paced
from fleetdeploy.guards.pacer import Pacer
from fleetdeploy.model import AppInfo
from fleetdeploy.transport import Transport


@dataclass(frozen=True, slots=True)
class Access:
    """Credentials that can be renewed, and what a look at an app goes through."""

    credentials: Credentials
    transport: Transport
    paced: Paced
    watcher: Watcher

    async def app_info(self, app_id: str, access_token: str) -> AppInfo:
        """Look at the app that a token belongs to, which may be another than `app_id`."""
        tokens = StaticTokens({app_id: access_token})
        platform = BaiduPlatform(self.transport, tokens, on_call=self.watcher.called)
        guarded = GuardedPlatform(platform, self.paced, tokens)
        return await guarded.read("app_info", app_id, lambda: platform.app_info(app_id))


@asynccontextmanager
async def open_access(desk: Desk) -> AsyncGenerator[Access]:
    """Open the store and a connection; raises `SettingsInvalid` before anything is made or sent."""
    settings, rng = desk.settings, Random()  # noqa: S311 - jitter, not a secret
    client_id_of(settings)
    paced = Paced(Pacer(Pace(ONE_OFF.requests_per_second), in_flight=ONE_OFF.in_flight), rng=rng)
    async with (
        open_watcher(desk, live=False) as watcher,
        HttpTransport(settings.api_base, capacity=ONE_OFF.in_flight) as transport,
    ):
        authority = authority_on(settings, transport, paced, watcher.called)
        async with keep_credentials(settings, authority, rng) as credentials:
            yield Access(credentials, transport, paced, watcher)
