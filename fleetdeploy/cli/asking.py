"""Asks the platform what `doctor` wants to know: within a number of calls, and at the pace.

It judges nothing. Whatever a call ends with is kept as a value, so that one failure does not hide
what the others would have shown.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

import anyio

from fleetdeploy.auth.keeper import Credentials
from fleetdeploy.baidu.events import PushReader
from fleetdeploy.cli.connect import Link
from fleetdeploy.cli.preflight import read_library
from fleetdeploy.core.app_checks import CALLS_SPENT, AppSeen
from fleetdeploy.core.credentials import AppCredential, Freshness, TpCredential, app_freshness
from fleetdeploy.core.library import Library
from fleetdeploy.core.records import Entry
from fleetdeploy.core.targets import Target
from fleetdeploy.engine.run import first_of
from fleetdeploy.errors import FleetRefused, NotSent, PlatformError, PushRefused
from fleetdeploy.ports import Call, CallResult, Observer, PushWindow

T = TypeVar("T")

CALLS_PER_APP: Final = 2
CALLS_FOR_TP: Final = 2
"""Of a question to the TP's side: its own call, and one for a token."""
LIST_BACK_S: Final = 3600
"""Six tickets were pushed in an hour: enough rows to try the key on."""
_UNREACHED: Final = "the platform cannot be reached"
_TP_ENDPOINT: Final = "tp_token"
_REACHED: Final = frozenset({CallResult.OK, CallResult.REFUSED, CallResult.THROTTLED})
_NO_ADDRESS: Final = "platform.ip_not_whitelisted"


class Answers:
    """An observer that keeps what the calls showed of the way to the platform."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.reached = False
        self.admitted = False
        """Whether a call was answered that needs this machine's address on the whitelist."""
        self.turned_away = False
        self.unreached = ""
        """Why the platform could not be reached, while it could not."""

    def recorded(self, entry: Entry) -> None:
        self._observer.recorded(entry)

    def called(self, call: Call) -> None:
        self.reached |= call.result in _REACHED
        self.admitted |= call.result is CallResult.OK and str(call.endpoint) != _TP_ENDPOINT
        self.turned_away |= call.code == _NO_ADDRESS
        self.unreached = "" if self.reached else call.code
        self._observer.called(call)


class Budget:
    """How many calls may still be made; a question reserves its own before it is asked.

    Retries and new tokens are counted when they were made, so that a few more than `most` can come
    of what was under way.
    """

    def __init__(self, counts: Counter[str], most: int) -> None:
        self._counts = counts
        self._most = most
        self._reserved = 0

    def reserve(self, calls: int) -> bool:
        if self._counts.total() + self._reserved + calls > self._most:
            return False
        self._reserved += calls
        return True

    def give_back(self, calls: int) -> None:
        self._reserved -= calls


@dataclass(frozen=True, slots=True)
class TpSeen:
    """What the TP's side said. Each is an answer, an error, or None where nobody asked."""

    token: TpCredential | PlatformError | None = None
    proven: bool = False
    """Whether a call was answered that the token was sent with."""
    library: Library = field(default_factory=Library)
    listed: "Listed | PlatformError | None" = None


@dataclass(frozen=True, slots=True)
class Listed:
    """Rows of the list of pushes, and how many of them our key opened."""

    rows: int
    opened: int


async def ask_tp(
    credentials: Credentials,
    budget: Budget,
    answers: Answers,
    wanted: frozenset[str],
    opener: PushReader | None,
    now: float,
) -> TpSeen:
    """Get the TP token if need be, read the library and, with what opens it, the list of pushes."""
    if not budget.reserve(CALLS_FOR_TP):
        return TpSeen(library=Library(why_not=CALLS_SPENT))
    token = await _outcome(_token(credentials))
    budget.give_back(CALLS_FOR_TP)
    if isinstance(token, PlatformError):
        return TpSeen(token, library=Library(why_not=_NO_TP_TOKEN))
    library = await _library(credentials, budget, wanted)
    if isinstance(library, PlatformError):
        # A token from the store has not proved itself before this.
        token = library if library.code == _TOKEN_REFUSED else token
        library = Library(why_not=library.message)
    listed: Listed | PlatformError | None = None
    # Where nothing answers, the next call would be tried as often and as long.
    if opener is not None and not answers.unreached and budget.reserve(CALLS_FOR_TP):
        listed = await _outcome(_listed(credentials, opener, now))
        budget.give_back(CALLS_FOR_TP)
    return TpSeen(token, answers.admitted, library, listed)


