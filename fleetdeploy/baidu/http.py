"""Carries requests over HTTP with aiohttp; knows neither the platform's words nor its numbers.

How it works: one pooled session, closed with the transport. No redirects, cookies, proxies or
credentials from the environment; who is at the other end is always checked (`baidu/peer.py`); every
wait and every body has a bound. What goes wrong is told apart by one question: may the request have
arrived? Before a connection stands it cannot have (`NotSent`). From then on it may have
(`AnswerLost`), also on a kept connection that the server closed at the wrong moment: nobody can
tell that from a request that was carried out and whose answer was lost.

aiohttp sends a GET (never a POST) a second time by itself when a connection drops. `_only_once`
prevents it: such calls are neither paced nor counted, and a refresh token that goes out with a GET
would be sent twice.

The token rides in the URL, and errors of aiohttp can hold the URL. So none of them is chained to
what is raised here: ours are raised after the `except` block has been left.
"""

from collections.abc import AsyncIterator
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from fleetdeploy.baidu.errno import own_error
from fleetdeploy.baidu.peer import LoopbackResolver, verifying
from fleetdeploy.core.addresses import base_url_problem
from fleetdeploy.errors import PlatformError, SettingsInvalid
from fleetdeploy.transport import Reply, Request

CONNECT_S: Final = 5.0
TOTAL_S: Final = 30.0
"""The longest time-out of a known client of the platform (platform-api.md 6)."""
BODY_MAX: Final = 8 * 1024 * 1024
"""Bytes of a reply, unpacked; a list of packages has a few thousand."""
CHUNK: Final = 64 * 1024
KEEP_ALIVE_S: Final = 4.0
"""Shorter than the 5 s after which common servers close an idle connection: we close first, and
a POST seldom meets a connection that has just been closed."""


class HttpTransport:
    """A `Transport` to one base URL; use it as an async context manager.

    Raises `SettingsInvalid` for a base URL that would send tokens in the clear or elsewhere.
    `capacity` bounds the connections. Durations are seconds.
    """

    def __init__(
        self,
        base_url: str,
        *,
        capacity: int = 32,
        connect_timeout_s: float = CONNECT_S,
        total_timeout_s: float = TOTAL_S,
        body_max: int = BODY_MAX,
    ) -> None:
        self._base = _checked_base(base_url)
        self._capacity = capacity
        self._body_max = body_max
        self._timeout = aiohttp.ClientTimeout(
            total=total_timeout_s, connect=connect_timeout_s, sock_connect=connect_timeout_s
        )
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._base!r})"

    async def __aenter__(self) -> Self:
        assert self._session is None
        self._session = aiohttp.ClientSession(
            connector=self._connector(),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Only packings that every aiohttp can unpack piece by piece.
            headers={
                "User-Agent": _user_agent(),
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
            },
            middlewares=(_only_once,),
            raise_for_status=False,
            timeout=self._timeout,
            trust_env=False,
        )
        return self

    def _connector(self) -> aiohttp.TCPConnector:
        if URL(self._base).scheme == "http":
            return aiohttp.TCPConnector(
                limit=self._capacity, keepalive_timeout=KEEP_ALIVE_S, resolver=LoopbackResolver()
            )
        return aiohttp.TCPConnector(
            limit=self._capacity, keepalive_timeout=KEEP_ALIVE_S, ssl=verifying()
        )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def send(self, request: Request) -> Reply:
        """Carry one request, once.

        Raises `NotSent` or `AnswerLost`. If cancelled, the request may have arrived.
        """
        result = await self._exchange(request)
        if isinstance(result, PlatformError):
            raise result
        return result

    async def _exchange(self, request: Request) -> Reply | PlatformError:
        assert self._session is not None
        try:
            async with self._session.request(
                request.method,
                URL(f"{self._base}{request.path}?{urlencode(request.query)}", encoded=True),
                data=None if request.form is None else urlencode(request.form).encode("ascii"),
                headers=_content_type(request),
                allow_redirects=False,
            ) as response:
                body = await self._body(response)
                if body is None:
                    response.close()
                    return own_error("transport.reply_too_large", f"over {self._body_max} bytes")
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status, body, headers)
        except PlatformError as error:
            return error
        # aiohttp and its parsers also raise plain errors of the operating system, and ValueErrors
        # for what a hostile server writes.
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return _what_became(error)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes | None:
        """Read the body, unpacked; None if it is too large. Holds at most one piece too much."""
        body = bytearray()
        pieces: AsyncIterator[bytes] = response.content.iter_chunked(CHUNK)
        async for piece in pieces:
            body += piece
            if len(body) > self._body_max:
                return None
        return bytes(body)


async def _only_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Turn a dropped connection into our own error, which aiohttp does not answer by resending."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        became = _what_became(error)
    raise became


def _what_became(error: Exception) -> PlatformError:
    """Tell whether the request may have arrived; no word of the error itself is repeated."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return own_error("transport.not_connected", "time-out")
    if isinstance(error, aiohttp.ClientConnectorError):
        return own_error("transport.not_connected", _reason(error))
    if isinstance(error, TimeoutError):
        return own_error("transport.timeout")
    return own_error("transport.cut_off", type(error).__name__)


def _reason(error: aiohttp.ClientConnectorError) -> str:
    """Say in a few fixed words why there is no connection."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "the server's certificate is not valid"
    if isinstance(error, aiohttp.ClientSSLError):
        return "TLS failed"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name cannot be resolved"
    return type(error.os_error).__name__


def _content_type(request: Request) -> dict[str, str]:
    if request.form is None:
        return {}
    return {"Content-Type": "application/x-www-form-urlencoded"}


def _checked_base(base_url: str) -> str:
    """Return the base URL without a slash at its end, or say why it cannot be used."""
    problem = base_url_problem(base_url)
    if problem is None:
        return base_url.rstrip("/")
    raise SettingsInvalid(
        f"the platform's address {problem}",
        hint="set `FLEETDEPLOY_API_BASE` to something like https://openapi.baidu.com",
    )


def _user_agent() -> str:
    try:
        return f"fleetdeploy/{version('fleetdeploy')}"
    except PackageNotFoundError:
        return "fleetdeploy"
