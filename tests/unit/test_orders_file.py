"""Orders on disk: written by anybody, whole or not at all, and read past whatever is damaged."""

import stat
import threading
from pathlib import Path

import anyio
import pytest

from fleetdeploy.core.orders import Order, OrderKind
from fleetdeploy.errors import StateUnusable
from fleetdeploy.storage.orders_file import MAX_BYTES, Given, OrdersFeed, OrdersFile
from tests.unit.journal_samples import START


def order(number: int) -> Order:
    return Order(id=f"{number:032x}", kind=OrderKind.PAUSE, at=START, who="ops", host="desk")


@pytest.fixture
def file(tmp_path: Path) -> OrdersFile:
    return OrdersFile(tmp_path / "orders.jsonl")


def add(file: OrdersFile, data: bytes) -> None:
    with file.path.open("ab") as opened:
        opened.write(data)


def test_orders_come_back_in_the_order_in_which_they_were_given(file: OrdersFile) -> None:
    assert file.read() == Given((), (), 0)
    file.append(order(1))
    first = file.read()
    file.append(order(2))
    assert first.orders == (order(1),)
    assert file.read().orders == (order(1), order(2))
    assert file.read(first.end).orders == (order(2),)
    assert file.read(first.end).end == file.size()


def test_the_file_is_for_this_user_only(file: OrdersFile) -> None:
    file.append(order(1))
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_a_line_without_its_end_is_left_until_it_has_one(file: OrdersFile) -> None:
    file.append(order(1))
    line = order(2).model_dump_json().encode()
    add(file, line[:20])
    torn = file.read()
    assert (torn.orders, torn.damaged) == ((order(1),), ())
    add(file, line[20:] + b"\n")
    assert file.read(torn.end).orders == (order(2),)


def test_what_a_killed_writer_left_torn_spoils_no_other_order(file: OrdersFile) -> None:
    file.append(order(1))
    add(file, b'{"id":"0')
    file.append(order(2))
    given = file.read()
    assert given.orders == (order(1), order(2))
    assert len(given.damaged) == 1


@pytest.mark.parametrize(
    "line", [b"{}", b"no json", b"\x00\xff\r", b"[]", b'{"kind":"stop"}', b"{" * 100_000]
)
def test_a_damaged_line_is_named_and_passed_over(file: OrdersFile, line: bytes) -> None:
    file.append(order(1))
    place = file.size()
    add(file, line + b"\n")
    file.append(order(2))
    given = file.read()
    assert given.orders == (order(1), order(2))
    (warning,) = given.warnings(file.path)
    assert f"at byte {place}:" in warning


def test_many_damaged_lines_are_one_warning(file: OrdersFile) -> None:
    add(file, b"x\n" * 1000)
    (warning,) = file.read().warnings(file.path)
    assert "and 999 lines more" in warning


def test_a_full_file_takes_no_more_and_what_lies_beyond_is_not_read(file: OrdersFile) -> None:
    file.append(order(1))
    add(file, b"\n" * (MAX_BYTES - file.size() - 10))
    with pytest.raises(StateUnusable, match="full"):
        file.append(order(2))
    add(file, b"\n" * 10 + order(3).model_dump_json().encode() + b"\n")
    given = file.read()
    assert given == Given((order(1),), (), MAX_BYTES)
    assert file.read(given.end) == Given((), (), MAX_BYTES)


def test_writers_at_once_lose_no_order(file: OrdersFile) -> None:
    def write(first: int) -> None:
        for number in range(first, first + 25):
            file.append(order(number))

    writers = [threading.Thread(target=write, args=(first,)) for first in (0, 100, 200, 300)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    given = file.read()
    assert given.damaged == ()
    expected = {order(first + place).id for first in (0, 100, 200, 300) for place in range(25)}
    assert {one.id for one in given.orders} == expected


def test_a_disk_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(StateUnusable, match="cannot write"):
        OrdersFile(tmp_path / "gone" / "orders.jsonl").append(order(1))


def test_a_link_is_not_followed_to_another_file(file: OrdersFile, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"")
    file.path.symlink_to(other)
    with pytest.raises(StateUnusable):
        file.append(order(1))
    assert other.read_bytes() == b""


@pytest.mark.anyio
async def test_a_feed_brings_what_there_is_and_then_what_is_added(file: OrdersFile) -> None:
    said: list[str] = []
    feed = OrdersFeed(file, said.append, poll_s=0.001)
    file.append(order(1))
    add(file, b"damaged\n")
    assert await feed.next() == (order(1),)
    with anyio.move_on_after(0.05) as waiting:
        await feed.next()
    assert waiting.cancelled_caught
    file.append(order(2))
    file.append(order(3))
    assert await feed.next() == (order(2), order(3))
    assert len(said) == 1


@pytest.mark.anyio
async def test_a_feed_outlives_a_disk_that_fails_for_a_while(tmp_path: Path) -> None:
    path = tmp_path / "orders.jsonl"
    path.mkdir()
    feed = OrdersFeed(OrdersFile(path), lambda _: None, poll_s=0.001)
    with anyio.move_on_after(0.05):
        await feed.next()
    path.rmdir()
    OrdersFile(path).append(order(1))
    assert await feed.next() == (order(1),)