_NO_TP_TOKEN: Final = "there is no token of the third-party platform"  # noqa: S105 - a sentence
_TOKEN_REFUSED: Final = "platform.token_refused"  # noqa: S105 - a code


async def _token(credentials: Credentials) -> TpCredential:
    await credentials.tp.token()
    return await credentials.store.tp()


async def _library(
    credentials: Credentials, budget: Budget, wanted: frozenset[str]
) -> Library | PlatformError:
    if not wanted:
        return Library(why_not="no manifest was named that names any")
    if not budget.reserve(CALLS_FOR_TP):
        return Library(why_not=CALLS_SPENT)
    read = await _outcome(read_library(credentials, wanted))
    budget.give_back(CALLS_FOR_TP)
    return read


async def _listed(credentials: Credentials, opener: PushReader, now: float) -> Listed:
    window = PushWindow(int(now) - LIST_BACK_S, int(now))
    page = await credentials.pushes(window)
    return Listed(len(page.rows), sum(_opens(opener, row) for row in page.rows))


def _opens(opener: PushReader, row: str) -> bool:
    try:
        opener.open_row(row)
    except PushRefused:
        return False
    return True


async def _outcome(asking: Awaitable[T]) -> T | PlatformError:
    try:
        return await asking
    except PlatformError as error:
        return error


@dataclass(frozen=True, slots=True)
class Questions:
    """Which apps to ask, and what is known beforehand.

    `kept` are the credentials of apps whose tokens are ours to renew, `tp_error` says why that
    cannot be done; `now` is unix seconds.
    """

    targets: Sequence[Target]
    at_once: int
    now: float
    kept: Mapping[str, AppCredential] | None = None
    tp_error: PlatformError | None = None


class Asker:
    """Asks app by app, until the calls are spent or the platform would refuse every app."""

    def __init__(self, link: Link, budget: Budget, answers: Answers, questions: Questions) -> None:
        self._link = link
        self._budget = budget
        self._answers = answers
        self._questions = questions
        self._seen: dict[str, AppSeen] = {}
        self._why_no_more = _UNREACHED if answers.unreached else ""

    async def ask_all(self) -> list[AppSeen]:
        """Ask; return what was seen of every app, in the order of the targets."""
        targets = self._questions.targets
        left = iter(targets)
        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(min(self._questions.at_once, len(targets))):
                    tasks.start_soon(self._work, left)
        except BaseExceptionGroup as group:
            raise first_of(group) from group
        return [self._seen[target.app_id] for target in targets]

    async def _work(self, left: Iterator[Target]) -> None:
        for target in left:
            self._seen[target.app_id] = await self._ask(target)

    async def _ask(self, target: Target) -> AppSeen:
        app_id = target.app_id
        seen = partial(AppSeen, app_id, target.name, target.bundle.template_id)
        why_not = self._why_no_more or self._why_not(app_id)
        if why_not:
            return seen(why_not=why_not)
        if not self._budget.reserve(CALLS_PER_APP):
            return seen(why_not=CALLS_SPENT)
        owed = CALLS_PER_APP
        try:
            info = await self._read("app_info", app_id, self._link.inspector.app_info)
            self._budget.give_back(1)
            owed -= 1
            if isinstance(info, PlatformError):
                return seen(info=info)
            quota = await self._read("audit_quota", app_id, self._link.inspector.audit_quota)
            return seen(info=info, quota=quota)
        finally:
            self._budget.give_back(owed)

    def _why_not(self, app_id: str) -> str:
        """Say why an app cannot be asked, without asking: each try would cost calls of the TP's."""
        kept, error = self._questions.kept, self._questions.tp_error
        if kept is None or error is None:
            return ""
        credential = kept.get(app_id, AppCredential(app_id))
        if app_freshness(credential, self._questions.now) is not Freshness.STALE:
            return ""
        return f"it needs a new token, and {_NO_TP_TOKEN.removeprefix('there is ')} is to be had"

    async def _read(
        self, endpoint: str, app_id: str, ask: Callable[[str], Awaitable[T]]
    ) -> T | PlatformError:
        answer = await _outcome(self._link.platform.read(endpoint, app_id, partial(ask, app_id)))
        if isinstance(answer, FleetRefused):
            self._why_no_more = answer.message
        elif isinstance(answer, NotSent) and not self._answers.reached:
            self._why_no_more = _UNREACHED
        return answer
