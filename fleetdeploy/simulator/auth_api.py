"""Answers the calls of the third-party platform itself: tokens, codes, templates, the push list.

As strict as `api.py`, which asks it; no input or output, no clock. Two times come in: `now` is the
world's, `wire_now` that of the tokens (platform-api.md 2.1, 2.2, 3).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from fleetdeploy.simulator import answers
from fleetdeploy.simulator.desk import CODE, REFRESH, Pair
from fleetdeploy.simulator.endpoints import Endpoint, Route
from fleetdeploy.simulator.happenings import TICKET, Push, PushStatus
from fleetdeploy.simulator.pushes import MONTH_S
from fleetdeploy.simulator.reading import Params, bad, number
from fleetdeploy.simulator.rows import NO_PERMISSION, Refusal
from fleetdeploy.simulator.world import World
from fleetdeploy.transport import Reply

_WEEK_S: Final = 7 * 86400
_DAY_S: Final = 86400
_PAGE_MAX: Final = 100
_PAGE_SIZE: Final = 10
_PAGE_SIZE_MAX: Final = 1000
_MISSING: Final = Refusal(400, "missing parameter", violation=True, oauth="invalid_request")
_UNSUPPORTED: Final = Refusal(
    400, "unsupported grant type", violation=True, oauth="unsupported_grant_type"
)

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the list of pushes is asked for; times are unix seconds."""

    start: int
    end: int
    failed_only: bool
    offset: int
    count: int
    numbers: frozenset[int] | None


