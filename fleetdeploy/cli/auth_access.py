"""What the `auth` commands share: the way to the platform, the word of consent, small questions.

They keep the pace of one-off commands, whatever they do.
"""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import TypeVar

import click

from fleetdeploy.auth.keeper import Credentials
from fleetdeploy.baidu.client import BaiduPlatform
from fleetdeploy.baidu.http import HttpTransport
from fleetdeploy.baidu.tokens import StaticTokens
from fleetdeploy.cli.connect import ONE_OFF, authority_on
from fleetdeploy.cli.options import Desk
from fleetdeploy.cli.vault import client_id_of, keep_credentials
from fleetdeploy.cli.watching import Watcher, open_watcher
from fleetdeploy.core.pace import Pace
from fleetdeploy.errors import SettingsInvalid, UsageInvalid
from fleetdeploy.guards.guarded import GuardedPlatform
from fleetdeploy.guards.paced import Paced
from fleetdeploy.guards.pacer import Pacer
from fleetdeploy.model import AppInfo
from fleetdeploy.storage.credentials_file import is_app_id
from fleetdeploy.transport import Transport

T = TypeVar("T")


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


def check_app_ids(app_ids: tuple[str, ...]) -> tuple[str, ...]:
    """Return each app once; raises `UsageInvalid` for what the platform never gave as an id."""
    for app_id in app_ids:
        if not is_app_id(app_id):
            raise UsageInvalid(
                f"argument {app_ids.index(app_id) + 1} is not an app id",
                hint="an app id is a number of 20 digits at most",
            )
    return tuple(dict.fromkeys(app_ids))


def at_a_terminal() -> bool:
    """Whether there is somebody who could answer a question."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def read_stdin(size_max: int) -> bytes:
    """Return what is piped to us, nothing if stdin is closed; raises `SettingsInvalid` for more."""
    contents: bytes = b"" if sys.stdin is None else sys.stdin.buffer.read(size_max + 1)
    if len(contents) > size_max:
        raise SettingsInvalid(f"stdin brings more than {size_max} bytes")
    return contents


def confirm(question: str, word: str, *, yes: bool) -> None:
    """Have a word typed before something that cannot be undone; raises `UsageInvalid`.

    Asks nobody where there is no terminal, and nobody who said `--yes`.
    """
    if yes:
        return
    if not at_a_terminal():
        raise UsageInvalid(
            "this cannot be undone, and there is no terminal to ask at", hint="give --yes as well"
        )
    typed = click.prompt(
        f"{question} Type {word} to go on", default="", show_default=False, err=True
    )
    if typed.strip() != word:
        raise UsageInvalid(f"{word} was not typed: nothing was changed")


def note_tokens_file(desk: Desk) -> None:
    """Say that the store is not what runs use, where that is so."""
    if desk.settings.tokens_file is not None:
        desk.say(
            "note: FLEETDEPLOY_TOKENS_FILE is set, so runs take tokens from that file and not from "
            "this store"
        )
