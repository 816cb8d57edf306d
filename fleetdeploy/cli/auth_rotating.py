"""The `auth` commands that get new tokens now: `refresh`, `recover`."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio
import click

from fleetdeploy.auth.keeper import Credentials, Keeper
from fleetdeploy.cli.auth_access import open_access
from fleetdeploy.cli.auth_asking import check_app_ids
from fleetdeploy.cli.connect import ONE_OFF
from fleetdeploy.cli.options import Desk, common
from fleetdeploy.cli.process import Interrupts, SystemClock
from fleetdeploy.cli.render.auth_results import (
    RotationRow,
    Rotations,
    failed_row,
    render_rotations,
    rotations,
)
from fleetdeploy.cli.render.credentials import TpRow, instant, tp_row
from fleetdeploy.cli.render.layout import count_of, some
from fleetdeploy.core.credentials import AppCredential, Rotation
from fleetdeploy.errors import ExitCode, FleetRefused, PlatformError, UsageInvalid
from fleetdeploy.ports import CredentialStore

PROGRESS_PARTS: Final = 10
"""So many lines tell of a long batch, besides one for each failure."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose tokens are to be renewed; `everybody` is all apps of the store."""

    app_ids: tuple[str, ...] = ()
    everybody: bool = False
    tp: bool = False
    kind: Rotation | None = None


@click.command("refresh")
@click.argument("apps", nargs=-1, metavar="[APP...]")
@click.option("--all", "everybody", is_flag=True, help="All apps of the store.")
@click.option("--tp", is_flag=True, help="The third-party platform's own token, too.")
@common()
def refresh_command(desk: Desk, *, apps: tuple[str, ...], everybody: bool, tp: bool) -> ExitCode:
    """Get apps new tokens now.

    Whatever the present ones are like; exit 3 if some got none.
    """
    if everybody and apps:
        raise UsageInvalid("--all and single apps exclude each other", hint="leave one of them out")
    if not (apps or everybody or tp):
        raise UsageInvalid("nobody to refresh", hint="name apps, or give --all or --tp")
    wanted = Wanted(check_app_ids(apps), everybody=everybody, tp=tp)
    return anyio.run(_rotate, desk, wanted)


@click.command("recover")
@click.argument("apps", nargs=-1, required=True, metavar="APP...")
@common()
def recover_command(desk: Desk, *, apps: tuple[str, ...]) -> ExitCode:
    """Get apps new tokens by a code of the platform.

    Needs no client, and works where a refresh token is lost or was spent.
    """
    return anyio.run(_rotate, desk, Wanted(check_app_ids(apps), kind=Rotation.RECOVER))


async def _rotate(desk: Desk, wanted: Wanted) -> ExitCode:
    ended: list[ExitCode] = []
    async with open_access(desk) as access:
        ended.append(await _carry_out(desk, access.credentials, wanted))
    return ended[0]


async def _carry_out(desk: Desk, credentials: Credentials, wanted: Wanted) -> ExitCode:
    app_ids = await _app_ids(credentials.store, wanted)
    tp = await _renew_tp(desk, credentials) if wanted.tp else None
    interrupts = Interrupts(desk.say)
    batch = Batch(desk, credentials.keeper, app_ids, wanted.kind)
    interrupts.ask_with(batch.stop)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(interrupts.watch)
        await batch.run()
        tasks.cancel_scope.cancel()
    told = rotations(SystemClock().now(), batch.rows, tp)
    if batch.refusal is not None:
        _tell_what_is_left(desk, batch)
        raise batch.refusal
    desk.print(render_rotations(told, desk.output, desk.style))
    if interrupts.exit_code is not None:
        _tell_what_is_left(desk, batch)
        return interrupts.exit_code
    return exit_code_of(told)


def exit_code_of(told: Rotations) -> ExitCode:
    return ExitCode.INCOMPLETE if told.failed else ExitCode.OK


def _tell_what_is_left(desk: Desk, batch: "Batch") -> None:
    renewed = sum(1 for row in batch.rows if row.renewed)
    left = count_of(len(batch.left), "app")
    desk.say(f"{count_of(renewed, 'app')} renewed, {left} not begun; type the same again")


async def _app_ids(store: CredentialStore, wanted: Wanted) -> tuple[str, ...]:
    """Return who is to be renewed; raises `UsageInvalid` for an app that nothing is kept of.

    A refresh of an app that somebody mistyped would leave a claim behind; to recover one that was
    never seen before is what `recover` is for.
    """
    if wanted.everybody:
        return tuple(credential.app_id for credential in await store.apps())
    if wanted.kind is None:
        unknown = [
            app_id for app_id in wanted.app_ids if await store.app(app_id) == AppCredential(app_id)
        ]
        if unknown:
            raise UsageInvalid(
                f"nothing is kept of {count_of(len(unknown), 'app')}: {some(unknown)}",
                hint="check the id; `fleetdeploy auth recover APP` asks the platform for tokens of "
                "any app that is authorized",
            )
    return wanted.app_ids


async def _renew_tp(desk: Desk, credentials: Credentials) -> TpRow:
    """Renew the TP token; raises `FleetRefused` where it cannot be, as no app can be then."""
    renewed = await credentials.tp.renew()
    in_settings = desk.settings.tp_ticket is not None
    return tp_row(renewed, SystemClock().now().timestamp(), ticket_in_settings=in_settings)


@dataclass
class Batch:
    """Rotations of many apps, a few at a time, so that a kill leaves only a few in doubt.

    `refusal` is one that holds for every app, and stops all; `left` are those not begun.
    """

    desk: Desk
    keeper: Keeper
    app_ids: Sequence[str]
    kind: Rotation | None
    rows: list[RotationRow] = field(default_factory=list)
    refusal: FleetRefused | None = None
    stopped: bool = False

    def __post_init__(self) -> None:
        self.left = deque(self.app_ids)

    def stop(self) -> None:
        """Begin no more; what is under way ends."""
        self.stopped = True

    async def run(self) -> None:
        """Rotate all. If cancelled: what was under way is recovered by the next rotation."""
        async with anyio.create_task_group() as tasks:
            for _ in range(min(ONE_OFF.in_flight, len(self.left))):
                tasks.start_soon(self._work)

    async def _work(self) -> None:
        while self.left and not self.stopped:
            app_id = self.left.popleft()
            try:
                self._note(await rotated(self.keeper, app_id, self.kind))
            except FleetRefused as error:
                self.refusal = self.refusal or error
                self.stop()

    def _note(self, row: RotationRow) -> None:
        self.rows.append(row)
        done, total = len(self.rows), len(self.app_ids)
        if total > PROGRESS_PARTS and done % (total // PROGRESS_PARTS) == 0:
            failed = sum(1 for row in self.rows if row.error)
            self.desk.say(f"{done} of {total} apps, {failed} failed")


async def rotated(keeper: Keeper, app_id: str, kind: Rotation | None) -> RotationRow:
    """Rotate one app and say how it went; raises only what holds for every app."""
    try:
        renewed = await keeper.renew(app_id, kind)
    except FleetRefused:
        raise
    except PlatformError as error:
        return failed_row(app_id, error)
    return RotationRow(app_id=app_id, renewed=True, expires_at=instant(renewed.expires_at))