class AuthApi:
    """The calls that take a TP token, and the one that gives it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def owner(self, route: Route, params: Params) -> str:
        """Return the app that a call is about, as far as it can be known."""
        desk = self._world.desk
        match route.endpoint:
            case Endpoint.REFRESH_TOKEN:
                return desk.owner_of(REFRESH, params.get("refresh_token", ""))
            case Endpoint.EXCHANGE_CODE:
                return desk.owner_of(CODE, params.get("code", ""))
            case Endpoint.RETRIEVE_CODE:
                app_id = params.get("app_id", "")
                return app_id if self._world.knows(app_id) else ""
            case _:
                return ""

    def answer(self, route: Route, params: Params, now: float, wire_now: float) -> Reply | Refusal:
        """Carry out a call whose token was found good."""
        if any(not params.get(name) for name in route.required):
            grants = route.endpoint in {Endpoint.REFRESH_TOKEN, Endpoint.EXCHANGE_CODE}
            return _MISSING if grants else bad(f"缺少参数 {', '.join(route.required)}")
        desk = self._world.desk
        match route.endpoint:
            case Endpoint.TP_TOKEN:
                return self._tp_token(params, wire_now)
            case Endpoint.PRE_AUTH_CODE:
                lifetime_s = desk.rules.pre_auth_code_lifetime_s
                return _success("pre_auth_code", desk.pre_auth_code(), lifetime_s)
            case Endpoint.REFRESH_TOKEN:
                return self._pair(desk.refresh(params["refresh_token"], wire_now))
            case Endpoint.EXCHANGE_CODE:
                return self._pair(desk.exchange(params["code"], wire_now))
            case Endpoint.RETRIEVE_CODE:
                return self._retrieve(params["app_id"], wire_now)
            case Endpoint.TEMPLATES:
                return self._templates(params)
            case Endpoint.PUSHES:
                return self._pushes(params, now, wire_now)
            case _:
                return _UNSUPPORTED

    def _tp_token(self, params: Params, now: float) -> Reply | Refusal:
        desk = self._world.desk
        token = desk.tp_token(params["client_id"], params["ticket"], now)
        if isinstance(token, Refusal):
            return token
        lifetime_s = desk.rules.tp_token_lifetime_s
        return _success("access_token", token, lifetime_s, scope="public")

    def _pair(self, pair: Pair | Refusal) -> Reply | Refusal:
        """Answer flat, without `errno`."""
        if isinstance(pair, Refusal):
            return pair
        return answers.as_json(
            {
                "access_token": pair.access_token,
                "refresh_token": pair.refresh_token,
                "expires_in": _whole(self._world.scenario.token_lifetime_s),
            }
        )

    def _retrieve(self, app_id: str, now: float) -> Reply | Refusal:
        if number(app_id) is None:
            return bad("app_id 不是数字")
        desk = self._world.desk
        code = desk.retrieve(app_id, now)
        if isinstance(code, Refusal):
            return code
        return _success("authorization_code", code, desk.rules.recovered_code_lifetime_s)

    def _templates(self, params: Params) -> Reply | Refusal:
        page = number(params.get("page") or "1")
        size = number(params.get("page_size") or str(_PAGE_SIZE))
        if not page or not size or size > _PAGE_SIZE_MAX:
            return bad("page, page_size")
        ids = self._world.scenario.templates
        shown = ids[(page - 1) * size : page * size]
        created = self._world.scenario.epoch_unix
        rows = [_template(template_id, created) for template_id in shown]
        return answers.success({"count": len(ids), "list": rows})

    def _pushes(self, params: Params, now: float, wire_now: float) -> Reply | Refusal:
        world = self._world
        if not world.scenario.unsettled.push_list:
            return Refusal(NO_PERMISSION, "无权限")
        unix = world.wire.unix(wire_now)
        asked = _asked(params, unix)
        if isinstance(asked, Refusal):
            return asked
        world.tell(now, wire_now)
        fitting = [push for push in self._listed(asked, wire_now) if self._fits(push, asked)]
        rows = [self._row(push) for push in fitting[asked.offset : asked.offset + asked.count]]
        return answers.success(
            {
                "page": asked.offset // asked.count + 1,
                "pageSize": asked.count,
                "count": len(fitting),
                "list": rows,
            }
        )

    def _listed(self, asked: _Asked, wire_now: float) -> list[Push]:
        """Return what the list shows of the time that is asked for; of all, by number."""
        world, unsettled = self._world, self._world.scenario.unsettled
        until = wire_now - unsettled.push_list_delay_s
        kept = world.pushes.kept
        if asked.numbers is None:
            # The list is read in whole seconds, hence one more.
            until = min(until, world.wire.at(asked.end + 1))
            kept = world.pushes.since(world.wire.at(asked.start))
        shown = takewhile(lambda push: push.at <= until, kept)
        return [push for push in shown if unsettled.push_list_tickets or push.event != TICKET]

    def _fits(self, push: Push, asked: _Asked) -> bool:
        if asked.numbers is not None:
            return push.number in asked.numbers
        if asked.failed_only and push.status is not PushStatus.FAILED:
            return False
        return asked.start <= int(self._world.wire.unix(push.at)) <= asked.end

    def _row(self, push: Push) -> Json:
        content = self._world.pushes.sealed(push)
        return {"id": push.number, "content": content, "status": int(push.status)}


def _asked(params: Params, unix: float) -> _Asked | Refusal:
    """Read what the list is asked for, by the documented bounds."""
    given = {
        "start": int(unix) - _DAY_S,
        "end": int(unix),
        "push_type": 1,
        "offset": 0,
        "count": _PAGE_MAX,
    }
    for name in given:
        if text := params.get(name):
            read = number(text)
            if read is None:
                return bad(f"{name} 不是数字")
            given[name] = read
    if given["push_type"] not in {1, 2} or not 1 <= given["count"] <= _PAGE_MAX:
        return bad("push_type, count")
    start, end = given["start"], given["end"]
    if not start <= end <= start + _WEEK_S or start < int(unix - MONTH_S):
        return bad("start, end")
    numbers = _numbers(params.get("id_list", ""))
    if isinstance(numbers, Refusal):
        return numbers
    failed_only = given["push_type"] == 2  # noqa: PLR2004 - as documented
    return _Asked(start, end, failed_only, given["offset"], given["count"], numbers)


def _numbers(text: str) -> frozenset[int] | Refusal | None:
    if not text:
        return None
    read = [number(part.strip()) for part in text.split(",")]
    known = [part for part in read if part is not None]
    if len(known) != len(read) or len(read) > _PAGE_MAX:
        return bad("id_list")
    return frozenset(known)


def _success(name: str, text: str, lifetime_s: float, **more: object) -> Reply:
    return answers.success({name: text, "expires_in": _whole(lifetime_s), **more})


def _whole(lifetime_s: float) -> int:
    """Tell a lifetime in whole seconds; none that is left is told as one."""
    return max(1, int(lifetime_s))


def _template(template_id: str, created: int) -> Json:
    return {
        "template_id": int(template_id),
        "user_version": f"1.0.{template_id}",
        "user_desc": f"模板{template_id}",
        "create_time": created,
        "web_status": 0,
    }
