"""Stands at the door: notes each request as it leaves, and what was durable at that moment.

It changes nothing and knows nothing of what ought to be; `checkers.py` judges.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

import anyio

from fleetdeploy.core.records import AnyAppRecord, Entry
from fleetdeploy.simulator.endpoints import route_of
from fleetdeploy.simulator.reading import params_of
from fleetdeploy.storage.memory_journal import Moment
from fleetdeploy.transport import Reply, Request, Transport


class Answer(StrEnum):
    NONE = "none"
    """Lost on the way, cut off, an error page, or the process did not live to see it."""
    YES = "yes"
    NO = "no"
    """A refusal in the platform's own words."""


@dataclass(slots=True)
class Sent:
    """One request. `last` is the app's last durable record when it left, and `own` says whether
    this life wrote it.
    """

    at: float
    life: int
    endpoint: str
    app_id: str
    package_id: str | None
    last: AnyAppRecord | None
    own: bool
    answer: Answer = Answer.NONE


class Witness:
    """A `Transport` around another one, told of each record by the journal."""

    def __init__(self, inner: Transport, owner: Callable[[str], str]) -> None:
        self.inner = inner
        self._owner = owner
        self._life = 0
        self._written: dict[int, Entry] = {}
        self._last: dict[str, tuple[AnyAppRecord, bool]] = {}
        self.sent: list[Sent] = []
        self._out = 0
        self.most_out = 0
        self.on_send: Callable[[str, Mapping[str, str]], None] = lambda _endpoint, _params: None

    def begin(self, life: int, entries: Iterable[Entry]) -> None:
        """A process begins; so much is in the journal that it found."""
        self._life = life
        self._out = 0
        self._written.clear()
        self._last = {}
        for entry in entries:
            self._note(entry, own=False)

    def saw(self, moment: Moment, entry: Entry) -> None:
        """What becomes durable is always a prefix: a record brings those before it along."""
        if moment is Moment.WRITTEN:
            self._written[entry.seq] = entry
            return
        for seq in [seq for seq in self._written if seq <= entry.seq]:
            self._note(self._written.pop(seq), own=True)

    async def send(self, request: Request) -> Reply:
        sent = self._noted(request)
        self._out += 1
        self.most_out = max(self.most_out, self._out)
        try:
            reply = await self.inner.send(request)
        finally:
            self._out -= 1
        sent.answer = _read(reply)
        return reply

    def _noted(self, request: Request) -> Sent:
        params = params_of(request)
        route = route_of(request.path, params)
        assert route is not None
        self.on_send(route.endpoint, params)
        app_id = self._owner(params.get("access_token", ""))
        last, own = self._last.get(app_id, (None, False))
        sent = Sent(
            at=anyio.current_time(),
            life=self._life,
            endpoint=route.endpoint,
            app_id=app_id,
            package_id=params.get("package_id"),
            last=last,
            own=own,
        )
        self.sent.append(sent)
        return sent

    def _note(self, entry: Entry, *, own: bool) -> None:
        if isinstance(entry.record, AnyAppRecord):
            self._last[entry.record.app_id] = (entry.record, own)


def _read(reply: Reply) -> Answer:
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Answer.NO
    try:
        body = json.loads(reply.body)
    except ValueError:
        return Answer.NONE
    return Answer.YES if body.get("errno") == 0 else Answer.NO
