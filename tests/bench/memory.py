"""What the engine keeps for an app that waits for a reviewer; the platform is not weighed."""

import gc
import tracemalloc
from collections.abc import Iterable
from datetime import UTC, datetime
from random import Random
from typing import Final, NoReturn

import anyio
import anyio.lowlevel

from fleetdeploy.core.journal_line import Chain
from fleetdeploy.core.records import AnyAppRecord, Entry, PackageFound, RunRecord
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.targets import Target
from fleetdeploy.engine.ledger import Ledger
from fleetdeploy.engine.run import Gauges, Rollout, RunOptions
from fleetdeploy.engine.steering import Steering
from fleetdeploy.model import AuditNote, AuditQuota, Bundle, Package, PackageStatus, Phase
from tests.bench.parts import HEADER, Unheard
from tests.bench.table import Figure
from tests.simulator.harness import VirtualWall, app_ids, in_virtual_time, make_target

SETTLE_S: Final = 1.0
"""From the last app's record until its turn has ended and nothing of it is left but the wait."""
AT: Final = datetime(2026, 11, 24, tzinfo=UTC)


def memory_figure(apps: int) -> Figure:
    """Return what the engine keeps per app while all of them wait."""
    targets = tuple(make_target(app_id) for app_id in app_ids(apps))
    tracemalloc.start()
    try:
        held = in_virtual_time(lambda: _waiting_bytes(targets))
        floor = _entry_bytes(targets)
    finally:
        tracemalloc.stop()
    return Figure(
        f"memory per waiting app, of {apps:,}",
        held / apps,
        "bytes",
        floor / apps,
        "an entry in a dict: a time, an order and a package id of its own",
    )


async def _waiting_bytes(targets: tuple[Target, ...]) -> int:
    """Bring all apps into audit, and weigh what holds them there."""
    platform = AllInAudit(targets)
    before = _traced()
    state = RunState.new(target.app_id for target in targets)
    journal = Forgetful(len(targets))
    ledger = Ledger(journal, state, Unheard())
    await ledger.append(HEADER)
    rollout = Rollout(
        targets,
        platform,
        ledger,
        Steering(failures_allowed=len(targets)),
        options=RunOptions(),
        rng=Random(0),
        gauges=Gauges(VirtualWall(), lambda: 50.0),
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rollout.work)
        await journal.all_found.wait()
        await anyio.sleep(SETTLE_S)
        assert {app.phase for app in state.apps.values()} == {Phase.AUDITING}
        held = _traced() - before
        tasks.cancel_scope.cancel()
    return held


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _entry_bytes(targets: tuple[Target, ...]) -> int:
    before = _traced()
    entries = {
        target.app_id: (float(nth), nth, str(1_000_000_000 + nth))
        for nth, target in enumerate(targets)
    }
    held = _traced() - before
    assert len(entries) == len(targets)
    return held


class Forgetful:
    """A `Journal` that makes every line and keeps none; it tells when all apps were found."""

    def __init__(self, apps: int) -> None:
        self._chain = Chain()
        self._missing = apps
        self.all_found = anyio.Event()

    async def append(self, record: RunRecord | AnyAppRecord) -> Entry:
        await anyio.lowlevel.checkpoint()
        entry, _ = self._chain.stamp(record, AT)
        self._missing -= isinstance(record, PackageFound)
        if not self._missing:
            self.all_found.set()
        return entry


class AllInAudit:
    """A `Platform` on which our package of every app is in audit; nothing may be changed."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self._bundles = {target.app_id: target.bundle for target in targets}

    async def packages(self, app_id: str) -> tuple[Package, ...]:
        await anyio.lowlevel.checkpoint()
        bundle = self._bundles[app_id]
        row = Package(
            version=bundle.version,
            description=bundle.description,
            package_id=str(int(app_id) + 1_000_000_000),
            status=PackageStatus.IN_AUDIT,
        )
        return (row,)

    async def audit_quota(self, app_id: str) -> AuditQuota:
        raise AssertionError(f"nothing is to be submitted: {app_id}")

    async def upload(self, app_id: str, bundle: Bundle) -> None:
        _forbidden(app_id, bundle)

    async def submit_audit(self, app_id: str, package_id: str, note: AuditNote) -> None:
        _forbidden(app_id, package_id, note)

    async def release(self, app_id: str, package_id: str) -> None:
        _forbidden(app_id, package_id)

    async def rollback(self, app_id: str, package_id: str) -> None:
        _forbidden(app_id, package_id)

    async def withdraw(self, app_id: str, package_id: str) -> None:
        _forbidden(app_id, package_id)


def _forbidden(*asked: object) -> NoReturn:
    raise AssertionError(f"nothing is to be changed: {asked}")
