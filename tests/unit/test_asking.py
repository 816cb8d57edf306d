"""How doctor asks: within its calls, at once no more than it may, and never into a closed door."""

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from random import Random
from typing import cast

import anyio
import pytest

from fleetdeploy.baidu.client import BaiduPlatform
from fleetdeploy.baidu.envelope import PushKeys
from fleetdeploy.baidu.events import PushReader
from fleetdeploy.cli.asking import Answers, Asker, Budget, Listed, Questions, ask_tp
from fleetdeploy.cli.connect import Link
from fleetdeploy.core.app_checks import CALLS_SPENT, AppSeen
from fleetdeploy.core.credentials import AppCredential
from fleetdeploy.core.pace import Pace
from fleetdeploy.core.records import Entry
from fleetdeploy.errors import ClientMustAct, FleetRefused, NotSent, PlatformError
from fleetdeploy.guards.guarded import GuardedPlatform
from fleetdeploy.guards.paced import Paced
from fleetdeploy.guards.pacer import Pacer
from fleetdeploy.model import AppInfo, AuditQuota
from fleetdeploy.ports import Call, CallResult, Platform, PushPage, PushWindow, TokenSource
from tests.unit.auth_builders import TP_REFUSED, Desk, office
from tests.unit.core_builders import make_target

IDS = [str(number) for number in range(1, 7)]
QUOTA = AuditQuota(2, 3, 1)
KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
ROW = (
    "Q3stYC6hdFzMh9T8HCvyDJc4YG6J6rtKKawt9gWFlzV4r3EB9jso6i1k39AYq8X8xgvadAA/1Lbo0p+XoxhR5kJNQY1t"
    "BvhBZaCycDI1a9LsifZTtcx6XG5cqp8KiztmCkJBLtvYiCKPIN4+9rD+fkebHyMiOBqnKcvWxcB5S+6Qr9PGWHoDH748"
    "0JX/bsFCNqi1xjP2VNDFfx7Y4TtG8h8BV00B1HiAqIUsyjutXBdfFn7gXl787En/fmfAqNTB"
)


class Quiet:
    def recorded(self, entry: Entry) -> None: ...

    def called(self, call: Call) -> None: ...


@dataclass
class Registry:
    """An inspector that answers for every app, unless `errors` has something for it."""

    counts: Counter[str]
    answers: Answers
    errors: dict[str, deque[PlatformError]] = field(default_factory=dict)
    out: int = 0
    most_out: int = 0

    async def app_info(self, app_id: str) -> AppInfo:
        await self._called("app_info", app_id)
        return AppInfo(app_id, "a", 1, 1, 1, None)

    async def audit_quota(self, app_id: str) -> AuditQuota:
        await self._called("audit_quota", app_id)
        return QUOTA

    async def _called(self, endpoint: str, app_id: str) -> None:
        self.out += 1
        self.most_out = max(self.out, self.most_out)
        await anyio.sleep(0.1)
        self.out -= 1
        self.counts[endpoint] += 1
        errors = self.errors.get(app_id)
        error = errors.popleft() if errors else None
        result = CallResult.OK if error is None else CallResult.REFUSED
        if isinstance(error, NotSent):
            result = CallResult.NOT_SENT
        self.answers.called(Call(endpoint, app_id, result, 0.1, error.code if error else ""))
        if error is not None:
            raise error


class Tokens:
    async def prepare(self, app_id: str) -> None: ...

    def token(self, app_id: str) -> str | None:
        return f"token-{app_id}"

    def refused(self, app_id: str, error: object, token: str) -> None: ...


@dataclass
class Scene:
    registry: Registry
    budget: Budget
    link: Link

    def asker(self, **questions: object) -> Asker:
        targets = [make_target(app_id) for app_id in IDS]
        asked = replace(Questions(targets, 2, 0.0), **questions)  # type: ignore[arg-type]  # by name
        return Asker(self.link, self.budget, self.registry.answers, asked)

    async def ask(self, **questions: object) -> dict[str, AppSeen]:
        seen = await self.asker(**questions).ask_all()
        assert [one.app_id for one in seen] == IDS
        return {one.app_id: one for one in seen}


