"""The `auth` commands that work offline on what is kept: `import`, `list`, `remove`."""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import click

from fleetdeploy.cli.auth_asking import check_app_ids, confirm, note_tokens_file, read_stdin
from fleetdeploy.cli.options import Desk, common, selection
from fleetdeploy.cli.process import SystemClock
from fleetdeploy.cli.render.auth_results import (
    Imported,
    Removed,
    render_imported,
    render_removed,
)
from fleetdeploy.cli.render.credentials import (
    CredentialList,
    credential_list,
    credential_row,
    render_credential_list,
    tp_row,
)
from fleetdeploy.cli.render.layout import count_of, some
from fleetdeploy.cli.settings import KEY_SOURCES, Settings
from fleetdeploy.cli.vault import open_store
from fleetdeploy.core.credentials import (
    AppCredential,
    TpCredential,
    has_code,
    imported,
    is_held,
)
from fleetdeploy.core.selection import Selectable, Selection
from fleetdeploy.errors import ExitCode, StateUnusable, UsageInvalid
from fleetdeploy.ports import CredentialStore
from fleetdeploy.storage.credential_store import SqliteStore
from fleetdeploy.storage.credentials_file import (
    FILE_MAX,
    Brought,
    read_credentials,
    read_private,
)

STDIN: Final = Path("-")
AT_ONCE: Final = 256
"""Changes that are under way together: they share a sync of the disk."""
_BY_ID: Final = "app id, or @FILE with one a line; repeatable"


class Fate(Enum):
    """What an import does to an app."""

    NEW = auto()
    REPLACED = auto()
    UNCHANGED = auto()
    CLASHES = auto()
    """The store has something that works, and it would be lost."""


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--replace", is_flag=True, help="Also replace apps whose refresh token here is still unspent."
)
@common()
def import_command(desk: Desk, *, file: Path, replace: bool) -> ExitCode:
    """Take over tokens from FILE, or from stdin with -.

    The file (mode 0600) is JSON or CSV; docs/credentials.md has the forms.
    """
    brought = read_credentials(_contents(file), "stdin" if file == STDIN else str(file))
    told = anyio.run(partial(_import, desk.settings, brought, replace=replace))
    note_tokens_file(desk)
    if file != STDIN:
        desk.say(f"{file} is not needed any more: its tokens are spent with the next rotation")
    desk.print(render_imported(told, desk.output, desk.style))
    return ExitCode.OK


@click.command("list")
@click.option("--only", multiple=True, help=f"Only these apps: {_BY_ID}.")
@click.option("--exclude", multiple=True, help=f"Leave these apps out: {_BY_ID}.")
@click.option("--check", is_flag=True, help="Exit with 3 if an app or the ticket needs somebody.")
@common()
def list_command(
    desk: Desk, *, only: tuple[str, ...], exclude: tuple[str, ...], check: bool
) -> ExitCode:
    """Tell how each app's credentials stand.

    Troubled ones first; offline, and never a token.
    """
    chosen = _by_id(selection(only, exclude))
    listed = anyio.run(_list, desk.settings, chosen)
    note_tokens_file(desk)
    desk.print(render_credential_list(listed, desk.output, desk.style))
    return ExitCode.INCOMPLETE if check and listed.needs_somebody else ExitCode.OK


@click.command("remove")
@click.argument("apps", nargs=-1, required=True, metavar="APP...")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common()
def remove_command(desk: Desk, *, apps: tuple[str, ...], yes: bool) -> ExitCode:
    """Forget the credentials of apps.

    Their consent on the platform stays as it is.
    """
    app_ids = check_app_ids(apps)
    if not SqliteStore.is_there(desk.settings.state_dir):
        desk.print(render_removed(Removed(removed=(), unknown=app_ids), desk.output))
        return ExitCode.OK
    confirm(f"Forget {count_of(len(app_ids), 'app')}?", str(len(app_ids)), yes=yes)
    desk.print(render_removed(anyio.run(_remove, desk.settings, app_ids), desk.output))
    return ExitCode.OK


def _contents(file: Path) -> bytes:
    return read_stdin(FILE_MAX) if file == STDIN else read_private(file)


async def _import(settings: Settings, brought: Sequence[Brought], *, replace: bool) -> Imported:
    with open_store(settings) as store:
        fates = await import_all(store, brought, _now(), replace=replace)
    return Imported(
        apps=len(brought),
        new=fates[Fate.NEW],
        replaced=fates[Fate.REPLACED],
        unchanged=fates[Fate.UNCHANGED],
    )


async def import_all(
    store: CredentialStore, brought: Sequence[Brought], now: float, *, replace: bool
) -> Counter[Fate]:
    """Put credentials into the store; durable on return.

    Raises `UsageInvalid` before anything is stored if an app has a refresh token that works, unless
    `replace` says so. If cancelled, or killed: some are stored, and the same import goes on.
    """
    known = {credential.app_id: credential for credential in await store.apps()}
    if not replace:
        _check_clashes(known, brought, now)
    fates: Counter[Fate] = Counter()

    async def put(one: Brought) -> None:
        fates[await _put(store, one, now, replace=replace)] += 1

    for start in range(0, len(brought), AT_ONCE):
        async with anyio.create_task_group() as tasks:
            for one in brought[start : start + AT_ONCE]:
                tasks.start_soon(put, one)
    return fates


