"""The server side without a server: a request comes in as a value, a reply goes out as one.

Strict where the documents are clear and written with a codec of its own, so that a client's
misreading of the platform cannot hide behind the same misreading here. No input or output, no
clock.
"""

from dataclasses import dataclass
from typing import Final

from fleetdeploy.simulator import answers
from fleetdeploy.simulator.auth_api import AuthApi
from fleetdeploy.simulator.behaviour import RateAnswer
from fleetdeploy.simulator.endpoints import Endpoint, Holder, Route, route_of
from fleetdeploy.simulator.faults import Fault, FaultKind, Faults
from fleetdeploy.simulator.outages import Service
from fleetdeploy.simulator.reading import Asked, Params, misdirected, params_of, read
from fleetdeploy.simulator.rows import Refusal
from fleetdeploy.simulator.traffic import CallSeen
from fleetdeploy.simulator.world import World
from fleetdeploy.transport import Reply, Request

_OUT: Final = Fault(FaultKind.ERROR_PAGE_UNDONE)
_TOO_FAST: Final = {
    RateAnswer.GATEWAY: Refusal(18, "Open api qps request limit reached", gateway=True),
    RateAnswer.ERRNO: Refusal(50029, "接口调用次数超过限制"),
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a transport is to bring back: the reply, and the fault to pretend on the way.

    The reply is None where the request did not arrive or its answer is lost. Of a cut-off body the
    reply is whole; the transport does the cutting.
    """

    reply: Reply | None
    fault: Fault | None
    app_id: str
    endpoint: Endpoint


@dataclass(slots=True)
class _Call:
    """A request, and what can be told of it at once; `app_id` is empty where no app is known."""

    request: Request
    route: Route | None
    endpoint: Endpoint
    params: Params
    app_id: str


class Api:
    """The platform's HTTP interface over one world."""

    def __init__(self, world: World, faults: Faults | None = None) -> None:
        self.world = world
        self._auth = AuthApi(world)
        self._faults = faults or Faults(world.scenario.faults, seed=world.scenario.seed)

    def deliver(self, request: Request, now: float, *, wire_now: float | None = None) -> Delivery:
        """Count a request, draw its fault, and carry it out unless the fault forbids.

        `now` is the world's time. Pace, rate limit and lifetimes of tokens go by `wire_now`, the
        time on the clock that the client lives by, which differs where the world runs fast-forward.
        """
        at = now if wire_now is None else wire_now
        self.world.hear(now, at)
        traffic, call = self.world.traffic, self._read(request)
        endpoint, app_id = call.endpoint, call.app_id
        traffic.arrived(at, endpoint)
        fault = _OUT if self.world.outages.out(Service.PLATFORM, now) else None
        fault = fault or self._faults.draw(app_id, endpoint)
        if fault is not None and not fault.executed:
            traffic.ended(CallSeen(at, endpoint, app_id, refused=False, lost=True))
            page = fault.kind is FaultKind.ERROR_PAGE_UNDONE
            return Delivery(answers.error_page() if page else None, fault, app_id, endpoint)
        if traffic.admit(at):
            outcome = self._decide(call, now, at)
            refused, reply = isinstance(outcome, Refusal), self._write(outcome)
        else:
            refused, reply = True, self._too_fast()
        traffic.ended(CallSeen(at, endpoint, app_id, refused=refused))
        return Delivery(_as_brought(reply, fault), fault, app_id, endpoint)

    def handle(self, request: Request, now: float) -> Reply:
        """Answer one request as the platform would: no faults, no rate limit, nothing counted."""
        self.world.hear(now, now)
        return self._write(self._decide(self._read(request), now, now))

    def _read(self, request: Request) -> _Call:
        params = params_of(request)
        route = route_of(request.path, params)
        if route is None or route.holder is Holder.APP:
            app_id = self.world.owner(params.get("access_token", ""))
        else:
            app_id = self._auth.owner(route, params)
        endpoint = route.endpoint if route else Endpoint.UNKNOWN
        return _Call(request, route, endpoint, params, app_id)

    def _decide(self, call: _Call, now: float, wire_now: float) -> Reply | Refusal:
        route, params = call.route, call.params
        if refusal := misdirected(call.request, route, params):
            return self._violated(call, refusal, now)
        assert route is not None, "a request without a route is misdirected"
        if refusal := self._not_admitted(route, params, wire_now):
            return refusal
        if route.holder is not Holder.APP:
            outcome = self._auth.answer(route, params, now, wire_now)
            if isinstance(outcome, Refusal) and outcome.violation:
                return self._violated(call, outcome, now)
            return outcome
        asked = read(route, params, call.app_id)
        if isinstance(asked, Refusal):
            return self._violated(call, asked, now)
        return self._carry_out(route.endpoint, call.app_id, asked, now)

    def _not_admitted(self, route: Route, params: Params, wire_now: float) -> Refusal | None:
        token = params.get("access_token", "")
        match route.holder:
            case Holder.APP:
                return self.world.refusal_of(token, wire_now)
            case Holder.TP:
                return self.world.tp_refusal_of(token, wire_now)
            case Holder.NOBODY:
                return self.world.address_refusal()

    def _violated(self, call: _Call, refusal: Refusal, now: float) -> Refusal:
        """Book a request that a lawful client does not send."""
        self.world.violate(call.endpoint, call.app_id, refusal, now)
        return refusal

    def _carry_out(
        self, endpoint: Endpoint, app_id: str, asked: Asked, now: float
    ) -> Reply | Refusal:
        match endpoint:
            case Endpoint.PACKAGES:
                return self._list(app_id, now)
            case Endpoint.PACKAGE_DETAIL:
                return self._detail(app_id, asked, now)
            case Endpoint.AUDIT_QUOTA:
                return answers.success(answers.quota(self.world.quota(app_id, now)))
            case Endpoint.APP_INFO:
                return answers.success(answers.app_info(app_id, self.world.behaviour(app_id)))
            case _:
                return self._change(endpoint, app_id, asked, now) or answers.success()

    def _change(self, endpoint: Endpoint, app_id: str, asked: Asked, now: float) -> Refusal | None:
        world = self.world
        if refusal := world.outages.refusal_of(endpoint, now):
            return refusal
        if endpoint is Endpoint.UPLOAD:
            assert asked.wish is not None, "an upload is read with its wish"
            return world.upload(app_id, asked.wish, now)
        assert asked.package_id is not None, "the package's id is required by the route"
        match endpoint:
            case Endpoint.SUBMIT_AUDIT:
                return world.submit_audit(app_id, asked.package_id, asked.remark, now)
            case Endpoint.WITHDRAW:
                return world.withdraw(app_id, asked.package_id, now)
            case Endpoint.RELEASE:
                return world.release(app_id, asked.package_id, now)
            case Endpoint.ROLLBACK:
                return world.rollback(app_id, asked.package_id, now)
            case _:
                raise AssertionError(f"{endpoint} changes nothing")

    def _list(self, app_id: str, now: float) -> Reply:
        rows = self.world.packages(app_id, now)
        unix = self.world.unix
        return answers.success([answers.list_row(row, unix(row.committed_at)) for row in rows])

    def _detail(self, app_id: str, asked: Asked, now: float) -> Reply | Refusal:
        row = self.world.detail(app_id, asked.package_id, asked.status, now)
        if isinstance(row, Refusal):
            return row
        return answers.success(answers.detail(row, self.world.unix(row.committed_at)))

    def _too_fast(self) -> Reply:
        limit = self.world.scenario.rate_limit
        if limit.answer is RateAnswer.HTTP_429:
            return answers.too_many_requests(limit.retry_after_s)
        return answers.refused(_TOO_FAST[limit.answer])

    def _write(self, outcome: Reply | Refusal) -> Reply:
        if isinstance(outcome, Reply):
            return outcome
        return answers.refused(
            outcome, token_error_http=self.world.scenario.unsettled.token_error_http
        )


def _as_brought(reply: Reply, fault: Fault | None) -> Reply | None:
    match fault and fault.kind:
        case FaultKind.ANSWER_LOST:
            return None
        case FaultKind.ERROR_PAGE_DONE:
            return answers.error_page()
        case _:
            return reply