def scene(most: int = 100) -> Scene:
    counts: Counter[str] = Counter()
    registry = Registry(counts, Answers(Quiet()))
    pacer = Pacer(Pace(1000.0), in_flight=8)
    paced = Paced(pacer, rng=Random(1))
    guarded = GuardedPlatform(cast("Platform", registry), paced, cast("TokenSource", Tokens()))
    link = Link(guarded, cast("BaiduPlatform", registry), pacer, paced, counts, None)
    return Scene(registry, Budget(counts, most), link)


@pytest.mark.anyio
async def test_every_app_is_asked_twice_and_so_many_at_once() -> None:
    stage = scene()
    seen = await stage.ask()
    assert all(isinstance(one.info, AppInfo) and one.quota == QUOTA for one in seen.values())
    assert stage.registry.counts == {"app_info": 6, "audit_quota": 6}
    assert stage.registry.most_out == 2


@pytest.mark.anyio
@pytest.mark.parametrize(("most", "asked"), [(0, 0), (1, 0), (2, 1), (7, 3), (11, 5), (12, 6)])
async def test_no_more_calls_are_made_than_allowed(most: int, asked: int) -> None:
    stage = scene(most)
    seen = await stage.ask()
    assert stage.registry.counts.total() == 2 * asked
    left = [one for one in seen.values() if one.info is None]
    assert len(left) == len(IDS) - asked
    assert {one.why_not for one in left} <= {CALLS_SPENT}


@pytest.mark.anyio
async def test_what_an_app_could_not_answer_leaves_its_second_call_to_others() -> None:
    stage = scene(11)
    stage.registry.errors["1"] = deque([ClientMustAct("platform.scope_missing", "no scope")])
    seen = await stage.ask()
    assert isinstance(seen["1"].info, ClientMustAct)
    assert seen["1"].quota is None
    assert all(isinstance(one.info, AppInfo) for app_id, one in seen.items() if app_id != "1")


@pytest.mark.anyio
async def test_an_error_of_one_app_is_kept_with_it() -> None:
    stage = scene()
    error = ClientMustAct("platform.app_state_wrong", "paused")
    stage.registry.errors["3"] = deque([error])
    assert (await stage.ask())["3"].info is error


@pytest.mark.anyio
async def test_a_refusal_of_the_whole_fleet_ends_the_asking() -> None:
    stage = scene()
    refusal = FleetRefused("platform.ip_not_whitelisted", "not on the whitelist")
    for app_id in IDS:
        stage.registry.errors[app_id] = deque([refusal])
    seen = await stage.ask()
    assert stage.registry.counts.total() == 2  # two were out at once
    assert {one.why_not for one in seen.values()} == {"", "not on the whitelist"}
    assert stage.registry.answers.turned_away
    assert not stage.registry.answers.admitted


@pytest.mark.anyio
async def test_a_platform_that_nobody_reaches_is_not_asked_for_every_app() -> None:
    stage = scene()
    for app_id in IDS:
        dead = NotSent("transport.not_connected", "no connection")
        stage.registry.errors[app_id] = deque([dead] * 99)
    seen = await stage.ask()
    assert stage.registry.counts.total() <= 10  # five tries of two apps
    assert sum(one.why_not == "the platform cannot be reached" for one in seen.values()) == 4
    assert stage.registry.answers.unreached == "transport.not_connected"


@pytest.mark.anyio
async def test_a_blink_after_an_answer_does_not_end_the_asking() -> None:
    stage = scene()
    stage.registry.errors["6"] = deque([NotSent("transport.not_connected", "no connection")] * 9)
    seen = await stage.ask()
    assert isinstance(seen["6"].info, NotSent)
    assert sum(isinstance(one.info, AppInfo) for one in seen.values()) == 5


@pytest.mark.anyio
async def test_without_a_tp_token_only_apps_with_a_token_are_asked() -> None:
    stage = scene()
    kept = {"2": AppCredential("2", access_token="t", expires_at=4000.0, renewed_at=0.0)}
    no_ticket = FleetRefused("auth.no_ticket", "no ticket")
    seen = await stage.ask(kept=kept, tp_error=no_ticket, now=100.0)
    assert stage.registry.counts.total() == 2
    assert isinstance(seen["2"].info, AppInfo)
    assert "needs a new token" in seen["1"].why_not


@pytest.mark.anyio
async def test_a_platform_that_was_not_reached_before_is_not_asked_at_all() -> None:
    stage = scene()
    unreached = Call("templates", "", CallResult.NOT_SENT, 0.1, "transport.not_connected")
    stage.registry.answers.called(unreached)
    seen = await stage.ask()
    assert stage.registry.counts.total() == 0
    assert {one.why_not for one in seen.values()} == {"the platform cannot be reached"}


