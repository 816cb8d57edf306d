"""A client is never locked out: whatever is lost or killed, the next rotation brings a pair."""

from collections import deque

import anyio
import pytest

from fleetdeploy.core.credentials import (
    AppCredential,
    Intent,
    Rotation,
    claim,
    need_consent,
    take_code,
)
from fleetdeploy.errors import (
    AnswerLost,
    ClientMustAct,
    FleetRefused,
    NotSent,
    PlatformError,
    RateLimited,
    RequestRefused,
    StateUnusable,
)
from fleetdeploy.model import AuthorizationCode
from fleetdeploy.storage.memory_journal import Moment
from fleetdeploy.storage.memory_store import AnyCredential, MemoryDisk, MemoryStore
from tests.unit.auth_builders import APP, EPOCH, SPENT, TP_REFUSED, Desk, Office, bring, office

pytestmark = pytest.mark.anyio

LOST = AnswerLost("transport.cut_off", "lost")
NOT_SENT = NotSent("transport.not_connected", "no connection")


async def rotated(at: Office) -> AppCredential:
    return await at.credentials.keeper.renew(APP)


async def test_a_refresh_token_brings_a_new_pair_which_is_on_disk() -> None:
    async with office() as at:
        grant = await bring(at)
        credential = await rotated(at)
        assert at.desk.sent == [grant.refresh_token]
        assert at.kept() == credential
        assert at.desk.valid == {credential.refresh_token: APP}
        assert credential.intent is None


async def test_the_intent_is_on_disk_before_anything_is_sent() -> None:
    seen: list[tuple[Intent | None, int]] = []

    def hook(moment: Moment, _: AnyCredential, after: AnyCredential) -> None:
        if moment is Moment.DURABLE and isinstance(after, AppCredential):
            seen.append((after.intent, len(desk.sent)))

    desk, disk = Desk(), MemoryDisk()
    async with office(desk, disk, store=MemoryStore(disk, "one", hook=hook)) as at:
        await bring(at)
        await rotated(at)
    imported, announced, done = seen
    assert imported == (None, 0)
    assert announced[0] is not None
    assert (announced[0].kind, announced[1]) == (Rotation.REFRESH, 0)
    assert done == (None, 1)


async def test_after_a_lost_answer_the_code_is_recovered_and_the_old_token_never_sent_again() -> (
    None
):
    async with office(Desk(lost={"refresh": deque([LOST])})) as at:
        await bring(at)
        credential = await rotated(at)
        assert at.desk.again == []
        assert at.desk.calls == ["tp_token", "refresh", "retrieve_code", "exchange"]
        assert at.desk.valid[credential.refresh_token] == APP


@pytest.mark.parametrize(
    "error",
    [SPENT, RequestRefused("platform.token_request_refused", "invalid"), LOST, TP_REFUSED],
)
async def test_whatever_refuses_a_refresh_token_it_is_not_sent_again(error: PlatformError) -> None:
    async with office(Desk(errors={"refresh": deque([error])})) as at:
        await bring(at)
        credential = await rotated(at)
        assert at.desk.calls.count("refresh") == 1
        assert "retrieve_code" in at.desk.calls
        assert at.kept() == credential


@pytest.mark.parametrize("error", [NOT_SENT, RateLimited("platform.rate_limited", "slow")])
async def test_of_a_refresh_that_did_not_arrive_nothing_is_lost(error: PlatformError) -> None:
    async with office(Desk(errors={"refresh": deque([error])})) as at:
        grant = await bring(at)
        with pytest.raises(type(error)):
            await rotated(at)
        assert at.kept().refresh_token == grant.refresh_token
        assert at.kept().intent is None
        await rotated(at)
        assert at.desk.sent == [grant.refresh_token]


async def test_an_address_that_is_not_whitelisted_costs_no_client_its_token() -> None:
    refused = FleetRefused("platform.ip_not_whitelisted", "not on the list", errno=40008)
    async with office(Desk(errors={"refresh": deque([refused])})) as at:
        grant = await bring(at)
        with pytest.raises(FleetRefused):
            await rotated(at)
        assert at.kept().refresh_token == grant.refresh_token
        await rotated(at)
        assert at.desk.calls.count("retrieve_code") == 0


async def test_codes_are_asked_for_until_one_brings_a_pair() -> None:
    desk = Desk(lost={"exchange": deque([LOST, LOST])}, errors={"exchange": deque([SPENT])})
    async with office(desk) as at:
        credential = await rotated(at)
        assert desk.calls.count("retrieve_code") == desk.calls.count("exchange") == 4
        assert at.kept() == credential
        assert desk.again == []


