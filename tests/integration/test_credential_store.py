"""The credentials on a real disk: the contract, sealing, several processes, a disk that fails."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import anyio
import pytest

from fleetdeploy.core.credentials import AppCredential
from fleetdeploy.errors import FleetError, SettingsInvalid, StateUnusable
from fleetdeploy.storage.credential_store import FILE_NAME, SqliteStore
from fleetdeploy.storage.holders import CLEARED_MAX, Holders
from fleetdeploy.storage.sealing import Sealer, new_key
from tests.contract.store_contract import (
    APP,
    FULL,
    FULL_TP,
    OTHER,
    PLANTED,
    OpenStore,
    StoreContract,
    count_up,
    numbered,
    set_app,
)

ROOT = Path(__file__).resolve().parents[2]
KEY, OTHER_KEY = new_key(), new_key()


@pytest.fixture
def anyio_backend() -> str:
    """Real files and threads need the real loop."""
    return "asyncio"


def sealer(*keys: str) -> Sealer:
    return Sealer.from_text("\n".join(keys or (KEY,)))


@pytest.fixture
def opened() -> Iterator[Callable[[SqliteStore], SqliteStore]]:
    """Close at the end what is handed to it."""
    stores: list[SqliteStore] = []

    def keep(store: SqliteStore) -> SqliteStore:
        stores.append(store)
        return store

    yield keep
    for store in stores:
        store.close()


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "sealed"])
class TestSqliteStore(StoreContract):
    @pytest.fixture
    def open_store(
        self, tmp_path: Path, key: str | None, opened: Callable[[SqliteStore], SqliteStore]
    ) -> OpenStore:
        lock = Sealer.from_text(key) if key else None
        return lambda: opened(SqliteStore.open(tmp_path / "state", lock))


def run_python(code: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(  # noqa: S603 - our own code
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


async def fill(store: SqliteStore) -> None:
    await set_app(store, FULL)
    await store.change_tp(lambda _: FULL_TP)
    for nth in range(50):
        await set_app(store, replace(FULL, app_id=f"2{nth}"))


def bytes_on_disk(state_dir: Path) -> bytes:
    """Read all files, in another process: a close here would let go of this process's locks."""
    files = sorted(str(path) for path in state_dir.glob(f"{FILE_NAME}*"))
    command = ["cat", *files]
    return subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603 - cat


def planted_in(data: bytes) -> list[str]:
    return [secret for secret in PLANTED if secret.encode() in data]


# Many at once.


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_thousand_changes_at_once_share_a_few_commits(tmp_path: Path) -> None:
    with SqliteStore.open(tmp_path, None) as store:
        async with anyio.create_task_group() as tasks:
            for nth in range(1000):
                tasks.start_soon(store.change_app, str(nth), count_up)
        statistics = store.statistics()
        assert statistics.changes == 1000
        assert statistics.commits <= 5
        assert len(await store.apps()) == 1000


COUNTING = """
import sys
from pathlib import Path
import anyio
from fleetdeploy.storage.credential_store import SqliteStore
from tests.contract.store_contract import APP, OTHER, count_up

async def main():
    with SqliteStore.open(Path(sys.argv[1]), None) as store:
        for _ in range(int(sys.argv[2])):
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(store.change_app, APP, count_up)
                    tasks.start_soon(store.change_app, OTHER, count_up)

anyio.run(main)
"""


@pytest.mark.anyio
@pytest.mark.slow
async def test_processes_that_change_at_once_lose_nothing(tmp_path: Path) -> None:
    """They also create the file at once."""
    command = [sys.executable, "-c", COUNTING, str(tmp_path / "state"), "40"]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]  # noqa: ASYNC220, S603 - our own code
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    with SqliteStore.open(tmp_path / "state", None) as store:
        assert await store.apps() == (numbered(APP, 600), numbered(OTHER, 600))


@pytest.mark.anyio
async def test_a_bug_in_one_change_reaches_its_caller_and_no_other(tmp_path: Path) -> None:
    with SqliteStore.open(tmp_path, None) as store:

        async def wrong() -> None:
            with pytest.raises(AssertionError):
                await store.change_app(APP, lambda _: AppCredential(OTHER))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wrong)
            tasks.start_soon(store.change_app, OTHER, count_up)
            tasks.start_soon(wrong)
        assert await store.apps() == (numbered(OTHER, 1),)
        assert store.statistics().changes == 1