def test_a_call_of_the_tp_token_alone_proves_no_whitelist() -> None:
    answers = Answers(Quiet())
    answers.called(Call("tp_token", "", CallResult.OK, 0.1))
    assert (answers.reached, answers.admitted) == (True, False)
    answers.called(Call("templates", "", CallResult.OK, 0.1))
    assert answers.admitted


# --- the TP's side ---


@dataclass
class Lister(Desk):
    rows: tuple[str, ...] = ()

    async def pushes(self, tp_token: str, window: PushWindow) -> PushPage:
        await self._enter("pushes", tp_token)
        assert window.end - window.start == 3600
        return PushPage(self.rows, len(self.rows))


OPENER = PushReader(PushKeys("none", KEY), float("inf"))
WANTED = frozenset({"754"})


def budget(most: int = 100) -> Budget:
    return Budget(Counter(), most)


@pytest.mark.anyio
async def test_the_tps_side_is_asked_for_token_library_and_list() -> None:
    async with office(Lister(rows=(ROW, "AAAA"))) as at:
        seen = await ask_tp(
            at.credentials, budget(), Answers(Quiet()), WANTED, OPENER, at.wall.unix()
        )
        assert at.desk.calls == ["tp_token", "templates", "pushes"]
    assert seen.token == at.tp
    assert seen.library.ids >= WANTED
    assert seen.listed == Listed(rows=2, opened=1)


@pytest.mark.anyio
async def test_nothing_is_asked_that_nobody_wants() -> None:
    async with office() as at:
        seen = await ask_tp(
            at.credentials, budget(), Answers(Quiet()), frozenset(), None, at.wall.unix()
        )
        assert at.desk.calls == ["tp_token"]
    assert (seen.library.complete, seen.listed) == (False, None)


@pytest.mark.anyio
async def test_the_tps_side_is_left_alone_when_no_calls_are_allowed() -> None:
    async with office() as at:
        seen = await ask_tp(
            at.credentials, budget(0), Answers(Quiet()), WANTED, OPENER, at.wall.unix()
        )
        assert at.desk.calls == []
    assert seen.token is None
    assert seen.library.why_not == CALLS_SPENT


@pytest.mark.anyio
async def test_without_a_ticket_the_rest_of_the_tps_side_is_not_asked() -> None:
    async with office(ticket="") as at:
        seen = await ask_tp(
            at.credentials, budget(), Answers(Quiet()), WANTED, OPENER, at.wall.unix()
        )
        assert at.desk.calls == []
    assert isinstance(seen.token, FleetRefused)
    assert seen.token.code == "auth.no_ticket"
    assert not seen.library.complete


@pytest.mark.anyio
async def test_a_stored_tp_token_that_is_refused_is_told_as_such() -> None:
    desk = Desk(errors={"templates": deque([TP_REFUSED, TP_REFUSED])})
    async with office(desk) as at:
        seen = await ask_tp(
            at.credentials, budget(), Answers(Quiet()), WANTED, None, at.wall.unix()
        )
    assert isinstance(seen.token, FleetRefused)
    assert (seen.token.code, seen.token.credentials) == (TP_REFUSED.code, True)


@pytest.mark.anyio
async def test_a_platform_that_is_not_reached_is_not_asked_for_its_list_too() -> None:
    answers = Answers(Quiet())
    answers.called(Call("templates", "", CallResult.NOT_SENT, 0.1, "transport.not_connected"))
    lost = NotSent("transport.not_connected", "no connection")
    async with office(Desk(errors={"templates": deque([lost])})) as at:
        seen = await ask_tp(at.credentials, budget(), answers, WANTED, OPENER, at.wall.unix())
        assert at.desk.calls == ["tp_token", "templates"]
    assert seen.library.why_not == "no connection"
    assert not seen.proven


@pytest.mark.anyio
async def test_a_list_that_is_refused_is_kept_as_the_error_it_is() -> None:
    async with office() as at:
        seen = await ask_tp(
            at.credentials, budget(), Answers(Quiet()), WANTED, OPENER, at.wall.unix()
        )
    assert isinstance(seen.listed, PlatformError)
    assert seen.library.ids >= WANTED