async def test_a_recovery_that_brings_nothing_leaves_the_doubt_and_the_next_one_recovers() -> None:
    desk = Desk(lost={"refresh": deque([LOST]), "exchange": deque([LOST] * 100)})
    async with office(desk) as at:
        await bring(at)
        with pytest.raises(NotSent) as caught:
            await rotated(at)
        assert caught.value.code == "auth.in_doubt"
        assert at.kept().intent is not None
        desk.lost.clear()
        await rotated(at)
        assert desk.calls.count("refresh") == 1
        assert at.kept().intent is None


async def test_an_app_of_which_nothing_is_known_is_recovered_too() -> None:
    """Nothing has to be imported for an app that is authorized."""
    async with office() as at:
        credential = await rotated(at)
        assert at.desk.calls == ["tp_token", "retrieve_code", "exchange"]
        assert at.kept() == credential


async def test_a_code_that_was_pushed_is_spent_first() -> None:
    async with office() as at:
        await bring(at)
        code = AuthorizationCode(APP, at.desk.hand_out(APP), 60.0)
        now = at.wall.unix()
        await at.store.change_app(APP, lambda known: take_code(known, code, now))
        await rotated(at)
        assert at.desk.sent == [code.text]
        assert at.kept().code == ""


async def test_a_code_that_did_not_arrive_is_kept_for_the_next_try() -> None:
    async with office(Desk(errors={"exchange": deque([NOT_SENT])})) as at:
        code = AuthorizationCode(APP, at.desk.hand_out(APP), 60.0)
        now = at.wall.unix()
        await at.store.change_app(APP, lambda known: take_code(known, code, now))
        with pytest.raises(NotSent):
            await rotated(at)
        assert at.kept().code == code.text
        await rotated(at)
        assert at.desk.sent == [code.text]


async def test_a_client_that_has_withdrawn_is_marked_and_not_asked_about_all_the_time() -> None:
    async with office(Desk(authorized=set())) as at:
        for _ in range(3):
            with pytest.raises(ClientMustAct) as caught:
                await at.credentials.keeper.prepare(APP)
            assert caught.value.code == "auth.consent_needed"
            assert "fleetdeploy auth authorize" in caught.value.hint
        assert at.desk.calls.count("retrieve_code") == 1
        consent = at.kept().consent
        assert consent is not None
        assert consent.confirmed


async def test_a_client_that_authorizes_again_is_found_out_after_a_while() -> None:
    async with office(Desk(authorized=set())) as at:
        with pytest.raises(ClientMustAct):
            await at.credentials.keeper.prepare(APP)
        at.desk.authorized.add(APP)
        await anyio.sleep(601.0)
        await at.credentials.keeper.prepare(APP)
        assert at.credentials.keeper.token(APP) == at.kept().access_token
        assert at.kept().consent is None


async def test_a_withdrawal_that_is_not_true_costs_two_calls_and_no_client() -> None:
    """Pushes may come late: the client may have authorized again since."""
    async with office() as at:
        grant = await bring(at)
        now = at.wall.unix()
        await at.store.change_app(APP, lambda known: need_consent(known, now, confirmed=False))
        await at.credentials.keeper.prepare(APP)
        assert at.desk.sent == [grant.refresh_token]
        assert at.kept().consent is None


async def test_a_rotation_of_a_process_that_is_gone_is_recovered() -> None:
    desk, disk = Desk(), MemoryDisk()
    async with office(desk, disk, name="gone") as at:
        await bring(at)
        intent = Intent(Rotation.REFRESH, "gone", at.wall.unix())
        await at.store.change_app(APP, lambda known: claim(known, intent))
    disk.bury("gone")
    async with office(desk, disk, name="next") as at:
        await rotated(at)
        assert "refresh" not in desk.calls
        assert at.kept().intent is None


async def test_a_rotation_of_a_process_that_lives_is_waited_for() -> None:
    desk, disk = Desk(takes_s=5.0), MemoryDisk()
    async with office(desk, disk, name="one") as one, office(desk, disk, name="two") as two:
        await bring(one)
        await one.credentials.tp.token()
        await two.credentials.tp.token()
        async with anyio.create_task_group() as tasks:
            for at in (one, two):
                tasks.start_soon(at.credentials.keeper.prepare, APP)
        # Both had the imported token at first, which tells no end: nothing had to be renewed.
        assert "refresh" not in desk.calls
        for at in (one, two):
            at.credentials.keeper.refused(APP, TP_REFUSED, at.kept().access_token)
        async with anyio.create_task_group() as tasks:
            for at in (one, two):
                tasks.start_soon(at.credentials.keeper.prepare, APP)
        assert desk.calls.count("refresh") == 1
        assert one.credentials.keeper.token(APP) == two.credentials.keeper.token(APP)


