"""From pushes to hints: kept once, on disk first, followed by whoever waits, on virtual time."""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio
import pytest

from fleetdeploy.core.credentials import AppCredential, awaits_consent, has_code
from fleetdeploy.errors import NotSent, PlatformError, PushRefused, RequestRefused, StateUnusable
from fleetdeploy.model import AuthorizationCode, Notice, Push, Ticket
from fleetdeploy.notices.feed import (
    LIST_ALIVE_S,
    PUSHES_ALIVE_S,
    QUIET_LISTED_S,
    QUIET_PUSHED_S,
    LogFeed,
)
from fleetdeploy.notices.inbox import LISTED, PUSHED, Inbox
from fleetdeploy.notices.listing import (
    EVERY_MAX_S,
    EVERY_S,
    FIRST_BACK_S,
    OVERLAP_S,
    PAGES_MAX,
    ListReader,
)
from fleetdeploy.ports import PushPage, PushWindow
from fleetdeploy.storage.memory_store import MemoryDisk, MemoryNoticeLog, MemoryStore
from tests.unit.auth_builders import APP, Wall, office
from tests.unit.auth_builders import Desk as AuthorityDesk

pytestmark = pytest.mark.anyio

PASSED = Notice(APP, "PACKAGE_AUDIT_PASS", "2026-11-24 12:00:00")
CODE = AuthorizationCode(APP, "code", 60.0)


def push(key: str, event: str = PASSED.event) -> Push:
    return Push(key, notice=Notice(APP, event))


@dataclass
class Post:
    """An inbox with what stands behind it in reach."""

    disk: MemoryDisk = field(default_factory=MemoryDisk)
    wall: Wall = field(default_factory=Wall)
    codes: list[str] = field(default_factory=list)
    nudges: int = 0

    def __post_init__(self) -> None:
        self.log = MemoryNoticeLog(self.wall)
        self.store = MemoryStore(self.disk, f"post {len(self.disk.used)}")
        self.inbox = self.made()

    def made(self) -> Inbox:
        return Inbox(
            self.store, self.log, self.wall, on_code=self.codes.append, on_notice=self.nudge
        )

    def nudge(self) -> None:
        self.nudges += 1

    async def notices(self) -> list[Notice]:
        return [logged.notice for logged in await self.log.since(0)]

    def kept(self) -> AppCredential:
        return self.disk.apps.get(APP, AppCredential(APP))


# The inbox.


async def test_a_ticket_that_says_it_is_from_the_future_does_not_shut_out_the_next_one() -> None:
    """It may come from the list of pushes, where no envelope says when it was sent."""
    post = Post()
    await post.inbox.take(Push("a", ticket=Ticket("forged", 1e15)))
    post.wall.offset_s += 600.0
    await post.inbox.take(Push("b", ticket=Ticket("next", post.wall.unix())))
    assert post.disk.tp.ticket == "next"


async def test_a_notice_is_in_the_log_when_it_was_taken_and_only_once() -> None:
    post = Post()
    for _ in range(3):
        await post.inbox.take_pushed(Push("a", notice=PASSED))
    assert await post.notices() == [PASSED]
    assert post.nudges == 1


async def test_tickets_go_to_the_store_the_newest_stays_and_none_is_a_notice() -> None:
    post = Post()
    for key, text, at in (("b", "new", 200.0), ("a", "old", 100.0), ("b", "new", 200.0)):
        await post.inbox.take_pushed(Push(key, ticket=Ticket(text, at)))
    assert post.disk.tp.ticket == "new"
    assert await post.notices() == []


async def test_a_code_is_in_the_store_before_anybody_is_told_to_exchange_it() -> None:
    post = Post()
    notice = Notice(APP, "AUTHORIZED")
    await post.inbox.take_pushed(Push("a", notice=notice, code=CODE))
    assert post.codes == [APP]
    assert post.kept().code == "code"
    assert await post.notices() == [notice]


