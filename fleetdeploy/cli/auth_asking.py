"""What the `auth` commands ask of people: ids, a word of consent, what is piped to them."""

import sys

import click

from fleetdeploy.cli.options import Desk
from fleetdeploy.errors import SettingsInvalid, UsageInvalid
from fleetdeploy.storage.credentials_file import is_app_id


def check_app_ids(app_ids: tuple[str, ...]) -> tuple[str, ...]:
    """Return each app once; raises `UsageInvalid` for what the platform never gave as an id."""
    for app_id in app_ids:
        if not is_app_id(app_id):
            raise UsageInvalid(
                f"argument {app_ids.index(app_id) + 1} is not an app id",
                hint="an app id is a number of 20 digits at most",
            )
    return tuple(dict.fromkeys(app_ids))


def at_a_terminal() -> bool:
    """Whether there is somebody who could answer a question."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def read_stdin(size_max: int) -> bytes:
    """Return what is piped to us, nothing if stdin is closed; raises `SettingsInvalid` for more."""
    contents: bytes = b"" if sys.stdin is None else sys.stdin.buffer.read(size_max + 1)
    if len(contents) > size_max:
        raise SettingsInvalid(f"stdin brings more than {size_max} bytes")
    return contents


def confirm(question: str, word: str, *, yes: bool) -> None:
    """Have a word typed before something that cannot be undone; raises `UsageInvalid`.

    Asks nobody where there is no terminal, and nobody who said `--yes`.
    """
    if yes:
        return
    if not at_a_terminal():
        raise UsageInvalid(
            "this cannot be undone, and there is no terminal to ask at", hint="give --yes as well"
        )
    typed = click.prompt(
        f"{question} Type {word} to go on", default="", show_default=False, err=True
    )
    if typed.strip() != word:
        raise UsageInvalid(f"{word} was not typed: nothing was changed")


def note_tokens_file(desk: Desk) -> None:
    """Say that the store is not what runs use, where that is so."""
    if desk.settings.tokens_file is not None:
        desk.say(
            "note: FLEETDEPLOY_TOKENS_FILE is set, so runs take tokens from that file and not from "
            "this store"
        )
