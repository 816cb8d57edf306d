"""Sealing: what is sealed opens with its key, for its owner, and unchanged only."""

import importlib
import os
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from fleetdeploy.errors import SettingsInvalid
from fleetdeploy.storage.sealing import (
    KEYS_MAX,
    Sealer,
    key_from_keyring,
    new_key,
    read_key_file,
)

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
SECRET = b'{"access_token":"planted"}'


def test_what_is_sealed_opens_for_its_owner() -> None:
    sealer = Sealer.from_text(new_key())
    for owner in ("app:1", "", "app:\ud800", "名" * 1000):
        sealed = sealer.seal(owner, SECRET)
        assert b"planted" not in sealed
        assert sealer.open(owner, sealed) == SECRET


def test_what_is_sealed_for_one_does_not_open_for_another() -> None:
    sealer = Sealer.from_text(new_key())
    sealed = sealer.seal("app:12", SECRET)
    for owner in ("app:1", "app:123", "tp", "", "app:12" + SECRET.decode()):
        assert sealer.open(owner, sealed) is None


def test_nothing_that_was_changed_opens() -> None:
    sealer = Sealer.from_text(new_key())
    sealed = sealer.seal("tp", SECRET)
    for nth in range(len(sealed)):
        changed = bytearray(sealed)
        changed[nth] ^= 4
        assert sealer.open("tp", bytes(changed)) in (None, SECRET if sealed[nth] == 61 else None)
        assert sealer.open("tp", sealed[:nth]) is None
    assert sealer.open("tp", SECRET) is None


def test_the_first_key_seals_and_all_open() -> None:
    old, new = new_key(), new_key()
    sealed_before = Sealer.from_text(old).seal("tp", SECRET)
    both = Sealer.from_text(f"{new}\n{old}\n")
    assert both.open("tp", sealed_before) == SECRET
    sealed = both.seal("tp", SECRET)
    assert Sealer.from_text(new).open("tp", sealed) == SECRET
    assert Sealer.from_text(old).open("tp", sealed) is None


def test_what_is_sealed_is_in_the_standard_form() -> None:
    key = new_key()
    assert SECRET in Fernet(key).decrypt(Sealer.from_text(key).seal("tp", SECRET))


@pytest.mark.parametrize("join", [",", "\n", "\r\n", " , ", "\n\n,"])
def test_keys_are_separated_by_commas_or_line_ends(join: str) -> None:
    keys = [new_key(), new_key()]
    assert repr(Sealer.from_text(f" {join.join(keys)}\n")) == "Sealer(2 keys)"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n,",
        "planted",
        KEY[:-1],
        KEY + "=",
        "planted!" + KEY[8:],
        "plantedé" + KEY[8:],
        KEY[:-1] + "A",
        f"{KEY},planted",
        ",".join([KEY] * (KEYS_MAX + 1)),
    ],
)
def test_what_is_no_key_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        Sealer.from_text(text)
    error: BaseException | None = caught.value
    while error is not None:
        assert "planted" not in repr(error)
        error = error.__cause__ or error.__context__
    assert len(new_key()) == 44


def test_no_key_shows(tmp_path: Path) -> None:
    key = new_key()
    assert key not in repr(Sealer.from_text(key))
    assert (tmp_path / key).name == key


# Where keys lie.


def key_file(path: Path, contents: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(contents)
    path.chmod(mode)
    return path


def test_a_key_file_is_read(tmp_path: Path) -> None:
    key = new_key()
    text = read_key_file(key_file(tmp_path / "key", f"{key}\n".encode()))
    assert repr(Sealer.from_text(text)) == "Sealer(1 keys)"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622])
def test_a_key_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path / "key", new_key().encode(), mode)
    with pytest.raises(SettingsInvalid, match="open to others") as caught:
        read_key_file(path)
    assert caught.value.hint == f"type: chmod 600 {path}"


@pytest.mark.parametrize("contents", [b"x" * 5000, b"\xff\xfe"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, contents: bytes) -> None:
    with pytest.raises(SettingsInvalid, match="does not hold keys"):
        read_key_file(key_file(tmp_path / "key", contents))


def test_a_key_file_that_is_none_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "missing", tmp_path, tmp_path / "pipe"):
        with pytest.raises(SettingsInvalid):
            read_key_file(path)


def keyring_of(entries: dict[tuple[str, str], str], error: str = "") -> object:
    """Make a keyring as the package lets anybody make one."""
    backend = importlib.import_module("keyring.backend")
    errors = importlib.import_module("keyring.errors")

    class Fake(backend.KeyringBackend):  # type: ignore[misc, name-defined]
        priority = 1

        def get_password(self, service: str, username: str) -> str | None:
            if error:
                raise getattr(errors, error)("planted")
            return entries.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            entries[service, username] = password

    return Fake()


@pytest.fixture
def keyring() -> object:
    """Put the keyring back that the test replaces."""
    module = importlib.import_module("keyring")
    before = module.get_keyring()
    yield module
    module.set_keyring(before)


def test_a_key_comes_from_the_keyring(keyring: object) -> None:
    key = new_key()
    keyring.set_keyring(keyring_of({("fleetdeploy", "credentials"): key}))  # type: ignore[attr-defined]
    assert key_from_keyring("fleetdeploy", "credentials") == key
    with pytest.raises(SettingsInvalid, match="no entry 'fleetdeploy' of 'other'") as caught:
        key_from_keyring("fleetdeploy", "other")
    assert caught.value.hint == "type: keyring set fleetdeploy other"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("NoKeyringError", "has no keyring"),
        ("KeyringLocked", "could not be read"),
        ("InitError", "could not be read"),
    ],
)
def test_a_keyring_that_cannot_be_read_is_told(keyring: object, error: str, message: str) -> None:
    keyring.set_keyring(keyring_of({}, error))  # type: ignore[attr-defined]
    with pytest.raises(SettingsInvalid, match=message) as caught:
        key_from_keyring("fleetdeploy", "credentials")
    assert "planted" not in str(caught.value)
    assert caught.value.hint


def test_without_the_package_a_keyring_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(importlib.import_module("sys").modules, "keyring", None)
    with pytest.raises(SettingsInvalid, match="not installed") as caught:
        key_from_keyring("fleetdeploy", "credentials")
    assert "fleetdeploy[keyring]" in caught.value.hint
