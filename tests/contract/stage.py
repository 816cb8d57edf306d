"""What the contract is played on: a simulated platform, a client, and a way to let time pass."""

import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import pytest

from fleetdeploy.core.bundle import canonical_json, describe, fingerprint_of
from fleetdeploy.errors import PlatformError, TokenRefused
from fleetdeploy.model import AuditNote, Bundle, Package, PackageStatus
from fleetdeploy.ports import Inspector, Platform
from fleetdeploy.simulator.behaviour import Behaviour
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.world import World

APP: Final = "100000282"
OTHER: Final = "100000283"
NOTE: Final = AuditNote("routine template update", "submitted by the agency")

DELAY_S: Final = 20.0
"""From an accepted call until reads show it."""
CALM: Final = Behaviour(
    effect_delay_s=DELAY_S, build_s=(10.0, 10.0), audit_s=(50.0, 50.0), rollback_s=(30.0, 30.0)
)
"""Every draw of time is certain, and long enough that real time never counts."""
LOOKS: Final = 30
"""Looks in a row, 10 s apart, before a test gives up: far more than any of the delays above."""

E = TypeVar("E", bound=PlatformError)


class Client(Platform, Inspector, Protocol):
    """What is put to the test: both ports, and nothing else of whoever fills them."""


class RenewedTokens:
    """A token source that learns of a new token only when the old one is refused."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known = dict(world.tokens)

    async def prepare(self, app_id: str) -> None:
        assert app_id in self._known

    def token(self, app_id: str) -> str | None:
        return self._known[app_id]

    def refused(self, app_id: str, error: TokenRefused, token: str) -> None:
        assert error.errno in (110, 111, 50032)
        assert token == self._known[app_id]
        self._known[app_id] = self._world.tokens[app_id]


@dataclass
class Stage:
    """One client before one platform. `world` is the truth that the client is measured by.

    `advance` lets seconds pass on the platform; `hasten` lets so much pass, once the next call has
    arrived there, that no client waits for its answer any longer. `now` is the platform's time.
    """

    world: World
    client: Client
    advance: Callable[[float], Awaitable[None]]
    hasten: Callable[[], Coroutine[object, object, None]]
    now: Callable[[], float]

    def __post_init__(self) -> None:
        self._secrets = frozenset(self.world.tokens.values())

    async def caught(self, kind: type[E], call: Awaitable[object]) -> E:
        """Await a call that must fail with exactly this error, and with no token in sight."""
        with pytest.raises(PlatformError) as found:
            await call
        assert isinstance(found.value, kind), f"{found.value!r} is not {kind.__name__}"
        error: E = found.value
        shown = [*traceback.format_exception(error), error.hint, str(error.msg), repr(error)]
        secrets = self._secrets | set(self.world.tokens.values())
        assert [token for token in secrets if token in "".join(shown)] == []
        return error

    async def rows_when(
        self, seen: Callable[[tuple[Package, ...]], bool], app_id: str = APP
    ) -> tuple[Package, ...]:
        """Look until the list is as it should be, and return it."""
        rows: tuple[Package, ...] = ()
        for _ in range(LOOKS):
            rows = await self.client.packages(app_id)
            if seen(rows):
                return rows
            await self.advance(10.0)
        raise AssertionError(f"not seen in {LOOKS} looks; the last one: {rows}")

    async def row_with(self, status: PackageStatus, version: str = "1.0") -> Package:
        """Look until our package of this version has this status, and return it."""

        def fits(row: Package) -> bool:
            return row.status == status and row.version == version

        rows = await self.rows_when(lambda rows: any(map(fits, rows)))
        return next(row for row in rows if fits(row))

    async def developed(self, version: str = "1.0") -> str:
        """Upload, wait until it is built, and return the package's id."""
        await self.client.upload(APP, bundle(version=version))
        return _id(await self.row_with(PackageStatus.DEVELOPMENT, version))

    async def approved(self, version: str = "1.0") -> str:
        package_id = await self.developed(version)
        await self.client.submit_audit(APP, package_id, NOTE)
        return _id(await self.row_with(PackageStatus.AUDIT_PASSED, version))

    async def released(self, version: str = "1.0") -> str:
        package_id = await self.approved(version)
        await self.client.release(APP, package_id)
        return _id(await self.row_with(PackageStatus.ONLINE, version))


class Stages(Protocol):
    """Builds a stage; with `reachable=False` there is nobody at the platform's address."""

    def __call__(
        self, scenario: Scenario, *, reachable: bool = True
    ) -> AbstractAsyncContextManager[Stage]: ...


def _id(row: Package) -> str:
    assert row.package_id is not None
    return row.package_id


def scenario(behaviour: Mapping[str, object] | None = None, **more: object) -> Scenario:
    """Build a platform of calm apps; `behaviour` changes them, `more` the platform."""
    return Scenario.model_validate({"behaviour": CALM.changed(behaviour or {}), **more})


def bundle(
    app_id: str = APP,
    *,
    version: str = "1.0",
    description: str = "autumn storefront",
    template_id: str = "754",
    **ext: object,
) -> Bundle:
    text = canonical_json({"extAppid": app_id, "extEnable": True, **ext})  # type: ignore[dict-item]  # plain JSON by name
    fingerprint = fingerprint_of(template_id, text)
    return Bundle(
        template_id=template_id,
        ext_json=text,
        version=version,
        description=describe(description, fingerprint),
        fingerprint=fingerprint,
        audit=NOTE,
        direct_commit=bool(ext.get("directCommit", False)),
    )
