"""How this process hears from the platform: pushes, the list of pushes, and the log of both."""

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from math import inf
from typing import Final

import anyio

from fleetdeploy.auth.keeper import Credentials
from fleetdeploy.baidu.envelope import PushKeys
from fleetdeploy.baidu.events import PushReader
from fleetdeploy.cli.options import Desk
from fleetdeploy.cli.process import SystemClock
from fleetdeploy.cli.settings import Settings
from fleetdeploy.cli.vault import open_log, open_store
from fleetdeploy.core.addresses import is_loopback
from fleetdeploy.core.endings import NO_TICKET
from fleetdeploy.errors import PlatformError, SettingsInvalid, StateUnusable, UsageInvalid
from fleetdeploy.notices.feed import LogFeed
from fleetdeploy.notices.inbox import Inbox
from fleetdeploy.notices.listing import ListReader
from fleetdeploy.ports import CredentialStore
from fleetdeploy.receiver.limits import Address
from fleetdeploy.receiver.results import Result
from fleetdeploy.receiver.server import Receiver, serve_receiver
from fleetdeploy.storage.notice_log import SqliteNoticeLog

LOOPBACK: Final = "127.0.0.1"
PORT: Final = re.compile(r"[0-9]{1,5}")
PORT_MAX: Final = 65_535
RENEW_EVERY_S: Final = 600.0
"""As often as a ticket comes a receiver sees to the TP token, so that nobody waits for one."""
LOOK_FOR_TICKET_EVERY_S: Final = 5.0
"""Nothing is sent for it, and a code that came before the first ticket may live for a minute."""


@dataclass(frozen=True, slots=True)
class Ears:
    """What a process hears through.

    `feed` is None where the log cannot be kept, and `problem` says why; `receiver` is None where
    none was asked for.
    """

    feed: LogFeed | None
    receiver: Receiver | None = None
    problem: str = ""


@asynccontextmanager
async def hearing(
    settings: Settings,
    credentials: Credentials | None,
    *,
    listen: Address | None = None,
    on_result: Callable[[Result], None] = lambda _: None,
) -> AsyncGenerator[Ears]:
    """Hear from the platform while the block runs.

    By pushes if `listen` says where, and by the list of pushes if there are keys for it.
    Raises `SettingsInvalid` before anything is sent, and `StateUnusable` where somebody wants to
    listen and the disk fails; a run can do without.
    """
    reader = push_reader(settings) if listen is not None else None
    async with AsyncExitStack() as stack:
        try:
            log = stack.enter_context(open_log(settings))
            feed = LogFeed(log, SystemClock(), await log.end())
        except StateUnusable as error:
            if reader is not None:
                raise
            yield Ears(None, problem=error.message)
            return
        listed, receiver = list_opener(settings) if credentials else None, None
        if listed is not None or reader is not None:
            store = credentials.store if credentials else stack.enter_context(open_store(settings))
            inbox = _inbox(store, credentials, log, feed)
            if reader is not None and listen is not None:
                receiver = await stack.enter_async_context(
                    serve_receiver(reader.open, inbox.take_pushed, SystemClock(), listen, on_result)
                )
                await inbox.begin_listening()
            # It sends, so it comes after all that may be refused.
            if credentials is not None and listed is not None:
                await stack.enter_async_context(_reading(credentials, listed, inbox, log, feed))
        yield Ears(feed, receiver)


def _inbox(
    store: CredentialStore, credentials: Credentials | None, log: SqliteNoticeLog, feed: LogFeed
) -> Inbox:
    on_code = credentials.keeper.exchange if credentials else _nobody_exchanges
    return Inbox(store, log, SystemClock(), on_code=on_code, on_notice=feed.nudge)


@asynccontextmanager
async def _reading(
    credentials: Credentials,
    opener: PushReader,
    inbox: Inbox,
    log: SqliteNoticeLog,
    feed: LogFeed,
) -> AsyncGenerator[None]:
    """Read the list of pushes while the block runs."""
    reader = ListReader(
        credentials.pushes, opener.open_row, inbox.take, log, SystemClock(), feed.nudge
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader.run)
        yield
        tasks.cancel_scope.cancel()


def push_reader(settings: Settings) -> PushReader:
    """Return what opens pushes; raises `SettingsInvalid` if a key of theirs is not set."""
    missing = [
        name
        for name, value in (
            ("FLEETDEPLOY_PUSH_TOKEN", settings.push_token),
            ("FLEETDEPLOY_PUSH_AES_KEY", settings.push_aes_key),
        )
        if value is None
    ]
    if missing or settings.push_token is None or settings.push_aes_key is None:
        raise SettingsInvalid(
            f"pushes cannot be opened: {' and '.join(missing)} not set",
            hint="both stand in the platform's console, beside the two URLs",
        )
    keys = PushKeys(
        settings.push_token.get_secret_value(), settings.push_aes_key.get_secret_value()
    )
    return PushReader(keys, settings.push_max_age)


def list_opener(settings: Settings) -> PushReader | None:
    """Return what opens rows of the list of pushes; None without a key.

    Rows are not signed: the token that signs pushes is not needed for them.
    """
    if settings.push_aes_key is None:
        return None
    return PushReader(PushKeys("none", settings.push_aes_key.get_secret_value()), inf)


async def keep_tp_token(credentials: Credentials) -> None:
    """See to the TP token now and then, until cancelled; whatever fails is tried again.

    With the first one, the codes are spent that came while there was none.
    """
    waiting = True
    while True:
        pause_s = RENEW_EVERY_S
        try:
            await credentials.tp.token()
            if waiting:
                await credentials.keeper.exchange_waiting()
                waiting = False
        except (PlatformError, StateUnusable) as error:
            # It is told to whoever needs the token.
            if error.code == NO_TICKET.code:
                pause_s = LOOK_FOR_TICKET_EVERY_S
        await anyio.sleep(pause_s)


def _nobody_exchanges(app_id: str) -> None:
    """Leave a code in the store, for a process that has the third-party platform's key."""


def address_of(text: str) -> Address:
    """Read `HOST:PORT`, `[HOST]:PORT` or a port alone; raises `UsageInvalid`."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or LOOPBACK
    if not (PORT.fullmatch(port) and int(port) <= PORT_MAX):
        raise UsageInvalid(
            f"{text!r} is no address to listen on", hint="like 127.0.0.1:8088, or a port alone"
        )
    return Address(host, int(port))


def exposure_of(address: Address) -> str:
    """Say what an address exposes; empty for one that only this machine reaches."""
    if is_loopback(address.host):
        return ""
    return (
        f"the receiver listens on {address.host}, where other machines reach it over plain HTTP; "
        "better put a proxy with a certificate in front of it"
    )


def say_where(desk: Desk, asked: Address, receiver: Receiver) -> None:
    """Say where pushes are received, and who can reach that."""
    desk.say(f"receiving pushes at {receiver.url}/push")
    if exposed := exposure_of(asked):
        desk.say(f"warning: {exposed}")
