"""What everybody may rely on who keeps credentials or notices, wherever they are kept.

A module that holds a store to this contract subclasses `StoreContract` and provides the fixture
`open_store`; for a log it is `NoticeLogContract`, with the fixtures `open_log` and `clock`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import anyio
import pytest

from fleetdeploy.core.credentials import (
    AppCredential,
    Consent,
    Intent,
    Rotation,
    TpCredential,
)
from fleetdeploy.errors import StateUnusable
from fleetdeploy.model import AuthorizationCode, Notice, Push, Ticket
from fleetdeploy.ports import CredentialStore, LoggedNotice, NoticeLog

APP = "100000282"
OTHER = "100000283"
FULL = AppCredential(
    APP,
    access_token="45.planted-access",
    expires_at=1_790_003_600.25,
    refresh_token="46.planted-refresh",
    renewed_at=1_790_000_000.5,
    code="planted-code",
    code_expires_at=1_790_000_060.0,
    spent="0123456789abcdef0123456789abcdef",
    intent=Intent(Rotation.RECOVER, "0123456789abcdef", 1_790_000_001.0),
    consent=Consent(since=1_789_000_000.0, confirmed=True, checked_at=1_789_000_001.0),
)
FULL_TP = TpCredential(
    ticket="planted-ticket",
    ticket_at=1_790_000_000.0,
    access_token="42.planted-tp",
    expires_at=1_792_592_000.0,
    renewed_at=1_790_000_000.0,
)
PLANTED = ("planted-access", "planted-refresh", "planted-code", "planted-ticket", "planted-tp")
ODD_TEXTS = ("", "\0", "'; DROP TABLE credentials; --", "小程序", "\ud800half", "x" * 100_000, "%_")
START = 1_790_000_000.0


class Store(CredentialStore, Protocol):
    def close(self) -> None: ...


OpenStore = Callable[[], Store]
"""Makes one process more of the same state directory; all are closed at the end."""


def count_up(credential: AppCredential) -> AppCredential:
    """Count in a field, and keep a pair of tokens that can only be right together."""
    count = int(credential.renewed_at or 0) + 1
    return numbered(credential.app_id, count)


def numbered(app_id: str, count: int) -> AppCredential:
    return AppCredential(
        app_id,
        access_token=f"access-{count}",
        refresh_token=f"refresh-{count}",
        renewed_at=float(count),
    )


async def set_app(store: CredentialStore, credential: AppCredential) -> AppCredential:
    return await store.change_app(credential.app_id, lambda _: credential)


@pytest.mark.anyio
class StoreContract:
    """Subclasses provide `open_store`."""

    async def test_of_what_was_never_kept_there_is_an_empty_credential(
        self, open_store: OpenStore
    ) -> None:
        store = open_store()
        assert await store.app(APP) == AppCredential(APP)
        assert await store.apps() == ()
        assert await store.tp() == TpCredential()

    async def test_every_field_is_kept_and_other_processes_see_it(
        self, open_store: OpenStore
    ) -> None:
        store, other = open_store(), open_store()
        assert await set_app(store, FULL) == FULL
        assert await store.change_tp(lambda _: FULL_TP) == FULL_TP
        for reader in (store, other, open_store()):
            assert await reader.app(APP) == FULL
            assert await reader.apps() == (FULL,)
            assert await reader.tp() == FULL_TP

    async def test_a_change_is_given_the_newest_state_also_of_another_process(
        self, open_store: OpenStore
    ) -> None:
        store, other = open_store(), open_store()
        await set_app(store, FULL)
        seen: list[AppCredential] = []

        def look(credential: AppCredential) -> AppCredential:
            seen.append(credential)
            return replace(credential, intent=None)

        await other.change_app(APP, look)
        assert seen == [FULL]
        assert await store.app(APP) == replace(FULL, intent=None)

    async def test_a_change_that_raises_changes_nothing_and_fails_alone(
        self, open_store: OpenStore
    ) -> None:
        store = open_store()
        await set_app(store, FULL)

        def fail(credential: AppCredential) -> AppCredential:
            raise LookupError(credential.app_id)

        async def fails() -> None:
            with pytest.raises(LookupError):
                await store.change_app(APP, fail)

        async with anyio.create_task_group() as tasks:
            for nth in range(10):
                tasks.start_soon(store.change_app, f"2{nth}", count_up)
                tasks.start_soon(fails)
        assert await store.app(APP) == FULL
        assert [app.renewed_at for app in await store.apps()] == [FULL.renewed_at] + [1.0] * 10

    async def test_of_many_changes_at_once_none_is_lost(self, open_store: OpenStore) -> None:
        stores = [open_store(), open_store()]
        async with anyio.create_task_group() as tasks:
            for store in stores:
                for _ in range(20):
                    tasks.start_soon(store.change_app, APP, count_up)
                    tasks.start_soon(store.change_app, OTHER, count_up)
        for store in stores:
            assert await store.apps() == (numbered(APP, 40), numbered(OTHER, 40))

    async def test_a_removed_app_is_forgotten(self, open_store: OpenStore) -> None:
        store, other = open_store(), open_store()
        await set_app(store, FULL)
        assert await other.remove_app(APP)
        assert not await store.remove_app(APP)
        assert await store.app(APP) == AppCredential(APP)
        assert await store.apps() == ()

    async def test_an_app_that_becomes_empty_is_not_kept(self, open_store: OpenStore) -> None:
        store = open_store()
        await set_app(store, FULL)
        await set_app(store, AppCredential(APP))
        assert await store.apps() == ()
        assert not await store.remove_app(APP)
        await store.change_tp(lambda _: FULL_TP)
        await store.change_tp(lambda _: TpCredential())
        assert await store.tp() == TpCredential()

    async def test_apps_come_by_id_and_apart_from_the_platform(self, open_store: OpenStore) -> None:
        store = open_store()
        ids = ("9", "10", "tp", "app:", "~", "store", "ü")
        for app_id in ids:
            await store.change_app(app_id, count_up)
        await store.change_tp(lambda _: FULL_TP)
        assert [app.app_id for app in await store.apps()] == sorted(ids)
        assert await store.tp() == FULL_TP

    async def test_any_text_comes_back_as_it_was(self, open_store: OpenStore) -> None:
        store = open_store()
        for text in ODD_TEXTS:
            odd = replace(FULL, app_id=f"1{text}", access_token=text, code=text)
            await set_app(store, odd)
            assert await store.app(odd.app_id) == odd
        assert len(await store.apps()) == len(ODD_TEXTS)
        for text in ODD_TEXTS:
            assert await store.remove_app(f"1{text}")

    async def test_a_cancelled_change_is_kept_whole_or_not_at_all(
        self, open_store: OpenStore
    ) -> None:
        store = open_store()
        await store.change_app(APP, count_up)
        for _ in range(10):
            before = await store.app(APP)
            with anyio.CancelScope() as scope:
                scope.cancel()
                await store.change_app(APP, count_up)
            assert await store.app(APP) in (before, count_up(before))

    async def test_each_process_has_a_name_that_lives_as_long_as_it(
        self, open_store: OpenStore
    ) -> None:
        store, other = open_store(), open_store()
        assert store.holder != other.holder
        for looker in (store, other):
            assert looker.is_alive(store.holder)
            assert looker.is_alive(other.holder)
        other.close()
        assert not store.is_alive(other.holder)
        assert store.is_alive(store.holder)
        assert not store.is_alive("0123456789abcdef0123456789abcdef")

    async def test_after_the_end_every_call_fails(self, open_store: OpenStore) -> None:
        store, other = open_store(), open_store()
        await set_app(store, FULL)
        store.close()
        for call in (
            lambda: store.app(APP),
            store.apps,
            store.tp,
            lambda: store.change_app(APP, count_up),
            lambda: store.remove_app(APP),
            lambda: store.change_tp(lambda tp: tp),
        ):
            with pytest.raises(StateUnusable):
                await call()
        assert await other.app(APP) == FULL


@dataclass
class HandClock:
    """A `WallClock` that stands still until it is set."""

    at: float = START

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)


OpenLog = Callable[[], NoticeLog]


def push(key: str, **fields: str) -> Push:
    return Push(key, notice=Notice(**{"app_id": APP, "event": "PACKAGE_AUDIT_PASS"} | fields))


def ticket(key: str) -> Push:
    return Push(key, ticket=Ticket("planted-ticket", START))


async def everything(log: NoticeLog) -> list[tuple[str, float]]:
    return [(logged.notice.reason, logged.received_at) for logged in await log.since(0)]


@pytest.mark.anyio
class NoticeLogContract:
    """Subclasses provide `open_log` and `clock`; logs are kept for 1,000 s."""

    async def test_an_empty_log_knows_nothing(self, open_log: OpenLog) -> None:
        log = open_log()
        assert await log.end() == 0
        assert await log.since(0) == ()
        assert not await log.knows("a")
        assert await log.append([]) == 0

    async def test_notices_come_back_in_order_with_their_time(
        self, open_log: OpenLog, clock: HandClock
    ) -> None:
        log, other = open_log(), open_log()
        whole = {
            "event_time": "2026-11-24 12:45:10",
            "package_id": "529394",
            "package_version": "0.2.2",
        }
        assert await log.append([push("a"), push("b", reason="名称", **whole)]) == 2
        clock.at += 1.5
        assert await other.append([push("c", app_id=OTHER)]) == 1
        first, second, third = await log.since(0)
        assert first.position < second.position < third.position
        assert third.position == await other.end()
        assert second == LoggedNotice(
            second.position,
            START,
            Notice(APP, "PACKAGE_AUDIT_PASS", reason="名称", **whole),
        )
        assert third == LoggedNotice(
            third.position, START + 1.5, Notice(OTHER, "PACKAGE_AUDIT_PASS")
        )
        assert await other.since(first.position) == (second, third)
        assert await other.since(third.position) == ()

    async def test_a_key_is_kept_once(self, open_log: OpenLog) -> None:
        log, other = open_log(), open_log()
        assert await log.append([push("a"), push("a"), push("b")]) == 2
        assert await other.append([push("b"), push("c"), push("a")]) == 1
        assert await other.knows("b")
        assert not await other.knows("B")
        assert len(await log.since(0)) == 3

    async def test_of_the_same_push_many_times_at_once_one_is_new(self, open_log: OpenLog) -> None:
        logs = [open_log(), open_log()]
        counts: list[int] = []

        async def append(log: NoticeLog, nth: int) -> None:
            counts.append(await log.append([push("same"), push(f"own-{nth}")]))

        async with anyio.create_task_group() as tasks:
            for nth in range(20):
                tasks.start_soon(append, logs[nth % 2], nth)
        assert sorted(counts) == [1] * 19 + [2]
        assert len(await logs[0].since(0)) == 21

    async def test_of_a_ticket_only_the_key_is_kept(self, open_log: OpenLog) -> None:
        log = open_log()
        assert await log.append([ticket("t")]) == 1
        assert await log.append([ticket("t")]) == 0
        assert await log.knows("t")
        assert await log.since(0) == ()
        await log.append([push("a")])
        (logged,) = await log.since(0)
        assert logged.position == await log.end()

    async def test_of_a_code_nothing_is_kept(self, open_log: OpenLog) -> None:
        log = open_log()
        code = AuthorizationCode(APP, "planted-code", 60.0)
        await log.append([Push("a", notice=Notice(APP, "AUTHORIZED"), code=code)])
        assert [logged.notice for logged in await log.since(0)] == [Notice(APP, "AUTHORIZED")]

    async def test_what_is_too_old_is_dropped_and_positions_grow_on(
        self, open_log: OpenLog, clock: HandClock
    ) -> None:
        log = open_log()
        await log.append([push("a"), ticket("t")])
        end = await log.end()
        clock.at += 1001
        await log.append([push(f"n{nth}") for nth in range(251)])
        assert not await log.knows("a")
        assert not await log.knows("t")
        assert await log.append([push("a")]) == 1
        positions = [logged.position for logged in await log.since(0)]
        assert positions == sorted(set(positions))
        assert end < positions[0]

    async def test_any_text_comes_back_as_it_was(self, open_log: OpenLog) -> None:
        log = open_log()
        for text in ODD_TEXTS:
            assert await log.append([push(f"key{text}", app_id=text, event=text, reason=text)]) == 1
            assert await log.knows(f"key{text}")
            logged = (await log.since(0))[-1]
            assert logged.notice == Notice(text, text, reason=text)

    @pytest.mark.slow
    async def test_an_answer_is_bounded_and_goes_on_where_it_ended(self, open_log: OpenLog) -> None:
        log = open_log()
        assert await log.append([push(f"{nth}") for nth in range(10_005)]) == 10_005
        first = await log.since(0)
        rest = await log.since(first[-1].position)
        assert (len(first), len(rest)) == (10_000, 5)

    async def test_processes_share_when_a_source_last_spoke(self, open_log: OpenLog) -> None:
        log, other = open_log(), open_log()
        assert await log.last_alive("pushes") is None
        await log.note_alive("pushes", START)
        await log.note_alive("list", START + 7)
        assert await other.last_alive("pushes") == START
        await other.note_alive("pushes", START + 60)
        assert await log.last_alive("pushes") == START + 60
        assert await log.last_alive("list") == START + 7

    async def test_a_time_of_a_clock_that_was_wrong_is_forgotten(self, open_log: OpenLog) -> None:
        log = open_log()
        await log.note_alive("pushes", START + 86400)
        await log.note_alive("pushes", START)
        assert await log.last_alive("pushes") == START

    async def test_one_of_all_processes_gets_the_turn(self, open_log: OpenLog) -> None:
        logs = [open_log(), open_log()]
        for now in (START, START + 60):
            turns: list[bool] = []

            async def ask(log: NoticeLog, now: float, turns: list[bool]) -> None:
                turns.append(await log.take_turn("list", now, 60.0))

            async with anyio.create_task_group() as tasks:
                for nth in range(10):
                    tasks.start_soon(ask, logs[nth % 2], now + nth * 0.01, turns)
            assert sorted(turns) == [False] * 9 + [True]
        assert await logs[0].take_turn("other", START, 60.0)

    async def test_a_turn_far_in_the_future_is_void(self, open_log: OpenLog) -> None:
        log = open_log()
        assert await log.take_turn("list", START + 3600, 60.0)
        assert await log.take_turn("list", START, 60.0)
        assert not await log.take_turn("list", START + 59, 60.0)

    async def test_processes_share_how_far_something_was_read(self, open_log: OpenLog) -> None:
        log, other = open_log(), open_log()
        assert await log.cursor("list") is None
        await log.set_cursor("list", START)
        await other.set_cursor("list", START - 5)
        assert await log.cursor("list") == START - 5
        assert await log.cursor("another") is None
