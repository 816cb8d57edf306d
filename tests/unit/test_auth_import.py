"""What bringing and forgetting does to what is kept: nothing is lost, nothing spent returns."""

from collections import Counter
from dataclasses import replace

import pytest

from fleetdeploy.cli.auth_keeping import Fate, fate_of, import_all, remove_app
from fleetdeploy.core.credentials import AppCredential, Intent, Rotation, choose
from fleetdeploy.errors import UsageInvalid
from fleetdeploy.storage.credentials_file import Brought
from fleetdeploy.storage.memory_store import MemoryDisk, MemoryStore

NOW = 1_800_000_000.0
OLD = AppCredential("1", access_token="a", refresh_token="r", renewed_at=NOW - 60)
DEAD = Intent(Rotation.REFRESH, "dead", NOW - 60)
EMPTY = AppCredential("1")
WAITING = AppCredential("1", code="c", code_expires_at=NOW + 60)


@pytest.mark.parametrize(
    ("stored", "brought", "fate"),
    [
        (EMPTY, Brought("1", "x"), Fate.NEW),
        (OLD, Brought("1", "r", "a"), Fate.UNCHANGED),
        (OLD, Brought("1", "r"), Fate.UNCHANGED),
        (OLD, Brought("1", "", "a"), Fate.UNCHANGED),
        (OLD, Brought("1", "r", "newer"), Fate.REPLACED),
        (OLD, Brought("1", "x"), Fate.CLASHES),
        (OLD, Brought("1", "", "x"), Fate.CLASHES),
        (replace(OLD, refresh_token=""), Brought("1", "x"), Fate.REPLACED),
        (replace(OLD, intent=DEAD), Brought("1", "x"), Fate.REPLACED),
        (replace(OLD, intent=DEAD), Brought("1", "r", "newer"), Fate.UNCHANGED),
        (WAITING, Brought("1", "x"), Fate.CLASHES),
        (replace(WAITING, code_expires_at=NOW - 1), Brought("1", "x"), Fate.REPLACED),
    ],
)
def test_the_fate_of_an_app(stored: AppCredential, brought: Brought, fate: Fate) -> None:
    assert fate_of(stored, brought, NOW) is fate


async def put(store: MemoryStore, credential: AppCredential) -> None:
    await store.change_app(credential.app_id, lambda _: credential)


@pytest.mark.anyio
async def test_all_are_stored_whatever_their_number() -> None:
    store = MemoryStore(MemoryDisk(), "one")
    brought = [Brought(str(number), f"r{number}") for number in range(1, 601)]
    fates = await import_all(store, brought, NOW, replace=False)
    assert fates == Counter({Fate.NEW: 600})
    assert len(await store.apps()) == 600
    again = await import_all(store, brought, NOW, replace=False)
    assert again == Counter({Fate.UNCHANGED: 600})


@pytest.mark.anyio
async def test_one_clash_keeps_all_out_unless_replacing_is_asked_for() -> None:
    store = MemoryStore(MemoryDisk(), "one")
    await put(store, OLD)
    brought = [Brought("2", "marked-2"), Brought("1", "marked-1")]
    with pytest.raises(UsageInvalid, match="1 app of the file") as caught:
        await import_all(store, brought, NOW, replace=False)
    assert "marked" not in f"{caught.value!r}{caught.value.hint}"
    assert await store.apps() == (OLD,)
    fates = await import_all(store, brought, NOW, replace=True)
    assert fates == Counter({Fate.NEW: 1, Fate.REPLACED: 1})
    assert (await store.app("1")).refresh_token == "marked-1"


@pytest.mark.anyio
@pytest.mark.parametrize("replacing", [True, False])
async def test_a_token_in_doubt_does_not_come_back_as_good(*, replacing: bool) -> None:
    store = MemoryStore(MemoryDisk(), "one")
    doubted = replace(OLD, intent=DEAD)
    await put(store, doubted)
    await import_all(store, [Brought("1", "r", "a")], NOW, replace=replacing)
    assert await store.app("1") == doubted
    assert choose(await store.app("1"), NOW) is Rotation.RECOVER


@pytest.mark.anyio
async def test_an_app_that_a_living_process_renews_is_not_touched() -> None:
    disk = MemoryDisk()
    store, _other = MemoryStore(disk, "one"), MemoryStore(disk, "other")
    held = replace(OLD, intent=replace(DEAD, holder="other"))
    await put(store, held)
    with pytest.raises(BaseExceptionGroup) as caught:
        await import_all(store, [Brought("1", "x")], NOW, replace=True)
    assert caught.group_contains(UsageInvalid, match="being renewed")
    assert await store.app("1") == held


@pytest.mark.anyio
async def test_an_app_is_not_forgotten_while_a_rotation_would_bring_it_back() -> None:
    disk = MemoryDisk()
    store, _other = MemoryStore(disk, "one"), MemoryStore(disk, "other")
    held = replace(OLD, intent=replace(DEAD, holder="other"))
    await put(store, held)
    with pytest.raises(UsageInvalid, match="being renewed"):
        await remove_app(store, "1")
    assert await store.app("1") == held
    disk.bury("other")
    assert await remove_app(store, "1")
    assert await store.app("1") == EMPTY
