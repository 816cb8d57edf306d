"""Outages of the simulated platform: which calls meet them, and when."""

import json

import pytest

from fleetdeploy.errors import SettingsInvalid
from fleetdeploy.simulator.api import Api
from fleetdeploy.simulator.scenario import parse_scenario
from fleetdeploy.simulator.world import World
from fleetdeploy.transport import Reply
from tests.unit.sim_builders import get, make_world, post, submit, upload

PACKAGE_ID = "1000000"


def world_out(service: str, from_s: float, lasts_s: float) -> World:
    outages = [{"service": service, "from_s": from_s, "lasts_s": lasts_s}]
    return make_world(platform={"outages": outages})


def errno_of(reply: Reply) -> object:
    return json.loads(reply.body)["errno"]


def test_uploads_are_refused_while_the_upload_service_is_out() -> None:
    world = world_out("upload", from_s=10.0, lasts_s=5.0)
    api = Api(world)
    answers = [errno_of(api.handle(upload(world), at)) for at in (9.9, 10.0, 14.9, 15.0)]
    assert answers == [0, 69009, 69009, 0]
    assert len(world.effects) == 2


def test_what_comes_to_be_built_in_an_outage_of_the_packaging_fails() -> None:
    world = world_out("build", from_s=10.0, lasts_s=60.0)
    api = Api(world)
    assert errno_of(api.handle(upload(world), 20.0)) == 0
    (row,) = json.loads(api.handle(get(world, "package/get"), 60.0).body)["data"]
    assert (row["upload_status"], row["upload_err_code"]) == (3, 69009)


def test_audits_and_releases_are_refused_in_their_own_words() -> None:
    audit, release = (world_out(name, 0.0, 60.0) for name in ("audit", "release"))
    assert errno_of(Api(audit).handle(submit(audit, int(PACKAGE_ID)), 1.0)) == 69011
    withdrawal = post(audit, "package/withdraw", package_id=PACKAGE_ID)
    assert errno_of(Api(audit).handle(withdrawal, 1.0)) == 69011
    for call in ("package/release", "package/rollback"):
        asked = post(release, call, package_id=PACKAGE_ID)
        assert errno_of(Api(release).handle(asked, 1.0)) == 69012
    assert list(audit.violations) == list(release.violations) == []


def test_the_platform_as_a_whole_answers_with_an_error_page_and_does_nothing() -> None:
    world = world_out("platform", from_s=10.0, lasts_s=60.0)
    api = Api(world)
    for request in (upload(world), get(world, "package/get")):
        delivery = api.deliver(request, 20.0)
        assert delivery.reply is not None
        assert delivery.reply.status == 502
    assert list(world.effects) == []


@pytest.mark.parametrize(
    "outage", ["{service: nothing, lasts_s: 1}", "{service: build}", "{service: build, lasts_s: 0}"]
)
def test_an_outage_that_is_none_is_refused(outage: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"outages\.0"):
        parse_scenario(f"outages: [{outage}]".encode(), "s.yaml")