async def test_a_code_that_comes_again_is_not_taken_again() -> None:
    """It may be spent by now; taking it again would spend a rotation on it."""
    post = Post()
    push = Push("a", notice=Notice(APP, "AUTHORIZED"), code=CODE)
    await post.inbox.take_pushed(push)
    await post.store.change_app(APP, lambda known: AppCredential(known.app_id, access_token="t"))
    await post.inbox.take_pushed(push)
    assert post.codes == [APP]
    assert not has_code(post.kept(), 0.0)


async def test_a_code_that_was_sent_before_the_log_knew_of_it_is_not_sent_again() -> None:
    """Killed in between, the receiver did not say `success`: the platform pushes it once more."""

    class Killed(MemoryNoticeLog):
        async def append(self, pushes: Sequence[Push]) -> int:
            raise StateUnusable(f"killed at {len(pushes)} push")

    post, desk = Post(), AuthorityDesk()
    code = AuthorizationCode(APP, desk.hand_out(APP), 60.0)
    push = Push("a", notice=Notice(APP, "AUTHORIZED"), code=code)
    whole, post.log = post.log, Killed(post.wall)
    with pytest.raises(StateUnusable):
        await post.made().take_pushed(push)
    post.log = whole
    async with office(desk, post.disk) as at:
        await at.credentials.keeper.renew(APP)
        await post.made().take_pushed(push)
        at.credentials.keeper.exchange(APP)
        await at.credentials.keeper.land()
        assert at.kept().code == ""
    assert desk.again == []


async def test_a_withdrawal_is_marked_and_not_yet_believed() -> None:
    post = Post()
    await post.inbox.take_pushed(push("a", "UNAUTHORIZED"))
    assert post.kept().consent is not None
    assert not awaits_consent(post.kept(), post.wall.unix())
    assert [notice.event for notice in await post.notices()] == ["UNAUTHORIZED"]


async def test_what_breaks_before_the_log_knows_is_completed_by_the_same_push_again() -> None:
    class Broken(MemoryNoticeLog):
        async def append(self, pushes: Sequence[Push]) -> int:
            raise StateUnusable(f"disk full at {len(pushes)} push")

    post = Post()
    whole, post.log = post.log, Broken(post.wall)
    given = Push("a", notice=Notice(APP, "AUTHORIZED"), code=CODE)
    with pytest.raises(StateUnusable):
        await post.made().take_pushed(given)
    assert post.codes == []
    assert await whole.last_alive(PUSHED) is None
    post.log = whole
    await post.made().take_pushed(given)
    assert post.codes == [APP]


# The feed.


@asynccontextmanager
async def following(post: Post, tail_s: float = 1.0) -> AsyncIterator[tuple[LogFeed, list[Notice]]]:
    feed = LogFeed(post.log, post.wall, await post.log.end(), tail_s=tail_s)
    heard: list[Notice] = []

    async def follow() -> None:
        while True:
            heard.extend(await feed.next())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        yield feed, heard
        tasks.cancel_scope.cancel()


async def test_a_feed_brings_what_comes_after_its_beginning() -> None:
    post = Post()
    await post.inbox.take(push("before"))
    async with following(post) as (_, heard):
        await anyio.sleep(5.0)
        assert heard == []
        for key in ("a", "b"):
            await post.inbox.take(push(key))
        await anyio.sleep(1.1)
        assert len(heard) == 2


async def test_a_nudge_brings_it_at_once() -> None:
    post = Post()
    async with following(post, tail_s=3600.0) as (feed, heard):
        await anyio.sleep(1.0)
        await post.inbox.take(push("a"))
        await anyio.sleep(1.0)
        assert heard == []
        feed.nudge()
        await anyio.sleep(0.01)
        assert len(heard) == 1


