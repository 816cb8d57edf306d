"""One token for all who need it: renewed early, once, and never later than it is needed."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import anyio
import pytest

from fleetdeploy.cli.hearing import keep_tp_token
from fleetdeploy.core.credentials import (
    EARLY_MAX_S,
    Rotation,
    TpCredential,
    take_code,
    take_ticket,
)
from fleetdeploy.errors import (
    ClientMustAct,
    FleetRefused,
    NotSent,
    StateUnusable,
    TokenRefused,
)
from fleetdeploy.model import AuthorizationCode, Ticket
from fleetdeploy.ports import TokenSource
from fleetdeploy.storage.memory_store import MemoryDisk, MemoryStore
from tests.unit.auth_builders import APP, TICKET, TP_REFUSED, Desk, Office, bring, office

pytestmark = pytest.mark.anyio

REFUSED = TokenRefused("platform.token_refused", "refused", errno=110, msg="invalid")
NOT_SENT = NotSent("transport.not_connected", "no connection")


async def prepared(at: Office, app_id: str = APP) -> str:
    await at.credentials.keeper.prepare(app_id)
    token = at.credentials.keeper.token(app_id)
    assert token is not None
    return token


async def test_the_keeper_is_a_token_source() -> None:
    async with office() as at:
        source: TokenSource = at.credentials.keeper
        assert source.token(APP) is None


async def test_a_token_that_is_good_is_used_without_any_call() -> None:
    async with office() as at:
        grant = await bring(at)
        for _ in range(5):
            assert await prepared(at) == grant.access_token
        assert at.desk.calls == []


async def test_a_hundred_calls_that_need_a_token_make_one_refresh() -> None:
    async with office() as at:
        await bring(at)
        await at.store.change_app(APP, lambda known: replace(known, access_token=""))
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(at.credentials.keeper.prepare, APP)
        assert at.desk.calls == ["tp_token", "refresh"]


async def test_many_apps_at_once_make_one_tp_token() -> None:
    apps = {str(number) for number in range(50)}
    async with office(Desk(authorized=apps)) as at:
        async with anyio.create_task_group() as tasks:
            for app_id in apps:
                tasks.start_soon(at.credentials.keeper.prepare, app_id)
        assert at.desk.calls.count("tp_token") == 1
        assert at.desk.calls.count("exchange") == len(apps)


async def test_a_token_is_renewed_early_while_the_old_one_is_used() -> None:
    async with office() as at:
        first = await prepared(at)
        await anyio.sleep(3600.0 - EARLY_MAX_S - 1.0)
        assert await prepared(at) == first
        await anyio.sleep(2.0)
        calls = len(at.desk.calls)
        assert await prepared(at) == first
        assert len(at.desk.calls) == calls
        await anyio.sleep(1.0)
        assert at.desk.calls[calls:] == ["refresh"]
        assert await prepared(at) != first


async def test_a_failed_early_renewal_hurts_nobody() -> None:
    async with office() as at:
        first = await prepared(at)
        await anyio.sleep(3600.0 - EARLY_MAX_S)
        at.desk.errors["refresh"] = deque([NOT_SENT])
        assert await prepared(at) == first
        await anyio.sleep(1.0)
        assert await prepared(at) == first
        await anyio.sleep(1.0)
        assert await prepared(at) != first


async def test_a_token_that_is_over_is_not_given_and_the_next_one_is_waited_for() -> None:
    async with office() as at:
        first = await prepared(at)
        await anyio.sleep(3600.0)
        assert at.credentials.keeper.token(APP) is None
        assert await prepared(at) != first


async def test_a_refused_token_is_renewed_once_and_then_it_is_final() -> None:
    async with office() as at:
        first = await prepared(at)
        at.credentials.keeper.refused(APP, REFUSED, first)
        assert at.credentials.keeper.token(APP) is None
        second = await prepared(at)
        at.credentials.keeper.refused(APP, REFUSED, second)
        with pytest.raises(ClientMustAct) as caught:
            await prepared(at)
        assert (caught.value.code, caught.value.msg) == ("platform.token_refused", "invalid")
        assert at.desk.calls.count("refresh") == 1
        # Later, or after somebody has mended it, it is tried anew.
        assert await prepared(at) not in (first, second)


async def test_a_late_refusal_of_an_older_token_says_nothing_of_a_new_one() -> None:
    """A call may leave with the old pair just before a rotation, and be answered after it."""
    async with office() as at:
        first = await prepared(at)
        await at.credentials.keeper.renew(APP)
        at.credentials.keeper.refused(APP, REFUSED, first)
        await anyio.sleep(3600.0)
        third = await prepared(at)
        at.credentials.keeper.refused(APP, REFUSED, third)
        # It is the first refusal of a token that is in use: another one may do.
        assert await prepared(at) not in (first, third)


async def test_a_refused_token_that_another_process_has_renewed_costs_no_call() -> None:
    desk = Desk()
    async with office(desk) as one, office(desk, one.disk, name="two") as two:
        first = await prepared(one)
        assert await prepared(two) == first
        await two.credentials.keeper.renew(APP)
        calls = len(desk.calls)
        one.credentials.keeper.refused(APP, REFUSED, first)
        assert await prepared(one) == two.kept().access_token
        assert len(desk.calls) == calls


async def test_all_who_wait_hear_of_the_same_error() -> None:
    async with office(Desk(authorized=set())) as at:
        heard: list[ClientMustAct] = []

        async def need() -> None:
            with pytest.raises(ClientMustAct) as caught:
                await at.credentials.keeper.prepare(APP)
            heard.append(caught.value)

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(need)
        assert {error.code for error in heard} == {"auth.consent_needed"}
        assert at.desk.calls.count("retrieve_code") == 1


async def test_a_caller_that_is_cancelled_takes_nothing_from_the_others() -> None:
    async with office(Desk(takes_s=10.0)) as at:
        async with anyio.create_task_group() as tasks:
            with anyio.move_on_after(1.0):
                await at.credentials.keeper.prepare(APP)
            tasks.start_soon(at.credentials.keeper.prepare, APP)
        assert at.desk.calls == ["tp_token", "retrieve_code", "exchange"]


async def test_rotations_under_way_may_end_when_the_keeper_is_closed() -> None:
    async with office(Desk(takes_s=2.0)) as at:
        with anyio.move_on_after(1.0):
            await at.credentials.keeper.prepare(APP)
    assert at.kept().access_token
    assert at.kept().intent is None


async def test_a_code_that_comes_is_exchanged_at_once() -> None:
    async with office() as at:
        await at.credentials.tp.token()
        code = await push_code(at)
        at.credentials.keeper.exchange(APP)
        await anyio.sleep(1.0)
        assert at.desk.sent == [code]
        assert at.kept().refresh_token in at.desk.valid


async def push_code(at: Office) -> str:
    """Put a code into the store, as the receiver does."""
    code = AuthorizationCode(APP, at.desk.hand_out(APP), 60.0)
    await at.store.change_app(APP, lambda known: take_code(known, code, at.wall.unix()))
    return code.text


async def test_a_code_is_exchanged_although_the_token_is_good() -> None:
    async with office() as at:
        before = await bring(at)
        await prepared(at)
        code = await push_code(at)
        at.credentials.keeper.exchange(APP)
        await anyio.sleep(1.0)
        assert at.desk.sent == [code]
        assert await prepared(at) == at.kept().access_token != before.access_token


async def test_a_code_that_comes_during_a_rotation_is_exchanged_after_it() -> None:
    async with office(Desk(takes_s=5.0)) as at:
        before = await bring(at)
        async with anyio.create_task_group() as tasks:
            at.credentials.keeper.refused(APP, REFUSED, before.access_token)
            tasks.start_soon(at.credentials.keeper.prepare, APP)
            await anyio.sleep(7.0)
            code = await push_code(at)
            at.credentials.keeper.exchange(APP)
        await anyio.sleep(30.0)
        assert at.desk.sent[-1] == code
        assert at.desk.again == []
        assert at.kept().refresh_token in at.desk.valid


async def test_a_code_that_came_before_the_first_ticket_is_exchanged_with_it() -> None:
    async with office(ticket="") as at, anyio.create_task_group() as tasks:
        code = await push_code(at)
        at.credentials.keeper.exchange(APP)
        tasks.start_soon(keep_tp_token, at.credentials)
        await anyio.sleep(20.0)
        assert at.desk.calls == []
        now = at.wall.unix()
        await at.store.change_tp(lambda known: take_ticket(known, Ticket(TICKET, now)))
        await anyio.sleep(10.0)
        assert at.desk.sent == [code]
        assert at.desk.calls == ["tp_token", "exchange"]
        tasks.cancel_scope.cancel()


async def test_a_person_may_have_it_renewed_or_recovered() -> None:
    async with office() as at:
        await bring(at)
        await at.credentials.keeper.renew(APP)
        assert at.desk.calls[-1] == "refresh"
        await at.credentials.keeper.renew(APP, Rotation.RECOVER)
        assert at.desk.calls[-2:] == ["retrieve_code", "exchange"]


async def test_a_clock_that_is_set_changes_no_more_than_one_renewal() -> None:
    async with office() as at:
        first = await prepared(at)
        at.wall.offset_s = 3600.0
        second = await prepared(at)
        assert second != first
        at.wall.offset_s = -3600.0
        assert await prepared(at) == second
        assert at.desk.again == []


# The third-party platform's own token.


async def test_the_tp_token_is_made_from_the_pushed_ticket_first() -> None:
    async with office(Desk(tickets={"pushed"})) as at:
        now = at.wall.unix()
        await at.store.change_tp(lambda known: take_ticket(known, Ticket("pushed", now)))
        assert await at.credentials.tp.token() in at.desk.tp_tokens
        assert at.desk.calls == ["tp_token"]
        assert at.tp.access_token in at.desk.tp_tokens


async def test_a_pushed_ticket_that_is_refused_leaves_the_one_from_the_settings() -> None:
    async with office() as at:
        await at.store.change_tp(lambda known: take_ticket(known, Ticket("stale", 1.0)))
        assert await at.credentials.tp.token() in at.desk.tp_tokens
        assert at.desk.calls == ["tp_token", "tp_token"]


@pytest.mark.parametrize(
    ("ticket", "code"), [("", "auth.no_ticket"), ("bad", "platform.ticket_refused")]
)
async def test_without_a_ticket_that_works_nobody_gets_a_token(ticket: str, code: str) -> None:
    async with office(ticket=ticket) as at:
        with pytest.raises(FleetRefused) as caught:
            await at.credentials.keeper.prepare(APP)
        assert (caught.value.code, caught.value.credentials) == (code, True)
        assert at.kept().intent is None


async def test_the_tp_token_is_renewed_before_it_ends_by_whoever_needs_it_next() -> None:
    async with office(Desk(tp_lifetime_s=3600.0)) as at:
        first = await at.credentials.tp.token()
        await anyio.sleep(3600.0 - EARLY_MAX_S)
        assert await at.credentials.tp.token() == first
        await anyio.sleep(1.0)
        assert await at.credentials.tp.token() != first


async def test_a_disk_that_fails_during_an_early_renewal_of_the_tp_token_hurts_nobody() -> None:
    class Full(MemoryStore):
        async def change_tp(self, change: Callable[[TpCredential], TpCredential]) -> TpCredential:
            if self.full:
                raise StateUnusable("cannot write credentials.db: no space left on device")
            return await super().change_tp(change)

        full = False

    disk = MemoryDisk()
    store = Full(disk, "one")
    async with office(Desk(tp_lifetime_s=3600.0), disk, store=store) as at:
        first = await at.credentials.tp.token()
        await anyio.sleep(3600.0 - EARLY_MAX_S + 1.0)
        store.full = True
        assert await at.credentials.tp.token() == first
        await anyio.sleep(1.0)
        assert at.desk.calls == ["tp_token", "tp_token"]
        store.full = False
        assert await at.credentials.tp.token() == first
        await anyio.sleep(1.0)
        assert await at.credentials.tp.token() != first


async def test_a_tp_token_that_another_process_has_renewed_is_taken_from_the_store() -> None:
    desk = Desk()
    async with office(desk) as one, office(desk, one.disk, name="two") as two:
        first = await one.credentials.tp.token()
        assert await two.credentials.tp.token() == first
        second = (await two.credentials.tp.renew()).access_token
        one.credentials.tp.refused(first)
        assert await one.credentials.tp.token() == second
        assert desk.calls == ["tp_token", "tp_token"]


async def test_what_the_rotation_meets_on_its_way_is_not_taken_for_the_callers_own() -> None:
    """A refused TP token must not look like a refused token of the app."""
    async with office() as at:
        await at.credentials.tp.token()
        at.desk.errors["retrieve_code"] = deque([TP_REFUSED, TP_REFUSED])
        with pytest.raises(FleetRefused):
            await at.credentials.keeper.prepare(APP)