def _check_clashes(known: dict[str, AppCredential], brought: Iterable[Brought], now: float) -> None:
    clashes = [
        one.app_id
        for one in brought
        if fate_of(known.get(one.app_id, AppCredential(one.app_id)), one, now) is Fate.CLASHES
    ]
    if clashes:
        raise _clash(clashes)


async def _put(store: CredentialStore, one: Brought, now: float, *, replace: bool) -> Fate:
    fates: list[Fate] = []

    def change(credential: AppCredential) -> AppCredential:
        fates[:] = [fate_of(credential, one, now)]
        if fates == [Fate.UNCHANGED]:
            return credential
        # Its rotation would overwrite what is brought, and may be spending that very token.
        _check_not_held(store, credential, "what is stored already stays")
        if fates == [Fate.CLASHES] and not replace:
            raise _clash([one.app_id])
        return imported(credential, one.access_token, one.refresh_token, now)

    await store.change_app(one.app_id, change)
    return Fate.REPLACED if fates == [Fate.CLASHES] else fates[0]


def _check_not_held(store: CredentialStore, credential: AppCredential, else_: str) -> None:
    if is_held(credential, store.holder, store.is_alive):
        raise UsageInvalid(
            f"app {credential.app_id} is being renewed by another process right now",
            hint=f"give the same command again in a minute: {else_}",
        )


def fate_of(stored: AppCredential, brought: Brought, now: float) -> Fate:
    """Say what becomes of an app; a refresh token that may be spent never comes back as good."""
    if stored == AppCredential(stored.app_id):
        return Fate.NEW
    if brought.refresh_token and brought.refresh_token == stored.refresh_token:
        there = brought.access_token in ("", stored.access_token)
        return Fate.UNCHANGED if there or stored.intent is not None else Fate.REPLACED
    if not brought.refresh_token and brought.access_token == stored.access_token:
        return Fate.UNCHANGED
    unspent = bool(stored.refresh_token) and stored.intent is None
    return Fate.CLASHES if unspent or has_code(stored, now) else Fate.REPLACED


def _clash(app_ids: Sequence[str]) -> UsageInvalid:
    return UsageInvalid(
        f"{count_of(len(app_ids), 'app')} of the file can be renewed with what is kept here "
        f"already, which would be lost: {some(app_ids)}; nothing was imported for them",
        hint="take them out of the file, or give --replace if the file is the newer of the two",
    )


def _by_id(chosen: Selection) -> Selection:
    for selector in (*chosen.only, *chosen.exclude):
        if selector.key:
            raise UsageInvalid(f"{selector}: credentials are chosen by app id", hint=_BY_ID)
    return chosen


async def _list(settings: Settings, chosen: Selection) -> CredentialList:
    now = SystemClock().now()
    unix, in_settings = now.timestamp(), settings.tp_ticket is not None
    sealed = any(getattr(settings, name) is not None for name in KEY_SOURCES)
    if not SqliteStore.is_there(settings.state_dir):
        _chosen((), chosen)
        tp = tp_row(TpCredential(), unix, ticket_in_settings=in_settings)
        return credential_list((), tp, now, sealed=sealed)
    with open_store(settings) as store:
        credentials = _chosen(await store.apps(), chosen)
        rows = [credential_row(one, unix, store.is_alive) for one in credentials]
        tp = tp_row(await store.tp(), unix, ticket_in_settings=in_settings)
    return credential_list(rows, tp, now, sealed=sealed)


def _chosen(credentials: Sequence[AppCredential], chosen: Selection) -> Sequence[AppCredential]:
    if chosen.everything:
        return credentials
    ids = chosen.apply([Selectable(credential.app_id, {}) for credential in credentials])
    return [credential for credential in credentials if credential.app_id in ids]


async def _remove(settings: Settings, app_ids: Sequence[str]) -> Removed:
    with open_store(settings) as store:
        there = {app_id: await remove_app(store, app_id) for app_id in app_ids}
    return Removed(
        removed=tuple(app_id for app_id in app_ids if there[app_id]),
        unknown=tuple(app_id for app_id in app_ids if not there[app_id]),
    )


async def remove_app(store: CredentialStore, app_id: str) -> bool:
    """Forget an app, unless a rotation under way would bring it back a moment later."""
    # A row that cannot be read is held by nobody, and removing it is the way out.
    with suppress(StateUnusable):
        _check_not_held(store, await store.app(app_id), "what is removed already stays away")
    return await store.remove_app(app_id)


def _now() -> float:
    return SystemClock().now().timestamp()