# Sealed, and not.


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_sealed_store_shows_no_secret(tmp_path: Path) -> None:
    with SqliteStore.open(tmp_path, sealer()) as store:
        await fill(store)
        assert planted_in(bytes_on_disk(tmp_path)) == []
    data = bytes_on_disk(tmp_path)
    assert planted_in(data) == []
    assert APP.encode() in data


@pytest.mark.anyio
async def test_what_lay_open_is_sealed_and_gone_from_every_byte(tmp_path: Path) -> None:
    with SqliteStore.open(tmp_path, None) as store:
        await fill(store)
        await store.remove_app("20")
        assert planted_in(bytes_on_disk(tmp_path)) == list(PLANTED)
    with SqliteStore.open(tmp_path, sealer()) as store:
        assert planted_in(bytes_on_disk(tmp_path)) == []
        assert await store.app(APP) == FULL
        assert await store.tp() == FULL_TP
        assert len(await store.apps()) == 50
    assert planted_in(bytes_on_disk(tmp_path)) == []


@pytest.mark.anyio
async def test_sealing_goes_on_where_a_process_was_killed_before_the_old_text_was_gone(
    tmp_path: Path,
) -> None:
    with SqliteStore.open(tmp_path, None) as store:
        await fill(store)
    with SqliteStore.open(tmp_path, sealer()), editing(tmp_path) as connection:
        connection.execute("INSERT INTO marks VALUES ('scrub', 'due')")
        connection.execute("CREATE TABLE old AS SELECT 'planted-access' AS text")
        connection.execute("DROP TABLE old")
    with SqliteStore.open(tmp_path, sealer()):
        assert planted_in(bytes_on_disk(tmp_path)) == []
    with editing(tmp_path) as connection:
        assert connection.execute("SELECT name FROM marks").fetchall() == [("sealed",)]


@contextmanager
def editing(state_dir: Path) -> Iterator[sqlite3.Connection]:
    """Let somebody else write the file."""
    with closing(sqlite3.connect(state_dir / FILE_NAME, isolation_level=None)) as connection:
        yield connection


@pytest.mark.parametrize(
    ("key", "message"),
    [(None, "are sealed, and there is no key"), (OTHER_KEY, "the key does not open")],
    ids=["none", "other"],
)
def test_a_sealed_store_without_its_key_is_refused_even_if_empty(
    tmp_path: Path, key: str | None, message: str
) -> None:
    SqliteStore.open(tmp_path, sealer()).close()
    with pytest.raises(SettingsInvalid, match=message) as caught:
        SqliteStore.open(tmp_path, Sealer.from_text(key) if key else None)
    assert "key" in caught.value.hint
    assert not any(secret in repr(caught.value) for secret in (KEY, OTHER_KEY))


@pytest.mark.anyio
async def test_another_key_is_taken_up_by_sealing_anew(tmp_path: Path) -> None:
    with SqliteStore.open(tmp_path, sealer(KEY)) as store:
        await fill(store)
    with SqliteStore.open(tmp_path, sealer(OTHER_KEY, KEY)) as store:
        await set_app(store, numbered(OTHER, 1))
        assert await store.app(APP) == FULL
        assert await store.reseal() == 53
    with SqliteStore.open(tmp_path, sealer(OTHER_KEY)) as store:
        assert await store.app(APP) == FULL
        assert await store.app(OTHER) == numbered(OTHER, 1)
    with pytest.raises(SettingsInvalid):
        SqliteStore.open(tmp_path, sealer(KEY))


@pytest.mark.anyio
async def test_a_store_is_unsealed_only_when_asked_for(tmp_path: Path) -> None:
    with SqliteStore.open(tmp_path, sealer()) as store:
        await fill(store)
    with pytest.raises(SettingsInvalid, match="without a key"):
        SqliteStore.open(tmp_path, None, plain=True)
    for _ in range(2):
        with SqliteStore.open(tmp_path, sealer(), plain=True) as store:
            assert await store.app(APP) == FULL
    with SqliteStore.open(tmp_path, None) as store:
        assert await store.app(APP) == FULL
        assert await store.tp() == FULL_TP