async def test_a_rotation_that_another_process_never_ends_is_not_waited_for_for_ever() -> None:
    desk, disk = Desk(), MemoryDisk()
    MemoryStore(disk, "stuck")
    async with office(desk, disk) as at:
        intent = Intent(Rotation.REFRESH, "stuck", at.wall.unix())
        await at.store.change_app(APP, lambda known: claim(known, intent))
        with pytest.raises(NotSent) as caught:
            await rotated(at)
        assert caught.value.code == "auth.in_doubt"
        assert "refresh" not in desk.calls


@pytest.mark.parametrize("lost", ["refresh", "exchange"])
async def test_a_rotation_that_failed_in_a_process_that_lives_on_keeps_nobody_out(
    lost: str,
) -> None:
    """A receiver lives for weeks, and may never try that app again."""
    desk, disk = Desk(lost={"refresh": deque([LOST])}), MemoryDisk()
    out = NOT_SENT if lost == "refresh" else RateLimited("platform.rate_limited", "slow")
    name = "retrieve_code" if lost == "refresh" else "exchange"
    desk.errors[name] = deque([out])
    async with office(desk, disk, name="receiver") as receiver, office(desk, disk) as run:
        await bring(receiver)
        with pytest.raises(type(out)):
            await rotated(receiver)
        assert run.kept().intent is not None
        began = anyio.current_time()
        credential = await rotated(run)
        assert anyio.current_time() - began < 2.0
        assert desk.calls.count("refresh") == 1
        assert desk.again == []
        assert run.kept() == credential


async def test_a_refused_tp_token_is_replaced_once_and_then_it_is_the_fleets_trouble() -> None:
    async with office() as at:
        await at.credentials.tp.token()
        at.desk.tp_tokens.clear()
        await rotated(at)
        assert at.desk.calls.count("tp_token") == 2
        at.desk.errors["retrieve_code"] = deque([TP_REFUSED, TP_REFUSED])
        with pytest.raises(FleetRefused) as caught:
            await at.credentials.keeper.renew(APP, Rotation.RECOVER)
        assert caught.value.credentials


@pytest.mark.parametrize("moment", [*Moment])
@pytest.mark.parametrize("change", range(1, 4))
async def test_a_crash_at_any_change_of_the_store_locks_nobody_out(
    moment: Moment, change: int
) -> None:
    """Before the intent, between intent and pair, at the pair: the next process gets a pair."""
    changes = 0

    def hook(now: Moment, _: AnyCredential, after: AnyCredential) -> None:
        nonlocal changes
        if isinstance(after, AppCredential) and now is moment:
            changes += 1
            if changes == change:
                raise StateUnusable("crash")

    desk, disk = Desk(), MemoryDisk()

    async def dying() -> None:
        async with office(desk, disk, store=MemoryStore(disk, "dies", hook=hook)) as at:
            await bring(at)
            await rotated(at)

    with pytest.raises((StateUnusable, ExceptionGroup)):
        await dying()
    async with office(desk, disk, name="next") as at:
        credential = await rotated(at)
        assert desk.again == []
        assert desk.valid.get(credential.refresh_token) == APP
        assert at.kept() == credential


@pytest.mark.parametrize("after_s", [0.05, 0.15, 0.25, 0.35, 0.45])
async def test_a_kill_at_any_moment_of_a_rotation_locks_nobody_out(after_s: float) -> None:
    desk, disk = Desk(), MemoryDisk()
    with anyio.move_on_after(after_s):
        async with office(desk, disk, name="killed") as at:
            await bring(at)
            await rotated(at)
            await anyio.sleep_forever()
    disk.bury("killed")
    async with office(desk, disk, name="next") as at:
        credential = await rotated(at)
        assert desk.again == []
        assert desk.valid.get(credential.refresh_token) == APP


@pytest.mark.parametrize("known", [True, False])
async def test_a_lifetime_counts_from_when_the_pair_was_asked_for(known: bool) -> None:
    """The answer may be long on its way, and the platform counts from when it gave the pair."""
    desk = Desk(takes_s=50.0, lifetime_s=3600.0)
    async with office(desk) as at:
        if known:
            await bring(at)
        renewed = await at.credentials.keeper.renew(APP)
        assert renewed.expires_at == pytest.approx(at.wall.unix() - desk.takes_s + 3600.0)
        tp = at.tp
        assert tp.expires_at is not None
        assert tp.expires_at == pytest.approx(EPOCH.timestamp() + desk.tp_lifetime_s)
