"""Hostile replies of the platform: a typed answer comes out, or a `PlatformError`.

The first line of an input is the status and the headers, as in `429 retry-after=5`; the rest is the
body. Every reader of an answer is given it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from fleetdeploy.baidu import auth_replies, replies
from fleetdeploy.errors import PlatformError
from fleetdeploy.transport import Reply
from tests.fuzz.words import SECRET, check_error, check_secrets

_KNOWN: Final = (SECRET,)
_OPEN: Final = {"read_tp_token", "read_pair", "read_pre_auth_code", "read_code", "read_pushes"}
"""Their answers are secrets, or sealed."""
READERS: Final[Mapping[str, Callable[[Reply], object]]] = MappingProxyType(
    {
        "read_done": replies.read_done,
        "read_packages": replies.read_packages,
        "read_package": replies.read_package,
        "read_quota": replies.read_quota,
        "read_app_info": replies.read_app_info,
        "read_tp_token": partial(auth_replies.read_tp_token, secrets=_KNOWN),
        "read_pair": partial(auth_replies.read_pair, secrets=_KNOWN),
        "read_pre_auth_code": partial(auth_replies.read_pre_auth_code, secrets=_KNOWN),
        "read_code": partial(auth_replies.read_code, "100000282", secrets=_KNOWN),
        "read_templates": partial(auth_replies.read_templates, secrets=_KNOWN),
        "read_pushes": partial(auth_replies.read_pushes, secrets=_KNOWN),
    }
)


def try_one(data: bytes) -> str:
    """Have one reply read by all; return what it means to a call that changes something."""
    reply = reply_of(data)
    ends = [_read(name, read, reply) for name, read in READERS.items()]
    trace = replies.trace_id(reply)
    assert trace.isascii(), "a trace id that is no word"
    return ends[0]


def reply_of(data: bytes) -> Reply:
    head, _, body = data.partition(b"\n")
    status, *words = head.decode("latin-1").split(" ")
    headers = dict(word.partition("=")[::2] for word in words)
    number = int(status) if status.isascii() and status.isdigit() and len(status) == 3 else 200
    return Reply(number, body, headers)


def _read(name: str, read: Callable[[Reply], object], reply: Reply) -> str:
    try:
        # As the client does it for whatever goes with an app's token.
        auth = name in _OPEN or name == "read_templates"
        answer = read(reply if auth else replies.without_secret(reply, SECRET))
    except PlatformError as error:
        check_error(error)
        return error.code
    if name not in _OPEN:
        repr(answer).encode()
        if name != "read_templates":
            check_secrets(repr(answer))
    return "yes"