@pytest.mark.anyio
async def test_processes_notice_when_another_seals_or_unseals(tmp_path: Path) -> None:
    """Else one would write in the clear into a store that is sealed."""
    with SqliteStore.open(tmp_path, None) as plain:
        with SqliteStore.open(tmp_path, sealer()) as sealing:
            with pytest.raises(SettingsInvalid, match="are sealed"):
                await plain.change_app(APP, count_up)
            with pytest.raises(SettingsInvalid, match="are sealed"):
                await plain.apps()
            await sealing.change_app(APP, count_up)
            SqliteStore.open(tmp_path, sealer(), plain=True).close()
            with pytest.raises(SettingsInvalid, match="not sealed any more"):
                await sealing.change_app(APP, count_up)
        assert await plain.apps() == (numbered(APP, 1),)


@pytest.mark.anyio
async def test_what_is_sealed_is_never_sealed_twice(tmp_path: Path) -> None:
    with SqliteStore.open(tmp_path, sealer()) as store:
        await set_app(store, FULL)
    with editing(tmp_path) as connection:
        (mark,) = connection.execute("SELECT value FROM marks").fetchone()
        connection.execute("DELETE FROM marks")
    with pytest.raises(StateUnusable, match=f"app {APP}"):
        SqliteStore.open(tmp_path, sealer())
    with SqliteStore.open(tmp_path, None) as store, pytest.raises(StateUnusable):
        await store.app(APP)
    with editing(tmp_path) as connection:
        connection.execute("INSERT INTO marks VALUES ('sealed', ?)", (mark,))
    with SqliteStore.open(tmp_path, sealer()) as store:
        assert await store.app(APP) == FULL


@pytest.mark.anyio
async def test_a_row_cannot_be_passed_off_as_anothers(tmp_path: Path) -> None:
    with SqliteStore.open(tmp_path, sealer()) as store:
        await set_app(store, FULL)
        await set_app(store, numbered(OTHER, 1))
        with editing(tmp_path) as connection:
            connection.execute(
                "UPDATE credentials SET secrets = (SELECT secrets FROM credentials "
                "WHERE owner = CAST(? AS BLOB)) WHERE owner = CAST(? AS BLOB)",
                (f"app:{APP}", f"app:{OTHER}"),
            )
        with pytest.raises(StateUnusable, match=f"app {OTHER}"):
            await store.app(OTHER)
        with pytest.raises(StateUnusable, match=f"app {OTHER}"):
            await store.change_app(OTHER, count_up)
        assert await store.app(APP) == FULL
        assert await store.remove_app(OTHER)
        assert await store.apps() == (FULL,)


# Damage.


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("facts", b"{"),
        ("facts", b"[]"),
        ("facts", b"7"),
        ("facts", 7),
        ("facts", b'{"intent":{"kind":"planted-kind","holder":"h","at":1}}'),
        ("facts", b'{"app_id":"7"}'),
        ("facts", b"[" * 100_000),
        ("secrets", b'{"access_token":7}'),
        ("secrets", b"\xff\xfe"),
        ("secrets", b"null"),
        ("secrets", "planted-text \udcff".encode("utf-8", "surrogateescape")),
        ("secrets", 1.5),
    ],
)
async def test_a_row_that_is_damaged_is_named_and_not_quoted(
    tmp_path: Path, column: str, value: object
) -> None:
    with SqliteStore.open(tmp_path, None) as store:
        await set_app(store, FULL)
        await set_app(store, numbered(OTHER, 1))
        with editing(tmp_path) as connection:
            connection.execute(
                f"UPDATE credentials SET {column} = ? WHERE owner = CAST(? AS BLOB)",  # noqa: S608 - ours
                (value, f"app:{APP}"),
            )
        with pytest.raises(StateUnusable, match=f"app {APP}") as caught:
            await store.app(APP)
        assert "auth remove" in caught.value.hint
        error: BaseException | None = caught.value
        while error is not None:
            assert "planted" not in repr(error)
            error = error.__cause__ or error.__context__
        with pytest.raises(StateUnusable):
            await store.apps()
        assert await store.app(OTHER) == numbered(OTHER, 1)
        assert await store.remove_app(APP)
        assert await store.apps() == (numbered(OTHER, 1),)


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_file_that_is_damaged_anywhere_never_breaks_but_with_our_own_error(
    tmp_path: Path,
) -> None:
    with SqliteStore.open(tmp_path / "good", None) as store:
        await fill(store)
    good = (tmp_path / "good" / FILE_NAME).read_bytes()
    state_dir = tmp_path / "bad"
    state_dir.mkdir()
    refusals: list[FleetError] = []
    for offset in range(0, len(good), 499):
        bad = bytearray(good)
        bad[offset : offset + 20] = b"\xff" * 20
        (state_dir / FILE_NAME).write_bytes(bad)
        (state_dir / FILE_NAME).chmod(0o600)
        try:
            with SqliteStore.open(state_dir, None) as store:
                await store.apps()
                await store.change_app(APP, count_up)
        except FleetError as error:
            refusals.append(error)
    assert len(refusals) > 5
    assert not any("planted" in f"{error} {error.hint}" for error in refusals)


