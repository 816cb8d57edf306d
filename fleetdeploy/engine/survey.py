"""One look at every app, before anything is planned: reads only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import anyio

from fleetdeploy.engine.run import Looks, first_of
from fleetdeploy.errors import PlatformError, Remedy
from fleetdeploy.model import Package
from fleetdeploy.ports import Platform


@dataclass(slots=True)
class Survey:
    """What the looks showed, by app id; `errors` holds the apps that could not be read."""

    rows: dict[str, tuple[Package, ...]] = field(default_factory=dict)
    looked_at: dict[str, float] = field(default_factory=dict)
    errors: dict[str, PlatformError] = field(default_factory=dict)

    def looks(self) -> Looks:
        return Looks(self.rows, self.looked_at)


async def survey(
    platform: Platform,
    app_ids: Sequence[str],
    *,
    at_once: int,
    seen: Callable[[int], None] = lambda _: None,
) -> Survey:
    """Look at each app, `at_once` at a time; `seen` is told how many are done.

    Raises the first error whose remedy is STOP: it would meet every app. All other errors are
    kept with their app.
    """
    result = Survey()
    left = iter(app_ids)

    async def work() -> None:
        for app_id in left:
            await _look(platform, app_id, result)
            seen(len(result.rows) + len(result.errors))

    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(min(at_once, len(app_ids))):
                tasks.start_soon(work)
    except BaseExceptionGroup as group:
        raise first_of(group) from group
    return result


async def _look(platform: Platform, app_id: str, result: Survey) -> None:
    now = anyio.current_time()
    try:
        result.rows[app_id] = await platform.packages(app_id)
        result.looked_at[app_id] = now
    except PlatformError as error:
        if error.remedy is Remedy.STOP:
            raise
        result.errors[app_id] = error
