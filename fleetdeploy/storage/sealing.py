"""Encryption at rest, and where its keys can lie: a file, or the system's keyring.

It does not choose between them, and stores nothing. What is sealed says what it belongs to, so
that the secrets of one app cannot be passed off as those of another. No key is ever in a `repr`
or an error.
"""

import base64
import binascii
import importlib
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from fleetdeploy.errors import SettingsInvalid

KEYS_MAX: Final = 16
"""Each is tried in turn; two are enough to change a key."""

FILE_MAX: Final = 4096
"""Bytes: sixteen keys of 44 characters, and some air."""

_KEY_CHARS: Final = 44
_KEY_BYTES: Final = 32
_SEPARATORS: Final = re.compile(r"[\s,]+")
_SHAPE: Final = "44 characters each: 32 random bytes in URL-safe base64"


def new_key() -> str:
    """Return a fresh random key, as text."""
    return Fernet.generate_key().decode("ascii")


class Sealer:
    """Seals with its first key and opens with any. Make it with `from_text`."""

    def __init__(self, keys: Sequence[str]) -> None:
        assert keys
        self._keys = len(keys)
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Make one from keys that commas or line ends separate; raises `SettingsInvalid`."""
        keys = [key for key in _SEPARATORS.split(text) if key]
        if not keys:
            raise SettingsInvalid("there is no key to seal credentials with", hint=_SHAPE)
        if len(keys) > KEYS_MAX:
            raise SettingsInvalid(f"{len(keys)} keys are too many, {KEYS_MAX} are allowed")
        for nth, key in enumerate(keys, 1):
            if not _is_key(key):
                raise SettingsInvalid(f"key {nth} for credentials is not a key", hint=_SHAPE)
        return cls(keys)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._keys} keys)"

    def seal(self, owner: str, secret: bytes) -> bytes:
        """Encrypt a secret together with the name of what it belongs to."""
        name = owner.encode("utf-8", "surrogatepass")
        return self._fernet.encrypt(len(name).to_bytes(4) + name + secret)

    def open(self, owner: str, sealed: bytes) -> bytes | None:
        """Return the secret; None if no key opens it, it was changed, or it is somebody else's."""
        try:
            contents = self._fernet.decrypt(sealed)
        except InvalidToken:
            return None
        name = owner.encode("utf-8", "surrogatepass")
        head = len(name).to_bytes(4) + name
        return contents[len(head) :] if contents.startswith(head) else None


def _is_key(text: str) -> bool:
    if len(text) != _KEY_CHARS or not text.isascii():
        return False
    try:
        return len(base64.b64decode(text, altchars=b"-_", validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False


def read_key_file(path: Path) -> str:
    """Return the text of a file of keys; raises `SettingsInvalid`, also where others can read it.

    Opened without waiting: a pipe in its place must not hang us, and is refused.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            _check_private(path, os.fstat(fd))
            contents = file.read(FILE_MAX + 1)
    except OSError as error:
        raise SettingsInvalid(f"the key file {path} cannot be read: {error.strerror}") from None
    if len(contents) > FILE_MAX or not contents.isascii():
        raise SettingsInvalid(f"the key file {path} does not hold keys", hint=_SHAPE)
    return contents.decode("ascii")


def _check_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SettingsInvalid(f"the key file {path} is not a regular file")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise SettingsInvalid(
            f"the key file {path} is open to others (mode {mode:04o})",
            hint=f"type: chmod 600 {path}",
        )


def key_from_keyring(service: str, user: str) -> str:
    """Return the keys that the system's keyring holds; raises `SettingsInvalid`.

    May ask the user to unlock it, and wait for that.
    """
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        raise SettingsInvalid(
            "the keyring cannot be used: the package `keyring` is not installed",
            hint="install fleetdeploy[keyring], or give the key in a file",
        ) from None
    try:
        text = keyring.get_password(service, user)
    except keyring.errors.NoKeyringError:
        raise SettingsInvalid(
            "this machine has no keyring that could be used",
            hint="give the key in a file or in the environment",
        ) from None
    except keyring.errors.KeyringError as error:
        raise SettingsInvalid(
            f"the keyring could not be read ({type(error).__name__})",
            hint="unlock it, or give the key in a file or in the environment",
        ) from None
    if not text:
        raise SettingsInvalid(
            f"the keyring has no entry {service!r} of {user!r}",
            hint=f"type: keyring set {service} {user}",
        )
    return str(text)