@pytest.mark.parametrize("contents", [b"not a database, but long enough to be one" * 30, b"{}"])
def test_a_file_of_something_else_says_what_to_do(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(contents)
    path.chmod(0o600)
    with pytest.raises(StateUnusable, match="is damaged") as caught:
        SqliteStore.open(tmp_path, None)
    assert "move it away" in caught.value.hint
    assert "come back from the platform" in caught.value.hint
    assert path.read_bytes() == contents


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    with editing(tmp_path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    (tmp_path / FILE_NAME).chmod(0o600)
    with pytest.raises(StateUnusable, match="something else"):
        SqliteStore.open(tmp_path, None)
    with editing(tmp_path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_a_newer_format_is_refused_in_plain_words(tmp_path: Path) -> None:
    SqliteStore.open(tmp_path, None).close()
    with editing(tmp_path) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(StateUnusable, match="has format 2") as caught:
        SqliteStore.open(tmp_path, None)
    assert "newer" in caught.value.hint


# The file and its place.


def test_all_files_are_for_this_user_only(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    with SqliteStore.open(state_dir, None):
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in state_dir.rglob("*")}
    files = {path: mode for path, mode in modes.items() if not path.is_dir()}
    assert len(files) == 4
    assert set(files.values()) == {0o600}
    assert set(modes.values()) == {0o600, 0o700}
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644])
def test_a_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    SqliteStore.open(tmp_path, None).close()
    path = tmp_path / FILE_NAME
    path.chmod(mode)
    with pytest.raises(SettingsInvalid, match=f"mode {mode:04o}") as caught:
        SqliteStore.open(tmp_path, None)
    assert caught.value.hint == f"type: chmod 600 {path}"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(SettingsInvalid, match="not a regular file"):
        SqliteStore.open(tmp_path, None)
    (tmp_path / FILE_NAME).rmdir()
    os.mkfifo(tmp_path / FILE_NAME, 0o600)
    with pytest.raises(SettingsInvalid, match="not a regular file"):
        SqliteStore.open(tmp_path, None)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["with space", "100%", "quest?mode=ro", "hash#", "名"])
async def test_any_name_of_a_directory_will_do(tmp_path: Path, name: str) -> None:
    with SqliteStore.open(tmp_path / name, None) as store:
        await set_app(store, FULL)
    assert (tmp_path / name / FILE_NAME).is_file()


@pytest.mark.anyio
async def test_a_file_that_is_moved_away_is_not_written_any_more(tmp_path: Path) -> None:
    with SqliteStore.open(tmp_path, None) as store:
        await set_app(store, FULL)
        (tmp_path / FILE_NAME).rename(tmp_path / "away")
        with pytest.raises(StateUnusable, match="moved or replaced"):
            await store.change_app(APP, count_up)
        with pytest.raises(StateUnusable, match="moved or replaced"):
            await store.app(APP)


# A disk that fails.


def test_where_no_directory_can_be_there_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StateUnusable, match="cannot create"):
        SqliteStore.open(tmp_path / "file" / "state", None)


FILLING = """
import resource, sys
from pathlib import Path
import anyio
from fleetdeploy.errors import StateUnusable
from fleetdeploy.storage.credential_store import SqliteStore
from tests.contract.store_contract import APP, count_up

async def main():
    with SqliteStore.open(Path(sys.argv[1]), None) as store:
        limit = (int(sys.argv[2]), resource.RLIM_INFINITY)
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        for count in range(10_000):
            try:
                await store.change_app(APP, count_up)
            except StateUnusable as error:
                print(count, error, flush=True)
                break
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        await store.change_app(APP, count_up)

anyio.run(main)
"""


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.parametrize("room", [50_000, 50_001, 52_000, 100_000])
async def test_a_full_disk_keeps_what_was_told_and_goes_on_when_there_is_room(
    tmp_path: Path, room: int
) -> None:
    done = run_python(FILLING, tmp_path, room)
    assert (done.returncode, done.stderr) == (0, "")
    told, _, message = done.stdout.strip().partition(" ")
    assert message.startswith(f"cannot write {tmp_path / FILE_NAME}: ")
    with SqliteStore.open(tmp_path, None) as store:
        assert await store.apps() == (numbered(APP, int(told) + 1),)


