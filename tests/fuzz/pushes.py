"""Hostile pushes, as bodies, as messages that were sealed and signed, and as rows of the list.

A `Push` comes out, or `PushRefused` with one of four words.
"""

from collections.abc import Callable
from typing import Final

from fleetdeploy.baidu.events import REASON_MAX, PushReader
from fleetdeploy.errors import PushRefused
from fleetdeploy.model import Push
from tests.fuzz.words import check_error
from tests.unit.test_envelope import KEYS, NOW, envelope, sealed

WORDS: Final = frozenset({"malformed", "signature", "stale", "undecryptable"})
_READER: Final = PushReader(KEYS, max_age_s=600.0)


def try_one(data: bytes) -> str:
    """Open one input in three ways; return what it is as a sealed message."""
    _open(lambda: _READER.open(data, NOW))
    _open(lambda: _READER.open_row(data.decode("latin-1")))
    _open(lambda: _READER.open_row(sealed(data)))
    return _open(lambda: _READER.open(envelope(sealed(data)), NOW))


def _open(attempt: Callable[[], Push]) -> str:
    try:
        push = attempt()
    except PushRefused as error:
        check_error(error)
        return _known(error.reason)
    check_push(push)
    return "ticket" if push.ticket else "code" if push.code else "notice"


def _known(word: str) -> str:
    assert word in WORDS, "a word that is none of the four"
    return word


def check_push(push: Push) -> None:
    """Fail unless all of a push has a bound and can be written anywhere."""
    assert bool(push.ticket) != bool(push.notice), "neither a ticket nor a notice"
    f"{push.ticket}{push.notice}{push.code}".encode()
    if push.notice is not None:
        notice = push.notice
        texts = (notice.event, notice.reason, notice.event_time, notice.package_version or "")
        assert max(map(len, texts)) <= REASON_MAX, "a text without a bound"
        assert not notice.app_id or notice.app_id.isdigit(), "an app id that is none"
