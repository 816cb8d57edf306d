"""What goes over a wire, as plain values, and the port that carries it.

Sans-IO: the codec (`baidu/wire.py`) makes a `Request` and reads a `Reply`; a `Transport` carries
them over aiohttp, or hands them to the simulator in the same process.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `path` starts with a slash; `form` is the urlencoded body of a POST.

    `query` may hold a token: never print it (its `repr` leaves it out).
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply, whole. Header names are lower case; `body` is bounded by the transport."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Transport(Protocol):
    async def send(self, request: Request) -> Reply:
        """Carry one request; no retries, no redirects.

        Raises `NotSent` if the request certainly did not arrive (no connection), `AnswerLost` if
        it may have (cut off after sending, time-out, a body that is too large or breaks off).
        """
        ...
