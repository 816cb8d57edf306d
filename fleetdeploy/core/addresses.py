"""Where requests with tokens in them may go: a platform's address, checked. Resolves no names."""

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

_AUTHORITY: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
"""A host and perhaps a port, as every reader of URLs takes them apart: what only some understand,
or each in its own way, is refused, so that the host that is checked is the one that is called."""


def base_url_problem(url: str) -> str | None:
    """Say why a base URL cannot be used, None if it can; never repeats it: it may hold a password.

    The text goes after "the address", as in "the address is not a URL".
    """
    if not all("!" <= char <= "~" for char in url) or "?" in url or "#" in url:
        return "holds a character that has no place in it"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is not a URL"
    return _problem_of(parts)


def _problem_of(parts: SplitResult) -> str | None:
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        return "does not start with https:// and a host"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or password"
    if not _AUTHORITY.fullmatch(parts.netloc):
        return "is not a URL"
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        return "is plain http, which would send tokens in the clear: for this machine only"
    return None


def is_loopback(host: str) -> bool:
    """Whether a host means this machine; what `localhost` leads to is for the caller to see."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
