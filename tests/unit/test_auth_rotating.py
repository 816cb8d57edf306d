"""Rotations of many apps: a few at a time, stopped by what holds for all, and by a signal."""

from collections import deque
from dataclasses import replace

import anyio
import pytest

from fleetdeploy.cli.auth_rotating import Batch
from fleetdeploy.cli.connect import ONE_OFF
from fleetdeploy.cli.options import Desk as CommandDesk
from fleetdeploy.cli.render.style import PLAIN, Output
from fleetdeploy.core.credentials import Intent, Rotation
from fleetdeploy.errors import FleetRefused, NotSent
from tests.unit.auth_builders import Desk, Office, bring, office

APPS = [str(number) for number in range(100, 140)]


def batch(place: Office, said: list[str], kind: Rotation | None = None) -> Batch:
    desk = CommandDesk(Output.TEXT, PLAIN, verbosity=0, _voice=said.append)
    return Batch(desk, place.credentials.keeper, APPS, kind)


async def stocked(place: Office) -> None:
    for app_id in APPS:
        await bring(place, app_id)


@pytest.mark.anyio
async def test_all_are_renewed_a_few_at_a_time_and_progress_is_told() -> None:
    said: list[str] = []
    async with office(Desk(authorized=set(APPS))) as place:
        await stocked(place)
        many = batch(place, said)
        await many.run()
        assert [row.renewed for row in many.rows] == [True] * len(APPS)
        assert place.desk.most_out == ONE_OFF.in_flight
        assert place.desk.calls.count("refresh") == len(APPS)
    assert said[0] == "4 of 40 apps, 0 failed"
    assert len(said) == 10


@pytest.mark.anyio
async def test_what_fails_for_one_app_is_told_and_the_others_go_on() -> None:
    async with office(Desk(authorized=set(APPS[1:]))) as place:
        await stocked(place)
        many = batch(place, [], Rotation.RECOVER)
        await many.run()
        (failed,) = [row for row in many.rows if row.error]
        assert failed.error is not None
        assert (failed.app_id, failed.error.code) == (APPS[0], "auth.consent_needed")
        assert sum(row.renewed for row in many.rows) == len(APPS) - 1


@pytest.mark.anyio
async def test_what_holds_for_all_stops_all_and_leaves_nobody_in_doubt() -> None:
    async with office(Desk(authorized=set(APPS))) as place:
        await stocked(place)
        refusal = FleetRefused("platform.ip", "not whitelisted")
        place.desk.errors["refresh"] = deque([NotSent("call.not_sent", "down"), refusal])
        many = batch(place, [])
        await many.run()
        assert many.refusal is refusal
        assert len(many.left) + len(many.rows) + 1 == len(APPS)
        assert len(many.rows) < 2 * ONE_OFF.in_flight
        assert [one.intent for one in place.disk.apps.values()] == [None] * len(APPS)


@pytest.mark.anyio
async def test_a_stop_lets_land_what_is_under_way() -> None:
    async with office(Desk(authorized=set(APPS))) as place:
        await stocked(place)
        many = batch(place, [])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(many.run)
            await anyio.sleep(0.25)
            many.stop()
        assert 0 < len(many.rows) < len(APPS)
        assert len(many.left) == len(APPS) - len(many.rows)
        assert [one.intent for one in place.disk.apps.values()] == [None] * len(APPS)


@pytest.mark.anyio
async def test_an_app_in_doubt_is_recovered_by_a_refresh() -> None:
    async with office(Desk(authorized=set(APPS))) as place:
        await stocked(place)
        dead = Intent(Rotation.REFRESH, "dead", 1.0)
        await place.store.change_app(APPS[0], lambda known: replace(known, intent=dead))
        await batch(place, []).run()
        assert place.desk.calls.count("retrieve_code") == 1
        assert place.desk.again == []
