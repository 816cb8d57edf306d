"""The command for a client's consent: `auth authorize` prints the link, and takes the code.

Whose code it is, and what becomes of it, is `auth_exchange.py`'s.
"""

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import anyio
import click

from fleetdeploy.baidu.auth_wire import consent_link
from fleetdeploy.cli.auth_access import Access, open_access
from fleetdeploy.cli.auth_asking import at_a_terminal, check_app_ids, read_stdin
from fleetdeploy.cli.auth_exchange import Exchange
from fleetdeploy.cli.auth_rotating import exit_code_of
from fleetdeploy.cli.options import Desk, common
from fleetdeploy.cli.process import SystemClock
from fleetdeploy.cli.render.auth_results import (
    ConsentLink,
    RotationRow,
    render_link,
    render_rotations,
    rotations,
)
from fleetdeploy.cli.render.credentials import instant
from fleetdeploy.cli.render.times import span
from fleetdeploy.cli.vault import client_id_of
from fleetdeploy.errors import (
    ExitCode,
    PlatformError,
    UsageInvalid,
)
from fleetdeploy.model import AuthorizationCode, Grant
from fleetdeploy.storage.credentials_file import is_token, read_private

CODE_LIFETIME_S: Final = 3600.0
"""platform-api.md 3, step 4: of a code that comes back by the redirect."""
CODE_FILE_MAX: Final = 16 * 1024
"""Bytes: the address that a browser was sent back to, code and all."""
URI_MAX: Final = 2048
"""What every browser takes."""


@click.command("authorize")
@click.argument("app", required=False)
@click.option(
    "--redirect-uri",
    metavar="URI",
    help="Print a consent link that leads back to this address, with a code.",
)
@click.option(
    "--code-file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Take the code of APP that came back, or the whole address with it, from a file (mode "
    "0600); - is stdin, and at a terminal it is asked for, unseen.",
)
@click.option(
    "--unchecked",
    is_flag=True,
    help="Believe that the code is of APP where the platform does not tell.",
)
@common()
def authorize_command(
    desk: Desk,
    *,
    app: str | None,
    redirect_uri: str | None,
    code_file: Path | None,
    unchecked: bool,
) -> ExitCode:
    """Get a client's consent: print a link, or take a code."""
    app_ids = check_app_ids((app,) if app is not None else ())
    if (redirect_uri is None) == (code_file is None):
        raise UsageInvalid(
            "either --redirect-uri or --code-file is needed",
            hint="the first prints a link for the client, the second takes the code that came back",
        )
    if redirect_uri is not None:
        _check_uri(redirect_uri)
        return anyio.run(_print_link, desk, redirect_uri, app)
    assert code_file is not None
    if not app_ids:
        raise UsageInvalid("whose code is it?", hint="name the app: a code does not tell")
    client_id_of(desk.settings)
    code = code_in(_code_text(code_file), app_ids[0])
    return anyio.run(partial(_take, desk, code, unchecked=unchecked))


def _check_uri(uri: str) -> None:
    """Raise `UsageInvalid` for what no browser would be sent back to."""
    with suppress(ValueError):
        parts = urlsplit(uri)
        plain = uri.isascii() and uri.isprintable() and " " not in uri and len(uri) <= URI_MAX
        if plain and parts.scheme in ("https", "http") and parts.hostname and not parts.fragment:
            return
    raise UsageInvalid(
        "--redirect-uri is not an address of the web",
        hint="give the one that the platform's console knows, like https://example.org/back",
    )


async def _print_link(desk: Desk, redirect_uri: str, app_id: str | None) -> ExitCode:
    async with open_access(desk) as access:
        authority = access.credentials.authority
        code = await access.credentials.tp.with_token(authority.pre_auth_code)
        ends = SystemClock().now().timestamp() + code.expires_in_s
        following = f"fleetdeploy auth authorize {app_id or 'APP'} --code-file -"
        link = consent_link(client_id_of(desk.settings), redirect_uri, code.text)
        told = ConsentLink(app_id=app_id, link=link, expires_at=instant(ends), next=following)
        desk.print(render_link(told, desk.output))
        desk.say(
            f"the link is good for {span(code.expires_in_s)}; it holds our key, so that it is for "
            "the client alone\n"
            "a receiver takes the client's consent by itself; without one give the code that comes "
            f"back to {redirect_uri}\nnext: {following}"
        )
    return ExitCode.OK


def _code_text(file: Path) -> str:
    if file != Path("-"):
        data = read_private(file, size_max=CODE_FILE_MAX)
    elif at_a_terminal():
        return str(click.prompt("code, or the address with it", hide_input=True, err=True))
    else:
        data = read_stdin(CODE_FILE_MAX)
    return data.decode("utf-8", "replace")


def code_in(text: str, app_id: str) -> AuthorizationCode:
    """Find the code in what a person has: itself, or the address that the browser was led to."""
    said, lifetime_s = text.strip(), CODE_LIFETIME_S
    if said.startswith(("https://", "http://")):
        said = _code_of_address(said)
    if not is_token(said):
        raise UsageInvalid(
            "that is no code", hint="a code is one word; the whole address with it will do, too"
        )
    return AuthorizationCode(app_id, said, lifetime_s)


def _code_of_address(address: str) -> str:
    with suppress(ValueError):
        codes = parse_qs(urlsplit(address).query).get("authorization_code", [])
        if len(codes) == 1:
            return codes[0]
    return ""


async def _take(desk: Desk, code: AuthorizationCode, *, unchecked: bool) -> ExitCode:
    rows: list[RotationRow] = []
    async with open_access(desk) as access:
        whose = partial(_whose, access, code.app_id)
        exchange = Exchange(access.credentials, whose, SystemClock())
        rows.append(await exchange.take(code, unchecked=unchecked))
    told = rotations(SystemClock().now(), rows)
    desk.print(render_rotations(told, desk.output, desk.style))
    return exit_code_of(told)


async def _whose(access: Access, app_id: str, grant: Grant) -> str:
    try:
        return (await access.app_info(app_id, grant.access_token)).app_id
    except PlatformError:
        return ""
