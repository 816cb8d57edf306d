"""A code that a person brought: its pair is kept for its own app, or not at all."""

from collections import deque
from dataclasses import dataclass, field, replace

import anyio
import pytest

from fleetdeploy.cli.auth_exchange import Exchange
from fleetdeploy.cli.render.auth_results import RotationRow
from fleetdeploy.core.credentials import AppCredential, Consent, Intent, Rotation
from fleetdeploy.errors import AnswerLost, FleetRefused, NotSent, UsageInvalid
from fleetdeploy.model import AuthorizationCode, Grant
from tests.unit.auth_builders import APP, Desk, Office, bring, office

OTHER = "200"


@dataclass
class Clerk:
    """Tells whose a pair is by what the desk knows; `silent` tells nothing."""

    desk: Desk
    silent: bool = False
    asked: list[str] = field(default_factory=list)

    async def whose(self, grant: Grant) -> str:
        self.asked.append(grant.access_token)
        return "" if self.silent else self.desk.valid[grant.refresh_token]


async def take(
    place: Office, code: str, *, silent: bool = False, unchecked: bool = False
) -> RotationRow:
    exchange = Exchange(place.credentials, Clerk(place.desk, silent).whose, place.wall)
    return await exchange.take(AuthorizationCode(APP, code, 3600.0), unchecked=unchecked)


def kept_for(place: Office, app_id: str = APP) -> str | None:
    """Return whose the refresh token is that is kept of an app."""
    return place.desk.valid.get(place.kept(app_id).refresh_token)


@pytest.mark.anyio
async def test_a_code_of_the_app_brings_its_pair() -> None:
    async with office() as place:
        row = await take(place, place.desk.hand_out(APP))
        assert (row.renewed, row.error) == (True, None)
        assert kept_for(place) == APP
        assert place.kept().intent is None
        assert place.desk.calls == ["tp_token", "exchange"]


@pytest.mark.anyio
async def test_a_pair_of_another_app_is_kept_nowhere_and_the_app_gets_its_own() -> None:
    desk = Desk(authorized={APP, OTHER})
    async with office(desk) as place:
        await bring(place)
        row = await take(place, desk.hand_out(OTHER))
        assert kept_for(place) == APP
        assert place.kept(OTHER) == AppCredential(OTHER)
        assert row.renewed
        assert row.error is not None
        assert row.error.code == "auth.code_of_another_app"
        assert f"fleetdeploy auth recover {OTHER}" in row.hint
        assert desk.again == []


@pytest.mark.anyio
async def test_a_mistyped_app_leaves_nothing_behind() -> None:
    async with office(Desk(authorized={OTHER})) as place:
        row = await take(place, place.desk.hand_out(OTHER))
        assert row.error is not None
        assert row.error.code == "auth.code_of_another_app"
        assert not row.renewed
        assert place.disk.apps == {}


@pytest.mark.anyio
async def test_a_pair_of_nobody_knows_whom_is_not_kept_unless_somebody_says_so() -> None:
    for unchecked, calls in ((True, 2), (False, 4)):
        async with office() as place:
            row = await take(place, place.desk.hand_out(APP), silent=True, unchecked=unchecked)
            assert (row.renewed, row.error) == (True, None)
            assert kept_for(place) == APP
            assert len(place.desk.calls) == calls


@pytest.mark.anyio
async def test_what_nobody_tells_and_no_code_replaces_is_a_failure_with_a_way_out() -> None:
    async with office(Desk(authorized=set())) as place:
        row = await take(place, place.desk.hand_out(APP), silent=True)
        assert row.error is not None
        assert row.error.code == "auth.code_unchecked"
        assert "--unchecked" in row.hint
        assert not row.renewed


@pytest.mark.anyio
@pytest.mark.parametrize("code", ["code-of-nobody", "lost"])
async def test_a_code_that_is_spent_or_whose_answer_is_lost_is_made_good(code: str) -> None:
    async with office() as place:
        if code == "lost":
            code = place.desk.hand_out(APP)
            place.desk.lost["exchange"] = deque([AnswerLost("call.lost", "lost")])
        row = await take(place, code)
        assert (row.renewed, row.error) == (True, None)
        assert kept_for(place) == APP
        assert place.desk.sent.count(code) == 1


@pytest.mark.anyio
async def test_a_spent_code_of_an_app_that_is_not_authorized_says_both() -> None:
    async with office(Desk(authorized=set())) as place:
        row = await take(place, "code-of-nobody")
        assert row.error is not None
        assert row.error.code == "platform.grant_refused"
        assert "used already" in row.error.message
        assert "withdrawn" in row.error.message
        assert "code-of-nobody" not in repr(row)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error", [NotSent("call.not_sent", "down"), FleetRefused("platform.ip", "not whitelisted")]
)
async def test_a_code_that_was_not_sent_leaves_all_as_it_was(error: NotSent) -> None:
    consent = Consent(1.0, confirmed=True, checked_at=1.0)
    dead = Intent(Rotation.REFRESH, "dead", 1.0)
    async with office() as place:
        await bring(place)
        before = await place.store.change_app(
            APP,
            lambda known: replace(
                known, consent=consent, intent=dead, code="pushed", code_expires_at=1e12
            ),
        )
        place.desk.errors["exchange"] = deque([error])
        with pytest.raises(type(error)):
            await take(place, place.desk.hand_out(APP))
        assert place.kept() == before


@pytest.mark.anyio
async def test_what_came_in_meanwhile_is_not_taken_back() -> None:
    async with office() as place:
        place.desk.errors["exchange"] = deque([NotSent("call.not_sent", "down")])

        async def push() -> None:
            await anyio.sleep(0.15)
            await place.store.change_app(APP, lambda known: replace(known, code="pushed"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(push)
            with pytest.raises(NotSent):
                await take(place, place.desk.hand_out(APP))
        assert place.kept() == AppCredential(APP, code="pushed")


@pytest.mark.anyio
async def test_the_code_itself_is_never_stored_for_others_to_spend() -> None:
    seen: list[AppCredential] = []
    async with office() as place:
        code = place.desk.hand_out(APP)

        async def watch() -> None:
            await anyio.sleep(0.15)
            seen.append(place.kept())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await take(place, code)
    assert [(one.code, one.intent is not None) for one in seen] == [("", True)]


@pytest.mark.anyio
async def test_a_kill_after_the_exchange_leaves_the_app_to_be_recovered() -> None:
    desk = Desk()
    async with office(desk) as place:
        with anyio.move_on_after(0.15):
            await take(place, desk.hand_out(APP))
        disk = place.disk
        disk.bury("one")
    async with office(desk, disk, name="two") as later:
        await later.credentials.keeper.prepare(APP)
        assert kept_for(later) == APP
        assert desk.again == []


@pytest.mark.anyio
async def test_an_app_that_another_process_renews_is_left_alone() -> None:
    async with office() as place:
        place.disk.living.add("other")
        held = Intent(Rotation.REFRESH, "other", 1.0)
        await place.store.change_app(APP, lambda known: replace(known, intent=held))
        with pytest.raises(UsageInvalid, match="right now"):
            await take(place, place.desk.hand_out(APP))
        assert "exchange" not in place.desk.calls
