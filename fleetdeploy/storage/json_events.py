"""JSON (RFC 8259) as events with places; the standard library's parser keeps none.

How it works: one pattern cuts the text into tokens, a state says what may come next, and a list of
closers remembers what is open, instead of recursion.
"""

import json
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import NoReturn

from fleetdeploy.core.findings import quoted
from fleetdeploy.errors import ManifestInvalid, Problem
from fleetdeploy.storage.numbers import integer, real
from fleetdeploy.storage.trees import Event, Kind

_SPACE = re.compile(r"[ \t\n\r]*")
_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\\x00-\x1f]++|\\.)*+")
      | (?P<number>-?(?:0|[1-9][0-9]*+)
        (?P<real>(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?)(?![0-9A-Za-z.]))
      | (?P<word>true|false|null)\b
      | (?P<sign>[\[\]{},:])""",
    re.VERBOSE,
)
_WORDS: Mapping[str, object] = MappingProxyType({"true": True, "false": False, "null": None})
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_WORD = re.compile(r"[^\s,:\[\]{}]{1,40}")


def json_events(text: str, file: str, first_line: int = 1) -> Iterator[Event]:
    """Yield the events of the one value in `text`, whose first line is `first_line` of its file.

    Raises `ManifestInvalid` at the first place that is not JSON.
    """
    return _Scanner(text, file, first_line).events()


class _Expect(Enum):
    VALUE = "a value"
    FIRST_ITEM = "a value or ]"
    FIRST_KEY = "a key in double quotes or }"
    KEY = "a key in double quotes"
    COLON = "a colon"
    COMMA = "a comma or the closing bracket"
    END = "nothing more"


_MAY_CLOSE = frozenset({_Expect.FIRST_ITEM, _Expect.FIRST_KEY, _Expect.COMMA})


class _Scanner:
    def __init__(self, text: str, file: str, first_line: int) -> None:
        self._text = text
        self._file = file
        self._position = 0
        self._line = first_line
        self._line_start = 0
        self._closers: list[str] = []
        self._expect = _Expect.VALUE

    def events(self) -> Iterator[Event]:
        while self._expect is not _Expect.END:
            event = self._step(self._token())
            if event is not None:
                yield event
        self._skip_space()
        if self._position < len(self._text):
            self._fail("is not JSON: there is more after its end")

    def _step(self, token: re.Match[str]) -> Event | None:
        """Take one token; a comma and a colon are no events."""
        if token[0] in ("}", "]") and self._closes(token[0]):
            self._closers.pop()
            return self._completed(self._event(Kind.END, token))
        match self._expect:
            case _Expect.COMMA:
                self._require(token[0] == ",", token)
                self._expect = _Expect.KEY if self._closers[-1] == "}" else _Expect.VALUE
            case _Expect.COLON:
                self._require(token[0] == ":", token)
                self._expect = _Expect.VALUE
            case _Expect.KEY | _Expect.FIRST_KEY:
                self._require(token["string"] is not None, token)
                self._expect = _Expect.COLON
                return self._string(token)
            case _:
                return self._value(token)
        return None

    def _closes(self, closer: str) -> bool:
        return self._expect in _MAY_CLOSE and closer == self._closers[-1]

    def _value(self, token: re.Match[str]) -> Event:
        text = token[0]
        if text in ("{", "["):
            self._closers.append("}" if text == "{" else "]")
            self._expect = _Expect.FIRST_KEY if text == "{" else _Expect.FIRST_ITEM
            return self._event(Kind.MAPPING if text == "{" else Kind.LIST, token)
        if token["string"] is not None:
            return self._completed(self._string(token))
        if token["number"] is not None:
            return self._completed(self._number(token))
        self._require(token["word"] is not None, token)
        return self._completed(self._event(Kind.SCALAR, token, _WORDS[text]))

    def _completed(self, event: Event) -> Event:
        self._expect = _Expect.COMMA if self._closers else _Expect.END
        return event

    def _string(self, token: re.Match[str]) -> Event:
        if "\\" not in token[0]:
            return self._event(Kind.SCALAR, token, token[0][1:-1])
        try:
            value = json.loads(token[0])
        except ValueError:
            self._fail("is not JSON: a text holds a backslash that escapes nothing", token)
        if _LONE_SURROGATE.search(value):
            refusal = "holds half of a character (a lone surrogate)"
            return self._event(Kind.SCALAR, token, refusal=refusal)
        return self._event(Kind.SCALAR, token, value)

    def _number(self, token: re.Match[str]) -> Event:
        try:
            value = real(token[0]) if token["real"] else integer(token[0])
        except ValueError as error:
            return self._event(Kind.SCALAR, token, refusal=str(error))
        return self._event(Kind.SCALAR, token, value)

    def _event(
        self, kind: Kind, token: re.Match[str], value: object = None, *, refusal: str = ""
    ) -> Event:
        column = token.start() - self._line_start + 1
        return Event(kind, self._line, column, value, refusal=refusal)

    def _token(self) -> re.Match[str]:
        self._skip_space()
        found = _TOKEN.match(self._text, self._position)
        if found is None:
            self._fail(self._unreadable())
        self._position = found.end()
        return found

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._position)
        assert space is not None
        if space.end() == self._position:
            return
        lines = space[0].count("\n")
        if lines:
            self._line += lines
            self._line_start = space.start() + space[0].rfind("\n") + 1
        self._position = space.end()

    def _require(self, satisfied: bool, token: re.Match[str]) -> None:  # noqa: FBT001 - like assert
        if not satisfied:
            message = f"is not JSON: expected {self._expect.value}, found {quoted(token[0])}"
            self._fail(message, token)

    def _unreadable(self) -> str:
        if self._position == len(self._text):
            return f"is not JSON: it ends where {self._expect.value} was expected"
        if self._text[self._position] == '"':
            return "is not JSON: a text is not closed on its line"
        found = _WORD.match(self._text, self._position)
        shown = found[0] if found else self._text[self._position]
        return f"is not JSON: expected {self._expect.value}, found {quoted(shown)}"

    def _fail(self, message: str, token: re.Match[str] | None = None) -> NoReturn:
        position = self._position if token is None else token.start()
        column = position - self._line_start + 1
        raise ManifestInvalid([Problem(self._file, message, self._line, column)]) from None
