"""The few answers that a receiver gives: fixed texts, none of which depends on what was asked."""

from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web

SERVER: Final = "receiver"
"""Instead of names and versions of our parts."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`closes` ends the connection in any case, so that the headers are always the same."""

    status: int
    text: str
    content_type: str = "text/plain"
    closes: bool = False


SUCCESS: Final = Answer(200, "success")
"""The word that the platform waits for (platform-api.md 4); it sends again without it."""
REFUSED: Final = Answer(403, "refused\n", closes=True)
NOT_FOUND: Final = Answer(404, "not found\n")
THROTTLED: Final = Answer(429, "too many\n")
BROKEN: Final = Answer(500, "error\n")
NOT_NOW: Final = Answer(503, "not now\n")


def respond(request: web.BaseRequest, answer: Answer) -> web.Response:
    """Put an answer into words; one that does not wait for the rest of the body hangs up."""
    response = web.Response(
        status=answer.status,
        text=answer.text,
        content_type=answer.content_type,
        headers={hdrs.SERVER: SERVER},
    )
    if answer.closes or not request.content.is_eof():
        response.headers[hdrs.CONNECTION] = "close"
        response.force_close()
    return response