async def test_silence_is_believed_while_pushes_come_and_longer_while_the_list_is_read() -> None:
    post = Post()
    async with following(post) as (feed, _):
        await anyio.sleep(2.0)
        assert feed.quiet_s == 0.0
        await post.inbox.take_pushed(Push("a", ticket=Ticket("t", 1.0)))
        await anyio.sleep(2.0)
        assert feed.quiet_s == QUIET_PUSHED_S
        await post.log.note_alive(LISTED, post.wall.unix())
        await anyio.sleep(2.0)
        assert feed.quiet_s == QUIET_LISTED_S
        await anyio.sleep(LIST_ALIVE_S)
        assert feed.quiet_s == QUIET_PUSHED_S
        await anyio.sleep(PUSHES_ALIVE_S)
        assert feed.quiet_s == 0.0


async def test_a_receiver_that_has_just_begun_is_given_the_time_of_two_tickets() -> None:
    post = Post()
    async with following(post) as (feed, _):
        await post.inbox.begin_listening()
        await anyio.sleep(2.0)
        assert feed.quiet_s == QUIET_PUSHED_S
        await anyio.sleep(PUSHES_ALIVE_S)
        assert feed.quiet_s == 0.0
    assert await post.log.last_alive(PUSHED) is None


# The list of pushes.


