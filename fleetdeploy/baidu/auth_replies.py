"""What the replies to auth calls mean: grants, codes, templates and pushes, or a `PlatformError`.

As `replies.py` does for packages: any bytes with any status end in one of the two. `secrets` is
whatever the request carried: no error holds it, should the platform repeat it in its words.

A pair of tokens is all or nothing. Where half of it cannot be read, the token that was spent for it
is spent all the same: that is an answer lost, and a new code helps.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

from fleetdeploy.baidu.documents import (
    id_in,
    number_or_none,
    object_of,
    parse_object,
    part,
    required,
    secret_in,
    told,
)
from fleetdeploy.baidu.errno import own_error
from fleetdeploy.baidu.replies import agreed, judged, typed
from fleetdeploy.errors import PlatformError
from fleetdeploy.model import AuthorizationCode, Grant, PreAuthCode, Template
from fleetdeploy.ports import PushPage, TemplatePage
from fleetdeploy.transport import Reply

LIFETIME_MAX_S: Final = 10 * 366 * 86_400
"""Ten years, the longest that the platform speaks of; more is a mistake, and no date holds it."""
CODE_LIFETIME_S: Final = 60.0
"""Of a code that does not tell: the shortest that any sample has (platform-api.md 3)."""
SEALED_MAX: Final = 64 * 1024
"""Characters of one push; a real one has a few hundred."""


def read_tp_token(reply: Reply, *, secrets: Sequence[str] = ()) -> Grant:
    document = judged(reply, _is_grant, changes=False, secrets=secrets)
    return typed(partial(_grant_from, pair=False), document)


def read_pair(reply: Reply, *, secrets: Sequence[str] = ()) -> Grant:
    """Read an app's pair, for which a token or code was spent.

    Documented flat and modelled nested in one of the platform's own SDKs (platform-api.md 3).
    """
    try:
        document = judged(reply, _is_grant, changes=True, secrets=secrets)
    except PlatformError:
        # Tokens beside an error contradict it: it proves no longer that nothing was spent.
        if not _holds_tokens(parse_object(reply.body) or {}):
            raise
    else:
        return typed(partial(_grant_from, pair=True), document, changes=True)
    raise own_error("platform.reply_malformed", "tokens and an error at once")


def read_pre_auth_code(reply: Reply, *, secrets: Sequence[str] = ()) -> PreAuthCode:
    data = agreed(reply, changes=False, secrets=secrets)
    return typed(_pre_auth_code_from, data)


def read_code(app_id: str, reply: Reply, *, secrets: Sequence[str] = ()) -> AuthorizationCode:
    data = agreed(reply, changes=False, secrets=secrets)
    return typed(partial(_code_from, app_id), data)


def read_templates(reply: Reply, *, secrets: Sequence[str] = ()) -> TemplatePage:
    return typed(_templates_from, agreed(reply, changes=False, secrets=secrets))


def read_pushes(reply: Reply, *, secrets: Sequence[str] = ()) -> PushPage:
    return typed(_pushes_from, agreed(reply, changes=False, secrets=secrets))


def code_lifetime_s(value: object) -> float:
    """Read how long a code lives; it is used at once, so that nonsense does not spoil it."""
    seconds = number_or_none(value)
    return float(min(seconds, LIFETIME_MAX_S)) if seconds and seconds > 0 else CODE_LIFETIME_S


def _is_grant(document: dict[str, object]) -> bool:
    """Whether it says yes: an OAuth answer has no `errno`, that to the TP token has one."""
    errno = document.get("errno")
    agrees = errno is None or number_or_none(errno) == 0
    contradicted = document.get("error_code") or document.get("error")
    return agrees and not contradicted and _holds_tokens(document)


def _holds_tokens(document: dict[str, object]) -> bool:
    rows = (document, part(document, "data"))
    return any(row.get(name) for row in rows for name in ("access_token", "refresh_token"))


def _tokens_in(document: dict[str, object]) -> dict[str, object]:
    data = part(document, "data")
    return data if "access_token" in data else document


def _grant_from(document: object, *, pair: bool) -> Grant:
    row = _tokens_in(object_of(document, "the answer"))
    lifetime_s = required(row, "expires_in")
    if lifetime_s <= 0:
        raise ValueError("`expires_in` is not positive")
    return Grant(
        access_token=secret_in(row, "access_token"),
        expires_in_s=float(min(lifetime_s, LIFETIME_MAX_S)),
        refresh_token=secret_in(row, "refresh_token") if pair else "",
    )


def _pre_auth_code_from(data: object) -> PreAuthCode:
    row = object_of(data, "the pre-auth code")
    return PreAuthCode(secret_in(row, "pre_auth_code"), code_lifetime_s(row.get("expires_in")))


def _code_from(app_id: str, data: object) -> AuthorizationCode:
    row = object_of(data, "the code")
    text = secret_in(row, "authorization_code")
    return AuthorizationCode(app_id, text, code_lifetime_s(row.get("expires_in")))


def _templates_from(data: object) -> TemplatePage:
    rows, total = _page(data)
    return TemplatePage(tuple(_template(object_of(row, "a template")) for row in rows), total)


def _template(row: dict[str, object]) -> Template:
    template_id = id_in(row, "template_id")
    if template_id is None:
        raise ValueError("`template_id` is missing")
    return Template(template_id, told(row, "user_version"), told(row, "user_desc"))


def _pushes_from(data: object) -> PushPage:
    rows, _ = _page(data)
    return PushPage(tuple(filter(None, map(_sealed, rows))), len(rows))


def _sealed(row: object) -> str:
    """Return the sealed text of a row, empty where there is none: a hint may be missed."""
    content = row.get("content") if isinstance(row, dict) else None
    return content if isinstance(content, str) and len(content) <= SEALED_MAX else ""


def _page(data: object) -> tuple[list[object], int | None]:
    """Return the rows of a page and the total beside them; nothing at all is an empty page."""
    if not data:
        return [], None
    if isinstance(data, list):
        return data, None
    page = object_of(data, "the page")
    rows = page.get("list")
    if rows is not None and not isinstance(rows, list):
        raise ValueError("`list` is not an array")
    total = number_or_none(page.get("count"))
    return rows or [], total if total is None or total >= 0 else None
