"""People in the platform's console, who do as they like while a rollout goes on.

What they do is no effect of ours: the world books nothing. What follows from it, a refusal of what
was decided before, is lawful only where nobody could have seen it (`Deeds.unseen`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Final

import anyio

from fleetdeploy.model import PackageStatus
from fleetdeploy.simulator.behaviour import ForeignPackage
from fleetdeploy.simulator.rows import Row
from fleetdeploy.simulator.world import World

DEEDS_MAX: Final = 4


class DeedKind(StrEnum):
    """What somebody does by hand: to our newest package, or with one of their own."""

    SUBMIT_OURS = "submit_ours"
    WITHDRAW_OURS = "withdraw_ours"
    RELEASE_OURS = "release_ours"
    DELETE_OURS = "delete_ours"
    UPLOAD_THEIRS = "upload_theirs"
    SUBMIT_THEIRS = "submit_theirs"
    RELEASE_THEIRS = "release_theirs"


@dataclass(frozen=True)
class Deed:
    at_s: float
    app_id: str
    kind: DeedKind


@dataclass
class Deeds:
    """What people have done so far: when, to which app."""

    done: list[Deed] = field(default_factory=list)

    def between(self, app_id: str, since: float, until: float) -> bool:
        """Whether anybody did anything to an app between two times, both included."""
        return any(d.app_id == app_id and since <= d.at_s <= until for d in self.done)

    @property
    def apps(self) -> set[str]:
        return {deed.app_id for deed in self.done}


_MOVES: Final = {
    DeedKind.SUBMIT_OURS: (PackageStatus.DEVELOPMENT, PackageStatus.IN_AUDIT),
    DeedKind.WITHDRAW_OURS: (PackageStatus.IN_AUDIT, PackageStatus.DEVELOPMENT),
    DeedKind.RELEASE_OURS: (PackageStatus.AUDIT_PASSED, PackageStatus.ONLINE),
}
_THEIRS: Final = {
    DeedKind.UPLOAD_THEIRS: PackageStatus.DEVELOPMENT,
    DeedKind.SUBMIT_THEIRS: PackageStatus.IN_AUDIT,
    DeedKind.RELEASE_THEIRS: PackageStatus.ONLINE,
}
BY_HAND: Final = ForeignPackage()


def draw_deeds(rng: Random, app_ids: Sequence[str]) -> tuple[Deed, ...]:
    """Draw what people do in the first minutes of a rollout, in the order of time."""
    deeds = [
        Deed(rng.uniform(0.0, rng.choice([30.0, 120.0, 600.0])), rng.choice(app_ids), kind)
        for kind in rng.choices([*DeedKind], k=rng.randint(1, DEEDS_MAX))
    ]
    return tuple(sorted(deeds, key=lambda deed: deed.at_s))


async def go_about(world: World, deeds: Sequence[Deed], told: Deeds) -> None:
    """Do all deeds that can be done at their time, and tell of them."""
    for deed in deeds:
        await anyio.sleep_until(deed.at_s)
        if _do(world, deed):
            told.done.append(deed)


def _do(world: World, deed: Deed) -> bool:
    if status := _THEIRS.get(deed.kind):
        world.add_foreign(deed.app_id, BY_HAND.changed({"status": status}), deed.at_s)
        return True
    ours = _ours(world, deed)
    if ours is None or ours.package_id is None:
        return False
    if deed.kind is DeedKind.DELETE_OURS:
        return ours.status != PackageStatus.ONLINE and world.remove(
            deed.app_id, ours.package_id, deed.at_s
        )
    before, after = _MOVES[deed.kind]
    if ours.status != before:
        return False
    return world.move_foreign(deed.app_id, ours.package_id, after, deed.at_s)


def _ours(world: World, deed: Deed) -> Row | None:
    """Return the newest package that was not made by hand."""
    rows = world.packages(deed.app_id, deed.at_s)
    ours = [row for row in rows if row.description != BY_HAND.description]
    return max(ours, key=lambda row: row.number, default=None)