class Listing(AuthorityDesk):
    """An authority with a list of pushes: rows with the unix second each appears at."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[float, str]] = []
        self.windows: list[PushWindow] = []
        self.fail: deque[PlatformError] = deque()

    async def pushes(self, tp_token: str, window: PushWindow) -> PushPage:
        self.windows.append(window)
        await self._enter("pushes", tp_token)
        if self.fail:
            raise self.fail.popleft()
        found = [row for at, row in self.rows if window.start <= at <= window.end]
        rows = tuple(found[window.offset : window.offset + window.count])
        return PushPage(tuple(filter(None, rows)), len(rows))


def opened(row: str) -> Push:
    if row.startswith("bad"):
        raise PushRefused("undecryptable")
    return push(row)


def reader_of(post: Post, listing: Listing) -> ListReader:
    listing.tp_tokens.add("tp")
    ask = partial(listing.pushes, "tp")
    return ListReader(ask, opened, post.inbox.take, post.log, post.wall, post.nudge)


async def test_the_list_is_read_page_by_page_from_a_day_back_and_then_with_overlap() -> None:
    post, listing = Post(), Listing()
    now = post.wall.unix()
    listing.rows = [(now - 100.0, f"row {number}") for number in range(250)]
    reader = reader_of(post, listing)
    await reader.read_in_turn()
    assert [window.offset for window in listing.windows] == [0, 100, 200]
    assert listing.windows[0].end - listing.windows[0].start == pytest.approx(FIRST_BACK_S, abs=1)
    assert len(await post.notices()) == 250
    await anyio.sleep(EVERY_S)
    await reader.read_in_turn()
    later = listing.windows[3:]
    assert [window.offset for window in later] == [0, 100, 200]
    assert later[0].start == pytest.approx(now - OVERLAP_S, abs=2)
    assert len(await post.notices()) == 250


async def test_a_row_that_cannot_be_opened_is_skipped() -> None:
    post, listing = Post(), Listing()
    listing.rows = [(post.wall.unix(), row) for row in ("bad 1", "good", "bad 2")]
    reader = reader_of(post, listing)
    await reader.read_in_turn()
    assert len(await post.notices()) == 1
    assert await post.log.last_alive(LISTED) is not None
    assert reader.problem == ""


async def test_rows_without_content_count_for_the_page_they_are_on() -> None:
    post, listing = Post(), Listing()
    now = post.wall.unix()
    listing.rows = [(now, "" if number < 60 else f"row {number}") for number in range(101)]
    await reader_of(post, listing).read_in_turn()
    assert [window.offset for window in listing.windows] == [0, 100]
    assert len(await post.notices()) == 41


async def test_a_list_of_which_nothing_can_be_opened_is_not_relied_on() -> None:
    post, listing = Post(), Listing()
    listing.rows = [(post.wall.unix(), "bad")]
    reader = reader_of(post, listing)
    await reader.read_in_turn()
    assert await post.log.last_alive(LISTED) is None
    assert "AES key" in reader.problem


async def test_rows_that_all_lack_their_content_are_no_silence() -> None:
    post, listing = Post(), Listing()
    listing.rows = [(post.wall.unix(), "")] * 3
    reader = reader_of(post, listing)
    await reader.read_in_turn()
    assert await post.log.last_alive(LISTED) is None
    assert reader.problem


async def test_what_is_too_much_for_one_reading_comes_with_the_next_ones() -> None:
    post, listing = Post(), Listing()
    began = post.wall.unix()
    rows = PAGES_MAX * PushWindow(0, 1).count + 250
    listing.rows = [(began - 7200.0, f"row {number}") for number in range(rows)]
    reader = reader_of(post, listing)
    await reader.read_in_turn()
    assert len(listing.windows) == PAGES_MAX
    assert await post.log.last_alive(LISTED) is None
    await anyio.sleep(EVERY_S)
    await reader.read_in_turn()
    assert len(listing.windows) == PAGES_MAX + 3
    assert await post.log.end() == rows
    assert await post.log.last_alive(LISTED) == pytest.approx(began, abs=1)
    await anyio.sleep(EVERY_S)
    await reader.read_in_turn()
    assert listing.windows[-1].start == pytest.approx(began - OVERLAP_S, abs=1)
    assert listing.windows[-1].end > began + EVERY_S


async def test_a_clock_that_was_ahead_hides_no_push() -> None:
    post, listing = Post(), Listing()
    reader = reader_of(post, listing)
    post.wall.offset_s = 3 * 3600.0
    await reader.read_in_turn()
    post.wall.offset_s = 0.0
    await anyio.sleep(3600.0)
    listing.rows = [(post.wall.unix() - 1800.0, "row")]
    await reader.read_in_turn()
    assert listing.windows[-1].start < listing.windows[-1].end
    await anyio.sleep(EVERY_S)
    await reader.read_in_turn()
    assert len(await post.notices()) == 1


async def test_an_empty_list_is_alive() -> None:
    post = Post()
    await reader_of(post, Listing()).read_in_turn()
    assert post.nudges == 1
    assert await post.log.last_alive(LISTED) == pytest.approx(post.wall.unix(), abs=1)


async def test_where_the_list_answers_with_an_error_it_is_tried_ever_more_rarely() -> None:
    post, listing = Post(), Listing()
    listing.fail.extend([RequestRefused("platform.no_permission", "no list here")] * 1000)
    reader = reader_of(post, listing)
    with anyio.move_on_after(6 * 3600.0):
        await reader.run()
    assert await post.log.last_alive(LISTED) is None
    assert reader.problem == "no list here"
    assert len(listing.windows) < 6 * 3600.0 / EVERY_MAX_S + 10


async def test_after_an_error_the_list_is_read_from_where_it_was_left() -> None:
    post, listing = Post(), Listing()
    reader = reader_of(post, listing)
    with anyio.move_on_after(10.0):
        await reader.run()
    began = post.wall.unix()
    listing.fail.extend([NotSent("transport.not_connected", "no connection")] * 3)
    listing.rows = [(began + 200.0, "row")]
    with anyio.move_on_after(2 * 3600.0):
        await reader.run()
    assert len(await post.notices()) == 1


async def test_several_processes_read_the_list_together_once_a_minute() -> None:
    post, listing = Post(), Listing()
    readers = [reader_of(post, listing) for _ in range(3)]
    with anyio.move_on_after(3600.0):
        async with anyio.create_task_group() as tasks:
            for reader in readers:
                tasks.start_soon(reader.run)
    assert 55 <= len(listing.windows) <= 70
