"""Access tokens that somebody else keeps: from a file, or from a fixed table.

Gets no token from the platform; `auth/keeper.py` does. No token appears in a `repr`, an error or a
traceback.
"""

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fleetdeploy.baidu.documents import is_sendable
from fleetdeploy.baidu.errno import own_error
from fleetdeploy.errors import ClientMustAct, SettingsInvalid, TokenRefused

SIZE_MAX: Final = 64 * 1024 * 1024
"""100,000 apps with tokens of 100 characters take about 12 MB."""
APP_ID_MAX: Final = 20
"""Digits of a 64-bit number; tokens are longer."""
REFUSED: Final = "platform.token_refused"
SHAPE: Final = 'it holds one JSON object: {"app id": "access token", ...}'

Signature = tuple[int, int, int, int]


class StaticTokens:
    """Tokens that never change: for the simulator, the demo and tests."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._tokens = dict(tokens)
        self._refusals: dict[str, _Refusal] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._tokens)} apps)"

    async def prepare(self, app_id: str) -> None:
        _check(app_id, self._tokens, self._refusals)

    def token(self, app_id: str) -> str | None:
        return self._tokens.get(app_id)

    def refused(self, app_id: str, error: TokenRefused, token: str) -> None:
        self._refusals[app_id] = _Refusal(token, error)


class TokensFile:
    """A JSON object, app id to access token, that somebody else keeps up to date.

    Read at once, where anything wrong with it is a `SettingsInvalid`, and again when a token was
    refused or is missing, if the file has changed since. While a new version cannot be read (it may
    be half written) the tokens read before stay in use, and the next need looks again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tokens: dict[str, str] = {}
        self._refusals: dict[str, _Refusal] = {}
        self._signature: Signature | None = None
        self._read()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._path)!r}, {len(self._tokens)} apps)"

    async def prepare(self, app_id: str) -> None:
        refusal = self._refusals.get(app_id)
        token = self._tokens.get(app_id)
        if token is None or (refusal is not None and refusal.token == token):
            self._read_again()
        _check(app_id, self._tokens, self._refusals)

    def token(self, app_id: str) -> str | None:
        return self._tokens.get(app_id)

    def refused(self, app_id: str, error: TokenRefused, token: str) -> None:
        self._refusals[app_id] = _Refusal(token, error)

    def _read(self) -> None:
        text, signature = _contents(self._path)
        self._tokens = _parsed(self._path, text)
        self._signature = signature

    def _read_again(self) -> None:
        """Read the file if it is another one than last time: one `stat` for most callers."""
        try:
            if _signature(self._path.stat()) != self._signature:
                self._read()
        except (OSError, SettingsInvalid):
            return


@dataclass(frozen=True, slots=True)
class _Refusal:
    token: str = field(repr=False)
    error: TokenRefused


def _check(app_id: str, tokens: Mapping[str, str], refusals: dict[str, _Refusal]) -> None:
    """Raise `ClientMustAct` if the app has no token, or none but the one that was refused."""
    token = tokens.get(app_id)
    if token is None:
        raise own_error("auth.no_token", f"app {app_id}")
    refusal = refusals.pop(app_id, None)
    if refusal is not None and refusal.token == token:
        raise final_refusal(refusal.error)


def _signature(status: os.stat_result) -> Signature:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _contents(path: Path) -> tuple[bytes, Signature]:
    """Read the whole file, and the signature that it had just before.

    Opened without waiting: a pipe in its place must not hang us, and is refused.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            _check_private(path, status)
            contents = file.read(SIZE_MAX + 1)
    except OSError as error:
        raise SettingsInvalid(
            f"the tokens file {path} cannot be read: {error.strerror}",
            hint="check `FLEETDEPLOY_TOKENS_FILE`",
        ) from None
    if len(contents) > SIZE_MAX:
        raise SettingsInvalid(f"the tokens file {path} is larger than {SIZE_MAX} bytes")
    return contents, _signature(status)


def _check_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SettingsInvalid(f"the tokens file {path} is not a regular file")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise SettingsInvalid(
            f"the tokens file {path} is open to others (mode {mode:04o})",
            hint=f"type: chmod 600 {path}",
        )


def _parsed(path: Path, contents: bytes) -> dict[str, str]:
    """Parse and check the file; errors name apps and places, and never quote the file."""
    try:
        document: object = json.loads(
            contents.decode("utf-8-sig"), object_pairs_hook=_without_duplicates
        )
    except json.JSONDecodeError as error:
        problem = f"is not JSON at line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError:
        problem = "is not UTF-8"
    except RecursionError:
        problem = "is nested too deeply"
    except ValueError as error:
        problem = str(error)
    else:
        return _checked(path, document)
    # Raised out here because the errors above hold the whole text, tokens and all.
    raise SettingsInvalid(f"the tokens file {path} {problem}", hint=SHAPE)


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("names an app twice")
    return document


def _checked(path: Path, document: object) -> dict[str, str]:
    if not isinstance(document, dict):
        raise SettingsInvalid(f"the tokens file {path} holds no JSON object", hint=SHAPE)
    tokens: dict[str, str] = {}
    for app_id, token in document.items():
        if not isinstance(token, str) or not is_sendable(token):
            raise SettingsInvalid(
                f"the tokens file {path} has no usable token for {_named(app_id)}",
                hint="a token is a text of printable ASCII without spaces or line ends",
            )
        tokens[app_id] = token
    return tokens


def _named(app_id: str) -> str:
    """Name an app, unless key and value were mixed up and the key may be the token."""
    return f"app {app_id!r}" if len(app_id) <= APP_ID_MAX else "one of the apps"


def final_refusal(refusal: TokenRefused) -> ClientMustAct:
    """Return a refusal that no other token can cure."""
    other = (
        "put a valid token into the tokens file, or let fleetdeploy keep the tokens "
        "(docs/credentials.md); then run again"
    )
    return ClientMustAct(
        refusal.code,
        refusal.message,
        hint=other if refusal.code == REFUSED else refusal.hint,
        errno=refusal.errno,
        msg=refusal.msg,
    )