READ_ONLY = """
import os, sys
from pathlib import Path
from fleetdeploy.errors import StateUnusable
from fleetdeploy.storage.credential_store import SqliteStore

os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setuid(65534)
try:
    SqliteStore.open(Path("."), None)
except StateUnusable as error:
    print(error, error.hint)
"""


@pytest.mark.slow
def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    tmp_path.chmod(0o555)
    done = run_python(READ_ONLY, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"cannot create {FILE_NAME}: Permission denied")
    assert "FLEETDEPLOY_STATE_DIR" in done.stdout


@pytest.mark.anyio
async def test_a_commit_that_fails_fails_every_change_in_it(tmp_path: Path) -> None:
    with SqliteStore.open(tmp_path, None) as store:
        await set_app(store, FULL)
        store._database._connection.execute("PRAGMA query_only = ON")
        failures: list[StateUnusable] = []

        async def change() -> None:
            with pytest.raises(StateUnusable, match="Read-only file system") as caught:
                await store.change_app(APP, count_up)
            failures.append(caught.value)

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(change)
        assert len({id(failure) for failure in failures}) == 5
        assert store.statistics().changes == 1
        store._database._connection.execute("PRAGMA query_only = OFF")
        await store.change_app(APP, count_up)
        assert store.statistics() == (2, 2)


# Names of processes.


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../credentials.db", "a/b", "a" * 65, "a" * 7, "A" * 16, "a" * 8 + "\0"]
)
def test_a_name_that_is_none_of_ours_is_dead(tmp_path: Path, name: str) -> None:
    with closing(Holders.open(tmp_path)) as holders:
        assert not holders.is_alive(name)


def test_a_link_is_not_followed_by_a_look_at_a_name(tmp_path: Path) -> None:
    with closing(Holders.open(tmp_path)) as holders:
        (tmp_path / "holders" / "linkedname").symlink_to(tmp_path)
        with pytest.raises(StateUnusable):
            holders.is_alive("linkedname")


def test_what_the_dead_left_is_cleared_away_and_nothing_else(tmp_path: Path) -> None:
    with closing(Holders.open(tmp_path)) as living:
        folder = tmp_path / "holders"
        for name in ("deadprocess1", "deadprocess2", "README.txt"):
            (folder / name).write_bytes(b"")
        with closing(Holders.open(tmp_path)) as later:
            left = {path.name for path in folder.iterdir()}
            assert left == {living.name, later.name, "README.txt"}
            assert not later.is_alive("deadprocess1")
    assert {path.name for path in folder.iterdir()} == {"README.txt"}


@pytest.mark.slow
def test_a_start_clears_away_a_bounded_number(tmp_path: Path) -> None:
    folder = tmp_path / "holders"
    folder.mkdir()
    for nth in range(CLEARED_MAX + 5):
        (folder / f"deadprocess{nth}").write_bytes(b"")
    with closing(Holders.open(tmp_path)):
        assert len(list(folder.iterdir())) == 6


@pytest.mark.slow
def test_processes_that_start_and_end_at_once_never_clear_away_the_living(tmp_path: Path) -> None:
    def start_look_and_end(_: int) -> bool:
        with closing(Holders.open(tmp_path)) as mine, closing(Holders.open(tmp_path)) as other:
            return mine.is_alive(other.name) and other.is_alive(mine.name)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(start_look_and_end, range(1000)))
    assert list((tmp_path / "holders").iterdir()) == []


def test_a_name_that_was_had_before_is_never_taken(tmp_path: Path) -> None:
    names = (f"process{nth:08}" for nth in count())
    with closing(Holders.open(tmp_path, lambda: next(names))) as first:
        assert first.name == "process00000000"
        with pytest.raises(StateUnusable):
            Holders.open(tmp_path, lambda: first.name)
        assert first.is_alive(first.name)


LIVING = """
import sys
from pathlib import Path
from fleetdeploy.storage.credential_store import SqliteStore

store = SqliteStore.open(Path(sys.argv[1]), None)
print(store.holder, flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_another_process_lives_until_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIVING, str(tmp_path)]
    with (
        SqliteStore.open(tmp_path, None) as store,
        subprocess.Popen(  # noqa: S603 - our own code
            command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process,
    ):
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert store.is_alive(name)
        process.kill()
        process.wait()
        assert not store.is_alive(name)
